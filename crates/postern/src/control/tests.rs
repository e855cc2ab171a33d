use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    thread,
};

use super::*;

/// A gateway that reads one line, keeps it, and answers what it is told to.
fn ask(request: &Request, answer: &'static str) -> (String, Result<Reply, ControlError>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let gateway = thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        line
    });
    let reply = Client::connect(&socket).unwrap().ask(request);
    (gateway.join().unwrap(), reply)
}

#[test]
fn an_order_is_one_line_and_so_is_its_reply() {
    let (actor, why) = ("agent13".into(), "on\nleave".into());
    let (line, reply) =
        ask(&Request::Suspend { actor, why }, "{\"reply\":\"suspended\",\"sessions_cut\":2}\n");
    assert_eq!(line, "{\"request\":\"suspend\",\"actor\":\"agent13\",\"why\":\"on\\nleave\"}\n");
    assert_eq!(reply.unwrap(), Reply::Suspended { sessions_cut: 2 });
}

#[test]
fn a_question_can_be_sent_to_be_recorded() {
    let asked = Asked { since: Some(5), ..Asked::about(Some("agent13"), None) };
    let request = Request::Record(asked.clone());
    let (line, reply) = ask(&request, "{\"reply\":\"recorded\",\"entry\":7}\n");
    assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
    assert_eq!(reply.unwrap(), Reply::Recorded { entry: 7 });
    let (by, actor) = (Actor::new(os_user()), Some(Actor::new("agent13")));
    let since = Some(Timestamp(5));
    assert_eq!(Note::from(asked), Note::Asked { by, actor, subject: None, since, until: None });
}

#[test]
fn a_gateway_that_hangs_up_or_babbles_is_an_error() {
    let (_, reply) = ask(&Request::Status {}, "");
    assert!(matches!(reply, Err(ControlError::Broken(_))));
    let (_, reply) = ask(&Request::Status {}, "{\"reply\":\"dance\"}\n");
    assert!(matches!(reply, Err(ControlError::Strange(_))));
}

#[test]
fn no_gateway_is_told_from_a_broken_one() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::connect(&folder.path().join("control.sock"));
    assert!(matches!(client, Err(ControlError::NotRunning { .. })));
}

#[test]
fn a_status_survives_the_wire_and_reads_well() {
    let status = Status {
        version: 1,
        listen: "127.0.0.1:6432".into(),
        since: "2026-01-02T03:04:05Z".into(),
        configured_since: "2026-01-02T03:30:00Z".into(),
        configuration: "ab12".into(),
        process_id: 7,
        connections: 3,
        suspended: vec![Suspension {
            actor: "agent13".into(),
            by: "watch".into(),
            why: "unexplained share".into(),
            since: "2026-01-02T04:00:00Z".into(),
        }],
        ledger: LedgerStatus { entries: 12, ..LedgerStatus::default() },
        not_enforced: vec![NotEnforced {
            role: "agent".into(),
            enforcement: "observe".into(),
            masked: 40,
            refused: 2,
            unknown: 1,
        }],
        findings: 1,
        withheld: Some("the disk is full".into()),
    };
    let line = encode(&Reply::Status(Box::new(status.clone()))).unwrap();
    assert_eq!(
        serde_json::from_str::<Reply>(&line).unwrap(),
        Reply::Status(Box::new(status.clone()))
    );
    insta::assert_snapshot!(status, @r#"
    running     since 2026-01-02T03:04:05Z, process 7, on 127.0.0.1:6432
    configured  since 2026-01-02T03:30:00Z, ab12
    withheld    protected data, because the disk is full
    NOT ENFORCED for the role agent (observe): 40 values would have been masked, 2 statements refused; of 1 it is not known what left
    connected   3
    findings    1
    ledger      12 entries, unwitnessed
    suspended   agent13, since 2026-01-02T04:00:00Z by watch: unexplained share
    "#);
}

#[test]
fn a_table_has_its_columns_one_below_the_other() {
    let owned = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let rows = vec![owned(&["1", "ana"]), owned(&["12", "b"])];
    let table = Table { columns: owned(&["connection", "actor"]), rows };
    assert_eq!(table.to_string(), "connection  actor\n1           ana\n12          b");
    let answer = "{\"reply\":\"table\",\"columns\":[\"connection\",\"actor\"],\
                  \"rows\":[[\"1\",\"ana\"],[\"12\",\"b\"]]}\n";
    let (line, reply) = ask(&Request::Show { what: Shown::Clients }, answer);
    assert_eq!(line, "{\"request\":\"show\",\"what\":\"clients\"}\n");
    assert_eq!(reply.unwrap(), Reply::Table(table));
}
