//! Limits that are checked before the text is parsed: its size, and how deep its tree can be.
//!
//! PostgreSQL's grammar needs no stack for nesting, but what comes after it (writing the tree down,
//! reading it, walking it) recurses. A tree is nowhere deeper than the open parentheses, brackets
//! and `CASE`s around a token, plus, in each of them, the tokens since the last separator that make
//! left- or right-deep chains. So that sum is bounded here; `pg_query` itself gives up at a tree
//! depth of about 50, with an error.

use pg_query::protobuf::{ScanToken, Token};

use crate::SyntaxError;

/// The longest text that is looked at, in bytes.
const BYTES_MAX: usize = 2 << 20;

/// The greatest estimate of a tree's depth.
const DEPTH_MAX: usize = 1_000;

/// Refuses what is too long or too deep.
pub(crate) fn check(sql: &str, tokens: &[ScanToken]) -> Result<(), SyntaxError> {
    if sql.len() > BYTES_MAX {
        return Err(limit("54000", format!("the statement is longer than {BYTES_MAX} bytes")));
    }
    let mut frames: Vec<usize> = vec![0];
    let mut depth = 0;
    for token in tokens {
        match token.token() {
            // ( [ CASE
            Token::Ascii40 | Token::Ascii91 | Token::Case => {
                frames.push(0);
                depth += 1;
            }
            // ) ] END
            Token::Ascii41 | Token::Ascii93 | Token::EndP => {
                if frames.len() > 1 {
                    depth -= 1 + frames.pop().unwrap_or_default();
                }
                // What follows a closed group hangs off it: `(…)::a::b`, `x[1][2]`, `f()()`.
                count(&mut frames, &mut depth);
            }
            // , ;
            Token::Ascii44 | Token::Ascii59 => reset(&mut frames, &mut depth),
            Token::And | Token::Or | Token::Then | Token::When | Token::Else => {
                reset(&mut frames, &mut depth);
            }
            Token::Ident
            | Token::Sconst
            | Token::Iconst
            | Token::Fconst
            | Token::Param
            | Token::SqlComment
            | Token::CComment
            | Token::Ascii46 => {}
            _ => count(&mut frames, &mut depth),
        }
        if depth > DEPTH_MAX {
            return Err(limit("54001", "the statement is nested too deeply".to_owned()));
        }
    }
    Ok(())
}

fn count(frames: &mut [usize], depth: &mut usize) {
    if let Some(frame) = frames.last_mut() {
        *frame += 1;
        *depth += 1;
    }
}

fn reset(frames: &mut [usize], depth: &mut usize) {
    if let Some(frame) = frames.last_mut() {
        *depth -= *frame;
        *frame = 0;
    }
}

fn limit(sqlstate: &'static str, message: String) -> SyntaxError {
    SyntaxError { sqlstate, message, position: None }
}
