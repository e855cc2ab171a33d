//! From what a database holds to what a configuration could say: which table holds the customers,
//! which others hold data of theirs, what can be looked up, and what makes a reason.

use postern_model::FieldClass;
use postern_sql::quote::literal;

use super::{
    guess::{self, About, Guess, Sure},
    scan::{Column, Table},
};

/// What tables of one's own people are called; their data isn't customers' data.
const STAFF_TABLES: [&str; 10] = [
    "agent",
    "agents",
    "employee",
    "employees",
    "staff",
    "operator",
    "operators",
    "admin",
    "admins",
    "worker",
];

/// What the columns of a ticket are called that say whose job it is.
const ACTOR_COLUMNS: [&str; 8] = [
    "assignee",
    "assigned_to",
    "assigned_agent",
    "agent",
    "owner",
    "handler",
    "handled_by",
    "agent_id",
];

/// What a ticket's state is called while somebody works on it.
const OPEN_STATES: [&str; 9] = [
    "open",
    "new",
    "pending",
    "in_progress",
    "assigned",
    "waiting",
    "active",
    "reopened",
    "on_hold",
];

/// What the administrator said in advance.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// `schema.table`
    pub(super) table: String,
    pub(super) subject: String,
}

/// What there is to protect.
#[derive(Debug, Default)]
pub(super) struct Proposal {
    pub(super) tables: Vec<Protected>,
    pub(super) reasons: Vec<Reason>,
    /// Tables with personal data that nothing ties to a customer.
    pub(super) left_out: Vec<LeftOut>,
    /// Tables without.
    pub(super) unprotected: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Protected {
    pub(super) name: String,
    pub(super) rows: f64,
    /// The column with the customer's key, and how that is known.
    pub(super) subject: String,
    pub(super) tie: String,
    pub(super) clear: Vec<String>,
    pub(super) columns: Vec<Personal>,
    /// Columns that are masked because nobody said anything about them.
    pub(super) unsaid: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Personal {
    pub(super) name: String,
    pub(super) guess: Guess,
    pub(super) lookup: bool,
}

#[derive(Debug)]
pub(super) struct Reason {
    pub(super) name: String,
    pub(super) table: String,
    pub(super) subject: String,
    pub(super) actor: String,
    pub(super) condition: Option<String>,
    pub(super) strong_when: Option<String>,
}

#[derive(Debug)]
pub(super) struct LeftOut {
    pub(super) table: String,
    pub(super) columns: Vec<Personal>,
    pub(super) why: String,
}

/// A wish that can't be granted.
#[derive(Debug, thiserror::Error)]
pub(super) enum WishError {
    #[error("the database has no table `{0}` that can be read; name it as SCHEMA.TABLE")]
    Table(String),
    #[error("table `{table}` has no column `{column}`")]
    Column { table: String, column: String },
}

pub(super) fn propose(tables: &[Table], wish: Option<&Wish>) -> Result<Proposal, WishError> {
    let personal: Vec<Vec<Personal>> = tables.iter().map(personal_columns).collect();
    let mut proposal = Proposal::default();
    let customers = match wish {
        Some(wish) => {
            proposal.tables.push(wished(tables, &personal, wish)?);
            Some((wish.table.clone(), wish.subject.clone()))
        }
        None => customers(tables, &personal),
    };
    for (table, columns) in tables.iter().zip(&personal) {
        let name = table.full_name();
        if proposal.tables.iter().any(|protected| protected.name == name) {
            continue;
        }
        let tie = customers.as_ref().and_then(|(customers, key)| tie(table, customers, key));
        let reason = tie.as_ref().and_then(|(subject, _)| reason(table, subject));
        let worth_it = columns.iter().any(|column| column.guess.sure >= Sure::Likely);
        match tie {
            Some(tie) if worth_it || reason.is_some() => {
                proposal.tables.push(protected(table, columns, tie));
                proposal.reasons.extend(reason);
            }
            None if worth_it => proposal.left_out.push(left_out(table, columns)),
            Some(_) | None => proposal.unprotected.push(name),
        }
    }
    proposal.tables.sort_by_key(|table| {
        customers.as_ref().is_none_or(|(customers, _)| *customers != table.name)
    });
    Ok(proposal)
}

fn wished(
    tables: &[Table],
    personal: &[Vec<Personal>],
    wish: &Wish,
) -> Result<Protected, WishError> {
    let mut both = tables.iter().zip(personal);
    let (table, columns) = both
        .find(|(table, _)| table.full_name() == wish.table)
        .ok_or_else(|| WishError::Table(wish.table.clone()))?;
    if !table.columns.iter().any(|column| column.name == wish.subject) {
        let (table, column) = (wish.table.clone(), wish.subject.clone());
        return Err(WishError::Column { table, column });
    }
    let tie = (wish.subject.clone(), "named with --subject".to_owned());
    let mut protected = protected(table, columns, tie);
    // Who asks for a table by name wants it protected, whatever its columns look like.
    protected.unsaid = protected.clear.split_off(1);
    Ok(protected)
}

/// The columns that look personal, those that can be looked up marked.
fn personal_columns(table: &Table) -> Vec<Personal> {
    let about = About::of(&table.name);
    let personal = |column: &Column| {
        let guess = guess::guess(column, about)?;
        let searched = match guess.class {
            FieldClass::Email | FieldClass::Phone => column.indexed,
            FieldClass::CaseNumber => column.unique,
            FieldClass::Name
            | FieldClass::Address
            | FieldClass::Identifier
            | FieldClass::FreeText
            | FieldClass::Secret => false,
        };
        Some(Personal { name: column.name.clone(), guess, lookup: searched })
    };
    table.columns.iter().filter_map(personal).collect()
}

/// The table of the customers, and its key: the one with a key and the most personal columns.
fn customers(tables: &[Table], personal: &[Vec<Personal>]) -> Option<(String, String)> {
    let candidate = |(table, columns): (&Table, &Vec<Personal>)| {
        let key = table.key()?.name.clone();
        let name = table.full_name();
        let worth = |column: &Personal| match column.guess.sure {
            Sure::Possible => 1,
            Sure::Likely => 2,
            Sure::Certain => 3,
        };
        let found: usize = columns.iter().map(worth).sum();
        let referring =
            tables.iter().flat_map(|t| &t.references).filter(|r| r.table == name).count();
        let called = if About::of(&table.name) == About::People { 3 } else { 0 };
        let staff = guess::words(&table.name).iter().any(|w| STAFF_TABLES.contains(&w.as_str()));
        (found >= 2 && !staff).then(|| (found + referring + called, name, key))
    };
    let best = tables.iter().zip(personal).filter_map(candidate).max_by_key(|(score, ..)| *score);
    best.map(|(_, name, key)| (name, key))
}

/// Which column of a table holds the customer's key, and how that is known.
fn tie(table: &Table, customers: &str, key: &str) -> Option<(String, String)> {
    if table.full_name() == customers {
        return Some((key.to_owned(), "its primary key".to_owned()));
    }
    let points = |r: &&super::scan::Reference| r.table == customers && r.target == key;
    if let Some(reference) = table.references.iter().find(points) {
        return Some((reference.column.clone(), format!("a foreign key to {customers}")));
    }
    let singular = customers.rsplit('.').next()?.trim_end_matches('s');
    let called = format!("{singular}_{key}");
    let column = table.columns.iter().find(|column| column.name == called)?;
    Some((column.name.clone(), "its name; there is no foreign key".to_owned()))
}

fn protected(table: &Table, columns: &[Personal], (subject, tie): (String, String)) -> Protected {
    // The key itself is what rows are accounted by; anybody who may see a row may see it.
    let columns: Vec<Personal> = columns.iter().filter(|c| c.name != subject).cloned().collect();
    let free = |column: &&Column| {
        column.name != subject && !columns.iter().any(|personal| personal.name == column.name)
    };
    let mut clear = vec![subject.clone()];
    clear.extend(table.columns.iter().filter(free).map(|column| column.name.clone()));
    Protected {
        name: table.full_name(),
        rows: table.rows,
        subject,
        tie,
        clear,
        columns,
        unsaid: Vec::new(),
    }
}

fn left_out(table: &Table, columns: &[Personal]) -> LeftOut {
    let staff = guess::words(&table.name).iter().any(|w| STAFF_TABLES.contains(&w.as_str()));
    let why = if staff {
        "it seems to be about your own people"
    } else {
        "no column of it holds the customer's key"
    };
    LeftOut { table: table.full_name(), columns: columns.to_vec(), why: why.to_owned() }
}

/// A reason, if the table looks like tickets that are given to people.
fn reason(table: &Table, subject: &str) -> Option<Reason> {
    let actor = ACTOR_COLUMNS
        .iter()
        .find_map(|name| table.columns.iter().find(|column| column.text && column.name == *name))?;
    let name = match About::of(&table.name) {
        About::Tickets => "assigned_ticket".to_owned(),
        About::People | About::Other => format!("assigned_{}", table.name.trim_end_matches('s')),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    Some(Reason {
        name: name.chars().map(plain).collect(),
        table: table.full_name(),
        subject: subject.to_owned(),
        actor: actor.name.clone(),
        condition: open_tickets(table),
        strong_when: opened_by_customer(table),
    })
}

/// The condition under which somebody still works on a ticket.
fn open_tickets(table: &Table) -> Option<String> {
    let column =
        |names: &[&str]| table.columns.iter().find(|column| names.contains(&column.name.as_str()));
    if let Some(status) = column(&["status", "state"]) {
        let used = values_of(status);
        let open: Vec<String> = OPEN_STATES
            .iter()
            .filter(|state| used.iter().any(|value| value == *state))
            .map(|state| literal(state))
            .collect();
        if !open.is_empty() {
            return Some(format!("{} IN ({})", status.name, open.join(", ")));
        }
    }
    let closed = column(&["closed_at", "resolved_at", "closed", "closed_on"])?;
    Some(format!("{} IS NULL", closed.name))
}

/// The condition under which the customer, and nobody else, opened a ticket.
fn opened_by_customer(table: &Table) -> Option<String> {
    let opened = ["opened_by", "created_by", "reported_by", "requester", "source"];
    for name in opened {
        let Some(column) = table.columns.iter().find(|column| column.name == name) else {
            continue;
        };
        if values_of(column).iter().any(|value| value == "customer") {
            return Some(format!("{name} = 'customer'"));
        }
    }
    let inbound = table.columns.iter().find(|column| column.name == "inbound_ref")?;
    Some(format!("{} IS NOT NULL", inbound.name))
}

fn values_of(column: &Column) -> Vec<String> {
    let mut values = column.sample.clone();
    values.sort_unstable();
    values.dedup();
    values
}
