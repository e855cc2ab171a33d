//! Customers and staff.

use postern_model::{
    Actor, Event, Person, PersonEvent, Secret, Subject, SubjectChange, Text, Timestamp,
};
use postern_trace::ValueVersion;

use super::{Customer, DAY, FIELDS, Member, START, Setting, Style, Version, World};
use crate::chance::Chance;

const FIRST: [&str; 40] = [
    "Anna",
    "Jürgen",
    "José",
    "Zoë",
    "Łukasz",
    "Søren",
    "François",
    "María",
    "Peter",
    "Olga",
    "Ivan",
    "Ольга",
    "Дмитрий",
    "Γιώργος",
    "Siobhán",
    "Nguyễn",
    "Emre",
    "Çağla",
    "Björn",
    "Ana",
    "John",
    "Mary",
    "Wei",
    "Yuki",
    "Fatima",
    "Mohammed",
    "Lars",
    "Ingrid",
    "Paul",
    "Laura",
    "Thomas",
    "Hélène",
    "Jan",
    "Katarína",
    "Tomáš",
    "Eva",
    "David",
    "Sofia",
    "Márk",
    "Ines",
];

const LAST: [&str; 40] = [
    "Müller",
    "García",
    "Smith",
    "O'Brien",
    "Nowak",
    "Sørensen",
    "Lefèvre",
    "Rossi",
    "Иванов",
    "Петрова",
    "Παπαδόπουλος",
    "Yılmaz",
    "Öztürk",
    "Nguyen",
    "Chen",
    "Tanaka",
    "Haddad",
    "Novák",
    "Szabó",
    "Jensen",
    "de la Cruz",
    "van der Berg",
    "Weiß",
    "Groß",
    "Jones",
    "Brown",
    "Martin",
    "Silva",
    "Santos",
    "Kowalska",
    "Schmidt-Meyer",
    "Ødegård",
    "Łuczak",
    "Dvořák",
    "Fernández",
    "Moreau",
    "Fischer",
    "Weber",
    "Costa",
    "Lindström",
];

const DOMAINS: [&str; 6] =
    ["example.com", "example.org", "mail.example.net", "gmail.com", "post.example", "web.example"];

/// Country codes with a plausible national number that begins so.
const PHONES: [(&str, &str); 6] = [
    ("1", "20255"),
    ("49", "15112"),
    ("44", "77009"),
    ("33", "61234"),
    ("48", "51234"),
    ("34", "61234"),
];

pub(super) fn customers(setting: &Setting, chance: &mut Chance) -> Vec<Customer> {
    (0..setting.customers).map(|number| customer(setting, number, chance)).collect()
}

fn customer(setting: &Setting, number: usize, chance: &mut Chance) -> Customer {
    let first = *chance.one(&FIRST).unwrap_or(&"Anna");
    let last = *chance.one(&LAST).unwrap_or(&"Müller");
    let born = START - DAY;
    let mut versions = [
        vec![Version { ts: born, value: format!("{first} {last}") }],
        vec![Version { ts: born, value: address(number, 0, chance) }],
        vec![Version { ts: born, value: phone(chance) }],
    ];
    for (field, versions) in versions.iter_mut().enumerate().skip(1) {
        let mut change = 1;
        while chance.odds(setting.moving) && change < 4 {
            let days = chance.unit() * setting.days as f64 * 0.95;
            let ts = START + (days * DAY as f64) as i64;
            let value = if field == 1 { address(number, change, chance) } else { phone(chance) };
            versions.push(Version { ts, value });
            change += 1;
        }
        versions.sort_by_key(|version| version.ts);
    }
    Customer {
        // Queues and languages are not of the same size.
        queue: skewed(setting.queues, chance),
        language: skewed(setting.languages, chance),
        important: chance.odds(0.03),
        activity: (setting.activity * chance.normal()).exp(),
        versions,
        tickets: Vec::new(),
    }
}

fn skewed(count: usize, chance: &mut Chance) -> usize {
    chance.below(count).min(chance.below(count))
}

fn address(number: usize, change: usize, chance: &mut Chance) -> String {
    let domain = chance.one(&DOMAINS).copied().unwrap_or("example.com");
    let word = ["anna", "info", "mail", "office", "jo"][chance.below(5)];
    format!("{word}.{number}{}@{domain}", ["", "x", "y", "z"][change.min(3)])
}

fn phone(chance: &mut Chance) -> String {
    let (country, start) = PHONES[chance.below(PHONES.len())];
    let digits = match country {
        "33" | "48" | "34" => 4,
        "49" => 6,
        _ => 5,
    };
    let rest: String = (0..digits).map(|_| char::from(b'0' + chance.below(10) as u8)).collect();
    format!("+{country}{start}{rest}")
}

pub(super) fn staff(setting: &Setting, chance: &mut Chance) -> Vec<Member> {
    let mut staff = Vec::new();
    let some = |chance: &mut Chance, count: usize| {
        let many = chance.between(1, 2);
        chance.some(&(0..count).collect::<Vec<_>>(), many)
    };
    for number in 0..setting.agents {
        staff.push(Member {
            name: if setting.style == Style::Desks && number % 3 == 0 {
                format!("desk{}", number / 12)
            } else {
                format!("agent{number}")
            },
            role: "agent",
            queues: some(chance, setting.queues),
            languages: some(chance, setting.languages),
        });
    }
    let all: Vec<usize> = (0..setting.queues).collect();
    let languages: Vec<usize> = (0..setting.languages).collect();
    for (role, count) in [("lead", 4), ("qa", 2), ("analyst", 2), ("service", 1)] {
        for number in 0..count {
            staff.push(Member {
                name: format!("{role}{number}"),
                role,
                queues: all.clone(),
                languages: languages.clone(),
            });
        }
    }
    staff
}

pub(super) fn events(world: &World) -> Vec<Event> {
    let ts = Timestamp(START - DAY);
    let queue = |number: &usize| Text::from(format!("q{number}"));
    let language = |number: &usize| Text::from(format!("l{number}"));
    let people = world.staff.iter().map(|member| {
        Event::Person(Box::new(Person {
            ts,
            seen: ts,
            actor: Actor::new(member.name.as_str()),
            event: PersonEvent::Hired,
            role: Some(member.role.into()),
            team: None,
            manager: None,
            employer: Some("own".into()),
            queues: member.queues.iter().map(queue).collect(),
            languages: member.languages.iter().map(language).collect(),
            shift: None,
        }))
    });
    let subjects = world.customers.iter().enumerate().map(|(number, customer)| {
        Event::Subject(SubjectChange {
            ts,
            subject: Subject::new(World::subject(number)),
            queue: Some(queue(&customer.queue)),
            language: Some(language(&customer.language)),
            tags: if customer.important { vec!["vip".into()] } else { Vec::new() },
        })
    });
    people.chain(subjects).collect()
}

pub(super) fn values(world: &World) -> Vec<ValueVersion> {
    let mut values = Vec::new();
    for (number, customer) in world.customers.iter().enumerate() {
        let mut push = |ts: i64, field: usize, value: &str| {
            values.push(ValueVersion {
                ts: Timestamp(ts),
                subject: Subject::new(World::subject(number)),
                field: FIELDS[field].into(),
                value: Secret::new(value.to_owned()),
            });
        };
        for (field, versions) in customer.versions.iter().enumerate() {
            versions.iter().for_each(|version| push(version.ts, field, &version.value));
        }
        customer.tickets.iter().for_each(|ticket| push(ticket.1, 3, &ticket.0));
    }
    values
}
