//! Whom a statement asks about by the key: they are recorded, whether rows come or not.
//!
//! A row that is about somebody carries the key, and that is recorded anyway. Who was asked about
//! and did not come in a row is told at the end, in a row of no bytes that names them; where what
//! comes can tell of them in another way than by their own rows, before all others. So nobody
//! learns that there is no such record, or how many, without an entry that says of whom.

use postern_model::Subject;
use postern_sql::Bound;
use postern_wire::Bind;

use crate::{
    Failure, Session,
    hold::{Held, HeldRow, Touch},
    judge::{Planned, PlannedGuarded},
    portal::{Portal, Run},
};

/// The values of a statement's parameters, as the client binds them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Given<'a> {
    pub(crate) values: &'a [Option<&'a [u8]>],
    /// Format codes: none (all text), one for all, or one each.
    pub(crate) formats: &'a [i16],
    /// The types that were declared, as far as they were.
    pub(crate) types: &'a [u32],
}

impl<'a> Given<'a> {
    /// Texts of no declared type.
    pub(crate) fn texts(values: &'a [Option<&'a [u8]>]) -> Self {
        Self { values, formats: &[], types: &[] }
    }

    /// Those of a Bind message.
    pub(crate) fn of(bind: &'a Bind<'_>, types: &'a [u32]) -> Self {
        Self { values: &bind.parameters, formats: &bind.formats, types }
    }

    fn is_binary(&self, index: usize) -> bool {
        let format = match self.formats {
            [one] => Some(one),
            each => each.get(index),
        };
        format.is_some_and(|format| *format != 0)
    }

    /// The parameters as they are read for a question.
    fn bound(&self) -> Vec<Bound<'a>> {
        let bound = self.values.iter().enumerate().map(|(index, value)| Bound {
            value: *value,
            binary: self.is_binary(index),
            declared: self.types.get(index).copied().unwrap_or(0),
        });
        bound.collect()
    }
}

impl PlannedGuarded {
    /// Whom it asks about, in order and each once: the index into what the statement shows, and
    /// the subject.
    pub(crate) fn asks(&self, given: Given<'_>) -> Result<Vec<(u16, Subject)>, Failure> {
        let asked = &self.guarded.asked;
        // Where nothing is bound nothing runs.
        let unbound = given.values.is_empty();
        let bound = if asked.is_empty() { Vec::new() } else { given.bound() };
        let mut all = Vec::new();
        // Those of all comparisons, which are bounded together.
        let mut subjects = Vec::new();
        for asked in asked.iter().filter(|asked| !unbound || asked.parameter().is_none()) {
            let Some(leaf) = self.guarded.leaves.get(asked.leaf) else { continue };
            let Some(shown) = self.asked_leaves.iter().position(|leaf| *leaf == asked.leaf) else {
                continue;
            };
            let shown = u16::try_from(self.guarded.leaves.len() + shown).unwrap_or(u16::MAX);
            let before = subjects.len();
            let read = asked.subjects(leaf.key_type, &bound, &mut subjects);
            read.map_err(|refusal| self.unreadable(refusal))?;
            let new = subjects.iter().skip(before);
            all.extend(new.map(|subject| (shown, Subject::new(subject.as_str()))));
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// How many of its rows are passed over.
    pub(crate) fn passes(&self, given: Given<'_>) -> Result<u64, Failure> {
        match self.guarded.passed {
            None => Ok(0),
            // Where nothing is bound nothing runs.
            Some(passed) if given.values.is_empty() && passed.parameter().is_some() => Ok(0),
            Some(passed) => {
                let rows = passed.rows(&given.bound());
                rows.map_err(|refusal| self.unreadable(refusal))
            }
        }
    }
}

impl Run {
    /// A row with this leaf's key has come: nobody else need say so.
    pub(crate) fn came(&mut self, plan: &PlannedGuarded, leaf: usize, subject: &Subject) {
        if self.portal.searched.asked.is_empty() || plan.guarded.asked_first {
            return;
        }
        let Some(shown) = plan.asked_leaves.iter().position(|asked| *asked == leaf) else { return };
        let shown = u16::try_from(plan.guarded.leaves.len() + shown).unwrap_or(u16::MAX);
        let asked = &self.portal.searched.asked;
        let found = asked.binary_search_by(|(of, who)| (of, who).cmp(&(&shown, subject)));
        if let Ok(index) = found {
            self.came.resize(asked.len(), false);
            if let Some(came) = self.came.get_mut(index) {
                *came = true;
            }
        }
    }

    /// The row that names those who were asked about and did not come; once.
    pub(crate) fn asked(&mut self) -> Option<HeldRow> {
        if std::mem::replace(&mut self.asked_told, true) {
            return None;
        }
        let asked = self.portal.searched.asked.iter().enumerate();
        let came = |index: &usize| self.came.get(*index).copied().unwrap_or_default();
        let touches = asked.filter(|(index, _)| !came(index)).map(|(_, (leaf, subject))| Touch {
            leaf: *leaf,
            subject: subject.clone(),
            reason: None,
        });
        let touches: Vec<Touch> = touches.collect();
        (!touches.is_empty()).then_some(HeldRow { bytes: 0, touches, asks: true })
    }
}

impl Session {
    /// Before a row is held: what it may tell of those who are asked about comes first.
    pub(crate) fn tell_asked_first(&mut self, plan: &PlannedGuarded) {
        if !plan.guarded.asked_first {
            return;
        }
        if let Some(row) = self.running().and_then(Run::asked) {
            self.tell_row(plan, row);
        }
    }

    /// The execution is over, or never will be: who was asked about is told.
    pub(crate) fn tell_asked(&mut self, run: &mut Run) {
        let portal = run.portal.clone();
        let Some(plan) = executed(&portal) else { return };
        if let Some(row) = run.asked() {
            self.tell_row(plan, row);
        }
    }

    pub(crate) fn tell_row(&mut self, plan: &PlannedGuarded, mut row: HeldRow) {
        for touch in &mut row.touches {
            touch.reason = self.own(&touch.subject);
        }
        if self.outbox.is_discarding() {
            // The client does not see the answer, but may see what it led to.
            self.holds += 1;
            let mut held = Held::of(self.holds, plan);
            held.hold.rows.push(row);
            self.untold.extend(held.searched());
            return;
        }
        self.hold_row(plan, Vec::new());
        if let Some(held) = &mut self.filling {
            held.hold.rows.push(row);
        }
    }
}

/// What an execution of a portal runs, if that reads protected tables; what is only prepared or
/// declared asks nothing yet.
fn executed(portal: &Portal) -> Option<&PlannedGuarded> {
    match &*portal.plan {
        Planned::Guarded(plan) => Some(plan),
        Planned::Copy(copy) => Some(&copy.query),
        Planned::Plain(_) | Planned::Local(_) | Planned::Named(_) => None,
    }
}
