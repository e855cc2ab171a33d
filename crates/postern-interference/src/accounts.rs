//! Whether the ledger tells what came: of a world that has [`Accounts`].
//!
//! Two things are asked. A *mark* stands in one record only, in a column that no two records have
//! alike, so it can't come but with its record: whoever sees one must have an entry that names its
//! customer. And where the two databases differ, they differ in a few customers' records: what
//! differs in the answers tells of one of these, so an entry names one on either side, or says that
//! somebody was searched for. Only the marks are asked for where rows are chosen by their order:
//! of those that it does not tell apart, one comes first that hangs on all that were sorted.

use std::collections::BTreeSet;

use postern_ledger::{Body, Entry};
use postern_wire::Frame;

use crate::{
    client::Transcript,
    compare::{Comparison, Order, compare, difference},
    schema::{Accounts, MARK},
};

/// Hexadecimal digits of a mark.
const DIGITS: usize = 7;

/// What the entries of one script tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    subjects: BTreeSet<String>,
    searches: usize,
}

impl Told {
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut told = Self::default();
        for entry in entries {
            if let Body::Disclosed(disclosed) = &entry.body {
                told.searches += disclosed.lookups.len();
                let subjects = disclosed.groups.iter().flat_map(|group| &group.subjects);
                told.subjects.extend(subjects.map(|subject| subject.as_str().to_owned()));
            }
        }
        told
    }
}

/// What came of one play, and whether its entries tell it.
pub(crate) fn account(
    accounts: &Accounts,
    sides: [(&Transcript, &Told); 2],
    order: Order,
) -> Comparison {
    for (transcript, told) in sides {
        for mark in marks(&transcript.frames) {
            if let Some(subject) = accounts.marks.get(&mark)
                && !told.subjects.contains(subject)
            {
                let named = &told.subjects;
                return Comparison::Differ(format!("`{mark}` of {subject} came, told: {named:?}"));
            }
        }
    }
    let [(one, told_one), (two, told_two)] = sides;
    // All may be seen by an accounted role.
    let compare = if accounts.accounted { difference } else { compare };
    let difference = compare(one, two, order);
    let Comparison::Differ(why) = difference else { return difference };
    let named: BTreeSet<&String> = told_one.subjects.union(&told_two.subjects).collect();
    let searched = told_one.searches + told_two.searches > 0;
    let told = searched || named.iter().any(|subject| accounts.changed.contains(*subject));
    if told || order == Order::Chosen {
        return Comparison::Same;
    }
    Comparison::Differ(format!("{why}\n  told: {named:?} of {:?}", accounts.changed))
}

/// All that looks like a mark.
fn marks(frames: &[Frame]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for frame in frames {
        let lower = frame.body().to_ascii_lowercase();
        let starts = lower.windows(MARK.len()).enumerate();
        for (at, _) in starts.filter(|(_, part)| *part == MARK.as_bytes()) {
            let end = at + MARK.len() + DIGITS;
            if let Some(mark) = lower.get(at..end) {
                found.insert(String::from_utf8_lossy(mark).into_owned());
            }
        }
    }
    found
}
