//! What can be asked about leaked records: where they came from, and what others can check of it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use postern_model::Timestamp;

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Traces a list and writes a file that can be checked without Postern. It is recorded.
    Export(ExportArgs),
    /// Takes the customers' names out of such a file; it can be checked as before. Needs no ledger.
    Redact(RedactArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RedactArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// A customer whose name stays in the proofs; may be given again.
    #[arg(long, value_name = "CUSTOMER")]
    pub(crate) keep: Vec<String>,
    /// Where to write the redacted file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The leaked records, as CSV with a header naming any of subject, name, email, phone, ticket.
    #[arg(long, value_name = "FILE")]
    pub(crate) leak: PathBuf,
    /// The values that the protected fields had over time, as JSON Lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) values: Option<PathBuf>,
    /// An account that is concerned, besides those that the trace names; may be given again.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Vec<String>,
    /// Only accesses from this moment on, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) since: Option<Timestamp>,
    /// Only accesses before this moment, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) until: Option<Timestamp>,
    /// How many customers there are, if the ledger does not tell of all.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) customers: Option<usize>,
    /// Where to write the file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// One of these is needed where nothing is recorded.
const LISTS: [&str; 3] = ["leak", "complaints", "prepare"];

/// What is known does not come from an index: these choose it.
const KNOWN: [&str; 5] = ["feed", "values", "since", "until", "customers"];

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("list").args(LISTS).multiple(true))]
pub(crate) struct TraceArgs {
    /// The leaked records, as CSV with a header naming any of subject, name, email, phone, ticket.
    /// Without it, and without --complaints, what `postern complaint add` has recorded is traced.
    #[arg(long, value_name = "FILE")]
    pub(crate) leak: Option<PathBuf>,
    /// Weighs what `postern complaint add` has recorded with the list.
    #[arg(long, conflicts_with = "feed")]
    pub(crate) recorded: bool,
    /// Writes the customers who may be called next into this file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub(crate) warn: Option<PathBuf>,
    /// A feed folder to look through, instead of the ledger.
    #[arg(long, value_name = "DIR", requires = "list")]
    pub(crate) feed: Option<PathBuf>,
    /// Complaints of customers about calls, as JSON Lines, to be weighed with the list.
    #[arg(long, value_name = "FILE")]
    pub(crate) complaints: Option<PathBuf>,
    /// The values that the protected fields had over time, as JSON Lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) values: Option<PathBuf>,
    /// Only accesses from this moment on, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) since: Option<Timestamp>,
    /// Only accesses before this moment, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) until: Option<Timestamp>,
    /// How many customers there are, if the feed does not tell of all.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) customers: Option<usize>,
    /// Writes a report into this folder, which is made if need be: text, JSON and plots.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Traces nothing; writes what traces need into this file, which must not be there yet.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["leak", "complaints", "report", "warn"])]
    pub(crate) prepare: Option<PathBuf>,
    /// Traces from such a file, and not from the ledger: it knows what was there when it was
    /// written, and reads what concerns the list alone.
    #[arg(long, value_name = "FILE", conflicts_with_all = KNOWN)]
    #[arg(conflicts_with_all = ["recorded", "prepare"], requires = "list")]
    pub(crate) index: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
