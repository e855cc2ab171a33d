//! What an actor may see in clear now.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use postern_model::{Reason, Subject, Timestamp};
use postern_sql::KeyType;

/// The reasons under which a column is clear; columns with equal sets share one array of keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ReasonSet(pub Vec<Reason>);

/// A subject, and why.
pub type Held = (Subject, Reason);

/// A ticket, and whom it entitles to.
pub type Ticket = (Arc<str>, Subject, Reason);

/// The keys of a type that a set of reasons entitles to, written as an array.
type Array = (ReasonSet, KeyType, Arc<str>);

/// Until when readings count that are kept by what has changed since: whoever keeps them moves it
/// on when all changes up to a moment are in them. Readings share it, so that those that nothing
/// has changed need not be touched.
#[derive(Debug)]
pub struct Horizon(AtomicI64);

impl Horizon {
    /// None count yet.
    pub fn new() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    /// They count up to that moment; never less long than was said before.
    pub fn extend(&self, until: Timestamp) {
        self.0.fetch_max(until.0, Ordering::AcqRel);
    }

    /// They count no longer, whatever time it is: the clock may have been set back since.
    pub fn end(&self) {
        self.0.store(i64::MIN, Ordering::Release);
    }

    /// Whether they count at that moment.
    pub fn counts(&self, now: Timestamp) -> bool {
        now.0 <= self.0.load(Ordering::Acquire)
    }
}

impl Default for Horizon {
    fn default() -> Self {
        Self::new()
    }
}

/// The subjects that an actor has a reason for, as last read, and until when that reading counts.
#[derive(Debug, Clone, Default)]
pub struct Entitled {
    reasons: HashMap<Subject, Vec<Reason>>,
    /// Those of which the ticket is known, by the ticket.
    tickets: HashMap<Arc<str>, Vec<(Subject, Reason)>>,
    until: Timestamp,
    /// Until when it counts at most, where it is kept by what has changed.
    horizon: Option<Arc<Horizon>>,
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
        now <= self.until && self.horizon.as_ref().is_none_or(|horizon| horizon.counts(now))
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
        Self { reasons, until, ..Self::default() }
    }

    /// The same, counting no longer than the readings that are kept with it.
    #[must_use]
    pub fn kept_by(mut self, horizon: Arc<Horizon>) -> Self {
        self.horizon = Some(horizon);
        self
    }

    /// What it counts no longer than, where it is kept.
    pub fn horizon(&self) -> Option<&Arc<Horizon>> {
        self.horizon.as_ref()
    }

    /// Whether it counts at that moment, and for as long as it is kept.
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.horizon.is_some() && self.until == Timestamp(i64::MAX) && self.counts(now)
    }

    /// Until when it counts, but for its horizon.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// What it says with all but what is stale, as it would be given to [`Entitled::new`] and
    /// [`Entitled::with_tickets`].
    pub fn without(&self, stale: impl Fn(&Subject, &Reason) -> bool) -> (Vec<Held>, Vec<Ticket>) {
        let mut held = Vec::with_capacity(self.reasons.len());
        for (subject, reasons) in &self.reasons {
            let left = reasons.iter().filter(|reason| !stale(subject, reason));
            held.extend(left.map(|reason| (subject.clone(), reason.clone())));
        }
        let mut tickets = Vec::new();
        for (ticket, by) in &self.tickets {
            let left = by.iter().filter(|(subject, reason)| !stale(subject, reason));
            tickets.extend(left.map(|(s, reason)| (ticket.clone(), s.clone(), reason.clone())));
        }
        (held, tickets)
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
        let held = self.tickets.get(ticket).filter(|_| self.counts(now))?;
        let own = Self::new(held.iter().cloned(), self.until);
        Some(Self { horizon: self.horizon.clone(), ..own })
    }

    /// The best reason of the set that holds for the subject now; strong ones come first.
    pub fn reason(&self, subject: &str, set: &ReasonSet, now: Timestamp) -> Option<&Reason> {
        if !self.counts(now) {
            return None;
        }
        self.reasons.get(subject)?.iter().find(|reason| set.0.contains(reason))
    }

    /// The best reason that holds for the subject now, whatever it makes clear.
    pub fn best(&self, subject: &str, now: Timestamp) -> Option<&Reason> {
        if self.counts(now) { self.reasons.get(subject)?.first() } else { None }
    }

    /// The text of a PostgreSQL array of all subjects for which a reason of the set holds now. One
    /// that the server would write otherwise (`007`) is left out: a row's key, by which its reason
    /// is found again, would not be it.
    pub fn array(&self, (set, of): (&ReasonSet, KeyType), now: Timestamp) -> Arc<str> {
        if !self.counts(now) {
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

#[cfg(test)]
mod tests {
    use postern_model::Grade;

    use super::*;

    #[test]
    fn what_is_kept_counts_up_to_its_horizon_and_says_nothing_after_it() {
        let reason = Reason { name: "ticket".into(), grade: Grade::Strong };
        let set = ReasonSet(vec![reason.clone()]);
        let one = || (Subject::new("1"), reason.clone());
        let horizon = Arc::new(Horizon::new());
        let kept = Entitled::new([one()], Timestamp(i64::MAX))
            .with_tickets([("T-1".into(), Subject::new("1"), reason.clone())])
            .kept_by(horizon.clone());
        let says = |at: i64| {
            let now = Timestamp(at);
            let says = [
                kept.counts(now),
                kept.lasts(now),
                kept.best("1", now).is_some(),
                kept.reason("1", &set, now).is_some(),
                &*kept.array((&set, KeyType::Int), now) == r#"{"1"}"#,
                kept.for_ticket("T-1", now).is_some_and(|own| own.best("1", now).is_some()),
            ];
            assert!(says.iter().all(|one| *one == says[0]), "{at}: {says:?}");
            says[0]
        };
        assert!(!says(0), "nobody has looked yet");
        horizon.extend(Timestamp(5));
        horizon.extend(Timestamp(3));
        assert!(says(5) && !says(6));
        // What counts less long for another cause does so still, and is read again.
        let short = Entitled::new([one()], Timestamp(2)).kept_by(horizon);
        assert!(short.counts(Timestamp(2)) && !short.counts(Timestamp(3)));
        assert!(!short.lasts(Timestamp(2)));
        assert!(!Entitled::new([one()], Timestamp(i64::MAX)).lasts(Timestamp(0)));
        let (held, tickets) = kept.without(|subject, _| subject.as_str() == "1");
        assert!(held.is_empty() && tickets.is_empty());
        let (held, tickets) = kept.without(|_, _| false);
        assert_eq!((held.len(), tickets.len()), (1, 1));
    }
}
