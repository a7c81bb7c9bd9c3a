//! The runner's link to its gateway: takes reads, webhooks and pushes, asks the jail, answers.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use writ_api::{
    Client, GatewayHeard, GatewayHello, GatewayReply, GatewayTake, Problem, ReadOutput, ReadWhat,
};
use writ_jail_link::{JailRequest, MayRead};
use writ_model::RunId;

use crate::{jail_client::JailError, push, standing, wiring::Parts};

/// How long to wait after the gateway could not be reached.
const RETRY: Duration = Duration::from_secs(2);

/// Serves the gateway's requests, for ever.
pub(crate) async fn serve(parts: Arc<Parts>, gateway: Arc<Client>) {
    loop {
        if !hello(&parts, &gateway).await {
            tokio::time::sleep(RETRY).await;
            continue;
        }
        while let Ok(taken) = gateway.post::<_, GatewayTake>("/link/take", &json!({})).await {
            for delivery in taken.deliveries {
                let (parts, gateway) = (Arc::clone(&parts), Arc::clone(&gateway));
                tokio::spawn(async move {
                    let id = delivery.id;
                    let result = standing::deliver(&parts, delivery).await;
                    reply(&gateway, GatewayReply { id, result }).await;
                });
            }
            for pushed in taken.pushes {
                let (parts, gateway) = (Arc::clone(&parts), Arc::clone(&gateway));
                tokio::spawn(async move {
                    let result = push::take(&parts, pushed.pushed).await;
                    reply(&gateway, GatewayReply { id: pushed.id, result }).await;
                });
            }
            for read in taken.charter_reads {
                let (parts, gateway) = (Arc::clone(&parts), Arc::clone(&gateway));
                tokio::spawn(async move {
                    let id = read.id;
                    let result = push::read(&parts, read).await;
                    reply(&gateway, GatewayReply { id, result }).await;
                });
            }
            for read in taken.reads {
                let (parts, gateway) = (Arc::clone(&parts), Arc::clone(&gateway));
                tokio::spawn(async move {
                    let answered = GatewayReply { id: read.id, result: answer(&parts, read).await };
                    reply(&gateway, answered).await;
                });
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Brings the gateway what it lacks of the charter; whether it has all of it then.
async fn hello(parts: &Parts, gateway: &Client) -> bool {
    let mut next = 0;
    loop {
        let Ok(entries) = parts.charter.page(next) else { return false };
        let Some(newest) = parts.charter.state().map(|state| state.seq()) else { return false };
        let brought = next + entries.len() as u64;
        match gateway.post::<_, GatewayHeard>("/link/hello", &GatewayHello { entries }).await {
            Ok(heard) if heard.next > newest => return true,
            // One that does not go on is no use to anybody.
            Ok(heard) if heard.next > next => next = heard.next,
            // It learns this runner's key from an entry that comes later.
            Err(error) if error.code() == "not-enrolled" && brought <= newest => next = brought,
            Ok(_) | Err(_) => return false,
        }
    }
}

async fn reply(gateway: &Client, reply: GatewayReply) {
    if gateway.post_only("/link/reply", &reply).await.is_err() {
        tracing::warn!("the gateway took no reply");
    }
}

async fn answer(parts: &Parts, read: ReadOutput) -> Result<String, Problem> {
    let unknown =
        || Problem::new(404, "run-unknown", "there is no such run, or you may not see it");
    let acceptance = parts.engine.acceptance(read.run).ok_or_else(unknown)?;
    let run = read.run;
    let asked = MayRead {
        run,
        acceptance,
        idc: read.idc,
        proof: read.proof,
        method: read.method,
        url: read.url,
    };
    let asked = Box::new(asked);
    let asked = match read.what {
        ReadWhat::Output => JailRequest::MayRead(asked),
        ReadWhat::Approval => JailRequest::MayReadApproval(asked),
    };
    let answered = parts.jail.ask(asked).await;
    parts.news.notify_one();
    match answered {
        Ok(_) => {}
        // To whoever may not see a run, it is not there.
        Err(JailError::Refused(refused)) if refused.code == "run-unknown" => return Err(unknown()),
        Err(JailError::Refused(refused)) => {
            return Err(Problem::new(403, &refused.code, refused.reason));
        }
        Err(error) => return Err(Problem::new(503, "jail-gone", error.to_string())),
    }
    match read.what {
        ReadWhat::Approval => parts.approvals.shown(run),
        ReadWhat::Output => output(parts, run),
    }
}

fn output(parts: &Parts, run: RunId) -> Result<String, Problem> {
    match parts.engine.output(run) {
        Ok(Some(output)) => Ok(output),
        Ok(None) => Err(Problem::new(409, "run-without-output", "the run has no output (yet)")
            .with_remedy("see `writ runs show`")),
        Err(error) => Err(Problem::new(500, "journal", error.to_string())),
    }
}
