//! What can be asked about findings: rules that raise them, and cases that they become.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
