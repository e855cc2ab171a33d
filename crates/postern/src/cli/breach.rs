//! What can be asked of the breach workbench.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use postern_model::Timestamp;
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub(crate) enum BreachCommand {
    /// Finds out who was affected, and writes what has to be told to whom until when into a folder.
    /// It is recorded.
    Open(BreachOpenArgs),
    /// Notes that somebody was told.
    Done(BreachDoneArgs),
    /// Says what has been done, and what until when has to be.
    Status(BreachStatusArgs),
    /// Packs the folder as it stands into one file, signed with the ledger's key.
    Snapshot(BreachSnapshotArgs),
}

/// One of these, or both, say what the breach is.
const NEEDED: [&str; 2] = ["leak", "account"];

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("needed").args(NEEDED).multiple(true).required(true))]
pub(crate) struct BreachOpenArgs {
    /// An account through which data was taken; may be given again. Whom it was shown may be
    /// affected.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Vec<String>,
    /// Records that turned up, as CSV with a header naming any of subject, name, email, phone,
    /// ticket. Whoever is in it is affected.
    #[arg(long, value_name = "FILE")]
    pub(crate) leak: Option<PathBuf>,
    /// The values that the protected fields had over time, as JSON Lines, to know the list by.
    #[arg(long, value_name = "FILE", requires = "leak")]
    pub(crate) values: Option<PathBuf>,
    /// Customers as CSV with the columns subject, jurisdiction and locale, as in `DE` or `US-CA`
    /// and `de`; other columns go into the list for the letters as they are.
    #[arg(long, value_name = "FILE")]
    pub(crate) customers: Option<PathBuf>,
    /// Only what was shown from this moment on, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) since: Option<Timestamp>,
    /// Only what was shown before this moment, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) until: Option<Timestamp>,
    /// When you became aware of it, as RFC 3339; deadlines run from then. Without it: now.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) aware: Option<Timestamp>,
    /// Deadlines of your own, in the form of docs/breach.md, instead of those that come with
    /// Postern.
    #[arg(long, value_name = "FILE")]
    pub(crate) deadlines: Option<PathBuf>,
    /// The folder to write, which must not be there yet.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BreachDoneArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Who was told.
    pub(crate) told: Told,
    /// By which rules: a name in deadlines.csv, such as `EU`.
    #[arg(value_name = "RULES")]
    pub(crate) rules: String,
    /// How many persons, if not all of them yet.
    #[arg(long, value_name = "NUMBER", requires = "told")]
    pub(crate) persons: Option<u64>,
    /// What is worth knowing of it, such as a reference number.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) note: String,
}

/// Who has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Told {
    Authority,
    Persons,
}

#[derive(Debug, Args)]
pub(crate) struct BreachStatusArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BreachSnapshotArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Where to write the file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}
