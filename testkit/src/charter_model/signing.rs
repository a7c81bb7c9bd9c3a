//! Whose signatures count: root keys, people whose identity provider vouches for them, witnesses.
//!
//! In: what was signed, by whom, when. Out: whether it is enough, and what stands against the signers.
//! Not here: what a right is (`rights`).

use std::collections::BTreeSet;

use writ_evidence::{
    charter::{Binding, Change, Elevation, Scope, Subject},
    issuer::{IdTokenAlgorithm, Issuer, IssuerClient, IssuerPublicKey},
    key::{Algorithm, PublicKey},
    writ::Operation,
};
use writ_model::{Cidr, Connection, Grantee, Principal, Role, UnixTime};
use writ_policy::Right;

use super::{Asker, By, Login, Model, Over, Reason, RootSignature, Signature, SignedIn, Step};

/// How far two clocks may be apart (DESIGN §3).
const CLOCKS_S: u64 = 60;
/// How long a writ may live (DESIGN §3.2).
const WRIT_S: u64 = 300;

impl Model {
    /// k of n root keys signed this step.
    pub(super) fn enough_roots(&self, signatures: &[RootSignature]) -> bool {
        let signed = |root: &&PublicKey| {
            signatures.iter().any(|signature| signature.over_this && signature.by == **root)
        };
        let enough = self.roots.keys.iter().filter(signed).collect::<BTreeSet<_>>().len();
        enough >= usize::from(self.roots.threshold)
    }

    /// The times of those witnesses of the state before who cosigned this step.
    /// A witness says one thing, the first; what others say beside them counts for nothing, and harms nothing.
    fn seen_at(&self, step: &Step) -> Vec<UnixTime> {
        let By::People { cosigned, .. } = &step.by else { return Vec::new() };
        let first = |jail: &PublicKey| {
            cosigned.iter().find(|one| one.by == *jail).filter(|one| one.over_this)
        };
        self.witnesses_now().filter_map(first).map(|one| one.at).collect()
    }

    /// Every reason against a step that people signed: as many witnesses as must saw it at a time at which
    /// nothing stands against it.
    pub(super) fn against_witnessed(&self, step: &Step) -> BTreeSet<Reason> {
        let seen = self.seen_at(step);
        let needed = usize::from(self.witnesses.threshold);
        let against = seen.iter().map(|at| self.against_candidate(step, *at, None));
        let mut against: Vec<BTreeSet<Reason>> = against.collect();
        if against.iter().filter(|against| against.is_empty()).count() >= needed {
            return BTreeSet::new();
        }
        if seen.len() < needed {
            against.push([Reason::Signature].into());
        }
        against.into_iter().flatten().collect()
    }

    /// When a step that nothing stands against was witnessed: the latest time that counts.
    pub(super) fn witnessed_at(&self, step: &Step) -> UnixTime {
        let seen = self.seen_at(step).into_iter();
        let counted = seen.filter(|at| self.against_candidate(step, *at, None).is_empty());
        counted.max().unwrap_or(UnixTime(0))
    }

    /// The jails that are witnesses now: named by root keys, enrolled, not suspended.
    fn witnesses_now(&self) -> impl Iterator<Item = &PublicKey> {
        let named = self.runners.iter().filter(|runner| {
            self.witnesses.witnesses.contains(&runner.id)
                && !self.is_suspended(&Subject::Runner(runner.id))
        });
        named.map(|runner| &runner.jail_key)
    }

    /// As many witnesses as must cosign, if there are so many, and `more`.
    pub fn cosigners(&self, more: usize) -> impl Iterator<Item = PublicKey> {
        self.witnesses_now().take(usize::from(self.witnesses.threshold) + more).cloned()
    }

    /// Whether a person's signature counts at a time, for somebody who has fetched these keys of issuers;
    /// `None` is whoever comes later.
    #[must_use]
    pub fn counts(
        &self,
        signature: &Signature,
        at: UnixTime,
        fetched: Option<&[PublicKey]>,
    ) -> bool {
        let Signature { login, signed_at, lives_s, over } = signature;
        let in_time = *lives_s > 0
            && *lives_s <= WRIT_S
            && signed_at.0 <= at.0 + CLOCKS_S
            && at.0 < signed_at.0 + lives_s + CLOCKS_S;
        *over == Over::This && in_time && self.vouches(login, at, fetched)
    }

    /// Whether an issuer of the charter vouches for a login at a time, and lets it change the charter.
    fn vouches(&self, login: &Login, at: UnixTime, fetched: Option<&[PublicKey]>) -> bool {
        let Some(issuer_key) = &login.issuer_key else { return self.enrolls(login, at) };
        let Some(issuer) = self.issuer(&login.person) else { return false };
        let client = issuer.clients.iter().find(|client| client.client_id == login.client);
        let listed = |client: &IssuerClient| client.operations.contains(&Operation::CharterAppend);
        let algorithm = match issuer_key.algorithm() {
            Algorithm::Es256 => IdTokenAlgorithm::Es256,
            Algorithm::EdDsa => IdTokenAlgorithm::EdDsa,
        };
        // Whoever comes later believes history on the cosignatures where the issuer's keys are fetched.
        let pinned = issuer
            .keys
            .iter()
            .any(|key| matches!(&key.jwk, IssuerPublicKey::Curve(key) if key == issuer_key));
        let believed = fetched.is_none_or(|keys| keys.contains(issuer_key));
        let fresh_until = login.exp.0.min(login.iat.0 + issuer.max_age_s);
        client.is_some_and(listed)
            && issuer.algorithms.contains(&algorithm)
            && (pinned || (issuer.jwks.is_some() && believed))
            && login.iat.0 <= at.0 + CLOCKS_S
            && at.0 < fresh_until.min(login.iat.0 + issuer.session_max_s) + CLOCKS_S
    }

    fn issuer(&self, person: &Principal) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.iss == person.iss)
    }

    /// Who asks with a login at a time: the groups of the token count where the charter says which claim
    /// lists them.
    #[must_use]
    pub fn asker(&self, login: &Login, at: UnixTime) -> Asker {
        let lists = self.issuer(&login.person).is_some_and(|issuer| issuer.groups_claim.is_some());
        let counted = lists && login.issuer_key.is_some();
        let signed_in = SignedIn {
            at,
            through: login.client.clone(),
            is_workload: login.issuer_key.is_none(),
            amr: login.amr.clone(),
        };
        Asker {
            person: login.person.clone(),
            groups: if counted { login.groups.clone() } else { BTreeSet::new() },
            at: Some(at),
            signed_in: Some(signed_in),
        }
    }

    /// What stands against somebody's signing a change at a time.
    #[must_use]
    pub fn against_signer(&self, login: &Login, change: &Change, at: UnixTime) -> BTreeSet<Reason> {
        let of = [Subject::User(login.person.clone()), Subject::Key(login.key.thumbprint())];
        let mut against = self.against_making(&self.asker(login, at), change);
        if of.iter().any(|subject| self.is_suspended(subject)) {
            against.insert(Reason::Suspended);
        }
        against
    }

    /// What stands against those who signed a change.
    pub(super) fn against_signers(
        &self,
        signers: &[Signature],
        change: &Change,
        at: UnixTime,
    ) -> BTreeSet<Reason> {
        let each = signers.iter().flat_map(|signer| self.against_signer(&signer.login, change, at));
        let mut against: BTreeSet<Reason> = each.collect();
        let of_people = signers.iter().filter(|signer| signer.login.issuer_key.is_some());
        let keys: BTreeSet<_> = of_people.clone().map(|signer| &signer.login.key).collect();
        let people: BTreeSet<_> = of_people.map(|signer| &signer.login.person).collect();
        if self.takes_two(change, at) && (people.len() < 2 || keys.len() < 2) {
            against.insert(Reason::SecondSigner);
        }
        if let Change::ElevationGrant(elevation) = change
            && signers.iter().all(|signer| signer.login.person == elevation.principal)
        {
            against.insert(Reason::SecondSigner);
        }
        against
    }

    /// Whether a change decides where a credential goes, in a workspace of two administrators.
    #[must_use]
    pub fn takes_two(&self, change: &Change, at: UnixTime) -> bool {
        let Change::ConnectionSet(new) = change else { return false };
        let kept = self.connections.iter().find(|known| known.name == new.name);
        kept.is_none_or(|kept| goes_further(kept, new)) && self.administrators(new, at) >= 2
    }

    /// Who counts as an administrator of a connection's workspace: owners, those who are elevated, and whose
    /// role of the charter's own manages connections.
    fn administrators(&self, connection: &Connection, at: UnixTime) -> usize {
        let here = |binding: &&Binding| {
            let place = match &binding.scope {
                Scope::Tenant => true,
                Scope::Workspace(name) => name == connection.name.workspace(),
            };
            let manages = Right::ConnectionManage(&connection.name);
            let role = [Role::Owner, Role::Administrator].contains(&binding.role);
            place && (role || self.made_role_holds(&binding.role, &manages))
        };
        let elevated: Vec<Binding> = self.elevated(at).map(Elevation::binding).collect();
        let mut people = Vec::new();
        let mut uncounted = BTreeSet::new();
        for binding in self.bindings.iter().chain(&elevated).filter(here) {
            match &binding.principal {
                Grantee::Principal(person) => people.push(person),
                Grantee::CharterGroup(named) => {
                    let group = self.groups.iter().find(|group| group.name == named.charter_group);
                    people.extend(group.into_iter().flat_map(|group| &group.members));
                }
                Grantee::Group(group) => {
                    uncounted.insert(group);
                }
            }
        }
        people.retain(|person| {
            person.iss != writ_model::SERVICE_ACCOUNTS
                && !self.is_suspended(&Subject::User((*person).clone()))
        });
        people.into_iter().collect::<BTreeSet<_>>().len() + uncounted.len()
    }
}

/// Whether the credential may go where it did not: another reference, another place in a request, wider
/// hosts, address ranges or plaintext.
fn goes_further(kept: &Connection, new: &Connection) -> bool {
    let host_kept = |host: &writ_model::ConnectionHost| {
        kept.hosts.iter().any(|known| {
            (&known.host, known.port) == (&host.host, host.port)
                && (known.plaintext || !host.plaintext)
        })
    };
    let range_kept = |range: &Cidr| kept.allow_cidrs.iter().any(|known| lies_in(range, known));
    kept.secret != new.secret
        || kept.kind != new.kind
        || !new.hosts.iter().all(host_kept)
        || !new.allow_cidrs.iter().all(range_kept)
}

/// Whether every address of one IPv4 range is in another.
fn lies_in(inner: &Cidr, outer: &Cidr) -> bool {
    let Some(((inner, inner_bits), (outer, outer_bits))) = v4(inner).zip(v4(outer)) else {
        return inner == outer;
    };
    let kept_bits = |address: u32| u64::from(address) >> (32 - outer_bits);
    outer_bits <= inner_bits && kept_bits(inner) == kept_bits(outer)
}

fn v4(range: &Cidr) -> Option<(u32, u32)> {
    let text = range.to_string();
    let (address, bits) = text.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    Some((address.into(), bits.parse().ok()?))
}
