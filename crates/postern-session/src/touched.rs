//! Whom a row is about, by its hidden columns.

use std::collections::HashSet;

use postern_model::Subject;

use crate::{
    Failure, Session,
    hold::{Relied, Touch},
    judge::PlannedGuarded,
    portal::Portal,
    server::Unexpected,
};

/// As many records can be folded in one row.
const FOLDED_MAX: usize = 20_000;

/// The records that a row is about, and what its clear values rely on.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) touches: Vec<Touch>,
    pub(crate) relied: Vec<Relied>,
    /// How many of its values enforcement would have masked.
    pub(crate) masked: u64,
    /// There are more records than are recorded.
    pub(crate) unknown: bool,
    /// A write has touched a record by a reason that has ended since its keys were sent.
    pub(crate) lapsed: bool,
}

impl Touched {
    /// Whether a record of a leaf stands behind the row.
    pub(crate) fn finds(&self, leaf: usize) -> bool {
        self.touches.iter().any(|touch| usize::from(touch.leaf) == leaf)
    }
}

impl Session {
    /// Why what a write has done to a row is not to be: what was bound may be executed, or have
    /// waited for a lock, long after.
    pub(crate) fn lapsed(&self, guarded: &PlannedGuarded, touched: &Touched) -> Option<Failure> {
        if !guarded.guarded.writes || self.outbox.is_discarding() {
            return None;
        }
        let expired = self.has_expired(self.present.1);
        expired.or_else(|| touched.lapsed.then_some(Failure::ReasonEnded))
    }

    /// Whom a row is about, whose hidden columns hold `cells`; a value of a row that `stays` here
    /// is clear to nobody. The failure is the end of the session: whose the row is can't be told.
    pub(crate) fn touched<'k>(
        &self,
        guarded: &PlannedGuarded,
        portal: &Portal,
        cells: impl Iterator<Item = Option<&'k [u8]>>,
        (row, stays): (usize, bool),
    ) -> Result<Result<Touched, Failure>, Unexpected> {
        let accounted = self.profile.accounted_reason();
        let mut touched = Touched::default();
        let keys = guarded.guarded.keys.iter().zip(cells);
        for (key, cell) in keys.filter_map(|(key, cell)| Some((key, cell?))) {
            let subjects = std::str::from_utf8(cell).map_err(|_| Unexpected)?;
            let leaf = guarded.guarded.leaves.get(key.leaf).ok_or(Unexpected)?;
            let index = u16::try_from(key.leaf).map_err(|_| Unexpected)?;
            // A list is of all that was compared, with what does not stay, too.
            let stays = stays && !key.many;
            let set = leaf.key_set.map(|set| usize::from(set.0)).filter(|_| !stays);
            let reasons = set.and_then(|set| self.profile.key_sets.get(set));
            let mut known = HashSet::new();
            for subject in one_or_many(subjects, key.many) {
                if key.many && !known.insert(subject) {
                    continue;
                }
                if known.len() > FOLDED_MAX {
                    if self.profile.enforcement.is_enforced() {
                        return Ok(Err(Failure::FoldsTooMany));
                    }
                    touched.unknown = true;
                    break;
                }
                if !leaf.key_type.is_written(subject) {
                    // It is no key, or is none any more.
                    return Ok(Err(Failure::CatalogueChanged));
                }
                if let Some(would) = &guarded.would {
                    let subject = Subject::new(subject);
                    let clear = if stays { 0 } else { leaf.clear.len() };
                    let about = (clear, &subject);
                    let (reason, masked) =
                        self.observed((would, portal), (key.leaf, &leaf.relation), about);
                    touched.masked += masked;
                    touched.touches.push(Touch { leaf: index, subject, reason });
                    continue;
                }
                let reason = portal.clear_under(reasons, subject);
                let subject = Subject::new(subject);
                if let (Some(_), Some(set)) = (&reason, set) {
                    touched.relied.push(Relied { row, subject: subject.clone(), set });
                }
                // Where no value of theirs hangs on it, a reason still says why they were looked
                // at.
                let (entitled, now) = &self.present;
                touched.lapsed |= guarded.guarded.relies.iter().any(|set| {
                    let set = self.profile.key_sets.get(usize::from(set.0));
                    set.is_none_or(|s| entitled.reason(subject.as_str(), s, *now).is_none())
                });
                let own = (leaf.clear.is_empty() && !stays).then_some(entitled);
                let own = || own.and_then(|own| own.best(subject.as_str(), *now)).cloned();
                let reason = reason.or_else(own).or_else(|| accounted.clone());
                touched.touches.push(Touch { leaf: index, subject, reason });
            }
        }
        Ok(Ok(touched))
    }
}

/// The keys that a hidden column holds.
fn one_or_many(subjects: &str, many: bool) -> impl Iterator<Item = &str> {
    let (one, list) = if many { (None, Some(subjects)) } else { (Some(subjects), None) };
    one.into_iter().chain(list.into_iter().flat_map(|list| list.split(',')))
}
