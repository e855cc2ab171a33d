//! SQL text with holes for sets of keys.

use crate::KeySet;

/// Text of a statement, with holes where the actor's key sets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Hole(KeySet),
}

impl Template {
    /// Cuts `sql` at each `'<marker><n>'`, where `n` is an index into `holes`. `None` if a marker
    /// is left over or one of the holes is missing: then the text is not what was built.
    pub(crate) fn cut(sql: &str, marker: &str, holes: &[KeySet]) -> Option<Self> {
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

    /// The text for the simple protocol; `keys` gives the array literal of a set, e.g. `{7,12}`.
    /// Needs `standard_conforming_strings = on`.
    pub fn render_literal<K: AsRef<str>>(&self, mut keys: impl FnMut(KeySet) -> K) -> String {
        self.render(|set, text| {
            text.push('\'');
            for (index, part) in keys(set).as_ref().split('\'').enumerate() {
                if index > 0 {
                    text.push_str("''");
                }
                text.push_str(part);
            }
            text.push('\'');
        })
    }

    /// The text for the extended protocol, each hole a parameter from `client_parameters + 1` on,
    /// and the sets in the order of the parameters. A set has one parameter, however often used.
    pub fn render_parameters(&self, client_parameters: usize) -> (String, Vec<KeySet>) {
        let mut sets: Vec<KeySet> = Vec::new();
        let text = self.render(|set, text| {
            let index = sets.iter().position(|known| *known == set).unwrap_or_else(|| {
                sets.push(set);
                sets.len() - 1
            });
            text.push_str(&format!("${}", client_parameters + index + 1));
        });
        (text, sets)
    }

    /// Whether there is no hole: the text is the same for all actors.
    pub fn is_constant(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    fn render(&self, mut hole: impl FnMut(KeySet, &mut String)) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Hole(set) => hole(*set, &mut text),
            }
        }
        text
    }
}
