//! What stands in cells.

use crate::{
    dice::Dice,
    schema::{CANARY, Column, Kind, MARK},
};

/// Makes values, and no unique one twice.
#[derive(Debug)]
pub(crate) struct Values {
    made: usize,
    /// How much longer a hidden text can be than it must.
    room: usize,
}

const WORDS: [&str; 8] = ["ada", "bo", "Cy", "dee 4", "e_e", "12", "zed@x.org", "0"];

/// Texts that make errors, or none, where they are cast, matched or compared.
const TRAPS: [&str; 16] = [
    "",
    "0",
    "1",
    "abc",
    "***",
    "***@***",
    "-17.5",
    "2024-02-30",
    "2024-02-29",
    "{}",
    "{\"a\":1}",
    "NaN",
    "%",
    "(",
    "true",
    "ada",
];

pub(crate) fn uuid(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

impl Values {
    pub(crate) fn new(room: usize) -> Self {
        Self { made: 0, room }
    }

    /// A text that is nowhere else, and that nothing is likely to make by chance.
    pub(crate) fn mark(&mut self) -> String {
        self.made += 1;
        let made = u64::try_from(self.made).unwrap_or(u64::MAX);
        let code = made.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 36;
        format!("{MARK}{code:07x}")
    }

    /// A value that both databases have: a query may name it.
    pub(crate) fn open(&mut self, dice: &mut Dice, column: &Column, row: usize) -> String {
        if column.unique {
            return match column.kind {
                Kind::Int => format!("{}", 200 + row),
                Kind::Uuid => format!("'{}'", uuid(5_000 + row)),
                Kind::Text
                | Kind::Numeric
                | Kind::Float
                | Kind::Bool
                | Kind::Date
                | Kind::Stamp
                | Kind::Bytes
                | Kind::Json
                | Kind::Texts
                | Kind::Ints => format!("'u{row}'"),
            };
        }
        if dice.chance(6) {
            return "NULL".to_owned();
        }
        match column.kind {
            Kind::Text if column.sql_type == "mood" => mood(dice),
            Kind::Text => format!("'{}{}'", dice.pick(&WORDS), dice.below(4)),
            Kind::Int => dice.below(90).to_string(),
            Kind::Numeric => format!("{}.{}", dice.below(500), dice.below(100)),
            Kind::Float => format!("{}.5", dice.below(50)),
            Kind::Bool => ["false", "true"][dice.below(2)].to_owned(),
            Kind::Date => {
                format!("'20{:02}-0{}-1{}'", dice.below(25), 1 + dice.below(9), dice.below(9))
            }
            Kind::Stamp => format!("'2023-0{}-02 0{}:00:00+00'", 1 + dice.below(9), dice.below(9)),
            Kind::Uuid => format!("'{}'", uuid(dice.below(50))),
            Kind::Bytes => format!("'\\x{:02x}{:02x}'", dice.below(256), dice.below(256)),
            Kind::Json => {
                format!("'{{\"a\": {}, \"b\": [1, \"{}\"]}}'", dice.below(9), dice.pick(&WORDS))
            }
            Kind::Texts => format!("'{{\"{}\",x}}'", dice.pick(&WORDS)),
            Kind::Ints => format!("'{{{},{}}}'", dice.below(9), dice.below(9)),
        }
    }

    /// A value that the actor may not know. A careful one is like no other and like no constant of
    /// a query: a search for it would be answered.
    pub(crate) fn hidden(&mut self, dice: &mut Dice, column: &Column, careful: bool) -> String {
        if dice.chance(10) { "NULL".to_owned() } else { self.hidden_value(dice, column, careful) }
    }

    /// Two such values of the same length.
    pub(crate) fn twins(&mut self, dice: &mut Dice, column: &Column, careful: bool) -> [String; 2] {
        if dice.chance(10) {
            return ["NULL".to_owned(), "NULL".to_owned()];
        }
        let text = matches!(column.kind, Kind::Text) && column.sql_type != "mood";
        let numbered = careful || dice.chance(50);
        self.made += 2;
        let numbers = [self.made, self.made - 1];
        match column.kind {
            Kind::Text if text && numbered => {
                let tail =
                    "x".repeat(if column.sql_type == "text" { dice.below(self.room) } else { 0 });
                numbers.map(|number| format!("'{CANARY}{number:07}{tail}'"))
            }
            Kind::Text if text => {
                let one = *dice.pick(&TRAPS);
                let like: Vec<&'static str> =
                    TRAPS.into_iter().filter(|trap| trap.len() == one.len()).collect();
                [one, *dice.pick(&like)].map(|trap| format!("'{trap}'"))
            }
            Kind::Json if numbered => {
                numbers.map(|number| format!("'{{\"a\": \"{CANARY}{number:07}\"}}'"))
            }
            Kind::Texts if numbered => numbers.map(|number| format!("'{{{CANARY}{number:07}}}'")),
            // As long as the value is great, or wide.
            Kind::Json | Kind::Texts | Kind::Ints | Kind::Numeric | Kind::Bytes => {
                let value = self.hidden_value(dice, column, careful);
                [value.clone(), value]
            }
            Kind::Text
            | Kind::Int
            | Kind::Float
            | Kind::Bool
            | Kind::Date
            | Kind::Stamp
            | Kind::Uuid => {
                let mut one = || self.hidden_value(dice, column, careful);
                [one(), one()]
            }
        }
    }

    fn hidden_value(&mut self, dice: &mut Dice, column: &Column, careful: bool) -> String {
        self.made += 1;
        let made = self.made;
        match column.kind {
            Kind::Text if column.sql_type == "mood" => mood(dice),
            Kind::Text => {
                let room = if column.sql_type.contains("char") { 30 } else { self.room };
                let room = if column.sql_type == "char(24)" { 0 } else { room };
                if careful || dice.chance(50) {
                    let tail = "x".repeat(dice.below(room + 1));
                    return format!("'{CANARY}{made}{tail}'");
                }
                format!("'{}'", dice.pick(&TRAPS))
            }
            Kind::Int if careful && column.sql_type == "int2" => format!("{}", 20_000 + made),
            Kind::Int if careful => format!("{}", 1_000_000_000 + made),
            Kind::Int if column.sql_type == "int2" => {
                (*dice.pick(&["0", "1", "-1", "32767", "-32768", "77"])).to_owned()
            }
            Kind::Int => {
                (*dice.pick(&["0", "1", "-1", "2147483647", "-2147483648", "77", "123456"]))
                    .to_owned()
            }
            Kind::Numeric => {
                (*dice.pick(&["0", "1", "-3.25", "999999999.99", "42", "'NaN'"])).to_owned()
            }
            Kind::Float => {
                (*dice.pick(&["0", "1", "-3.25", "'NaN'", "'Infinity'", "1e30", "1e-30"]))
                    .to_owned()
            }
            Kind::Bool => ["false", "true"][dice.below(2)].to_owned(),
            Kind::Date => {
                (*dice.pick(&["'1970-01-01'", "'infinity'", "'0044-03-15 BC'", "'2031-12-31'"]))
                    .to_owned()
            }
            Kind::Stamp => {
                (*dice.pick(&["'1970-01-01'", "'infinity'", "'2031-12-31 23:59:59'"])).to_owned()
            }
            Kind::Uuid => format!("'{}'", uuid(900_000 + made)),
            Kind::Bytes => {
                (*dice.pick(&["'\\x'", "'\\x00'", "'\\xdeadbeef'", "'\\xff00ff00ff'"])).to_owned()
            }
            Kind::Json => {
                let text =
                    *dice.pick(&["{}", "[]", "null", "1", "\"ada\"", "{\"a\": 0}", "[[1],2]"]);
                if dice.chance(40) {
                    return format!("'{{\"a\": \"{CANARY}{made}\"}}'");
                }
                format!("'{text}'")
            }
            Kind::Texts => match dice.below(4) {
                0 => "'{}'".to_owned(),
                1 => "'{NULL,ada}'".to_owned(),
                2 => "'{a,b,c,d}'".to_owned(),
                _ => format!("'{{{CANARY}{made}}}'"),
            },
            Kind::Ints => {
                (*dice.pick(&["'{}'", "'{0}'", "'{1,2,3}'", "'{NULL,2147483647}'"])).to_owned()
            }
        }
    }
}

fn mood(dice: &mut Dice) -> String {
    format!("'{}'", dice.pick(&["sad", "ok", "happy"]))
}
