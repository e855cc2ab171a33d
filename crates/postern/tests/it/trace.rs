use std::fmt::Write as _;

use crate::bench::Bench;

/// A feed in which `agent13` was shown forty customers that nobody else was shown, among twenty
/// accounts that were shown thirty of their own each; and what these customers' values are.
fn bench() -> Bench {
    let (mut access, mut values) = (String::new(), String::new());
    let mut shown = |time: usize, actor: &str, subject: usize| {
        let ts = format!("2026-01-02T{:02}:{:02}:00Z", time / 60, time % 60);
        let _ = writeln!(
            access,
            r#"{{"ts":"{ts}","id":"a{time}","actor":"{actor}","session":"s","statement":"f",
            "subjects":["{subject}"],"clear":["name","email"],"rows":1,"decision":"allow"}}"#
        );
    };
    let mut time = 0;
    for agent in 0..20 {
        for customer in 0..30 {
            shown(time, &format!("agent{agent:02}"), 1_000 * (agent + 1) + customer);
            time += 1;
        }
    }
    for customer in 0..40 {
        shown(time, "agent13", 50_000 + customer);
        time += 1;
    }
    for subject in (1_000..1_030).chain(50_000..50_040).chain(60_000..62_000) {
        for (field, value) in [("name", "Ada Nr"), ("email", "ada@example.com")] {
            let _ = writeln!(
                values,
                r#"{{"ts":"2025-01-01T00:00:00Z","subject":"{subject}","field":"{field}","value":"{subject} {value}"}}"#
            );
        }
    }
    let access: String = access.replace(",\n", ",");
    Bench::new()
        .file("feed/access.jsonl", &access)
        .file("values.jsonl", &values.replace(" ada@", "ada@"))
}

fn list(customers: impl Iterator<Item = usize>) -> String {
    let rows = customers.map(|id| format!("{id} Ada Nr,{id}ada@example.com\n"));
    "name,email\n".to_owned() + &rows.collect::<String>()
}

#[test]
fn a_list_is_traced_to_the_account_that_it_came_from() {
    let bench = bench().file("leak.csv", &list(50_000..50_036));
    let run = "trace --feed feed --leak leak.csv --values values.jsonl";
    let said = bench.run(run).yes();
    assert!(said.starts_with("attributed to the account agent13\n"), "{said}");
    let json = bench.run(&format!("{run} --json")).yes();
    assert!(json.starts_with(r#"{"verdict":"attributed","actors":["agent13"]"#), "{json}");
    assert_eq!(json.lines().count(), 1);
}

#[test]
fn a_prepared_index_says_what_the_feed_says() {
    let bench = bench().file("leak.csv", &list((50_000..50_036).chain(60_000..60_010)));
    let known = "--feed feed --values values.jsonl";
    bench.run(&format!("trace {known} --prepare index")).yes();
    let by_feed = bench.run(&format!("trace {known} --leak leak.csv --json")).yes();
    let run = bench.run("trace --index index --leak leak.csv --json");
    assert!(
        run.stderr.contains("`index` knows of nothing after 2026-01-02T10:39:00.000000Z"),
        "{run:?}"
    );
    assert_eq!(run.yes(), by_feed);
    let again = bench.run(&format!("trace {known} --prepare index")).ended(2);
    assert!(again.contains("must not be there yet"), "{again}");
    assert_eq!(bench.run("trace --index index").code, Some(64));
    assert_eq!(bench.run(&format!("trace {known} --index index --leak leak.csv")).code, Some(64));
    let said = bench.run("trace --index leak.csv --leak leak.csv").ended(2);
    assert!(said.contains("this is no prepared index"), "{said}");
}

#[test]
fn a_list_from_elsewhere_names_nobody() {
    let bench = bench().file("leak.csv", &list(60_000..60_100));
    let run = "trace --feed feed --leak leak.csv --values values.jsonl --json";
    let json = bench.run(run).yes();
    assert!(json.contains(r#""actors":[]"#) && !json.contains("\"attributed\""), "{json}");
}

#[test]
fn a_trace_needs_a_list_or_complaints_and_a_readable_one() {
    let bench = bench();
    assert_eq!(bench.run("trace --feed feed").code, Some(64));
    let said = bench.run("trace --feed feed --leak none.csv").ended(2);
    assert!(said.starts_with("error: ") && said.contains("none.csv"), "{said}");
    let complaint = r#"{"ts":"2026-02-01T00:00:00Z","subject":"50000","kind":"scam_call"}"#;
    let bench = bench.file("complaints.jsonl", complaint);
    let said = bench.run("trace --feed feed --complaints complaints.jsonl").yes();
    assert!(said.contains("1 rows in the list, 1 customers among them"), "{said}");
}

#[test]
fn a_feed_is_replayed_and_its_bad_lines_are_said() {
    let bench = bench();
    let said = bench.run("replay --feed feed").yes();
    assert!(said.starts_with("640 events, "), "{said}");
    assert!(bench.path("feed/findings.jsonl").exists());
    let bad = bench.read("feed/access.jsonl") + "{nonsense\n";
    let bench = bench.file("feed/access.jsonl", &bad);
    let run = bench.run("replay --feed feed --findings other.jsonl");
    assert!(run.stderr.starts_with("warning: feed/access.jsonl:641: "), "{run:?}");
    assert_eq!(run.code, Some(0), "one bad line in 641 is no failure");
}
