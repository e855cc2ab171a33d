//! What a value looks like. Each test is strict enough that few other values pass it.

use postern_model::FieldClass;

/// A form that personal data comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Email,
    Iban,
    Card,
    SocialSecurity,
    Phone,
    Street,
    PersonName,
    Prose,
}

/// In the order in which they are tried: what is told apart best comes first.
const ALL: [Shape; 8] = [
    Shape::Email,
    Shape::Iban,
    Shape::Card,
    Shape::SocialSecurity,
    Shape::Phone,
    Shape::Street,
    Shape::PersonName,
    Shape::Prose,
];

/// Words of which a street address has one.
const STREET_WORDS: [&str; 22] = [
    "street",
    "st",
    "road",
    "rd",
    "avenue",
    "ave",
    "lane",
    "ln",
    "drive",
    "dr",
    "way",
    "close",
    "court",
    "square",
    "boulevard",
    "blvd",
    "rue",
    "via",
    "calle",
    "plaza",
    "platz",
    "weg",
];

impl Shape {
    pub(crate) fn class(self) -> FieldClass {
        match self {
            Self::Email => FieldClass::Email,
            Self::Iban | Self::Card | Self::SocialSecurity => FieldClass::Identifier,
            Self::Phone => FieldClass::Phone,
            Self::Street => FieldClass::Address,
            Self::PersonName => FieldClass::Name,
            Self::Prose => FieldClass::FreeText,
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Email => "e-mail addresses",
            Self::Iban => "IBANs (their check digits are right)",
            Self::Card => "card numbers (their check digit is right)",
            Self::SocialSecurity => "social security numbers",
            Self::Phone => "telephone numbers",
            Self::Street => "street addresses",
            Self::PersonName => "names of people",
            Self::Prose => "free text",
        }
    }

    /// Whether little else looks like it.
    pub(crate) fn is_telling(self) -> bool {
        !matches!(self, Self::PersonName)
    }

    /// The percentage of the values that must have it.
    fn threshold(self) -> usize {
        match self {
            Self::Email | Self::Iban | Self::Card | Self::SocialSecurity | Self::Phone => 80,
            Self::PersonName => 70,
            Self::Street | Self::Prose => 50,
        }
    }

    fn fits(self, value: &str) -> bool {
        let value = value.trim();
        match self {
            Self::Email => is_email(value),
            Self::Iban => is_iban(value),
            Self::Card => is_card(value),
            Self::SocialSecurity => is_grouped(value, &[3, 2, 4]),
            Self::Phone => is_phone(value),
            Self::Street => is_street(value),
            Self::PersonName => is_person_name(value),
            Self::Prose => value.chars().count() >= 25 && value.split_whitespace().count() >= 5,
        }
    }
}

/// The shape that most of the values have.
pub(crate) fn best(sample: &[String]) -> Option<Shape> {
    let enough = |shape: &Shape| percent(*shape, sample) >= shape.threshold();
    ALL.into_iter().filter(|_| !sample.is_empty()).find(enough)
}

/// How many of a hundred values have the shape.
pub(crate) fn percent(shape: Shape, sample: &[String]) -> usize {
    let fitting = sample.iter().filter(|value| shape.fits(value)).count();
    fitting * 100 / sample.len().max(1)
}

fn is_email(value: &str) -> bool {
    let Some((local, domain)) = value.rsplit_once('@') else { return false };
    let allowed = |c: char| c.is_alphanumeric() || "._%+-'".contains(c);
    !local.is_empty()
        && local.chars().all(allowed)
        && domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
}

/// 7 to 15 digits, grouped as one writes them; not a date, not an amount.
fn is_phone(value: &str) -> bool {
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let separators = value.chars().filter(|c| " -()./".contains(*c)).count();
    let rest = value.strip_prefix('+').unwrap_or(value);
    let marked = value.starts_with(['+', '0', '(']) || separators >= 2;
    (7..=15).contains(&digits)
        && marked
        && rest.chars().all(|c| c.is_ascii_digit() || " -()./".contains(c))
        && !is_grouped(value, &[4, 2, 2])
        && !is_grouped(value, &[3, 2, 4])
}

/// Digits in groups of these lengths, with `-` between them.
fn is_grouped(value: &str, groups: &[usize]) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    parts.len() == groups.len()
        && parts
            .iter()
            .zip(groups)
            .all(|(part, length)| part.len() == *length && part.chars().all(|c| c.is_ascii_digit()))
}

/// ISO 13616: the rearranged number leaves 1 when divided by 97.
fn is_iban(value: &str) -> bool {
    let text: Vec<u8> = value.bytes().filter(|b| *b != b' ').collect();
    let (Some(head), Some(tail)) = (text.get(..4), text.get(4..)) else { return false };
    let country = head.iter().take(2).all(u8::is_ascii_uppercase);
    if !country || !(11..=30).contains(&tail.len()) {
        return false;
    }
    let mut remainder = 0_u32;
    for byte in tail.iter().chain(head) {
        remainder = match byte {
            b'0'..=b'9' => remainder * 10 + u32::from(byte - b'0'),
            b'A'..=b'Z' => remainder * 100 + u32::from(byte - b'A') + 10,
            _ => return false,
        } % 97;
    }
    remainder == 1
}

/// ISO/IEC 7812: 13 to 19 digits, the last of which is Luhn's check digit.
fn is_card(value: &str) -> bool {
    let text: Vec<u8> = value.bytes().filter(|b| !b" -".contains(b)).collect();
    if !(13..=19).contains(&text.len()) || !text.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let digit = |(position, byte): (usize, &u8)| {
        let digit = u32::from(byte - b'0');
        if position % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
    };
    text.iter().rev().enumerate().map(digit).sum::<u32>().is_multiple_of(10)
}

fn is_street(value: &str) -> bool {
    let number = value.chars().any(|c| c.is_ascii_digit());
    let mut words = value.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    number
        && value.len() <= 120
        && words.any(|word| {
            STREET_WORDS.contains(&word.as_str())
                || word.ends_with("straße")
                || word.ends_with("str")
        })
}

/// Two to four words of letters, each with a capital first.
fn is_person_name(value: &str) -> bool {
    let words: Vec<&str> = value.split_whitespace().collect();
    (2..=4).contains(&words.len())
        && words.iter().all(|word| {
            word.starts_with(char::is_uppercase)
                && word.chars().all(|c| c.is_alphabetic() || "'-.".contains(c))
        })
}
