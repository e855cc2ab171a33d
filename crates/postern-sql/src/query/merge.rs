//! MERGE into an unprotected table. Beside a protected table it is refused like any writing
//! statement; into one it is a write that the table's workflow does not know.

use std::slice;

use pg_query::{NodeEnum, protobuf as pb};

use super::{Analysis, scope::Scope, select::Place, write::Change};
use crate::{
    refusal::{Judged, not_understood},
    taint::Rows,
};

impl Analysis<'_> {
    pub(crate) fn merge_rows(&mut self, merge: &mut pb::MergeStmt) -> Judged<Rows> {
        self.facts.held = true;
        self.with(merge.with_clause.as_mut(), None)?;
        let changes = changes(&merge.merge_when_clauses)?;
        if changes.contains(&Change::Update) {
            self.may_be_set(merge.relation.as_ref(), None)?;
        }
        let target = self.target_table(merge.relation.as_mut(), &changes)?;
        let mut scope = Scope::new(None);
        scope.items.push(target);
        let Some(source) = merge.source_relation.as_deref_mut() else {
            return not_understood("MERGE without a source");
        };
        self.read_from_clause(slice::from_mut(source), &mut scope, Place::Bare)?;
        self.all(merge.join_condition.as_deref_mut(), &scope)?;
        for node in &mut merge.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(when)) = node.node.as_mut() else {
                return not_understood("this kind of WHEN");
            };
            self.all(when.condition.as_deref_mut(), &scope)?;
            self.assignments(&mut when.target_list, &scope)?;
            self.all(&mut when.values, &scope)?;
        }
        self.returning(merge.returning_clause.as_mut(), &scope)
    }
}

/// What the WHEN clauses do to the target.
fn changes(clauses: &[pg_query::Node]) -> Judged<Vec<Change>> {
    let mut changes = Vec::new();
    for node in clauses {
        let Some(NodeEnum::MergeWhenClause(when)) = &node.node else {
            return not_understood("this kind of WHEN");
        };
        match when.command_type() {
            pb::CmdType::CmdInsert => changes.push(Change::Insert),
            pb::CmdType::CmdUpdate => changes.push(Change::Update),
            pb::CmdType::CmdDelete => changes.push(Change::Delete),
            pb::CmdType::CmdNothing => {}
            _ => return not_understood("this kind of WHEN"),
        }
    }
    Ok(changes)
}
