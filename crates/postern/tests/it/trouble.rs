//! What goes wrong when a gateway starts, runs and stops: it says what, and nothing else suffers.

use std::{fs, net::TcpListener};

use postern_ledger::{Body, Note, Reader};
use postern_testkit::{Options, wait_until};

use crate::{
    bench::Bench,
    raw::{DATABASE, End, Raw, Report},
    served::{PATIENCE, Served},
    support::Support,
};

const PROTECTED: &str = "SELECT id, email FROM customers WHERE id = 4";

#[track_caller]
fn check_refused_log_in(served: &Served, sqlstate: &str) -> Report {
    match Raw::connect(served.address, "ana") {
        Err(End::Refused(report)) => {
            assert_eq!(report.sqlstate, sqlstate, "{report:?}");
            report
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_configuration_that_can_not_be_used_is_said_to_be_so() {
    let bench = Bench::new();
    insta::assert_snapshot!(bench.run("serve").ended(2), @"error: can't read the configuration `postern.toml`: No such file or directory (os error 2)");
    fs::create_dir(bench.path("folder.toml")).unwrap();
    insta::assert_snapshot!(bench.run("serve -c folder.toml").ended(2), @"error: can't read the configuration `folder.toml`: Is a directory (os error 21)");
    fs::write(bench.path("bytes.toml"), b"[gateway]\nlisten = \"\xff\"\n").unwrap();
    insta::assert_snapshot!(bench.run("serve -c bytes.toml").ended(2), @"error: can't read the configuration `bytes.toml`: stream did not contain valid UTF-8");
    let bench = bench.file("half.toml", "[gateway\n");
    insta::assert_snapshot!(bench.run("serve -c half.toml").ended(2), @r#"
    error: unclosed table, expected `]`
     ╭─[half.toml:1:8]
     1 │ [gateway
     ·        ┬
     ·        ╰── here
     ╰────
    hint: docs/config.md has an example of each section
    error: `half.toml` can't be used: 1 problem
    "#);

    let contradictory = crate::cli::GOOD.replace("[\"id\", \"plan\"]", "[\"id\", \"email\"]");
    let bench = bench.file("postern.toml", &contradictory);
    insta::assert_snapshot!(bench.run("serve").ended(2), @r#"
    error: column `email` is both clear and protected
      ╭─[postern.toml:19:16]
     18 │ subject = "id"
     19 │ clear = ["id", "email"]
      ·                ───┬───
      ·                   ╰── here
     20 │ [tables.columns.email]
      ╰────
    hint: remove it from `clear`, or remove `[tables.columns.email]`
    error: `postern.toml` can't be used: 1 problem
    "#);
}

#[test]
fn without_its_ledger_or_with_a_damaged_one_a_gateway_does_not_start() {
    let support = Support::new();
    let mut served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    assert_eq!(ana.query(PROTECTED).unwrap().rows.len(), 1);

    let locked = support.bench.run("serve").ended(2);
    insta::assert_snapshot!(locked, @"error: can't open the ledger in `DIR/postern-data/ledger`: the ledger at `DIR/postern-data/ledger/` is in use by another process");

    served.terminate();
    assert_eq!(served.ended(), Some(0));
    let segment = support.ledger().join("segments/00000000");
    let segment = fs::read_dir(segment.parent().unwrap()).unwrap().next().unwrap().unwrap().path();
    let good = fs::read(&segment).unwrap();
    let last = good.iter().rposition(|byte| *byte != 0).unwrap();
    let mut bad = good.clone();
    bad[last / 2] ^= 1;
    fs::write(&segment, &bad).unwrap();
    let damaged = support.bench.run("serve").ended(2);
    insta::assert_snapshot!(damaged, @"error: the ledger is damaged: DIR/postern-data/ledger/segments/0000000000.seg, byte 276, entry 5: frame is damaged");
    assert!(support.bench.run("ledger verify").ended(1).starts_with("error: "));

    fs::write(&segment, &good).unwrap();
    drop(Served::start(&support.bench));

    fs::rename(support.ledger(), support.bench.path("elsewhere")).unwrap();
    insta::assert_snapshot!(support.bench.run("serve").ended(2), @"error: there is no ledger in `DIR/postern-data/ledger`; put it back, or begin a new one with `postern init`");
    assert!(!support.ledger().exists(), "a ledger is made by `postern init` only");
}

#[test]
fn a_port_that_is_taken_is_not_shared() {
    let support = Support::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen_on = |port: u16| {
        let text = support.configuration("").replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
        support.configure(&text);
    };
    let taken = |port: u16| {
        let said = support.bench.run("serve").ended(2);
        let port = port.to_string();
        said.replace(&port, "PORT")
    };
    let port = holder.local_addr().unwrap().port();
    listen_on(port);
    insta::assert_snapshot!(taken(port), @"error: can't listen on 127.0.0.1:PORT: Address already in use (os error 98)");

    // Another gateway holds it in a way that would let others share.
    let other = Support::new();
    let served = Served::start(&other.bench);
    listen_on(served.address.port());
    insta::assert_snapshot!(taken(served.address.port()), @"error: can't listen on 127.0.0.1:PORT: Address already in use (os error 98)");
    drop(holder);
    listen_on(port);
    drop(Served::start(&support.bench));
}

#[test]
fn with_the_database_down_people_are_told_and_let_in_when_it_is_up() {
    let mut support = Support::new();
    support.postgres.shut_down().unwrap();
    let served = Served::start(&support.bench);
    let said = served.wait_for("ERROR");
    assert!(said.contains("can't reach") && said.contains("Connection refused"), "{said}");
    let report = check_refused_log_in(&served, "57P03");
    assert_eq!(report.message, "the database server can't be reached");
    let status = support.bench.run("status").yes();
    assert!(status.contains("the database server can't be read"), "{status}");

    support.postgres.start_again().unwrap();
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    let row = ["4".to_owned(), "mail4@example.org".to_owned()];
    let is_clear = || ana.query(PROTECTED).unwrap().rows == [row.clone()];
    wait_until(PATIENCE, "reasons are read again", is_clear).unwrap();

    // In the middle of a session the session ends, and the gateway goes on.
    support.postgres.shut_down().unwrap();
    assert_eq!(ana.end().unwrap().sqlstate, "57P01");
    check_refused_log_in(&served, "57P03");
    support.postgres.start_again().unwrap();
    served.wait_until_open("ana");
}

#[test]
fn a_server_process_that_dies_in_mid_query_ends_that_session_with_a_word() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    let _locker = lock_customers(&support);
    ana.send_query(PROTECTED).unwrap();
    let process = waiting_process(&support);
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    let last = ana.end().unwrap();
    assert_eq!(last.sqlstate, "08006");
    assert_eq!(last.message, "the connection to the database server was lost");
    served.wait_until_open("ana");
}

/// A connection to the server itself that keeps others from reading the customers.
fn lock_customers(support: &Support) -> Raw {
    let server = ([127, 0, 0, 1], support.postgres.port()).into();
    let mut locker = Raw::connect(server, support.postgres.superuser()).unwrap();
    let locked = locker.query("BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE").unwrap();
    assert_eq!(locked.sqlstate(), "");
    locker
}

/// The server's process that waits for that, once it does.
fn waiting_process(support: &Support) -> rustix::process::Pid {
    let sql = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let mut process = None;
    let is_waiting = || {
        let said = support.postgres.psql_in(DATABASE, sql).unwrap();
        process = said.parse().ok().and_then(rustix::process::Pid::from_raw);
        process.is_some()
    };
    wait_until(PATIENCE, "the statement waits", is_waiting).unwrap();
    process.unwrap()
}

#[test]
fn a_wrong_password_for_the_database_is_said_in_the_log_and_nowhere_else() {
    let password = Some("the right one".to_owned());
    let support = Support::with(Options { password, ..Options::default() }, "");
    let right = support.bench.read("upstream.password");
    let configured = |password: &str| {
        fs::write(support.bench.path("upstream.password"), password).unwrap();
        let user = "user = \"postgres\"\n";
        let with_file = format!("{user}password_file = \"upstream.password\"\n");
        support.configure(&support.configuration("").replace(user, &with_file));
        Served::start(&support.bench)
    };
    let served = configured("guessed\n");
    let said = served.wait_for("ERROR");
    assert!(said.contains("password authentication failed for user \"postgres\""), "{said}");
    assert!(!said.contains("guessed"), "{said}");
    let report = check_refused_log_in(&served, "57P03");
    assert_eq!(report.message, "the database server can't be reached");
    drop(served);
    configured(&right).wait_until_open("ana");
}

#[test]
fn asked_to_stop_it_lets_what_runs_end_and_says_goodbye() {
    let support = Support::new();
    let mut served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let mut idle = Raw::connect(served.address, "ana").unwrap();
    let mut busy = Raw::connect(served.address, "ben").unwrap();
    let mut locker = lock_customers(&support);
    busy.send_query("SELECT id, email FROM customers WHERE id BETWEEN 1 AND 30").unwrap();
    waiting_process(&support);

    served.terminate();
    let last = idle.end().unwrap();
    assert_eq!(
        (last.sqlstate.as_str(), last.message.as_str()),
        ("57P01", "Postern is shutting down")
    );
    match Raw::connect(served.address, "ana").unwrap_err() {
        End::Gone => {}
        End::Refused(report) => assert_eq!(report.sqlstate, "57P03", "{report:?}"),
    }

    locker.query("COMMIT").unwrap();
    let answer = busy.answer(|_| ()).unwrap();
    assert_eq!((answer.sqlstate(), answer.rows.len()), ("", 30));
    assert_eq!(busy.end().unwrap().sqlstate, "57P01");
    assert_eq!(served.ended(), Some(0));

    let entries: Vec<_> = Reader::open(&support.ledger()).unwrap().map(Result::unwrap).collect();
    assert_eq!(entries.last().unwrap().body, Body::Noted(Note::Stopped));
    let verified = support.bench.run("ledger verify --json").yes();
    assert!(verified.contains(&format!("\"signed\":{}", entries.len())), "{verified}");
    assert!(!support.bench.path("postern-data/control.sock").exists());
}
