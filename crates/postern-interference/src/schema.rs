//! What a world is: tables, who may see what of them, and the rows of its two databases.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::FieldClass;

/// Families of types that an expression can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Text,
    Int,
    Numeric,
    Float,
    Bool,
    Date,
    Stamp,
    Uuid,
    Bytes,
    Json,
    Texts,
    Ints,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Text,
        Self::Int,
        Self::Numeric,
        Self::Bool,
        Self::Date,
        Self::Float,
        Self::Stamp,
        Self::Uuid,
        Self::Bytes,
        Self::Json,
        Self::Texts,
        Self::Ints,
    ];

    /// The letter that stands for it in the grammar's templates.
    pub fn letter(self) -> char {
        match self {
            Self::Text => 't',
            Self::Int => 'i',
            Self::Numeric => 'n',
            Self::Float => 'f',
            Self::Bool => 'b',
            Self::Date => 'd',
            Self::Stamp => 's',
            Self::Uuid => 'u',
            Self::Bytes => 'y',
            Self::Json => 'j',
            Self::Texts => 'a',
            Self::Ints => 'k',
        }
    }

    pub fn of_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.letter() == letter)
    }

    /// The type that expressions of the family are cast to where it must be told.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int4",
            Self::Numeric => "numeric",
            Self::Float => "float8",
            Self::Bool => "bool",
            Self::Date => "date",
            Self::Stamp => "timestamptz",
            Self::Uuid => "uuid",
            Self::Bytes => "bytea",
            Self::Json => "jsonb",
            Self::Texts => "text[]",
            Self::Ints => "int4[]",
        }
    }
}

/// How a column is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It is not protected.
    Free,
    /// It says whose record it is.
    Subject,
    /// The configuration lists it with a class.
    Protected { class: FieldClass, lookup: bool },
    /// The configuration does not list it: masked for everybody.
    Unlisted,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// As `CREATE TABLE` says it.
    pub sql_type: String,
    /// The column's type is not its family's: an expression of the family needs a cast.
    pub cast: bool,
    pub guard: Guard,
    pub unique: bool,
    /// Each row has a text that says whose it is, see [`Accounts`].
    pub marked: bool,
    /// What the server computes it from; nothing is stored into it.
    pub generated: Option<String>,
}

/// A table or view.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    /// The gateway is told to guard it.
    pub protected: bool,
    /// The configuration lets actors insert into it.
    pub insert: bool,
    /// A client may write it at all: it is no view.
    pub written: bool,
    /// Its columns' order by which rows are told apart.
    pub key: Vec<String>,
}

/// Two databases and what a gateway is told of them.
#[derive(Debug, Clone)]
pub struct World {
    /// The same statements for both databases, before the rows.
    pub setup: String,
    /// The rows, by database.
    pub rows: [String; 2],
    pub tables: Vec<Table>,
    /// A Cedar policy.
    pub policy: String,
    /// Which rows of `tickets` are reasons.
    pub condition: String,
    /// What differs has the same length on both sides, so that rows stand in the same places of
    /// their pages: only then do both give the same where a query takes some of the rows that come.
    pub level: bool,
    /// Literals that queries may ask for, in SQL, with their family.
    pub constants: Vec<(Kind, String)>,
    /// Instead of who sees what, it is asked whether the ledger tells what came.
    pub accounts: Option<Accounts>,
}

/// Whose values are where, in a world whose ledger is compared with what came.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// The actor sees everything in clear, of an accounted role.
    pub accounted: bool,
    /// The customers of whom something differs between the two databases.
    pub changed: BTreeSet<String>,
    /// Texts that stand in one record only, with the customer whose it is.
    pub marks: BTreeMap<String, String>,
}

/// The account that asks.
pub const ACTOR: &str = "ana";

/// Begins each mark, see [`Accounts`]; seven hexadecimal digits and a letter follow.
pub(crate) const MARK: &str = "mkq";

/// Stands in every text that nobody may see. No query contains it.
pub const CANARY: &str = "KnrY7xQ";
