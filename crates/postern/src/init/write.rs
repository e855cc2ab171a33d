//! The configuration that is proposed, as text with comments.

use std::fmt::Write as _;

use super::propose::{LeftOut, Personal, Proposal, Protected, Reason};

/// Where the guarded database is.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
    /// The file that the password was written to.
    pub(super) password_file: Option<&'static str>,
}

const HEAD: &str = "\
# The configuration of Postern, proposed by `postern init` from what it found in the database.
# Read it before you rely on it: what is not listed here is not protected.
# `postern check-config` says what it means, docs/config.md what else can be said.

[gateway]
listen = \"127.0.0.1:6432\"
";

const ROLES: &str = "
[data]
folder = \"postern-data\"

# What people may do, by the role that `postern person add NAME --role ROLE` gives them.
# Support staff: clear for the customers whom they have a reason for, masked otherwise.
[roles.agent]
kind = \"restricted\"
budgets = [
    { count = \"clear_subjects\", window = \"1h\", max = 60 },
    { count = \"clear_subjects\", window = \"1d\", max = 250 },
    { count = \"weak_subjects\", window = \"1d\", max = 20 },
    { count = \"masked_subjects\", window = \"1h\", max = 500 },
    { count = \"lookups\", window = \"1h\", max = 60 },
    { count = \"lookup_misses\", window = \"1h\", max = 20 },
]

# Those who must see everything, e.g. for an approved export: every record is counted and recorded.
[roles.administrator]
kind = \"accounted\"
budgets = [{ count = \"clear_subjects\", window = \"1d\", max = 100000 }]
";

const NO_TABLES: &str = "
# No personal data was found. To protect a table anyway, say which and by what key:
#
# [[tables]]
# name = \"public.customers\"
# subject = \"id\"                # the column with the customer's key
# clear = [\"id\", \"plan\"]        # what anybody may see; every other column is masked
# [tables.columns.email]
# class = \"email\"
# lookup = true                 # may be searched for by its exact value
";

const NO_REASONS: &str = "
# No table was found that says who works for which customer. Without a reason nobody of a
# restricted role sees anything in clear. One could look like this:
#
# [[reasons]]
# name = \"assigned_ticket\"
# table = \"public.tickets\"      # must be one of the tables above
# subject = \"customer_id\"
# actor = \"assignee\"            # the column with the account's name
# where = \"status IN ('open', 'pending')\"
# strong_when = \"opened_by = 'customer'\"
";

const WATCH: &str = "
[watch]
# How many false alarms are acceptable: alerts in a day for every hundred people.
alerts_per_100_agents_per_day = 0.1
# Add \"unexplained_share\" once you trust it: a finding of that kind then suspends at once.
suspend_on = [\"decoy_read\", \"leaver_session\"]
";

pub(super) fn configuration(upstream: &Upstream, proposal: &Proposal) -> String {
    let mut text = HEAD.to_owned();
    write_upstream(upstream, &mut text);
    write_unprotected(&proposal.unprotected, &mut text);
    text.push_str(ROLES);
    if proposal.tables.is_empty() {
        text.push_str(NO_TABLES);
    }
    proposal.tables.iter().for_each(|table| write_table(table, &mut text));
    proposal.left_out.iter().for_each(|table| write_left_out(table, &mut text));
    if proposal.reasons.is_empty() {
        text.push_str(NO_REASONS);
    }
    proposal.reasons.iter().for_each(|reason| write_reason(reason, &mut text));
    text.push_str(WATCH);
    text
}

fn write_upstream(upstream: &Upstream, text: &mut String) {
    let _ = write!(
        text,
        "\n[upstream]\nhost = {}\nport = {}\ndatabase = {}\nuser = {}\n",
        quoted(&upstream.host),
        upstream.port,
        quoted(&upstream.database),
        quoted(&upstream.user)
    );
    match upstream.password_file {
        Some(file) => {
            let _ = writeln!(text, "password_file = {}", quoted(file));
        }
        None => text.push_str("# password_file = \"upstream.password\"\n"),
    }
}

fn write_unprotected(tables: &[String], text: &mut String) {
    text.push_str(
        "# Tables without anything of customers. One that is neither here nor under [[tables]] is\n\
         # refused: it could be a copy. Leave the key out to let everything else be read.\n\
         unprotected = [",
    );
    for table in tables {
        let _ = write!(text, "\n    {},", quoted(table));
    }
    text.push_str(if tables.is_empty() { "]\n" } else { "\n]\n" });
}

fn write_table(table: &Protected, text: &mut String) {
    let _ = write!(
        text,
        "\n[[tables]]\nname = {}\nsubject = {}    # {}\nclear = [{}]\n",
        quoted(&table.name),
        quoted(&table.subject),
        table.tie,
        table.clear.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
    );
    if !table.unsaid.is_empty() {
        let unsaid = table.unsaid.join(", ");
        let _ =
            writeln!(text, "# Masked; move to `clear` what anybody may see: {}", one_line(&unsaid));
    }
    for column in &table.columns {
        write_column(column, "", text);
    }
}

fn write_column(column: &Personal, comment: &str, text: &mut String) {
    let guess = &column.guess;
    let _ = write!(
        text,
        "{comment}[tables.columns.{}]\n{comment}class = {}    # {}: {}\n",
        key(&column.name),
        quoted(guess.class.as_str()),
        guess.sure.as_str(),
        one_line(&guess.evidence)
    );
    if column.lookup {
        let _ = writeln!(text, "{comment}lookup = true");
    }
}

fn write_left_out(table: &LeftOut, text: &mut String) {
    let _ = write!(
        text,
        "\n# NOT protected, though it looks personal: {}.\n\
         # To protect it, give the column that holds the customer's key:\n\
         # [[tables]]\n# name = {}\n# subject = \"?\"\n",
        table.why,
        quoted(&table.table)
    );
    for column in &table.columns {
        write_column(column, "# ", text);
    }
}

fn write_reason(reason: &Reason, text: &mut String) {
    let _ = write!(
        text,
        "\n[[reasons]]\nname = {}\ntable = {}\nsubject = {}\nactor = {}\n",
        quoted(&reason.name),
        quoted(&reason.table),
        quoted(&reason.subject),
        quoted(&reason.actor)
    );
    match &reason.condition {
        Some(condition) => {
            let _ = writeln!(text, "where = {}", quoted(condition));
        }
        None => text.push_str("# where = \"…\"    # every row counts; say which are still open\n"),
    }
    match &reason.strong_when {
        Some(condition) => {
            let _ = writeln!(text, "strong_when = {}", quoted(condition));
        }
        None => text.push_str(
            "# Nothing says who opened it, so the reason is weak: anybody could make it.\n\
             # strong_when = \"…\"\n",
        ),
    }
    let _ = write!(
        text,
        "# To let people take what waits with {} empty, say what waits longest:\n\
         # [reasons.take]\n# order = [\"…\"]\n",
        one_line(&reason.actor)
    );
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A TOML key.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// A comment ends with its line; names come from the database.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
