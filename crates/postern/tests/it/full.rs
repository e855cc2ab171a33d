//! No room for the ledger: nothing protected is shown, everything else goes on.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use postern_ledger::{Body, Note, Reader};

use crate::{
    raw::{Answer, Raw},
    served::Served,
    support::Support,
};

const PROTECTED: &str = "SELECT id, email FROM customers WHERE id BETWEEN 1 AND 20";
const PLAIN: &str = "SELECT title FROM products ORDER BY id";

#[track_caller]
fn check_refused(answer: Option<Answer>) {
    let answer = answer.unwrap();
    assert!(answer.rows.is_empty(), "{answer:?}");
    let report = answer.error.unwrap();
    assert_eq!(report.sqlstate, "53100");
    assert_eq!(report.message, "the ledger is full, so nothing was released");
    let hint = "the administrator must make room on the ledger's disk; it then goes on by itself";
    assert_eq!(report.hint, hint);
}

#[track_caller]
fn check_plain(raw: &mut Raw) {
    let answer = raw.query(PLAIN).unwrap();
    assert_eq!(
        answer,
        Answer { rows: vec![vec!["Lamp".into()], vec!["Chair".into()]], error: None }
    );
}

/// How many entries disclose something, and the notes.
fn entries(ledger: &Path) -> (usize, Vec<Note>) {
    let mut notes = Vec::new();
    let mut disclosures = 0;
    for entry in Reader::open(ledger).unwrap() {
        match entry.unwrap().body {
            Body::Noted(note) => notes.push(note),
            Body::Disclosed(_) => disclosures += 1,
        }
    }
    (disclosures, notes)
}

#[test]
fn with_less_free_than_must_be_only_unprotected_work_goes_on() {
    let support = Support::with(postern_testkit::Options::default(), "min_free = \"1000000GiB\"");
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    let status = support.bench.run("status").yes();
    assert!(status.contains("\nspace       ") && status.contains("disclosures stop"), "{status}");
    check_refused(ana.query(PROTECTED));
    check_plain(&mut ana);
    let sql = "SELECT id, email FROM customers WHERE id < $1";
    ana.send_extended(sql, &["9".to_owned()], (1, 0)).unwrap();
    check_refused(ana.answer(|_| ()));
    check_plain(&mut ana);
    check_refused(ana.query(&format!("{PLAIN}; {PROTECTED}")).map(|mut answer| {
        assert_eq!(answer.rows.drain(..).count(), 2, "what came before the protected statement");
        answer
    }));

    // What is left is for what must be recorded of other things.
    let suspended = support.bench.run("suspend ana --why leaver").yes();
    assert_eq!(suspended, "ana is suspended; sessions cut: 1\n");
    let slip = support.bench.run("suspend anna --why leaver");
    assert!(slip.stderr.starts_with("warning: there is no account `anna`"), "{slip:#?}");
    let (disclosures, notes) = entries(&support.ledger());
    assert_eq!(disclosures, 0);
    let is_suspension =
        |note: &Note| matches!(note, Note::Suspended { actor, .. } if actor.as_str() == "ana");
    assert!(notes.iter().any(is_suspension), "{notes:?}");
}

/// A small file system in memory; unmounted when it is dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where the account may not mount.
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=40m,mode=700", "postern-test"]).arg(&path);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(path))
    }

    /// Writes a file until there is no room.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}

#[test]
fn a_full_disk_stops_disclosures_until_there_is_room() {
    let support = Support::new();
    let Some(small) = Small::mount(support.bench.path("small")) else {
        println!("not tried: this account may not mount a file system");
        return;
    };
    let copied = Command::new("cp")
        .arg("-a")
        .arg(support.bench.path("postern-data/."))
        .arg(&small.0)
        .status();
    assert!(copied.unwrap().success());
    let ledger = small.0.join("ledger");
    support.configure(&support.configuration("folder = \"small\"\nmin_free = \"64KiB\""));
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    let mut ben = Raw::connect(served.address, "ben").unwrap();
    let check_shown = |raw: &mut Raw| {
        let answer = raw.query(PROTECTED).unwrap();
        assert_eq!((answer.sqlstate(), answer.rows.len()), ("", 20));
    };
    check_shown(&mut ana);
    // Less than `warn_free` stays free on so small a disk: it is said while all goes on.
    let status = support.bench.run("status").yes();
    assert!(status.contains("MiB free; disclosures stop below 0 MiB"), "{status}");
    let (before, _) = entries(&ledger);
    for _ in 0..2 {
        small.fill();
        check_refused(ana.query(PROTECTED));
        check_refused(ben.query(PROTECTED));
        check_plain(&mut ana);
        assert_eq!(entries(&ledger).0, before, "nothing was disclosed");
        // Nobody has to be told that there is room again.
        small.make_room();
    }
    check_shown(&mut ana);
    check_shown(&mut ben);
    drop(served);
    assert!(support.bench.run("ledger verify").yes().contains("holds"));
}
