//! What an administrator should know of a configuration, held against the database. Where to
//! start: [`remarks`].

use crate::{
    Catalogue, Context, Rules, TableRule, Verdict, analyse,
    catalogue::{Column, Relation},
    resolve::{Resolved, Resolver},
};

/// Something that works otherwise than a reader of the configuration may think. None of it lets
/// anything out: what is doubtful is masked or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What is so.
    pub message: String,
    /// What can be done about it.
    pub help: String,
}

/// The remarks on the rules of a restricted role: protected tables that are not there, generated
/// columns that are masked, views that are refused, and what is listed as unprotected and is not.
pub fn remarks(catalogue: &Catalogue, rules: &Rules, context: Context<'_>) -> Vec<Remark> {
    let mut found = Vec::new();
    for rule in &rules.tables {
        match catalogue.relation_named(&rule.schema, &rule.table) {
            None => found.push(Remark {
                message: format!("there is no table `{}.{}`", rule.schema, rule.table),
                help: "correct the name, or remove the section".to_owned(),
            }),
            Some(relation) => {
                found.extend(relation.columns.iter().filter_map(|c| computed(relation, rule, c)));
            }
        }
    }
    let resolver = Resolver { catalogue, rules, context };
    let entries = rules.unprotected.iter().flatten();
    found.extend(entries.filter_map(|entry| wrongly_listed(entry, resolver)));
    let views = catalogue.relations().filter(|relation| matches!(relation.kind, 'v' | 'm'));
    found.extend(views.filter_map(|view| refused(view, resolver)));
    found
}

/// A generated column that shows protected ones and that the configuration does not name.
fn computed(relation: &Relation, rule: &TableRule, column: &Column) -> Option<Remark> {
    let declared = rule.columns.iter().any(|declared| declared.name == column.name);
    let free = |name: &&String| rule.clear.contains(name) || **name == rule.subject;
    let hidden = |name: &&String| !free(name);
    let from: Vec<&str> = column.reads.iter().filter(hidden).map(String::as_str).collect();
    if declared || from.is_empty() {
        return None;
    }
    let listed = if rule.clear.contains(&column.name) {
        "although it is listed as clear"
    } else {
        "and the configuration does not name it"
    };
    Some(Remark {
        message: format!(
            "column `{}` of `{}.{}` is masked, {listed}: it is computed from {}",
            column.name,
            relation.schema,
            relation.name,
            from.join(", ")
        ),
        help: format!(
            "say what it holds, as `[tables.columns.{}]` with a `class`, so that a reason can show \
             it",
            column.name
        ),
    })
}

/// An entry of `unprotected` that means nothing or something protected.
fn wrongly_listed(entry: &str, resolver: Resolver<'_>) -> Option<Remark> {
    let (schema, name) = entry.split_once('.').filter(|(_, name)| *name != "*")?;
    let Some(relation) = resolver.catalogue.relation_named(schema, name) else {
        return Some(Remark {
            message: format!("`unprotected` lists `{entry}`, and there is no such table"),
            help: "correct the name, or remove the entry".to_owned(),
        });
    };
    let why = match resolver.judge(relation) {
        Ok(Resolved::Protected(..)) => "it is protected, which goes first",
        Ok(Resolved::View(_)) => "it is a view over a protected table, whose definition is judged",
        Err(_) if resolver.reaches_protected(relation) => "it holds or has customers' records",
        Err(_) | Ok(Resolved::Plain(_) | Resolved::Catalogue { .. }) => return None,
    };
    Some(Remark {
        message: format!("`unprotected` lists `{entry}`, which has no effect: {why}"),
        help: "remove the entry; a materialized view over customers' data is declared as a table"
            .to_owned(),
    })
}

/// A view or materialized view that can't be selected from.
fn refused(view: &Relation, resolver: Resolver<'_>) -> Option<Remark> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let sql = format!("SELECT * FROM {}.{}", quoted(&view.schema), quoted(&view.name));
    let statements = analyse(&sql, resolver.catalogue, resolver.rules, resolver.context).ok()?;
    let Verdict::Refused(refusal) = statements.into_iter().next()?.verdict else { return None };
    let copies = view.kind == 'm' && resolver.reaches_protected(view);
    let (kind, help) = match (view.kind, copies) {
        (_, true) => (
            "materialized view",
            "declare it under `[[tables]]`, with the column that holds the customer's key",
        ),
        ('m', false) => ("materialized view", "select from the tables that it reads"),
        _ => ("view", "select from the tables that it reads"),
    };
    Some(Remark {
        message: format!(
            "{kind} `{}.{}` is refused to restricted roles, rule {}: {}",
            view.schema, view.name, refusal.rule, refusal.message
        ),
        help: help.to_owned(),
    })
}
