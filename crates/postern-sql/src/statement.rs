//! What the analysis says of a statement.

use std::sync::Arc;

use postern_model::StatementFingerprint;

use crate::{Asked, KeySet, OwnChange, Passed, Template, check::Checks};

/// One statement of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What is to be done with it.
    pub verdict: Verdict,
    /// Its shape.
    pub fingerprint: StatementFingerprint,
    /// Its text without literals and comments.
    pub normalized: String,
}

/// What is to be done with a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It must not run.
    Refused(Refusal),
    /// It touches nothing protected: its rows may be forwarded as they come.
    Plain(Plain),
    /// It reads or writes protected tables, rewritten.
    Guarded(Guarded),
    /// The gateway answers it itself; the server never sees it.
    Local(Local),
    /// It is about a prepared statement or a cursor, which the session keeps by its name.
    Named(Named),
    /// It copies the rows of a statement on protected tables to the client.
    Copy(Copy),
}

/// A statement about something that the session keeps by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// As the client wrote it; the server never sees it.
    pub name: String,
    /// What is done with it.
    pub act: Act,
}

/// What is done with a prepared statement or a cursor.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// `PREPARE name (types) AS query`.
    Prepare {
        /// The types of the first parameters.
        types: Vec<String>,
        /// The verdict on what is prepared: plain or guarded.
        query: Box<Verdict>,
        /// The whole statement, to be judged again when it is executed.
        source: String,
    },
    /// `EXECUTE name (arguments)`.
    Execute(Arguments),
    /// `DEALLOCATE name`.
    Deallocate,
    /// `DECLARE name options CURSOR [WITH HOLD] FOR query`.
    Declare {
        /// Empty or with a space behind it.
        options: &'static str,
        /// It outlives its transaction: what it reads is not protected.
        holds: bool,
        /// The verdict on the query: plain or guarded.
        query: Box<Verdict>,
    },
    /// `FETCH what FROM name`, or `MOVE`.
    Fetch {
        /// Which rows, in SQL.
        what: String,
        /// It is `MOVE`.
        moves: bool,
        /// Rows may be passed over.
        jumps: bool,
    },
    /// `CLOSE name`.
    Close,
    /// `SHOW postern.ticket`: what the session has stated.
    ShowTicket,
}

/// The arguments of EXECUTE.
#[derive(Clone, PartialEq, Eq)]
pub struct Arguments {
    /// Their texts, with commas between them.
    pub sql: String,
    /// The value of each, if it is a constant; that of NULL is empty.
    pub values: Vec<Option<String>>,
}

impl std::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arguments({})", self.values.len())
    }
}

/// `COPY (query) TO STDOUT (options)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// What is copied.
    pub query: Guarded,
    /// The options, to be sent as they stand.
    pub options: String,
    /// How the rows are written.
    pub form: CopyForm,
}

/// How the rows of a copy are written: what is needed to find the ends of their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyForm {
    /// Values escaped by backslashes.
    Text { delimiter: u8, null: String, header: bool },
    /// Values quoted where they need it.
    Csv { delimiter: u8, quote: u8, escape: u8, null: String, header: bool },
    /// Values with their lengths.
    Binary,
}

/// Why a statement must not run, in words for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error code to answer with.
    pub sqlstate: &'static str,
    /// The rule's name, stable, for the ledger and for documents.
    pub rule: &'static str,
    /// What is refused.
    pub message: String,
    /// What to do instead.
    pub hint: String,
    /// Where in the client's text, in characters counted from 1, if known.
    pub position: Option<usize>,
}

/// A statement that touches nothing protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// What to send: the text of the tree that was judged.
    pub sql: String,
    /// What it does to the session.
    pub effect: Effect,
    /// The highest parameter number in it.
    pub client_parameters: usize,
    /// What names mean for the session's next statements, if it does what it says.
    pub changes: Vec<OwnChange>,
    /// Whom an application's next statements are for, if that is what it says.
    pub end_user: Option<Box<Naming>>,
    /// The ticket that the next statements go by, if that is what it says.
    pub states: Option<Box<Stating>>,
    /// The tag that the client awaits, if the server's is of another statement.
    pub tag: Option<&'static str>,
    /// The client awaits no rows, though there are some.
    pub silent: bool,
    /// A definition that the client has not written can stand in its plan: a view's, a listed
    /// function's, a virtual column's.
    pub(crate) opens_definition: bool,
    /// A view draws random numbers in it, or takes a sequence's: the server goes on from there, for
    /// whoever comes next.
    pub draws: bool,
}

/// How an application says whom its next statements are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// The token that names the account; `None` for nobody.
    pub token: Option<LookupValue>,
    /// Until the transaction ends.
    pub local: bool,
}

/// How a client states the ticket that its next statements go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stating {
    /// The ticket; `None` for none.
    pub ticket: Option<LookupValue>,
    /// Until the transaction ends.
    pub local: bool,
}

/// What is sent for what is done here and answered in its order: nothing listens to this channel.
pub const NOTHING_DONE: &str = "UNLISTEN postern_nothing";

impl Plain {
    /// One that changes the meaning of no name.
    pub fn new(sql: String, effect: Effect, client_parameters: usize) -> Self {
        Self {
            sql,
            effect,
            client_parameters,
            changes: Vec::new(),
            end_user: None,
            states: None,
            tag: None,
            silent: false,
            opens_definition: false,
            draws: false,
        }
    }
}

/// What a statement does to the session, so that the gateway needn't know any SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It reads rows.
    Query,
    /// It may change rows, or do what a listed function does.
    Write,
    /// It begins, ends or subdivides a transaction.
    Transaction,
    /// It changes or shows a setting, or drops session state.
    Setting,
    /// It drops all prepared statements.
    Deallocate,
    /// It closes all cursors.
    CloseAll,
    /// It drops all that a session has.
    Discard,
    /// It takes rows from the client.
    CopyIn,
    /// It makes, changes or drops what holds nothing protected.
    Define,
}

/// A statement on protected tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Guarded {
    /// What to send, with holes for the actor's keys.
    pub sql: Template,
    /// How many of the result's columns the client may see: the first ones.
    pub visible_columns: usize,
    /// The hidden columns after them, in order.
    pub keys: Vec<KeyColumn>,
    /// The references to protected tables.
    pub leaves: Vec<Leaf>,
    /// What RowDescription must say for each visible column that is a plain reference to a
    /// protected table's column.
    pub origins: Vec<Option<Origin>>,
    /// The leaf's column that each visible column is nothing but a copy of: index into `leaves`,
    /// and name.
    pub sources: Vec<Option<(usize, Arc<str>)>>,
    /// The lookups in it; at most one.
    pub lookups: Vec<Lookup>,
    /// Protected columns of an accounted role's that do more than come with their record: what does
    /// not come tells of them, too.
    pub decided_by: Vec<Decider>,
    /// Protected columns in clear of which something is computed: how that fails hangs on them.
    pub worked: Vec<Decider>,
    /// Whom it asks about by the key, rows or not.
    pub asked: Vec<Asked>,
    /// What comes tells of those whom it asks about before a row with their key does: they are
    /// recorded first.
    pub asked_first: bool,
    /// No record but theirs can be in a row, so that no other key of the actor's matters.
    pub bounded: bool,
    /// What must hold of the values that it is given.
    pub checks: Checks,
    /// What the server looks at in the same way.
    pub mask_checks: Vec<MaskCheck>,
    /// It writes a protected table.
    pub writes: bool,
    /// The rows that it writes are those of subjects in each of these sets, as the keys were before
    /// it ran.
    pub relies: Vec<KeySet>,
    /// Its rows may make reasons: rows are inserted, or taken from a queue.
    pub opens: bool,
    /// Its rows, which hold hidden columns only, are for the ledger and not for the client.
    pub silent: bool,
    /// A row that is passed over would tell something and not be recorded: a cursor goes from row
    /// to row.
    pub sequential: bool,
    /// The rows that an OFFSET passes over: they come first, are recorded, and go no further.
    pub passed: Option<Passed>,
    /// The highest parameter number that the client used.
    pub client_parameters: usize,
    /// It may change rows of any table, or do what a listed function does.
    pub changes: bool,
}

/// A look of the server's at a value that is stored: if it is a mask the statement fails, with
/// an error that names a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskCheck {
    /// The setting, of which there is none: the error is an `undefined_object` that quotes it.
    pub name: Arc<str>,
    /// What the client is told.
    pub refusal: Refusal,
}

/// A hidden result column: the key of the record that the row holds of a leaf. NULL where an outer
/// join or another arm of a union left no such record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyColumn {
    /// Index into [`Guarded::leaves`].
    pub leaf: usize,
    /// It lists the keys of all records that are folded in the row, with commas.
    pub many: bool,
}

/// One reference to a protected table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The table, as `schema.table`.
    pub relation: Arc<str>,
    /// Columns in the result that are clear for keys in the set (in [`crate::Mode::Accounted`] and
    /// without a set: for all keys).
    pub clear: Vec<Arc<str>>,
    /// Columns in the result that policy shows clear for every record.
    pub shown: Vec<Arc<str>>,
    /// Protected columns in the result that are masked for all keys.
    pub masked: Vec<Arc<str>>,
    /// The set that decides.
    pub key_set: Option<KeySet>,
    /// How the keys are written.
    pub key_type: KeyType,
}

/// The type of a table's subject column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// `int2`, `int4` or `int8`; compared as `int8`.
    Int,
    /// `text` or `varchar`; compared as `text`.
    Text,
    /// `uuid`.
    Uuid,
}

/// Where a result column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The table's OID.
    pub table_oid: u32,
    /// The column's number.
    pub attribute: i16,
    /// The column's type modifier.
    pub type_modifier: i32,
}

/// A protected column that decides what comes, in which order, what a fold gives, or what fails.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decider {
    /// The table, as `schema.table`.
    pub relation: Arc<str>,
    /// The column.
    pub column: Arc<str>,
}

/// An equality search on a protected column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lookup {
    /// The table, as `schema.table`.
    pub relation: Arc<str>,
    /// The column.
    pub column: Arc<str>,
    /// Index into [`Guarded::leaves`].
    pub leaf: usize,
    /// What was searched for.
    pub value: LookupValue,
    /// How it searches.
    pub kind: LookupKind,
}

/// How a lookup searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LookupKind {
    /// By comparing: the record comes, or not.
    Compared,
    /// By storing the value where it must be the only one: an error, or not.
    Stored,
}

/// The searched value of a lookup.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum LookupValue {
    /// A constant of the statement's text.
    Constant(String),
    /// The client's parameter of that number, counted from 1.
    Parameter(usize),
}

impl std::fmt::Debug for LookupValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Constant(_) => f.write_str("Constant(…)"),
            Self::Parameter(number) => write!(f, "Parameter({number})"),
        }
    }
}

/// A statement that the gateway answers itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// An empty statement: answered with EmptyQueryResponse.
    Empty,
    /// Answered with this command tag and nothing else.
    Tag(&'static str),
}

/// A text that PostgreSQL's grammar does not accept, or that is beyond the limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// 42601, or 54000/54001 for a limit.
    pub sqlstate: &'static str,
    /// PostgreSQL's own words.
    pub message: String,
    /// Where, in characters counted from 1, if known.
    pub position: Option<usize>,
}
