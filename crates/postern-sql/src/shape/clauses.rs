//! The clauses and statements that are understood: which nodes, and every field of each.
//!
//! A field that the analysis does not look at must be unset or harmless here; see the parent module
//! for why no pattern has a `..`. Where to start: `clause`.

use pg_query::{NodeEnum, protobuf as pb};

use super::{Shape, unset};
use crate::refusal::Judged;

impl Shape<'_> {
    /// `None` if the node is no clause or statement that is understood.
    pub(super) fn clause(&self, node: &mut NodeEnum) -> Option<Judged<()>> {
        let judged = match node {
            NodeEnum::SelectStmt(n) => self.select(n),
            NodeEnum::InsertStmt(n) => self.insert(n),
            NodeEnum::UpdateStmt(n) => self.update(n),
            NodeEnum::DeleteStmt(n) => self.delete(n),
            NodeEnum::MergeStmt(n) => self.merge(n),
            NodeEnum::MergeWhenClause(n) => self.merge_when(n),
            NodeEnum::RangeVar(n) => self.relation(n),
            NodeEnum::RangeSubselect(n) => {
                let pb::RangeSubselect { lateral: _, subquery, alias } = n.as_mut();
                self.child(subquery).and_then(|()| self.alias(alias))
            }
            NodeEnum::RangeFunction(n) => self.range_function(n),
            NodeEnum::RangeTableSample(n) => self.sample(n),
            NodeEnum::ColumnDef(n) => self.column_definition(n),
            NodeEnum::JoinExpr(n) => self.join(n),
            NodeEnum::ResTarget(n) => self.target(n),
            NodeEnum::SortBy(n) => self.sort(n),
            NodeEnum::WindowDef(n) => self.window(n),
            NodeEnum::GroupingSet(n) => {
                let pb::GroupingSet { kind: _, content, location } = n;
                *location = 0;
                self.list(content)
            }
            NodeEnum::LockingClause(n) => {
                let pb::LockingClause { locked_rels, strength: _, wait_policy: _ } = n;
                self.list(locked_rels)
            }
            NodeEnum::CommonTableExpr(n) => self.common_table(n),
            NodeEnum::IndexElem(n) => self.index_element(n),
            NodeEnum::MultiAssignRef(n) => {
                let pb::MultiAssignRef { source, colno: _, ncolumns: _ } = n.as_mut();
                self.child(source)
            }
            _ => return None,
        };
        Some(judged)
    }

    fn select(&self, select: &mut pb::SelectStmt) -> Judged<()> {
        let pb::SelectStmt {
            distinct_clause,
            into_clause,
            target_list,
            from_clause,
            where_clause,
            group_clause,
            group_distinct: _,
            having_clause,
            window_clause,
            values_lists,
            sort_clause,
            limit_offset,
            limit_count,
            limit_option: _,
            locking_clause,
            with_clause,
            op: _,
            all: _,
            larg,
            rarg,
        } = select;
        unset(into_clause.is_none(), "SELECT INTO")?;
        self.with(with_clause)?;
        self.list(distinct_clause)?;
        self.list(target_list)?;
        self.list(from_clause)?;
        self.child(where_clause)?;
        self.list(group_clause)?;
        self.child(having_clause)?;
        self.list(window_clause)?;
        self.list(values_lists)?;
        self.list(sort_clause)?;
        self.child(limit_offset)?;
        self.child(limit_count)?;
        self.list(locking_clause)?;
        for arm in [larg, rarg].into_iter().flatten() {
            self.select(arm)?;
        }
        Ok(())
    }

    fn with(&self, with: &mut Option<pb::WithClause>) -> Judged<()> {
        let Some(pb::WithClause { ctes, recursive: _, location }) = with else { return Ok(()) };
        *location = 0;
        self.list(ctes)
    }

    fn common_table(&self, table: &mut pb::CommonTableExpr) -> Judged<()> {
        let pb::CommonTableExpr {
            ctename,
            aliascolnames,
            ctematerialized: _,
            ctequery,
            search_clause,
            cycle_clause,
            location,
            cterecursive,
            cterefcount,
            ctecolnames,
            ctecoltypes,
            ctecoltypmods,
            ctecolcollations,
        } = table;
        *location = 0;
        unset(search_clause.is_none() && cycle_clause.is_none(), "SEARCH or CYCLE")?;
        let planned = *cterecursive
            || *cterefcount != 0
            || !ctecolnames.is_empty()
            || !ctecoltypes.is_empty()
            || !ctecoltypmods.is_empty()
            || !ctecolcollations.is_empty();
        unset(!planned, "a planned WITH")?;
        self.text(ctename)?;
        self.list(aliascolnames)?;
        self.child(ctequery)
    }

    fn range_function(&self, function: &mut pb::RangeFunction) -> Judged<()> {
        let pb::RangeFunction {
            lateral: _,
            ordinality: _,
            is_rowsfrom: _,
            functions,
            alias,
            coldeflist,
        } = function;
        self.list(functions)?;
        self.alias(alias)?;
        self.list(coldeflist)
    }

    fn sample(&self, sample: &mut pb::RangeTableSample) -> Judged<()> {
        let pb::RangeTableSample { relation, method, args, repeatable, location } = sample;
        *location = 0;
        self.child(relation)?;
        self.list(method)?;
        self.list(args)?;
        self.child(repeatable)
    }

    fn column_definition(&self, column: &mut pb::ColumnDef) -> Judged<()> {
        let pb::ColumnDef {
            colname,
            type_name,
            compression,
            inhcount,
            is_local: _,
            is_not_null,
            is_from_type,
            storage,
            storage_name,
            raw_default,
            cooked_default,
            identity,
            identity_sequence,
            generated,
            coll_clause,
            coll_oid,
            constraints,
            fdwoptions,
            location,
        } = column;
        *location = 0;
        let plain = compression.is_empty()
            && *inhcount == 0
            && !*is_not_null
            && !*is_from_type
            && storage.is_empty()
            && storage_name.is_empty()
            && raw_default.is_none()
            && cooked_default.is_none()
            && identity.is_empty()
            && identity_sequence.is_none()
            && generated.is_empty()
            && coll_clause.is_none()
            && *coll_oid == 0
            && constraints.is_empty()
            && fdwoptions.is_empty();
        unset(plain, "a column definition with options")?;
        self.text(colname)?;
        self.type_name(type_name)
    }

    fn join(&self, join: &mut pb::JoinExpr) -> Judged<()> {
        let pb::JoinExpr {
            jointype: _,
            is_natural: _,
            larg,
            rarg,
            using_clause,
            join_using_alias,
            quals,
            alias,
            rtindex,
        } = join;
        unset(*rtindex == 0 && join_using_alias.is_none(), "an alias of USING")?;
        self.child(larg)?;
        self.child(rarg)?;
        self.list(using_clause)?;
        self.child(quals)?;
        self.alias(alias)
    }

    fn target(&self, target: &mut pb::ResTarget) -> Judged<()> {
        let pb::ResTarget { name, indirection, val, location } = target;
        *location = 0;
        self.text(name)?;
        self.list(indirection)?;
        self.child(val)
    }

    fn sort(&self, sort: &mut pb::SortBy) -> Judged<()> {
        let pb::SortBy { node, sortby_dir: _, sortby_nulls: _, use_op, location } = sort;
        *location = 0;
        unset(use_op.is_empty(), "ORDER BY USING")?;
        self.child(node)
    }

    fn index_element(&self, element: &mut pb::IndexElem) -> Judged<()> {
        let pb::IndexElem {
            name,
            expr,
            indexcolname,
            collation,
            opclass,
            opclassopts,
            ordering: _,
            nulls_ordering: _,
        } = element;
        let plain = indexcolname.is_empty()
            && collation.is_empty()
            && opclass.is_empty()
            && opclassopts.is_empty();
        unset(plain, "a conflict target with options")?;
        self.text(name)?;
        self.child(expr)
    }

    fn returning(&self, returning: &mut Option<pb::ReturningClause>) -> Judged<()> {
        let Some(pb::ReturningClause { options, exprs }) = returning else { return Ok(()) };
        unset(options.is_empty(), "RETURNING WITH")?;
        self.list(exprs)
    }

    fn insert(&self, insert: &mut pb::InsertStmt) -> Judged<()> {
        let pb::InsertStmt {
            relation,
            cols,
            select_stmt,
            on_conflict_clause,
            returning_clause,
            with_clause,
            r#override: _,
        } = insert;
        relation.as_mut().map_or(Ok(()), |relation| self.relation(relation))?;
        self.with(with_clause)?;
        self.list(cols)?;
        self.child(select_stmt)?;
        self.conflict(on_conflict_clause)?;
        self.returning(returning_clause)
    }

    fn conflict(&self, conflict: &mut Option<Box<pb::OnConflictClause>>) -> Judged<()> {
        let Some(conflict) = conflict else { return Ok(()) };
        let pb::OnConflictClause { action: _, infer, target_list, where_clause, location } =
            conflict.as_mut();
        *location = 0;
        if let Some(infer) = infer {
            let pb::InferClause { index_elems, where_clause, conname, location } = infer.as_mut();
            *location = 0;
            self.text(conname)?;
            self.list(index_elems)?;
            self.child(where_clause)?;
        }
        self.list(target_list)?;
        self.child(where_clause)
    }

    fn update(&self, update: &mut pb::UpdateStmt) -> Judged<()> {
        let pb::UpdateStmt {
            relation,
            target_list,
            where_clause,
            from_clause,
            returning_clause,
            with_clause,
        } = update;
        relation.as_mut().map_or(Ok(()), |relation| self.relation(relation))?;
        self.with(with_clause)?;
        self.list(target_list)?;
        self.list(from_clause)?;
        self.child(where_clause)?;
        self.returning(returning_clause)
    }

    fn delete(&self, delete: &mut pb::DeleteStmt) -> Judged<()> {
        let pb::DeleteStmt { relation, using_clause, where_clause, returning_clause, with_clause } =
            delete;
        relation.as_mut().map_or(Ok(()), |relation| self.relation(relation))?;
        self.with(with_clause)?;
        self.list(using_clause)?;
        self.child(where_clause)?;
        self.returning(returning_clause)
    }

    fn merge(&self, merge: &mut pb::MergeStmt) -> Judged<()> {
        let pb::MergeStmt {
            relation,
            source_relation,
            join_condition,
            merge_when_clauses,
            returning_clause,
            with_clause,
        } = merge;
        relation.as_mut().map_or(Ok(()), |relation| self.relation(relation))?;
        self.with(with_clause)?;
        self.child(source_relation)?;
        self.child(join_condition)?;
        self.list(merge_when_clauses)?;
        self.returning(returning_clause)
    }

    fn merge_when(&self, when: &mut pb::MergeWhenClause) -> Judged<()> {
        let pb::MergeWhenClause {
            match_kind: _,
            command_type: _,
            r#override: _,
            condition,
            target_list,
            values,
        } = when;
        self.child(condition)?;
        self.list(target_list)?;
        self.list(values)
    }
}
