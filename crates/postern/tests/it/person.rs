use std::os::unix::fs::PermissionsExt as _;

use crate::{bench::Bench, cli::GOOD};

fn bench() -> Bench {
    Bench::new().file("postern.toml", GOOD).file("postern-data/people.toml", "")
}

#[test]
fn a_person_is_added_listed_and_removed_and_no_password_is_kept() {
    let bench = bench();
    let add = |arguments: &str| bench.run_with(arguments, "correct horse\n");
    let added = add("person add agent01 --role agent --password-stdin");
    assert_eq!(added.yes(), "agent01 may log in\n");
    add("person add agent02 --role agent --employer Acme --ends 2030-01-31 --password-stdin").yes();

    let named = bench.run("person add agent09 --role agent --no-password").yes();
    assert_eq!(named, "agent09 may be named by an application\n");
    assert!(bench.run("person list --json").yes().contains(
        "\"agent09\",\"role\":\"agent\",\"employer\":\"own\",\"ends\":null,\"password\":false"
    ));
    bench.run("person remove agent09").yes();

    insta::assert_snapshot!(bench.run("person list").yes(), @r#"
    actor     role    employer   last day
    agent01   agent   own
    agent02   agent   Acme       2030-01-31
    "#);
    insta::assert_snapshot!(bench.run("person list --json").yes(), @r#"
    {"version":1,"actor":"agent01","role":"agent","employer":"own","ends":null,"password":true,"active":true}
    {"version":1,"actor":"agent02","role":"agent","employer":"Acme","ends":"2030-01-31","password":true,"active":true}
    "#);
    let file = bench.read("postern-data/people.toml");
    assert!(file.contains("SCRAM-SHA-256$") && !file.contains("correct horse"), "{file}");
    let inactive = file.replacen("role = \"agent\"", "role = \"agent\"\nactive = false", 1);
    std::fs::write(bench.path("postern-data/people.toml"), inactive).unwrap();
    assert!(bench.run("person list").yes().contains("agent01   agent   own        not active\n"));
    std::fs::write(bench.path("postern-data/people.toml"), &file).unwrap();
    let mode = bench.path("postern-data/people.toml").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let ended = bench.run("person end agent02 --on 2999-01-31").yes();
    assert_eq!(ended, "agent02 can log in up to the end of 2999-01-31, in UTC\n");
    assert_eq!(bench.run("person end agent01").yes(), "agent01 can no longer log in\n");
    assert_eq!(bench.run("person role agent01 dba").yes(), "agent01 has the role dba\n");
    assert_eq!(bench.run("person role agent03 dba").ended(1), "there is no account `agent03`\n");
    assert_eq!(bench.run("person end agent03").ended(1), "there is no account `agent03`\n");
    let listed = bench.run("person list --json").yes();
    let role = "{\"version\":1,\"actor\":\"agent01\",\"role\":\"dba\",";
    assert!(listed.starts_with(role) && listed.contains("\"ends\":\"2999-01-31\""), "{listed}");
    let unknown = bench.run("person role agent01 boss").ended(2);
    insta::assert_snapshot!(unknown, @"error: `postern.toml` has no role `boss`; it has: agent, dba");

    assert_eq!(bench.run("person remove agent02").yes(), "agent02 can no longer log in\n");
    assert_eq!(bench.run("person remove agent02").ended(1), "there is no account `agent02`\n");
    assert_eq!(bench.run("person list").yes().lines().count(), 2);
}

#[test]
fn a_person_who_could_not_log_in_is_not_added() {
    let bench = bench();
    let refused = |arguments: &str, password: &str| {
        bench.run_with(&format!("person add {arguments} --password-stdin"), password).ended(2)
    };
    insta::assert_snapshot!(refused("agent01 --role boss", "correct horse"), @"error: `postern.toml` has no role `boss`; it has: agent, dba");
    insta::assert_snapshot!(refused("agent01 --role agent", "short\n"), @"error: the password has fewer than 8 characters");
    insta::assert_snapshot!(refused("agent01 --role agent --ends soon", "correct horse"), @"error: `soon` is not a date; write it like 2026-12-31");
    let asked = bench.run("person add agent01 --role agent").ended(2);
    insta::assert_snapshot!(asked, @"error: nobody to ask for the password; give it with --password-stdin");
    assert_eq!(bench.read("postern-data/people.toml"), "");
    bench.run_with("person add agent01 --role agent --password-stdin", "correct horse").yes();
    insta::assert_snapshot!(refused("agent01 --role agent", "correct horse"), @"error: there is an account `agent01` already");
}

#[test]
fn a_people_file_that_can_not_be_read_is_left_alone() {
    let bench = bench().file("postern-data/people.toml", "[agent01]\nrole = 3\n");
    let add = "person add agent02 --role agent --password-stdin";
    insta::assert_snapshot!(bench.run_with(add, "correct horse").ended(2), @"error: `DIR/postern-data/people.toml` can't be used: line 1: unknown field `agent01`, expected `actors`");
    assert_eq!(bench.read("postern-data/people.toml"), "[agent01]\nrole = 3\n");
}
