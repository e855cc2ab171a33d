use std::{
    fs,
    path::Path,
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use postern_ledger::{Draft, Ledger, Options, Retention};
use postern_model::{Actor, Clock, Subject, Timestamp};

use crate::{bench::Bench, cli::GOOD, ledger::disclosure, support::Support};

/// A clock that stands.
#[derive(Debug)]
struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp(self.0 * 86_400_000_000)
    }
}

fn of(subject: &str) -> Draft {
    let mut draft = disclosure();
    draft.rows[0].touches[0].subject = Subject::new(subject);
    draft
}

/// Shows customers on that day of 1970.
fn record(folder: &Path, day: i64, subjects: &[&str]) {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention = Some(Retention { epoch: days(30), keep: days(365) });
    let options = Options::new("localhost/postern", Arc::new(At(day))).small();
    let options = Options { retention, ..options };
    if !folder.exists() {
        Ledger::create(folder, &options).unwrap();
    }
    let ledger = Ledger::open(folder, options, Arc::new(|_| {})).unwrap();
    let (sent, done) = sync_channel(1);
    let told = sent.clone();
    ledger.retain(Actor::new("root"), Box::new(move |done| told.send(done.is_ok()).unwrap()));
    assert!(done.recv().unwrap());
    for subject in subjects {
        let told = sent.clone();
        let recorded = Box::new(move |done: Result<_, _>| told.send(done.is_ok()).unwrap());
        ledger.record(of(subject), recorded);
        assert!(done.recv().unwrap());
    }
    ledger.close().unwrap();
}

/// Two epochs in 1970, with one customer in both.
fn bench() -> Bench {
    let retention = "\n[ledger]\nretention = \"365d\"\nepoch = \"30d\"\n";
    let bench = Bench::new().file("postern.toml", &format!("{GOOD}{retention}"));
    fs::create_dir_all(bench.path("postern-data")).unwrap();
    let folder = bench.path("postern-data/ledger");
    record(&folder, 0, &["1201", "1202"]);
    record(&folder, 40, &["1202"]);
    bench
}

#[test]
fn what_is_past_retention_is_gone_and_everything_still_holds() {
    let bench = bench();
    fs::copy(bench.path("postern-data/ledger/checkpoint"), bench.path("before")).unwrap();
    bench.run("ledger backup backup").yes();
    assert!(bench.run("ledger who-saw 1201").yes().contains("customer 1201, clear email"));
    insta::assert_snapshot!(bench.run("ledger retain").yes(), @"who was seen before 1970-02-10T00:00:00.000000Z is gone now");
    assert!(!bench.path("postern-data/ledger/epoch-00001").exists());
    insta::assert_snapshot!(bench.run("ledger retain").yes(), @"who was seen before 1970-02-10T00:00:00.000000Z was gone already");

    // Who asks is told what can't be said any more, with the index and without it.
    for how in ["", " --scan"] {
        let ended = bench.run(&format!("ledger who-saw 1201{how}"));
        assert_eq!(ended.yes(), "");
        let said = bench.run(&format!("ledger who-saw 1201{how}")).stderr;
        insta::allow_duplicates! { insta::assert_snapshot!(said, @r"
            hint: there is no such entry
            warning: before 1970-02-10T00:00:00.000000Z the ledger is past retention: who was seen then can't be said any more
        "); }
        let seen = bench.run(&format!("ledger who-saw 1202{how}")).yes();
        assert_eq!(seen.lines().count(), 1, "{seen}");
        assert!(seen.contains("1970-02-10T00:00:00"), "{seen}");
    }
    // What came later is whole.
    let said = bench.run("ledger who-saw 1202 --since 1970-02-10T00:00:00Z").stderr;
    assert!(!said.contains("past retention"), "{said}");
    let seen = bench.run("ledger seen-by agent01").yes();
    assert!(seen.contains("customer erased 0, clear email"), "{seen}");

    let said = bench.run("ledger verify --against before").yes();
    assert!(said.contains("agrees"), "{said}");
    bench.run("ledger prove 2 --out entry.tlog-proof").yes();
    bench.run("ledger check-proof entry.tlog-proof --key postern-data/ledger/key.pub").yes();
    // A copy has what it had until it is brought up to date.
    assert!(bench.path("backup/epoch-00001").exists());
    bench.run("ledger backup backup").yes();
    assert!(!bench.path("backup/epoch-00001").exists());
    let seen = bench.run("ledger who-saw 1201 --ledger backup").yes();
    assert_eq!(seen, "");
    bench.run("ledger verify --ledger backup").yes();
}

#[test]
fn without_retention_nothing_is_forgotten() {
    let bench = crate::ledger::bench();
    insta::assert_snapshot!(bench.run("ledger retain").ended(1), @r"
    error: the configuration sets no retention: names are kept
    hint: set `retention` in `[ledger]`
    ");
    assert!(bench.run("ledger who-saw 1201").yes().contains("customer 1201"));
}

#[test]
fn a_retention_shorter_than_budgets_is_refused() {
    let short = "\n[ledger]\nretention = \"30d\"\nepoch = \"1h\"\n";
    let bench = Bench::new().file("postern.toml", &format!("{GOOD}{short}"));
    insta::assert_snapshot!(bench.run("check-config").ended(1), @r#"
    error: budgets look back further than `30d`
      ╭─[postern.toml:44:13]
     43 │ [ledger]
     44 │ retention = "30d"
      ·             ──┬──
      ·               ╰── here
     45 │ epoch = "1h"
      ╰────
    hint: write `31d` or more
    error: an epoch of `1h` is too short or too long
      ╭─[postern.toml:45:9]
     44 │ retention = "30d"
     45 │ epoch = "1h"
      ·         ──┬─
      ·           ╰── here
      ╰────
    hint: write `1d` to `366d`
    error: `postern.toml` can't be used: 2 problems
    "#);
}

#[test]
fn a_gateway_begins_an_epoch_and_forgets_when_asked() {
    let support = Support::new();
    let retention = "\n[ledger]\nretention = \"365d\"\n";
    support.configure(&(support.configuration("") + retention));
    let served = crate::served::Served::start(&support.bench);
    served.wait_until_open(crate::support::MIA);
    let key = support.bench.path("postern-data/ledger/epoch-00001");
    assert!(key.exists());
    let said = support.bench.run("ledger retain").yes();
    assert_eq!(said, "nothing is past retention yet\n");
    let mut mia = crate::raw::Raw::connect(served.address, crate::support::MIA).unwrap();
    mia.query("SELECT email FROM customers WHERE id = 3").unwrap();
    let seen = support.bench.run("ledger who-saw 3").yes();
    assert_eq!(seen.lines().count(), 1, "{seen}");
    support.bench.run("ledger verify").yes();
}
