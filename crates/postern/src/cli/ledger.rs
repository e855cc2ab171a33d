//! What can be asked of the ledger, and done with it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use postern_ledger::CosignerKey;
use postern_model::Timestamp;

use crate::witnessing::WitnessAt;

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Proves that nothing in the ledger was changed, dropped or reordered.
    Verify(VerifyArgs),
    /// Prints entries.
    Show(ShowArgs),
    /// Says who saw a customer: when, which fields, for which reason. The question is recorded.
    WhoSaw(WhoSawArgs),
    /// Says what an account saw. The question is recorded.
    SeenBy(SeenByArgs),
    /// Says whether a value was shown of a customer, to whom and when, even if it has changed
    /// since. The value is read from the standard input. The question is recorded.
    SawValue(SawValueArgs),
    /// Makes a proof that one entry is in the ledger, or that certain ones are all of an account,
    /// for people who have no ledger.
    Prove(ProveArgs),
    /// Checks such a proof; needs nothing but the ledger's key.
    CheckProof(CheckProofArgs),
    /// Has the newest checkpoint cosigned by witnesses, once; a gateway does so by itself.
    Cosign(CosignArgs),
    /// Writes the ledger in the form in which others read transparency logs (C2SP tlog-tiles), up
    /// to the newest checkpoint that witnesses cosigned, if they did. It is recorded.
    Publish(PublishArgs),
    /// Brings a ledger of an older version, or one that a crash has left, into the state in which
    /// this version goes on; a gateway does so by itself when it starts.
    Migrate(MigrateArgs),
    /// Makes the names of customers past `retention` unreadable, and destroys their key; what was
    /// recorded and all proofs stay. A gateway does so by itself.
    Retain,
    /// Moves segments that are never written again to a folder on another volume, also while a
    /// gateway writes to the ledger; links stand in their place.
    MoveSegments(MoveSegmentsArgs),
    /// Copies the ledger, also while a gateway writes to it. A folder that has a backup already
    /// gets what is new. It is recorded.
    Backup(BackupArgs),
    /// Puts a backup, or a follower's copy, where no ledger is; all of it is checked first.
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MoveSegmentsArgs {
    /// The folder that they go to. It has to be there, and is for this ledger only.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// How many of the newest stay, besides the one that is written to.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) keep: u64,
    /// The ledger's folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The ledger's folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// A checkpoint that somebody else kept; the ledger must contain its history.
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// The key that you trust: a copy of the ledger's key.pub that you had before.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The ledger is closed: nothing unfinished may stand at the end, as a gateway that writes, or
    /// one that was killed, may leave it.
    #[arg(long)]
    pub(crate) closed: bool,
    /// The key of a witness that you trust; what `witnessed` says must be cosigned. Repeat it.
    #[arg(long, value_name = "KEY", value_parser = parse_cosigner)]
    pub(crate) witness: Vec<CosignerKey>,
    /// How many of them are enough.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "witness")]
    pub(crate) enough: usize,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn parse_cosigner(text: &str) -> Result<CosignerKey, String> {
    CosignerKey::parse(text).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The ledger's folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Only what this account did.
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Only what concerns this customer.
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Only the last so many entries.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) last: Option<usize>,
    /// Prints one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhoSawArgs {
    /// The customer, by the key that the ledger has.
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) asked: AskArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SeenByArgs {
    /// The account.
    pub(crate) actor: String,
    #[command(flatten)]
    pub(crate) asked: AskArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SawValueArgs {
    /// The customer, by the key that the ledger has.
    pub(crate) subject: String,
    /// Only by this account.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) actor: Option<String>,
    #[command(flatten)]
    pub(crate) asked: AskArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// Only from this moment on, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) since: Option<Timestamp>,
    /// Only before this moment, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time)]
    pub(crate) until: Option<Timestamp>,
    /// The ledger's folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Reads the whole ledger instead of the index.
    #[arg(long)]
    pub(crate) scan: bool,
    /// Prints one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// The entry's number.
    #[arg(value_name = "ENTRY", required_unless_present = "range", conflicts_with = "range")]
    pub(crate) sequence: Option<u64>,
    /// Proves all entries of this account, with --since and --until of that time: that they are
    /// all, and what they say. What others did is not in the proof. It is recorded.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) range: Option<String>,
    /// Only from this moment on, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time, requires = "range")]
    pub(crate) since: Option<Timestamp>,
    /// Only before this moment, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = postern_feed::parse_time, requires = "range")]
    pub(crate) until: Option<Timestamp>,
    /// Names the customers; without it the proof has numbers for them.
    #[arg(long, requires = "range")]
    pub(crate) subjects: bool,
    /// Only by a checkpoint that witnesses cosigned; without --until as far as they have come.
    /// Otherwise it is one of those if that covers all that is asked for, else the newest.
    #[arg(long)]
    pub(crate) witnessed: bool,
    /// The ledger's folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Where to write the proof, instead of the standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckProofArgs {
    /// The proof.
    #[arg(value_name = "FILE")]
    pub(crate) proof: PathBuf,
    /// The key that you trust: a copy of the ledger's key.pub that you had before.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The key of a witness that you trust; the proof's checkpoint must be cosigned. Repeat it.
    #[arg(long, value_name = "KEY", value_parser = parse_cosigner)]
    pub(crate) witness: Vec<CosignerKey>,
    /// How many of them are enough.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "witness")]
    pub(crate) enough: usize,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CosignArgs {
    /// A witness, as `URL KEY`, instead of those in the configuration; may be given again.
    #[arg(long, value_name = "WITNESS", value_parser = WitnessAt::parse)]
    pub(crate) witness: Vec<WitnessAt>,
    /// How many of them are enough.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "witness")]
    pub(crate) enough: usize,
    /// The ledger's folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Says what would be changed, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The ledger's folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The backup's folder. It is made if need be.
    #[arg(value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// The ledger's folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup's folder.
    #[arg(value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// Where to put the ledger, instead of where the configuration has it. Nothing may be there.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// The file `key` of the ledger, which no backup has: without it nothing can be recorded in
    /// what is restored.
    #[arg(long, value_name = "FILE")]
    pub(crate) signing_key: Option<PathBuf>,
    /// The key that you trust: a copy of the ledger's key.pub that you had before.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// A checkpoint that somebody else kept, by which to tell what is lost.
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// Restores also if that checkpoint covers more than the backup has, and records by whom, why,
    /// and what is lost.
    #[arg(long, requires_all = ["against", "signing_key", "why"])]
    pub(crate) with_loss: bool,
    /// Why; it is recorded.
    #[arg(long, requires = "with_loss")]
    pub(crate) why: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The folder to write to; it is made if need be. It can be served by any web server.
    #[arg(value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Up to the newest checkpoint, though witnesses have only seen an older one.
    #[arg(long)]
    pub(crate) newest: bool,
    /// The ledger's folder, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
}
