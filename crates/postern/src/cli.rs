//! The command line, as it is typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

mod asked;
mod breach;
mod decoys;
mod feed;
mod found;
mod ledger;
mod login;
mod traced;

pub(crate) use self::asked::{
    AccessArgs, ApprovalsArgs, ApproveArgs, AskQueryArgs, BreakGlassArgs, DecideArgs,
};
pub(crate) use self::breach::{
    BreachCommand, BreachDoneArgs, BreachOpenArgs, BreachSnapshotArgs, BreachStatusArgs, Told,
};
pub(crate) use self::decoys::{DecoyCommand, DecoyHitArgs, DecoyPlanArgs, DecoyPlantArgs};
pub(crate) use self::feed::{ScimCommand, ScimTokenArgs};
pub(crate) use self::found::{
    CaseActArgs, CaseCloseArgs, CaseOutcome, CaseShowArgs, CasesCommand, CasesListArgs,
    ComplaintAddArgs, ComplaintCommand, ComplaintKind, ComplaintWithdrawArgs, RulesCommand,
    RulesTestArgs,
};
pub(crate) use self::ledger::{
    AskArgs, BackupArgs, CheckProofArgs, CosignArgs, LedgerCommand, MigrateArgs, MoveSegmentsArgs,
    ProveArgs, PublishArgs, RestoreArgs, SawValueArgs, SeenByArgs, ShowArgs, VerifyArgs,
    WhoSawArgs,
};
pub(crate) use self::login::{LoginArgs, TokenKind};
pub(crate) use self::traced::{EvidenceCommand, ExportArgs, RedactArgs, TraceArgs};
use crate::peer::PeerAt;

/// Guards a PostgreSQL database's customer data against the people who work with it.
#[derive(Debug, Parser)]
#[command(name = "postern", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// The configuration file.
    #[arg(short, long, global = true, value_name = "FILE", default_value = "postern.toml")]
    pub(crate) config: PathBuf,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Guards the database that the configuration names, until it is asked to stop.
    Serve(ServeArgs),
    /// Looks at a database and writes a configuration for it, and a new ledger.
    Init(InitArgs),
    /// Reads the configuration, says what is wrong with it or what it means.
    CheckConfig(CheckConfigArgs),
    /// Looks for ways around the gateway in the database, and says how to close each.
    Doctor(DoctorArgs),
    /// Prints the SQL that has the database tell which reasons have changed, so that not all have
    /// to be read; for psql, as the tables' owner.
    Reasons,
    /// Plays the theft that Postern is built for, on a throw-away PostgreSQL.
    Demo(DemoArgs),
    /// Says who may log in.
    #[command(subcommand)]
    Person(PersonCommand),
    /// Lets a company's directory say who may log in (SCIM; docs/scim.md).
    #[command(subcommand)]
    Scim(ScimCommand),
    /// Logs in at the company's identity provider, and leaves a credential for a while where psql
    /// and other clients find it.
    Login(LoginArgs),
    /// Shuts an account out, at once: cuts its sessions and refuses it from now on.
    Suspend(SuspendArgs),
    /// Lets a suspended account in again.
    Resume(ResumeArgs),
    /// Asks that an account be let in to a customer for a while; somebody else has to approve.
    Ask(AccessArgs),
    /// Asks that the result of a statement may leave to an account, once. The account tries it, and
    /// somebody else approves what it gives (docs/approvals.md).
    AskQuery(AskQueryArgs),
    /// Approves what somebody else has asked for.
    Approve(ApproveArgs),
    /// Lets an account in to a customer at once. It is a finding, and somebody else has to review
    /// it.
    BreakGlass(BreakGlassArgs),
    /// Says that access which somebody else took at once was looked at.
    Review(DecideArgs),
    /// Ends access, or a request for it.
    Revoke(DecideArgs),
    /// Lists what was asked for, approved and taken; with a number, what is to be approved.
    Approvals(ApprovalsArgs),
    /// Takes a customer's name out of the ledger; what was recorded and all proofs stay.
    Erase(EraseArgs),
    /// Has the running gateway read its configuration again: all of it is in force then, or none.
    Reload(JsonArgs),
    /// Says how the running gateway is doing.
    Status(JsonArgs),
    /// Shows the clients of the running gateway, or its connections to the server.
    Show(GatewayShowArgs),
    /// Checks or shows the ledger.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Looks after ledgers on other machines: cosigns what continues what it saw before.
    Witness(WitnessArgs),
    /// Keeps a ledger's second copy, on another machine: nothing is released before it is there.
    Follow(FollowArgs),
    /// Says which account leaked records came from, if any.
    Trace(TraceArgs),
    /// Writes down what customers tell of suspicious calls and letters.
    #[command(subcommand)]
    Complaint(ComplaintCommand),
    /// Plants customers who do not exist, whom nobody has a reason to open.
    #[command(subcommand)]
    Decoy(DecoyCommand),
    /// Makes one file of what a trace rests on, for people who have no ledger.
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Says who was affected by a breach, and who has to be told until when; drafts what to tell.
    #[command(subcommand)]
    Breach(BreachCommand),
    /// Runs the detectors over a feed folder and writes its findings.jsonl.
    Replay(ReplayArgs),
    /// Shows findings under investigation, and what people do with them. Each look is recorded.
    #[command(subcommand)]
    Cases(CasesCommand),
    /// Looks after rules of your own, in Sigma (docs/rules.md).
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Says what would happen to a person's SQL and why; changes nothing.
    ExplainPolicy(ExplainPolicyArgs),
    /// Tries a policy before it is in force.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Prints the reference of the configuration file.
    #[command(hide = true)]
    ConfigReference,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Take the place of the gateway that runs, with the same data folder: it takes no more
    /// connections and ends with its last session, after `drain` at the latest; those who connect
    /// meanwhile wait.
    #[arg(long)]
    pub(crate) take_over: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JsonArgs {
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GatewayShowArgs {
    /// What to show.
    pub(crate) what: Shown,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a running gateway can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shown {
    /// Who is connected, and which process of the server each has at the moment.
    Clients,
    /// The connections to the server that clients share, by core, with what was done with them.
    Pools,
}

#[derive(Debug, Args)]
pub(crate) struct CheckConfigArgs {
    /// Looks at the database too: says which views are refused, and what is masked unexpectedly.
    #[arg(long)]
    pub(crate) database: bool,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Looks with this account, which may see more than the gateway's own, as
    /// postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE. PGPASSWORD is used as for `init`.
    #[arg(long, value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The database, as postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE. Without a password there,
    /// PGPASSWORD is used, or it is asked for if the server wants one.
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: String,
    /// The folder to write to; it is made if need be. Nothing in it is overwritten.
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
    /// A table to protect whatever is found in it, as SCHEMA.TABLE.
    #[arg(long, value_name = "TABLE", requires = "subject")]
    pub(crate) protect: Option<String>,
    /// The column of that table that holds the customer's key.
    #[arg(long, value_name = "COLUMN", requires = "protect")]
    pub(crate) subject: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leaves everything running at the end and prints how to try it.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Prints the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PersonCommand {
    /// Adds a person; asks for the password.
    Add(PersonAddArgs),
    /// Lists who may log in.
    List(JsonArgs),
    /// Ends a person's account: today, or with a day to come.
    End(PersonEndArgs),
    /// Gives a person another role; sessions of the old one are cut.
    Role {
        /// The account's name.
        actor: String,
        /// The role, one of those in the configuration.
        role: String,
    },
    /// Removes a person, who can no longer log in.
    Remove {
        /// The account's name.
        actor: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PersonAddArgs {
    /// The account's name, which is what the person logs in as.
    pub(crate) actor: String,
    /// The role, one of those in the configuration.
    #[arg(long)]
    pub(crate) role: String,
    /// Who employs the person, if it is a contractor.
    #[arg(long)]
    pub(crate) employer: Option<String>,
    /// The last day on which the account works, as YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    pub(crate) ends: Option<String>,
    /// Reads the password from the first line of the standard input.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Gives no password: the person cannot log in, an application names them by a token.
    #[arg(long, conflicts_with = "password_stdin")]
    pub(crate) no_password: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PersonEndArgs {
    /// The account's name.
    pub(crate) actor: String,
    /// The last day on which the account works, as YYYY-MM-DD, instead of yesterday.
    #[arg(long, value_name = "DATE")]
    pub(crate) on: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SuspendArgs {
    /// The account.
    pub(crate) actor: String,
    /// Why; it is recorded.
    #[arg(long)]
    pub(crate) why: String,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// The customer, by the key that the ledger has.
    pub(crate) subject: String,
    /// Why; it is recorded, so it must not name the customer.
    #[arg(long)]
    pub(crate) why: String,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The account.
    pub(crate) actor: String,
}

#[derive(Debug, Args)]
pub(crate) struct WitnessArgs {
    /// The witness's folder: its key and what it has seen. It is made if need be.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The witness's name in its cosignatures, by convention a URL without scheme.
    #[arg(long)]
    pub(crate) name: String,
    /// The address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:7400")]
    pub(crate) listen: std::net::SocketAddr,
    /// A ledger to look after: a copy of its key.pub; may be given again.
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) log: Vec<PathBuf>,
    /// Takes note that a ledger was put back with less than was seen here, and ends: the proof
    /// (`postern ledger prove`) of the entry that says so, which has to name what was seen.
    #[arg(long, value_name = "PROOF")]
    pub(crate) accept_loss: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    /// The copy's folder. It is made if need be.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The ledger to follow: a copy of its key.pub.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: PathBuf,
    /// Where to listen: HOST:PORT, or unix:PATH for a ledger on this machine.
    #[arg(long, value_name = "ADDRESS", value_parser = PeerAt::parse)]
    pub(crate) listen: PeerAt,
    /// The certificate chain that the ledger's side is shown, as a PEM file.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_ca"])]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's private key, as a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The certificates that the ledger's side's certificate must descend from, as a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainPolicyArgs {
    /// The account that would send it.
    #[arg(long = "as", value_name = "ACTOR")]
    pub(crate) actor: String,
    /// The statements; `-` reads them from the standard input.
    pub(crate) sql: String,
    /// Prints what would be sent to the database, too.
    #[arg(long = "sql")]
    pub(crate) rewritten: bool,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Compares what is decided for examples in a file with what is expected there.
    Test(PolicyTestArgs),
    /// Says what another policy would have shown and masked of what is in the ledger.
    Replay(PolicyReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyTestArgs {
    /// The examples: a TOML file with a section `[[case]]` for each.
    pub(crate) file: PathBuf,
    /// Decides by this Cedar policy instead of the one that the configuration names.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyReplayArgs {
    /// The other policy, in Cedar.
    pub(crate) policy: PathBuf,
    /// How many days of the ledger are looked at, up to now.
    #[arg(long, default_value_t = 30)]
    pub(crate) days: u32,
    /// Another ledger than the configuration's.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The feed folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) feed: PathBuf,
    /// Where to write the findings, instead of findings.jsonl in the feed folder.
    #[arg(long, value_name = "FILE", alias = "out")]
    pub(crate) findings: Option<PathBuf>,
}
