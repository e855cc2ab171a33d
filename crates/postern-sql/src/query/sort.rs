//! What rows are sorted by, and what that tells of them.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, scope::Scope, select::Place, target::Outputs};
use crate::{
    Mode,
    refusal::{Judged, not_understood},
    taint::Taint,
};

impl Analysis<'_> {
    /// ORDER BY: the leaves whose records it tells apart, and what a page of own records is sorted
    /// by.
    pub(super) fn sort_clause(
        &mut self,
        select: &mut pb::SelectStmt,
        outputs: &Outputs,
        (scope, place): (&Scope<'_>, Place),
    ) -> Judged<(BTreeSet<usize>, Taint)> {
        let pages = self.is_sorted_page(select, outputs, (scope, place));
        let mut kept = Taint::default();
        let keeps = pages || self.shows_all(select, scope, place);
        let keeps = keeps.then_some(&mut kept);
        let sorts = self.order(&mut select.sort_clause, outputs, scope, keeps)?;
        if !pages {
            return Ok((sorts, Taint::default()));
        }
        // Whose record is absent shows in the order of rows that do not come.
        self.tested.extend(&kept.sides);
        Ok((sorts, kept))
    }

    /// Whether all rows, or groups, come, each with its keys: how they are sorted tells of these
    /// only. Where nothing is masked, it is a look-up.
    fn shows_all(&self, select: &pb::SelectStmt, scope: &Scope<'_>, place: Place) -> bool {
        let sets = |node: &Node| matches!(node.node, Some(NodeEnum::GroupingSet(_)));
        let all = select.having_clause.is_none() && !select.group_clause.iter().any(sets);
        self.resolver.rules.mode == Mode::Restricted
            && place == Place::Top
            && (!scope.grouped || all)
            && select.limit_count.is_none()
            && select.limit_offset.is_none()
            && select.distinct_clause.is_empty()
    }

    /// ORDER BY; the leaves whose records it tells apart by more than the order of their keys, or
    /// compares by what is protected. What of that is shown is `kept` as it is, if it may be.
    pub(super) fn order(
        &mut self,
        sort: &mut [Node],
        outputs: &Outputs,
        scope: &Scope<'_>,
        mut kept: Option<&mut Taint>,
    ) -> Judged<BTreeSet<usize>> {
        let mut sorts = BTreeSet::new();
        for node in sort {
            let Some(NodeEnum::SortBy(by)) = node.node.as_mut() else {
                return not_understood("this kind of ORDER BY");
            };
            let Some(key) = by.node.as_deref_mut() else {
                return not_understood("an empty ORDER BY");
            };
            sorts.extend(self.sort(key, outputs, (scope, "ORDER BY"), kept.as_deref_mut())?);
        }
        Ok(sorts)
    }

    /// One key of ORDER BY or DISTINCT ON; the same of it.
    pub(super) fn sort(
        &mut self,
        key: &mut Node,
        outputs: &Outputs,
        (scope, clause): (&Scope<'_>, &str),
        kept: Option<&mut Taint>,
    ) -> Judged<BTreeSet<usize>> {
        let plain =
            outputs.named(key).map_or_else(|| scope.is_copy(key), |output| output.column.copied);
        // What is computed can bring any rows to the front, of whichever columns it is.
        let source =
            outputs.named(key).map_or_else(|| scope.source(key), |output| output.column.source);
        let copy = source.is_some();
        let shown = copy && outputs.columns.iter().any(|output| output.column.source == source)
            || outputs.shows(key);
        let taint = self.sort_key(key, outputs, (scope, clause))?;
        self.decisions.add(&taint);
        // Of what all rows show their order tells no more, nor of who is absent in them.
        match kept.filter(|_| shown) {
            Some(kept) => kept.add(&taint),
            None => {
                self.spoil(&taint);
                self.tested.extend(&taint.sides);
            }
        }
        if !plain {
            self.singled.extend(taint.singling());
        }
        if !copy {
            self.computes_places(&taint);
        }
        let computed = taint.identifiers.iter().filter(|_| !plain);
        let mut sorts: BTreeSet<usize> = taint.few.iter().chain(computed).copied().collect();
        if self.resolver.rules.mode == Mode::Accounted {
            // Nothing is masked: a row's place compares what is protected of it with the others'.
            sorts.extend(taint.protected.iter().map(|(leaf, _)| *leaf));
        }
        Ok(sorts)
    }

    /// What is computed of this puts rows into an order, or together.
    pub(super) fn computes_places(&mut self, taint: &Taint) {
        self.singled.extend(&taint.windowed);
        self.computed.extend(&taint.plain);
    }

    /// An expression of ORDER BY, GROUP BY or DISTINCT ON, which may name a result column or give
    /// its number. GROUP BY prefers the columns of the FROM clause, the others the result's.
    pub(super) fn sort_key(
        &mut self,
        node: &mut Node,
        outputs: &Outputs,
        (scope, clause): (&Scope<'_>, &str),
    ) -> Judged<Taint> {
        let from_first = clause == "GROUP BY";
        if matches!(node.node, Some(NodeEnum::AConst(_))) {
            return outputs.numbered(node, clause);
        }
        // A column that a join merged is one of the FROM clause too.
        let in_from = scope.names_column(node);
        let output = outputs.named(node).filter(|_| !from_first || in_from != Some(true));
        let Some(output) = output else {
            let name = node.clone();
            let mut taint = self.expression(node, scope)?;
            if let Some(open) = &outputs.open {
                taint.add(open);
                if matches!(node.node, Some(NodeEnum::ColumnRef(_)))
                    && !(from_first && in_from == Some(true))
                {
                    // It may be the name of a result column that is not known.
                    *node = name;
                }
            }
            return Ok(taint);
        };
        let mut taint = output.column.taint.clone();
        if from_first && in_from.is_none() {
            taint.add(&self.expression(node, scope)?);
        }
        if outputs.open.is_some() {
            taint.add(&outputs.whole());
        }
        Ok(taint)
    }
}
