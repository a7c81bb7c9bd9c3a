//! The jail's conversation: one thread, requests from the runner, outcomes from cells.
//!
//! Runs confined, with three descriptors of its own: the runner's link, the state file, and the
//! launcher, which is asked for cells. It ends when the runner's link closes.
//!
//! Not here: what is decided (`flow`).

use std::{
    fs::File,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::event::{PollFd, PollFlags, poll};
use writ_confine::{Channel, ChannelError};
use writ_jail_link::{
    CellOutcome, CellTask, Envelope, FailedStep, JailReply, JailRequest, LauncherReply,
    LauncherRequest, decode, encode,
};
use writ_model::IsolationReport;

use crate::{
    clock,
    flow::{Handled, Jail, PendingDelivery, PermittedCall, PermittedTest, WantedKeys},
    state::StateFile,
};

/// What a cell is doing, and for which request.
struct InFlight {
    id: u64,
    waiting: Waiting,
    cell: Channel,
}

/// What happens when a cell has answered.
enum Waiting {
    /// Its receipt is written.
    Call(Box<PermittedCall>),
    /// Its receipt is written.
    Test(Box<PermittedTest>),
    /// Its run is opened.
    Delivery(Box<PendingDelivery>),
    /// The request that needed the keys is judged, after as many more issuers were asked at most.
    Keys(WantedKeys, Box<JailRequest>, u8),
}

/// Issuers that are asked for one request: those of two signers.
const ISSUERS_MAX: u8 = 2;

/// Why the conversation ended otherwise than by the runner's leaving.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("a socket failed")]
    Channel(#[from] ChannelError),
    #[error("a message is malformed")]
    Message(#[from] writ_jail_link::MessageError),
    #[error("cannot wait for messages")]
    Poll(#[from] rustix::io::Errno),
    #[error("the launcher has ended")]
    Launcher,
    #[error("cannot start")]
    Start(#[from] crate::flow::StartError),
    #[error("cannot use the state file")]
    State(#[from] crate::state::StateError),
}

/// What the confined process does; its result is the exit code.
#[must_use]
pub fn serve(runner: OwnedFd, state: File, launcher: Channel) -> i32 {
    match try_serve(runner, state, launcher) {
        Ok(()) => 0,
        Err(error) => {
            // Its sources can name a line of the state file, never what is in it.
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                text = format!("{text}: {inner}");
                source = inner.source();
            }
            eprintln!("writ-jail: the jail ends: {text}");
            1
        }
    }
}

fn try_serve(runner: OwnedFd, state: File, launcher: Channel) -> Result<(), Ended> {
    let (report, _) = launcher.receive()?.ok_or(Ended::Launcher)?;
    let report: IsolationReport = decode(&report)?;
    let jail = Jail::start(StateFile::open(state, clock::now())?, report)?;
    let runner = Channel::from_fd(runner)?;
    Conversation { runner, launcher, jail, in_flight: Vec::new() }.run()
}

struct Conversation {
    runner: Channel,
    launcher: Channel,
    jail: Jail,
    in_flight: Vec<InFlight>,
}

impl Conversation {
    fn run(mut self) -> Result<(), Ended> {
        loop {
            let ready = self.wait()?;
            for index in ready.cells.into_iter().rev() {
                let done = self.in_flight.remove(index);
                self.finish(done)?;
            }
            if ready.runner {
                let Some((frame, _)) = self.runner.receive()? else { return Ok(()) };
                self.handle(decode(&frame)?)?;
            }
        }
    }

    fn wait(&self) -> Result<Ready, Ended> {
        let mut sockets = vec![PollFd::from_borrowed_fd(self.runner.as_fd(), PollFlags::IN)];
        sockets.extend(
            self.in_flight
                .iter()
                .map(|call| PollFd::from_borrowed_fd(call.cell.as_fd(), PollFlags::IN)),
        );
        loop {
            match poll(&mut sockets, None) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let is_ready = |socket: &PollFd<'_>| !socket.revents().is_empty();
        let mut sockets = sockets.iter();
        let runner = sockets.next().is_some_and(is_ready);
        let cells = sockets
            .enumerate()
            .filter(|(_, socket)| is_ready(socket))
            .map(|(index, _)| index)
            .collect();
        Ok(Ready { runner, cells })
    }

    fn handle(&mut self, request: Envelope<JailRequest>) -> Result<(), Ended> {
        self.judge_knowing(request.id, request.message, ISSUERS_MAX)
    }

    /// Judges a request once the keys that it needs were asked for.
    fn judge_knowing(&mut self, id: u64, request: JailRequest, more: u8) -> Result<(), Ended> {
        let Some(more) = more.checked_sub(1) else { return self.judge(id, request) };
        let Some(wanted) = self.jail.wanted_keys(&request, clock::now()) else {
            return self.judge(id, request);
        };
        let task = CellTask::IssuerKeys(wanted.order.clone());
        self.ask_cell(id, &task, Waiting::Keys(wanted, Box::new(request), more))
    }

    fn judge(&mut self, id: u64, request: JailRequest) -> Result<(), Ended> {
        let handled = self.jail.handle(request, clock::now());
        self.carry_out(id, handled)
    }

    fn carry_out(&mut self, id: u64, handled: Handled) -> Result<(), Ended> {
        match handled {
            Handled::Reply(reply) => self.reply(id, *reply),
            Handled::Call(call) => {
                let task = call.task.clone();
                self.ask_cell(id, &task, Waiting::Call(call))
            }
            Handled::Test(test) => self.ask_cell(id, &test.task(), Waiting::Test(test)),
            Handled::Webhook(pending) => {
                let task = pending.task.clone();
                self.ask_cell(id, &task, Waiting::Delivery(pending))
            }
        }
    }

    fn ask_cell(&mut self, id: u64, task: &CellTask, waiting: Waiting) -> Result<(), Ended> {
        match self.start_cell(task)? {
            Some(cell) => {
                self.in_flight.push(InFlight { id, waiting, cell });
                Ok(())
            }
            None => self.answer(id, waiting, failed("cell-not-confined")),
        }
    }

    /// Asks the launcher for a cell and gives it its task; `None` if there is none.
    fn start_cell(&self, task: &CellTask) -> Result<Option<Channel>, Ended> {
        self.launcher.send(&encode(&LauncherRequest::SpawnCell)?, None)?;
        let (frame, socket) = self.launcher.receive()?.ok_or(Ended::Launcher)?;
        let (LauncherReply::Started, Some(socket)) = (decode(&frame)?, socket) else {
            return Ok(None);
        };
        let cell = Channel::from_fd(socket)?;
        let sent = cell.send(&encode(task)?, None).is_ok();
        Ok(sent.then_some(cell))
    }

    fn finish(&mut self, done: InFlight) -> Result<(), Ended> {
        // A cell that dies without an outcome may have made its call: that is an outcome too.
        let outcome = match done.cell.receive() {
            Ok(Some((frame, _))) => decode(&frame).unwrap_or_else(|_| failed("cell-malformed")),
            Ok(None) | Err(_) => failed("cell-died"),
        };
        self.answer(done.id, done.waiting, outcome)
    }

    fn answer(&mut self, id: u64, waiting: Waiting, outcome: CellOutcome) -> Result<(), Ended> {
        match waiting {
            Waiting::Call(call) => {
                let reply = self.jail.finish_action(*call, outcome);
                self.reply(id, reply)
            }
            Waiting::Test(test) => {
                let reply = self.jail.finish_test(*test, outcome);
                self.reply(id, reply)
            }
            Waiting::Delivery(pending) => {
                let handled = self.jail.finish_delivery(*pending, outcome);
                self.carry_out(id, handled)
            }
            Waiting::Keys(wanted, request, more) => {
                self.jail.learn_keys(wanted, outcome, clock::now());
                self.judge_knowing(id, *request, more)
            }
        }
    }

    fn reply(&self, id: u64, message: JailReply) -> Result<(), Ended> {
        Ok(self.runner.send(&encode(&Envelope { id, message })?, None)?)
    }
}

struct Ready {
    runner: bool,
    cells: Vec<usize>,
}

fn failed(code: &str) -> CellOutcome {
    CellOutcome::Failed(FailedStep {
        code: code.to_owned(),
        status: None,
        retry_after_s: None,
        about: None,
    })
}
