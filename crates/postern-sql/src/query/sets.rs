//! Functions that make several rows of a value, or none: the parts of an own record's text, the
//! keys of its JSON.
//!
//! How many rows there are tells of the value. Where they are the statement's own, each comes with
//! its record's key, and its entry names the columns that are shown of it. Who is asked about by
//! the key is recorded whether such rows come or not. So of those subjects the rows may be made of
//! what is theirs; everywhere else they are made of the mask, which is the same for all.

use std::collections::BTreeSet;

use pg_query::protobuf as pb;

use super::{Analysis, select::Place, target::Outputs, window::WindowUse};
use crate::{Mode, taint::Taint};

impl Analysis<'_> {
    /// Whether what a function makes of a value may be told by the select's rows: they are the
    /// statement's, one by one, and none is passed over.
    pub(super) fn may_tell_sets(&self, select: &pb::SelectStmt, place: Place) -> bool {
        place == Place::Top
            && self.resolver.rules.mode == Mode::Restricted
            && select.distinct_clause.is_empty()
            && select.limit_offset.is_none()
            && select.limit_option() != pb::LimitOption::WithTies
            && !self.is_grouped(select)
    }

    /// A function makes rows of a value: it decides how many there are.
    pub(super) fn makes_rows_of(&mut self, taint: &Taint) {
        let Some(sets) = self.sets.as_mut() else { return self.predicate(taint) };
        sets.extend(&taint.protected);
        self.predicate(&Taint { protected: BTreeSet::new(), ..taint.clone() });
    }

    /// Of what rows were made that need not be of the mask: of columns that the rows show, of
    /// subjects that are asked about. A window function would tell of others' rows how many they
    /// are.
    pub(super) fn tell_sets(
        &mut self,
        sets: &BTreeSet<(usize, i16)>,
        outputs: &Outputs,
        windows: &[WindowUse],
    ) {
        let shown = outputs.whole().protected;
        let told = |place: &&(usize, i16)| {
            windows.is_empty() && shown.contains(place) && self.bounded.contains(&place.0)
        };
        let protected = sets.iter().filter(|place| !told(place)).copied().collect();
        self.predicate(&Taint { protected, ..Taint::default() });
    }
}
