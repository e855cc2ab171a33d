//! What an administrator's configuration says of tables and columns, as the analysis needs it.

use postern_model::FieldClass;

use crate::{LeafTexts, OwnNames, Refusal};

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
    /// Names that stand in sub-selects of reasons' conditions: a table of such a name, in whatever
    /// schema, is not written by restricted roles.
    pub reason_names: Vec<String>,
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
    /// Which columns may be changed, in which rows; the others may not.
    pub update: Vec<UpdateRule>,
    /// Which rows may be deleted.
    pub delete: Reach,
    /// The reasons that rows of this table make.
    pub reasons: Vec<ReasonRule>,
}

/// One column that may be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRule {
    /// The column's name.
    pub column: String,
    /// In which rows.
    pub reach: Reach,
}

/// Which rows of a protected table a write may touch. The others are left as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// None: the statement is refused.
    Refuse,
    /// Those of the records whose key is in the set.
    Keyed(KeySet),
    /// Those that are the actor's own by every reason that reads the changed column, as the server
    /// finds them, and whose record's key is in the set: what time it is, and in which zone, is the
    /// client's to say, so the gateway has the last word.
    Own(KeySet),
    /// All.
    All,
}

/// A reason that rows of a protected table make: the row is about a subject and names an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonRule {
    /// The column that holds the subject.
    pub subject: String,
    /// The column that holds the actor.
    pub actor: String,
    /// A condition in SQL that the row must meet.
    pub condition: String,
    /// When the reason is strong.
    pub strong: Strong,
    /// What an INSERT may make of it.
    pub insert: Makes,
    /// How an actor may take a row that nobody has.
    pub take: Option<TakeRule>,
}

/// When a reason is strong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strong {
    /// Never.
    Never,
    /// For every row.
    Always,
    /// Where this condition in SQL holds.
    When(String),
}

/// The best reason that somebody may make for themselves by inserting a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Makes {
    /// None.
    Nothing,
    /// A weak one.
    Weak,
    /// Any.
    Strong,
}

/// Taking the next row of a queue. Which one that is the queue's order says, not the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeRule {
    /// What a row that waits has in these columns, beside no actor: one of the values.
    pub pool: Vec<Values>,
    /// The columns that the queue is ordered by.
    pub order: Vec<String>,
    /// What may be set along with the actor: one of the values.
    pub sets: Vec<Values>,
}

/// A column and some of its values, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// The column's name.
    pub column: String,
    /// The values.
    pub values: Vec<String>,
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

/// Whether rows can be added to a protected table, by `INSERT INTO t (columns) VALUES (constants
/// or parameters)` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertRule {
    /// No.
    Refuse,
    /// With values for any column.
    Allow,
    /// With values for these columns.
    Columns(Vec<String>),
}

/// What else an analysis depends on; the same arguments give the same result.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The schemas that unqualified names are looked up in, after `pg_catalog`: those that the
    /// gateway has the server begin with; for one statement, those of the session.
    pub search_path: &'a [String],
    /// Those that the session began with.
    pub home: &'a [String],
    /// What the administrator vouches for could find other things under this path than under the
    /// gateway's.
    pub is_astray: bool,
    /// The start of all names and placeholders that the rewriting makes: lower-case letters,
    /// digits and underscores, beginning with a letter, not guessable. A statement that holds it
    /// is refused.
    pub prefix: &'a str,
    /// The client's text, in which refusals say where; empty where that is not known.
    pub text: &'a str,
    /// The text is a shape: its parameters stand for literals, see [`crate::without_literals`].
    pub is_shape: bool,
    /// What the session has made and the catalogue does not show.
    pub own: Option<&'a OwnNames>,
    /// What is remembered from one analysis to the next; it changes their cost and nothing else.
    pub leaf_texts: Option<&'a LeafTexts>,
}

impl<'a> Context<'a> {
    /// Remembers nothing.
    pub fn new(search_path: &'a [String], prefix: &'a str) -> Self {
        let (own, leaf_texts, home) = (None, None, search_path);
        let (is_shape, is_astray) = (false, false);
        Self { search_path, home, is_astray, prefix, text: "", is_shape, own, leaf_texts }
    }

    /// The refusal, with the place of a node of the tree, whose `location` counts bytes. A node
    /// without one has 0, where no name stands.
    pub(crate) fn at(&self, refusal: Refusal, location: i32) -> Refusal {
        let location = usize::try_from(location).ok().filter(|location| *location > 0);
        let before = location.and_then(|end| self.text.get(..end));
        let position = before.map(|text| text.chars().count() + 1);
        Refusal { position: refusal.position.or(position), ..refusal }
    }
}
