//! The fields by which leaked records are compared, and when two wordings are the same value.

use postern_model::FieldClass;

/// A field that leak lists have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Field {
    Name,
    Email,
    Phone,
    Ticket,
}

impl Field {
    /// The field that a column or a list's heading means, if it is one of them. Columns are named
    /// in many ways, so it is enough that the name contains the word.
    pub(crate) fn of(column: &str) -> Option<Self> {
        let column = column.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| column.contains(word));
        if has(&["mail"]) {
            Some(Self::Email)
        } else if has(&["phone", "mobile", "tel"]) {
            Some(Self::Phone)
        } else if has(&["ticket", FieldClass::CaseNumber.as_str()]) {
            Some(Self::Ticket)
        } else if has(&["name"]) {
            Some(Self::Name)
        } else {
            None
        }
    }

    /// The field's bit in a set of fields.
    pub(crate) fn bit(self) -> u8 {
        match self {
            Self::Name => 1,
            Self::Email => 2,
            Self::Phone => 4,
            Self::Ticket => 8,
        }
    }

    /// Every field.
    pub(crate) const ALL_BITS: u8 = 15;

    /// The value without what differs between wordings: case and spaces; the order of a name's
    /// parts; a phone number's punctuation and all but its last nine digits, because country and
    /// trunk prefixes come and go.
    pub(crate) fn normalise(self, value: &str) -> String {
        let lower = value.trim().to_lowercase();
        match self {
            Self::Name => {
                let letters = |c: char| !(c.is_alphanumeric() || c == '\'' || c == '-');
                let mut parts: Vec<&str> = lower.split(letters).filter(|p| !p.is_empty()).collect();
                parts.sort_unstable();
                parts.join(" ")
            }
            Self::Phone => {
                let digits: String = lower.chars().filter(char::is_ascii_digit).collect();
                digits.get(digits.len().saturating_sub(9)..).unwrap_or_default().to_owned()
            }
            Self::Email | Self::Ticket => lower.split_whitespace().collect(),
        }
    }
}
