//! Access that others approve, and that is taken at once, by the commands.

use crate::{
    raw::Raw,
    served::{PATIENCE, Served},
    support::Support,
};

const FOREIGN: &str = "SELECT name FROM customers WHERE id = 5";

/// Waits until Ana sees this in place of a name that is not hers to see.
fn ana_sees(served: &Served, expected: &str) {
    let sees = || {
        let mut ana = Raw::connect(served.address, "ana").unwrap();
        // What is decided anew while a statement runs is refused once.
        ana.query(FOREIGN).is_some_and(|answer| answer.rows == [[expected]])
    };
    postern_testkit::wait_until(PATIENCE, expected, sees).unwrap();
}

#[test]
fn what_is_taken_at_once_is_told_lasts_over_a_restart_and_can_be_revoked() {
    let support = Support::new();
    let bench = &support.bench;
    support.configure(&(support.configuration("") + "\n[approvals]\nlongest = \"2h\"\n"));
    let mut served = Served::start(bench);
    served.wait_until_open("ana");

    let asked = bench.run("ask ana 5 --why callback --for 30m").yes();
    assert!(asked.starts_with("asked, number 1, for ana until "), "{asked}");
    let own = bench.run("approve 1").ended(1);
    assert!(own.contains("nobody approves or reviews what they asked for"), "{own}");
    let long = bench.run("ask ana 5 --why callback --for 3h").ended(1);
    assert!(long.contains("access lasts 7200 s at most"), "{long}");
    let nobody = bench.run("ask anna 5 --why callback").ended(1);
    assert!(nobody.contains("there is no account `anna`"), "{nobody}");
    ana_sees(&served, "***");

    let taken = bench.run("break-glass ana 5 --why fire").yes();
    assert!(taken.starts_with("ana is let in until "), "{taken}");
    ana_sees(&served, "Name 5");
    assert!(bench.run("review 2 --why looked").ended(1).contains("nobody approves or reviews"));
    let listed = bench.run("approvals").yes();
    assert!(listed.contains("taken, not reviewed"), "{listed}");
    served.terminate();
    assert_eq!(served.ended(), Some(0));

    let again = Served::start(bench);
    again.wait_until_open("ana");
    ana_sees(&again, "Name 5");
    bench.run("revoke 2 --why over").yes();
    ana_sees(&again, "***");
    assert!(bench.run("revoke 2").ended(1).contains("no request or access of the number 2"));
    let shown = bench.run("ledger show --actor ana").yes();
    for expected in ["broke_glass by", "revoked by", "asked by", "break_glass (high)"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(bench.run("approvals --json").yes().contains("\"state\":\"revoked\""));
}

#[test]
fn without_the_section_there_is_no_access_to_ask_for() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let refused = support.bench.run("ask ana 5 --why callback").ended(1);
    assert!(refused.contains("the configuration has no `[approvals]`"), "{refused}");
    assert_eq!(support.bench.run("approvals --json").yes(), "");
    let configuration = support.configuration("").replace("assigned_ticket", "approval");
    support.configure(&(configuration + "\n[approvals]\n"));
    let wrong = support.bench.run("check-config").ended(1);
    assert!(wrong.contains("`approval` is what access is called"), "{wrong}");
}
