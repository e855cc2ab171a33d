//! Who may log in changes while a gateway runs: it is in force at once and in the ledger.

use std::fs;

use postern_ledger::{Body, Note, Reader};
use postern_testkit::wait_until;

use crate::{
    raw::{End, Raw},
    served::{PATIENCE, Served},
    support::Support,
};

/// What the ledger says of accounts: who, by whom, what was, what is.
fn changes(support: &Support) -> Vec<[String; 4]> {
    let entries = Reader::open(&support.ledger()).unwrap().map(Result::unwrap);
    let notes = entries.filter_map(|entry| match entry.body {
        Body::Noted(Note::Person { actor, by, was, now }) => {
            Some([actor.to_string(), by.to_string(), was.to_string(), now.to_string()])
        }
        _ => None,
    });
    notes.collect()
}

#[test]
fn who_leaves_is_out_at_once_and_every_change_is_recorded_once() {
    let support = Support::new();
    let mut served = Served::start(&support.bench);
    served.wait_until_open("ana");
    assert_eq!(changes(&support).len(), 5, "those of the start");

    // A leaver with an open session, and one who is put into another role.
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    let mut ben = Raw::connect(served.address, "ben").unwrap();
    support.bench.run("person end ana").yes();
    assert_eq!(ana.query("SELECT 1"), None, "in force when the command ends");
    assert!(matches!(Raw::connect(served.address, "ana"), Err(End::Refused(_))));
    support.bench.run("person role ben metered").yes();
    assert_eq!(ben.query("SELECT 1"), None);
    support.bench.run("person remove cleo").yes();
    let user = &changes(&support)[5][1];
    assert_ne!(user, "unknown");
    let told: Vec<[String; 4]> = changes(&support).split_off(5);
    let who: Vec<&str> = told.iter().map(|change| change[0].as_str()).collect();
    assert_eq!(who, ["ana", "ben", "cleo"]);
    assert!(told.iter().all(|change| change[1] == *user), "{told:?}");
    assert!(!told[0][2].contains("last day") && told[0][3].contains("last day"), "{told:?}");
    assert!(told[1][3].starts_with("role \"metered\""), "{told:?}");
    assert_eq!(told[2][3], "");
    let file = support.bench.read("postern-data/people.toml");
    for line in file.lines().filter_map(|line| line.split_once("$4096:")) {
        assert!(told.iter().flatten().all(|text| !text.contains(&line.1[..8])), "a secret");
    }

    // By hand, and while no gateway runs.
    let edited = file.replace("\"metered\"", "\"agent\"");
    fs::write(support.bench.path("postern-data/people.toml"), &edited).unwrap();
    wait_until(PATIENCE, "the entry", || changes(&support).len() >= 9).unwrap();
    served.terminate();
    assert_eq!(served.ended(), Some(0));
    support.bench.run("person remove dan").yes();
    let mut again = Served::start(&support.bench);
    again.wait_until_open("ben");
    again.terminate();
    assert_eq!(again.ended(), Some(0));
    let told: Vec<[String; 4]> = changes(&support).split_off(8);
    let last = told.last().unwrap();
    assert_eq!([&*last[0], &last[1], &last[3]], ["dan", "unknown", ""]);
    assert!(told.iter().all(|change| change[1] == "unknown"), "{told:?}");
    assert_eq!(told.len(), 3, "mia and ben by hand, dan meanwhile: {told:?}");
}

#[test]
fn a_list_that_can_not_be_used_leaves_the_old_one_in_force() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let file = support.bench.read("postern-data/people.toml");
    fs::write(support.bench.path("postern-data/people.toml"), "[actors.ana]\nrole = 3\n").unwrap();
    served.wait_for("the list of people stays as it was");
    Raw::connect(served.address, "ana").unwrap();
    fs::write(support.bench.path("postern-data/people.toml"), file).unwrap();
    Raw::connect(served.address, "ana").unwrap();
}

#[test]
fn who_has_suspended_somebody_does_not_resume_them() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    support.bench.run("suspend ana --why leaver").yes();
    let refused = support.bench.run("resume ana");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("has suspended `ana`; another person has to"), "{refused:?}");
    let refused = support.bench.run("resume ben");
    assert!(refused.stderr.contains("`ben` is not suspended"), "{refused:?}");
    assert!(matches!(Raw::connect(served.address, "ana"), Err(End::Refused(_))));
}

/// A contractor, a person with a budget of their own, and what both leave of it after a restart.
#[test]
fn budgets_of_people_and_contractors_hold_over_restarts() {
    let support = Support::new();
    let more = "
[[budgets]]
contractors = true
budgets = [{ count = \"clear_subjects\", window = \"1d\", max = 3 }]
[[budgets]]
people = [\"mia\", \"dan\"]
budgets = [{ count = \"clear_subjects\", window = \"30d\", max = 6 }]
";
    support.configure(&(support.configuration("") + more));
    let mia = |served: &Served, customers: std::ops::RangeInclusive<i64>| {
        let mut mia = Raw::connect(served.address, "mia").unwrap();
        let shown = customers.filter(|customer| {
            let sql = format!("SELECT name FROM customers WHERE id = {customer}");
            let answer = mia.query(&sql).unwrap();
            assert!(["", "53400"].contains(&answer.sqlstate()), "{}", answer.sqlstate());
            answer.rows.len() == 1
        });
        shown.count()
    };
    let mut served = Served::start(&support.bench);
    served.wait_until_open("mia");
    assert_eq!(mia(&served, 1..=4), 4);
    served.kill();
    let served = Served::start(&support.bench);
    served.wait_until_open("mia");
    assert_eq!(mia(&served, 1..=20), 6, "her own, not the 30 of her role");

    // The directory, or somebody, says that she works for another company.
    let mut open = Raw::connect(served.address, "mia").unwrap();
    let path = support.bench.path("postern-data/people.toml");
    let people = fs::read_to_string(&path).unwrap();
    let (before, hers) = people.split_once("[actors.mia]").unwrap();
    let hers = hers.replacen("employer = \"own\"", "employer = \"Temps Ltd\"", 1);
    fs::write(&path, format!("{before}[actors.mia]{hers}")).unwrap();
    wait_until(PATIENCE, "the cut", || open.query("SELECT 1").is_none()).unwrap();
    // All that she was shown is paid for, and stays so; nobody new is.
    assert_eq!(mia(&served, 1..=20), 6);
}
