//! What an administrator's configuration says of tables and columns, as the analysis needs it.

use postern_model::FieldClass;

/// Names one of the sets of entitled keys that the gateway holds for an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySet(pub u8);

/// What a role may see, for all tables that are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Masked or clear.
    pub mode: Mode,
    /// The protected tables.
    pub tables: Vec<TableRule>,
    /// User-defined functions that the administrator vouches for, as `schema.name`.
    pub functions: Vec<String>,
    /// Relations beyond plain tables (foreign tables, relations of extensions, namesakes of
    /// protected tables) that the administrator vouches for, as `schema.name`.
    pub relations: Vec<String>,
    /// The tables that hold nothing protected, as `schema.table` or `schema.*`. Without a list all
    /// tables do that no rule is about; with one a table that is neither here nor protected is
    /// refused, so that a copy of a protected table is.
    pub unprotected: Option<Vec<String>>,
}

/// The two kinds of role whose statements are analysed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Protected columns are masked except for the actor's own keys.
    Restricted,
    /// Everything is clear and every record is accounted; what can't be accounted is refused.
    Accounted,
}

/// One protected table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRule {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The column that says whose record a row is. It is never masked.
    pub subject: String,
    /// Columns that are not protected.
    pub clear: Vec<String>,
    /// Protected columns. A column that is in neither list is masked.
    pub columns: Vec<ColumnRule>,
    /// Whether a plain `INSERT ... VALUES` is allowed.
    pub insert: InsertRule,
}

/// One protected column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnRule {
    /// The column's name.
    pub name: String,
    /// What kind of personal data it holds.
    pub class: FieldClass,
    /// Who may see it clear.
    pub show: Show,
    /// Whether `column = constant` may use the clear column.
    pub lookup: bool,
    /// The text of the mask, cast to the column's type; without it one is chosen by type.
    pub mask: Option<String>,
}

/// What policy decided for a column and a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Show {
    /// Clear for every record.
    Clear,
    /// Clear for the records whose key is in the set.
    Keyed(KeySet),
    /// Never clear.
    Masked,
}

/// Whether rows can be added to a protected table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InsertRule {
    /// No.
    Refuse,
    /// By `INSERT INTO t (columns) VALUES (constants or parameters)` only.
    Allow,
}

/// What else an analysis depends on; the same arguments give the same result.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The schemas that unqualified names are looked up in, after `pg_catalog`; the gateway keeps
    /// the server's `search_path` equal to it.
    pub search_path: &'a [String],
    /// The start of all names and placeholders that the rewriting makes: lower-case letters,
    /// digits and underscores, beginning with a letter, not guessable. A statement that holds it
    /// is refused.
    pub prefix: &'a str,
}
