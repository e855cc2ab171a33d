use postern_model::{Actor, Complaint, Severity, Subject};
use postern_trace::{Other, OtherSource, Rows, Suspect, Verdict};

use super::*;
use crate::{Folder, Options};

fn complaint(ts: i64) -> Event {
    Event::Complaint(Complaint {
        ts: Timestamp(ts),
        subject: Subject::new("c"),
        kind: "scam_call".into(),
        fields: vec!["phone".into()],
    })
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::new(folder.path());
    writer.write_late(&complaint(1), Timestamp(9)).unwrap();
    writer.write(&complaint(2)).unwrap();
    assert!(matches!(writer.write(&complaint(1)), Err(WriteError::OutOfOrder { .. })));
    writer.finish().unwrap();
    let read = Folder::open(folder.path(), Options::default()).unwrap();
    let read: Vec<_> = read.map(|arrival| arrival.map(|a| (a.seen.0, a.event)).unwrap()).collect();
    assert_eq!(read, [(2, complaint(2)), (9, complaint(1))]);
}

#[test]
fn findings_have_the_documented_form() {
    let finding = |actors: &[&str]| Finding {
        time: Timestamp(0),
        actors: actors.iter().map(|name| Actor::new(*name)).collect(),
        kind: "decoy_read".into(),
        severity: Severity::Critical,
        alert: true,
        score: f64::INFINITY,
        subjects_at_risk: 2,
        evidence: vec!["7".to_owned()],
        why: "because".to_owned(),
    };
    let mut out = Vec::new();
    write_findings(&[finding(&["a"]), finding(&["a", "b"])], &mut out).unwrap();
    let rest = concat!(
        r#""kind":"decoy_read","severity":"critical","alert":true,"#,
        r#""score":1e+300,"subjects_at_risk":2,"evidence":["7"],"why":"because"}"#
    );
    let expected = format!(
        "{{\"ts\":\"1970-01-01T00:00:00.000000Z\",\"actor\":\"a\",{rest}\n{{\"ts\":\
         \"1970-01-01T00:00:00.000000Z\",\"actors\":[\"a\",\"b\"],{rest}\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_trace_has_the_documented_form() {
    let trace = Trace {
        verdict: Verdict::Narrowed,
        actors: Vec::new(),
        suspects: vec![Suspect {
            actor: Actor::new("a"),
            probability: 0.5,
            log_likelihood_ratio: 0.0,
            matched: 3,
        }],
        others: vec![Other {
            source: OtherSource::Coalition(vec![Actor::new("a"), Actor::new("b")]),
            probability: 0.25,
        }],
        rows: Rows { list: 5, resolved: 4, matched: 3 },
        window: Some((Timestamp(0), Timestamp(1))),
        evidence: vec!["7".to_owned()],
        why: "because".to_owned(),
        details: Some(postern_trace::Details {
            contributions: vec![("which customers", f64::INFINITY)],
            speak_for: vec![Subject::new("c")],
            fields: vec![("name", 3, 1)],
            claims: vec![("T1".to_owned(), 2)],
            unexplained: 1,
            unmet: vec![postern_trace::Condition::Framing],
            ..postern_trace::Details::default()
        }),
        decide: vec!["more rows".to_owned()],
    };
    let mut out = Vec::new();
    write_trace(&trace, &mut out).unwrap();
    let expected = concat!(
        r#"{"verdict":"narrowed","actors":[],"suspects":[{"actor":"a","probability":0.5,"#,
        r#""likelihood_ratio":1.0,"scale":"no support","matched":3}],"others":[{"source":"coalition:a+b","#,
        r#""probability":0.25}],"rows":{"list":5,"resolved":4,"matched":3},"#,
        r#""window":["1970-01-01T00:00:00.000000Z","1970-01-01T00:00:00.000001Z"],"#,
        r#""evidence":["7"],"why":"because","details":{"contributions":{"which customers":"#,
        r#"1e+300},"speak_for":["c"],"speak_against":[],"fields":{"name":{"agree":3,"differ":1}},"#,
        r#""claims":{"T1":2},"unexplained":1,"at_risk":[]},"#,
        r#""unmet":["framing excluded"],"would_decide":["more rows"]}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
