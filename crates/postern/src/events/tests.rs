use std::path::Path;

use postern_model::{Grade, Reason, StatementFingerprint, Subject};

use super::*;
use crate::config;

const CONFIGURATION: &str = "
[upstream]
host = \"h\"
database = \"d\"
user = \"u\"
[[tables]]
name = \"public.tickets\"
subject = \"customer_id\"
[tables.columns.number]
class = \"case_number\"
[watch]
decoys = [\"13\"]
";

fn settings() -> Settings {
    config::parse(Path::new("postern.toml"), CONFIGURATION).unwrap().settings
}

fn group(clear: &[&str], reason: Option<Grade>, subject: &str) -> Group {
    Group {
        relation: "public.tickets".into(),
        clear: clear.iter().map(|column| (*column).into()).collect(),
        masked: vec!["body".into()],
        reason: reason.map(|grade| Reason { name: "ticket".into(), grade }),
        subjects: vec![Subject::new(subject)],
    }
}

fn disclosed(groups: Vec<Group>) -> Entry {
    let body = Body::Disclosed(Disclosed {
        actor: Actor::new("agent01"),
        connection: 7,
        hold: 1,
        fingerprint: StatementFingerprint(255),
        statement: "SELECT …".into(),
        claimed: None,
        rows: 2,
        allowed: 2,
        stopped: None,
        groups,
        lookups: Vec::new(),
    });
    Entry { sequence: 42, time: Timestamp(5), body }
}

fn accesses(entry: &Entry) -> Vec<Access> {
    let access = |event| {
        let Event::Access(access) = event else { panic!("{event:?}") };
        access
    };
    Events::new(&settings()).of(entry).into_iter().map(access).collect()
}

#[test]
fn each_reason_of_a_statement_is_an_access_with_its_grade_and_classes() {
    let own = group(&["number"], Some(Grade::Strong), "1");
    let accesses = accesses(&disclosed(vec![own, group(&[], None, "2")]));
    let [clear, masked] = accesses.as_slice() else { panic!("{accesses:?}") };
    assert_eq!((clear.id.as_str(), clear.decision), ("42.0", AccessDecision::Allow));
    assert_eq!(
        (clear.grade, clear.clear.as_slice()),
        (Some(Grade::Strong), &["case_number".into()][..])
    );
    assert_eq!((masked.id.as_str(), masked.decision), ("42.1", AccessDecision::Mask));
    assert_eq!((masked.grade, masked.masked.as_slice()), (None, &["body".into()][..]));
    assert_eq!(masked.statement.as_ref(), "00000000000000ff");
}

#[test]
fn a_refusal_is_an_access_that_was_denied() {
    let note = Note::Refused {
        actor: Actor::new("agent13"),
        connection: 3,
        fingerprint: StatementFingerprint(1),
        statement: "COPY …".into(),
        rule: "copy".into(),
    };
    let entry = Entry { sequence: 9, time: Timestamp(1), body: Body::Noted(note) };
    let accesses = accesses(&entry);
    assert_eq!(accesses[0].decision, AccessDecision::Deny);
    assert!(accesses[0].subjects.is_empty());
}

#[test]
fn planted_customers_are_known_from_the_start() {
    let events = known(&settings(), &People::default(), Timestamp(3));
    let [Event::Subject(change)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((change.subject.as_str(), change.tags[0].as_ref()), ("13", "canary"));
}
