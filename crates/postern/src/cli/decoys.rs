//! What can be asked about planted customers.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum DecoyCommand {
    /// Makes customers up, and puts the hash of them into the ledger before anybody can see them.
    Plan(DecoyPlanArgs),
    /// Puts those of a plan into the customers' table, and tells the detectors.
    Plant(DecoyPlantArgs),
    /// Records that one was written to or called; that is a finding at once.
    Hit(DecoyHitArgs),
    /// Says how many there are, and which were shown or contacted.
    Status(crate::cli::JsonArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DecoyPlanArgs {
    /// How many, for each list.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) count: usize,
    /// Whose names and numbers they have: en-US, en-GB, sv-SE, en-AU.
    #[arg(long, value_name = "LOCALE", default_value = "en-US")]
    pub(crate) locale: String,
    /// A list, or account, that gets decoys of its own; may be given again.
    #[arg(long, value_name = "NAME")]
    pub(crate) list: Vec<String>,
    /// The domain of their mailboxes: one of your own, whose mail you can read.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) mail: String,
    /// Your own telephone numbers, one a line, instead of such as nobody has.
    #[arg(long, value_name = "FILE")]
    pub(crate) phones: Option<PathBuf>,
    /// Where to write the plan, which must not be there yet. It is a secret.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DecoyPlantArgs {
    /// The plan; the keys that they get are added to it.
    pub(crate) plan: PathBuf,
    /// An account that may insert customers, as postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE.
    #[arg(long, value_name = "URL")]
    pub(crate) admin: String,
    /// The protected table of the customers, as SCHEMA.TABLE.
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: String,
    /// The column of their names.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) name: Option<String>,
    /// The column of their mailboxes.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email: Option<String>,
    /// The column of their telephone numbers.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) phone: Option<String>,
    /// What else a row needs; may be given again.
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub(crate) set: Vec<String>,
    /// Makes this view, SCHEMA.NAME, of the customers without the decoys, for your own mailings.
    #[arg(long, value_name = "VIEW")]
    pub(crate) view: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DecoyHitArgs {
    /// The planted customer, by the key in the database.
    pub(crate) subject: String,
    /// How they were contacted.
    #[arg(long, value_enum)]
    pub(crate) how: DecoyContact,
    /// What is known of it: the sender, the number, what was said. It is recorded.
    #[arg(long)]
    pub(crate) why: String,
}

/// How a planted customer was contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecoyContact {
    Mail,
    Call,
    Other,
}

impl DecoyContact {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Call => "call",
            Self::Other => "other",
        }
    }
}
