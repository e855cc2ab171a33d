//! What persons and authorities are told: drafts, and lists for the letters.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::{Context as _, ensure};
use csv::{ReaderBuilder, Trim, Writer};
use postern_model::Subject;

use super::{
    Case,
    affected::{Certainty, Person},
};
use crate::cli::Told;

/// Locales of which there are letters; of any other it is the first.
const LETTERS: [(&str, &str); 3] = [
    ("en", include_str!("letter.en.txt")),
    ("de", include_str!("letter.de.txt")),
    ("fr", include_str!("letter.fr.txt")),
];

/// Kinds of data in words, in the order of [`LETTERS`].
const KINDS: [(&str, [&str; 3]); 9] = [
    ("name", ["your name", "Ihr Name", "votre nom"]),
    ("email", ["your e-mail address", "Ihre E-Mail-Adresse", "votre adresse électronique"]),
    ("phone", ["your telephone number", "Ihre Telefonnummer", "votre numéro de téléphone"]),
    ("address", ["your address", "Ihre Anschrift", "votre adresse"]),
    ("identifier", ["an identifying number", "eine Kennnummer", "un numéro d’identification"]),
    ("case_number", ["your case numbers", "Ihre Vorgangsnummern", "vos numéros de dossier"]),
    ("free_text", ["what you wrote to us", "was Sie uns geschrieben haben", "vos messages"]),
    ("secret", ["a secret", "ein Geheimnis", "un secret"]),
    ("other", ["other data", "weitere Angaben", "d’autres données"]),
];

const CERTAIN: [&str; 3] = [
    "We know it because it turned up where it should not be.",
    "Wir wissen das, weil sie an einer Stelle aufgetaucht sind, an die sie nicht gehören.",
    "Nous le savons parce qu’elles ont été retrouvées là où elles ne devraient pas être.",
];
const POSSIBLE: [&str; 3] = [
    "We do not know whether they were passed on.",
    "Wir wissen nicht, ob sie weitergegeben wurden.",
    "Nous ne savons pas si elles ont été transmises.",
];

/// What is known of customers besides.
#[derive(Debug, Default)]
pub(super) struct Customers {
    /// The headings of the columns that go into the list as they are.
    headings: Vec<String>,
    of: BTreeMap<Subject, Customer>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Customer {
    pub(super) jurisdiction: String,
    locale: String,
    others: Vec<String>,
}

impl Customers {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let at = || format!("can't read `{}`", path.display());
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_path(path).with_context(at)?;
        let headings: Vec<String> =
            reader.headers().with_context(at)?.iter().map(ToOwned::to_owned).collect();
        let place = |name: &str| headings.iter().position(|heading| heading == name);
        let subject = place("subject");
        ensure!(subject.is_some(), "`{}` has no column `subject`", path.display());
        let (jurisdiction, locale) = (place("jurisdiction"), place("locale"));
        let own = [subject, jurisdiction, locale];
        let is_other = |column: &usize| !own.contains(&Some(*column));
        let others: Vec<usize> = (0..headings.len()).filter(is_other).collect();
        let passed_on = others.iter().filter_map(|column| headings.get(*column)).cloned();
        let mut customers = Self { headings: passed_on.collect(), of: BTreeMap::new() };
        for record in reader.records() {
            let record = record.with_context(at)?;
            let cell = |column: Option<usize>| {
                column.and_then(|column| record.get(column)).unwrap_or_default().to_owned()
            };
            let customer = Customer {
                jurisdiction: cell(jurisdiction),
                locale: cell(locale),
                others: others.iter().map(|column| cell(Some(*column))).collect(),
            };
            customers.of.insert(Subject::new(cell(subject)), customer);
        }
        Ok(customers)
    }

    pub(super) fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.of.keys()
    }

    pub(super) fn of(&self, subject: &Subject) -> Customer {
        self.of.get(subject).cloned().unwrap_or_default()
    }
}

/// The letters' texts, by file name.
pub(super) fn texts() -> impl Iterator<Item = (String, &'static str)> {
    LETTERS.into_iter().map(|(locale, text)| (format!("letter.{locale}.txt"), text))
}

fn language(locale: &str) -> usize {
    let language = locale.split(['-', '_']).next().unwrap_or_default().to_lowercase();
    LETTERS.iter().position(|(known, _)| *known == language).unwrap_or(0)
}

/// Who was affected: a line for each person and kind of data.
pub(super) fn affected(case: &Case) -> anyhow::Result<Vec<u8>> {
    let mut lines = Writer::from_writer(Vec::new());
    let head = ["subject", "jurisdiction", "certainty", "data", "first", "last", "times"];
    lines.write_record(head)?;
    for (subject, person) in &case.affected.persons {
        let customer = case.customers.of(subject);
        let place = customer.jurisdiction.as_str();
        if person.data.is_empty() {
            let certainty = person.certainty().as_str();
            lines.write_record([subject.as_str(), place, certainty, "", "", "", ""])?;
        }
        for (kind, shown) in &person.data {
            let of = shown.map(|s| [s.first.to_string(), s.last.to_string(), s.times.to_string()]);
            let [first, last, times] = of.unwrap_or_default();
            let certainty = person.certainty_of(kind).as_str();
            lines.write_record([
                subject.as_str(),
                place,
                certainty,
                kind,
                &first,
                &last,
                &times,
            ])?;
        }
    }
    Ok(lines.into_inner()?)
}

/// Who is written to: a line for each person of whom something was shown or seen, for mail merge.
pub(super) fn merge(case: &Case) -> anyhow::Result<Vec<u8>> {
    let mut lines = Writer::from_writer(Vec::new());
    let own = ["subject", "letter", "categories", "certainty", "first", "last"];
    lines.write_record(own.into_iter().chain(case.customers.headings.iter().map(|h| &**h)))?;
    let written = case.affected.persons.iter();
    for (subject, person) in written.filter(|(_, p)| p.certainty() != Certainty::Unknown) {
        let customer = case.customers.of(subject);
        let language = language(&customer.locale);
        let (first, last) =
            person.span().map_or_else(Default::default, |(first, last)| (day(first), day(last)));
        let letter = LETTERS.get(language).map_or("", |(locale, _)| locale);
        let letter = format!("letter.{letter}.txt");
        let own = [subject.as_str(), &letter, &words(person, language), certain(person, language)];
        let own = own.into_iter().chain([first.as_str(), last.as_str()]);
        // A person of whom the file tells nothing has empty cells.
        let others = (0..case.customers.headings.len())
            .map(|column| customer.others.get(column).map_or("", String::as_str));
        lines.write_record(own.chain(others))?;
    }
    Ok(lines.into_inner()?)
}

fn day(time: postern_model::Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

fn words(person: &Person, language: usize) -> String {
    let word = |kind: &String| {
        let words = KINDS.iter().find(|(known, _)| known == kind);
        words.and_then(|(_, words)| words.get(language)).copied().unwrap_or("other data")
    };
    person.data.keys().map(word).collect::<Vec<_>>().join(", ")
}

fn certain(person: &Person, language: usize) -> &'static str {
    let said = if person.listed { CERTAIN } else { POSSIBLE };
    said.get(language).copied().unwrap_or_default()
}

/// The draft for an authority, as GDPR, Article 33(3), has it.
pub(super) fn authority(case: &Case) -> String {
    let Case { affected, .. } = case;
    let [seen, possible, unknown] = Certainty::ALL.map(|certainty| affected.count(certainty));
    let mut text = format!(
        "# Notification of a breach (draft)\n\nCheck with counsel. What is in brackets is for you \
         to fill in.\n\n## What happened\n\n[Nature of the breach, how it was found.] Aware since \
         {}.\n\n",
        case.aware
    );
    for account in &case.accounts {
        let _ = writeln!(text, "- Through the account `{account}`, whoever used it.");
    }
    let _ = write!(
        text,
        "\n## Who is affected\n\nAt least {seen} persons, and at most {}{}.\n\n| | persons |\n| \
         --- | ---: |\n| seen: their data turned up | {seen} |\n| possible: their data was shown \
         through an account concerned | {possible} |\n| unknown: nothing tells | {unknown} |\n\n| \
         data | seen | possible |\n| --- | ---: | ---: |\n",
        seen + possible,
        if unknown > 0 {
            format!(" that are known, besides {unknown} of whom nothing tells")
        } else {
            String::new()
        },
    );
    for (kind, [seen, possible]) in &case.kinds() {
        let _ = writeln!(text, "| {kind} | {seen} | {possible} |");
    }
    text.push_str(
        "\n| place | persons, at least | at most | rules |\n| --- | ---: | ---: | --- |\n",
    );
    for (place, [seen, all]) in &case.places() {
        let rules = case.deadlines.of(place).map_or("none known here", |rules| &rules.name);
        let place = if place.is_empty() { "not told" } else { place };
        let _ = writeln!(text, "| {place} | {seen} | {all} | {rules} |");
    }
    text.push_str("\n## Until when\n\n");
    for rules in case.rules() {
        for (told, whom) in [(Told::Authority, "authority"), (Told::Persons, "persons")] {
            let duty = rules.duty(told);
            let due = duty.due(case.aware);
            let due = due.map_or_else(|| "no fixed time".to_owned(), |due| due.to_string());
            let who = if duty.who.is_empty() { whom } else { &duty.who };
            let _ = writeln!(text, "- {} {whom}: {due}. To {who}: {}.", rules.name, duty.says);
        }
        let _ = writeln!(text, "  Source: {} (as of {}).", rules.source, case.deadlines.written);
    }
    let _ = write!(text, "\n## What is not known\n\n{}", unseen(case));
    text.push_str(
        "\n## Likely consequences\n\n[Calls and letters by people who claim to be you.]\n\n## \
         Measures\n\n[Accounts suspended, persons told, what else.]\n\n## Contact\n\n[Data \
         protection officer.]\n",
    );
    text
}

/// What the gateway has not seen, said plainly.
fn unseen(case: &Case) -> String {
    let affected = &case.affected;
    let mut text = "- What did not go through the gateway: copies and backups of the database, \
                    other systems with the same data, and whoever connects to the database past \
                    it.\n"
        .to_owned();
    if let Some(last) = affected.last {
        let _ = writeln!(
            text,
            "- Anything before the ledger began or after {last}: {} entries were looked at.",
            affected.entries
        );
    }
    if affected.unread > 0 {
        let _ = writeln!(
            text,
            "- What {} statements of these accounts showed: they went to the server unread.",
            affected.unread
        );
    }
    if affected.unresolved > 0 {
        let _ = writeln!(
            text,
            "- Who {} of {} rows of the list are: they belong to nobody who is known here, or to \
             one of several.",
            affected.unresolved, affected.rows
        );
    }
    if case.accounts.is_empty() {
        text.push_str("- Through which account the data went: none was given.\n");
    }
    text.push_str(
        "- Whether what was shown was written down or passed on, where nothing of it turned up.\n",
    );
    text
}
