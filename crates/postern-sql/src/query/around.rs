//! What flows into a select from the selects around it.
//!
//! A value tells of all that it was chosen by. `(SELECT a FROM generate_series(1, 9) a ORDER BY
//! (a = c.id) DESC LIMIT 1)` names nothing of `c` in what it gives, and gives `c.id`. So names of
//! what is further out are gathered where they are resolved (`Scope::around`), and what decides in
//! a select where that is judged (`Analysis::decisions`).

use super::Analysis;
use crate::taint::{Rows, Taint};

impl Analysis<'_> {
    /// What a select names of the selects around it is in all that it gives, and what of it decides
    /// in it decides which rows these have, too.
    pub(super) fn flows_from_around(&mut self, rows: &mut Rows, around: Taint, decisions: &Taint) {
        if around == Taint::default() {
            return;
        }
        let decided = decisions.among(&around);
        self.predicate(&decided);
        for column in &mut rows.columns {
            column.taint.add(&around);
            column.copied &= around.identifiers.is_empty();
        }
        if let Some(open) = &mut rows.open {
            open.add(&around);
        }
        (rows.around, rows.decided) = (around, decided);
    }
}
