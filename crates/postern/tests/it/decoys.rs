//! Planted customers, from the plan to who opened one.

use postern_ledger::{Body, Note, Reader};
use postern_testkit::wait_until;

use crate::{
    bench::Bench,
    cli::GOOD,
    evidence::bench,
    raw::{DATABASE, Raw},
    served::{PATIENCE, Served},
    support::Support,
};

const PLAN: &str = "decoy plan --count 3 --list support --list partner --locale sv-SE \
                    --mail post.example.org --out plan.json";

fn plan(bench: &Bench) -> serde_json::Value {
    serde_json::from_str(&bench.read("plan.json")).unwrap()
}

fn fields(plan: &serde_json::Value, field: &str) -> Vec<String> {
    let decoys = plan["decoys"].as_array().unwrap().iter();
    decoys.map(|decoy| decoy[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_plan_has_people_whom_nobody_is_and_the_ledger_has_its_hash_alone() {
    let bench = bench();
    let said = bench.run(PLAN).yes();
    assert!(said.starts_with("6 decoys are in `plan.json`; the ledger has their hash"), "{said}");
    let plan = plan(&bench);
    let distinct = |field: &str| {
        let all = fields(&plan, field);
        all.iter().collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(
        (distinct("phone"), distinct("email"), distinct("salt"), distinct("list")),
        (6, 6, 6, 2)
    );
    for (phone, email) in fields(&plan, "phone").iter().zip(fields(&plan, "email")) {
        let number: u32 = phone.strip_prefix("+46 70 1740").unwrap().parse().unwrap();
        assert!((605..=699).contains(&number), "{phone}");
        assert!(email.ends_with("@post.example.org"), "{email}");
    }
    let ledger = bench.run("ledger show --last 1").yes();
    assert!(ledger.contains("committed to 6 planted customers, "), "{ledger}");
    assert!(bench.run(PLAN).ended(2).contains("a plan is not overwritten"));
    let mode = std::fs::metadata(bench.path("plan.json")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
}

#[test]
fn plans_that_can_not_be_are_refused_before_the_ledger_has_them() {
    let bench = bench();
    let before = bench.run("ledger verify --json").yes();
    for (change, what) in [
        (("sv-SE", "xx-XX"), "no names are known of `xx-XX`"),
        (("post.example.org", "a@b.org"), "`a@b.org` is no domain"),
        (("--list partner", "--list support"), "a list is named twice"),
        (("--count 3", "--count 0"), "from one to 10000 decoys"),
        (("--count 3", "--count 60"), "there are 95 numbers for 120 decoys"),
    ] {
        let refused = bench.run(&PLAN.replace(change.0, change.1)).ended(2);
        assert!(refused.contains(what), "{refused}");
    }
    assert_eq!(bench.run("ledger verify --json").yes(), before);
    let bench = bench.file("phones", "+49 30 1\n+49 30 2\n\n+49 30 3\n");
    let own = PLAN.replace(" --list partner", " --phones phones");
    bench.run(&own).yes();
    let mut phones = fields(&plan(&bench), "phone");
    phones.sort();
    assert_eq!(phones, ["+49 30 1", "+49 30 2", "+49 30 3"]);
}

/// A support database whose gateway runs, with a plan.
fn planned(support: &Support) -> String {
    support.bench.run(&PLAN.replace(" --list partner", "")).yes();
    let url = support.postgres.url_of(DATABASE);
    format!(
        "decoy plant plan.json --admin {url} --table public.customers --name name --email email \
         --set plan=basic --set id="
    )
}

#[test]
fn who_opens_a_planted_customer_is_a_finding_without_a_restart() {
    let support = Support::new();
    let bench = &support.bench;
    support
        .postgres
        .psql_in(
            DATABASE,
            "CREATE SEQUENCE n START 9001;
        ALTER TABLE customers ALTER id SET DEFAULT nextval('n'); CREATE SCHEMA out;",
        )
        .unwrap();
    let served = Served::start(bench);
    served.wait_until_open("ana");
    let plant = planned(&support).replace(" --set id=", " --view out.mailable");
    let said = bench.run(&plant).yes();
    assert_eq!(said, "3 decoys are planted; who opens one is a finding\n");
    assert_eq!(fields(&plan(bench), "key"), ["9001", "9002", "9003"]);
    assert!(bench.run(&plant).ended(2).contains("this plan is planted already"));
    let count = |sql: &str| support.postgres.psql_in(DATABASE, sql).unwrap().trim().to_owned();
    assert_eq!(count("SELECT count(*) FROM customers"), "403");
    assert_eq!(count("SELECT count(*) FROM out.mailable"), "400");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    ana.query("SELECT name FROM customers WHERE id = 9002");
    let found = || bench.run("cases list --json").yes().contains("decoy_read");
    wait_until(PATIENCE, "a read of a decoy is a case", found).unwrap();
    let status = bench.run("decoy status").yes();
    assert!(status.starts_with("3 planted customers, 0 of them were shown in clear\n"), "{status}");
    assert!(status.contains("9002: in clear to 0 accounts, masked to 1, contacted 0 times"));

    let hit = bench.run("decoy hit 9003 --how mail --why newsletter").yes();
    assert!(hit.starts_with("recorded; it is the finding of entry "), "{hit}");
    let listed = bench.run("cases list --json").yes();
    assert!(
        listed.contains("decoy_hit") && listed.contains("\"severity\":\"critical\""),
        "{listed}"
    );
    assert!(bench.run("decoy hit 17 --how mail --why x").ended(1).contains("is not a planted one"));
    bench.run("ledger verify").ended(0);
}

#[test]
fn what_can_not_be_planted_leaves_nothing() {
    let support = Support::new();
    let bench = &support.bench;
    let plant = planned(&support);
    let count = |sql: &str| support.postgres.psql_in(DATABASE, sql).unwrap().trim().to_owned();
    let refused = |command: &str, what: &str| {
        let said = bench.run(command).ended(2);
        assert!(said.contains(what), "{said}");
        assert_eq!(count("SELECT count(*) FROM customers"), "400");
    };
    // The second one has the first one's key.
    refused(&format!("{plant}9001"), "a decoy can't be put into the table");
    refused(
        &plant.replace("public.customers", "public.nobody"),
        "is not one of the protected tables",
    );
    let email = fields(&plan(bench), "email").remove(1);
    let taken = format!("UPDATE customers SET email = '{email}' WHERE id = 7");
    support.postgres.psql_in(DATABASE, &taken).unwrap();
    refused(&format!("{plant}9001"), "a customer has the `email` of a decoy");
    let changed = bench.read("plan.json").replace("post.example.org", "mail.example.org");
    std::fs::write(bench.path("plan.json"), changed).unwrap();
    refused(&format!("{plant}9001"), "the ledger has no hash of this plan");
    let plans = Reader::open(&support.ledger()).unwrap();
    let plans =
        plans.filter(|entry| matches!(entry.as_ref().unwrap().body, Body::Noted(Note::Planted(_))));
    assert_eq!(plans.count(), 1, "nothing was planted, so no entry says so");
}

#[test]
fn a_contact_of_a_decoy_is_evidence_in_a_trace() {
    let bench = bench();
    let watch = "\n[watch]\ndecoys = [\"50000\", \"50001\", \"50002\"]\n";
    let configuration = GOOD.split("\n[watch]").next().unwrap().to_owned() + watch;
    let bench = bench.file("postern.toml", &configuration);
    for customer in 50_000..50_003 {
        bench.run(&format!("decoy hit {customer} --how mail --why letter")).yes();
    }
    let traced = bench.run("trace --json").yes();
    assert!(traced.contains(r#""suspects":[{"actor":"agent13""#), "{traced}");
    assert!(traced.contains(r#""list":3"#), "{traced}");
    assert!(!traced.contains(r#""verdict":"attributed""#), "three are too few to name: {traced}");
}
