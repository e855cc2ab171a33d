//! One function for each command.

use crate::{
    cli::{Cli, Command},
    config::reference,
    demo, init, serve,
    ui::{self, Outcome},
};

mod approvals;
mod breach;
mod cases;
mod check_config;
mod complaint;
mod decoy;
mod doctor;
mod evidence;
mod explain_policy;
mod follow;
mod gateway;
mod ledger;
mod login;
pub(crate) mod person;
mod policy;

pub(crate) use self::{decoy::CERTAIN, ledger::erase_by as erase};
mod reasons;
mod replay;
mod rules;
mod scim;
mod trace;
mod witness;

pub(crate) fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let config = cli.config.as_path();
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::CheckConfig(args) => check_config::run(config, &args),
        Command::Doctor(args) => doctor::run(config, &args),
        Command::Reasons => reasons::run(config),
        Command::Ask(args) => approvals::ask(config, args),
        Command::Approve(args) => approvals::approve(config, args),
        Command::AskQuery(args) => approvals::ask_query(config, args),
        Command::BreakGlass(args) => approvals::break_glass(config, args),
        Command::Review(args) => approvals::decide(config, "reviewed", args),
        Command::Revoke(args) => approvals::decide(config, "revoked", args),
        Command::Approvals(args) => approvals::list(config, &args),
        Command::Decoy(command) => decoy::run(config, command),
        Command::Complaint(command) => complaint::run(config, command),
        Command::Cases(command) => cases::run(config, command),
        Command::Person(command) => person::run(config, command),
        Command::Login(args) => login::run(args),
        Command::Scim(command) => scim::run(config, command),
        Command::Ledger(command) => ledger::run(config, command),
        Command::Replay(args) => replay::run(config, &args),
        Command::Rules(command) => rules::run(config, &command),
        Command::Suspend(args) => gateway::suspend(config, args),
        Command::Resume(args) => gateway::resume(config, args),
        Command::Erase(args) => ledger::erase(config, args),
        Command::Reload(args) => gateway::reload(config, &args),
        Command::Status(args) => gateway::status(config, &args),
        Command::Show(args) => gateway::show(config, &args),
        Command::ExplainPolicy(args) => explain_policy::run(config, &args),
        Command::Policy(command) => policy::run(config, command),
        Command::ConfigReference => {
            ui::result(reference::markdown().trim_end())?;
            Ok(Outcome::Yes)
        }
        Command::Witness(args) => witness::run(args),
        Command::Follow(args) => follow::run(args),
        Command::Serve(args) => serve::run(config, &args),
        Command::Trace(args) => trace::run(config, &args),
        Command::Breach(command) => breach::run(config, &command),
        Command::Evidence(command) => evidence::run(config, &command),
    }
}
