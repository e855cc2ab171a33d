//! One small ledger, byte for byte. The files in `vectors/1` are the format for whoever writes
//! another implementation; a change of a byte is a new format version. `entries.txt` says what
//! they mean. `POSTERN_BLESS=1` writes them anew.

use std::{collections::BTreeMap, fmt::Write as _};

use super::*;
use crate::{
    disk::sim::SimDisk,
    recover::{create_on, open_on},
};

fn work() -> Vec<Vec<Work>> {
    let weak = reason("own_ticket", Grade::Weak);
    let window = Duration::from_secs(3600);
    let limits = [Limit { counter: Counter::ClearSubjects, window, max: 40 }];
    let many: Vec<String> = (0..60).map(|number| format!("{}", 1000 + number)).collect();
    let rows: Vec<_> = many.iter().map(|subject| (subject.as_str(), strong())).collect();
    let mut lookup = draft("ben", &[("1007", weak)], &[]);
    lookup.claimed = Some("T-42".into());
    lookup.lookups.push(DraftLookup {
        relation: "public.customer".into(),
        column: "email".into(),
        hit: true,
        search: *b"8 bytes.",
    });
    vec![
        vec![Work::Note(Note::Started { version: "0.0.0".into() })],
        vec![
            Work::Draft(draft("ana", &[("1007", strong()), ("1003", None)], &[])),
            Work::Draft(lookup),
        ],
        vec![Work::Draft(draft("ana", &rows, &limits))],
        vec![
            Work::Note(Note::Suspended {
                actor: Actor::new("ana"),
                by: Actor::new("eve"),
                why: "left the company, was seen reading a list".into(),
            }),
            Work::Note(Note::Stopped),
        ],
    ]
}

fn made_now() -> BTreeMap<String, Vec<u8>> {
    let clock = Arc::new(HandClock::default());
    let options = Options { segment_bytes: 2048, ..options(clock.clone()) };
    let options = Options { dictionary_step_bytes: 512, ..options };
    let disk = SimDisk::new(0);
    create_on(&disk, &options, &[7; 32]).unwrap();
    let mut salt = 0;
    let salts = Box::new(move || {
        salt += 1;
        [salt; 16]
    });
    let mut sequencer = open_on(Arc::new(disk.clone()), options, salts).unwrap();
    for (number, batch) in (0..).zip(work()) {
        clock.set(1_564_617_600_000_000 + number);
        commit(&mut sequencer, &batch).unwrap();
    }
    sequencer.sign().unwrap();
    disk.contents()
}

fn entries_text(folder: &Path) -> String {
    check_ledger(folder).iter().fold(String::new(), |mut text, entry| {
        writeln!(text, "{entry:?}").unwrap();
        text
    })
}

#[test]
fn the_format_is_the_one_of_the_vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/1");
    let made = made_now();
    if std::env::var_os("POSTERN_BLESS").is_some() {
        std::fs::create_dir_all(folder.join("segments")).unwrap();
        for (name, bytes) in &made {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        std::fs::write(folder.join("entries.txt"), entries_text(&folder)).unwrap();
    }
    for (name, bytes) in &made {
        assert!(std::fs::read(folder.join(name)).unwrap() == *bytes, "{name} is another");
    }
    let expected = std::fs::read_to_string(folder.join("entries.txt")).unwrap();
    assert_eq!(entries_text(&folder), expected);
}
