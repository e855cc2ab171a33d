//! Texts that differ in nothing but what they compare columns with.
//!
//! A client that writes its values into the text sends a new one each time. The analysis takes a
//! literal that a column is compared with for what it is, whichever it is, and so for a parameter:
//! `WHERE id = 7` is judged as `WHERE id = $1`, once, and each text of that shape is sent with its
//! own literals in the places of the parameters. In the grammar both are a `c_expr` (PostgreSQL's
//! `gram.y`), so what is read is the tree that was judged. Whatever is not understood by this
//! reader at a glance has no shape, and is judged by itself.

use std::borrow::Cow;

/// A text without those literals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literals<'a> {
    /// The text, with `$1`, `$2` and so on in their places.
    pub text: String,
    /// What stood there, in order.
    pub values: Vec<Literal<'a>>,
}

/// A literal that was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal<'a> {
    /// As it stood in the text.
    pub token: &'a str,
    /// What it says.
    pub value: Cow<'a, str>,
    /// The OID of its type; 0 where the server finds it out.
    pub declared: u32,
}

/// More have no shape.
const VALUES_MAX: usize = 32;
/// A longer text has none.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// With so many digits it is an `int4` for certain.
const DIGITS_MAX: usize = 9;
// PostgreSQL's pg_type.dat.
const INT4: u32 = 23;

/// Takes the literals out that columns are compared with, or set to, by `=`: whole numbers and
/// strings. `None` if there are none, or if the text holds something that is not read here.
pub fn without_literals(sql: &str) -> Option<Literals<'_>> {
    if sql.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut reader = Reader { sql, at: 0 };
    let mut taken = Literals { text: String::with_capacity(sql.len()), values: Vec::new() };
    let mut copied = 0;
    // The two words before, and a literal behind them of which it depends on the next.
    let (mut before, mut last) = (Word::End, Word::End);
    let mut pending: Option<(usize, Word<'_>)> = None;
    loop {
        let (start, word) = reader.next()?;
        if let Some((from, literal)) = pending.take()
            && word.ends_a_value()
        {
            taken.text.push_str(sql.get(copied..from)?);
            taken.values.push(literal.value()?);
            taken.text.push_str(&format!("${}", taken.values.len()));
            copied = from + literal.text().len();
        }
        if word == Word::End {
            break;
        }
        let compared = matches!((before, last), (Word::Name(_), Word::Operator("=")));
        if compared && word.is_literal() {
            pending = Some((start, word));
        }
        // A string behind another is a part of it.
        if matches!((last, word), (Word::String(_), Word::String(_))) {
            return None;
        }
        (before, last) = (last, word);
    }
    if taken.values.is_empty() || taken.values.len() > VALUES_MAX {
        return None;
    }
    taken.text.push_str(sql.get(copied..)?);
    Some(taken)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word<'a> {
    /// An identifier or keyword, quoted or not.
    Name(&'a str),
    String(&'a str),
    Digits(&'a str),
    /// Another number.
    Number,
    Operator(&'a str),
    /// A single character of the grammar's own.
    Sign(u8),
    End,
}

impl<'a> Word<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Name(text) | Self::String(text) | Self::Digits(text) | Self::Operator(text) => {
                text
            }
            Self::Number | Self::Sign(_) | Self::End => "",
        }
    }

    fn is_literal(self) -> bool {
        match self {
            Self::String(_) => true,
            Self::Digits(digits) => digits.len() <= DIGITS_MAX,
            Self::Name(_) | Self::Number | Self::Operator(_) | Self::Sign(_) | Self::End => false,
        }
    }

    fn value(self) -> Option<Literal<'a>> {
        match self {
            Self::Digits(token) => Some(Literal { token, value: token.into(), declared: INT4 }),
            Self::String(token) => {
                let inner = token.strip_prefix('\'')?.strip_suffix('\'')?;
                let value = if inner.contains('\'') {
                    Cow::Owned(inner.replace("''", "'"))
                } else {
                    Cow::Borrowed(inner)
                };
                Some(Literal { token, value, declared: 0 })
            }
            Self::Name(_) | Self::Number | Self::Operator(_) | Self::Sign(_) | Self::End => None,
        }
    }

    /// Whether a literal before it stands for itself: no operator, cast or index takes it.
    fn ends_a_value(self) -> bool {
        const KEYWORDS: [&str; 10] = [
            "and",
            "or",
            "where",
            "order",
            "group",
            "limit",
            "offset",
            "for",
            "returning",
            "union",
        ];
        match self {
            Self::End | Self::Sign(b')' | b',' | b';') => true,
            Self::Name(name) => KEYWORDS.iter().any(|keyword| name.eq_ignore_ascii_case(keyword)),
            Self::String(_)
            | Self::Digits(_)
            | Self::Number
            | Self::Operator(_)
            | Self::Sign(_) => false,
        }
    }
}

/// Reads word by word what PostgreSQL's `scan.l` reads alike with any settings that a role which
/// is judged can have.
struct Reader<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next word and where it begins; `None` if it is of a kind that is not read here:
    /// comments, dollar quotes and parameters, strings with a prefix.
    fn next(&mut self) -> Option<(usize, Word<'a>)> {
        self.take(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c));
        let start = self.at;
        let Some(byte) = self.peek() else { return Some((start, Word::End)) };
        let word = match byte {
            b'\'' => Word::String(self.quoted(start, b'\'')?),
            b'"' => Word::Name(self.quoted(start, b'"')?),
            b'0'..=b'9' => self.number(start)?,
            byte if is_name(byte) => {
                let name = self.take(is_name);
                if matches!(self.peek(), Some(b'\'' | b'"' | b'&' | b'$')) {
                    return None;
                }
                Word::Name(name)
            }
            byte if is_operator(byte) => {
                let operator = self.take(is_operator);
                if operator.contains("--") || operator.contains("/*") {
                    return None;
                }
                Word::Operator(operator)
            }
            b'(' | b')' | b',' | b';' | b'[' | b']' | b'.' | b':' => {
                self.at += 1;
                if byte == b'.' && self.peek().is_some_and(|next| next.is_ascii_digit()) {
                    return None;
                }
                Word::Sign(byte)
            }
            _ => return None,
        };
        Some((start, word))
    }

    fn peek(&self) -> Option<u8> {
        self.sql.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, is: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&is) {
            self.at += 1;
        }
        self.sql.get(start..self.at).unwrap_or_default()
    }

    /// With its quotes; one that is doubled is a part of it.
    fn quoted(&mut self, start: usize, quote: u8) -> Option<&'a str> {
        self.at += 1;
        loop {
            self.take(|byte| byte != quote);
            self.peek()?;
            self.at += 1;
            if self.peek() != Some(quote) {
                return self.sql.get(start..self.at);
            }
            self.at += 1;
        }
    }

    fn number(&mut self, start: usize) -> Option<Word<'a>> {
        self.take(|byte| byte.is_ascii_digit());
        let digits = self.sql.get(start..self.at)?;
        let fraction = self.peek() == Some(b'.');
        if fraction {
            self.at += 1;
            self.take(|byte| byte.is_ascii_digit());
        }
        // `1e5`, `0x1f`, `1_000`, `1.2.3` and what is no number at all.
        if self.peek().is_some_and(|byte| is_name(byte) || matches!(byte, b'.' | b'\'' | b'$')) {
            return None;
        }
        Some(if fraction { Word::Number } else { Word::Digits(digits) })
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn is_operator(byte: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?".contains(&byte)
}

#[cfg(test)]
mod tests;
