//! What customers tell, in a ledger in which `agent13` was shown those who complain.

use std::process::Command;

use crate::{bench::Bench, evidence::bench};

/// As `bench.run`, with a caller that has blanks.
fn add(bench: &Bench, customer: usize) {
    let status = Command::new(env!("CARGO_BIN_EXE_postern"))
        .args(["complaint", "add", &customer.to_string(), "--at", "2020-01-01T00:00:00Z"])
        .args(["--fields", "name,email", "--caller", "said to be from support"])
        .current_dir(bench.path("."))
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
}

#[test]
fn complaints_are_entries_and_each_moves_the_trace() {
    let bench = bench();
    let none = bench.run("trace").ended(2);
    assert!(none.contains("there is nothing to trace"), "{none}");
    (50_000..50_010).for_each(|customer| add(&bench, customer));
    let ledger = bench.run("ledger show --last 1").yes();
    let said = "customer 50009 complained of scam_call, at 2020-01-01T00:00:00.000000Z: said to be";
    assert!(ledger.contains(said), "{ledger}");
    let traced = bench.run("trace --warn next.csv").yes();
    for many in 1..=10 {
        assert!(traced.contains(&format!("\nafter {many} complaints: ")), "{traced}");
    }
    let probability = |many: usize| -> f64 {
        let begin = format!("\nafter {many} complaints: ");
        let line = traced.split(&begin).nth(1).unwrap().lines().next().unwrap().to_owned();
        assert!(line.contains("most probable account agent13 with "), "{line}");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(probability(10) > probability(2), "{traced}");

    let next = bench.read("next.csv");
    let lines: Vec<&str> = next.lines().collect();
    assert_eq!(lines[0], "subject,probability");
    assert!(lines.contains(&format!("\"50010\",{:.4}", chance(&lines, "50010")).as_str()));
    assert!(chance(&lines, "50039") > 0.5, "{next}");
    assert!(!next.contains("\"50009\""), "who has complained needs no warning");
    assert!(!next.contains("agent"), "no account is named");
    assert!(bench.run("trace --warn next.csv").ended(2).contains("must not be there yet"));
    bench.run("ledger verify").yes();
}

fn chance(lines: &[&str], customer: &str) -> f64 {
    let begin = format!("\"{customer}\",");
    let line = lines.iter().find_map(|line| line.strip_prefix(&*begin));
    line.unwrap_or_else(|| panic!("{customer} is not listed")).parse().unwrap()
}

#[test]
fn a_list_is_weighed_alone_unless_complaints_are_asked_for() {
    let bench = bench();
    let trace = "trace --leak leak.csv --values values.jsonl --json";
    let before = bench.run(trace).yes();
    add(&bench, 50_036);
    assert_eq!(bench.run(trace).yes(), before);
    let both = bench.run(&format!("{trace} --recorded")).yes();
    assert!(before.contains("\"list\":36") && both.contains("\"list\":37"), "{both}");
}

#[test]
fn one_customer_complains_once_and_what_was_wrong_is_taken_back() {
    let bench = bench();
    add(&bench, 50_000);
    bench.run("complaint add 50000 --caller x --fields phone --kind phishing").yes();
    bench.run("complaint add 50001 --caller x").yes();
    let listed = bench.run("complaint list --json").yes();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let first = r#"{"version":1,"at":"2020-01-01T00:00:00.000000Z","subject":"50000","kind":"scam_call","fields":["name","email","phone"]}"#;
    assert_eq!(listed.lines().next(), Some(first));
    bench.run("complaint withdraw 50000 --why mistaken").yes();
    assert!(!bench.run("complaint list").yes().contains("50000"));
    let none = bench.run("complaint withdraw 50000 --why mistaken").ended(1);
    assert!(none.contains("there is no complaint of customer 50000"), "{none}");
    assert!(bench.run("ledger show").yes().contains("read complaints"));
}

#[test]
fn complaints_that_can_not_be_so_are_refused() {
    let bench = bench();
    let later = bench.run("complaint add 1 --caller x --at 2999-01-01T00:00:00Z").ended(2);
    assert!(later.contains("nobody can have called at 2999"), "{later}");
    let field = bench.run("complaint add 1 --caller x --fields shoe").ended(2);
    assert!(field.contains("there is no field `shoe`"), "{field}");
    assert_eq!(bench.run("complaint add 1").code, Some(64));
}

#[test]
fn a_customer_whom_the_ledger_does_not_know_is_asked_about() {
    let bench = bench();
    let unknown = bench.run("complaint add 999999 --caller x").ended(2);
    assert!(unknown.contains("the ledger names no customer `999999`"), "{unknown}");
    let nobody = bench.run("complaint add 50000 --caller= ").ended(2);
    assert!(nobody.contains("`--caller` is empty"), "{nobody}");
    assert!(!bench.run("complaint list").yes().contains("999999"));
    bench.run("complaint add 999999 --caller x --force").yes();
    bench.run("complaint add 999999 --caller y --kind other").yes();
    assert!(bench.run("complaint list").yes().contains("999999"));
}
