//! What each command does: one file for each noun, one function for each verb.

mod approve;
mod audit;
mod automation;
mod binding;
mod charter;
mod connection;
mod elevation;
pub(crate) mod explain;
mod group;
mod init;
mod issuer;
mod login;
mod pack;
mod policy;
mod role;
mod root;
mod run;
mod secret;
mod service;
mod service_account;
mod sessions;
mod standing;
mod suspend;
mod workspace;

use clap::CommandFactory as _;
use writ_model::RunnerGroupId;

use crate::{
    args::{Args, Command},
    dev,
    failure::Failure,
    place::Place,
    tenant::{Source, Tenant},
};

pub(crate) use init::sign_genesis;
pub(crate) use pack::acknowledge;
pub(crate) use service::{listen, stopped};

/// What every command is given.
pub(crate) struct Context {
    /// Print data as JSON.
    pub(crate) json: bool,
    /// The session's name.
    pub(crate) session: String,
    /// The runner group that orders are for, where it is named.
    pub(crate) runner_group: Option<RunnerGroupId>,
    /// Whether changes of the charter go to the gateways, and what is read comes from there.
    pub(crate) push: bool,
    /// The gateways that are named; the folder's if none is.
    pub(crate) gateways: Vec<String>,
}

impl Context {
    /// The tenant of the current folder, with its charter.
    pub(crate) async fn tenant(&self) -> Result<Tenant, Failure> {
        if self.push { self.tenant_of_gateway().await } else { self.tenant_of_server().await }
    }

    /// As the control plane shows it.
    pub(crate) async fn tenant_of_server(&self) -> Result<Tenant, Failure> {
        self.open(Source::Server).await
    }

    /// As the gateways' runners have it; the control plane is asked for nothing.
    pub(crate) async fn tenant_of_gateway(&self) -> Result<Tenant, Failure> {
        self.open(Source::Gateways).await
    }

    async fn open(&self, source: Source) -> Result<Tenant, Failure> {
        let gateways = self.gateways.clone();
        let tenant = Tenant::open(Place::find()?, &self.session, source, gateways).await?;
        Ok(Tenant { named_group: self.runner_group, ..tenant })
    }
}

/// Runs a command to its end.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let Args { json, session, runner_group, push, gateways, .. } = args;
    let context = Context { json, session, runner_group, push, gateways };
    match args.command {
        Command::Dev(args) => dev::run(args).await,
        Command::Init(args) => init::init(&context, *args).await,
        Command::Join { invitation } => init::join(&invitation),
        Command::Tenant(command) => init::tenant(command),
        Command::Login(args) => login::log_in(&context, &args).await,
        Command::Logout(args) => login::log_out(&context, &args).await,
        Command::Whoami => login::whoami(&context).await,
        Command::Sessions(command) => sessions::run(&context, command).await,
        Command::Issuer(command) => issuer::run(&context, command).await,
        Command::Root(command) => root::root(&context, command).await,
        Command::Witness(command) => root::witness(&context, command).await,
        Command::Runners(command) => root::runners(&context, command).await,
        Command::Group(command) => group::run(&context, command).await,
        Command::Suspend(args) => suspend::suspend(&context, *args).await,
        Command::Restore(args) => suspend::restore(&context, *args).await,
        Command::Workspace(command) => workspace::run(&context, command).await,
        Command::Binding(command) => binding::run(&context, command).await,
        Command::Role(command) => role::run(&context, command).await,
        Command::Policy(command) => policy::run(&context, command).await,
        Command::Elevation(command) => elevation::run(&context, command).await,
        Command::ServiceAccount(command) => service_account::run(&context, command).await,
        Command::Connection(command) => connection::run(&context, command).await,
        Command::Secret(command) => secret::run(command).await,
        Command::Pack(command) => pack::run(&context, command).await,
        Command::Automation(command) => automation::run(&context, command).await,
        Command::Run(command) => run::run(&context, command).await,
        Command::Runs(command) => run::runs(&context, command).await,
        Command::Standing(command) => standing::run(&context, command).await,
        Command::Approve(args) => approve::run(&context, args).await,
        Command::Charter(command) => charter::run(&context, command).await,
        Command::Audit(command) => audit::run(&context, command).await,
        Command::Config(command) => service::config(&context, command),
        Command::Explain { code } => explain::run(code.as_deref()),
        Command::Doctor => service::doctor(&context).await,
        Command::Server(args) => service::server(args).await,
        Command::Gateway(args) => service::gateway(args).await,
        Command::Runner(args) => service::runner(args).await,
        Command::DevIdp(args) => dev::serve_idp(args).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "writ", &mut std::io::stdout());
            Ok(())
        }
    }
}
