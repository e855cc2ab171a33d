//! What a session keeps by name has a limit in bytes.

use super::{
    Table, Target, TransactionStatus, encode, judge,
    names::{bind, bind_with, execute, fails, parse},
};

const LOOKUP: &str = "SELECT name FROM customers WHERE email = $1";
const TOO_LARGE: &str = "prepared statements and portals of this session are too large together";

fn long(sql: &str, bytes: usize) -> String {
    format!("{sql} WHERE name <> '{}'", "x".repeat(bytes))
}

fn executed(table: &mut Table, how: &str) {
    match how {
        "bind" => bind(table, "", "s"),
        sql => {
            table.query(sql);
        }
    }
    let told = table.told();
    assert!(told[0].starts_with("server < bind") || told[0].contains("EXECUTE"), "{told:?}");
    if how == "bind" {
        table.client(encode::sync).server(encode::bind_complete);
    } else {
        table.completed("SELECT 0");
    }
    table.ready(TransactionStatus::Idle).told();
}

fn prepared(table: &mut Table, name: &str, sql: &str) -> Vec<String> {
    parse(table, name, sql);
    table.client(encode::sync);
    if table.told()[0].contains("postern_refused") {
        fails(table, "42601");
    } else {
        table.server(encode::parse_complete);
    }
    table.ready(TransactionStatus::Idle).told()
}

#[test]
fn statements_are_refused_where_their_texts_are_too_long_together() {
    for sql in ["SELECT name FROM products", "SELECT email FROM customers"] {
        let mut table = Table::keeping(1 << 20);
        let sql = long(sql, 50_000);
        let kept = (0..60).take_while(|number| {
            let told = prepared(&mut table, &format!("s{number}"), &sql);
            told[0] == "client < ParseComplete"
        });
        let kept = kept.count();
        assert!((2..=10).contains(&kept), "{kept}");
        let told = prepared(&mut table, "one more", &sql);
        assert_eq!(told[0], format!("client < error 54000 {TOO_LARGE}"));
        table.client(|out| encode::close(out, Target::Statement("s0")).unwrap());
        table.client(encode::sync).server(encode::close_complete);
        table.ready(TransactionStatus::Idle).told();
        assert_eq!(prepared(&mut table, "one more", &sql)[0], "client < ParseComplete");
    }
}

#[test]
fn prepare_in_sql_is_refused_where_texts_are_too_long_together() {
    let mut table = Table::keeping(1 << 20);
    let sql = long("SELECT email FROM customers", 50_000);
    let prepare = |table: &mut Table, number: usize| {
        table.query(&format!("PREPARE s{number} AS {sql}"));
        let told = table.told();
        if told[0].contains("error") {
            return false;
        }
        table.completed("PREPARE").ready(TransactionStatus::Idle).told();
        true
    };
    let kept = (0..60).take_while(|number| prepare(&mut table, *number)).count();
    assert!((2..=20).contains(&kept), "{kept}");
    table.query("DEALLOCATE ALL").completed("DEALLOCATE ALL").ready(TransactionStatus::Idle);
    assert_eq!(table.session.scale.bytes(), 0);
    assert!(prepare(&mut table, 0));
}

#[test]
fn a_deallocation_that_fails_weighs_what_it_puts_back() {
    let mut table = Table::keeping(1 << 20);
    prepared(&mut table, "s", &long("SELECT email FROM customers", 50_000));
    let before = table.session.scale.bytes();
    assert!(before > 100_000, "{before}");
    table.query("DEALLOCATE s; SELECT name FROM products");
    fails(&mut table, "57014");
    table.ready(TransactionStatus::Idle).told();
    assert_eq!(table.session.scale.bytes(), before);
    bind(&mut table, "", "s");
    assert!(table.told()[0].starts_with("server < bind"));
}

#[test]
fn portals_are_refused_where_what_they_search_for_is_too_much_together() {
    let mut table = Table::keeping(1 << 20);
    table.query("BEGIN").completed("BEGIN").ready(TransactionStatus::InTransaction);
    prepared(&mut table, "s", LOOKUP);
    let value = vec![b'x'; 100_000];
    let bound = (0..60).take_while(|number| {
        bind_with(&mut table, &format!("p{number}"), "s", vec![Some(&value)]);
        let told = table.told();
        if told[0].contains("postern_refused") {
            return false;
        }
        table.server(encode::bind_complete).told();
        true
    });
    let bound = bound.count();
    assert!((8..=10).contains(&bound), "{bound}");
    fails(&mut table, "42601");
    assert_eq!(table.told()[0], format!("client < error 54000 {TOO_LARGE}"));
    table.client(encode::sync).ready(TransactionStatus::Failed);
    table.query("ROLLBACK").completed("ROLLBACK").ready(TransactionStatus::Idle);
    assert!(table.session.scale.bytes() < 100_000);
}

#[test]
fn an_execution_takes_no_copy_of_what_it_searches_for() {
    let mut table = Table::keeping(1 << 20);
    prepared(&mut table, "s", LOOKUP);
    let value = vec![b'x'; 100_000];
    bind_with(&mut table, "", "s", vec![Some(&value)]);
    let before = table.session.scale.bytes();
    for _ in 0..20 {
        execute(&mut table, "");
    }
    assert_eq!(table.session.scale.bytes(), before);
    assert!(!table.told().iter().any(|line| line.contains("postern_refused")));
}

#[test]
fn a_long_text_is_analysed_once_by_each_judge() {
    let sql = long("SELECT email FROM customers", 100_000);
    for (prepare, how) in [(sql.clone(), "bind"), (format!("PREPARE s AS {sql}"), "EXECUTE s")] {
        let mut table = Table::new();
        if how == "bind" {
            prepared(&mut table, "s", &prepare);
        } else {
            table.query(&prepare).completed("PREPARE").ready(TransactionStatus::Idle).told();
        }
        assert_eq!(table.judge.analyses(), 1);
        // EXECUTE itself is a text too.
        let own = u64::from(how != "bind");
        executed(&mut table, how);
        executed(&mut table, how);
        assert_eq!(table.judge.analyses(), 1 + own);
        (table.judge, _) = judge(crate::Kind::Restricted);
        executed(&mut table, how);
        assert_eq!(table.judge.analyses(), 1 + own, "the catalogue may be another one");
        executed(&mut table, how);
        assert_eq!(table.judge.analyses(), 1 + own);
    }
}

#[test]
fn a_judge_remembers_no_more_than_it_may() {
    let (mut judge, _) = judge(crate::Kind::Restricted);
    for number in 0..20 {
        judge.judge(&format!("SELECT {number}"));
    }
    let all = judge.remembered_bytes();
    judge.remember(all / 2);
    assert_eq!(judge.remembered_bytes(), 0);
    for number in 0..20 {
        judge.judge(&format!("SELECT {number}"));
        assert!(judge.remembered_bytes() <= all / 2);
    }
    assert!(judge.remembered_bytes() > 0);
    judge.remember(0);
    judge.judge("SELECT 1");
    assert_eq!(judge.remembered_bytes(), 0);
}

#[test]
fn what_is_under_way_is_answered_before_more_is_taken() {
    let mut table = Table::keeping(1 << 20);
    let sql = long("SELECT email FROM customers", 20_000);
    let mut sent = 0;
    while table.session.wants_client() {
        // Neither is kept by name any more, and both are until the server has answered.
        parse(&mut table, "s", &sql);
        table.client(|out| encode::close(out, Target::Statement("s")).unwrap());
        sent += 1;
        assert!(sent < 60, "more is taken without end");
    }
    assert_eq!(table.told().last().map(String::as_str), Some("server < flush"));
    for _ in 0..sent {
        table.server(encode::parse_complete).server(encode::close_complete);
    }
    assert!(table.session.wants_client());
    assert_eq!(table.session.scale.bytes(), 0);
}
