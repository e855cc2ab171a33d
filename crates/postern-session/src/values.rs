//! What a row shows in clear columns, as digests for the ledger.
//!
//! Nothing but small results is told of, and no value is kept or copied: what is told is made of
//! the row that is being cut anyhow.

use std::sync::Arc;

use postern_model::value_digest;
use postern_sql::Guarded;
use postern_wire::Cells;

use crate::{ShownValue, Touch, hold::Held, judge::PlannedGuarded};

/// A visible column that is a copy of a column that may be clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueAt {
    /// Which visible column.
    pub(crate) cell: usize,
    /// Index into the plan's leaves.
    pub(crate) leaf: u16,
    /// Index into the leaf's `clear` and, behind them, `shown`.
    pub(crate) column: usize,
    /// It is clear only where there is a reason.
    pub(crate) needs_reason: bool,
    pub(crate) relation: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// The visible columns of which there are values to tell, in order.
pub(crate) fn values_at(guarded: &Guarded) -> Vec<ValueAt> {
    let sources = guarded.sources.iter().enumerate();
    let at = sources.filter_map(|(cell, source)| {
        let (index, name) = source.as_ref()?;
        let leaf = guarded.leaves.get(*index)?;
        let column = leaf.clear.iter().chain(&leaf.shown).position(|column| column == name)?;
        Some(ValueAt {
            cell,
            leaf: u16::try_from(*index).ok()?,
            column,
            needs_reason: column < leaf.clear.len(),
            relation: leaf.relation.clone(),
            name: name.clone(),
        })
    });
    at.collect()
}

impl Held {
    /// Takes the values of a row, which is the next one and has these touches, if it shows cells.
    /// Where the result is not small it is not told of, nor is what came before of it.
    pub(crate) fn take_values(
        &mut self,
        plan: &PlannedGuarded,
        touches: &[Touch],
        shown: Option<Cells<'_>>,
        is_small: bool,
    ) {
        if !is_small {
            return self.hold.values.clear();
        }
        let Some(cells) = shown else { return };
        let row = self.hold.rows.len();
        let mut at = plan.values.iter().peekable();
        for (index, cell) in cells.enumerate() {
            let Some(value) = at.next_if(|value| value.cell == index) else {
                if at.peek().is_none() {
                    break;
                }
                continue;
            };
            let mut of_leaf =
                touches.iter().enumerate().filter(|(_, touch)| touch.leaf == value.leaf);
            // Of several customers that are folded it is not said whose value it is.
            let (Some((touch, of)), None) = (of_leaf.next(), of_leaf.next()) else { continue };
            let is_clear = of.reason.is_some() || !value.needs_reason;
            if let Some(bytes) = cell.filter(|_| is_clear) {
                let digest = value_digest(&value.relation, &value.name, bytes);
                let column = value.column;
                self.hold.values.push(ShownValue { row, touch, column, digest });
            }
        }
    }
}
