//! Rules of the user's own, in Sigma, over the events of the feeds.
//!
//! [`Rules::parse`] takes the texts of rule files, [`Rules::observe`] each event in the order in
//! which events were seen, and answers with findings, as the detectors do. It reads no file and no
//! clock: the same rules and events give the same findings. The evaluation is `rsigma-eval`'s; this
//! crate says what a rule's fields mean ([`object`]), what becomes of a hit ([`hits`]), and checks
//! rules against the examples that come with them ([`examples`]).
//!
//! The format and the fields are documented in `docs/rules.md`.

mod examples;
mod hits;
mod object;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use postern_model::{Event, Finding, Severity, Timestamp};
use rsigma_eval::{
    CorrelationConfig, CorrelationEngine, CorrelationEventMode, LogSourceExtractor, compile_rule,
    event::JsonEvent,
};
use rsigma_parser::{Level, LogSource, SigmaCollection, parse_sigma_yaml};
use thiserror::Error;

pub use self::examples::{Example, Examples, ExamplesError, Failure};
use self::hits::Hits;

/// What the kinds of the findings begin with; the rule's id follows.
pub const PREFIX: &str = "rule:";

/// What rules name as `product` in their `logsource`.
const PRODUCT: &str = "postern";
/// Groups of a correlation that are remembered.
const GROUPS_MAX: usize = 100_000;
/// Events that are remembered for each of them.
const GROUP_EVENTS_MAX: usize = 10_000;
/// Ids of them that a finding has as evidence.
const EVIDENCE_MAX: usize = 100;

/// A rule's file: what it is called, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub name: String,
    pub text: String,
}

/// What is wrong with the rules; with all files, so that each is told once.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.join("\n"))]
pub struct RulesError(pub Vec<String>);

/// What a rule says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct About {
    title: String,
    severity: Severity,
    innocent: Vec<String>,
}

/// Rules that are in force.
pub struct Rules {
    engine: CorrelationEngine,
    about: BTreeMap<String, About>,
    hits: Hits,
    off: BTreeSet<String>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("about", &self.about).finish_non_exhaustive()
    }
}

impl Rules {
    /// Takes the rules of all files. Findings of the kinds in `off` are not raised.
    ///
    /// # Errors
    /// All that is wrong in any of them, with the file: one rule that can't be used would be one
    /// that nobody notices to be missing.
    pub fn parse(files: &[Text], off: &BTreeSet<String>) -> Result<Self, RulesError> {
        let (mut all, mut about) = (SigmaCollection::new(), BTreeMap::new());
        let mut wrong = Vec::new();
        for file in files {
            match parse_sigma_yaml(&file.text) {
                Ok(parsed) => take(file, parsed, (&mut all, &mut about), &mut wrong),
                Err(error) => wrong.push(format!("{}: {error}", file.name)),
            }
        }
        let mut engine = CorrelationEngine::new(CorrelationConfig {
            max_state_entries: GROUPS_MAX,
            max_group_entries: Some(GROUP_EVENTS_MAX),
            correlation_event_mode: CorrelationEventMode::Refs,
            max_correlation_events: EVIDENCE_MAX,
            emit_detections: false,
            ..CorrelationConfig::default()
        });
        engine.set_logsource_extractor(Some(LogSourceExtractor::new()));
        if wrong.is_empty()
            && let Err(error) = engine.add_collection(&all)
        {
            wrong.push(error.to_string());
        }
        if !wrong.is_empty() {
            return Err(RulesError(wrong));
        }
        Ok(Self { engine, about, hits: Hits::default(), off: off.clone() })
    }

    /// The ids of the rules, and their titles.
    pub fn ids(&self) -> impl Iterator<Item = (&str, &str)> {
        self.about.iter().map(|(id, about)| (id.as_str(), about.title.as_str()))
    }

    /// The explanations that the rule itself names as innocent (`falsepositives`).
    pub fn innocent(&self, id: &str) -> &[String] {
        self.about.get(id).map_or(&[], |about| &about.innocent)
    }

    /// Takes the next event in the order in which events were seen, and tells what it raises.
    pub fn observe(&mut self, seen: Timestamp, event: &Event) -> Vec<Finding> {
        let matched = self.matches(seen, event);
        let mut findings = Vec::new();
        for (id, evidence) in matched {
            let Some(about) = self.about.get(&id) else { continue };
            let kind = format!("{PREFIX}{id}");
            if !self.off.contains(&kind) {
                findings.extend(self.hits.hit((kind, about), evidence, seen, event));
            }
        }
        findings
    }

    /// The ids of the rules that match, in order, with the ids of the accesses that each rests on.
    fn matches(&mut self, seen: Timestamp, event: &Event) -> BTreeMap<String, Vec<String>> {
        let Some(object) = object::of(event, seen) else { return BTreeMap::new() };
        let own = match event {
            Event::Access(access) => vec![access.id.to_string()],
            Event::Person(_)
            | Event::Subject(_)
            | Event::Ticket(_)
            | Event::Call(_)
            | Event::Approval(_)
            | Event::Complaint(_) => Vec::new(),
        };
        let seconds = event.ts().0.div_euclid(1_000_000);
        let results = self.engine.process_event_at(&JsonEvent::borrow(&object), seconds);
        let mut matched = BTreeMap::new();
        for result in results {
            let Some(id) = result.header.rule_id.clone() else { continue };
            let refs = result.as_correlation().and_then(|body| body.event_refs.as_ref());
            let refs = refs.map(|refs| refs.iter().filter_map(|one| one.id.clone()).collect());
            matched.insert(id, refs.unwrap_or_else(|| own.clone()));
        }
        matched
    }
}

/// Takes a file's rules, or says what is wrong with them.
fn take(
    file: &Text,
    parsed: SigmaCollection,
    (all, about): (&mut SigmaCollection, &mut BTreeMap<String, About>),
    wrong: &mut Vec<String>,
) {
    let mut bad = |what: String| wrong.push(format!("{}: {what}", file.name));
    parsed.errors.iter().for_each(|error| bad(error.clone()));
    if parsed.rules.is_empty() && parsed.correlations.is_empty() && parsed.errors.is_empty() {
        bad("there is no rule in it".to_owned());
    }
    for rule in &parsed.rules {
        if let Err(what) = source(&rule.logsource) {
            bad(format!("rule `{}`: {what}", rule.title));
        }
        if let Err(error) = compile_rule(rule) {
            bad(format!("rule `{}`: {error}", rule.title));
        }
    }
    let rules = parsed
        .rules
        .iter()
        .map(|rule| (rule.id.as_deref(), &rule.title, rule.level.as_ref(), &rule.falsepositives));
    let correlations = parsed
        .correlations
        .iter()
        .map(|rule| (rule.id.as_deref(), &rule.title, rule.level.as_ref(), &rule.falsepositives));
    for (id, title, level, innocent) in rules.chain(correlations) {
        let Some(id) = id.filter(|id| is_id(id)) else {
            bad(format!(
                "rule `{title}` needs an `id` of letters, digits, `-`, `_` and `.`: its findings \
                 are known by it"
            ));
            continue;
        };
        let innocent = innocent.clone();
        let said = About { title: title.clone(), severity: severity(level), innocent };
        if about.insert(id.to_owned(), said).is_some() {
            bad(format!("there is another rule with the id `{id}`"));
        }
    }
    all.rules.extend(parsed.rules);
    all.correlations.extend(parsed.correlations);
    all.filters.extend(parsed.filters);
}

/// Whether events of a feed can be what the rule is about.
fn source(of: &LogSource) -> Result<(), String> {
    if of.product.as_deref().is_some_and(|product| product != PRODUCT) {
        return Err(format!("its `logsource` has another `product` than `{PRODUCT}`"));
    }
    if of.category.is_some() {
        return Err("its `logsource` has a `category`; events have a `service` here".to_owned());
    }
    let known = || postern_feed::Source::ALL.into_iter().map(postern_feed::Source::as_str);
    match of.service.as_deref() {
        Some(service) if !known().any(|source| source == service) => {
            let known: Vec<&str> = known().collect();
            Err(format!("there is no `service: {service}`; there are {}", known.join(", ")))
        }
        Some(_) | None => Ok(()),
    }
}

fn is_id(id: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&id.len()) && id.chars().all(known)
}

/// A rule that doesn't say is of medium severity.
fn severity(level: Option<&Level>) -> Severity {
    match level {
        Some(Level::Informational) => Severity::Info,
        Some(Level::Low) => Severity::Low,
        Some(Level::Medium) | None => Severity::Medium,
        Some(Level::High) => Severity::High,
        Some(Level::Critical) => Severity::Critical,
    }
}
