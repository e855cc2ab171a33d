//! A statement whose result leaves once, when somebody else has approved that very result.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Output, Stdio},
};

use postern_ledger::{Body, Entry, Note, Reader};
use postern_testkit::wait_until;
use sha2::{Digest as _, Sha256};

use crate::{
    bench::Run,
    insiders::other_person,
    raw::{DATABASE, password},
    served::{PATIENCE, Served},
    support::Support,
};

const COPY: &str = "COPY (SELECT id, email FROM customers WHERE id <= 25 ORDER BY id) TO STDOUT";

struct Desk {
    support: Support,
    served: Served,
}

impl Desk {
    fn open() -> Self {
        let support = Support::new();
        support.configure(&(support.configuration("") + "\n[approvals]\nlongest = \"2h\"\n"));
        let served = Served::start(&support.bench);
        served.wait_until_open("ana");
        Self { support, served }
    }

    fn run(&self, arguments: &str) -> Run {
        self.support.bench.run(arguments)
    }

    fn asks(&self, sql: &str, fields: &str, rows: u64) -> Run {
        std::fs::write(self.support.bench.path("export.sql"), sql).unwrap();
        self.run(&format!(
            "ask-query ana --file export.sql --fields {fields} --rows {rows} --why letter"
        ))
    }

    /// As psql does it.
    fn psql(&self, actor: &str, number: u64, sql: &str) -> Output {
        self.psql_as("psql", actor, number, sql)
    }

    /// The same by a program that gives itself this name, which a statement can read.
    fn psql_as(&self, name: &str, actor: &str, number: u64, sql: &str) -> Output {
        let port = self.served.address.port();
        let place = format!(
            "host=127.0.0.1 port={port} user={actor} dbname={DATABASE} sslmode=disable \
             options='-c postern.approved={number}'"
        );
        let mut psql = Command::new("psql");
        psql.env_clear().env("PATH", "/usr/bin:/bin").env("PGPASSWORD", password(actor));
        psql.env("PGAPPNAME", name);
        psql.args(["-X", "-w", "-At", &place, "-c", sql]).output().unwrap()
    }

    /// What psql is told, where nothing leaves.
    #[track_caller]
    fn nothing(&self, actor: &str, number: u64, sql: &str) -> String {
        let output = self.psql(actor, number, sql);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Waits until so many trials have ended; what came of them.
    fn tried(&self, trials: usize) -> Vec<String> {
        let acts = || self.acts().into_iter().filter(|(act, _)| act == "tried");
        wait_until(PATIENCE, "the trials' entries", || acts().count() == trials).unwrap();
        acts().map(|(_, why)| why).collect()
    }

    /// What was done about statements: the acts and what they say.
    fn acts(&self) -> Vec<(String, String)> {
        let entries = Reader::open(&self.support.ledger()).unwrap().map(Result::unwrap);
        let acts = entries.filter_map(|entry| match entry.body {
            Body::Noted(Note::Approval { act, subject, why, .. }) => {
                assert!(subject.as_str().starts_with("query:"), "{subject}");
                Some((act.to_string(), why.to_string()))
            }
            _ => None,
        });
        acts.collect()
    }

    /// Whose e-mail address was shown, by which statement's number.
    fn shown(&self) -> Vec<(String, Option<String>)> {
        let mut shown = Vec::new();
        for entry in Reader::open(&self.support.ledger()).unwrap().map(Result::unwrap) {
            let Body::Disclosed(disclosed) = &entry.body else { continue };
            let claimed = disclosed.claimed.as_ref().map(ToString::to_string);
            for seen in Entry::disclosures(&entry).filter(|seen| !seen.clear.is_empty()) {
                assert_eq!(&*seen.reason.unwrap().name, "approval");
                let subjects = seen.subjects.iter();
                shown.extend(subjects.map(|subject| (subject.to_string(), claimed.clone())));
            }
        }
        shown
    }
}

#[test]
fn the_approved_result_is_what_leaves_once_and_byte_for_byte() {
    let mut desk = Desk::open();
    let asked = desk.asks(COPY, "public.customers.email", 25).yes();
    assert!(asked.starts_with("asked, number 1, for ana until "), "{asked}");
    let bench = desk.support.bench.path("");
    if let Some(untried) = other_person(&bench, "approve 1") {
        let untried = untried.ended(1);
        assert!(untried.contains("`ana` has to run it, which shows nothing"), "{untried}");
    }

    let tried = desk.nothing("ana", 1, COPY);
    assert!(tried.contains("number 1 is tried, nothing leaves"), "{tried}");
    desk.tried(1);
    assert_eq!(desk.shown(), [], "nobody has seen anything");
    let asked = desk.run("approvals 1").yes();
    let kept = "gave      it was tried; what it gave is for those who may approve it";
    for part in [COPY, "may show  public.customers.email", kept] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    if let Some(seen) = other_person(&bench, "approvals 1") {
        let seen = seen.yes();
        assert!(seen.contains("gave      25 rows of 25 customers"), "{seen}");
    }
    let own = desk.run("approve 1").ended(1);
    assert!(own.contains("nobody approves or reviews what they asked for"), "{own}");
    let Some(unseen) = other_person(&bench, "approve 1") else { return };
    let unseen = unseen.ended(1);
    assert!(unseen.contains("by the hash of the result that you have seen"), "{unseen}");
    let another = other_person(&bench, "approve 1 --sha256 0123456789ab").unwrap().ended(1);
    assert!(another.contains("is not the result that you have seen"), "{another}");
    let seen = other_person(&bench, "approvals 1").unwrap().yes();
    let (_, hash) = seen.split_once("sha256 ").unwrap();
    let approve = format!("approve 1 --sha256 {}", &hash[..12]);
    other_person(&bench, &approve).unwrap().yes();

    // It is approved over a restart, for her and for this text.
    desk.served.terminate();
    assert_eq!(desk.served.ended(), Some(0));
    desk.served = Served::start(&desk.support.bench);
    desk.served.wait_until_open("ana");
    let other = desk.nothing("ben", 1, COPY);
    assert!(other.contains("no request or access of the number 1"), "{other}");
    let more = desk.nothing("ana", 1, &COPY.replace("<= 25", "<= 26"));
    assert!(more.contains("is for the statement of number 1, and nothing else"), "{more}");

    // What was approved is not what it gives now, and then is again.
    let change = |name: &str| {
        let sql = format!("UPDATE customers SET email = '{name}' WHERE id = 7");
        desk.support.postgres.psql_in(DATABASE, &sql).unwrap();
    };
    change("another@example.org");
    let changed = desk.nothing("ana", 1, COPY);
    assert!(changed.contains("what number 1 gives now is not what was approved"), "{changed}");
    change("mail7@example.org");
    let output = desk.psql("ana", 1, COPY);
    let expected: String = (1..=25).map(|id| format!("{id}\tmail{id}@example.org\n")).collect();
    assert_eq!(String::from_utf8(output.stdout.clone()).unwrap(), expected);
    let twice = desk.nothing("ana", 1, COPY);
    assert!(twice.contains("it is good for one time"), "{twice}");

    let digest: String =
        Sha256::digest(&output.stdout).iter().map(|byte| format!("{byte:02x}")).collect();
    let acts = desk.acts();
    let names: Vec<&str> = acts.iter().map(|(act, _)| act.as_str()).collect();
    assert_eq!(names, ["asked", "tried", "approved", "withheld", "released"]);
    let gave = format!("25 rows of 25 customers, {} bytes, sha256 {digest}", expected.len());
    assert_eq!([&acts[1].1, &acts[4].1], [&gave, &gave]);
    // Those of the result that was withheld are recorded, too: too much is said, never too little.
    let shown = desk.shown();
    assert_eq!(shown.len(), 50);
    assert!(shown.iter().all(|(_, claimed)| claimed.as_deref() == Some("approval 1")));
    assert!(desk.run("approvals").yes().contains("released"));
}

/// What comes of a trial is for whoever approves: told to the account it would answer questions.
#[test]
fn a_trial_tells_the_account_nothing() {
    let desk = Desk::open();
    let fields = "public.customers.email";
    let gives = "SELECT email FROM customers WHERE email LIKE 'mail7@%'";
    let none = "SELECT email FROM customers WHERE email LIKE 'nobody%'";
    let fails = "SELECT email FROM customers WHERE 1 / (length(email) - 17) > 0";
    let many = "SELECT email FROM customers";
    let mut told = Vec::new();
    for (number, sql) in (1..).zip([gives, none, fails, many]) {
        desk.asks(sql, fields, 100).yes();
        told.push(desk.nothing("ana", number, sql).replace(&number.to_string(), "N"));
    }
    assert!(told.iter().all(|said| *said == told[0]), "{told:#?}");
    let mut words = desk.tried(4);
    // They end in any order.
    words.sort();
    assert!(words[0].starts_with("0 rows of 0 customers"), "{words:?}");
    assert!(words[1].starts_with("1 rows of 1 customers"), "{words:?}");
    assert_eq!(words[2..], ["it failed with 22000", "it gives more than 100 rows"]);
    assert_eq!(desk.shown(), []);
    if let Some(failed) = other_person(&desk.support.bench.path(""), "approve 3") {
        let failed = failed.ended(1);
        assert!(failed.contains("nobody knows yet what number 3 gives"), "{failed}");
    }
}

/// One request can be tried any number of times: by what it says of itself the record would be
/// read.
#[test]
fn a_trial_tells_nothing_by_what_is_in_a_record() {
    let desk = Desk::open();
    let (email, name) = ("public.customers.email", "public.customers.name");
    let less =
        |then: &str, other: &str| format!("CASE WHEN email < 'm' THEN {then} ELSE {other} END");
    let of =
        |columns: &str, more: &str| format!("SELECT {columns} FROM customers{more} WHERE id = 6");
    let asked = [
        (of("email", &format!(", generate_series(1, {})", less("2", "1"))), name),
        (format!("SELECT 1; {}", of(&format!("1 / {}", less("0", "1")), "")), email),
        (of(&format!("email, repeat('x', {})", less("100000000", "1")), ""), email),
    ];
    for (number, (text, fields)) in (1..).zip(&asked) {
        desk.asks(text, fields, 1).yes();
        let mut told = Vec::new();
        for address in ["a@example.org", "z@example.org"] {
            let sql = format!("UPDATE customers SET email = '{address}' WHERE id = 6");
            desk.support.postgres.psql_in(DATABASE, &sql).unwrap();
            let output = desk.psql("ana", number, text);
            told.push((output.status.code(), output.stdout, output.stderr));
            desk.tried(2 * (usize::try_from(number).unwrap() - 1) + told.len());
        }
        assert_eq!(told[0], told[1], "{text}");
    }
    let words = desk.tried(6);
    assert!(words.iter().any(|why| why == "it came to no end"), "{words:?}");
    assert_eq!(desk.shown(), []);
}

/// A text can compare with a setting: under another one it would be another question.
#[test]
fn a_statement_is_run_as_the_server_is_set() {
    let desk = Desk::open();
    let sql = "SELECT email, current_setting('application_name') FROM customers WHERE id = 6";
    desk.asks(sql, "public.customers.email", 1).yes();
    for (trials, name) in [(1, "one"), (2, "other")] {
        desk.psql_as(name, "ana", 1, sql);
        desk.tried(trials);
    }
    let tried = desk.tried(2);
    assert_eq!(tried[0], tried[1]);
}

/// How long it takes would tell as much as what it gives.
#[test]
fn a_trial_is_answered_before_it_runs() {
    let desk = Desk::open();
    let sql = "SELECT email FROM customers WHERE id = 6";
    desk.asks(sql, "public.customers.email", 1).yes();
    let mut locks = Command::new("psql");
    locks.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut locks =
        locks.args(["-X", "-At", &desk.support.postgres.url_of(DATABASE)]).spawn().unwrap();
    let mut keys = locks.stdin.take().unwrap();
    keys.write_all(b"BEGIN; LOCK TABLE customers; SELECT 'locked';\n").unwrap();
    let said = BufReader::new(locks.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.into_iter().any(|line| line == "locked"));
    let tried = desk.nothing("ana", 1, sql);
    assert!(tried.contains("number 1 is tried, nothing leaves"), "{tried}");
    assert_eq!(desk.acts().len(), 1, "it can't have run");
    drop(keys);
    locks.wait().unwrap();
    assert_eq!(desk.tried(1)[0].split(',').next(), Some("1 rows of 1 customers"));
}

/// Before anybody has approved it, it is run: that leaves nothing behind.
#[test]
fn a_trial_writes_nothing() {
    let desk = Desk::open();
    let writes = "CREATE FUNCTION notes(bigint) RETURNS bigint LANGUAGE plpgsql AS \
                  'BEGIN INSERT INTO products VALUES (9, ''Desk''); RETURN $1; END'";
    desk.support.postgres.psql_in(DATABASE, writes).unwrap();
    let configuration = desk.support.bench.read("postern.toml");
    let configuration =
        configuration.replace("[upstream]", "[upstream]\nfunctions = [\"public.notes\"]");
    for (number, pool) in [(1, "session"), (2, "transaction")] {
        let workers = format!("workers = 2\npool = \"{pool}\"");
        desk.support.configure(&configuration.replace("workers = 2", &workers));
        desk.run("reload").yes();
        let writes = "SELECT email, notes(id) FROM customers WHERE id = 5";
        desk.asks(writes, "public.customers.email", 10).yes();
        desk.nothing("ana", number, writes);
        desk.tried(usize::try_from(number).unwrap());
        let count = desk.support.postgres.psql_in(DATABASE, "SELECT count(*) FROM products");
        assert_eq!(count.unwrap().trim(), "2");
        let (act, why) = desk.acts().pop().unwrap();
        assert_eq!((&*act, &*why), ("tried", "it failed with 25006"));
    }
}

#[test]
fn what_is_asked_for_is_what_policy_and_the_request_name() {
    let desk = Desk::open();
    let refused = |sql: &str, fields: &str| desk.asks(sql, fields, 10).ended(1);
    let said = refused("DELETE FROM customers", "public.customers.email");
    assert!(said.contains("only SELECT, WITH and COPY"), "{said}");
    let said = refused(COPY, "public.customers.plan");
    assert!(said.contains("`public.customers.plan` is no protected column"), "{said}");
    // It shows more than it names, or hangs on it; or it is more than one; or a rule refuses it.
    for (number, (sql, expected)) in (1..).zip([
        ("SELECT email, name FROM customers WHERE id = 1", "shows `public.customers.name`"),
        ("SELECT email FROM customers WHERE name LIKE 'A%'", "shows `public.customers.name`"),
        ("SELECT email FROM customers WHERE id = 1; SELECT 1", "it has to be one statement"),
        ("SELECT email, pg_read_file('x') FROM customers", "pg_read_file"),
    ]) {
        desk.asks(sql, "public.customers.email", 10).yes();
        let said = desk.nothing("ana", number, sql);
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(desk.shown(), []);
}
