//! What happens to keys where rows are folded.

use std::collections::BTreeSet;

use super::Analysis;
use crate::{
    refusal::{Judged, refuse},
    taint::Taint,
};

/// A use of an aggregate, until it is known which leaves the select folds.
#[derive(Debug, Clone)]
pub(crate) struct Aggregate {
    pub(super) arguments: Taint,
    pub(super) collects: bool,
}

impl Analysis<'_> {
    /// Rows of `leaves` are folded, and `taint` comes out: it may not tell records apart.
    pub(super) fn fold(&mut self, leaves: BTreeSet<usize>, taint: &Taint) -> Judged<()> {
        let protected = taint.protected.iter().any(|(leaf, _)| leaves.contains(leaf));
        let shown = taint.shown.iter().any(|(leaf, _)| leaves.contains(leaf));
        let identifies = taint.identifiers.iter().any(|leaf| leaves.contains(leaf));
        if protected || shown || identifies {
            return unaccounted();
        }
        self.folded.extend(leaves);
        Ok(())
    }

    /// The same for the aggregates that a select used.
    pub(super) fn fold_aggregates(
        &mut self,
        leaves: &BTreeSet<usize>,
        aggregates: &[Aggregate],
    ) -> Judged<()> {
        for aggregate in aggregates {
            self.fold(leaves.clone(), &aggregate.arguments)?;
            let collected = aggregate.arguments.leaves.intersection(leaves).next().is_some();
            if aggregate.collects && collected {
                return unaccounted();
            }
        }
        Ok(())
    }
}

pub(super) fn unaccounted<T>() -> Judged<T> {
    refuse(
        "unaccounted",
        "an aggregate, DISTINCT, set operation or sub-select over keys or protected columns can't \
         be accounted",
        "select the records themselves, add the key to GROUP BY or DISTINCT, or aggregate other \
         columns",
    )
}
