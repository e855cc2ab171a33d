//! What an actor may see in clear now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use postern_model::{Reason, Subject, Timestamp};
use postern_sql::KeyType;

/// The reasons under which a column is clear; columns with equal sets share one array of keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ReasonSet(pub Vec<Reason>);

/// The keys of a type that a set of reasons entitles to, written as an array.
type Array = (ReasonSet, KeyType, Arc<str>);

/// The subjects that an actor has a reason for, as last read, and until when that reading counts.
#[derive(Debug, Clone, Default)]
pub struct Entitled {
    reasons: HashMap<Subject, Vec<Reason>>,
    /// Those of which the ticket is known, by the ticket.
    tickets: HashMap<Arc<str>, Vec<(Subject, Reason)>>,
    until: Timestamp,
    /// The arrays that were asked for: a reading lasts for many statements, and all of an actor's
    /// sessions share it. The lock is held while one array is looked up or written.
    arrays: Arc<Mutex<Vec<Array>>>,
}

/// As many as an actor's rules can have.
const ARRAYS_MAX: usize = 256;

impl Entitled {
    /// Nobody: what holds before the first reading and after the last one has aged out.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether the reading counts at that moment.
    pub fn counts(&self, now: Timestamp) -> bool {
        now <= self.until
    }

    /// A reading of the reasons that counts until the given moment.
    pub fn new(read: impl IntoIterator<Item = (Subject, Reason)>, until: Timestamp) -> Self {
        let mut reasons: HashMap<Subject, Vec<Reason>> = HashMap::new();
        for (subject, reason) in read {
            reasons.entry(subject).or_default().push(reason);
        }
        for held in reasons.values_mut() {
            held.sort_by(|a, b| b.grade.cmp(&a.grade).then_with(|| a.name.cmp(&b.name)));
            held.dedup();
        }
        Self { reasons, tickets: HashMap::new(), until, arrays: Arc::default() }
    }

    /// The same with the tickets that some of them are by.
    #[must_use]
    pub fn with_tickets(
        mut self,
        tickets: impl IntoIterator<Item = (Arc<str>, Subject, Reason)>,
    ) -> Self {
        for (ticket, subject, reason) in tickets {
            self.tickets.entry(ticket).or_default().push((subject, reason));
        }
        self
    }

    /// Whom a ticket of the actor's entitles to now; `None` if it is none.
    pub fn for_ticket(&self, ticket: &str, now: Timestamp) -> Option<Self> {
        let held = self.tickets.get(ticket).filter(|_| now <= self.until)?;
        Some(Self::new(held.iter().cloned(), self.until))
    }

    /// The best reason of the set that holds for the subject now; strong ones come first.
    pub fn reason(&self, subject: &str, set: &ReasonSet, now: Timestamp) -> Option<&Reason> {
        if now > self.until {
            return None;
        }
        self.reasons.get(subject)?.iter().find(|reason| set.0.contains(reason))
    }

    /// The best reason that holds for the subject now, whatever it makes clear.
    pub fn best(&self, subject: &str, now: Timestamp) -> Option<&Reason> {
        if now > self.until { None } else { self.reasons.get(subject)?.first() }
    }

    /// The text of a PostgreSQL array of all subjects for which a reason of the set holds now. One
    /// that the server would write otherwise (`007`) is left out: a row's key, by which its reason
    /// is found again, would not be it.
    pub fn array(&self, (set, of): (&ReasonSet, KeyType), now: Timestamp) -> Arc<str> {
        if now > self.until {
            return "{}".into();
        }
        let mut arrays = self.arrays.lock().unwrap_or_else(PoisonError::into_inner);
        let known = arrays.iter().find(|(known, of_known, _)| known == set && *of_known == of);
        if let Some((.., known)) = known {
            return known.clone();
        }
        let array: Arc<str> = self.write_array(set, of).into();
        if arrays.len() < ARRAYS_MAX {
            arrays.push((set.clone(), of, array.clone()));
        }
        array
    }

    /// The same of those among some subjects.
    pub(crate) fn array_among<'s>(
        &self,
        subjects: impl Iterator<Item = &'s Subject>,
        set: &ReasonSet,
        now: Timestamp,
    ) -> Arc<str> {
        let mut text = String::from("{");
        for subject in subjects.filter(|subject| self.reason(subject.as_str(), set, now).is_some())
        {
            push_element(&mut text, subject.as_str());
        }
        text.push('}');
        text.into()
    }

    fn write_array(&self, set: &ReasonSet, of: KeyType) -> String {
        let mut text = String::from("{");
        for (subject, reasons) in self.sorted() {
            let holds = reasons.iter().any(|reason| set.0.contains(reason));
            if holds && of.is_key(subject.as_str()) {
                push_element(&mut text, subject.as_str());
            }
        }
        text.push('}');
        text
    }

    /// How many subjects are in the reading.
    pub fn len(&self) -> usize {
        self.reasons.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    fn sorted(&self) -> Vec<(&Subject, &Vec<Reason>)> {
        let mut all: Vec<_> = self.reasons.iter().collect();
        all.sort_unstable_by_key(|(subject, _)| *subject);
        all
    }
}

/// Quotes every element: always valid, whatever the type (PostgreSQL documentation, 8.15.6).
fn push_element(text: &mut String, element: &str) {
    if text.len() > 1 {
        text.push(',');
    }
    text.push('"');
    for c in element.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}
