//! What can be asked about findings: rules that raise them, cases that they become, and what
//! customers tell.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use postern_model::Timestamp;

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Gives the rules the examples beside them (*.test.toml), and says which they judge wrongly.
    Test(RulesTestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RulesTestArgs {
    /// The folder, instead of the one that the configuration names.
    pub(crate) dir: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CasesCommand {
    /// Lists the cases that are not closed.
    List(CasesListArgs),
    /// Shows one with its causes, its evidence, and how it stands among peers.
    Show(CaseShowArgs),
    /// Begins to look at it, or judges it suspicious.
    Review(CaseReviewArgs),
    /// Closes it: whether there was a good reason is told to the detectors.
    Close(CaseCloseArgs),
    /// Opens it again; what its end told the detectors is void.
    Reopen(CaseActArgs),
    /// Asks that its accounts be named, or agrees to it as the second person.
    Reveal(CaseActArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CasesListArgs {
    /// Also those that are closed, and findings that did not reach the bar.
    #[arg(long)]
    pub(crate) all: bool,
    /// Prints one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CaseShowArgs {
    /// The case's number.
    pub(crate) number: u64,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CaseActArgs {
    /// The case's number.
    pub(crate) number: u64,
    /// Why; it is recorded.
    #[arg(long)]
    pub(crate) why: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CaseReviewArgs {
    #[command(flatten)]
    pub(crate) act: CaseActArgs,
    /// You judge it suspicious, not merely unexplained.
    #[arg(long)]
    pub(crate) suspicious: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CaseCloseArgs {
    #[command(flatten)]
    pub(crate) act: CaseActArgs,
    /// What was found out.
    #[arg(long = "as", value_name = "OUTCOME")]
    pub(crate) outcome: CaseOutcome,
}

/// What an investigation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CaseOutcome {
    /// There was a good reason. Its causes count less for accounts of the same roles.
    Benign,
    /// There was none.
    Misuse,
    /// It could not be found out.
    Unclear,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComplaintCommand {
    /// Records that a customer was contacted by somebody who should not know of them.
    Add(ComplaintAddArgs),
    /// Takes back what was recorded of a customer; the entries stay, and are weighed no more.
    Withdraw(ComplaintWithdrawArgs),
    /// Lists what is weighed: one complaint of each customer.
    List(crate::cli::JsonArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ComplaintAddArgs {
    /// The customer, by the key in the database.
    pub(crate) subject: String,
    /// When they were contacted, as RFC 3339, instead of now.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) at: Option<Timestamp>,
    /// Who called or wrote, as the customer tells: a number, or whom they claimed to be. It is
    /// recorded, so it must not say more of the customer than has to be.
    #[arg(long, value_name = "TEXT")]
    pub(crate) caller: String,
    /// What it was.
    #[arg(long, value_enum, default_value = "scam-call")]
    pub(crate) kind: ComplaintKind,
    /// What the caller knew: name, email, phone, ticket; separated by commas.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
    /// Record it although the ledger names no such customer.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ComplaintKind {
    ScamCall,
    Phishing,
    Other,
}

#[derive(Debug, Args)]
pub(crate) struct ComplaintWithdrawArgs {
    /// The customer, by the key in the database.
    pub(crate) subject: String,
    /// Why; it is recorded.
    #[arg(long)]
    pub(crate) why: String,
}
