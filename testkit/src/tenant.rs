//! A tenant in memory: real keys, real logins, real signatures; no process. For tests of the
//! charter and of policy.

use anyhow::{Result, bail};
use aws_lc_rs::rand::SystemRandom;
use serde_json::json;
use writ_evidence::{
    charter::{
        self, Change, CharterState, EntryBody, Genesis, MayAppend, NotPermitted, RunnerEnrollment,
        SignedWrit, UnverifiedEntry, sign_root,
    },
    digest::sha256,
    issuer::{FetchedKeys, IdTokenAlgorithm, Issuer, IssuerClient, IssuerKey, TokenKeys},
    jws::{self, HeaderExtra, ObjectType},
    key::SigningKey,
    seal::SealingPrivateKey,
    writ::{self, Operation, Order, WritClaims},
};
use writ_model::{Actor, Principal, RunnerGroupId, RunnerId, TenantId, UnixTime};

use crate::keys::{Login, new_issuer_key, new_key, vouch};

/// The issuer of every login here.
pub const ISSUER: &str = "https://idp.example";
/// When everything happens, unless said otherwise.
pub const NOON: UnixTime = UnixTime(1_764_000_000);

/// Permits every change, for tests that are not about who may.
#[derive(Debug, Clone, Copy)]
pub struct Anybody;

impl MayAppend for Anybody {
    fn may_append(&self, _: &CharterState, _: Actor<'_>, _: &Change) -> Result<(), NotPermitted> {
        Ok(())
    }
}

/// A tenant's keys, entries and state.
pub struct Tenant {
    /// The root keys that sign root-class changes.
    pub roots: Vec<SigningKey>,
    /// The keys of the jails that cosign candidates.
    pub witnesses: Vec<SigningKey>,
    issuer: SigningKey,
    /// Keys that the witness has fetched from issuers.
    pub keys: FetchedKeys,
    /// Every entry, from entry 0.
    pub entries: Vec<UnverifiedEntry>,
    /// Their fold.
    pub state: CharterState,
}

impl Tenant {
    /// A tenant whose one owner is `owner`.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn found() -> Result<Self> {
        let (root, jail, issuer) = (new_key()?, new_key()?, new_issuer_key()?);
        let operations = vec![Operation::RunStart, Operation::RunApprove, Operation::CharterAppend];
        let genesis = Genesis {
            roots: vec![root.public().clone()],
            threshold: 1,
            issuers: vec![Issuer {
                keys: vec![IssuerKey {
                    kid: issuer.public().thumbprint().to_string(),
                    jwk: issuer.public().clone().into(),
                }],
                groups_claim: Some("groups".to_owned()),
                ..Issuer::new(
                    ISSUER,
                    vec![IdTokenAlgorithm::Es256, IdTokenAlgorithm::EdDsa],
                    vec![IssuerClient::new("writ-cli", operations)],
                )
            }],
            owners: vec![Principal { iss: ISSUER.to_owned(), sub: "owner".to_owned() }],
            runner: RunnerEnrollment {
                id: RunnerId::from_bits(1),
                group: RunnerGroupId::from_bits(1),
                jail_key: jail.public().clone(),
                link_key: new_key()?.public().clone(),
                sealing_key: SealingPrivateKey::from_bytes(&[1; 32]).public(),
            },
        };
        let body = EntryBody { seq: 0, prev: None, change: Change::Genesis(genesis) };
        let body = serde_json::to_string(&body)?;
        let signatures = vec![sign_root(&body, &root, &SystemRandom::new())?];
        let entry = UnverifiedEntry::Roots { body, signatures };
        let state = CharterState::found(&entry, TenantId(entry.digest()))?;
        Ok(Self {
            roots: vec![root],
            witnesses: vec![jail],
            issuer,
            keys: FetchedKeys::default(),
            entries: vec![entry],
            state,
        })
    }

    /// A login at this time.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn log_in(&self, subject: &str, at: UnixTime) -> Result<Login> {
        vouch(&self.issuer, &self.issuer, |nonce| {
            json!({
                "iss": ISSUER, "sub": subject, "aud": "writ-cli", "nonce": nonce,
                "iat": at, "exp": at.plus(3600),
            })
        })
    }

    /// A login whose ID token holds these claims, made from the nonce.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn log_in_with(&self, claims: impl FnOnce(String) -> serde_json::Value) -> Result<Login> {
        vouch(&self.issuer, &self.issuer, claims)
    }

    /// An ID token of the tenant's issuer with these claims, bound to no key.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn id_token(&self, claims: &serde_json::Value) -> Result<String> {
        let kid = Some(self.issuer.public().thumbprint().to_string());
        let extra = HeaderExtra { kid, ..HeaderExtra::default() };
        let payload = claims.to_string();
        let random = SystemRandom::new();
        Ok(jws::sign(&self.issuer, &random, ObjectType::IdToken, extra, payload.as_bytes())?)
    }

    /// An entry that the root keys signed, as the next one.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn root_entry(&self, change: Change) -> Result<UnverifiedEntry> {
        let body = EntryBody { seq: self.state.seq() + 1, prev: Some(self.state.head()), change };
        let body = serde_json::to_string(&body)?;
        let random = SystemRandom::new();
        let signatures = self
            .roots
            .iter()
            .map(|root| sign_root(&body, root, &random))
            .collect::<Result<_, _>>()?;
        Ok(UnverifiedEntry::Roots { body, signatures })
    }

    /// Makes a root-class change.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn root_change(&mut self, change: Change) -> Result<()> {
        let entry = self.root_entry(change)?;
        self.state.append(&entry, &Anybody)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Signs a change as a candidate for the next entry.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn candidate(
        &self,
        login: &Login,
        change: Change,
        at: UnixTime,
    ) -> Result<UnverifiedEntry> {
        let body = EntryBody { seq: self.state.seq() + 1, prev: Some(self.state.head()), change };
        let body = serde_json::to_string(&body)?;
        let writ = self.writ_over(&body, login, at)?;
        let (idc, others, cosignatures) = (login.idc.clone(), Vec::new(), Vec::new());
        Ok(UnverifiedEntry::Writ { body, writ, idc, others, cosignatures })
    }

    /// Adds a second signer's writ to a candidate.
    ///
    /// # Errors
    ///
    /// The random source failed, or root keys signed the entry.
    pub fn sign_too(&self, entry: &mut UnverifiedEntry, login: &Login, at: UnixTime) -> Result<()> {
        let UnverifiedEntry::Writ { body, others, .. } = entry else {
            bail!("root keys signed it")
        };
        let writ = self.writ_over(body, login, at)?;
        others.push(SignedWrit { writ, idc: login.idc.clone() });
        Ok(())
    }

    fn writ_over(&self, body: &str, login: &Login, at: UnixTime) -> Result<String> {
        let idc = self.state.verify_idc(&login.idc, TokenKeys::Fetched(&self.keys), at)?;
        let claims = WritClaims {
            ten: self.state.ten(),
            principal: idc.principal().clone(),
            idc: idc.digest(),
            jti: format!("jti-of-entry-{:020}", self.state.seq() + 1),
            iat: at,
            exp: at.plus(120),
            charter: self.state.head(),
            order: Order::CharterAppend { cnt: sha256(body.as_bytes()) },
        };
        Ok(writ::sign(&claims, &login.key, &SystemRandom::new())?)
    }

    /// Judges a candidate as the witnesses, cosigns it by each and folds it.
    ///
    /// # Errors
    ///
    /// The candidate is refused.
    pub fn admit(
        &mut self,
        mut candidate: UnverifiedEntry,
        at: UnixTime,
        may: &impl MayAppend,
    ) -> Result<()> {
        let claims = self.state.admit(&candidate, &self.keys, at, may)?;
        for witness in &self.witnesses {
            let cosignature = charter::sign_cosignature(&claims, witness, &SystemRandom::new())?;
            if let UnverifiedEntry::Writ { cosignatures, .. } = &mut candidate {
                cosignatures.push(cosignature);
            }
        }
        self.state.append(&candidate, may)?;
        self.entries.push(candidate);
        Ok(())
    }

    /// Makes a change as somebody, at noon.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn change(&mut self, subject: &str, change: Change, may: &impl MayAppend) -> Result<()> {
        let login = self.log_in(subject, NOON)?;
        let candidate = self.candidate(&login, change, NOON)?;
        self.admit(candidate, NOON, may)
    }

    /// Folds entries from nothing.
    ///
    /// # Errors
    ///
    /// They do not fold.
    pub fn fold(
        entries: &[UnverifiedEntry],
        ten: TenantId,
        may: &impl MayAppend,
    ) -> Result<CharterState> {
        let (first, rest) =
            entries.split_first().ok_or_else(|| anyhow::anyhow!("there are no entries"))?;
        let mut state = CharterState::found(first, ten)?;
        for entry in rest {
            state.append(entry, may)?;
        }
        Ok(state)
    }
}
