use std::collections::BTreeSet;

use postern_feed::{Source, parse_event};
use postern_model::{Finding, Severity};

use crate::*;

fn text(text: &str) -> Vec<Text> {
    vec![Text { name: "rules/a.yml".to_owned(), text: text.to_owned() }]
}

const NIGHT: &str = "
title: an export at night
id: export-at-night
level: high
logsource: { product: postern, service: access }
falsepositives: [a report that was ordered]
detection:
  export: { kind: export }
  night: { 'hour|lt': 5 }
  condition: export and night
";

fn rules(of: &str) -> Rules {
    Rules::parse(&text(of), &BTreeSet::new()).unwrap()
}

fn access(ts: &str, id: u32, more: &str) -> (Timestamp, Event) {
    let line = format!(
        r#"{{"ts":"{ts}","id":"{id}","actor":"eva","session":"1","statement":"x",
            "subjects":["c1","c2"],"rows":2,"decision":"allow"{more}}}"#
    );
    parse_event(Source::Access, &line).unwrap()
}

fn observe(rules: &mut Rules, event: &(Timestamp, Event)) -> Vec<Finding> {
    rules.observe(event.0, &event.1)
}

#[test]
fn a_hit_is_a_finding_in_the_rules_words() {
    let mut rules = rules(NIGHT);
    let kind = r#","kind":"export""#;
    assert!(observe(&mut rules, &access("2026-01-06T12:00:00Z", 1, kind)).is_empty());
    assert!(observe(&mut rules, &access("2026-01-06T03:00:00Z", 2, "")).is_empty());
    let found = observe(&mut rules, &access("2026-01-06T03:00:00Z", 3, kind));
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (&*found.kind, found.severity, found.alert),
        ("rule:export-at-night", Severity::High, true)
    );
    assert_eq!((found.evidence.as_slice(), found.subjects_at_risk), (&["3".to_owned()][..], 2));
    assert_eq!(
        found.why,
        "`eva` matches your rule \"an export at night\"; innocent if there is a report that was \
         ordered"
    );
}

#[test]
fn hits_on_one_account_within_an_hour_are_told_together() {
    let mut rules = rules(NIGHT);
    let mut told = Vec::new();
    for minute in 0..59 {
        let time = format!("2026-01-06T01:{minute:02}:00Z");
        told.extend(observe(&mut rules, &access(&time, minute, r#","kind":"export""#)));
    }
    assert_eq!(told.len(), 1);
    let found = observe(&mut rules, &access("2026-01-06T02:30:00Z", 99, r#","kind":"export""#));
    assert!(found[0].why.contains("as 58 times since it was last told"), "{}", found[0].why);
    assert_eq!(found[0].evidence.len(), 59);
}

#[test]
fn rules_count_over_time() {
    let mut rules = rules(
        "
title: a customer in clear
id: clear
logsource: { product: postern, service: access }
detection: { clear: { decision: allow }, condition: clear }
---
title: many in an hour
id: many
level: critical
correlation:
  type: event_count
  rules: [clear]
  group-by: [actor]
  timespan: 1h
  condition: { gte: 3 }
",
    );
    let mut found = Vec::new();
    for minute in [0, 20, 40] {
        let time = format!("2026-01-06T09:{minute:02}:00Z");
        found.extend(observe(&mut rules, &access(&time, minute, "")));
    }
    let kinds: Vec<&str> = found.iter().map(|finding| &*finding.kind).collect();
    assert_eq!(kinds, ["rule:many"], "what only counts is no finding");
    assert_eq!(found[0].evidence, ["0", "20", "40"]);
    let mut slow = Vec::new();
    for hour in 12..18 {
        let time = format!("2026-01-06T{hour}:00:00Z");
        slow.extend(observe(&mut rules, &access(&time, hour, "")));
    }
    assert!(slow.is_empty(), "{slow:?}");
}

#[test]
fn the_same_events_give_the_same_findings() {
    let run = || {
        let mut rules = rules(NIGHT);
        let events = (0..50).map(|n| {
            access(&format!("2026-01-{:02}T02:00:00Z", 1 + n % 28), n, r#","kind":"export""#)
        });
        events.flat_map(|event| observe(&mut rules, &event)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn what_is_off_is_not_raised() {
    let off = BTreeSet::from(["rule:export-at-night".to_owned()]);
    let mut rules = Rules::parse(&text(NIGHT), &off).unwrap();
    let event = access("2026-01-06T03:00:00Z", 3, r#","kind":"export""#);
    assert!(observe(&mut rules, &event).is_empty());
}

#[test]
fn what_a_rule_can_be_about() {
    let mut rules = rules(
        "
title: many customers, several in clear, on a Sunday
id: fields
logsource: { product: postern, service: access }
detection:
  sunday: { subject_count|gte: 2, clear_count: 1, weekday: sun, subjects: c2 }
  condition: sunday
",
    );
    assert_eq!(
        observe(&mut rules, &access("2026-01-04T03:00:00Z", 3, r#","clear":["name"]"#)).len(),
        1
    );
    let mut other = super::Rules::parse(&text(NIGHT), &BTreeSet::new()).unwrap();
    let call =
        r#"{"ts":"2026-01-06T03:00:00Z","call":"1","actor":"eva","direction":"in","seconds":1}"#;
    let call = parse_event(Source::Calls, call).unwrap();
    assert!(observe(&mut other, &call).is_empty(), "another service");
}

fn wrong(of: &str) -> String {
    Rules::parse(&text(of), &BTreeSet::new()).unwrap_err().to_string()
}

#[test]
fn rules_that_could_never_match_are_refused_with_the_file() {
    let told = |from: &str, to: &str, what: &str| {
        let wrong = wrong(&NIGHT.replace(from, to));
        assert_eq!(wrong, format!("rules/a.yml: {what}"));
    };
    let rule = "rule `an export at night`";
    told(
        "postern",
        "windows",
        &format!("{rule}: its `logsource` has another `product` than `postern`"),
    );
    told(
        "service: access",
        "service: acess",
        &format!(
            "{rule}: there is no `service: acess`; there are people, subjects, tickets, calls, \
             approvals, access, complaints"
        ),
    );
    told(
        "id: export-at-night",
        "",
        &format!(
            "{rule} needs an `id` of letters, digits, `-`, `_` and `.`: its findings are known by it"
        ),
    );
    told(
        "export and night",
        "export and day",
        &format!("{rule}: unknown detection identifier: day"),
    );
    let twice = wrong(&format!("{NIGHT}---{NIGHT}"));
    assert_eq!(twice, "rules/a.yml: there is another rule with the id `export-at-night`");
    assert!(wrong("title: [").starts_with("rules/a.yml: YAML parse error"));
    assert_eq!(wrong(""), "rules/a.yml: Document is not a YAML mapping");
}

const EXAMPLES: &str = r#"
[[example]]
what = "an export at three in the morning"
rule = "export-at-night"
matches = true
events = [{ kind = "export", ts = "2026-01-06T03:00:00Z" }]

[[example]]
what = "one at noon, and a look-up at night"
rule = "export-at-night"
matches = false
events = [{ kind = "export" }, { kind = "lookup", ts = "2026-01-06T03:00:00Z" }]
"#;

fn examples(of: &str) -> Result<Examples, ExamplesError> {
    let file = Text { name: "rules/a.test.toml".to_owned(), text: of.to_owned() };
    Examples::check(&text(NIGHT), &[file])
}

#[test]
fn examples_say_whether_a_rule_does_what_it_should() {
    let checked = examples(EXAMPLES).unwrap();
    assert_eq!((checked.passed, checked.failures.len()), (2, 0));
    assert!(checked.unmatched.is_empty() && checked.unbounded.is_empty());
    let swapped = EXAMPLES.replace("matches = true", "matches = TRUE").replace("false", "true");
    let checked = examples(&swapped.replace("TRUE", "false")).unwrap();
    assert_eq!((checked.passed, checked.failures.len()), (0, 2));
    let none = examples("").unwrap();
    assert_eq!(none.unmatched, ["export-at-night"]);
    assert_eq!(none.unbounded, ["export-at-night"]);
}

#[test]
fn examples_that_test_nothing_are_errors() {
    let told = |from: &str, to: &str, what: &str| {
        let error = examples(&EXAMPLES.replacen(from, to, 1)).unwrap_err().to_string();
        assert_eq!(error, format!("rules/a.test.toml: {what}"));
    };
    let first = "example \"an export at three in the morning\"";
    told(
        "rule = \"export",
        "rule = \"exprt",
        &format!("{first}: there is no rule `exprt-at-night`"),
    );
    let event = format!("{first}, event 1: ");
    told("kind = \"export\"", "kind = \"exprot\"", &format!("{event}`kind` can't be \"exprot\""));
    told("kind = \"export\"", "knd = \"export\"", &format!("{event}`knd` can't be \"export\""));
    told("kind = \"export\"", "source = \"acces\"", &format!("{event}there is no feed `acces`"));
    assert!(examples("[[exmaple]]").unwrap_err().to_string().contains("unknown field `exmaple`"));
}

#[test]
fn the_documented_rules_and_examples_are_right() {
    let document = include_str!("../../../docs/rules.md");
    let block = |language: &str, nth: usize| {
        let begin = format!("```{language}\n");
        let block = document.split(&begin).nth(nth).unwrap();
        block.split("```").next().unwrap().to_owned()
    };
    let rules = text(&block("yaml", 1));
    let file = Text { name: "docs/rules.md".to_owned(), text: block("toml", 2) };
    let checked = Examples::check(&rules, &[file]).unwrap();
    assert_eq!((checked.passed, checked.failures.len()), (2, 0));
    assert_eq!(checked.unmatched, ["exports-at-night"]);
    let mut rules = Rules::parse(&rules, &BTreeSet::new()).unwrap();
    let mut found = Vec::new();
    for minute in 0..3 {
        let time = format!("2026-01-06T02:0{minute}:00Z");
        found.extend(observe(&mut rules, &access(&time, minute, r#","kind":"export""#)));
    }
    let kinds: Vec<&str> = found.iter().map(|finding| &*finding.kind).collect();
    assert_eq!(kinds, ["rule:export-at-night", "rule:exports-at-night"]);
}
