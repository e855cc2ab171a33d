use postern_testkit::wait_until;

use crate::{
    bench::Bench,
    raw::Raw,
    served::{PATIENCE, Served},
    support::{AGENTS, Support},
};

/// Who is shown several customers at once.
const SEVERAL: &str = "
title: several customers at once
id: several
level: high
logsource: { product: postern, service: access }
detection:
  several: { 'subject_count|gte': 2 }
  condition: several
";

const EXAMPLES: &str = r#"
[[example]]
what = "two customers"
rule = "several"
matches = true
events = [{ subjects = ["c1", "c2"], rows = 2 }]

[[example]]
what = "one customer"
rule = "several"
matches = false
events = [{ subjects = ["c1"] }]
"#;

fn bench() -> Bench {
    Bench::new()
        .file("postern.toml", "[watch]\nrules = \"rules\"\n")
        .file("rules/several.yml", SEVERAL)
        .file("rules/several.test.toml", EXAMPLES)
        .file("rules/README", "nothing to see")
}

#[test]
fn rules_are_tried_on_the_examples_beside_them() {
    let bench = bench();
    assert_eq!(bench.run("rules test").yes(), "1 rules, 2 examples, 0 failed\n");
    assert_eq!(bench.run("rules test rules").yes(), "1 rules, 2 examples, 0 failed\n");
    let bench = bench.file("rules/several.yml", &SEVERAL.replace("gte': 2", "gte': 1"));
    assert_eq!(
        bench.run("rules test").ended(1),
        "FAILED rules/several.test.toml: `several` matches \"one customer\"\n\
         1 rules, 2 examples, 1 failed\n"
    );
    let json = bench.run("rules test --json").ended(1);
    assert!(json.contains(r#""failed":[{"file":"#) && json.contains(r#""should_match":false"#));
}

#[test]
fn what_no_example_shows_is_said() {
    let bench = bench().file("rules/several.test.toml", "");
    let said = bench.run("rules test");
    assert_eq!(said.stderr.lines().count(), 2, "{said:?}");
    assert!(said.stderr.starts_with("warning: no example shows what `several` has to match\n"));
}

#[test]
fn rules_that_can_not_be_used_are_said_with_the_file() {
    let bench = bench().file("rules/several.yml", &SEVERAL.replace("id: several", ""));
    let said = bench.run("rules test rules").ended(2);
    assert!(
        said.contains("error: rules/several.yml: rule `several customers at once` needs an `id`")
    );
    let said = bench.run("replay --feed feed").ended(2);
    assert!(said.contains("the rules can't be used: "), "{said}");
    let none = Bench::new().file("postern.toml", "");
    let said = none.run("rules test").ended(2);
    assert!(said.contains("`postern.toml` has no `rules` in `[watch]`"), "{said}");
}

#[test]
fn a_replay_raises_what_the_rules_match_and_nothing_else_is_changed_by_them() {
    let line = |number: usize, subjects: &str| {
        format!(
            r#"{{"ts":"2026-01-02T09:00:0{number}Z","id":"a{number}","actor":"eva","session":"s",
            "statement":"f","subjects":[{subjects}],"rows":1,"decision":"allow"}}"#
        )
        .replace(",\n", ",")
    };
    let feed = [line(1, r#""c1""#), line(2, r#""c1","c2""#), line(3, r#""c3","c4""#)].join("\n");
    let bench = bench().file("feed/access.jsonl", &feed);
    bench.run("replay --feed feed").yes();
    let found = bench.read("feed/findings.jsonl");
    let of_rules: Vec<&str> = found.lines().filter(|line| line.contains("\"rule:")).collect();
    let [one] = of_rules.as_slice() else { panic!("{found}") };
    assert!(one.contains(r#""kind":"rule:several","severity":"high","alert":true"#), "{one}");
    assert!(one.contains(r#""evidence":["a2"]"#), "{one}");
    bench.run("replay --feed feed --findings again.jsonl").yes();
    assert_eq!(found, bench.read("again.jsonl"));
    let bench =
        bench.file("postern.toml", "[watch]\nrules = \"rules\"\noff = [\"rule:several\"]\n");
    bench.run("replay --feed feed --findings off.jsonl").yes();
    let bench = bench.file("postern.toml", "");
    bench.run("replay --feed feed --findings without.jsonl").yes();
    assert_eq!(bench.read("off.jsonl"), bench.read("without.jsonl"));
    let kept: String = found
        .lines()
        .filter(|line| !line.contains("\"rule:"))
        .map(|l| l.to_owned() + "\n")
        .collect();
    assert_eq!(kept, bench.read("without.jsonl"));
}

#[test]
fn a_running_gateway_suspends_on_a_rule_that_a_reload_brought() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open(AGENTS[0]);
    let list = |actor: &str| {
        let mut raw = Raw::connect(served.address, actor).unwrap();
        raw.query("SELECT id, name FROM customers WHERE id IN (1, 2, 3)")
    };
    list(AGENTS[0]);
    std::fs::create_dir(support.bench.path("rules")).unwrap();
    std::fs::write(support.bench.path("rules/several.yml"), SEVERAL).unwrap();
    let watch = "\n[watch]\nrules = \"rules\"\nsuspend_on = [\"rule:several\"]\n";
    support.configure(&(support.configuration("") + watch));
    support.bench.run("reload").yes();
    list(AGENTS[1]);
    let suspended = || support.bench.run("status --json").yes().contains("\"actor\":\"ben\"");
    wait_until(PATIENCE, "the rule suspends", suspended).unwrap();
    let status = support.bench.run("status --json").yes();
    assert!(!status.contains("\"actor\":\"ana\""), "a rule looks ahead: {status}");
    let found = || support.bench.run("ledger show").yes().contains("rule:several (high): `ben`");
    wait_until(PATIENCE, "the finding is an entry", found).unwrap();
}
