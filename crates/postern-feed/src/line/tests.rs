use super::*;

/// What the line becomes when it is read and written again, or why it gives no event.
fn check(source: Source, line: &str, expected: &str) {
    let told = match parse(source, line) {
        Ok(parsed) => {
            let (to, text) = print(&parsed.event, parsed.seen).unwrap();
            assert_eq!(to, source);
            let again = parse(source, &text).unwrap();
            assert_eq!((again.seen, &again.event), (parsed.seen, &parsed.event));
            text
        }
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(told, expected);
}

#[test]
fn every_kind_of_line_survives_reading_and_writing() {
    for (source, line) in [
        (
            Source::People,
            r#"{"ts":"2026-01-02T03:04:05.000000Z","seen":"2026-01-03T00:00:00.000000Z","actor":"a1","event":"hired","role":"agent","team":"t","manager":"m","employer":"own","queues":["q"],"languages":["de"],"shift":{"tz":"Europe/Berlin","start":"08:00","end":"16:00","days":["mon"]}}"#,
        ),
        (
            Source::Subjects,
            r#"{"ts":"2026-01-02T03:04:05.000000Z","subject":"c\"1","queue":"q","language":"de","tags":["vip","canary"]}"#,
        ),
        (
            Source::Tickets,
            r#"{"ts":"2026-01-02T03:04:05.123456Z","ticket":"t1","event":"opened","subject":"c1","channel":"email","opened_by":"customer","inbound_ref":"m1","origin":"o","assignee":"a1","queue":"q","language":"de"}"#,
        ),
        (
            Source::Calls,
            r#"{"ts":"2026-01-02T03:04:05.000000Z","call":"k1","actor":"a1","subject":"c1","direction":"in","seconds":12.5,"booking":"b"}"#,
        ),
        (
            Source::Approvals,
            r#"{"ts":"2026-01-02T03:04:05.000000Z","request":"r1","event":"granted","actor":"a1","by":"a2","scope":"c1"}"#,
        ),
        (
            Source::Access,
            r#"{"ts":"2026-01-02T03:04:05.000000Z","id":"1","actor":"a1","session":"s","client_addr":"::1","device":"d","app":"psql","statement":"00ff","kind":"lookup","ticket":"t1","reason":"assigned_ticket","grade":"strong","subjects":["c1","c2"],"clear":["name"],"masked":["phone"],"rows":2,"decision":"allow","search":"ab"}"#,
        ),
        (
            Source::Complaints,
            r#"{"ts":"2026-01-02T03:04:05.000000Z","subject":"c1","kind":"scam_call","fields":["phone"]}"#,
        ),
    ] {
        check(source, line, line);
    }
}

#[test]
fn unknown_keys_nulls_and_other_offsets_are_read() {
    check(
        Source::Access,
        r#"{"new":{"x":[1]},"ts":"2026-01-02T05:04:05+02:00","id":"1","actor":"a","session":"s","statement":"f","subjects":[],"rows":0,"decision":"deny","ticket":null,"kind":"new"}"#,
        r#"{"ts":"2026-01-02T03:04:05.000000Z","id":"1","actor":"a","session":"s","statement":"f","subjects":[],"rows":0,"decision":"deny"}"#,
    );
}

#[test]
fn what_is_no_event_is_told_apart() {
    let ticket =
        |event: &str| format!(r#"{{"ts":"2026-01-02T03:04:05Z","ticket":"t","event":"{event}"}}"#);
    check(Source::Tickets, &ticket("merged"), "error: unknown event `merged`");
    check(Source::Tickets, "[]", "error: not an object of this file's form");
    check(
        Source::Complaints,
        r#"{"ts":"2026-01-02T03:04:05","subject":"c","kind":"other"}"#,
        "error: `2026-01-02T03:04:05` is no RFC 3339 time with offset",
    );
    check(
        Source::Calls,
        r#"{"ts":"2026-01-02T03:04:05Z","call":"k","actor":"a","direction":"up","seconds":1}"#,
        "error: `up` is no value of `direction`",
    );
}
