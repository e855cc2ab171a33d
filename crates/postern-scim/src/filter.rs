//! Filters (RFC 7644, 3.4.2.2) over resources as JSON, and the paths of PATCH (3.5.2), which may
//! hold one. Length and depth are bounded: what is parsed comes from outside.

use jiff::Timestamp;
use serde_json::Value;

use crate::error::{Kind, ScimError};

#[cfg(test)]
mod tests;

/// A longer filter or path is none.
const BYTES_MAX: usize = 2048;
/// How deep parentheses may be nested.
const DEPTH_MAX: usize = 16;

/// Attributes whose values differ by case too; everywhere else `Eva` equals `eva`.
const CASE_EXACT: [&str; 5] = ["id", "externalid", "value", "$ref", "location"];

/// What a resource must be like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Present(Attribute),
    Compare(Attribute, Operator, Value),
    /// One of the values of a multi-valued attribute is so.
    Any(Attribute, Box<Filter>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// An attribute by its name, perhaps within a schema extension, perhaps with a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    /// The extension's URN; `None` for the core schemas.
    pub(crate) extension: Option<String>,
    /// Empty for the whole extension.
    pub(crate) name: String,
    pub(crate) part: Option<String>,
}

/// Where a PATCH changes something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    pub(crate) attribute: Attribute,
    /// Which of its values, where it has several.
    pub(crate) filter: Option<Filter>,
}

impl Filter {
    pub(crate) fn parse(text: &str) -> Result<Self, ScimError> {
        let wrong = |what: &str| {
            ScimError::new(Kind::Filter, format!("the filter can't be understood: {what}"))
        };
        let tokens = tokens(text).map_err(|what| wrong(&what))?;
        let mut parser = Parser { tokens: &tokens, depth: 0 };
        let filter = parser.or().map_err(|what| wrong(&what))?;
        if parser.tokens.is_empty() { Ok(filter) } else { Err(wrong("something is left over")) }
    }

    /// Whether a resource, or one value of an attribute, is so.
    pub(crate) fn matches(&self, resource: &Value) -> bool {
        match self {
            Self::And(one, two) => one.matches(resource) && two.matches(resource),
            Self::Or(one, two) => one.matches(resource) || two.matches(resource),
            Self::Not(filter) => !filter.matches(resource),
            Self::Present(attribute) => {
                attribute.values(resource).iter().any(|value| is_present(value))
            }
            Self::Compare(attribute, Operator::NotEqual, wanted) => {
                let values = attribute.values(resource);
                !values.iter().any(|value| attribute.compare(value, Operator::Equal, wanted))
            }
            Self::Compare(attribute, Operator::Equal, Value::Null) => {
                !attribute.values(resource).iter().any(|value| is_present(value))
            }
            Self::Compare(attribute, operator, wanted) => {
                let values = attribute.values(resource);
                values.iter().any(|value| attribute.compare(value, *operator, wanted))
            }
            Self::Any(attribute, filter) => {
                attribute.values(resource).iter().any(|value| filter.matches(value))
            }
        }
    }

    /// Whether it asks about that attribute.
    pub(crate) fn asks_about(&self, name: &str) -> bool {
        match self {
            Self::And(one, two) | Self::Or(one, two) => {
                one.asks_about(name) || two.asks_about(name)
            }
            Self::Not(filter) => filter.asks_about(name),
            Self::Present(attribute) | Self::Compare(attribute, ..) | Self::Any(attribute, _) => {
                attribute.name.eq_ignore_ascii_case(name)
            }
        }
    }
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

impl Attribute {
    /// Reads `name`, `name.part`, `urn:…:name` or the URN of an extension alone.
    fn parse(text: &str) -> Option<Self> {
        let (extension, rest) = match text.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("urn:") => extension(text)?,
            Some(_) | None => (None, text),
        };
        let (name, part) = match rest.split_once('.') {
            Some((name, part)) => (name, Some(part)),
            None => (rest, None),
        };
        let is_name = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '$')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$'))
        };
        let is_whole = name.is_empty() && extension.is_some() && part.is_none();
        if !(is_whole || is_name(name) && part.is_none_or(is_name)) {
            return None;
        }
        Some(Self { extension, name: name.to_owned(), part: part.map(str::to_owned) })
    }

    /// All values that it has, those of multi-valued attributes one by one.
    fn values<'v>(&self, resource: &'v Value) -> Vec<&'v Value> {
        let mut holder = Some(resource);
        if let Some(urn) = &self.extension {
            holder = member(resource, urn);
        }
        let found = holder.and_then(|holder| {
            if self.name.is_empty() { Some(holder) } else { member(holder, &self.name) }
        });
        let all: Vec<&Value> = match found {
            None => return Vec::new(),
            Some(Value::Array(values)) => values.iter().collect(),
            Some(value) => vec![value],
        };
        match self.part.as_deref() {
            None => all,
            Some(part) => all.into_iter().filter_map(|value| member(value, part)).collect(),
        }
    }

    fn compare(&self, value: &Value, operator: Operator, wanted: &Value) -> bool {
        // `members eq "x"` is about the values' `value` (RFC 7643, 2.4).
        let value = value.get("value").unwrap_or(value);
        match (value, wanted) {
            (Value::String(value), Value::String(wanted)) => {
                let last = self.part.as_deref().unwrap_or(&self.name).to_ascii_lowercase();
                if CASE_EXACT.contains(&last.as_str()) {
                    compare_texts(value, operator, wanted)
                } else {
                    compare_texts(&value.to_lowercase(), operator, &wanted.to_lowercase())
                }
            }
            (Value::Bool(value), Value::Bool(wanted)) => {
                operator == Operator::Equal && value == wanted
            }
            // Some directories quote what is none.
            (Value::Bool(value), Value::String(wanted)) => {
                operator == Operator::Equal && wanted.eq_ignore_ascii_case(&value.to_string())
            }
            _ => false,
        }
    }
}

fn compare_texts(value: &str, operator: Operator, wanted: &str) -> bool {
    let moments = || Some((value.parse::<Timestamp>().ok()?, wanted.parse::<Timestamp>().ok()?));
    let order = || match moments() {
        Some((value, wanted)) => value.cmp(&wanted),
        None => value.cmp(wanted),
    };
    match operator {
        Operator::Equal => value == wanted,
        Operator::NotEqual => value != wanted,
        Operator::Contains => value.contains(wanted),
        Operator::StartsWith => value.starts_with(wanted),
        Operator::EndsWith => value.ends_with(wanted),
        Operator::Greater => order().is_gt(),
        Operator::GreaterOrEqual => order().is_ge(),
        Operator::Less => order().is_lt(),
        Operator::LessOrEqual => order().is_le(),
    }
}

/// A member of an object, by its name without regard to case (RFC 7643, 2.1).
pub(crate) fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Splits `urn:…:2.0:User:name` into the extension, `None` for a core schema, and the rest.
fn extension(text: &str) -> Option<(Option<String>, &str)> {
    let lower = text.to_ascii_lowercase();
    let kinds = [":2.0:user", ":2.0:group"];
    let end = kinds.iter().filter_map(|kind| Some(lower.find(kind)? + kind.len())).min()?;
    let (urn, rest) = text.split_at_checked(end)?;
    let rest = match rest.strip_prefix(':') {
        Some(rest) => rest,
        None if rest.is_empty() => rest,
        None => return None,
    };
    let is_core = lower.starts_with("urn:ietf:params:scim:schemas:core:");
    if is_core && rest.is_empty() {
        return None;
    }
    Some(((!is_core).then(|| urn.to_owned()), rest))
}

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Self, ScimError> {
        let wrong = || {
            let shown: String = text.chars().take(100).collect();
            ScimError::new(Kind::Path, format!("`{shown}` is no path of an attribute"))
        };
        if text.len() > BYTES_MAX {
            return Err(wrong());
        }
        let Some((before, rest)) = text.split_once('[') else {
            let attribute = Attribute::parse(text).ok_or_else(wrong)?;
            return Ok(Self { attribute, filter: None });
        };
        // A part comes behind the last bracket; one within quotes is the filter's own.
        let (filter, after) = rest.rsplit_once(']').ok_or_else(wrong)?;
        let mut attribute = Attribute::parse(before).ok_or_else(wrong)?;
        if !after.is_empty() {
            let part = after.strip_prefix('.').ok_or_else(wrong)?;
            attribute.part =
                Attribute::parse(part).filter(|part| part.part.is_none()).map(|p| p.name);
            attribute.part.as_ref().ok_or_else(wrong)?;
        }
        Ok(Self { attribute, filter: Some(Filter::parse(filter)?) })
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Word(String),
    Literal(Value),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    if text.len() > BYTES_MAX {
        return Err("it is too long".to_owned());
    }
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '[' => (Token::OpenBracket, 1),
            ']' => (Token::CloseBracket, 1),
            '"' => {
                let length = quoted(rest).ok_or("a quote is not closed")?;
                let value = rest.get(..length).and_then(|text| serde_json::from_str(text).ok());
                (Token::Literal(value.ok_or("a text in quotes is none")?), length)
            }
            _ => {
                let end = |c: char| c.is_whitespace() || "()[]\"".contains(c);
                let length = rest.find(end).unwrap_or(rest.len());
                (Token::Word(rest.get(..length).unwrap_or_default().to_owned()), length)
            }
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

/// How long a text in quotes is that begins here.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(end + 2)
}

struct Parser<'t> {
    tokens: &'t [Token],
    depth: usize,
}

impl<'t> Parser<'t> {
    fn or(&mut self) -> Result<Filter, String> {
        let mut filter = self.and()?;
        while self.takes_word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.and()?));
        }
        Ok(filter)
    }

    fn and(&mut self) -> Result<Filter, String> {
        let mut filter = self.single()?;
        while self.takes_word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.single()?));
        }
        Ok(filter)
    }

    fn single(&mut self) -> Result<Filter, String> {
        if self.takes_word("not") {
            if self.tokens.first() != Some(&Token::Open) {
                return Err("`not` wants parentheses".to_owned());
            }
            return Ok(Filter::Not(Box::new(self.single()?)));
        }
        if self.takes(&Token::Open) {
            return self.nested(&Token::Close);
        }
        let Some(Token::Word(word)) = self.next() else {
            return Err("an attribute is missing".to_owned());
        };
        let attribute = Attribute::parse(word).ok_or("an attribute's name is none")?;
        if self.takes(&Token::OpenBracket) {
            let filter = self.nested(&Token::CloseBracket)?;
            return Ok(Filter::Any(attribute, Box::new(filter)));
        }
        if self.takes_word("pr") {
            return Ok(Filter::Present(attribute));
        }
        let operator = self.operator()?;
        let value = match self.next() {
            Some(Token::Literal(value)) => value.clone(),
            Some(Token::Word(word)) => serde_json::from_str(&word.to_ascii_lowercase())
                .map_err(|_| "a value is neither in quotes, `true`, `false` nor a number")?,
            _ => return Err("a value is missing".to_owned()),
        };
        Ok(Filter::Compare(attribute, operator, value))
    }

    fn nested(&mut self, end: &Token) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("it is nested too deep".to_owned());
        }
        let filter = self.or()?;
        self.depth -= 1;
        if self.takes(end) { Ok(filter) } else { Err("a parenthesis is not closed".to_owned()) }
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let operators = [
            ("eq", Operator::Equal),
            ("ne", Operator::NotEqual),
            ("co", Operator::Contains),
            ("sw", Operator::StartsWith),
            ("ew", Operator::EndsWith),
            ("gt", Operator::Greater),
            ("ge", Operator::GreaterOrEqual),
            ("lt", Operator::Less),
            ("le", Operator::LessOrEqual),
        ];
        let known = operators.into_iter().find(|(word, _)| self.takes_word(word));
        known.map(|(_, operator)| operator).ok_or_else(|| "an operator is missing".to_owned())
    }

    fn next(&mut self) -> Option<&'t Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn takes(&mut self, token: &Token) -> bool {
        let takes = self.tokens.first() == Some(token);
        if takes {
            self.next();
        }
        takes
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let takes = matches!(
            self.tokens.first(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word)
        );
        if takes {
            self.next();
        }
        takes
    }
}
