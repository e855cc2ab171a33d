//! The proof at the size that every run of the tests can afford, and that it can fail.

use std::{env, fs, path::Path};

use crate::{
    arena::Arena,
    campaign::{self, Plan},
    corpus, make,
    schema::Guard,
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
    let allowed = totals.allowed_percent();
    assert!(allowed >= 40, "the generator has become weak: {allowed} % without error");
    let unsteady = totals.unsteady.len();
    assert!(unsteady < 10 + usize::try_from(scripts / 1_000).unwrap(), "{:#?}", totals.unsteady);
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
fn what_was_found_once_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let arena = Arena::start().unwrap();
    let mut failed = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if let Some(why) = corpus::replay(&arena, &text).unwrap() {
            failed.push(format!("{}: {why}", path.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
