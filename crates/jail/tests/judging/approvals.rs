//! Whatever is said to a jail, in whatever order: an approval is that of as many different people as it
//! takes, who may, over what was shown, and never the requester's.
//!
//! A real jail, its state file and real keys; what people said is kept beside it in the plainest form
//! there is, and compared after every word. One in a few words is that the jail is killed.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;
use writ_evidence::{
    approval::{ApprovalDecision, ApprovalGate, ApprovalSalt, Verdict},
    charter::{Automation, Binding, Change, Footprint, PackAcknowledgement, Scope, Workspace},
    digest::{RunDatum, RunKey, sha256},
    idc::UnverifiedIdc,
    writ::{ConnectionGrant, ConnectionGrantType, Order, ResumeDecision, run_id},
};
use writ_jail_link::{
    ApprovalState, CallAction, JailReply, JailRequest, OpenRun, ReopenRun, RequestApproval,
    ResumeRun, RunKeyText,
};
use writ_model::{
    Grantee, KeyedDigest, PinnedAction, PinnedConnection, Role, RunId, RunnerGroupId, StepId,
};
use zeroize::Zeroizing;

use crate::jail_tenant::{JailTenant, ask, person};

const PACK: &str = include_str!("../../../../packs/slack.json");
const PARAMETERS: &str = r##"{"channel": "#alerts", "text": "isolated"}"##;
const TASK: &str = "/do/0/ask";
const QUORUM: usize = 2;
/// Ann orders the run. She, Bob, Cyd and Dee are owners; Eve holds nothing.
const PEOPLE: [&str; 5] = ["ann", "bob", "cyd", "dee", "eve"];

fn step(iteration: u32) -> StepId {
    StepId { task: TASK.to_owned(), iteration }
}

/// A jail, its tenant, and Ann's run.
struct World {
    tenant: JailTenant,
    run: RunId,
    acceptance: String,
}

impl World {
    fn new() -> Self {
        let tenant = JailTenant::found();
        let mut world = Self { tenant, run: RunId::from_bits(0), acceptance: String::new() };
        let grants = world.publish();
        world.start_run(grants);
        world
    }

    /// Publishes an automation whose one action stands behind an approval.
    fn publish(&mut self) -> Vec<ConnectionGrant> {
        let name = "secops".parse().unwrap();
        let paths = vec!["local:slack/*".to_owned()];
        self.tenant.change(Change::WorkspaceSet(Workspace { name, secret_paths: paths }));
        let connection: writ_model::Connection = serde_json::from_value(json!({
            "name": "secops/slack", "kind": "bearer",
            "hosts": [{"host": "slack.example", "port": 443}], "secret": "local:slack/token",
        }))
        .unwrap();
        let pinned = PinnedConnection {
            name: connection.name.clone(),
            digest: sha256(&serde_json::to_vec(&connection).unwrap()),
        };
        // While Ann is the only one who could: with more owners it would take two signers.
        self.tenant.change(Change::ConnectionSet(connection));
        for sub in PEOPLE.iter().take(4).skip(1) {
            let principal = Grantee::Principal(person(sub));
            let binding = Binding { principal, role: Role::Owner, scope: Scope::Tenant };
            self.tenant.change(Change::BindingAdd(binding));
        }
        let digest = sha256(PACK.as_bytes());
        let (name, version) = ("slack".parse().unwrap(), "1.0.0".to_owned());
        self.tenant.change(Change::PackAcknowledge(PackAcknowledgement { name, version, digest }));
        let action = PinnedAction { name: "slack.chat.post-message".parse().unwrap(), digest };
        let grants = vec![ConnectionGrant {
            kind: ConnectionGrantType::WritConnection,
            connection: pinned,
            actions: vec![action],
        }];
        let gate = ApprovalGate { task: TASK.to_owned(), quorum: 2, behind: grants.clone() };
        self.tenant.change(Change::AutomationPublish(Automation {
            name: "secops/tell".parse().unwrap(),
            bundle: sha256(b"bundle"),
            footprint: Footprint {
                connections: grants.clone(),
                code: Vec::new(),
                approvals: vec![gate],
            },
        }));
        grants
    }

    fn start_run(&mut self, grants: Vec<ConnectionGrant>) {
        let login = self.tenant.log_in("ann");
        let order = Order::RunStart {
            aud: RunnerGroupId::from_bits(1),
            res: "secops/tell".parse().unwrap(),
            cnt: sha256(b"bundle"),
            inp: run_key().digest(RunDatum::Input, b"{}"),
            authorization_details: grants,
            reason: None,
        };
        let writ = self.tenant.sign(&login, "ann", order);
        self.run = run_id(sha256(writ.as_bytes()));
        let open = OpenRun {
            writ,
            idc: login.idc,
            bundle: "bundle".to_owned(),
            run_key: RunKeyText::from(&run_key()),
            input: "{}".to_owned(),
        };
        let opened = ask(&mut self.tenant.jail, JailRequest::OpenRun(Box::new(open)));
        let Ok(JailReply::Opened { acceptance, .. }) = opened else { panic!("not accepted") };
        self.acceptance = acceptance;
    }

    /// The jail dies, and its next life takes the run up.
    fn restart(&mut self) {
        self.tenant.restart();
        let (acceptance, run_key) = (self.acceptance.clone(), RunKeyText::from(&run_key()));
        let reopen = ReopenRun { acceptance, run_key };
        ask(&mut self.tenant.jail, JailRequest::ReopenRun(Box::new(reopen))).unwrap();
    }

    fn request(&mut self, iteration: u32, shown: &str) -> Result<ApprovalState, String> {
        let (run, step, shown) = (self.run, step(iteration), shown.to_owned());
        let request = RequestApproval { run, step, attempt: 1, shown, deadline: None };
        match ask(&mut self.tenant.jail, JailRequest::RequestApproval(Box::new(request)))? {
            JailReply::Approval(state) => Ok(*state),
            _ => panic!("another answer"),
        }
    }

    fn tell(&mut self, writ: String, idc: UnverifiedIdc, resume: bool) -> Result<(), String> {
        let order = Box::new(ResumeRun { run: self.run, writ, idc });
        let request =
            if resume { JailRequest::ResumeRun(order) } else { JailRequest::ApproveRun(order) };
        ask(&mut self.tenant.jail, request).map(drop)
    }

    /// Whether the action would be called; a jail that asks for a cell has permitted it.
    fn call(&mut self, attempt: u32) -> Result<(), String> {
        let call = CallAction {
            run: self.run,
            step: StepId { task: "/do/1/post".to_owned(), iteration: 0 },
            attempt,
            action: "slack.chat.post-message".parse().unwrap(),
            connection: "secops/slack".parse().unwrap(),
            parameters: PARAMETERS.to_owned(),
            pack: PACK.to_owned(),
        };
        ask(&mut self.tenant.jail, JailRequest::CallAction(Box::new(call))).map(drop)
    }
}

fn run_key() -> RunKey {
    RunKey::from_bytes(Zeroizing::new([9; 32]))
}

fn payload(iteration: u32, shown: &str) -> KeyedDigest {
    ApprovalSalt::of(&run_key(), &step(iteration), 1).digest(shown)
}

/// One thing that is said to the jail.
#[derive(Debug, Clone)]
enum Word {
    Ask {
        iteration: u32,
        shown: &'static str,
    },
    Answer {
        who: usize,
        iteration: u32,
        shown: &'static str,
        approve: bool,
    },
    /// A writ of before, once more, to either door.
    Again {
        which: prop::sample::Index,
        resume: bool,
    },
    /// Another kind of order about the step that asks.
    Resume {
        who: usize,
        iteration: u32,
    },
    Restart,
}

fn word() -> impl Strategy<Value = Word> {
    let shown = prop::sample::select(&["isolate web-17", "isolate db-1"][..]);
    let iteration = 0_u32..2;
    prop_oneof![
        3 => (iteration.clone(), shown.clone()).prop_map(|(iteration, shown)| Word::Ask { iteration, shown }),
        10 => (0..PEOPLE.len(), iteration.clone(), shown, prop::bool::weighted(0.9)).prop_map(
            |(who, iteration, shown, approve)| Word::Answer { who, iteration, shown, approve }),
        2 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, resume)| Word::Again { which, resume }),
        1 => (0..PEOPLE.len(), iteration)
            .prop_map(|(who, iteration)| Word::Resume { who, iteration }),
        1 => Just(Word::Restart),
    ]
}

/// What people have said, in the plainest form.
#[derive(Default)]
struct Plain {
    shown: Option<&'static str>,
    approved: BTreeSet<usize>,
    rejected: bool,
}

impl Plain {
    fn verdict(&self) -> Verdict {
        match (self.rejected, self.approved.len() >= QUORUM) {
            (true, _) => Verdict::Rejected,
            (false, true) => Verdict::Approved,
            (false, false) => Verdict::Open,
        }
    }

    /// Takes an answer, if it counts.
    fn answer(&mut self, who: usize, shown: &str, approve: bool) -> bool {
        let may = (1..4).contains(&who) && self.shown == Some(shown);
        let counts =
            may && self.verdict() == Verdict::Open && !(approve && self.approved.contains(&who));
        if counts && approve {
            self.approved.insert(who);
        }
        self.rejected |= counts && !approve;
        counts
    }
}

/// An answer that was given.
struct Said {
    writ: String,
    idc: UnverifiedIdc,
    who: usize,
    iteration: u32,
    shown: &'static str,
    approve: bool,
    counted: bool,
}

/// Whether the jail says of each asking what people have said.
fn agrees(world: &mut World, plain: &[Plain]) -> Result<(), TestCaseError> {
    for (iteration, plain) in (0..).zip(plain) {
        let Some(shown) = plain.shown else { continue };
        let state = world.request(iteration, shown).unwrap();
        prop_assert_eq!(state.verdict, plain.verdict());
        for answer in &state.answers {
            prop_assert!(answer.principal != person("ann") && answer.principal != person("eve"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_words_makes_an_approval_that_people_did_not_give(
        words in prop::collection::vec(word(), 1..24)
    ) {
        let mut world = World::new();
        let mut plain = [Plain::default(), Plain::default()];
        let mut said: Vec<Said> = Vec::new();
        for (number, word) in words.into_iter().enumerate() {
            match word {
                Word::Ask { iteration, shown } => {
                    let known = &mut plain[iteration as usize].shown;
                    let first = *known.get_or_insert(shown);
                    prop_assert_eq!(world.request(iteration, shown).is_ok(), first == shown);
                }
                Word::Answer { who, iteration, shown, approve } => {
                    let login = world.tenant.log_in(PEOPLE[who]);
                    let decision = if approve { ApprovalDecision::Approve } else { ApprovalDecision::Reject };
                    let order = Order::RunApprove {
                        aud: RunnerGroupId::from_bits(1), res: world.run, step: step(iteration),
                        attempt: 1, payload: payload(iteration, shown), decision,
                    };
                    let writ = world.tenant.sign(&login, PEOPLE[who], order);
                    let counted = world.tell(writ.clone(), login.idc.clone(), false);
                    prop_assert_eq!(counted.is_ok(), plain[iteration as usize].answer(who, shown, approve));
                    if who == 0 {
                        let codes = ["approval-self", "approval-unknown", "approval-payload"];
                        let code = counted.clone().unwrap_err();
                        prop_assert!(codes.contains(&code.as_str()), "{}", code);
                    }
                    let (idc, counted) = (login.idc, counted.is_ok());
                    said.push(Said { writ, idc, who, iteration, shown, approve, counted });
                }
                Word::Again { which, resume } if !said.is_empty() => {
                    let at = which.index(said.len());
                    let known = &mut said[at];
                    let told = world.tell(known.writ.clone(), known.idc.clone(), resume).is_ok();
                    // What counted is answered as it was, and does not count again. What was refused
                    // is judged anew. Both at their own door only: at another, a receipt would be taken for
                    // the answer to an order that nobody gave.
                    if !known.counted && !resume {
                        known.counted = plain[known.iteration as usize]
                            .answer(known.who, known.shown, known.approve);
                    }
                    prop_assert_eq!(told, known.counted && !resume);
                }
                Word::Again { .. } => {}
                Word::Resume { who, iteration } => {
                    let login = world.tenant.log_in(PEOPLE[who]);
                    let order = Order::RunResume {
                        aud: RunnerGroupId::from_bits(1), res: world.run, step: step(iteration),
                        attempt: 1, decision: ResumeDecision::Retry,
                    };
                    let writ = world.tenant.sign(&login, PEOPLE[who], order);
                    let refused = world.tell(writ.clone(), login.idc.clone(), false);
                    prop_assert_eq!(refused, Err("writ-operation".to_owned()));
                    let _ = world.tell(writ, login.idc, true);
                }
                Word::Restart => world.restart(),
            }
            agrees(&mut world, &plain)?;
            let newest = plain.iter().rev().find(|plain| plain.shown.is_some());
            let approved = newest.is_some_and(|plain| plain.verdict() == Verdict::Approved);
            let called = world.call(u32::try_from(number).unwrap() + 1);
            prop_assert_eq!(&called, &if approved { Ok(()) } else { Err("approval-missing".to_owned()) });
        }
    }
}
