//! What a statement reads, and the leaf rewriting that masks it.
//!
//! [`analyse`] takes the text that a client sent, a snapshot of the system catalogues and the rules
//! of the client's role, and says for each statement whether it may run and in which form. A
//! statement that reads a protected table is rewritten so that masked data enters the query where
//! the table is named; no expression above that place can reach a clear value.
//!
//! The crate refuses whatever it does not understand completely: a node of the grammar that
//! `verdicts` does not let pass, a function that `functions.txt` does not allow, a catalogue
//! relation that `relations.txt` does not let be read. It is pure: no files, sockets, clock or
//! random numbers.

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation,
        reason = "tests may panic"
    )
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an allow-list names what it allows of some 270 node types; the rest is refused"
)]

mod aim;
mod analyse;
mod asked;
mod ast;
mod catalogue;
mod check;
mod copy;
mod definitions;
mod end_user;
mod explain;
mod extensions;
mod functions;
mod governs;
mod identity;
mod literals;
mod locks;
mod mask;
mod named;
mod nesting;
mod own;
mod passed;
mod path;
mod print;
mod query;
pub mod quote;
mod reads;
mod refusal;
mod relations;
mod remains;
mod remarks;
mod resolve;
mod rules;
mod setting;
mod shape;
mod statement;
mod syntax;
mod taint;
mod template;
mod ticket;
mod utility;
mod verdicts;

pub use aim::{Aim, aims};
pub use analyse::analyse;
pub use asked::{Asked, AskedValue, Bound, key_oid};
pub use catalogue::{Catalogue, CatalogueError, SNAPSHOT_SQL, VERSION_SQL};
pub use check::{Checks, Parameter};
pub use governs::{governs, governs_refusal};
pub use identity::{Identities, ProtectedTable};
pub use literals::{Literal, Literals, without_literals};
pub use own::{OwnChange, OwnNames, Ticket};
pub use passed::Passed;
pub use path::{search_path, written_path};
pub use print::LeafTexts;
pub use reads::{ConditionReads, condition_reads};
pub use remains::{is_own_type, may_remain};
pub use remarks::{Remark, remarks};
pub use resolve::{OWN_SCHEMA, OWN_TABLES, OWN_TRIGGERS};
pub use rules::{
    ColumnRule, Context, InsertRule, KeySet, Makes, Mode, Reach, ReasonRule, Rules, Show, Strong,
    TableRule, TakeRule, UpdateRule, Values,
};
pub use setting::{Setting, millis, setting};
pub use statement::{
    Act, Arguments, Copy, CopyForm, Decider, Effect, Guarded, KeyColumn, KeyType, Leaf, Local,
    Lookup, LookupKind, LookupValue, MaskCheck, NOTHING_DONE, Named, Naming, Origin, Plain,
    Refusal, Statement, Stating, SyntaxError, Verdict,
};
pub use template::{Hole, Template};
