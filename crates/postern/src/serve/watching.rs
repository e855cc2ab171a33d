//! The detectors, fed with each entry once it is durable.

use std::{
    collections::BTreeSet,
    iter,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use postern_gateway::Handle;
use postern_ledger::{Body, Entry, Ledger, Note};
use postern_model::{Actor, Event, Finding, Severity, Subject, SubjectChange, Timestamp};
use postern_rules::Rules;
use postern_watch::Watch;

use crate::{
    cases,
    config::{Settings, WatchRules},
    decoys, events,
};

/// The account in whose name a rule suspends.
const WATCH: &str = "postern-watch";

/// How long the detectors let entries gather. Nothing that they find has to be acted on sooner.
const PAUSE: Duration = Duration::from_millis(10);

/// Before all entries.
const BEGINNING: Timestamp = Timestamp(i64::MIN);

/// What the detectors' thread is told.
#[derive(Debug)]
pub(super) enum Told {
    /// These are durable.
    Entries(Vec<Entry>),
    /// From now on these kinds of finding suspend.
    SuspendOn(BTreeSet<String>),
    /// From now on these rules are in force. They have seen nothing yet.
    Rules(Option<Box<Rules>>),
    /// The ledger is closed.
    End,
}

/// What was counted since the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    entries: AtomicU64,
    findings: AtomicUsize,
}

impl Counts {
    /// Entries that are durable.
    pub(super) fn entries(&self) -> u64 {
        self.0.entries.load(Ordering::Relaxed)
    }

    pub(super) fn findings(&self) -> usize {
        self.0.findings.load(Ordering::Relaxed)
    }
}

/// All that raises findings.
pub(super) struct Detectors {
    watch: Watch,
    /// Rules of the user's own.
    rules: Option<Box<Rules>>,
    /// What becomes of findings.
    pub(super) cases: cases::Shared,
    /// Where the keys of planted customers are.
    data: PathBuf,
}

impl Detectors {
    /// Such as know the configured decoys and have seen nothing yet.
    pub(super) fn new(settings: &Settings, now: Timestamp) -> anyhow::Result<Self> {
        let rules = settings.watch.rules.as_ref().map(WatchRules::rules).transpose()?;
        let mut watch = watch(settings, now);
        // As those that are configured, from the beginning.
        let planted = decoys::keys(&settings.data.folder)?;
        planted.into_iter().for_each(|subject| know(&mut watch, subject, (now, BEGINNING)));
        let (cases, data) = (cases::Shared::default(), settings.data.folder.clone());
        Ok(Self { watch, rules: rules.map(Box::new), cases, data })
    }

    /// Takes what an entry says of the role of an account, and of cases.
    pub(super) fn told(&mut self, entry: &Entry) {
        cases::take(&mut self.cases.lock(), entry);
        match &entry.body {
            Body::Noted(Note::Person { actor, now, .. }) => {
                if let Some(role) = cases::role(now) {
                    self.watch.role(actor.as_str(), &role);
                }
            }
            Body::Noted(Note::Case(act)) => {
                if let Some((case, feedback)) = cases::feedback(act) {
                    self.watch.feedback(case, feedback.as_ref());
                }
            }
            // They are told of before anybody can see them.
            Body::Noted(Note::Planted(_)) => match decoys::keys(&self.data) {
                Ok(planted) => planted
                    .into_iter()
                    .for_each(|subject| know(&mut self.watch, subject, (entry.time, entry.time))),
                Err(error) => tracing::error!("new decoys are not known: {error:#}"),
            },
            Body::Noted(_) | Body::Disclosed(_) => {}
        }
    }

    fn observe(&mut self, event: &Event) -> Vec<Finding> {
        let mut findings = self.watch.observe(event.seen(), event);
        if let Some(rules) = &mut self.rules {
            findings.extend(rules.observe(event.seen(), event));
        }
        findings
    }

    /// Takes an event of the time before the start. What rules would have raised then is not made
    /// up for: a new one looks ahead.
    pub(super) fn before(&mut self, event: &Event) -> Vec<Finding> {
        let mut findings = self.observe(event);
        findings.retain(|finding| !finding.kind.starts_with(postern_rules::PREFIX));
        findings
    }
}

/// The detectors and what they act on.
pub(super) struct Watching {
    pub(super) detectors: Detectors,
    pub(super) ledger: Arc<Ledger>,
    pub(super) handle: Handle,
    /// Kinds of finding that suspend by themselves.
    pub(super) suspend_on: BTreeSet<String>,
    /// Findings of the last run that it did not get to act on.
    pub(super) unrecorded: Vec<Finding>,
}

/// Stops the gateway when the detectors' thread panics: unwatched, nothing may leave.
struct Guard(Handle);

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("the detectors have panicked; the gateway stops");
            self.0.stop();
        }
    }
}

/// Detectors that know the configured decoys and have seen nothing yet.
fn watch(settings: &Settings, now: Timestamp) -> Watch {
    let mut watch = Watch::new(&settings.watch.detectors());
    for subject in &settings.watch.decoys {
        // Decoys are known from the beginning, also for entries that are read again.
        know(&mut watch, subject.clone(), (now, BEGINNING));
    }
    watch
}

/// Tells the detectors of a planted customer.
fn know(watch: &mut Watch, subject: Subject, (ts, seen): (Timestamp, Timestamp)) {
    let (queue, language, tags) = (None, None, vec!["canary".into()]);
    let decoy = Event::Subject(SubjectChange { ts, subject, queue, language, tags });
    watch.observe(seen, &decoy);
}

impl Watching {
    /// Starts the thread.
    pub(super) fn start(
        self,
        told: mpsc::Receiver<Told>,
        counts: Counts,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let thread = thread::Builder::new().name("postern-watch".to_owned());
        thread.spawn(move || self.run(&told, &counts))
    }

    fn run(mut self, told: &mpsc::Receiver<Told>, counts: &Counts) {
        let _guard = Guard(self.handle.clone());
        for finding in std::mem::take(&mut self.unrecorded) {
            self.act(&finding);
        }
        while let Ok(first) = told.recv() {
            // What came meanwhile is taken together, and has woken nobody.
            for told in iter::once(first).chain(told.try_iter()) {
                match told {
                    Told::Entries(entries) => self.observe(&entries, counts),
                    Told::SuspendOn(kinds) => self.suspend_on = kinds,
                    Told::Rules(rules) => self.detectors.rules = rules,
                    Told::End => return,
                }
            }
            thread::sleep(PAUSE);
        }
    }

    fn observe(&mut self, entries: &[Entry], counts: &Counts) {
        let added = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        counts.0.entries.fetch_add(added, Ordering::Relaxed);
        for entry in entries {
            self.detectors.told(entry);
            for event in events::of_entry(entry) {
                for finding in self.detectors.observe(&event) {
                    counts.0.findings.fetch_add(1, Ordering::Relaxed);
                    self.act(&finding);
                }
            }
        }
    }

    /// Suspends first where a rule says so, then records: an account under suspicion is out even
    /// when the ledger can't take the finding.
    fn act(&self, finding: &Finding) {
        tracing::warn!(kind = &*finding.kind, severity = %finding.severity, "{}", finding.why);
        if suspends(&self.suspend_on, finding) {
            let suspended = self.handle.suspended();
            for actor in finding.actors.iter().filter(|actor| !suspended.contains_key(*actor)) {
                let done = self.handle.suspend(actor, &Actor::new(WATCH), &finding.why);
                if let Err(error) = done {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a suspension could not be recorded; it holds until the gateway stops"
                    );
                }
            }
        }
        self.ledger.note(
            Note::Found(finding.into()),
            Box::new(|result| {
                if let Err(error) = result {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a finding could not be recorded"
                    );
                }
            }),
        );
    }
}

/// Whether the finding suspends its accounts. Those of low severity have not reached the bar: they
/// are told so that thresholds can be chosen.
fn suspends(kinds: &BTreeSet<String>, finding: &Finding) -> bool {
    finding.severity > Severity::Low && kinds.contains(&*finding.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_reached_the_bar_suspends_nobody() {
        let kinds = BTreeSet::from(["self_opened".to_owned()]);
        let finding = |kind: &'static str, severity| Finding {
            time: Timestamp(0),
            actors: vec![Actor::new("a")],
            kind: kind.into(),
            severity,
            alert: false,
            score: 0.0,
            subjects_at_risk: 0,
            evidence: Vec::new(),
            why: String::new(),
        };
        assert!(suspends(&kinds, &finding("self_opened", Severity::High)));
        assert!(!suspends(&kinds, &finding("self_opened", Severity::Low)));
        assert!(!suspends(&kinds, &finding("no_trace", Severity::High)));
    }
}
