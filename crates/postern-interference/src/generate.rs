//! Random scripts: statements over a world's tables, as a curious client could send them.
//!
//! What is used depends on the dice and the world alone. Nothing is used whose result differs
//! between two runs over the same data: no clock, no random numbers, no process or transaction
//! numbers.

mod expression;
mod from;
mod select;
mod statement;
mod write;

use crate::{
    dice::Dice,
    grammar::Grammar,
    schema::{Guard, Kind, Table, World},
    script::Script,
};

/// A column that an expression can name.
#[derive(Debug, Clone)]
struct Field {
    name: String,
    kind: Kind,
    /// It needs a cast to be used as one of its family.
    cast: bool,
    /// It is not protected, and tells no records apart.
    harmless: bool,
    /// It says whose record it is.
    subject: bool,
    lookup: bool,
    /// Its texts are marks, see [`crate::schema::Accounts`].
    marked: bool,
    /// It tells records apart.
    key: bool,
}

/// A relation of a FROM clause.
#[derive(Debug, Clone)]
struct Relation {
    alias: String,
    fields: Vec<Field>,
}

/// Writes one script.
struct Generator<'g> {
    world: &'g World,
    grammar: &'g Grammar,
    dice: Dice,
    /// What can be named, innermost last.
    scopes: Vec<Vec<Relation>>,
    commons: Vec<Relation>,
    aliases: usize,
    /// Only columns that can be folded are used, and guarded tables only where rows carry keys.
    polite: bool,
    /// Sub-selects read unprotected tables only.
    bare: bool,
    /// Parameters are used instead of some constants; their families and values.
    parameters: Option<Vec<Option<String>>>,
}

/// The script that a world's seed and a number make, and what was drawn for it.
pub(crate) fn script(world: &World, grammar: &Grammar, dice: Dice) -> (Script, Vec<u32>) {
    let mut generator = Generator {
        world,
        grammar,
        dice,
        scopes: Vec::new(),
        commons: Vec::new(),
        aliases: 0,
        polite: false,
        bare: false,
        parameters: None,
    };
    generator.polite = generator.dice.below(10) < 8;
    let script = generator.script();
    (script, generator.dice.into_drawn())
}

fn fields(table: &Table) -> Vec<Field> {
    let field = |column: &crate::schema::Column| Field {
        name: column.name.clone(),
        kind: column.kind,
        cast: column.cast,
        harmless: column.guard == Guard::Free
            && !column.unique
            && !table.key.contains(&column.name),
        subject: column.guard == Guard::Subject,
        lookup: matches!(column.guard, Guard::Protected { lookup: true, .. }),
        marked: column.marked,
        key: table.key.contains(&column.name),
    };
    table.columns.iter().map(field).collect()
}

impl Generator<'_> {
    /// A name for a relation. Some are names that something further out has, or a table.
    fn alias(&mut self) -> String {
        if self.dice.chance(7) {
            let outer = self.scopes.iter().rev().skip(1).flatten();
            let mut names: Vec<String> = outer.map(|r| r.alias.clone()).collect();
            names.extend(self.world.tables.iter().map(|table| table.name.clone()));
            let name = self.dice.pick(&names).clone();
            if !name.contains('.') && !self.is_named(&name) {
                return name;
            }
        }
        self.aliases += 1;
        let letter = char::from(b'a' + u8::try_from(self.aliases % 20).unwrap_or(0));
        format!("{letter}{}", self.aliases)
    }

    /// Whether something of the innermost scope has that name.
    fn is_named(&self, name: &str) -> bool {
        self.scopes.last().into_iter().flatten().any(|relation| relation.alias == name)
    }

    /// Whether the ledger is compared with what comes.
    fn is_of_accounts(&self) -> bool {
        self.world.accounts.is_some()
    }

    /// Whether a table or view, or what it belongs to, is guarded.
    fn is_guarded(table: &Table) -> bool {
        table.columns.iter().any(|column| column.guard != Guard::Free)
    }
}
