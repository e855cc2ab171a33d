//! Lines as most writers write them, which is nearly all of a large feed: no escapes in strings, no
//! key twice, no key that is not of the format. They are read here in one pass and without a
//! general parser; `None` leaves the line to that one, which also says what is wrong with a line.
//!
//! What is read here is what the general parser reads. The tests compare both on lines that are
//! spoilt in every place.

use postern_model::Text;

use super::form::{AccessLine, CallLine, Given, TicketLine};

/// What becomes of a key's value at the end of the object, by what [`Object`] has read it as.
macro_rules! ended {
    (text_or_null, $value:expr) => {
        $value.flatten()
    };
    (list_if_any, $value:expr) => {
        $value
    };
    ($_must_be_there:ident, $value:expr) => {
        $value?
    };
}

/// A reader of one form: its keys, and what [`Object`] reads the value of each as.
macro_rules! reader {
    ($(#[$about:meta])* $name:ident, $form:ident { $($key:ident: $read:ident,)* }) => {
        $(#[$about])*
        pub(super) fn $name(line: &str) -> Option<$form<'_>> {
            let mut object = Object::open(line)?;
            $(let mut $key = None;)*
            while let Some(key) = object.key()? {
                match key {
                    $(stringify!($key) => set(&mut $key, object.$read()?)?,)*
                    _ => return None,
                }
            }
            Some($form { $($key: ended!($read, $key),)* })
        }
    };
}

reader! {
    /// A line of `access`.
    access, AccessLine {
        ts: text,
        seen: text_or_null,
        id: text,
        actor: text,
        session: text,
        client_addr: text_or_null,
        device: text_or_null,
        app: text_or_null,
        statement: text,
        kind: text_or_null,
        ticket: text_or_null,
        reason: text_or_null,
        grade: text_or_null,
        subjects: list,
        clear: list_if_any,
        masked: list_if_any,
        rows: whole,
        decision: text,
        search: text_or_null,
    }
}

reader! {
    /// A line of `tickets`.
    ticket, TicketLine {
        ts: text,
        seen: text_or_null,
        ticket: text,
        event: text,
        subject: text_or_null,
        channel: text_or_null,
        opened_by: text_or_null,
        inbound_ref: text_or_null,
        origin: text_or_null,
        assignee: text_or_null,
        queue: text_or_null,
        language: text_or_null,
    }
}

reader! {
    /// A line of `calls`.
    call, CallLine {
        ts: text,
        seen: text_or_null,
        call: text,
        actor: text,
        subject: text_or_null,
        direction: text,
        seconds: decimal,
        booking: text_or_null,
    }
}

/// Fills what is empty; a key that comes twice is for the general parser to refuse.
fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// An object of which the keys and values are taken one after the other, from its start to the end
/// of the line. Every function gives `None` for what is not plain.
struct Object<'a> {
    text: &'a str,
    at: usize,
    begun: bool,
}

impl<'a> Object<'a> {
    fn open(text: &'a str) -> Option<Self> {
        let mut object = Self { text, at: 0, begun: false };
        object.take(b'{')?;
        Some(object)
    }

    /// The next key; `Some(None)` where object and line end.
    fn key(&mut self) -> Option<Option<&'a str>> {
        if self.begun && self.take(b',').is_none() {
            self.take(b'}')?;
            return (self.at == self.text.len()).then_some(None);
        }
        if !self.begun && self.take(b'}').is_some() {
            return (self.at == self.text.len()).then_some(None);
        }
        self.begun = true;
        let key = self.string()?;
        self.take(b':')?;
        Some(Some(key))
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over white space, which hardly ever is there.
    fn skip(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.next() {
            self.at += 1;
        }
    }

    /// A sign, with white space around it.
    fn take(&mut self, sign: u8) -> Option<()> {
        if self.next() != Some(sign) {
            self.skip();
            if self.next() != Some(sign) {
                return None;
            }
        }
        self.at += 1;
        self.skip();
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        if self.next() != Some(b'"') {
            return None;
        }
        let from = self.at + 1;
        let to = from + plain(self.text.as_bytes().get(from..)?)?;
        self.at = to + 1;
        self.text.get(from..to)
    }

    fn text(&mut self) -> Option<Given<'a>> {
        self.string().map(Given::Borrowed)
    }

    fn text_or_null(&mut self) -> Option<Option<Given<'a>>> {
        if self.next() == Some(b'n') {
            let to = self.at + 4;
            let null = self.text.get(self.at..to) == Some("null");
            self.at = to;
            return null.then_some(None);
        }
        self.text().map(Some)
    }

    fn list(&mut self) -> Option<Vec<Text>> {
        self.take(b'[')?;
        let mut list = Vec::new();
        while self.take(b']').is_none() {
            if !list.is_empty() {
                self.take(b',')?;
            }
            list.push(Text::new(self.string()?));
        }
        Some(list)
    }

    fn list_if_any(&mut self) -> Option<Vec<Text>> {
        self.list()
    }

    /// Digits as they stand.
    fn digits(&mut self) -> Option<&'a str> {
        let from = self.at;
        while self.next().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.text.get(from..self.at).filter(|digits| !digits.is_empty())
    }

    /// Digits without a zero before others.
    fn natural(&mut self) -> Option<&'a str> {
        self.digits().filter(|digits| digits.len() == 1 || !digits.starts_with('0'))
    }

    fn ends_number(&mut self) -> Option<()> {
        self.skip();
        matches!(self.next(), Some(b',' | b'}')).then_some(())
    }

    fn whole(&mut self) -> Option<u64> {
        let number = self.natural()?.parse().ok()?;
        self.ends_number()?;
        Some(number)
    }

    /// A number of so few digits that they and the power of ten are exact, so that their quotient
    /// is the nearest number there is.
    fn decimal(&mut self) -> Option<f64> {
        const DIGITS: usize = 15;
        let whole = self.natural()?;
        let mut places = "";
        if self.next() == Some(b'.') {
            self.at += 1;
            places = self.digits()?;
        }
        if whole.len() + places.len() > DIGITS {
            return None;
        }
        self.ends_number()?;
        let mut number = 0_u64;
        for digit in whole.bytes().chain(places.bytes()) {
            number = number * 10 + u64::from(digit - b'0');
        }
        Some(number as f64 / 10_f64.powi(i32::try_from(places.len()).ok()?))
    }
}

/// How many bytes stand before the quote that ends a string, if none of them is a control character
/// or begins an escape.
fn plain(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            let at = special.trailing_zeros() as usize / 8;
            return (word.get(at) == Some(&b'"')).then_some(place * 8 + at);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))?;
    (rest.get(at) == Some(&b'"')).then_some(words.len() * 8 + at)
}

/// Of the eight bytes of a word, the high bits of those that are quotes, backslashes or control
/// characters; above the lowest one of others too. Source: Sean Eron Anderson, "Bit Twiddling
/// Hacks", `haszero` and `hasless`.
fn special(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let less = |word: u64, than: u64| word.wrapping_sub(EACH * than) & !word;
    let equal = |sign: u8| less(word ^ (EACH * u64::from(sign)), 1);
    (less(word, 0x20) | equal(b'"') | equal(b'\\')) & (EACH * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: &str = concat!(
        r#"{"ts":"2026-01-02T03:04:05Z","seen":null,"id":"1","actor":"ä1","session":"s","#,
        r#""client_addr":"::1","device":"dev","app":"psql","statement":"00ff","#,
        r#""kind":"lookup","ticket":"t1","reason":"r","grade":"strong","subjects":["c1","#,
        r#""c2-and-so-on"],"clear":[],"masked":["phone"],"rows":20,"decision":"allow","#,
        r#""search":"ab"}"#,
    );
    const TICKET: &str = concat!(
        r#"{"ts":"2026-01-02T03:04:05Z","seen":"x","ticket":"t1","event":"opened","#,
        r#""subject":"c1","channel":null,"opened_by":"customer","inbound_ref":"m1","#,
        r#""origin":"o","assignee":"a1","queue":"q","language":"de"}"#,
    );
    const CALL: &str = concat!(
        r#"{ "ts": "2026-01-02T03:04:05Z", "call": "k1", "actor": "a1", "subject": "c1", "#,
        r#""direction": "in", "seconds": 12.5, "booking": "b" }"#,
    );

    /// The line, and the line spoilt in many ways.
    fn spoilt(line: &str) -> Vec<String> {
        let mut all = vec![line.to_owned()];
        let places = line.char_indices().map(|(place, _)| place);
        for place in places.chain([line.len()]) {
            let (head, tail) = line.split_at(place);
            let rest: String = tail.chars().skip(1).collect();
            for with in [
                "",
                " ",
                "\"",
                "\\",
                "\\u0041",
                ",",
                ":",
                "{",
                "}",
                "[",
                "]",
                "0",
                "9",
                ".",
                "-",
                "e",
                "null",
                "\n",
                "\u{1}",
                "ß",
                "\"rows\":1,",
                "\"ts\":\"x\",",
                "\"new\":1,",
            ] {
                all.extend([format!("{head}{with}{tail}"), format!("{head}{with}{rest}")]);
            }
            all.extend([head.to_owned(), format!("{line}{tail}")]);
        }
        all
    }

    /// What is read of a spoilt line is what the general parser reads; how many were read.
    fn check<'a, T: serde::Deserialize<'a> + PartialEq + std::fmt::Debug>(
        lines: &'a [String],
        plain: fn(&'a str) -> Option<T>,
    ) -> usize {
        assert!(lines.first().is_some_and(|line| plain(line).is_some()));
        let read = lines.iter().filter_map(|line| Some((line, plain(line)?)));
        read.map(|(line, read)| assert_eq!(Some(read), serde_json::from_str(line).ok(), "{line}"))
            .count()
    }

    #[test]
    fn what_is_read_here_is_what_the_general_parser_reads() {
        assert!(check(&spoilt(ACCESS), access) > 1_000);
        assert!(check(&spoilt(TICKET), ticket) > 1_000);
        assert!(check(&spoilt(CALL), call) > 1_000);
    }

    #[test]
    fn numbers_are_those_of_the_general_parser() {
        let lines: Vec<String> = [
            "0",
            "0.5",
            "10",
            "3600",
            "0.1",
            "12.345678",
            "99999999.123456",
            "1e3",
            "1.",
            ".5",
            "01",
            "123456789012345",
            "1234567890123456",
            "0.123456789012345678",
            "-1",
            "1.50",
            "00.1",
        ]
        .into_iter()
        .map(|number| CALL.replace("12.5", number))
        .collect();
        assert_eq!(check(&lines, call), 9);
    }

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_is() {
        let stops = (0..=0x20_u8).chain([b'"', b'\\', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff]);
        for stop in stops {
            for length in 0..40 {
                let mut bytes = vec![b'x'; 40];
                bytes[length] = stop;
                bytes.push(b'"');
                let expected = match stop {
                    b'"' => Some(length),
                    0..0x20 | b'\\' => None,
                    _ => Some(40),
                };
                assert_eq!(plain(&bytes), expected, "{stop} {length}");
            }
        }
        assert_eq!(plain(b"without an end"), None);
    }
}
