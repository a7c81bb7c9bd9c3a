//! The runner's end of launcher B: one order, one report, as many side by side as there are.

use std::{
    os::fd::AsFd as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use writ_confine::{Channel, ChannelError};
use writ_jail_link::{SandboxFailure, SandboxOrder, SandboxReport, decode, encode};

/// How much longer than its own limit a sandbox may take to be set up and reported on.
const GRACE: Duration = Duration::from_secs(20);

/// Launcher B, as the runner knows it.
pub(crate) struct SandboxClient {
    orders: Mutex<Channel>,
}

impl SandboxClient {
    pub(crate) const fn new(orders: Channel) -> Self {
        Self { orders: Mutex::new(orders) }
    }

    /// Runs code in a sandbox of its own; `None` if the launcher has ended, so that nobody knows how
    /// the code did. Call it off the async workers: it blocks.
    pub(crate) fn run(&self, order: &SandboxOrder) -> Option<SandboxReport> {
        let (here, there) = Channel::pair().ok()?;
        let patience = Duration::from_secs(u64::from(order.limit_wall_s)) + GRACE;
        here.set_timeout(Some(patience)).ok()?;
        let frame = encode(order).ok()?;
        {
            let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            let there = there.into_fd();
            orders.send(&frame, Some(there.as_fd())).ok()?;
        }
        match here.receive() {
            Ok(Some((frame, _))) => decode(&frame).ok(),
            Err(ChannelError::TimedOut) => Some(SandboxReport {
                result: Err(SandboxFailure::NotConfined { measure: "sandbox-launcher".to_owned() }),
                log: String::new(),
            }),
            Ok(None) | Err(_) => None,
        }
    }
}
