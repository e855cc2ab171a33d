//! The append-only record of what left, durable before it leaves.
//!
//! [`Ledger::record`] takes what is about to be disclosed, charges the actor's budgets, writes and
//! syncs an entry, and hands out a [`Receipt`]; rows may leave only for a receipt, and nothing but
//! this crate can make one. When writing fails the ledger stops, and with it disclosure. A ledger
//! is made by [`Ledger::create`] only. [`Reader`] and [`verify()`] are the reading half.
//!
//! The format is `docs/design/ledger.md`. Where to start: `sequencer` has the critical sequence,
//! `recover` what happens after a crash, `scan` the one pass that checks everything.
//!
//! The crate knows no value of a customer and no SQL; it stores names, numbers and keyed hashes.

mod backup;
mod basis;
mod budget;
mod bulk;
mod bytes;
mod coming;
mod damage;
mod dictionary;
mod disk;
mod draft;
mod entry;
mod epoch;
mod erase;
mod follow;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod index;
mod leaf;
mod ledger;
mod options;
mod payload;
mod prove;
mod publish;
mod range;
mod reader;
mod recover;
mod retain;
mod room;
mod saw;
mod scan;
mod sequencer;
mod set;
mod survey;
#[cfg(test)]
mod tests;
mod told;
mod values;
mod verify;
mod volumes;
mod witness;
mod writer;

pub use postern_merkle::{CosignerKey, VerifyingKey};

pub use self::{
    backup::{
        BackedUp, BackupError, KnownLoss, RestoreError, RestoreOptions, Restored, backup, restore,
    },
    basis::Basis,
    bulk::BulkOptions,
    bytes::DecodeError,
    coming::{Awaited, Coming},
    damage::{Damage, DamageKind, Which},
    draft::{
        Counter, Draft, DraftLeaf, DraftLookup, DraftRow, DraftValue, Limit, Nearing, Plan,
        Receipt, RecordError, Touch,
    },
    entry::{
        Body, CaseAct, Complained, DecoyHit, Disclosed, Entry, Found, Group, LookedUp, Note,
        Observed, Planted, Values,
    },
    epoch::Retention,
    erase::EraseError,
    follow::{Channel, Connect, Copied, Copying, FollowError, Follower, PeerOptions, WhenLost},
    identity::{SignError, cosigned, origin, public_key, sign_dsse, signed},
    index::{About, Broken, Index, IndexError, Question, Seen, answer_from_log},
    ledger::{AskDone, EraseDone, Hook, Ledger, RetainDone},
    options::Options,
    prove::{CheckError, ProveError, Proved, check_proof, check_witnessed_proof, prove},
    publish::{PublishError, Published, publish},
    range::{
        Naming, ProvedRange, RangeError, RangeQuestion, check_range, check_witnessed_range,
        is_range_proof, named_in_range, prove_range, redact_range,
    },
    reader::Reader,
    recover::{CreateError, OpenError},
    retain::{RetainError, Retained},
    saw::{SawError, Told, ValueQuestion, saw_value},
    sequencer::Answer,
    survey::{Survey, survey},
    told::{NoteDone, RecordDone, RecordWakes},
    values::ValueHash,
    verify::{Progress, Summary, Tail, VerifyOptions, verify},
    volumes::{MoveError, Moved, move_segments},
    witness::{
        AcceptError, Accepted, Cosigned, Cosigning, CosigningError, Quorum, QuorumError, TooFew,
        WITNESSED, Witness, WitnessError, WitnessReply,
    },
};
