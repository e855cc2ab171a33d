//! Which names stand in a reason's condition.
//!
//! A condition is the administrator's SQL. What it reads is found by its words and not by its
//! tree: every column and table that is named is a word of the text, and taking a word too many
//! for a column only makes one more column immutable.

use std::collections::BTreeSet;

use pg_query::protobuf::{KeywordKind, Token};

use crate::SyntaxError;

/// What a condition may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConditionReads {
    /// Every word that can be a name.
    pub names: BTreeSet<String>,
    /// It holds a sub-select: other tables than the reason's may be among the names.
    pub selects: bool,
}

/// The names in a condition, which must be one expression.
pub fn condition_reads(condition: &str) -> Result<ConditionReads, SyntaxError> {
    let no = |message: &str| SyntaxError {
        sqlstate: "42601",
        message: message.to_owned(),
        position: None,
    };
    if condition.trim().is_empty() {
        return Err(no("the condition is empty"));
    }
    if crate::query::parse_condition(condition).is_none() {
        return Err(no("the condition is not one expression in SQL"));
    }
    let scanned = pg_query::scan(condition).map_err(|error| no(&error.to_string()))?;
    let mut reads = ConditionReads::default();
    let mut tokens = scanned.tokens.iter().peekable();
    while let Some(token) = tokens.next() {
        // What stands before a point qualifies a name; before `.*` it is a whole row.
        if tokens.next_if(|next| next.token() == Token::Ascii46).is_some()
            && tokens.peek().is_some_and(|next| next.token() != Token::Ascii42)
        {
            continue;
        }
        let (from, to) = (usize::try_from(token.start), usize::try_from(token.end));
        let word = from.ok().zip(to.ok()).and_then(|(from, to)| condition.get(from..to));
        let Some(word) = word else { return Err(no("the condition can't be read")) };
        match token.token() {
            Token::Uident => return Err(no("U&\"...\" can't be used in a condition")),
            Token::Select | Token::Table | Token::Values => reads.selects = true,
            Token::Ident if word.starts_with('"') => {
                let inner = word.trim_start_matches('"').trim_end_matches('"');
                reads.names.insert(inner.replace("\"\"", "\""));
            }
            Token::Ident => {
                reads.names.insert(word.to_lowercase());
            }
            _ if token.keyword_kind() != KeywordKind::NoKeyword => {
                reads.names.insert(word.to_lowercase());
            }
            _ => {}
        }
    }
    Ok(reads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(condition: &str) -> (String, bool) {
        let reads = condition_reads(condition).unwrap();
        (reads.names.into_iter().collect::<Vec<_>>().join(" "), reads.selects)
    }

    #[test]
    fn every_word_of_a_condition_counts_as_a_name() {
        assert_eq!(names("Status = 'open' AND t.\"Up To\" > now()").0, "Up To and now status");
        assert_eq!(names("state IN ('a', 'b')"), ("in state".to_owned(), false));
        assert_eq!(names("t IS NOT NULL AND u.* IS NULL AND s.v.w = 1").0, "and is not null t u w");
        assert!(names("EXISTS (SELECT 1 FROM calls)").1);
        assert!(names("id IN (TABLE calls)").1);
    }

    #[test]
    fn what_is_not_one_expression_is_no_condition() {
        for text in ["", " ", "a = ", "a; b", "a) OR (b", "true LIMIT 1", "U&\"a\" = 1"] {
            assert!(condition_reads(text).is_err(), "{text}");
        }
    }
}
