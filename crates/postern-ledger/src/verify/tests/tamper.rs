//! Everything that one can do to a small ledger, family by family: that it is noticed, under the
//! right name and at the right place, by this verifier and by the one in Python alike. The table of
//! it is in `docs/ledger-tests.md`; `make ledger-tests` writes it.

use super::*;

mod cases;

/// The pseudo file of a version: a checkpoint that somebody else kept.
const KEPT: &str = "kept";

/// A version of the ledger, and what has to be said of it.
struct Case {
    files: Files,
    expected: Expected,
}

/// What has to be said: the kind of damage, the file, the byte, the entry.
enum Expected {
    Exactly(String),
    /// One of these kinds, at that entry or, where it says so, only found at the end.
    Kinds(&'static [&'static str], u64),
}

/// Versions of one kind.
struct Family {
    name: &'static str,
    whole: Files,
    cases: Vec<Case>,
}

#[derive(Default)]
struct Tally {
    versions: usize,
    /// How many were named by which kind.
    kinds: BTreeMap<String, usize>,
}

fn at(kind: &str, file: &str, offset: usize, entry: Option<usize>) -> Expected {
    let entry = entry.map_or("-".to_owned(), |entry| entry.to_string());
    Expected::Exactly(format!("{kind} {file} {offset} {entry}"))
}

fn answer(files: &Files) -> String {
    let mut files = files.clone();
    let kept = files.remove(KEPT).map(|kept| String::from_utf8_lossy(&kept).into_owned());
    verify_files(&files, kept).map_or_else(|damage| named(&damage), |_| "holds".to_owned())
}

fn named(Damage { kind, file, offset, entry }: &Damage) -> String {
    let kind = format!("{kind:?}");
    let kind = kind.split([' ', '(']).next().unwrap_or_default();
    let entry = entry.map_or("-".to_owned(), |entry| entry.to_string());
    format!("{kind} {} {offset} {entry}", file.display())
}

/// A gateway that is started on it refuses with the same words. Only what looks as a crash leaves
/// it is removed, and nothing is lost by that.
fn check_opening(case: &Case, found: &str, whole: &Files) {
    let disk = SimDisk::holding(&case.files);
    let opened = open_on(Arc::new(disk.clone()), small(), Box::new(|| [9; 16])).map(drop);
    let mended = ["holds", "TornTail", "UnusedRows"].iter().any(|kind| found.starts_with(kind));
    match opened {
        Ok(()) => {
            assert!(mended, "it was opened: {found}");
            assert_eq!(disk.contents(), *whole, "{found}");
        }
        Err(OpenError::Damaged(damage)) => assert_eq!(named(&damage), found),
        Err(OpenError::NotThere { .. }) => assert_eq!(found, format!("Missing {KEY_PUB} 0 -")),
        Err(error) => panic!("{error:?}, not {found}"),
    }
}

/// Opening takes as long as verifying; of many versions of one kind some will do.
const OPENED_OF_EACH: usize = 200;

fn check(family: &Family) -> Tally {
    let answers: Vec<String> = family.cases.iter().map(|case| answer(&case.files)).collect();
    let mut tally = Tally { versions: answers.len(), ..Tally::default() };
    for (number, (case, found)) in family.cases.iter().zip(&answers).enumerate() {
        let fields: Vec<&str> = found.split(' ').collect();
        let name = family.name;
        match &case.expected {
            Expected::Exactly(expected) => assert_eq!(found, expected, "{name}, {number}"),
            Expected::Kinds(kinds, entry) => {
                assert!(kinds.contains(&fields[0]), "{name}, {number}: {found}, not {kinds:?}");
                let late = fields[0] == "Root" || fields[3] == (entry + 1).to_string();
                assert!(late || fields[3] == entry.to_string(), "{name}, {number}: {found}");
            }
        }
        *tally.kinds.entry(fields[0].to_owned()).or_default() += 1;
    }
    let step = family.cases.len().div_ceil(OPENED_OF_EACH);
    for (case, found) in family.cases.iter().zip(&answers).step_by(step) {
        if !case.files.contains_key(KEPT) {
            check_opening(case, found, &family.whole);
        }
    }
    let versions = family.cases.iter().map(|case| &case.files);
    if let Some(others) = python::answers(&family.whole, versions) {
        assert_eq!(others.len(), answers.len());
        for (number, (ours, theirs)) in answers.iter().zip(&others).enumerate() {
            assert_eq!(theirs, ours, "{}, {number}: the verifiers disagree", family.name);
        }
    }
    tally
}

/// The row of the table.
fn line(family: &Family, tally: &Tally) -> String {
    let count = |kind: &str| tally.kinds.get(kind).copied().unwrap_or(0);
    let caught = tally.versions - count("holds");
    let mut kinds: Vec<_> = tally.kinds.iter().collect();
    kinds.sort_by_key(|&(kind, count)| (std::cmp::Reverse(*count), kind.clone()));
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    format!("| {} | {} | {caught} | {} |", family.name, tally.versions, kinds.join(", "))
}

/// The table between its marks in the document.
const MARKS: [&str; 2] = ["<!-- tampering -->\n", "<!-- end of tampering -->\n"];

#[test]
fn whatever_is_changed_is_noticed_and_named_by_both_verifiers() {
    let families = cases::all();
    let tallies = std::thread::scope(|scope| {
        let checks: Vec<_> =
            families.iter().map(|family| scope.spawn(move || check(family))).collect();
        checks.into_iter().map(|check| check.join().unwrap()).collect::<Vec<_>>()
    });
    let mut table = "| what was done | versions | caught | as |\n|---|--:|--:|---|\n".to_owned();
    for (family, tally) in families.iter().zip(&tallies) {
        table += &(line(family, tally) + "\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ledger-tests.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).unwrap();
    let (written, after) = rest.split_once(MARKS[1]).unwrap();
    if std::env::var_os("POSTERN_BLESS").is_some() {
        let [start, end] = MARKS;
        std::fs::write(&path, format!("{before}{start}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(written, table, "`make ledger-tests` writes the table");
    }
}
