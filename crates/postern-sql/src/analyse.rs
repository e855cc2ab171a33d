//! From a text to verdicts: split, bound, parse, judge.

use pg_query::{
    NodeEnum,
    protobuf::{RawStmt, ScanToken, Token},
};
use postern_model::StatementFingerprint;

use crate::{
    Catalogue, Context, Local, Rules, Statement, SyntaxError, Verdict, nesting,
    refusal::not_understood,
};

/// Judges each statement of `sql`; an empty text gives one [`Local::Empty`].
pub fn analyse(
    sql: &str,
    catalogue: &Catalogue,
    rules: &Rules,
    context: Context<'_>,
) -> Result<Vec<Statement>, SyntaxError> {
    let tokens = pg_query::scan_tokens(sql).map_err(|error| syntax_error(&error))?;
    nesting::check(sql, &tokens)?;
    let parsed = pg_query::parse(sql, 0).map_err(|error| syntax_error(&error))?;
    if parsed.protobuf.stmts.is_empty() {
        return Ok(vec![Statement {
            verdict: Verdict::Local(Local::Empty),
            fingerprint: StatementFingerprint(0),
            normalized: String::new(),
        }]);
    }
    let statements = parsed.protobuf.stmts;
    Ok(statements
        .into_iter()
        .map(|raw| {
            let text = slice(sql, &raw);
            let fingerprint = pg_query::fingerprint(text, 0, 0).map_or(0, |found| found.value);
            Statement {
                normalized: normalized(sql, &tokens, &raw),
                fingerprint: StatementFingerprint(fingerprint),
                verdict: verdict(raw, catalogue, rules, context),
            }
        })
        .collect())
}

fn verdict(raw: RawStmt, catalogue: &Catalogue, rules: &Rules, context: Context<'_>) -> Verdict {
    let _ = (catalogue, rules, context);
    let Some(node) = raw.stmt.and_then(|node| node.node) else {
        return Verdict::Local(Local::Empty);
    };
    let judged: Result<Verdict, _> = match node {
        NodeEnum::SelectStmt(_) => not_understood("SELECT"),
        _ => not_understood("this kind of statement"),
    };
    judged.unwrap_or_else(Verdict::Refused)
}

/// A statement's own text within the text that holds it.
fn slice<'a>(sql: &'a str, raw: &RawStmt) -> &'a str {
    let (start, end) = bounds(sql, raw);
    sql.get(start..end).unwrap_or(sql)
}

fn bounds(sql: &str, raw: &RawStmt) -> (usize, usize) {
    let start = usize::try_from(raw.stmt_location).unwrap_or_default();
    let length = usize::try_from(raw.stmt_len).unwrap_or_default();
    (start, if length == 0 { sql.len() } else { start.saturating_add(length) })
}

/// The text with `?` for each literal, without comments, white space made one space.
fn normalized(sql: &str, tokens: &[ScanToken], raw: &RawStmt) -> String {
    let (start, end) = bounds(sql, raw);
    let mut text = String::new();
    for token in tokens {
        let (Ok(from), Ok(to)) = (usize::try_from(token.start), usize::try_from(token.end)) else {
            continue;
        };
        if from < start || to > end {
            continue;
        }
        let word = match token.token() {
            Token::SqlComment | Token::CComment => continue,
            Token::Sconst
            | Token::Usconst
            | Token::Bconst
            | Token::Xconst
            | Token::Iconst
            | Token::Fconst => "?",
            _ => sql.get(from..to).unwrap_or("?"),
        };
        let tight = matches!(word, "," | ")" | "." | "]" | "::" | ";" | "[")
            || text.ends_with(['(', '.', '['])
            || text.ends_with("::");
        if !text.is_empty() && !tight {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

fn syntax_error(error: &pg_query::Error) -> SyntaxError {
    match error {
        pg_query::Error::Decode(_) => SyntaxError {
            sqlstate: "54001",
            message: "the statement is nested too deeply".to_owned(),
            position: None,
        },
        other => {
            let text = other.to_string();
            let message = text.strip_prefix("Invalid statement: ").unwrap_or(&text);
            SyntaxError { sqlstate: "42601", message: message.to_owned(), position: None }
        }
    }
}
