//! Making a range proof: one pass that finds what is to be shown, one that collects it.

use std::{cell::RefCell, collections::BTreeSet, ops::Range, path::Path, sync::Arc};

use postern_merkle::{PrunedBuilder, VerifyingKey};
use postern_model::Subject;

use super::{Naming, RangeLeaf, RangeProof, RangeQuestion};
use crate::{
    Basis, DecodeError, ProveError, Which,
    basis::{Grounds, Noted},
    bytes::Cursor,
    dictionary::Kind,
    disk::{Disk, Folder},
    frame::LedgerId,
    identity, leaf,
    payload::{self, Account, Head, Texts},
    scan::{Brought, Mark, Scan},
    verify::{Check, PROGRESS_STEP},
};

/// Makes a proof that certain entries are all of an account in a stretch of time, on that basis.
/// All that the newest checkpoint covers is read and checked for it, what the proof's covers twice.
/// `progress` is told how many entries went by and how many there are, both passes together.
///
/// # Errors
/// The ledger does not hold, or has no such account in it, or witnesses have not seen all of that
/// time and the basis is [`Basis::Witnessed`], or entries of the first format are of that time.
pub fn prove_range(
    folder: &Path,
    question: &RangeQuestion,
    basis: Basis,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<String, ProveError> {
    let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder));
    prove_range_on(&disk, question, basis, progress)
}

pub(crate) fn prove_range_on(
    disk: &Arc<dyn Disk>,
    question: &RangeQuestion,
    basis: Basis,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<String, ProveError> {
    let key = identity::verifying_key(&**disk)?;
    let grounds = Grounds::read(&**disk, &key)?;
    let all = grounds.end();
    let mut told = |done: u64| {
        if done.is_multiple_of(PROGRESS_STEP) {
            progress(done, 2 * all);
        }
    };
    let mut found = Found::default();
    let mut witnessed = None;
    pass(disk, &key, grounds.checks(), all, |scan| {
        told(scan.edge().size());
        found.look(scan, question)?;
        if scan.edge().size() == grounds.seen() {
            witnessed = Some(found.clone());
        }
        Ok(())
    })?;
    let is_known = witnessed.as_ref().is_some_and(|found| !found.accounts.is_empty());
    let chosen = found.basis(&grounds, (question, is_known), basis)?;
    let size = chosen.size();
    // Nothing of what came later is in a proof that rests on less.
    let found = witnessed.filter(|_| size == grounds.seen()).unwrap_or(found);
    if found.accounts.is_empty() {
        return Err(ProveError::NoAccount { actor: question.actor.clone() });
    }
    let range = found.range(size);
    let mut made = Made { tree: PrunedBuilder::default(), leaves: Vec::new() };
    let check = vec![Check::new(Which::Own, chosen.checkpoint.clone())];
    pass(disk, &key, check, size, |scan| {
        told(all + scan.edge().size());
        made.take(scan, &found, &range);
        Ok(())
    })?;
    let proof = RangeProof {
        actor: question.actor.to_string(),
        since: question.since.map(|time| time.0),
        until: question.until.map(|time| time.0),
        first: range.start,
        end: range.end,
        leaves: made.leaves,
        hashes: made.tree.finish(),
        checkpoint: chosen.text.clone(),
    };
    Ok(proof.encode())
}

/// Reads so many entries, and compares them with checkpoints.
fn pass(
    disk: &Arc<dyn Disk>,
    key: &VerifyingKey,
    mut checks: Vec<Check>,
    entries: u64,
    mut each: impl FnMut(&Scan) -> Result<(), ProveError>,
) -> Result<(), ProveError> {
    let mut scan = Scan::resume(disk.clone(), LedgerId::new(key), Mark::start())?;
    checks.iter_mut().for_each(|check| check.look(scan.edge()));
    while scan.edge().size() < entries && scan.next()?.is_some() {
        checks.iter_mut().for_each(|check| check.look(scan.edge()));
        each(&scan)?;
    }
    checks.iter().try_for_each(|check| Ok(check.finish(&scan)?))
}

/// What the first pass finds.
#[derive(Debug, Clone, Default)]
struct Found {
    /// The account's numbers.
    accounts: BTreeSet<u32>,
    /// The first entry of the stretch, and the first behind it.
    first: Option<u64>,
    end: Option<u64>,
    /// The rows that are named.
    wanted: BTreeSet<(u8, u32)>,
    /// The numbers of the customers who are named, if only some are.
    named: BTreeSet<u32>,
}

impl Found {
    fn look(&mut self, scan: &Scan, question: &RangeQuestion) -> Result<(), ProveError> {
        for (row, _) in scan.brought() {
            if row.kind == Kind::Name && row.text.as_deref() == Some(question.actor.as_str()) {
                self.accounts.insert(row.number);
                self.wanted.insert((row.kind as u8, row.number));
            }
            if let (Naming::Only(named), Kind::Subject, Some(text)) =
                (&question.subjects, row.kind, row.text.as_deref())
                && named.contains(&Subject::new(text))
            {
                self.named.insert(row.number);
            }
        }
        let (time, sequence) = (scan.time(), scan.edge().size().saturating_sub(1));
        if question.until.is_some_and(|until| time >= until) {
            self.end.get_or_insert(sequence);
            return Ok(());
        }
        if question.since.is_some_and(|since| time < since) {
            return Ok(());
        }
        self.first.get_or_insert(sequence);
        let mut cursor = Cursor::new(scan.payload());
        let head = Head::decode(&mut cursor).map_err(ProveError::Entry)?;
        let Account::Shown(account) = head.open.account else {
            return Err(ProveError::FirstVersion { sequence });
        };
        if account.is_some_and(|account| self.accounts.contains(&account)) {
            let names = Names::default();
            payload::decode(&head, cursor, &names).map_err(ProveError::Entry)?;
            let is_wanted = |&(kind, number): &(u8, u32)| {
                kind != Kind::Subject as u8
                    || match &question.subjects {
                        Naming::Numbers => false,
                        Naming::Texts => true,
                        Naming::Only(_) => self.named.contains(&number),
                    }
            };
            self.wanted.extend(names.0.into_inner().into_iter().filter(is_wanted));
        }
        Ok(())
    }

    /// The checkpoint that covers all of the time that is asked for, and what comes behind it.
    /// Whether the account is known where witnesses have come to is for who saw that to say.
    fn basis<'a>(
        &self,
        grounds: &'a Grounds,
        (question, is_known): (&RangeQuestion, bool),
        basis: Basis,
    ) -> Result<&'a Noted, ProveError> {
        let covered = match (self.end, basis) {
            // A time without an end goes up to whatever is there.
            (None, Basis::Witnessed) if question.until.is_none() => 1,
            (Some(end), _) if is_known => end + 1,
            (Some(end), Basis::Witnessed) => end + 1,
            (None | Some(_), _) => grounds.newest.size(),
        };
        let sequence = covered.saturating_sub(1);
        let not_witnessed = ProveError::NotWitnessed { sequence, seen: grounds.seen() };
        grounds.choose(basis, covered).ok_or(not_witnessed)
    }

    fn range(&self, size: u64) -> Range<u64> {
        let end = self.end.unwrap_or(size);
        self.first.unwrap_or(end)..end
    }
}

/// Takes down which numbers an entry has.
#[derive(Default)]
struct Names(RefCell<BTreeSet<(u8, u32)>>);

impl Texts for Names {
    fn text(&self, kind: Kind, number: u32) -> Result<Arc<str>, DecodeError> {
        self.0.borrow_mut().insert((kind as u8, number));
        Ok("".into())
    }
}

/// What the second pass collects.
struct Made {
    tree: PrunedBuilder,
    leaves: Vec<RangeLeaf>,
}

impl Made {
    fn take(&mut self, scan: &Scan, found: &Found, range: &Range<u64>) {
        let sequence = scan.edge().size().saturating_sub(1);
        let is_wanted = |(row, _): &&Brought| {
            row.text.is_some() && found.wanted.contains(&(row.kind as u8, row.number))
        };
        let wanted: Vec<&Brought> = scan.brought().iter().filter(is_wanted).collect();
        let is_neighbour = sequence + 1 == range.start || sequence == range.end;
        if !range.contains(&sequence) && !is_neighbour && wanted.is_empty() {
            return self.tree.hide(scan.leaf());
        }
        let mut leaf = RangeLeaf { content: scan.content(), ..RangeLeaf::default() };
        if range.contains(&sequence) {
            leaf.opened = opened(scan, &found.accounts);
        }
        if !wanted.is_empty() {
            leaf.commitments = scan.brought().iter().map(|(row, _)| row.commitment).collect();
            leaf.rows = wanted.iter().filter_map(|(row, _)| row.opened()).collect();
        }
        self.tree.show();
        self.leaves.push(leaf);
    }
}

/// Salt and rest of the last entry, if it is the account's.
fn opened(scan: &Scan, accounts: &BTreeSet<u32>) -> Option<Vec<u8>> {
    let payload = scan.payload();
    let head = Head::decode(&mut Cursor::new(payload)).ok()?;
    let Account::Shown(Some(account)) = head.open.account else { return None };
    let rest = payload.get(leaf::open_length(payload)?..)?;
    accounts.contains(&account).then(|| [&scan.entry_salt(), rest].concat())
}
