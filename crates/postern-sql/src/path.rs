//! Where a session looks for names that have no schema: `search_path`.
//!
//! What is judged is written with the schema of each relation, function and type, so that a path
//! that the server had otherwise would make nothing mean something else; the server is told of it
//! for what it prints, and for the names that it is given as text.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf as pb};

use crate::{
    Context, Effect, OwnChange, Plain, Refusal, ast,
    own::TEMPORARY,
    quote::{identifier, literal},
    refusal::{Judged, refuse},
    setting::SetConfig,
    utility::Utility,
};

/// The setting.
pub(crate) const SETTING: &str = "search_path";

/// A session's path has so many schemas at most.
const SCHEMAS_MAX: usize = 100;

/// What a name can be as long as; the rest of a longer one is cut off (`NAMEDATALEN`).
const NAME_BYTES_MAX: usize = 63;

/// The schemas of a value of `search_path`, in order, as `SplitIdentifierString` reads it
/// (src/backend/utils/adt/varlena.c). Those that are looked into before all others are left out,
/// and the account's own, which nobody has.
///
/// # Errors
///
/// A refusal where it is no list of names, or names what can't be looked into so.
pub fn search_path(value: &str) -> Result<Vec<String>, Refusal> {
    match split(value) {
        Some(schemas) => checked(schemas),
        None => Err(Refusal {
            sqlstate: "22023",
            rule: "setting",
            message: "invalid value for parameter \"search_path\": \"List syntax is invalid.\""
                .to_owned(),
            hint: String::new(),
            position: None,
        }),
    }
}

/// A path as a value of the setting, with quotes where they are needed.
pub fn written_path(schemas: &[String]) -> String {
    let plain = |schema: &str| {
        schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let each = schemas.iter().map(
        |schema| {
            if plain(schema) { schema.clone() } else { identifier(schema) }
        },
    );
    each.collect::<Vec<String>>().join(", ")
}

impl<'a> Context<'a> {
    /// With the path of the session in the place of the gateway's.
    pub(crate) fn on_its_path(self) -> Self {
        let Some(own) = self.own else { return self };
        let pinned = self.search_path;
        let search_path = own.path().unwrap_or(pinned);
        let home = own.start().unwrap_or(pinned);
        // Under the first part of a path a name means the same, or nothing.
        let is_astray = !own.is_within(pinned) || !pinned.starts_with(search_path);
        Self { search_path, home, is_astray, ..self }
    }

    /// A refusal with what it has to do with the path.
    pub(crate) fn explained(&self, mut refusal: Refusal) -> Refusal {
        const RUNS: [&str; 4] = ["function", "relation", "type", "write"];
        if self.is_astray && RUNS.contains(&refusal.rule) {
            refusal.hint.push_str(
                "; functions of the database's own run under the gateway's search path only: SET \
                 search_path TO DEFAULT, outside of a transaction",
            );
        }
        refusal
    }
}

fn checked(mut schemas: Vec<String>) -> Judged<Vec<String>> {
    if schemas.first().is_some_and(|first| first == TEMPORARY) {
        schemas.remove(0);
    }
    schemas.retain(|schema| !matches!(schema.as_str(), "" | "$user" | "pg_catalog"));
    let other = schemas.iter().find(|schema| schema.starts_with("pg_"));
    if let Some(other) = other {
        return refuse(
            "setting",
            format!("`{other}` can't be in the search path at this place"),
            "name the database's own schemas; temporary tables are looked for before all others",
        );
    }
    if schemas.len() > SCHEMAS_MAX {
        return refuse(
            "setting",
            format!("a search path of {} schemas is too long", schemas.len()),
            "name fewer schemas",
        );
    }
    Ok(schemas)
}

fn split(value: &str) -> Option<Vec<String>> {
    let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
    let mut rest = value.trim_start_matches(space);
    let mut names = Vec::new();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let name;
        (name, rest) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_name(quoted)?
        } else {
            let end = rest.find(|c: char| c == ',' || space(c)).unwrap_or(rest.len());
            let (name, rest) = rest.split_at_checked(end)?;
            // Letters beyond ASCII stay as they are in the encodings of several bytes.
            (!name.is_empty()).then(|| (name.to_ascii_lowercase(), rest))?
        };
        let cut = name.floor_char_boundary(NAME_BYTES_MAX);
        names.push(name.get(..cut)?.to_owned());
        rest = rest.trim_start_matches(space);
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start_matches(space);
    }
}

/// A name up to the quote that ends it, and what is behind that.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, behind) = rest.split_once('"')?;
        name.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}

/// `SET search_path`, with the schemas that it names; `None` for those that the session began
/// with. What it sets is written anew.
pub(crate) fn set(
    set: &mut pb::VariableSetStmt,
    schemas: Option<Vec<String>>,
    context: Context<'_>,
) -> Judged<Utility> {
    let schemas = schemas.map(checked).transpose()?;
    let change = change(schemas.as_deref(), set.is_local, context);
    if let Some(schemas) = schemas {
        let none = schemas.is_empty().then(String::new);
        set.args = schemas.into_iter().chain(none).map(|schema| ast::constant(&schema)).collect();
    }
    match change {
        Some(change) => Ok(Utility::Forward(Effect::Setting, Some(change))),
        None => {
            let reset = set.kind() == pb::VariableSetKind::VarReset;
            Ok(Utility::Local(crate::Local::Tag(if reset { "RESET" } else { "SET" })))
        }
    }
}

/// What names mean from now on; `None` where they mean what they meant.
fn change(schemas: Option<&[String]>, local: bool, context: Context<'_>) -> Option<OwnChange> {
    let schemas = schemas.filter(|schemas| *schemas != context.home);
    if schemas.is_none() && context.own.is_none_or(|own| own.is_at_home()) {
        return None;
    }
    Some(OwnChange::Path { schemas: schemas.map(Arc::from), local })
}

/// All settings are what they were when the session began.
pub(crate) fn reset(context: Context<'_>) -> Option<OwnChange> {
    change(None, false, context)
}

/// `SELECT set_config('search_path', PATH, IS_LOCAL)` and nothing else; `None` if it is another
/// statement. pg_dump begins with it.
pub(crate) fn call(node: &NodeEnum, context: Context<'_>) -> Option<Judged<Plain>> {
    let found = SetConfig::of(node).filter(|found| found.name == SETTING)?;
    if !found.is_alone {
        return None;
    }
    let (Some(value), Some(local)) = (found.text(), found.is_local()) else { return None };
    if value.contains(context.prefix) {
        return None;
    }
    Some(search_path(value).map(|schemas| {
        let change = change(Some(&schemas), local, context);
        let (value, name) = (literal(&written_path(&schemas)), identifier(found.column));
        let sql = format!("SELECT pg_catalog.set_config('{SETTING}', {value}, {local}) AS {name}");
        Plain { changes: change.into_iter().collect(), ..Plain::new(sql, Effect::Setting, 0) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_the_server_reads_them() {
        for (value, expected) in [
            ("", &[] as &[&str]),
            ("  ", &[]),
            ("public", &["public"]),
            (" Public ,\tsales ", &["public", "sales"]),
            ("\"Public\", \"a,b\" ,\"say \"\"hi\"\"\"", &["Public", "a,b", "say \"hi\""]),
            ("\"$user\", public", &["public"]),
            ("pg_temp, public, pg_catalog", &["public"]),
            ("\"\"", &[]),
        ] {
            assert_eq!(search_path(value).unwrap(), expected, "{value}");
        }
        let long = "x".repeat(70);
        assert_eq!(search_path(&long).unwrap(), ["x".repeat(63)]);
        for value in [",", "a,", ",a", "a b", "\"a", "a\"b\" c", "\"a\"b"] {
            assert_eq!(search_path(value).unwrap_err().sqlstate, "22023", "{value}");
        }
        for value in ["public, pg_temp", "pg_temp_3", "pg_toast"] {
            assert_eq!(search_path(value).unwrap_err().rule, "setting", "{value}");
        }
        let many = vec!["s"; SCHEMAS_MAX + 1].join(",");
        assert_eq!(search_path(&many).unwrap_err().rule, "setting");
    }
}
