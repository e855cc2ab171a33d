//! SQL text with holes for what depends on who asks.

use pg_query::protobuf::Token;

use crate::{KeySet, KeyType, quote::push_literal};

/// What the gateway fills in when a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hole {
    /// The actor's keys of a set, as the text of an array of this type.
    Keys(KeySet, KeyType),
    /// The actor's name.
    Actor,
}

/// Text of a statement, with holes for the actor's name and key sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Hole(Hole),
    /// A parameter of the client's, by its number.
    Parameter(usize),
}

impl Template {
    /// Cuts `sql` at each `'<marker><n>'`, where `n` is an index into `holes`. `None` if a marker
    /// is left over or one of the holes is missing: then the text is not what was built.
    pub(crate) fn cut(sql: &str, marker: &str, holes: &[Hole]) -> Option<Self> {
        let quoted = format!("'{marker}");
        let mut pieces = Vec::new();
        let mut parts = sql.split(quoted.as_str());
        pieces.push(Piece::Text(parts.next()?.to_owned()));
        let mut seen = 0;
        for part in parts {
            let (number, rest) = part.split_once('\'')?;
            let number: usize = number.parse().ok()?;
            pieces.push(Piece::Hole(*holes.get(number)?));
            pieces.push(Piece::Text(rest.to_owned()));
            seen += 1;
        }
        let left_over =
            pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(marker)));
        (seen == holes.len() && !left_over).then_some(Self { pieces })
    }

    /// A text without holes.
    pub fn of(sql: &str) -> Self {
        Self { pieces: vec![Piece::Text(sql.to_owned())] }
    }

    /// The same, known where the client's parameters stand; `None` if that can't be told. Holes
    /// stand in the places of whole literals, so that each piece of text is words of its own.
    pub fn with_parameters(&self) -> Option<Self> {
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let Piece::Text(text) = piece else {
                pieces.push(piece.clone());
                continue;
            };
            let mut copied = 0;
            let words = !text.trim().is_empty();
            let tokens = if words { pg_query::scan(text).ok()?.tokens } else { Vec::new() };
            for token in tokens.iter().filter(|token| token.token() == Token::Param) {
                let start = usize::try_from(token.start).ok()?;
                let end = usize::try_from(token.end).ok()?;
                let number = text.get(start..end)?.strip_prefix('$')?.parse().ok()?;
                pieces.push(Piece::Text(text.get(copied..start)?.to_owned()));
                pieces.push(Piece::Parameter(number));
                copied = end;
            }
            pieces.push(Piece::Text(text.get(copied..)?.to_owned()));
        }
        Some(Self { pieces })
    }

    /// The text for the simple protocol with literals in the places of the client's parameters, of
    /// a template that knows them ([`Template::with_parameters`]); `None` if one is missing.
    pub fn render_with<K: AsRef<str>>(
        &self,
        literals: &[&str],
        mut fill: impl FnMut(Hole) -> K,
    ) -> Option<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Hole(hole) => push_literal(&mut text, fill(*hole).as_ref()),
                Piece::Parameter(number) => {
                    let literal = literals.get(number.checked_sub(1)?)?;
                    // No word before or behind it becomes a part of it.
                    text.extend([" ", *literal, " "]);
                }
            }
        }
        Some(text)
    }

    /// The text for the simple protocol; `fill` gives the array literal of a set, e.g. `{7,12}`,
    /// or the actor's name. Needs `standard_conforming_strings = on`.
    pub fn render_literal<K: AsRef<str>>(&self, mut fill: impl FnMut(Hole) -> K) -> String {
        self.render(|hole, text| push_literal(text, fill(hole).as_ref()))
    }

    /// The text for the extended protocol, each hole a parameter from `client_parameters + 1` on,
    /// and what they hold in their order. What is used several times has one parameter.
    pub fn render_parameters(&self, client_parameters: usize) -> (String, Vec<Hole>) {
        let mut holes: Vec<Hole> = Vec::new();
        let text = self.render(|hole, text| {
            let index = holes.iter().position(|known| *known == hole).unwrap_or_else(|| {
                holes.push(hole);
                holes.len() - 1
            });
            text.push_str(&format!("${}", client_parameters + index + 1));
        });
        (text, holes)
    }

    /// Whether there is no hole: the text is the same for all actors.
    pub fn is_constant(&self) -> bool {
        !self.pieces.iter().any(|piece| matches!(piece, Piece::Hole(_)))
    }

    fn render(&self, mut fill: impl FnMut(Hole, &mut String)) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Hole(hole) => fill(*hole, &mut text),
                Piece::Parameter(number) => text.push_str(&format!("${number}")),
            }
        }
        text
    }
}
