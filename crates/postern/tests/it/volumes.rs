//! Ledgers over several volumes, and on media that take no writing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, mpsc::sync_channel},
};

use postern_ledger::{Ledger, Options, origin};
use postern_model::{Clock, Timestamp};

use crate::{bench::Bench, cli::GOOD, ledger::disclosure, served::Served, support::Support};

/// A clock that stands.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_764_028_800_000_000)
    }
}

/// Makes a ledger in which so much is recorded, in segments so small, that it takes several.
fn make(folder: &Path, origin: &str) {
    let options = Options { segment_bytes: 1000, ..Options::new(origin, Arc::new(Still)) };
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    Ledger::create(folder, &options).unwrap();
    let ledger = Ledger::open(folder, options, Arc::new(|_| {})).unwrap();
    for _ in 0..40 {
        let (sent, done) = sync_channel(1);
        ledger.record(disclosure(), Box::new(move |told| sent.send(told.is_ok()).unwrap()));
        assert!(done.recv().unwrap());
    }
    ledger.close().unwrap();
}

fn links(ledger: &Path) -> usize {
    let files = fs::read_dir(ledger.join("segments")).unwrap();
    files.filter(|file| file.as_ref().unwrap().file_type().unwrap().is_symlink()).count()
}

#[test]
fn segments_are_moved_and_everything_is_there() {
    let bench = Bench::new().file("postern.toml", GOOD);
    let folder = bench.path("postern-data/ledger");
    make(&folder, "localhost/postern");
    let said = bench.run("ledger move-segments --to other").ended(2);
    assert!(said.contains("`other` has to be a folder that is there"), "{said}");
    fs::create_dir(bench.path("other")).unwrap();
    let said = bench.run("ledger move-segments --to other").yes();
    assert!(said.contains(" segments moved to `other`, 1 MB"), "{said}");
    assert!(links(&folder) > 1);
    assert!(bench.run("ledger verify").yes().contains("holds: 40 entries"));
    assert_eq!(bench.run("ledger who-saw 1201").yes().lines().count(), 40);
    assert_eq!(bench.run("ledger who-saw 1201 --scan").yes().lines().count(), 40);
    bench.run("ledger backup backup").yes();
    assert_eq!(links(&bench.path("backup")), 0);
    // A volume that is not mounted is no damage.
    fs::rename(bench.path("other"), bench.path("away")).unwrap();
    let said = bench.run("ledger verify").ended(2);
    assert!(said.contains("which is not there: is that volume mounted?"), "{said}");
}

#[test]
fn a_gateway_moves_segments_by_itself() {
    let support = Support::new();
    // The one that is there has a first segment that would take everything.
    let origin = origin(&support.ledger()).unwrap();
    fs::remove_dir_all(support.ledger()).unwrap();
    make(&support.ledger(), &origin);
    fs::create_dir(support.bench.path("other")).unwrap();
    let text = support.bench.read("postern.toml") + "\n[ledger]\nolder_segments = \"other\"\n";
    support.configure(&text);
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    served.wait_for("segments of the ledger moved to");
    assert!(links(&support.ledger()) > 0);
    support.bench.run("ledger verify").yes();
}

/// A folder that takes no writing, whoever writes; as it was when this is dropped.
struct ReadOnly(PathBuf);

impl ReadOnly {
    /// `None` where the account may not mount.
    fn mount(path: PathBuf) -> Option<Self> {
        let mount = |arguments: &[&str], paths: &[&Path]| {
            let done = Command::new("mount").args(arguments).args(paths).output();
            done.is_ok_and(|output| output.status.success())
        };
        if !mount(&["--bind"], &[&path, &path]) {
            return None;
        }
        let mounted = Self(path);
        assert!(mount(&["-o", "remount,bind,ro"], &[&mounted.0]));
        Some(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays", self.0.display());
    }
}

#[test]
fn a_copy_on_a_read_only_medium_is_verified_and_asked() {
    let bench = Bench::new().file("postern.toml", GOOD);
    let folder = bench.path("postern-data/ledger");
    make(&folder, "localhost/postern");
    let copied = Command::new("cp").arg("-a").arg(&folder).arg(bench.path("copy")).status();
    assert!(copied.unwrap().success());
    let Some(_mounted) = ReadOnly::mount(bench.path("copy")) else {
        println!("not tried: this account may not mount a file system");
        return;
    };
    assert!(fs::write(bench.path("copy/try"), "").is_err());
    assert!(bench.run("ledger verify --ledger copy").yes().contains("holds: 40 entries"));
    let proof = bench.run("ledger prove 3 --ledger copy").yes();
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1"), "{proof}");
    bench.run("ledger publish tiles --ledger copy").yes();
    bench.run("ledger migrate --dry-run --ledger copy").yes();
    for question in ["who-saw 1201", "seen-by agent01", "who-saw 1201 --scan", "show"] {
        let run = bench.run(&format!("ledger {question} --ledger copy"));
        let warning =
            "warning: this copy takes no writing, so the question can't be recorded in it";
        assert!(run.stderr.starts_with(warning), "{run:?}");
        assert_eq!(run.yes().lines().count(), 40, "{question}");
    }
    let proof = bench.run("ledger prove --range agent01 --ledger copy");
    assert!(proof.stderr.starts_with("warning: this copy takes no writing"), "{proof:?}");
    assert!(proof.yes().starts_with("postern ledger range 1"));
    // What goes on with it, or changes it, is refused.
    let said = bench.run("ledger move-segments --to postern-data --ledger copy").ended(2);
    assert!(said.contains("cannot be moved"), "{said}");
}
