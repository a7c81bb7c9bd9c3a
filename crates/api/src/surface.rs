//! Every operation that anybody can ask for, by the origin that serves it.
//!
//! Services build their routers from these lists and nothing else, so that what is reached is what is
//! listed: `testkit/tests/surface.rs` asks for each as somebody who may and as those who may not.
//!
//! Not here: who may; each handler asks, and the test says what must come of it.

/// How an operation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
}

/// Writes an enumeration of operations with its list, so that neither can lack one of the other's.
macro_rules! operations {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $operation:ident: $verb:ident $path:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $operation,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$operation),*];

            /// The path, with `{names}` of its parts.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self {
                    $(Self::$operation => $path,)*
                }
            }

            /// The method.
            #[must_use]
            pub const fn verb(self) -> Verb {
                match self {
                    $(Self::$operation => Verb::$verb,)*
                }
            }
        }
    };
}

operations! {
    /// What the control plane serves.
    ServerOperation {
        /// Whether it serves.
        Health: Get "/healthz",
        /// Entries of the charter.
        ReadCharter: Get "/v1/tenants/{ten}/charter",
        /// A change of the charter.
        AppendCharter: Post "/v1/tenants/{ten}/charter",
        /// A bundle or a pack, by digest.
        PutContent: Put "/v1/tenants/{ten}/content/{digest}",
        /// Runs that the caller may see.
        ListRuns: Get "/v1/tenants/{ten}/runs",
        /// An order to start a run.
        StartRun: Post "/v1/tenants/{ten}/runs",
        /// One run.
        ReadRun: Get "/v1/tenants/{ten}/runs/{run}",
        /// An order about a suspended run.
        ResumeRun: Post "/v1/tenants/{ten}/runs/{run}/resume",
        /// An order to cancel a run.
        CancelRun: Post "/v1/tenants/{ten}/runs/{run}/cancel",
        /// An answer to what a run asks people to approve.
        ApproveRun: Post "/v1/tenants/{ten}/runs/{run}/approve",
        /// What waits for the caller's approval.
        ListApprovals: Get "/v1/tenants/{ten}/approvals",
        /// An order to test a connection.
        TestConnection: Post "/v1/tenants/{ten}/connections/test",
        /// What came of a test, by its writ.
        ReadConnectionTest: Get "/v1/tenants/{ten}/connections/tests/{writ}",
        /// Sessions that were seen here.
        ListSessions: Get "/v1/tenants/{ten}/sessions",
        /// An order to revoke a session.
        RevokeSession: Post "/v1/tenants/{ten}/sessions/revoke",
        /// Records of the audit log.
        ReadAudit: Get "/v1/tenants/{ten}/audit",
        /// A runner's tasks.
        RunnerTake: Post "/v1/tenants/{ten}/runner/take",
        /// A runner's reports.
        RunnerReport: Post "/v1/tenants/{ten}/runner/report",
        /// Content for a runner.
        RunnerContent: Get "/v1/tenants/{ten}/runner/content/{digest}",
    }
}

operations! {
    /// What the gateway serves on its second origin, to readers, to those who push entries of the charter, and to
    /// senders of webhooks.
    GatewayOperation {
        /// Whether it serves.
        Health: Get "/healthz",
        /// A run's output.
        ReadOutput: Get "/v1/runs/{run}/output",
        /// What a run asks people to approve.
        ReadApproval: Get "/v1/runs/{run}/approval",
        /// The charter as the runner has it.
        ReadCharter: Get "/v1/charter",
        /// Entries of the charter, or a candidate; their own signatures say whether they count.
        PushCharter: Post "/v1/charter",
        /// A webhook's delivery, by whoever sends it; its own signature says whether it counts.
        TakeWebhook: Post "/hooks/{path}",
    }
}

operations! {
    /// What the gateway serves to its runner.
    LinkOperation {
        /// The runner brings the charter.
        Hello: Post "/link/hello",
        /// Reads for the runner.
        Take: Post "/link/take",
        /// A runner's answer to a read.
        Reply: Post "/link/reply",
    }
}
