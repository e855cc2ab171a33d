//! Limits that are checked before the text is parsed: its size, and how deep its tree can be.
//!
//! PostgreSQL's grammar needs no stack for nesting, but what comes after it (writing the tree down,
//! reading it, walking it) recurses. A tree is nowhere deeper, but for a small factor, than the
//! open parentheses, brackets and `CASE`s around a token, plus in each of them the tokens since the
//! last separator, which can make left- or right-deep chains, plus its joins and set operations.
//! That sum is bounded here, and says whether the caller's stack is enough. `pg_query` itself gives
//! up, with an error, at a tree of 100 messages.

use pg_query::protobuf::{ScanToken, Token};

use crate::SyntaxError;

/// The longest text that is looked at, in bytes.
const BYTES_MAX: usize = 2 << 20;

/// The most tokens of a text, and the most statements. What comes after takes time and memory for
/// each of them.
const TOKENS_MAX: usize = 200_000;
/// The most tokens that are more than an item of a list: the tree has nodes of many kinds for them.
const WORDS_MAX: usize = 60_000;
const STATEMENTS_MAX: usize = 1_000;

/// The greatest estimate of a tree's depth.
pub(crate) const DEPTH_MAX: usize = 1_000;

/// The greatest estimate for which the two megabytes of a usual thread are plenty: the tests pass
/// with 0.75, unoptimised.
pub(crate) const DEPTH_SHALLOW: usize = 8;

/// An open parenthesis, bracket or `CASE`.
#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    /// Tokens since the last separator.
    chain: usize,
    /// Joins and set operations, which no separator ends.
    joined: usize,
}

/// Estimates the tree's depth; refuses what is too long or too deep.
pub(crate) fn depth(tokens: &[ScanToken]) -> Result<usize, SyntaxError> {
    size(tokens)?;
    let mut outer: Vec<Frame> = Vec::new();
    let mut frame = Frame::default();
    // Of the frames outside the innermost one.
    let mut around = 0;
    let mut deepest = 0;
    for token in tokens {
        match token.token() {
            // ( [ CASE
            Token::Ascii40 | Token::Ascii91 | Token::Case => {
                around += 1 + frame.chain + frame.joined;
                outer.push(frame);
                frame = Frame::default();
            }
            // ) ] END
            Token::Ascii41 | Token::Ascii93 | Token::EndP => {
                if let Some(open) = outer.pop() {
                    around -= 1 + open.chain + open.joined;
                    frame = open;
                }
                // What follows a closed group hangs off it: `(…)::a::b`, `x[1][2]`.
                frame.chain += 1;
            }
            // ;
            Token::Ascii59 => frame = Frame::default(),
            // ,
            Token::Ascii44
            | Token::And
            | Token::Or
            | Token::Then
            | Token::When
            | Token::Else
            | Token::From
            | Token::Where
            | Token::On
            | Token::Order
            | Token::Having
            | Token::Limit
            | Token::Offset => frame.chain = 0,
            Token::Union | Token::Intersect | Token::Except | Token::Join => frame.joined += 1,
            // .
            Token::Ascii46
            | Token::Ident
            | Token::Sconst
            | Token::Iconst
            | Token::Fconst
            | Token::Param
            | Token::SqlComment
            | Token::CComment => {}
            _ => frame.chain += 1,
        }
        let depth = around + frame.chain + frame.joined;
        deepest = deepest.max(depth);
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
    }
    Ok(deepest)
}

/// Refuses what is too long to be taken apart into words.
pub(crate) fn length(sql: &str) -> Result<(), SyntaxError> {
    if sql.len() > BYTES_MAX {
        return Err(limit("54000", format!("the statement is longer than {BYTES_MAX} bytes")));
    }
    Ok(())
}

fn size(tokens: &[ScanToken]) -> Result<(), SyntaxError> {
    if tokens.len() > TOKENS_MAX {
        return Err(limit("54000", format!("the statement has more than {TOKENS_MAX} words")));
    }
    if tokens.iter().filter(|token| !is_item(token.token())).count() > WORDS_MAX {
        let message = format!("the statement has more than {WORDS_MAX} words beside constants");
        return Err(limit("54000", message));
    }
    let ends = tokens.iter().filter(|token| token.token() == Token::Ascii59).count();
    if ends > STATEMENTS_MAX {
        let message = format!("the text has more than {STATEMENTS_MAX} statements");
        return Err(limit("54000", message));
    }
    Ok(())
}

/// Whether the token is a constant, or what stands between constants in a list.
fn is_item(token: Token) -> bool {
    matches!(
        token,
        // ( ) , ;
        Token::Ascii40
            | Token::Ascii41
            | Token::Ascii44
            | Token::Ascii59
            | Token::Sconst
            | Token::Iconst
            | Token::Fconst
            | Token::Param
            | Token::SqlComment
            | Token::CComment
    )
}

/// A statement that is nested too deeply.
pub(crate) fn too_deep() -> SyntaxError {
    limit("54001", "the statement is nested too deeply".to_owned())
}

fn limit(sqlstate: &'static str, message: String) -> SyntaxError {
    SyntaxError { sqlstate, message, position: None }
}
