//! What was changed, shown by a SELECT: `WITH u AS (UPDATE … RETURNING …) SELECT … FROM u`.
//!
//! Each row that is touched must come to the gateway with its key. So the SELECT reads the common
//! table and nothing else, leaves none of its rows out and makes none of its own; or it folds all
//! of them, and gives the list of their keys. What the columns show is decided where they come back
//! from the write, as in a leaf.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{Mode, ast, query::Analysis, refusal::Judged, taint::Rows};

impl Analysis<'_> {
    /// Notes whether the whole statement gives all that a write in its one common table gives.
    pub(in crate::query) fn tells_changed(&mut self, select: &pb::SelectStmt) {
        self.target.tells = self.resolver.rules.mode == Mode::Restricted && self.gives_all(select);
    }

    fn gives_all(&self, select: &pb::SelectStmt) -> bool {
        let bare = pb::SelectStmt {
            target_list: Vec::new(),
            from_clause: Vec::new(),
            with_clause: None,
            sort_clause: Vec::new(),
            // Groups come all, each with the list of its keys, or it is refused below.
            group_clause: Vec::new(),
            ..select.clone()
        };
        let Some(with) = select.with_clause.as_ref().filter(|with| !with.recursive) else {
            return false;
        };
        let [Node { node: Some(NodeEnum::CommonTableExpr(common)) }] = with.ctes.as_slice() else {
            return false;
        };
        let [Node { node: Some(NodeEnum::RangeVar(range)) }] = select.from_clause.as_slice() else {
            return false;
        };
        let named = range.schemaname.is_empty()
            && range.relname == common.ctename
            && range.alias.as_ref().is_none_or(|alias| alias.colnames.is_empty());
        bare == ast::empty_select()
            && named
            && common.aliascolnames.is_empty()
            && !select.target_list.is_empty()
            && !self.makes_rows(select)
    }

    /// A write within a query is one of an unprotected table, unless all that it gives is told.
    pub(in crate::query) fn within_unless_told(&self, range: Option<&pb::RangeVar>) -> Judged<()> {
        if self.target.tells { Ok(()) } else { self.within(range) }
    }

    /// The rows that a common table has changed are told, however they are folded; and shown as
    /// they came back.
    pub(in crate::query) fn tell_changed(&mut self) {
        if let Some(leaf) = self.target.leaf {
            self.pinned.insert(leaf);
            self.target.shows_own = true;
        }
    }

    /// What was changed comes with its keys, all of them.
    pub(in crate::query) fn close_changed(&self, rows: &Rows) -> Judged<()> {
        let Some(leaf) = self.target.leaf else { return Ok(()) };
        let told = rows.keys.iter().any(|key| key.leaf == leaf);
        match self.leaves.get(leaf) {
            Some(build) if !told => super::protected_write(build.relation),
            _ => Ok(()),
        }
    }
}
