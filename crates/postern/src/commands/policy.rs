//! `postern policy`: what a policy decides, before it is in force.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use postern_policy::Policy;

use crate::{cli::PolicyCommand, ui::Outcome};

mod replay;
mod test;

pub(super) fn run(config: &Path, command: PolicyCommand) -> anyhow::Result<Outcome> {
    match command {
        PolicyCommand::Test(args) => test::run(config, &args),
        PolicyCommand::Replay(args) => replay::run(config, &args),
    }
}

/// A Cedar policy from a file.
fn read(path: &Path) -> anyhow::Result<Policy> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("can't read `{shown}`"))?;
    Policy::parse(&text).with_context(|| format!("the policy in `{shown}` can't be used"))
}

/// A column of a protected table, as `schema.table` and its name; how policy knows its class.
fn class_of(
    tables: &[postern_session::TableSettings],
    table: &str,
    column: &str,
) -> Option<postern_model::FieldClass> {
    let table = tables.iter().find(|t| table.split_once('.') == Some((&*t.schema, &*t.table)))?;
    table.columns.iter().find(|known| known.name == column).map(|column| column.class)
}

/// The rules that decided, in words.
fn by(rules: &[String]) -> Arc<str> {
    match rules {
        [] => "no rule permits it".into(),
        rules => format!("by {}", rules.join(", ")).into(),
    }
}
