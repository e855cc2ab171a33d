//! A bound on what the analysis of one statement may cost, counted, so that it is the same on
//! every machine.
//!
//! A short text can mean a lot: each of sixty common tables can have all the columns of the one
//! before it twice.

use super::{Analysis, from::Star, scope::Scope, select::LIST_MAX, target::Outputs};
use crate::{
    Refusal,
    refusal::{Judged, too_many},
    taint::{Rows, Taint},
};

/// A tenth of a second or some, and at most a few hundred megabytes.
const STEPS_MAX: usize = 50_000_000;
/// A column of a relation or of a result: its name, what flows into it, its place in the text.
const COLUMN_STEPS: usize = 500;
/// A column of a table that a part of its definition may name.
const SEEN_STEPS: usize = 100;
/// What stands around a column's name where it is written out: quotes, commas, `AS`.
const COLUMN_BYTES: usize = 10;
/// A byte that is parsed.
const PARSE_STEPS: usize = 500;
/// A column or a leaf that flows into another.
const FLOW_STEPS: usize = 10;

impl Analysis<'_> {
    fn charge(&self, steps: usize) -> Judged<()> {
        let steps = self.steps.get().saturating_add(steps);
        self.steps.set(steps);
        if steps <= STEPS_MAX {
            return Ok(());
        }
        Err(Refusal {
            sqlstate: "54001",
            rule: "too_complex",
            message: "the statement is too complex to be judged".to_owned(),
            hint: "name the columns that you need, and use fewer sub-selects".to_owned(),
            position: None,
        })
    }

    /// A relation is read.
    pub(super) fn charge_rows(&self, rows: &Rows) -> Judged<()> {
        let columns = rows.columns.iter().map(|column| COLUMN_STEPS + flows(&column.taint));
        self.charge(columns.sum())
    }

    /// A result is made.
    pub(super) fn charge_outputs(&self, outputs: &Outputs) -> Judged<()> {
        if outputs.columns.len() > LIST_MAX {
            return too_many("54011", "result columns", LIST_MAX);
        }
        let last = outputs.columns.last();
        self.charge(last.map_or(0, |output| COLUMN_STEPS + flows(&output.column.taint)))
    }

    /// A part of a definition sees the columns of a table.
    pub(crate) fn charge_definition(&self, columns: usize) -> Judged<()> {
        self.charge(SEEN_STEPS.saturating_mul(1 + columns))
    }

    /// A text that is not the client's is parsed.
    pub(super) fn charge_text(&self, text: &str) -> Judged<()> {
        self.charge(PARSE_STEPS.saturating_mul(text.len()))
    }

    /// Columns of a relation are written out by their names.
    pub(super) fn charge_written<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        alias: &str,
    ) -> Judged<()> {
        let bytes = names.map(|name| 2 * name.len() + alias.len() + COLUMN_BYTES);
        self.charge(PARSE_STEPS.saturating_mul(bytes.sum()))
    }

    /// The columns of a join's sides are compared by their names and put together anew.
    pub(super) fn charge_join(&self, left: &Star, right: &Star) -> Judged<()> {
        self.charge(FLOW_STEPS * (left.columns.len() + right.columns.len()))
    }

    pub(super) fn charge_flow(&self, taint: &Taint) -> Judged<()> {
        self.charge(1 + flows(taint))
    }

    /// A name is looked for, and what it stands for flows on.
    pub(super) fn charge_reference(&self, scope: &Scope<'_>, taint: &Taint) -> Judged<()> {
        let mut level = Some(scope);
        while let Some(scope) = level {
            self.charge_names(scope)?;
            level = scope.parent;
        }
        self.charge(flows(taint))
    }

    /// The columns of a select's relations are looked through.
    pub(super) fn charge_names(&self, scope: &Scope<'_>) -> Judged<()> {
        self.charge(scope.items.iter().map(|item| 1 + item.rows.columns.len()).sum())
    }

    /// All columns of a select's relations flow into something.
    pub(super) fn charge_columns(&self, scope: &Scope<'_>) -> Judged<()> {
        let columns = scope.items.iter().flat_map(|item| &item.rows.columns);
        self.charge(columns.map(|column| FLOW_STEPS + flows(&column.taint)).sum())
    }
}

fn flows(taint: &Taint) -> usize {
    let sets = [taint.protected.len(), taint.shown.len()];
    let leaves = [taint.identifiers.len(), taint.leaves.len()];
    FLOW_STEPS * sets.into_iter().chain(leaves).sum::<usize>()
}
