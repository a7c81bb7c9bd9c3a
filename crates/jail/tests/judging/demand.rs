//! A call that a guardrail demands approval of is made as it was shown to enough people, or not at all,
//! whatever the runner says.

use writ_evidence::{
    approval::{ApprovalDecision, ApprovalSalt, Verdict},
    charter::{
        Automation, Binding, Change, Footprint, PackAcknowledgement, Policy, Scope, Subject,
        Workspace,
    },
    digest::{RunDatum, RunKey, sha256},
    writ::{ConnectionGrant, ConnectionGrantType, Order, run_id},
};
use writ_jail_link::{
    ApprovalState, CallAction, JailReply, JailRequest, OpenRun, ResumeRun, RunKeyText,
};
use writ_model::{Grantee, PinnedAction, PinnedConnection, Role, RunId, RunnerGroupId, StepId};
use zeroize::Zeroizing;

use crate::jail_tenant::{JailTenant, ask, person};

const PACK: &str = include_str!("../../../../packs/slack.json");
const SHOWN: &str = r##"{"channel": "#alerts", "text": "isolated"}"##;
const OTHER: &str = r##"{"channel": "#alerts", "text": "released"}"##;
const GUARDRAIL: &str = "
    forbid (principal, action == Action::\"connection.use\", resource)
    when { context has call && context.call has effect && context.call.effect == \"write\" }
    unless { context.approvals >= 2 };";

fn run_key() -> RunKey {
    RunKey::from_bytes(Zeroizing::new([7; 32]))
}

struct World {
    tenant: JailTenant,
    run: RunId,
}

impl World {
    /// Ann's run of an automation that asks nobody, under the guardrail.
    fn new() -> Self {
        let mut tenant = JailTenant::found();
        let name = "secops".parse().unwrap();
        let secret_paths = vec!["local:slack/*".to_owned()];
        tenant.change(Change::WorkspaceSet(Workspace { name, secret_paths }));
        let connection: writ_model::Connection = serde_json::from_value(serde_json::json!({
            "name": "secops/slack", "kind": "bearer",
            "hosts": [{"host": "slack.example", "port": 443}], "secret": "local:slack/token",
        }))
        .unwrap();
        let digest = sha256(&serde_json::to_vec(&connection).unwrap());
        let pinned = PinnedConnection { name: connection.name.clone(), digest };
        tenant.change(Change::ConnectionSet(connection));
        for sub in ["bob", "cyd", "dee"] {
            let principal = Grantee::Principal(person(sub));
            let binding = Binding { principal, role: Role::Approver, scope: Scope::Tenant };
            tenant.change(Change::BindingAdd(binding));
        }
        let digest = sha256(PACK.as_bytes());
        let (name, version) = ("slack".parse().unwrap(), "1.0.0".to_owned());
        tenant.change(Change::PackAcknowledge(PackAcknowledgement { name, version, digest }));
        let action = PinnedAction { name: "slack.chat.post-message".parse().unwrap(), digest };
        let grants = vec![ConnectionGrant {
            kind: ConnectionGrantType::WritConnection,
            connection: pinned,
            actions: vec![action],
        }];
        let connections = grants.clone();
        tenant.change(Change::AutomationPublish(Automation {
            name: "secops/tell".parse().unwrap(),
            bundle: sha256(b"bundle"),
            footprint: Footprint { connections, code: Vec::new(), approvals: Vec::new() },
        }));
        tenant.change(Change::PolicySet(Policy {
            name: "four-eyes".parse().unwrap(),
            cedar: GUARDRAIL.to_owned(),
        }));
        let login = tenant.log_in("ann");
        let order = Order::RunStart {
            aud: RunnerGroupId::from_bits(1),
            res: "secops/tell".parse().unwrap(),
            cnt: sha256(b"bundle"),
            inp: run_key().digest(RunDatum::Input, b"{}"),
            authorization_details: grants,
            reason: None,
        };
        let writ = tenant.sign(&login, "ann", order);
        let run = run_id(sha256(writ.as_bytes()));
        let open = OpenRun {
            writ,
            idc: login.idc,
            bundle: "bundle".to_owned(),
            run_key: RunKeyText::from(&run_key()),
            input: "{}".to_owned(),
        };
        ask(&mut tenant.jail, JailRequest::OpenRun(Box::new(open))).unwrap();
        Self { tenant, run }
    }

    fn call(&self, parameters: &str, attempt: u32) -> Box<CallAction> {
        Box::new(CallAction {
            run: self.run,
            step: step(),
            attempt,
            action: "slack.chat.post-message".parse().unwrap(),
            connection: "secops/slack".parse().unwrap(),
            parameters: parameters.to_owned(),
            pack: PACK.to_owned(),
        })
    }

    /// Whether the jail would have a cell make the call; its code otherwise.
    fn try_call(&mut self, parameters: &str, attempt: u32) -> Result<(), String> {
        let call = JailRequest::CallAction(self.call(parameters, attempt));
        ask(&mut self.tenant.jail, call).map(drop)
    }

    fn request(&mut self, parameters: &str) -> Result<ApprovalState, String> {
        let call = self.call(parameters, 1);
        let request = JailRequest::RequestCallApproval { call, deadline: None };
        match ask(&mut self.tenant.jail, request)? {
            JailReply::Approval(state) => Ok(*state),
            _ => panic!("another answer"),
        }
    }

    fn approve(&mut self, sub: &str, shown: &str) -> Result<(), String> {
        let login = self.tenant.log_in(sub);
        let order = Order::RunApprove {
            aud: RunnerGroupId::from_bits(1),
            res: self.run,
            step: step(),
            attempt: 1,
            payload: ApprovalSalt::of(&run_key(), &step(), 1).digest(shown),
            decision: ApprovalDecision::Approve,
        };
        let writ = self.tenant.sign(&login, sub, order);
        let approve = ResumeRun { run: self.run, writ, idc: login.idc };
        ask(&mut self.tenant.jail, JailRequest::ApproveRun(Box::new(approve))).map(drop)
    }
}

fn step() -> StepId {
    StepId { task: "/do/0/post".to_owned(), iteration: 0 }
}

#[test]
fn a_demanded_call_is_made_with_the_parameters_that_two_people_saw_or_not_at_all() {
    let mut world = World::new();
    assert_eq!(world.try_call(SHOWN, 1).unwrap_err(), "approval-demanded");
    let state = world.request(SHOWN).unwrap();
    let shown = state.shown.unwrap();
    assert!(shown.contains("isolated") && shown.contains("secops/slack"), "{shown}");
    assert_eq!(world.request(OTHER).err().unwrap(), "approval-changed");

    assert_eq!(world.approve("ann", &shown).unwrap_err(), "approval-self");
    world.approve("bob", &shown).unwrap();
    assert_eq!(world.approve("bob", &shown).unwrap_err(), "approval-twice");
    assert_eq!(world.try_call(SHOWN, 1).unwrap_err(), "approval-demanded", "one of two");
    world.approve("cyd", &shown).unwrap();
    assert_eq!(world.request(SHOWN).unwrap().verdict, Verdict::Approved);

    assert_eq!(world.try_call(OTHER, 1).unwrap_err(), "approval-demanded", "other parameters");
    assert_eq!(world.try_call(SHOWN, 2).unwrap_err(), "approval-demanded", "another attempt");
    world.try_call(SHOWN, 1).unwrap();
    let asked = JailRequest::WasBegun { run: world.run, step: step(), attempt: 1 };
    assert!(matches!(ask(&mut world.tenant.jail, asked), Ok(JailReply::Begun(true))));
}

#[test]
fn an_approval_by_somebody_who_is_suspended_before_the_call_counts_no_more() {
    let mut world = World::new();
    let shown = world.request(SHOWN).unwrap().shown.unwrap();
    world.approve("bob", &shown).unwrap();
    world.approve("cyd", &shown).unwrap();
    world.tenant.change(Change::SubjectSuspend(Subject::User(person("bob"))));

    assert_eq!(world.request(SHOWN).unwrap().verdict, Verdict::Open);
    assert_eq!(world.try_call(SHOWN, 1).unwrap_err(), "approval-demanded");
    world.approve("dee", &shown).unwrap();
    world.try_call(SHOWN, 1).unwrap();
}

#[test]
fn what_no_guardrail_demands_is_not_asked() {
    let mut world = World::new();
    let gone = Policy { name: "four-eyes".parse().unwrap(), cedar: String::new() };
    world.tenant.change(Change::PolicySet(gone));

    assert_eq!(world.request(SHOWN).err().unwrap(), "approval-not-demanded");
    world.try_call(SHOWN, 1).unwrap();
}
