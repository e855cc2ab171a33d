//! What somebody asks another person to approve, and what becomes of it.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::config::duration;

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// The account that is let in.
    pub(crate) actor: String,
    /// The customer, by the key in the database.
    pub(crate) subject: String,
    /// Why; it is recorded, so it must not say more of the customer than has to be.
    #[arg(long)]
    pub(crate) why: String,
    /// How long, as in `30m` or `2h`.
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = lasting)]
    pub(crate) lasts: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct AskQueryArgs {
    /// The account that runs it and gets the result.
    pub(crate) actor: String,
    /// The file with the statement: one SELECT, or COPY (SELECT …) TO STDOUT.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The protected columns that it may show, or that decide what comes, as SCHEMA.TABLE.COLUMN.
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) fields: Vec<String>,
    /// The most rows that may leave.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rows: u64,
    /// Why; it is recorded, so it must not say more of customers than has to be.
    #[arg(long)]
    pub(crate) why: String,
    /// For how long the result may leave from now on, as in `30m` or `2h`.
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = lasting)]
    pub(crate) lasts: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ApprovalsArgs {
    /// Shows this one, in full.
    pub(crate) number: Option<u64>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BreakGlassArgs {
    /// The account that is let in.
    pub(crate) actor: String,
    /// The customer, by the key in the database.
    pub(crate) subject: String,
    /// Why; it is recorded, so it must not say more of the customer than has to be.
    #[arg(long)]
    pub(crate) why: String,
}

fn lasting(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "write a whole number and one of s, m, h, d".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The number that it was given; `postern approvals` shows it.
    pub(crate) number: u64,
    /// Why; it is recorded.
    #[arg(long)]
    pub(crate) why: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    pub(crate) decide: DecideArgs,
    /// Of a statement, the hash of the result that was seen, or its first 12 digits at least;
    /// `postern approvals NUMBER` shows it.
    #[arg(long, value_name = "HASH")]
    pub(crate) sha256: Option<String>,
}
