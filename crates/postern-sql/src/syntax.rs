//! A text that the grammar does not accept, and where the fault is.

use pg_query::protobuf::ScanToken;

use crate::{SyntaxError, nesting};

/// Where the fault is, is looked for in texts of at most so many bytes.
const LOOKED_BYTES_MAX: usize = 16 * 1024;
/// And at so many of the words that it can be.
const LOOKED_WORDS_MAX: usize = 64;

/// What the parser says of `sql`.
pub(crate) fn error(error: &pg_query::Error, sql: &str, tokens: &[ScanToken]) -> SyntaxError {
    if matches!(error, pg_query::Error::Decode(_)) {
        return nesting::too_deep();
    }
    let message = message(error);
    let position = position(&message, sql, tokens);
    SyntaxError { sqlstate: "42601", message, position }
}

/// The parser's own words.
fn message(error: &pg_query::Error) -> String {
    let text = error.to_string();
    let prefixes = ["Invalid statement: ", "Error scanning: "];
    let stripped = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    stripped.unwrap_or(&text).to_owned()
}

/// Where the fault is, in characters counted from 1. The parser gives the word at which it stops,
/// not the place: that is the first such word with which the text up to it fails like the whole,
/// because the parser reads on by one word at a time.
fn position(message: &str, sql: &str, tokens: &[ScanToken]) -> Option<usize> {
    if sql.len() > LOOKED_BYTES_MAX {
        return None;
    }
    let place = |end: usize| sql.get(..end).map(|before| before.chars().count() + 1);
    if message.ends_with("at end of input") {
        return place(sql.len());
    }
    let word = message.split_once(" at or near \"")?.1.strip_suffix('"')?;
    // A text that can't be taken apart into words: what is quoted is the rest of it.
    if tokens.is_empty() {
        return sql.strip_suffix(word).and_then(|before| place(before.len()));
    }
    let spans = tokens.iter().filter_map(|token| {
        let (start, end) = (usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?);
        (sql.get(start..end)? == word).then_some((start, end))
    });
    let fails = |end: usize| {
        let parsed = pg_query::parse(sql.get(..end).unwrap_or_default(), 0);
        parsed.is_err_and(|error| self::message(&error) == message)
    };
    let found = spans.take(LOOKED_WORDS_MAX).find(|(_, end)| fails(*end));
    found.and_then(|(start, _)| place(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position_of(sql: &str) -> Option<usize> {
        let tokens = pg_query::scan_tokens(sql).unwrap_or_default();
        let failed = pg_query::parse(sql, 0).expect_err(sql);
        error(&failed, sql, &tokens).position
    }

    /// The text before the place that PostgreSQL names for the marked text.
    fn check(marked: &str) {
        let (before, after) = marked.split_once('|').unwrap();
        let sql = format!("{before}{after}");
        assert_eq!(position_of(&sql), Some(before.chars().count() + 1), "{marked}");
    }

    #[test]
    fn the_place_is_the_words_where_the_parser_stops() {
        check("|SELEC 1");
        check("SELECT FROM t WHERE |WHERE a");
        check("SELECT a, b, |FROM, a");
        check("SELECT 'größer', 1 |2");
        check("SELECT (1|");
        check("INSERT INTO t VALUES (1, 2|");
        check("SELECT a FROM t ORDER |a");
        check("SELECT a FROM a JOIN a ON a |a");
        check("SELECT 1; SELECT 2; |SELEC 3");
        check("SELECT 'größer', |'a");
        check("SELECT 1 FROM |\"b");
    }
}
