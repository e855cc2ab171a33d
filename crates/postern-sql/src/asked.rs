//! Whom a statement asks about by the key: what comes of it tells something of them, and so does
//! that nothing comes.
//!
//! `count(*) … WHERE customer_id = 7 AND status = 'open'` tells of customer 7, whatever the count
//! is, and no row says so. So each subject that a statement compares a subject column with is
//! recorded, rows or not. The values are constants of its text or parameters; what a parameter says
//! is read here, as the server would read it or not at all. Where to start: [`Asked::subjects`].

use std::fmt;

use crate::{KeyType, Refusal};

/// Subjects that a statement compares a subject column with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Index into [`crate::Guarded::leaves`].
    pub leaf: usize,
    /// Who they are.
    pub value: AskedValue,
}

/// Where the subjects stand that a statement asks about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AskedValue {
    /// In its text: the key, in the form in which the ledger has it.
    Constant(String),
    /// In the client's parameter of that number, counted from 1.
    Parameter(usize),
    /// In the elements of the array that is the client's parameter of that number.
    Array(usize),
}

impl fmt::Debug for AskedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(_) => f.write_str("Constant(…)"),
            Self::Parameter(number) => write!(f, "Parameter({number})"),
            Self::Array(number) => write!(f, "Array({number})"),
        }
    }
}

/// A parameter as the client binds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<'a> {
    /// `None` is NULL.
    pub value: Option<&'a [u8]>,
    /// It is in the type's binary form, not in text.
    pub binary: bool,
    /// The type's OID as it was declared; 0 if it was not.
    pub declared: u32,
}

/// How many subjects one statement may ask about: each is recorded before anything comes.
pub(crate) const ASKED_MAX: usize = 10_000;

// PostgreSQL's pg_type.dat.
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const UUID: u32 = 2950;

impl Asked {
    /// The subjects, given the client's parameters, as the ledger has them.
    ///
    /// # Errors
    /// A parameter can't be read, or there are too many: what the client is to be told.
    pub fn subjects(
        &self,
        key_type: KeyType,
        parameters: &[Bound<'_>],
        subjects: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let bound = |number: &usize| {
            let index = number.checked_sub(1);
            index.and_then(|index| parameters.get(index)).copied().ok_or_else(unread)
        };
        match &self.value {
            AskedValue::Constant(subject) => subjects.push(subject.clone()),
            AskedValue::Parameter(number) => {
                let bound = bound(number)?;
                if let Some(value) = bound.value {
                    let fits = reads_alike(bound, false);
                    let read = one(key_type, value, bound.binary).filter(|_| fits);
                    subjects.push(read.ok_or_else(unread)?);
                }
            }
            AskedValue::Array(number) => {
                let bound = bound(number)?;
                if let Some(value) = bound.value {
                    let fits = reads_alike(bound, true);
                    let read = if bound.binary { binary_array } else { text_array };
                    let read = read(key_type, value).filter(|_| fits);
                    subjects.extend(read.ok_or_else(unread)?);
                }
            }
        }
        if subjects.len() > ASKED_MAX { Err(too_many()) } else { Ok(()) }
    }

    /// Whether types that PREPARE declares, by their names, have it read as it is read here.
    ///
    /// # Errors
    /// What the client is to be told.
    pub fn takes(&self, types: &[String]) -> Result<(), Refusal> {
        let Some((number, array)) = self.parameter() else { return Ok(()) };
        let declared = number.checked_sub(1).and_then(|index| types.get(index));
        match declared {
            Some(name) if !is_key_type(name, array) => Err(unread()),
            Some(_) | None => Ok(()),
        }
    }

    /// The parameter that it hangs on, and whether that is an array.
    pub fn parameter(&self) -> Option<(usize, bool)> {
        match self.value {
            AskedValue::Constant(_) => None,
            AskedValue::Parameter(number) => Some((number, false)),
            AskedValue::Array(number) => Some((number, true)),
        }
    }
}

/// Whether the server reads a parameter that is declared with this type as it is read here: in
/// another type the same bytes can be another number.
fn reads_alike(Bound { binary, declared, .. }: Bound<'_>, array: bool) -> bool {
    // int2, int4, int8, uuid and their arrays; then what is as good where it is written as text:
    // unknown, text, varchar, numeric, and arrays of these.
    const KEYS: [u32; 4] = [INT8, INT2, INT4, UUID];
    const KEY_ARRAYS: [u32; 4] = [1005, 1007, 1016, 2951];
    const TEXTS: [u32; 4] = [705, 25, 1043, 1700];
    const TEXT_ARRAYS: [u32; 4] = [705, 1009, 1015, 1231];
    let (keys, texts) = if array { (KEY_ARRAYS, TEXT_ARRAYS) } else { (KEYS, TEXTS) };
    // 0 is "not declared": the server takes it for the column's type, or for that of a cast.
    declared == 0 || keys.contains(&declared) || !binary && texts.contains(&declared)
}

/// The same for the names of types, as PREPARE has them.
pub(crate) fn is_key_type(name: &str, array: bool) -> bool {
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    let element = name.strip_suffix("[]");
    let names = [
        "smallint",
        "int2",
        "int",
        "integer",
        "int4",
        "bigint",
        "int8",
        "uuid",
        "text",
        "varchar",
        "character varying",
        "numeric",
    ];
    element.is_some() == array && names.contains(&element.unwrap_or(name))
}

/// The OID of a type of keys, by its name; of other types that of `unknown`, of which nothing is
/// read that comes in binary form.
pub fn key_oid(name: &str) -> u32 {
    const UNKNOWN: u32 = 705;
    match name.strip_prefix("pg_catalog.").unwrap_or(name) {
        "smallint" | "int2" => INT2,
        "int" | "integer" | "int4" => INT4,
        "bigint" | "int8" => INT8,
        "uuid" => UUID,
        _ => UNKNOWN,
    }
}

/// A key as the ledger has it, from a parameter.
fn one(key_type: KeyType, value: &[u8], binary: bool) -> Option<String> {
    match (key_type, binary) {
        // Which texts are equal is for the column's collation to say.
        (KeyType::Text, _) => None,
        (_, true) => key_type.binary(value),
        (_, false) => written(key_type, std::str::from_utf8(value).ok()?),
    }
}

impl KeyType {
    /// Whether a text is a key of this type as the server writes it.
    pub fn is_written(self, text: &str) -> bool {
        match self {
            Self::Int => text.parse::<i64>().is_ok(),
            Self::Uuid => text.len() == 36 && written(self, text).is_some(),
            Self::Text => true,
        }
    }

    /// Whether a text is what the server writes for the key that it reads from it: only that tells
    /// the key from others by its text.
    pub fn is_key(self, text: &str) -> bool {
        self == Self::Text || written(self, text).as_deref() == Some(text)
    }

    /// A key that somebody has written, as the server writes it; `None` if it is none.
    pub fn read(self, text: &str) -> Option<String> {
        if self == Self::Text { Some(text.to_owned()) } else { written(self, text) }
    }

    /// A key in the binary form of any of its types, as the ledger has it; `None` if it is none.
    pub fn binary(self, value: &[u8]) -> Option<String> {
        match self {
            Self::Int => Some(binary_int(value)?.to_string()),
            Self::Uuid => Some(hyphenated(value.try_into().ok()?)),
            Self::Text => std::str::from_utf8(value).ok().map(str::to_owned),
        }
    }
}

/// A key that is written as text. Forms that only some servers take are not read.
pub(crate) fn written(key_type: KeyType, text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    match key_type {
        // `from_str` takes one sign and digits, nothing else.
        KeyType::Int => text.parse::<i64>().ok().map(|number| number.to_string()),
        KeyType::Uuid => {
            let digits: String = text.chars().filter(|c| !matches!(c, '-' | '{' | '}')).collect();
            let is_hex = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let number = is_hex.then(|| u128::from_str_radix(&digits, 16).ok()).flatten()?;
            Some(hyphenated(number.to_be_bytes()))
        }
        // Which texts are equal is for the column's collation to say.
        KeyType::Text => None,
    }
}

/// The elements of an array of keys that is written as text, without bounds and dimensions.
pub(crate) fn text_array(key_type: KeyType, text: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    let elements = inner.split(',').map(|element| {
        let element = element.trim();
        let quoted = element.strip_prefix('"').and_then(|element| element.strip_suffix('"'));
        if quoted.is_none() && element.eq_ignore_ascii_case("null") {
            return Some(None);
        }
        written(key_type, quoted.unwrap_or(element)).map(Some)
    });
    elements.collect::<Option<Vec<Option<String>>>>().map(|all| all.into_iter().flatten().collect())
}

/// The elements of an array in PostgreSQL's binary form (`array_send` in arrayfuncs.c).
fn binary_array(key_type: KeyType, mut bytes: &[u8]) -> Option<Vec<String>> {
    let dimensions = word(&mut bytes)?;
    let _has_nulls = word(&mut bytes)?;
    let element = word(&mut bytes)?;
    let fits = match key_type {
        KeyType::Int => matches!(element, INT8 | INT2 | INT4),
        KeyType::Uuid => element == UUID,
        KeyType::Text => false,
    };
    if dimensions == 0 {
        return Some(Vec::new());
    }
    if dimensions != 1 || !fits {
        return None;
    }
    let count = word(&mut bytes)?;
    let _lower_bound = word(&mut bytes)?;
    let mut all = Vec::new();
    for _ in 0..count {
        let length = word(&mut bytes)?;
        if length == u32::MAX {
            continue;
        }
        let (value, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
        all.push(one(key_type, value, true)?);
        bytes = rest;
    }
    bytes.is_empty().then_some(all)
}

fn word(bytes: &mut &[u8]) -> Option<u32> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*word))
}

pub(crate) fn binary_int(value: &[u8]) -> Option<i64> {
    match value.len() {
        2 => Some(i16::from_be_bytes(value.try_into().ok()?).into()),
        4 => Some(i32::from_be_bytes(value.try_into().ok()?).into()),
        8 => Some(i64::from_be_bytes(value.try_into().ok()?)),
        _ => None,
    }
}

/// A UUID in the form that PostgreSQL writes.
fn hyphenated(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

fn unread() -> Refusal {
    Refusal {
        sqlstate: "42501",
        rule: "asked_key",
        message: "a parameter that a customer's key is compared with can't be read".to_owned(),
        hint: "send the key in its column's type: a whole number in decimal digits, a UUID, or a \
               one-dimensional array of them"
            .to_owned(),
        position: None,
    }
}

pub(crate) fn too_many() -> Refusal {
    Refusal {
        sqlstate: "54000",
        rule: "asked_key",
        message: format!("a statement may ask about {ASKED_MAX} customers at most"),
        hint: "send several statements".to_owned(),
        position: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: AskedValue, key_type: KeyType, bytes: &[u8], binary: bool) -> Option<String> {
        let mut subjects = Vec::new();
        let bound = [Bound { value: Some(bytes), binary, declared: 0 }];
        let asked = Asked { leaf: 0, value };
        asked.subjects(key_type, &bound, &mut subjects).ok()?;
        Some(subjects.join(" "))
    }

    #[test]
    fn a_key_is_read_as_the_server_reads_it_or_not_at_all() {
        let int =
            |bytes: &[u8], binary| read(AskedValue::Parameter(1), KeyType::Int, bytes, binary);
        let texts = ["7", " 7\t", "+7", "007"];
        assert!(texts.iter().all(|text| int(text.as_bytes(), false).as_deref() == Some("7")));
        assert_eq!(int(b"-9223372036854775808", false).as_deref(), Some("-9223372036854775808"));
        let not = ["", "7.0", "0x7", "1_0", "7e0", "9223372036854775808", "7\u{a0}", "--7"];
        assert!(not.iter().all(|text| int(text.as_bytes(), false).is_none()));
        assert_eq!(int(&(-2i16).to_be_bytes(), true).as_deref(), Some("-2"));
        assert_eq!(int(&70_000i32.to_be_bytes(), true).as_deref(), Some("70000"));
        assert_eq!(int(&7i64.to_be_bytes(), true).as_deref(), Some("7"));
        assert_eq!(int(&[0; 12], true), None, "a numeric");
        assert_eq!(read(AskedValue::Parameter(1), KeyType::Text, b"7", false), None);
    }

    /// The same text is another number as a bit string, as a name or as an OID in base 8.
    #[test]
    fn a_type_that_reads_otherwise_is_refused() {
        let read = |bytes: &[u8], binary, declared, value: fn(usize) -> AskedValue| {
            let bound = [Bound { value: Some(bytes), binary, declared }];
            let asked = Asked { leaf: 0, value: value(1) };
            asked.subjects(KeyType::Int, &bound, &mut Vec::new()).is_ok()
        };
        for alike in [0, 20, 21, 23, 25, 705, 1043, 1700] {
            assert!(read(b"101", false, alike, AskedValue::Parameter), "{alike}");
        }
        // bit, name, "char", oid, regclass, xid, float4, float8, bytea, bit[]
        for not in [1560, 19, 18, 26, 2205, 28, 700, 701, 17, 1561] {
            assert!(!read(b"101", false, not, AskedValue::Parameter), "{not}");
            assert!(!read(b"{101}", false, not, AskedValue::Array), "{not}");
        }
        assert!(!read(&[0; 8], true, 1700, AskedValue::Parameter), "a numeric is no integer");
        assert!(read(b"{101}", false, 1016, AskedValue::Array));
        let of = |name: &str, value| {
            Asked { leaf: 0, value }.takes(&["x".to_owned(), name.to_owned()]).is_ok()
        };
        assert!(of("bigint", AskedValue::Parameter(2)) && of("bit", AskedValue::Parameter(3)));
        assert!(of("pg_catalog.int8[]", AskedValue::Array(2)));
        for not in ["bit", "pg_catalog.bit", "public.int8", "name", "bigint[]"] {
            assert!(!of(not, AskedValue::Parameter(2)), "{not}");
        }
        assert!(!of("bigint", AskedValue::Array(2)));
    }

    #[test]
    fn a_uuid_has_one_form() {
        let plain = "0f3b6c1e-0000-4a4a-8b8b-0123456789ab";
        let uuid =
            |text: &str| read(AskedValue::Parameter(1), KeyType::Uuid, text.as_bytes(), false);
        for form in [plain, &plain.to_uppercase(), &plain.replace('-', ""), &format!("{{{plain}}}")]
        {
            assert_eq!(uuid(form).as_deref(), Some(plain));
        }
        assert_eq!(uuid("0f3b6c1e"), None);
        let bytes = 7u128.to_be_bytes();
        let binary = read(AskedValue::Parameter(1), KeyType::Uuid, &bytes, true);
        assert_eq!(binary.as_deref(), Some("00000000-0000-0000-0000-000000000007"));
    }

    #[test]
    fn arrays_are_read_element_by_element() {
        let array = |bytes: &[u8], binary| read(AskedValue::Array(1), KeyType::Int, bytes, binary);
        assert_eq!(array(b"{1, 2,NULL,\"3\"}", false).as_deref(), Some("1 2 3"));
        assert_eq!(array(b"{}", false).as_deref(), Some(""));
        for not in ["1,2", "{{1},{2}}", "[0:1]={1,2}", "{1,x}", "{1,,2}"] {
            assert_eq!(array(not.as_bytes(), false), None, "{not}");
        }
        let mut bytes = Vec::new();
        let words: [u32; 9] = [1, 1, INT4, 2, 1, 4, 7, u32::MAX, 0];
        bytes.extend(words.iter().take(8).flat_map(|word| word.to_be_bytes()));
        assert_eq!(array(&bytes, true).as_deref(), Some("7"));
        bytes.pop();
        assert_eq!(array(&bytes, true), None, "it is cut short");
        let floats: Vec<u8> = [1u32, 0, 701, 0, 1].iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(array(&floats, true), None, "they are no keys");
        let nothing: Vec<u8> = [0u32, 0, INT4].iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(array(&nothing, true).as_deref(), Some(""));
    }

    #[test]
    fn a_parameter_that_is_not_there_and_one_too_many_are_refused() {
        let asked = Asked { leaf: 0, value: AskedValue::Parameter(2) };
        assert!(asked.subjects(KeyType::Int, &[], &mut Vec::new()).is_err());
        let null = [Bound { value: None, binary: false, declared: 0 }; 2];
        let mut subjects = Vec::new();
        assert!(asked.subjects(KeyType::Int, &null, &mut subjects).is_ok() && subjects.is_empty());
        let mut full = vec![String::new(); ASKED_MAX];
        let one = Asked { leaf: 0, value: AskedValue::Constant("7".to_owned()) };
        assert!(one.subjects(KeyType::Int, &[], &mut full).is_err());
    }
}
