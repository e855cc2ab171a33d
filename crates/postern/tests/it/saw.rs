//! Whether a value that leaked is what somebody was shown.

use crate::{
    raw::Raw,
    served::Served,
    support::{MIA, Support},
};

/// A gateway with these lines in `[ledger]`, and the e-mail address that it has just shown to mia.
fn shown(ledger: &str) -> (Support, Served, String) {
    let support = Support::new();
    support.configure(&(support.configuration("") + "\n[ledger]\n" + ledger));
    let served = Served::start(&support.bench);
    served.wait_until_open(MIA);
    let mut mia = Raw::connect(served.address, MIA).unwrap();
    let mut answer = mia.query("SELECT email FROM customers WHERE id = 3").unwrap();
    let email = answer.rows.remove(0).remove(0);
    (support, served, email)
}

#[test]
fn a_value_is_found_in_what_was_shown_and_the_question_recorded() {
    let (support, _served, email) = shown("retention = \"365d\"\n");
    let bench = &support.bench;
    for how in ["", " --scan", " --actor mia"] {
        let said = bench.run_with(&format!("ledger saw-value 3{how}"), &format!("{email}\n")).yes();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("mia") && said.trim_end().ends_with(": it was email"), "{said}");
        let other = bench.run_with(&format!("ledger saw-value 3{how}"), "other@example.org");
        let said = other.ended(1);
        assert!(said.trim_end().ends_with(": another was email"), "{said}");
    }
    let said = bench.run_with("ledger saw-value 3 --json", &email).yes();
    assert!(said.contains(r#""same":["email"],"other":[],"unknown":[]"#), "{said}");
    bench.run_with("ledger saw-value 5", &email).ended(1);
    bench.run_with("ledger saw-value 3 --actor eva", &email).ended(1);
    // Who asked is an entry, and what for is not.
    let asked = bench.run("ledger show --ledger postern-data/ledger").yes();
    assert!(asked.contains("asked the ledger what mia saw of customer 3"), "{asked}");
    assert!(!asked.contains(&email), "{asked}");
    let holds = bench.run("ledger verify").yes();
    assert!(holds.contains("holds"), "{holds}");
    bench.run("erase 3 --why by-letter").yes();
    bench.run_with("ledger saw-value 3", &email).ended(1);
}

/// Their key would be there for ever.
#[test]
fn without_retention_there_are_hashes_only_where_they_are_asked_for() {
    let (support, _served, email) = shown("");
    let said = support.bench.run_with("ledger saw-value 3", &email).ended(1);
    assert!(said.contains(": not known of email\nhint: "), "{said}");
    let (support, _served, email) = shown("value_hashes = true\n");
    support.bench.run_with("ledger saw-value 3", &email).yes();
}
