//! Whether a column holds personal data: from its name and from what its values look like.
//!
//! A name alone can lie (`email` may hold flags), and so can a shape (a part number may look like
//! a telephone number). Both together are certain; either alone is less, and the evidence is said.

use postern_model::FieldClass;

use self::shape::Shape;
use super::scan::Column;

pub(super) mod shape;

/// How sure a guess is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sure {
    Possible,
    Likely,
    Certain,
}

impl Sure {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guess {
    pub(super) class: FieldClass,
    pub(super) sure: Sure,
    /// What speaks for it, as part of a sentence.
    pub(super) evidence: String,
}

/// What the table is about, as far as it matters for its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    People,
    Tickets,
    Other,
}

/// What tables are called that hold requests of customers.
const TICKET_TABLES: [&str; 10] = [
    "ticket",
    "tickets",
    "case",
    "cases",
    "incident",
    "incidents",
    "request",
    "requests",
    "issue",
    "issues",
];

/// What tables are called that hold people.
const PEOPLE_TABLES: [&str; 22] = [
    "customer",
    "customers",
    "client",
    "clients",
    "person",
    "persons",
    "people",
    "patient",
    "patients",
    "member",
    "members",
    "subscriber",
    "subscribers",
    "contact",
    "contacts",
    "user",
    "users",
    "guest",
    "guests",
    "lead",
    "leads",
    "policyholders",
];

impl About {
    pub(super) fn of(table: &str) -> Self {
        let words = words(table);
        let among = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
        match (among(&TICKET_TABLES), among(&PEOPLE_TABLES)) {
            (true, _) => Self::Tickets,
            (false, true) => Self::People,
            (false, false) => Self::Other,
        }
    }
}

/// The best guess for a column, if there is any.
pub(super) fn guess(column: &Column, about: About) -> Option<Guess> {
    let named = by_name(column, about);
    let shaped = column.text.then(|| shape::best(&column.sample)).flatten();
    match (named, shaped) {
        (Some((class, _)), Some(shape)) if shape.class() == class => Some(Guess {
            class,
            sure: Sure::Certain,
            evidence: format!("its name, and {}", shape_text(shape, column)),
        }),
        (Some((class, sure)), _) if column.sample.is_empty() => Some(Guess {
            class,
            sure: sure.min(Sure::Likely),
            evidence: "its name; there are no values to look at".to_owned(),
        }),
        // Names of people and free text have no shape that must be met.
        (Some((class, sure)), None) => Some(Guess { class, sure, evidence: "its name".to_owned() }),
        (Some((class, _)), Some(shape)) if shape == Shape::Prose => Some(Guess {
            class,
            sure: Sure::Likely,
            evidence: format!("its name, though {}", shape_text(shape, column)),
        }),
        (_, Some(shape)) => Some(Guess {
            class: shape.class(),
            sure: if shape.is_telling() { Sure::Likely } else { Sure::Possible },
            evidence: shape_text(shape, column),
        }),
        (None, None) => None,
    }
}

fn shape_text(shape: Shape, column: &Column) -> String {
    let share = shape::percent(shape, &column.sample);
    format!("{share} % of {} values look like {}", column.sample.len(), shape.plural())
}

/// What the name says, and how sure that is without a look at the values.
fn by_name(column: &Column, about: About) -> Option<(FieldClass, Sure)> {
    let words = words(&column.name);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let joined = words.join("_");
    let is = |known: &[&str]| known.contains(&joined.as_str());

    if has(&["password", "passwd", "pwd", "secret", "passphrase"]) || is(&["api_key", "pin"]) {
        return Some((FieldClass::Secret, Sure::Certain));
    }
    if has(&["ssn", "iban", "passport", "nin", "pan", "dob", "birthday", "birthdate", "birth"])
        || is(&["tax_id", "national_id", "card_number", "social_security_number", "vat_number"])
    {
        return Some((FieldClass::Identifier, Sure::Likely));
    }
    if !column.text {
        return None;
    }
    if has(&["email", "mail"]) || is(&["e_mail"]) {
        return Some((FieldClass::Email, Sure::Possible));
    }
    if has(&["phone", "telephone", "tel", "mobile", "cell", "fax", "msisdn"]) {
        return Some((FieldClass::Phone, Sure::Possible));
    }
    if has(&["ip", "mac", "url"]) {
        return None;
    }
    if has(&["address", "addr", "street", "address1", "address2"]) {
        return Some((FieldClass::Address, Sure::Likely));
    }
    if has(&["zip", "zipcode", "postcode", "postal", "city", "town"]) {
        return Some((FieldClass::Address, Sure::Possible));
    }
    if has(&["surname", "firstname", "lastname", "fullname", "forename"])
        || is(&["first_name", "last_name", "full_name", "given_name", "family_name", "middle_name"])
        || is(&["customer_name", "contact_name", "display_name", "maiden_name"])
    {
        return Some((FieldClass::Name, Sure::Likely));
    }
    if joined == "name" && about == About::People {
        return Some((FieldClass::Name, Sure::Likely));
    }
    let numbered = is(&["number", "no", "reference", "ref", "code"])
        || is(&["ticket_number", "case_number", "ticket_no", "case_no", "ticket_ref"]);
    if numbered && about == About::Tickets {
        return Some((FieldClass::CaseNumber, Sure::Likely));
    }
    let titled = about == About::Tickets && is(&["subject", "title", "summary"]);
    if titled
        || has(&["note", "notes", "comment", "comments", "body", "message", "remark", "remarks"])
        || has(&["memo", "bio", "transcript", "description"])
    {
        return Some((FieldClass::FreeText, Sure::Likely));
    }
    None
}

/// The words of a name, in lower case: `customerEmail_2` is `customer`, `email`, `2`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before_lower = false;
    let mut open = false;
    for character in name.chars() {
        if !character.is_alphanumeric() {
            open = false;
            continue;
        }
        if !open || (character.is_uppercase() && before_lower) {
            words.push(String::new());
        }
        (open, before_lower) = (true, character.is_lowercase());
        if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests;
