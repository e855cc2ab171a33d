//! COPY to and from the client.
//!
//! `COPY table TO` a protected table is the SELECT of its columns, and a SELECT is judged as any
//! other. `COPY table FROM` is judged as an INSERT into the table. Files and programs of the
//! server are not for clients. The options are printed anew, so that the form of the rows is known.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{
    Copy, CopyForm, Effect, Plain, Verdict,
    analyse::{query_verdict, text_verdict},
    ast,
    catalogue::Relation,
    query::{skipped, unaccounted},
    quote::{identifier, literal},
    refusal::{Judged, not_understood, refuse},
    resolve::{Resolved, Resolver},
};

pub(crate) fn judge(copy: &pb::CopyStmt, resolver: Resolver<'_>) -> Judged<Verdict> {
    let pb::CopyStmt {
        relation,
        query,
        attlist,
        is_from,
        is_program,
        filename,
        options,
        where_clause,
    } = copy;
    if *is_program || !filename.is_empty() {
        return refuse(
            "copy",
            "files and programs of the database server can't be used by this role",
            r"use STDIN or STDOUT; psql's \copy reads and writes files of your own",
        );
    }
    if where_clause.is_some() {
        return not_understood("COPY with WHERE");
    }
    let prefix = resolver.context.prefix;
    let parsed = Options::read(options, *is_from, prefix)?;
    match (relation, query.as_ref().and_then(|query| query.node.as_ref())) {
        (Some(range), None) if *is_from => copy_in(range, attlist, &parsed, resolver),
        (Some(range), None) => copy_table(range, attlist, &parsed, resolver),
        (None, Some(query @ NodeEnum::SelectStmt(_))) => {
            copy_query(query_verdict(query.clone(), resolver)?, &parsed)
        }
        _ => not_understood("COPY of anything but a table or a SELECT"),
    }
}

fn copy_query(query: Verdict, options: &Options) -> Judged<Verdict> {
    match query {
        Verdict::Plain(plain) => {
            let sql = format!("COPY ({}) TO STDOUT{}", plain.sql, options.text());
            let new = Plain::new(sql, plain.effect, plain.client_parameters);
            Ok(Verdict::Plain(Plain { draws: plain.draws, ..new }))
        }
        Verdict::Guarded(query) if query.passed.is_some() => Err(skipped()),
        Verdict::Guarded(query) if query.writes => {
            not_understood("COPY of what a write to a protected table gives")
        }
        Verdict::Guarded(query) if query.keys.iter().any(|key| key.many) => unaccounted(),
        Verdict::Guarded(query) => {
            Ok(Verdict::Copy(Copy { query, options: options.text(), form: options.form()? }))
        }
        Verdict::Refused(refusal) => Err(refusal),
        Verdict::Local(_) | Verdict::Named(_) | Verdict::Copy(_) => {
            not_understood("COPY of this kind of statement")
        }
    }
}

fn copy_table(
    range: &pb::RangeVar,
    columns: &[Node],
    options: &Options,
    resolver: Resolver<'_>,
) -> Judged<Verdict> {
    match resolver.relation(range)? {
        Resolved::Plain(relation) if relation.kind == 'r' => {
            let names = listed(columns, relation)?;
            let sql = format!("COPY {}{names} TO STDOUT{}", table_text(relation), options.text());
            Ok(Verdict::Plain(Plain::new(sql, Effect::Query, 0)))
        }
        Resolved::Protected(relation, _) if relation.kind == 'r' => {
            let names: Vec<&str> = if columns.is_empty() {
                let written = relation.columns.iter().filter(|column| column.generated.is_empty());
                written.map(|column| column.name.as_str()).collect()
            } else {
                ast::names(columns).unwrap_or_default()
            };
            let alias = relation.name.as_str();
            let targets =
                names.iter().map(|name| ast::target(name, ast::column(&[alias, name]))).collect();
            let from = pb::RangeVar {
                schemaname: relation.schema.clone(),
                relname: relation.name.clone(),
                inh: false,
                relpersistence: "p".to_owned(),
                ..pb::RangeVar::default()
            };
            let select = ast::select(targets, vec![ast::node(NodeEnum::RangeVar(from))], None);
            let Some(select) = select.node else { return not_understood("this COPY") };
            copy_query(query_verdict(select, resolver)?, options)
        }
        Resolved::Plain(_)
        | Resolved::Protected(..)
        | Resolved::View(_)
        | Resolved::Catalogue { .. } => refuse(
            "copy",
            "only a table itself can be copied by its name",
            "copy a query: COPY (SELECT … FROM …) TO STDOUT",
        ),
    }
}

/// Whoever may insert into the table may copy into it: triggers, constraints and foreign keys act
/// in the same way.
fn copy_in(
    range: &pb::RangeVar,
    columns: &[Node],
    options: &Options,
    resolver: Resolver<'_>,
) -> Judged<Verdict> {
    let Resolved::Plain(relation) = resolver.relation(range)? else {
        return refuse(
            "protected_write",
            format!("`{}` is protected and can't be copied into", range.relname),
            "insert row by row, where the administrator allows it",
        );
    };
    let names = listed(columns, relation)?;
    let target = pb::RangeVar { alias: None, ..range.clone() };
    let targets: Vec<Node> = ast::names(columns)
        .unwrap_or_default()
        .into_iter()
        .map(|name| {
            let target = pb::ResTarget { name: name.to_owned(), ..pb::ResTarget::default() };
            ast::node(NodeEnum::ResTarget(Box::new(target)))
        })
        .collect();
    let count = targets.len().max(1);
    let values = ast::values(vec![ast::null(); count]);
    let insert = NodeEnum::InsertStmt(Box::new(pb::InsertStmt {
        relation: Some(target),
        cols: targets,
        select_stmt: Some(Box::new(ast::node(values))),
        r#override: pb::OverridingKind::OverridingNotSet as i32,
        ..pb::InsertStmt::default()
    }));
    match text_verdict(insert, resolver)? {
        Verdict::Plain(_) => {
            let sql = format!("COPY {}{names} FROM STDIN{}", table_text(relation), options.text());
            Ok(Verdict::Plain(Plain::new(sql, Effect::CopyIn, 0)))
        }
        Verdict::Refused(refusal) => Err(refusal),
        Verdict::Guarded(_) | Verdict::Local(_) | Verdict::Named(_) | Verdict::Copy(_) => {
            not_understood("COPY into this table")
        }
    }
}

/// The column list as it is sent; empty for none.
fn listed(columns: &[Node], relation: &Relation) -> Judged<String> {
    let Some(names) = ast::names(columns) else { return not_understood("this column list") };
    for name in &names {
        if !relation.columns.iter().any(|column| column.name == *name) {
            return not_understood("a column list with what is no column of the table");
        }
    }
    let names: Vec<String> = names.into_iter().map(identifier).collect();
    Ok(if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) })
}

fn table_text(relation: &Relation) -> String {
    format!("{}.{}", identifier(&relation.schema), identifier(&relation.name))
}

/// The options of a COPY, in the order in which they are printed.
#[derive(Debug, Default)]
struct Options {
    format: Option<&'static str>,
    delimiter: Option<u8>,
    null: Option<String>,
    header: Option<&'static str>,
    quote: Option<u8>,
    escape: Option<u8>,
    /// `FORCE_QUOTE` and the like, with their columns.
    forced: Vec<(&'static str, String)>,
}

impl Options {
    fn read(nodes: &[Node], is_from: bool, prefix: &str) -> Judged<Self> {
        let mut options = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for node in nodes {
            let Some(NodeEnum::DefElem(option)) = &node.node else {
                return not_understood("this option of COPY");
            };
            let name = option.defname.as_str();
            if seen.contains(&name) || !option.defnamespace.is_empty() {
                return not_understood("an option of COPY that is given twice");
            }
            seen.push(name);
            options.take(name, option.arg.as_deref(), is_from, prefix)?;
        }
        Ok(options)
    }

    fn take(
        &mut self,
        name: &str,
        value: Option<&Node>,
        is_from: bool,
        prefix: &str,
    ) -> Judged<()> {
        let text = word(value);
        let unknown = || not_understood("this option of COPY");
        if text.as_ref().is_some_and(|text| text.contains(prefix)) {
            return unknown();
        }
        match (name, text) {
            ("format", Some(text)) => {
                let known = ["text", "csv", "binary"].into_iter().find(|known| *known == text);
                let Some(known) = known else { return unknown() };
                self.format = Some(known);
            }
            ("delimiter", Some(text)) => self.delimiter = Some(single(&text)?),
            ("quote", Some(text)) => self.quote = Some(single(&text)?),
            ("escape", Some(text)) => self.escape = Some(single(&text)?),
            ("null", Some(text)) if !text.contains(['\n', '\r']) => self.null = Some(text),
            ("header", text) => {
                self.header = match text.as_deref().map(str::to_ascii_lowercase).as_deref() {
                    Some("true" | "on" | "1") => Some("true"),
                    Some("false" | "off" | "0") => Some("false"),
                    Some("match") if is_from => Some("match"),
                    None if value.is_none() => Some("true"),
                    None | Some(_) => return unknown(),
                }
            }
            // The gateway's connections speak UTF-8.
            ("encoding", Some(text)) => {
                let text = text.to_ascii_lowercase();
                if !matches!(text.as_str(), "utf8" | "utf-8" | "unicode") {
                    return unknown();
                }
            }
            ("force_quote", None) if !is_from => self.force("FORCE_QUOTE", value, prefix)?,
            ("force_null", None) if is_from => self.force("FORCE_NULL", value, prefix)?,
            ("force_not_null", None) if is_from => self.force("FORCE_NOT_NULL", value, prefix)?,
            _ => return unknown(),
        }
        Ok(())
    }

    fn force(&mut self, name: &'static str, value: Option<&Node>, prefix: &str) -> Judged<()> {
        let columns = match value.and_then(|value| value.node.as_ref()) {
            Some(NodeEnum::AStar(_)) => "*".to_owned(),
            Some(NodeEnum::List(list)) => match ast::names(&list.items) {
                Some(names) if names.iter().all(|name| !name.contains(prefix)) => {
                    let names: Vec<String> = names.into_iter().map(identifier).collect();
                    format!("({})", names.join(", "))
                }
                Some(_) | None => return not_understood("this column list"),
            },
            Some(_) | None => return not_understood("this column list"),
        };
        self.forced.push((name, columns));
        Ok(())
    }

    fn text(&self) -> String {
        let byte = |name: &str, byte: Option<u8>| {
            byte.map(|byte| format!("{name} {}", literal(&char::from(byte).to_string())))
        };
        let words = [
            self.format.map(|format| format!("FORMAT {format}")),
            byte("DELIMITER", self.delimiter),
            self.null.as_ref().map(|null| format!("NULL {}", literal(null))),
            self.header.map(|header| format!("HEADER {header}")),
            byte("QUOTE", self.quote),
            byte("ESCAPE", self.escape),
        ];
        let forced = self.forced.iter().map(|(name, columns)| format!("{name} {columns}"));
        let words: Vec<String> = words.into_iter().flatten().chain(forced).collect();
        if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
    }

    /// What tells the values of a row apart; refused where it can't be told for sure.
    fn form(&self) -> Judged<CopyForm> {
        let header = self.header == Some("true");
        let ambiguous = || not_understood("this combination of DELIMITER, NULL, QUOTE and ESCAPE");
        match self.format {
            Some("binary") => Ok(CopyForm::Binary),
            Some("csv") => {
                let delimiter = self.delimiter.unwrap_or(b',');
                let quote = self.quote.unwrap_or(b'"');
                let escape = self.escape.unwrap_or(quote);
                let null = self.null.clone().unwrap_or_default();
                let mixed = null.bytes().any(|byte| byte == delimiter || byte == quote);
                if delimiter == quote || delimiter == escape || mixed {
                    return ambiguous();
                }
                Ok(CopyForm::Csv { delimiter, quote, escape, null, header })
            }
            _ => {
                let delimiter = self.delimiter.unwrap_or(b'\t');
                let null = self.null.clone().unwrap_or_else(|| r"\N".to_owned());
                let letter = delimiter.is_ascii_lowercase() || delimiter.is_ascii_digit();
                let escapes = null.contains('\\') && null != r"\N";
                if letter
                    || matches!(delimiter, b'\\' | b'.')
                    || escapes
                    || null.bytes().any(|byte| byte == delimiter)
                {
                    return ambiguous();
                }
                Ok(CopyForm::Text { delimiter, null, header })
            }
        }
    }
}

fn word(value: Option<&Node>) -> Option<String> {
    match value?.node.as_ref()? {
        NodeEnum::String(pb::String { sval }) => Some(sval.clone()),
        NodeEnum::Integer(pb::Integer { ival }) => Some(ival.to_string()),
        NodeEnum::Boolean(pb::Boolean { boolval }) => Some(boolval.to_string()),
        _ => None,
    }
}

/// A character of one byte that does not end a line.
fn single(text: &str) -> Judged<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
        _ => not_understood("an option of COPY that is not a single one-byte character"),
    }
}
