//! The proof at the size that every run of the tests can afford, and that it can fail.

use std::{env, fs, path::Path};

use bytes::BytesMut;
use postern_ledger::{Body, Disclosed, Entry, Group, LookedUp};
use postern_model::{Actor, StatementFingerprint, Subject, Timestamp};
use postern_wire::{FrameReader, ReportFields, TransactionStatus, encode};

use crate::{
    accounts::{Told, account},
    arena::Arena,
    campaign::{self, Plan, Totals},
    client::{Outcome, Transcript},
    compare::{Comparison, Order, Verdict, compare, judge},
    corpus, make,
    schema::{Accounts, CANARY, Guard},
    script::Script,
};

/// Queries without `POSTERN_INTERFERENCE_QUERIES`; `.ci/run` sends a hundred thousand, optimised.
const QUERIES: u64 = 5_000;
const SEED: u64 = 1;

#[test]
fn random_queries_find_no_difference() {
    let scripts = env::var("POSTERN_INTERFERENCE_QUERIES");
    let scripts = scripts.map_or(QUERIES, |number| number.parse().unwrap());
    let plan = Plan { seed: SEED, scripts, workers: 2 };
    let totals = campaign::run(plan, &|line| println!("{line}")).unwrap();
    println!("seed {SEED}: {totals}");
    let findings: Vec<String> = totals.findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    assert!(totals.is_well(), "{totals}\n{:#?}", totals.unsteady);
    let allowed = totals.allowed_percent();
    assert!(allowed >= 33, "the generator has become weak: {allowed} % without error");
}

#[test]
fn a_column_that_is_not_guarded_is_found_out() {
    let mut world = make::world(SEED);
    let column = world
        .tables
        .iter_mut()
        .filter(|table| table.protected && table.name == "people")
        .flat_map(|table| &mut table.columns)
        .find(|column| matches!(column.guard, Guard::Protected { .. }))
        .unwrap();
    // The rows are made: both sides differ in it.
    column.guard = Guard::Free;
    let arena = Arena::start().unwrap();
    let found = campaign::play_world(&arena, &world, SEED, 300).unwrap();
    let finding = found.findings.first().expect("nothing was found");
    assert!(finding.script.text().len() < 200, "it was not made short: {finding}");
}

#[test]
fn what_comes_of_where_rows_stand_is_told_from_what_comes_of_values() {
    let mut world = corpus::world();
    // An index of protected columns would have the gateway sort the rows.
    world.setup =
        world.setup.replace("text UNIQUE", "text").replace("CREATE INDEX ON people", "--");
    world.level = false;
    // Where the others' notes leave room on the first page it comes before customer 6.
    for rows in &mut world.rows {
        let note = "n".repeat(2_500);
        rows.push_str(&format!("INSERT INTO people VALUES (9, '', '', 0, NULL, '{note}', 'q');"));
    }
    let script = |text| Script::parse(text).unwrap();
    let arena = Arena::start().unwrap();
    let before = script("SELECT lag(region) OVER () FROM people");
    let verdict = judge(&mut arena.stage(&world).unwrap(), &before).unwrap();
    assert!(matches!(verdict, Verdict::Leak(_)), "{verdict:?}");
    assert!(campaign::is_placed(&arena, &world, &before).unwrap());

    let column = world.tables.iter_mut().find(|table| table.name == "people").unwrap();
    column.columns.iter_mut().find(|c| c.name == "score").unwrap().guard = Guard::Free;
    let shown = script("SELECT score FROM people");
    assert!(!campaign::is_placed(&arena, &world, &shown).unwrap());
}

#[test]
fn what_one_side_made_before_does_not_number_its_tables_differently() {
    let arena = Arena::start().unwrap();
    arena.servers[1].psql("SELECT lo_create(0) FROM generate_series(1, 500)").unwrap();
    for _ in 0..2 {
        arena.stage(&corpus::world()).unwrap();
    }
}

#[test]
fn what_was_found_once_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let arena = Arena::start().unwrap();
    let (mut failed, mut files) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        match corpus::replay(&arena, &text) {
            Ok(None) => files += 1,
            Ok(Some(why)) => failed.push(format!("{}: {why}", path.display())),
            Err(error) => failed.push(format!("{}: {error}", path.display())),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(files > 0, "there is no file");
}

/// What comes with an error of this code, or a row if there is none.
fn transcript(code: Option<&str>, row: &str) -> Transcript {
    let mut bytes = BytesMut::new();
    encode::data_row(&mut bytes, [Some(row.as_bytes())]).unwrap();
    if let Some(code) = code {
        let fields = [(b'S', "ERROR"), (b'V', "ERROR"), (b'C', code), (b'M', "no")];
        encode::report_fields(&mut bytes, b'E', &ReportFields(fields.to_vec())).unwrap();
    }
    encode::ready_for_query(&mut bytes, TransactionStatus::Idle);
    let reader = FrameReader::new(1 << 20);
    let frames = std::iter::from_fn(|| reader.next(&mut bytes).unwrap()).collect();
    Transcript { frames, closed: false }
}

#[test]
fn a_value_that_nobody_may_see_is_found_whatever_becomes_of_the_script() {
    for code in [None, Some("57014"), Some("42501")] {
        let shown = transcript(code, CANARY);
        for (one, two) in [(&shown, &shown), (&shown, &transcript(None, "x"))] {
            assert!(matches!(compare(one, two, Order::Asked), Comparison::Differ(_)), "{code:?}");
            assert!(matches!(compare(two, one, Order::Asked), Comparison::Differ(_)), "{code:?}");
        }
    }
}

#[test]
fn what_ends_on_one_side_only_for_lack_of_time_is_not_called_the_same() {
    let (late, done) = (transcript(Some("57014"), "a"), transcript(None, "a"));
    assert_eq!(compare(&late, &done, Order::Asked), Comparison::Unknown);
    assert_eq!(compare(&done, &late, Order::Asked), Comparison::Unknown);
    assert_eq!(compare(&late, &transcript(Some("57014"), "b"), Order::Asked), Comparison::Same);
    assert_eq!(compare(&done, &done, Order::Asked), Comparison::Same);
    assert!(matches!(compare(&done, &transcript(None, "b"), Order::Asked), Comparison::Differ(_)));
}

#[test]
fn a_connection_that_is_dropped_is_not_well() {
    let closed = Transcript { closed: true, ..transcript(Some("42501"), "a") };
    assert_eq!(closed.outcome(), Outcome::Closed);
    let totals = |outcome, unsteady| Totals {
        scripts: 100,
        outcomes: [(outcome, 1)].into(),
        unsteady: vec![String::new(); unsteady],
        ..Totals::default()
    };
    assert!(totals(Outcome::Failed, 50).is_well());
    assert!(!totals(Outcome::Failed, 51).is_well());
    assert!(!totals(Outcome::Closed, 0).is_well());
}

#[test]
fn the_order_of_rows_counts_where_it_is_asked_for() {
    let rows = |rows: &[&str]| {
        let mut frames = Vec::new();
        for row in rows {
            frames.extend(transcript(None, row).frames.into_iter().take(1));
        }
        frames.extend(transcript(None, "").frames.into_iter().skip(1));
        Transcript { frames, closed: false }
    };
    let (one, two) = (rows(&["a", "b"]), rows(&["b", "a"]));
    assert_eq!(compare(&one, &two, Order::Any), Comparison::Same);
    assert!(matches!(compare(&one, &two, Order::Asked), Comparison::Differ(_)));
    for other in [rows(&["a", "a"]), rows(&["a"]), rows(&["a", "c"])] {
        assert!(matches!(compare(&one, &other, Order::Any), Comparison::Differ(_)));
    }
}

#[test]
fn a_mark_that_no_entry_tells_is_found_out() {
    let arena = Arena::start().unwrap();
    // The first is of a restricted role, the second of an accounted one.
    for (seed, accounted) in [(2, false), (5, true)] {
        let mut world = make::world(seed);
        assert_eq!(world.accounts.as_ref().map(|accounts| accounts.accounted), Some(accounted));
        let marks = world.accounts.iter_mut().flat_map(|accounts| accounts.marks.values_mut());
        marks.for_each(|subject| *subject = "somebody else".to_owned());
        let found = campaign::play_world(&arena, &world, seed, 300).unwrap();
        let finding = found.findings.first().expect("nothing was found");
        assert!(finding.why.contains("of somebody else came"), "{finding}");
    }
}

/// What the entry of one statement tells.
fn told(subjects: &[&str], searches: usize) -> Told {
    let group = Group {
        relation: "public.people".into(),
        clear: Vec::new(),
        masked: Vec::new(),
        reason: None,
        subjects: subjects.iter().map(|subject| Subject::new(*subject)).collect(),
    };
    let lookup = LookedUp {
        relation: "public.people".into(),
        column: "email".into(),
        hit: false,
        search: [0; 8],
    };
    let disclosed = Disclosed {
        actor: Actor::new("ana"),
        connection: 1,
        hold: 0,
        fingerprint: StatementFingerprint(0),
        statement: "".into(),
        claimed: None,
        observed: None,
        rows: 1,
        allowed: 1,
        stopped: None,
        groups: vec![group],
        lookups: vec![lookup; searches],
        values: Vec::new(),
    };
    let body = Body::Disclosed(disclosed);
    Told::of(&[Entry { sequence: 0, time: Timestamp(0), body }])
}

#[test]
fn what_comes_is_told_by_an_entry_or_found() {
    let accounts = Accounts {
        accounted: true,
        changed: ["7".to_owned()].into(),
        marks: [("mkq0000007".to_owned(), "7".to_owned())].into(),
    };
    let marked = transcript(None, "ab, MKQ0000007x");
    let (one, two) = (transcript(None, "a"), transcript(None, "b"));
    let (none, seven, eight) = (told(&[], 0), told(&["7"], 0), told(&["8"], 0));
    let searched = told(&[], 1);
    let found = |sides, order| matches!(account(&accounts, sides, order), Comparison::Differ(_));
    // A mark needs an entry on its own side.
    assert!(!found([(&marked, &seven), (&marked, &seven)], Order::Any));
    for told in [&none, &eight, &searched] {
        assert!(found([(&marked, told), (&marked, &seven)], Order::Any));
        assert!(found([(&marked, &seven), (&marked, told)], Order::Chosen));
    }
    // A difference needs one on either, or a search.
    for told in [&seven, &searched] {
        assert!(!found([(&one, &none), (&two, told)], Order::Any));
        assert!(!found([(&one, told), (&two, &none)], Order::Any));
    }
    assert!(found([(&one, &eight), (&two, &none)], Order::Any));
    assert!(!found([(&one, &eight), (&two, &none)], Order::Chosen));
    assert!(!found([(&one, &none), (&one, &none)], Order::Any));
}
