//! Witnesses as processes of their own, asked by the binary.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    bench::Bench,
    ledger,
    metrics::{self, Metrics},
    raw::Raw,
    served::{PATIENCE, Served},
    support::{MIA, Support},
};

/// A running `postern witness`; killed when it is dropped.
struct Running {
    child: Child,
    url: String,
    key: String,
}

impl Running {
    fn start(bench: &Bench, number: u8, log: &Path) -> Self {
        Self::start_at(bench, number, log, "127.0.0.1:0")
    }

    fn start_at(bench: &Bench, number: u8, log: &Path, listen: &str) -> Self {
        let folder = bench.path(&format!("witness{number}"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_postern"))
            .arg("witness")
            .arg("--dir")
            .arg(folder)
            .args(["--name", &format!("witness.example/w{number}")])
            .args(["--listen", listen, "--log"])
            .arg(log)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |start: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(start).unwrap().to_owned()
        };
        let (url, key) = (after("listening on "), after("key "));
        Self { child, url, key }
    }

    fn option(&self) -> String {
        format!("{} {}", self.url, self.key)
    }

    /// `HOST:PORT`.
    fn address(&self) -> String {
        self.url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).unwrap();
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the ledger cosigned by these witnesses, all of them; what it said and how it ended.
fn cosign(bench: &Bench, folder: &str, witnesses: &[&Running]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.current_dir(bench.path("")).args(["ledger", "cosign", "--ledger", folder]);
    command.args(["--enough", &witnesses.len().to_string()]);
    for witness in witnesses {
        command.args(["--witness", &witness.option()]);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (said.concat(), output.status.code())
}

#[test]
fn a_forked_ledger_is_cosigned_by_nobody_who_saw_the_other_and_a_killed_witness_remembers() {
    let bench = ledger::bench();
    let own = "postern-data/ledger";
    let key = bench.path(own).join("key.pub");
    let (one, two) = (Running::start(&bench, 1, &key), Running::start(&bench, 2, &key));
    let both = [&one, &two];
    let said = cosign(&bench, own, &both);
    assert_eq!(said, ("witnessed up to 4 entries\n".to_owned(), Some(0)));
    readers_check_who_has_seen_it(&bench, &both.map(|witness| &*witness.key));
    copy(&bench.path(own), &bench.path("fork"));
    // Both grow on; each witness sees one of them.
    ledger::grow(&bench.path(own), "leaver");
    ledger::grow(&bench.path("fork"), "another");
    assert_eq!(cosign(&bench, own, &[&one]).0, "witnessed up to 5 entries\n");
    assert_eq!(cosign(&bench, "fork", &[&two]).0, "witnessed up to 5 entries\n");
    one.kill();
    let one = Running::start(&bench, 1, &key);
    for (folder, other) in [(own, &two), ("fork", &one)] {
        let (said, code) = cosign(&bench, folder, &[other]);
        assert!(said.contains("has seen another history of this ledger"), "{said}");
        assert_eq!(code, Some(1));
    }
    // Put back to what it was, and begun again from there.
    fs::remove_dir_all(bench.path(own)).unwrap();
    let old = ledger::bench();
    let other = Running::start(&bench, 3, &old.path(own).join("key.pub"));
    copy(&old.path(own), &bench.path("older"));
    cosign(&bench, old.path(own).to_str().unwrap(), &[&other]);
    copy(&old.path(own), &bench.path("witnessed"));
    fs::copy(old.path(own).join("witnessed"), bench.path("witnessed/witnessed")).unwrap();
    ledger::grow(&old.path(own), "leaver");
    cosign(&bench, old.path(own).to_str().unwrap(), &[&other]);
    // Also where all that there is was cosigned once.
    for folder in ["older", "witnessed"] {
        let (said, code) = cosign(&bench, folder, &[&other]);
        assert!(said.contains("has seen 5 entries and this ledger has 4"), "{said}");
        assert_eq!(code, Some(1));
    }
}

/// Both verifiers ask for the cosignatures of the witnesses that they are told of.
fn readers_check_who_has_seen_it(bench: &Bench, [one, two]: &[&str; 2]) {
    let own = "postern-data/ledger";
    let verified = |witnesses: &str| {
        let said = bench.run(&format!("ledger verify --ledger {own} {witnesses}"));
        let second = python_verifier(bench, &format!("{own} {witnesses}"));
        (said, second)
    };
    let both = format!("--witness {one} --witness {two} --enough 2");
    let (said, second) = verified(&both);
    assert!(said.yes().contains("enough witnesses have seen the first 4"));
    assert!(second.is_none_or(|(said, code)| code == 0 && said.contains("\"witnessed\": 4")));
    let refuse = |witnesses: &str, why: &str| {
        let (said, second) = verified(witnesses);
        let said = said.ended(1);
        assert!(said.contains(why), "{said}");
        assert!(second.is_none_or(|(said, code)| code == 1 && said.contains("are needed")));
    };
    let few = "is not cosigned by enough of the witnesses";
    for (odd, why) in [
        (format!("--witness {one} --witness {one}"), "are one key"),
        (format!("--witness {one} --enough 2"), "2 of 1 witnesses can't be enough"),
        (format!("--witness {one} --enough 0"), "0 of 1 witnesses can't be enough"),
    ] {
        let (said, second) = verified(&odd);
        assert!(said.ended(2).contains(why));
        assert!(second.is_none_or(|(said, code)| code == 2 && said.contains(why)));
    }
    let path = bench.path(own).join("witnessed");
    let whole = fs::read_to_string(&path).unwrap();
    let without = |name: &str| {
        let lines = whole.lines().filter(|line| !line.contains(name));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    fs::write(&path, without("witness.example/w2")).unwrap();
    refuse(&both, few);
    fs::write(&path, without("witness.example/")).unwrap();
    bench.run("ledger verify").yes();
    refuse(&both, few);
    fs::write(&path, whole).unwrap();
    verified(&both).0.yes();
}

#[test]
fn proofs_and_tiles_carry_what_witnesses_signed_and_readers_count_them() {
    let bench = ledger::bench();
    let own = "postern-data/ledger";
    let key = bench.path(own).join("key.pub");
    let (one, two) = (Running::start(&bench, 1, &key), Running::start(&bench, 2, &key));
    let said = bench.run("ledger prove 2 --witnessed").ended(1);
    assert!(said.contains("witnesses have seen 0 entries"), "{said}");
    cosign(&bench, own, &[&one, &two]);
    let since = "--since 1970-01-01T00:00:01Z";
    bench.run("ledger prove 2 --out entry").yes();
    bench.run(&format!("ledger prove --range agent01 {since} --witnessed --out range")).yes();
    let both = format!("--witness {} --witness {}", one.key, two.key);
    let trusted = fs::read_to_string(&key).unwrap();
    // Either verifier, of the entry and of the range.
    let check = |witnesses: &str| {
        ["entry", "range"].map(|proof| {
            let said =
                bench.run(&format!("ledger check-proof {proof} --key {own}/key.pub {witnesses}"));
            let option = if proof == "entry" { "--proof" } else { "--range" };
            let arguments = format!("{option} {proof} --key {} {witnesses}", trusted.trim_end());
            (said, python_verifier(&bench, &arguments))
        })
    };
    for witnesses in ["", &both, &format!("{both} --enough 2")] {
        for (said, second) in check(witnesses) {
            let said = said.yes();
            let seen = said.contains("enough witnesses had seen");
            assert_eq!(seen, !witnesses.is_empty(), "{said}");
            assert!(second.is_none_or(|(_, code)| code == 0));
        }
    }
    let stranger = Running::start(&bench, 3, &key);
    for witnesses in [
        format!("--witness {}", stranger.key),
        format!("{both} --witness {} --enough 3", stranger.key),
    ] {
        for (said, second) in check(&witnesses) {
            let said = said.ended(1);
            assert!(said.contains("cosigned by enough of the witnesses"), "{said}");
            assert!(second.is_none_or(|(said, code)| code == 1 && said.contains("are needed")));
        }
    }
    let json = bench.run(&format!("ledger check-proof entry --key {own}/key.pub {both} --json"));
    assert!(json.yes().contains("\"signed\":4,\"witnessed\":\"20"));
    // That it was proved is an entry, which no witness has seen.
    let said = bench.run("ledger prove 4 --out unseen").ended(0);
    assert!(said.contains("the proof has no cosignatures"), "{said}");
    bench.run(&format!("ledger check-proof unseen --key {own}/key.pub")).yes();
    bench.run(&format!("ledger check-proof unseen --key {own}/key.pub {both}")).ended(1);
    // So it is with what is published.
    let witnessed = fs::read(bench.path(own).join("witnessed")).unwrap();
    let said = bench.run("ledger publish tiles").ended(0);
    assert!(said.contains("`tiles` has 4 entries"), "{said}");
    assert!(said.contains("entries that witnesses have not seen"), "{said}");
    assert_eq!(fs::read(bench.path("tiles/checkpoint")).unwrap(), witnessed);
    let said = bench.run("ledger publish tiles --newest").yes();
    assert!(said.contains("`tiles` has 9 entries"), "{said}");
}

/// What the second verifier says, and how it ends; `None` where it can't be run.
fn python_verifier(bench: &Bench, arguments: &str) -> Option<(String, i32)> {
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../verifier");
    let output = Command::new(crate::evidence::python()?)
        .arg(verifier)
        .args(arguments.split_whitespace())
        .current_dir(bench.path("."))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Some((said.concat(), output.status.code().unwrap()))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("segments")).unwrap();
    for name in ["key", "key.pub", "checkpoint", "dictionary.log", "segments/0000000000.seg"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn a_gateway_has_its_ledger_witnessed_and_says_how_far() {
    let support = Support::new();
    let key = support.bench.path("postern-data/ledger/key.pub");
    let witness = Running::start(&support.bench, 1, &key);
    let section = |enough: u8| {
        format!(
            "[witness]\nwitnesses = [\"{}\"]\nenough = {enough}\nevery = \"50ms\"\n",
            witness.option()
        )
    };
    support.configure(&(support.configuration("") + &section(2)));
    let said = support.bench.run("check-config").ended(1);
    assert!(said.contains("2 of 1 witnesses can't be enough"), "{said}");
    support.configure(&(support.configuration("") + &section(1) + metrics::SECTION));
    let served = Served::start(&support.bench);
    served.wait_until_open(MIA);
    let figures = Metrics::of(&served);
    Raw::connect(served.address, MIA).unwrap();
    let mut status = String::new();
    let is_witnessed = || {
        status = support.bench.run("status --json").yes();
        let number = |name: &str| {
            let (_, rest) = status.split_once(&format!("\"{name}\":")).unwrap();
            rest.split([',', '}']).next().unwrap().to_owned()
        };
        number("entries") == number("witnessed")
    };
    postern_testkit::wait_until(PATIENCE, "all is witnessed", is_witnessed).unwrap();
    assert!(status.contains("\"unwitnessed_since\":null,\"witness_troubles\":[]"), "{status}");
    let since = "postern_ledger_unwitnessed_since_timestamp_seconds";
    let all_are_seen = || {
        let now = figures.fetch();
        let seen = now["postern_ledger_witnessed_entries"];
        seen > 0.0 && seen == now["postern_ledger_entries"] && !now.contains_key(since)
    };
    postern_testkit::wait_until(PATIENCE, "the figures say so", all_are_seen).unwrap();
    // Away, it is missed.
    witness.kill();
    let mut mia = Raw::connect(served.address, MIA).unwrap();
    mia.query("SELECT email FROM customers WHERE id = 3").unwrap();
    let is_missed = || {
        status = support.bench.run("status").yes();
        status.contains("unwitnessed since") && status.contains("no witness answers")
    };
    postern_testkit::wait_until(PATIENCE, "the witness is missed", is_missed).unwrap();
    let now = figures.fetch();
    assert!(now["postern_ledger_unwitnessed_entries"] > 0.0, "{now:?}");
    assert_eq!(now["postern_ledger_witness_troubles"], 1.0);
    assert!(now[since] > 1.7e9, "{now:?}");
    support.bench.run("ledger verify").yes();
}

/// How many customers' rows came, or with which SQLSTATE it ended.
fn list(served: &Served, up_to: u32) -> Result<usize, String> {
    let mut mia = Raw::connect(served.address, MIA).unwrap();
    let sql = format!("SELECT email FROM customers WHERE id <= {up_to}");
    let answer = mia.query(&sql).unwrap();
    match answer.error {
        None => Ok(answer.rows.len()),
        Some(report) => {
            assert!(answer.rows.is_empty(), "{:?}", answer.rows);
            Err(report.sqlstate)
        }
    }
}

#[test]
fn a_large_result_waits_for_a_witness_that_is_slow_away_and_back() {
    let support = Support::new();
    let key = support.bench.path("postern-data/ledger/key.pub");
    let witness = Running::start(&support.bench, 1, &key);
    // Asked for nothing but what waits.
    let section = format!(
        "[witness]\nwitnesses = [\"{}\"]\nevery = \"1h\"\nunwitnessed_max = 2\npatience = \"5s\"\n",
        witness.option()
    );
    support.configure(&(support.configuration("") + &section));
    let served = Served::start(&support.bench);
    served.wait_until_open(MIA);
    assert_eq!(list(&served, 1), Ok(1));
    assert_eq!(list(&served, 8), Ok(8));

    // Slow: nothing comes until it has answered.
    witness.signal(rustix::process::Signal::STOP);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| list(&served, 8));
        let is_waiting = || {
            let status = support.bench.run("status").yes();
            status.contains("waiting     1 results for the witnesses")
        };
        postern_testkit::wait_until(PATIENCE, "the result waits", is_waiting).unwrap();
        assert!(!waits.is_finished());
        witness.signal(rustix::process::Signal::CONT);
        assert_eq!(waits.join().unwrap(), Ok(8));
    });

    // Away: a large result is refused in the end, a small one is not.
    let address = witness.address();
    witness.kill();
    assert_eq!(list(&served, 8), Err("58030".to_owned()));
    assert_eq!(list(&served, 2), Ok(2));
    // All that may leave has left.
    assert_eq!(list(&served, 1), Err("58030".to_owned()));

    let _witness = Running::start_at(&support.bench, 1, &key, &address);
    assert_eq!(list(&served, 8), Ok(8));
    // Both were recorded that did not leave.
    let seen = support.bench.run("ledger who-saw 1").yes();
    assert_eq!(seen.lines().count(), 7, "{seen}");
    support.bench.run("ledger verify").yes();
}

/// A gateway with a witness, and what of it is kept elsewhere.
struct House {
    support: Support,
    key: std::path::PathBuf,
}

impl House {
    fn new() -> (Self, Running) {
        let support = Support::new();
        let bench = &support.bench;
        for name in ["key", "key.pub"] {
            fs::copy(bench.path("postern-data/ledger").join(name), bench.path(name)).unwrap();
        }
        let key = bench.path("key.pub");
        let witness = Running::start(bench, 1, &key);
        let section =
            format!("[witness]\nwitnesses = [\"{}\"]\nevery = \"50ms\"\n", witness.option());
        support.configure(&(support.configuration("") + &section));
        (Self { support, key }, witness)
    }

    fn read_some(&self, served: &Served) {
        let mut mia = Raw::connect(served.address, MIA).unwrap();
        for customer in 1..4 {
            mia.query(&format!("SELECT email FROM customers WHERE id = {customer}")).unwrap();
        }
    }

    /// The witness's folder has the newest checkpoint of which anything is known.
    fn newest(&self) -> std::path::PathBuf {
        let files = fs::read_dir(self.support.bench.path("witness1")).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        let is_newest = |path: &std::path::PathBuf| {
            path.file_name().unwrap().to_str().unwrap().starts_with("newest-")
        };
        files.find(is_newest).unwrap()
    }

    fn refused_to_start(&self) {
        let run = self.support.bench.run("serve");
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains("it was put back"), "{run:?}");
        assert!(run.stderr.contains("--with-loss"), "{run:?}");
    }
}

#[test]
fn a_ledger_that_was_put_back_goes_on_only_with_its_loss_recorded_and_accepted() {
    let (house, witness) = House::new();
    let bench = &house.support.bench;
    let mut served = Served::start(bench);
    served.wait_until_open(MIA);
    house.read_some(&served);
    bench.run("ledger backup backup").yes();
    house.read_some(&served);
    let witnessed = || {
        let status = bench.run("status --json").yes();
        status.contains("\"unwitnessed_since\":null")
    };
    postern_testkit::wait_until(PATIENCE, "all is witnessed", witnessed).unwrap();
    served.kill();
    // The disk breaks. What is left: a backup, the key in a safe, and what the witness has seen.
    fs::remove_dir_all(bench.path("postern-data/ledger")).unwrap();
    bench.run("ledger restore backup --key key.pub --signing-key key").yes();
    house.refused_to_start();

    // By the witness's checkpoint it is known what is lost.
    fs::copy(house.newest(), bench.path("newest")).unwrap();
    fs::remove_dir_all(bench.path("postern-data/ledger")).unwrap();
    let restore = "ledger restore backup --key key.pub --signing-key key --against newest";
    let said = bench.run(restore).ended(1);
    assert!(said.contains("are lost with it"), "{said}");
    let said = bench.run(&format!("{restore} --with-loss --why fire")).ended(0);
    let entry = said.split_once("postern ledger prove ").unwrap().1.split('`').next().unwrap();
    // The witness has to be told, too.
    house.refused_to_start();

    let address = witness.address();
    witness.kill();
    bench.run(&format!("ledger prove {entry} --out loss")).yes();
    bench.run("ledger prove 0 --out other").yes();
    let accept = "witness --dir witness1 --name witness.example/w1 --log key.pub --accept-loss";
    let said = bench.run(&format!("{accept} other")).ended(1);
    assert!(said.contains("no entry that says what was lost"), "{said}");
    let said = bench.run(&format!("{accept} loss")).ended(0);
    assert!(said.contains("what continues that is cosigned from now on"), "{said}");
    // Once only: it is not what was seen any more.
    bench.run(&format!("{accept} loss")).ended(1);
    let _witness = Running::start_at(bench, 1, &house.key, &address);

    let served = Served::start(bench);
    served.wait_until_open(MIA);
    house.read_some(&served);
    postern_testkit::wait_until(PATIENCE, "all is witnessed", witnessed).unwrap();
    let shown = bench.run("ledger show").yes();
    assert!(shown.contains("are lost: fire"), "{shown}");
    bench.run("ledger verify").yes();
    // Who kept the old checkpoint sees that the history is another.
    let said = bench.run("ledger verify --against newest").ended(1);
    assert!(said.contains("kept elsewhere"), "{said}");
}

#[test]
fn a_gateway_that_learns_later_that_its_ledger_was_put_back_discloses_nothing_more() {
    let (house, witness) = House::new();
    let bench = &house.support.bench;
    let mut served = Served::start(bench);
    served.wait_until_open(MIA);
    bench.run("ledger backup backup").yes();
    house.read_some(&served);
    let witnessed = || bench.run("status --json").yes().contains("\"unwitnessed_since\":null");
    postern_testkit::wait_until(PATIENCE, "all is witnessed", witnessed).unwrap();
    served.kill();
    fs::remove_dir_all(bench.path("postern-data/ledger")).unwrap();
    bench.run("ledger restore backup --key key.pub --signing-key key").yes();
    // The witness is away when it starts.
    let address = witness.address();
    witness.kill();
    let served = Served::start(bench);
    served.wait_until_open(MIA);
    assert_eq!(list(&served, 2), Ok(2));
    let _witness = Running::start_at(bench, 1, &house.key, &address);
    let is_closed = || list(&served, 2) == Err("58030".to_owned());
    postern_testkit::wait_until(PATIENCE, "it discloses nothing", is_closed).unwrap();
    let status = bench.run("status").yes();
    assert!(status.contains("the ledger was put back or forked"), "{status}");
    // All else goes on.
    let mut mia = Raw::connect(served.address, MIA).unwrap();
    assert_eq!(mia.query("SELECT 1").unwrap().rows.len(), 1);
}
