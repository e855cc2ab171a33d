//! Records as a list has them: some fields, in somebody's formatting, with mistakes.

use postern_model::{Secret, Subject};
use postern_trace::LeakRow;

use crate::{
    chance::Chance,
    world::{FIELDS, Read, Style, World},
};

/// How a list is written.
#[derive(Debug, Clone)]
pub struct Hand {
    /// Which of [`FIELDS`] it has, as bits.
    fields: u8,
    /// Whether it names the key of the customer.
    keyed: bool,
    typos: f64,
    missing: f64,
    doubled: f64,
    phone: usize,
    name: usize,
}

impl Hand {
    /// A hand that writes only fields of `shown`, one of name alone never.
    pub fn drawn(chance: &mut Chance, shown: u8) -> Self {
        let wanted = [0b0111, 0b0011, 0b0101, 0b1111, 0b0110, 0b0010][chance.below(6)];
        let fields = if wanted & shown & 0b1110 == 0 { shown } else { wanted & shown };
        Self {
            fields,
            keyed: chance.odds(0.2),
            typos: if chance.odds(0.5) { 0.0 } else { 0.12 * chance.unit() },
            missing: if chance.odds(0.5) { 0.0 } else { 0.3 * chance.unit() },
            doubled: if chance.odds(0.6) { 0.0 } else { 0.1 * chance.unit() },
            phone: chance.below(5),
            name: chance.below(6),
        }
    }

    /// The same hand as people of this world write.
    pub fn styled(mut self, world: &mut World) -> Self {
        match world.setting.style {
            Style::Keys => self.keyed = true,
            Style::Column => {
                self.keyed = false;
                let one = [0b0010, 0b0010, 0b0100, 0b0001][world.chance.below(4)];
                self.fields = if self.fields & one == 0 { 0b0010 } else { one };
            }
            Style::Typos => {
                self.keyed = false;
                self.typos = 0.33;
            }
            Style::Usual
            | Style::Bare
            | Style::Reasonless
            | Style::Unsorted
            | Style::Small
            | Style::Large
            | Style::Popular
            | Style::Desks
            | Style::Years
            | Style::Hour
            | Style::Wide
            | Style::Pages
            | Style::Curious
            | Style::Shifted
            | Style::Gaps
            | Style::Traits => {}
        }
        self
    }

    /// The rows of a list of these records, in random order.
    pub fn write(&self, world: &mut World, records: &[Read]) -> Vec<LeakRow> {
        let mut rows = Vec::new();
        for record in records {
            let row = self.row(world, record);
            if world.chance.odds(self.doubled) {
                rows.push(self.row(world, record));
            }
            rows.push(row);
        }
        rows
    }

    fn row(&self, world: &mut World, record: &Read) -> LeakRow {
        let mut row = LeakRow::default();
        if self.keyed {
            row.subject = Some(Subject::new(World::subject(record.customer)));
        }
        for (field, name) in FIELDS.iter().enumerate() {
            if self.fields & record.shown & (1 << field) == 0 {
                continue;
            }
            let customer = &world.customers[record.customer];
            let Some(value) = customer.value(field, record.time, &mut world.chance) else {
                continue;
            };
            let chance = &mut world.chance;
            if chance.odds(self.missing) && !(row.fields.is_empty() && field == 2) {
                continue;
            }
            let value = match field {
                0 => name_as(self.name, &value),
                2 => phone_as(self.phone, &value),
                _ => value,
            };
            let value = if chance.odds(self.typos) { typo(chance, &value) } else { value };
            row.fields.push(((*name).into(), Secret::new(value)));
        }
        row
    }
}

/// A record of somebody who is no customer.
pub fn stranger(chance: &mut Chance) -> LeakRow {
    let number = chance.below(1_000_000);
    let email = format!("someone{number}@elsewhere.example");
    let phone = format!("+1 303 555 {:04}", chance.below(10_000));
    let fields = vec![
        ("name".into(), Secret::new(format!("Sam Stranger{}", chance.below(500)))),
        ("email".into(), Secret::new(email)),
        ("phone".into(), Secret::new(phone)),
    ];
    LeakRow { fields, ..LeakRow::default() }
}

fn name_as(hand: usize, name: &str) -> String {
    let mut parts: Vec<&str> = name.split(' ').collect();
    match hand {
        0 => name.to_uppercase(),
        1 => {
            let first = parts.remove(0);
            format!("{}, {first}", parts.join(" "))
        }
        2 => plain(name),
        3 => {
            let first: String = name.chars().take(1).collect();
            parts.remove(0);
            format!("{first}. {}", parts.join(" "))
        }
        _ => name.to_owned(),
    }
}

/// Letters without their marks, as an old system prints them.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for letter in name.chars() {
        match letter {
            'ü' => plain.push_str("ue"),
            'ö' | 'ø' => plain.push_str("oe"),
            'ß' => plain.push_str("ss"),
            'é' | 'è' | 'ë' => plain.push('e'),
            'á' | 'ã' => plain.push('a'),
            'í' | 'ı' => plain.push('i'),
            'ñ' => plain.push('n'),
            'Ł' => plain.push('L'),
            'Ø' | 'Ö' => plain.push('O'),
            'ç' => plain.push('c'),
            'ř' => plain.push('r'),
            other => plain.push(other),
        }
    }
    plain
}

/// A number in E.164 as other people write it.
fn phone_as(hand: usize, phone: &str) -> String {
    let digits = phone.trim_start_matches('+');
    let country = if digits.starts_with('1') { 1 } else { 2 };
    let (code, national) = digits.split_at(country.min(digits.len()));
    match hand {
        0 => phone.to_owned(),
        1 => format!("00{digits}"),
        2 => {
            let trunk = if code == "1" { "" } else { "0" };
            let (a, b) = national.split_at(national.len() / 2);
            format!("{trunk}{a}-{b}")
        }
        3 => {
            let (a, b) = national.split_at(national.len() / 3);
            format!("+{code} ({a}) {b}")
        }
        _ => digits.to_owned(),
    }
}

/// One letter lost, doubled, changed, or swapped with its neighbour.
fn typo(chance: &mut Chance, value: &str) -> String {
    let mut letters: Vec<char> = value.chars().collect();
    let at = chance.below(letters.len());
    match chance.below(4) {
        0 if letters.len() > 3 => {
            letters.remove(at);
        }
        1 => letters.insert(at, letters[at]),
        2 if at + 1 < letters.len() => letters.swap(at, at + 1),
        _ => {
            letters[at] = if letters[at].is_ascii_digit() {
                char::from(b'0' + chance.below(10) as u8)
            } else {
                'e'
            };
        }
    }
    letters.into_iter().collect()
}
