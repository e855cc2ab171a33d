//! Sessions that share server connections: what is sent where a connection has a statement already,
//! and where it lacks one.

use std::sync::Arc;

use super::{Table, TransactionStatus, encode};
use crate::{
    Effect, Failure, Names, Remembered, Session, Traces,
    tests::{
        Execute, Target, frames,
        names::{bind, execute, fails, parse},
    },
};

/// A session on a connection that keeps two statements.
fn sharing(names: &Arc<Names>) -> Table {
    let mut table = Table::new();
    let profile = table.session.profile.clone();
    table.session = Session::sharing(profile, names.clone());
    table.session.attach(Remembered::new(2), "".into());
    table
}

fn sync(table: &mut Table) {
    table.client(encode::sync);
}

fn parsed(table: &mut Table) {
    table.server(encode::parse_complete);
}

#[test]
fn a_text_is_one_statement_on_a_connection_whoever_prepares_it() {
    let names = Arc::default();
    let mut ana = sharing(&names);
    parse(&mut ana, "a", "SELECT 1");
    sync(&mut ana);
    let told = ana.told();
    assert!(told[0].starts_with(r#"server < parse "postern_s_1" SELECT 1"#), "{told:?}");
    parsed(&mut ana);
    assert!(!ana.session.is_free(), "the Sync is not answered");
    ana.ready(TransactionStatus::Idle);
    assert!(ana.session.is_free());
    let remembered = ana.session.detach();
    let mut ben = sharing(&names);
    ben.session.attach(remembered, "".into());
    parse(&mut ben, "b", "SELECT 1");
    let told = ben.told();
    assert_eq!(told, [r#"server < close Statement("postern_s_0")"#], "nothing is closed by it");
    ben.server(encode::close_complete);
    assert_eq!(ben.told(), ["client < ParseComplete"]);
    bind(&mut ben, "", "b");
    let told = ben.told();
    assert!(told[0].starts_with(r#"server < bind "" "postern_s_1""#), "{told:?}");
    // Another generation of the catalogue may give it another meaning.
    ben.generation = 2;
    parse(&mut ben, "c", "SELECT 1");
    let told = ben.told();
    assert!(told[0].starts_with(r#"server < parse "postern_s_2" SELECT 1"#), "{told:?}");
}

#[test]
fn what_a_connection_lacks_is_prepared_again_and_what_it_has_no_room_for_goes() {
    let names = Arc::default();
    let mut ana = sharing(&names);
    for (name, sql) in [("a", "SELECT 1"), ("b", "SELECT 2"), ("c", "SELECT 3")] {
        parse(&mut ana, name, sql);
    }
    let told = ana.told();
    assert_eq!(told[2], r#"server < close Statement("postern_s_1")"#);
    sync(&mut ana);
    parsed(&mut ana);
    parsed(&mut ana);
    ana.server(encode::close_complete);
    parsed(&mut ana);
    ana.ready(TransactionStatus::Idle);
    let told = ana.told();
    assert_eq!(told.iter().filter(|line| *line == "client < ParseComplete").count(), 3);
    assert!(!told.contains(&"client < CloseComplete".to_owned()), "{told:?}");
    bind(&mut ana, "", "a");
    let told = ana.told();
    assert_eq!(told[0], r#"server < close Statement("postern_s_2")"#);
    assert!(told[1].starts_with(r#"server < parse "postern_s_1" SELECT 1"#), "{told:?}");
    assert!(told[2].starts_with(r#"server < bind "" "postern_s_1""#), "{told:?}");
}

/// What the server has skipped it neither has nor lacks.
#[test]
fn an_error_takes_back_what_was_assumed_of_the_connection() {
    let names = Arc::default();
    let mut ana = sharing(&names);
    parse(&mut ana, "a", "SELECT 1");
    parse(&mut ana, "b", "SELECT 2");
    parse(&mut ana, "c", "SELECT 3");
    sync(&mut ana);
    parsed(&mut ana);
    fails(&mut ana, "42601");
    ana.ready(TransactionStatus::Idle);
    ana.told();
    // The first was to go for the third, which never came.
    bind(&mut ana, "", "a");
    let told = ana.told();
    assert!(told[0].starts_with(r#"server < bind "" "postern_s_1""#), "{told:?}");
    parse(&mut ana, "b", "SELECT 2");
    let told = ana.told();
    assert!(told[0].starts_with(r#"server < parse "postern_s_2" SELECT 2"#), "{told:?}");
}

#[test]
fn a_session_without_a_connection_answers_what_needs_none() {
    let mut ana = sharing(&Arc::default());
    ana.session.detach();
    for needs in *b"QPBDECF" {
        assert!(ana.session.needs_server(needs));
    }
    for needs_none in *b"SHXdcfp" {
        assert!(!ana.session.needs_server(needs_none));
    }
    sync(&mut ana);
    ana.client(encode::flush);
    assert_eq!(ana.told(), ["client < ready I"]);
    let failure = Failure::NoConnection { waited: std::time::Duration::from_secs(1), max: 1 };
    let message = |out: &mut _| {
        encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
    };
    let mut effects = Vec::<Effect>::new();
    for frame in frames(message) {
        ana.session.without_server(&frame, &failure, &mut effects);
    }
    assert_eq!(effects.len(), 1);
    assert!(!ana.session.needs_server(b'E'), "up to Sync all is dropped");
    execute(&mut ana, "");
    sync(&mut ana);
    assert_eq!(ana.told(), ["client < ready I"]);
    assert!(ana.session.needs_server(b'E'));
}

#[test]
fn what_a_session_leaves_is_known_by_what_ran() {
    let traces = |sql: &str, tag: &str| {
        let mut ana = sharing(&Arc::default());
        ana.query(sql).completed(tag);
        ana.ready(TransactionStatus::Idle);
        ana.session.traces()
    };
    let (none, kept) = (Traces::default(), Traces { kept: true, ..Traces::default() });
    let hidden = Traces { hidden: true, ..Traces::default() };
    for (sql, tag, left) in [
        ("SELECT 1", "SELECT 1", none),
        ("BEGIN", "BEGIN", none),
        ("SHOW TimeZone", "SHOW", none),
        ("SET LOCAL TimeZone = 'UTC'", "SET", none),
        ("SET TRANSACTION READ ONLY", "SET", none),
        ("SET TimeZone = 'UTC'", "SET", kept),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET", kept),
        ("RESET ALL", "RESET", kept),
        ("DISCARD ALL", "DISCARD ALL", kept),
        ("SELECT set_config('TimeZone', 'UTC', false)", "SELECT 1", kept),
        ("SELECT nextval('numbers')", "SELECT 1", hidden),
        ("SELECT current_user", "SELECT 1", none),
        ("SELECT random(), current_user", "SELECT 1", hidden),
        ("INSERT INTO products (id) VALUES (1)", "INSERT 0 1", hidden),
        // Whatever the server calls something that is not known here.
        ("SELECT 2", "CREATE TABLE", kept),
    ] {
        assert_eq!(traces(sql, tag), left, "{sql}");
    }
}

#[test]
fn what_others_use_is_closed_for_the_session_only() {
    let mut ana = sharing(&Arc::default());
    parse(&mut ana, "a", "SELECT 1");
    sync(&mut ana);
    parsed(&mut ana);
    ana.ready(TransactionStatus::Idle);
    ana.told();
    ana.client(|out| encode::close(out, Target::Statement("a")).unwrap());
    assert_eq!(ana.told(), [r#"server < close Statement("postern_s_0")"#]);
    ana.server(encode::close_complete);
    sync(&mut ana);
    ana.ready(TransactionStatus::Idle);
    ana.told();
    parse(&mut ana, "a", "SELECT 1");
    assert_eq!(ana.told(), [r#"server < close Statement("postern_s_0")"#], "it is there still");
}
