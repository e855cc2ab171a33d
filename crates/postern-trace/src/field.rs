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

/// How alike two wordings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    Different,
    /// One may be the other with a slip of the pen.
    Near,
    Same,
}

/// Digits in which two writings of a telephone number must agree to be compared at all.
const PHONE_KEY: usize = 7;
/// Letters from either end by which mistyped values are found.
const NEAR_KEY: usize = 6;
/// Names alike to this degree may be the same with a slip of the pen.
const NEAR_NAME: f64 = 0.93;

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

    /// All of them with their names.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Name, "name"),
        (Self::Email, "email"),
        (Self::Phone, "phone"),
        (Self::Ticket, "ticket"),
    ];

    /// Every field.
    pub(crate) const ALL_BITS: u8 = 15;

    /// The value without what differs between wordings.
    pub(crate) fn normalise(self, value: &str) -> String {
        match self {
            Self::Name => name(value),
            Self::Phone => phone(value),
            Self::Email => email(value),
            Self::Ticket => {
                value.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
            }
        }
    }

    /// What normalised values that may be the same have in common. Country codes and trunk
    /// prefixes come and go, the end of a number stays.
    pub(crate) fn key(self, normalised: &str) -> &str {
        match self {
            Self::Phone => {
                let from = normalised.len().saturating_sub(PHONE_KEY);
                normalised.get(from..).unwrap_or_default()
            }
            Self::Name | Self::Email | Self::Ticket => normalised,
        }
    }

    /// Start and end of a value that can be mistyped; a slip of the pen leaves one of them.
    pub(crate) fn near_keys(self, normalised: &str) -> Option<(String, String)> {
        let text = match self {
            Self::Email => normalised.split('@').next().unwrap_or_default(),
            Self::Phone => self.key(normalised),
            Self::Name | Self::Ticket => return None,
        };
        let length = if self == Self::Phone { PHONE_KEY / 2 } else { NEAR_KEY };
        let letters = text.chars().count();
        if letters < length {
            return None;
        }
        let start = text.chars().take(length).collect();
        Some((start, text.chars().skip(letters - length).collect()))
    }

    /// How alike two normalised values are.
    pub(crate) fn likeness(self, a: &str, b: &str) -> Likeness {
        if a.is_empty() || b.is_empty() {
            return Likeness::Different;
        }
        if a == b {
            return Likeness::Same;
        }
        match self {
            Self::Phone => {
                let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
                if short.len() >= PHONE_KEY && long.ends_with(short) {
                    return Likeness::Same;
                }
                let end = long.len().saturating_sub(short.len());
                // With a digit lost, the ends are one apart as well.
                let ends = [end, end.saturating_sub(1)];
                let ends = ends.iter().filter_map(|from| long.get(*from..));
                near(ends.map(|end| slips(short, end)).min().unwrap_or(usize::MAX))
            }
            Self::Email => near(slips(a, b)),
            Self::Ticket => Likeness::Different,
            Self::Name if abbreviated(a, b) || strsim::jaro_winkler(a, b) >= NEAR_NAME => {
                Likeness::Near
            }
            Self::Name => Likeness::Different,
        }
    }
}

fn near(slips: usize) -> Likeness {
    if slips <= 1 { Likeness::Near } else { Likeness::Different }
}

fn slips(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 { usize::MAX } else { strsim::osa_distance(a, b) }
}

/// The parts of a name in Latin letters, in alphabetical order. Letters that German and the Nordic
/// languages write in two ways are one.
fn name(value: &str) -> String {
    let latin = any_ascii::any_ascii(value).to_lowercase();
    let letters = |c: char| !(c.is_alphanumeric() || c == '\'');
    let part = |part: &str| {
        let part: String = part.chars().filter(|c| *c != '\'').collect();
        part.replace("ae", "a").replace("oe", "o").replace("ue", "u")
    };
    let parts = latin.split(letters).filter(|part| !part.is_empty());
    let mut parts: Vec<String> = parts.map(part).collect();
    parts.sort_unstable();
    parts.join(" ")
}

/// Whether the names differ only in that one has letters where the other has parts.
fn abbreviated(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let mut left: Vec<&str> = long.split(' ').collect();
    let mut whole = 0;
    let parts: Vec<&str> = short.split(' ').collect();
    for part in &parts {
        let fits = |other: &&str| {
            if part.chars().count() == 1 { other.starts_with(part) } else { other == part }
        };
        let Some(place) = left.iter().position(fits) else { return false };
        left.remove(place);
        whole += usize::from(part.chars().count() > 1);
    }
    whole > 0 && left.is_empty()
}

/// The digits of a number without what only some write: the plus or zeros of an international
/// prefix, and a trunk zero, whether in brackets after the country code or in front.
fn phone(value: &str) -> String {
    let value = value.replace("(0)", "");
    // Extensions are no part of a number.
    let main = value.split(['x', 'X', ';', '#']).next().unwrap_or_default();
    let digits: String = main.chars().filter_map(|c| c.to_digit(10)).map(digit).collect();
    digits.trim_start_matches('0').to_owned()
}

fn digit(digit: u32) -> char {
    char::from_digit(digit, 10).unwrap_or('0')
}

/// An address in small letters, without a tag after a plus; without dots where the provider
/// documents that it ignores them (Gmail; its two domains are one).
fn email(value: &str) -> String {
    let lower: String = value.trim().to_lowercase().split_whitespace().collect();
    let lower = lower.strip_prefix("mailto:").unwrap_or(&lower);
    let Some((local, domain)) = lower.rsplit_once('@') else { return lower.to_owned() };
    let local = local.split('+').next().filter(|local| !local.is_empty()).unwrap_or(local);
    match domain.trim_end_matches('.') {
        "gmail.com" | "googlemail.com" => format!("{}@gmail.com", local.replace('.', "")),
        domain => format!("{local}@{domain}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordings_of_one_value_are_told_from_other_values() {
        let check = |field: Field, a: &str, b: &str, expected: Likeness| {
            let (left, right) = (field.normalise(a), field.normalise(b));
            assert_eq!(field.likeness(&left, &right), expected, "{a} {b}: {left} {right}");
            assert_eq!(field.likeness(&right, &left), expected, "{b} {a}");
        };
        use Field::{Email, Name, Phone, Ticket};
        use Likeness::{Different, Near, Same};
        check(Name, "Jürgen Müller", "MUELLER, Juergen", Same);
        check(Name, "Дмитрий Иванов", "Dmitriy Ivanov", Same);
        check(Name, "Siobhán O'Brien", "OBRIEN Siobhan", Same);
        check(Name, "J. Müller", "Jürgen Müller", Near);
        check(Name, "Jürgne Müller", "Jürgen Müller", Near);
        check(Name, "Anna Müller", "Jürgen Rossi", Different);
        check(Phone, "+44 (0)20 7946 0958", "020 7946 0958", Same);
        check(Phone, "0044 20 7946-0958", "+442079460958", Same);
        check(Phone, "+1 202-555-0143 x12", "2025550143", Same);
        check(Phone, "+1 202-555-0143", "202-555-0134", Near);
        check(Phone, "+1 202-555-0143", "+1 202-555-9876", Different);
        check(Email, "Jo.Doe+news@GMail.com", "jodoe@googlemail.com", Same);
        check(Email, " JO@Example.com", "jo@example.com.", Same);
        check(Email, "jo.doe@example.com", "jo.do@example.com", Near);
        check(Email, "jo.doe@example.com", "j.d@example.com", Different);
        check(Ticket, "T-00123", "t00123", Same);
        check(Ticket, "T-00123", "T-00124", Different);
        check(Email, "", "jo@example.com", Different);
    }
}
