//! SELECT: what it reads, which keys its rows carry, and what comes out.

use std::{collections::BTreeSet, mem};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis, CommonState, CommonTable,
    call::has_aggregate,
    carry::carry,
    field::written_names,
    from::{Star, rename},
    grouping::{Aggregate, Groups, leave_out_counted, only_counts},
    links::Links,
    optional::must_be_there,
    pick::certain,
    scope::Scope,
    target::Outputs,
    window::{Moved, WindowUse, Windows},
};
use crate::{
    Mode, ast,
    refusal::{Judged, not_understood, too_many},
    taint::{Column, Rows, Taint},
};

/// PostgreSQL's own limit.
pub(super) const LIST_MAX: usize = 1_664;

/// Definitions of a WINDOW clause.
const WINDOWS_MAX: usize = 100;

/// Common tables that can be named at one place.
const COMMONS_MAX: usize = 500;

/// Where a select stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the statement.
    Top,
    /// It is an arm of the UNION ALL that is the statement.
    Arm,
    /// It gives rows to a FROM clause: keys are carried behind its columns.
    Nested,
    /// Its rows are folded by what is around it: no keys are carried.
    Bare,
    /// The same, and nothing becomes of them but their number.
    Counted,
}

impl Place {
    pub(super) fn nested(self) -> Self {
        match self {
            Self::Top | Self::Arm | Self::Nested => Self::Nested,
            Self::Bare | Self::Counted => Self::Bare,
        }
    }
}

/// An alias and a column's name.
pub(super) type Reference = (String, String);

/// What a select's clauses say, until its keys are decided.
pub(super) struct Clauses {
    pub(super) grouped: bool,
    /// Expressions of GROUP BY.
    pub(super) groups: Vec<Taint>,
    /// Alias and column of the group-by columns; empty with grouping sets.
    pub(super) group_columns: Vec<Reference>,
    /// DISTINCT without ON.
    pub(super) distinct: bool,
    /// DISTINCT ON.
    first: bool,
    /// LIMIT, OFFSET or DISTINCT ON picks rows.
    picks: bool,
    /// Leaves whose records what is computed of keys puts into an order.
    sorts: BTreeSet<usize>,
    /// What of own records a page is sorted by.
    paged: Taint,
    /// Leaves by whose columns something is computed that puts rows into an order.
    computed: BTreeSet<usize>,
    /// Leaves of whose rows there are those of one subject only.
    single: BTreeSet<usize>,
    /// The same, or of one subject at a time: whom a row of a select around this one is about.
    pub(super) about: BTreeSet<usize>,
    pub(super) links: Links,
}

impl Analysis<'_> {
    pub(super) fn select(
        &mut self,
        select: &mut pb::SelectStmt,
        outer: Option<&Scope<'_>>,
        place: Place,
    ) -> Judged<Rows> {
        let recursion = self.pending.take();
        let counted = mem::take(&mut self.counted);
        self.with_own_commons(|own| {
            own.with(select.with_clause.as_mut(), outer)?;
            own.join_same_rows(select, place);
            own.locks(select, place);
            match select.op() {
                pb::SetOperation::SetopNone if select.values_lists.is_empty() => {
                    own.plain_select(select, outer, if counted { Place::Counted } else { place })
                }
                pb::SetOperation::SetopNone => own.values(select, outer),
                pb::SetOperation::SetopUnion
                | pb::SetOperation::SetopIntersect
                | pb::SetOperation::SetopExcept => {
                    own.set_operation(select, outer, place, recursion)
                }
                pb::SetOperation::Undefined => not_understood("this kind of set operation"),
            }
        })
    }

    pub(super) fn with(
        &mut self,
        with: Option<&mut pb::WithClause>,
        outer: Option<&Scope<'_>>,
    ) -> Judged<()> {
        let Some(with) = with else { return Ok(()) };
        let mark = self.commons.len();
        if mark + with.ctes.len() > COMMONS_MAX {
            return too_many("54001", "common tables", COMMONS_MAX);
        }
        let mut tables = Vec::new();
        for node in &mut with.ctes {
            let Some(NodeEnum::CommonTableExpr(table)) = node.node.as_mut() else {
                return not_understood("this kind of WITH");
            };
            if with.recursive {
                let name = table.ctename.clone();
                let names = written_names(table);
                let renamed = ast::names(&table.aliascolnames).unwrap_or_default();
                let renamed = renamed.into_iter().map(str::to_owned).collect();
                let (named, state) = (false, CommonState::Later);
                self.commons.push(CommonTable { name, names, renamed, named, state });
            }
            tables.push(table);
        }
        for (index, table) in tables.into_iter().enumerate() {
            let begun = self.commons.get_mut(mark + index).filter(|_| with.recursive);
            let pending = begun.map(|common| {
                common.state = CommonState::Begun;
                mark + index
            });
            let own = |own: &mut Self| own.common_table(table, outer);
            let rows = self.lent(|own| &mut own.pending, pending, own).0?;
            let state = CommonState::Known(Box::new(rows));
            match self.commons.get_mut(mark + index) {
                Some(common) => common.state = state,
                None => self.commons.push(CommonTable {
                    name: table.ctename.clone(),
                    names: Vec::new(),
                    renamed: Vec::new(),
                    named: false,
                    state,
                }),
            }
        }
        Ok(())
    }

    fn common_table(
        &mut self,
        table: &mut pb::CommonTableExpr,
        outer: Option<&Scope<'_>>,
    ) -> Judged<Rows> {
        let query = table.ctequery.as_mut().and_then(|node| node.node.as_mut());
        let mut rows = self.with_own_commons(|own| match query {
            Some(NodeEnum::SelectStmt(select)) => own.select(select, outer, Place::Nested),
            Some(NodeEnum::InsertStmt(insert)) => {
                own.within(insert.relation.as_ref())?;
                own.insert(insert)
            }
            Some(NodeEnum::UpdateStmt(update)) => {
                own.within_unless_told(update.relation.as_ref())?;
                let rows = own.update(update)?;
                own.tell_changed();
                Ok(rows)
            }
            Some(NodeEnum::DeleteStmt(delete)) => {
                own.within_unless_told(delete.relation.as_ref())?;
                let rows = own.delete(delete)?;
                own.tell_changed();
                Ok(rows)
            }
            _ => not_understood("this kind of WITH"),
        })?;
        let names = ast::names(&table.aliascolnames);
        let names: Vec<String> = names.unwrap_or_default().into_iter().map(str::to_owned).collect();
        rename(&mut rows, &names, false)?;
        Ok(rows)
    }

    fn values(&mut self, select: &mut pb::SelectStmt, outer: Option<&Scope<'_>>) -> Judged<Rows> {
        self.facts.held = true;
        let scope = Scope::new(outer);
        let mut rows = Rows::default();
        for list in &mut select.values_lists {
            let Some(NodeEnum::List(list)) = list.node.as_mut() else {
                return not_understood("this kind of VALUES");
            };
            for (index, value) in list.items.iter_mut().enumerate() {
                let mut taint = self.expression(value, &scope)?;
                (taint.local, taint.outer, taint.sublink) = (false, false, false);
                match rows.columns.get_mut(index) {
                    Some(column) => {
                        column.copied &= taint.identifiers.is_empty();
                        column.taint.add(&taint);
                    }
                    None => {
                        let name = format!("column{}", index + 1);
                        rows.columns.push(Column::computed(&name, taint));
                    }
                }
            }
        }
        let outputs = Outputs::from_columns(&rows.columns);
        let judge = |own: &mut Self| {
            own.order(&mut select.sort_clause, &outputs, &scope, None)?;
            own.limits(select, outer)
        };
        let (around, decisions) = self.lent(|own| &mut own.decisions, Taint::default(), judge);
        scope.flows_in(&around?);
        self.flows_from_around(&mut rows, scope.around(), &decisions);
        Ok(rows)
    }

    fn plain_select(
        &mut self,
        select: &mut pb::SelectStmt,
        outer: Option<&Scope<'_>>,
        place: Place,
    ) -> Judged<Rows> {
        let lists = [&select.target_list, &select.sort_clause, &select.group_clause];
        if lists.iter().any(|list| list.len() > LIST_MAX) {
            return too_many("54011", "result columns or sort keys", LIST_MAX);
        }
        if select.window_clause.len() > WINDOWS_MAX {
            return too_many("54001", "windows", WINDOWS_MAX);
        }
        let mut scope = Scope::new(outer);
        let judge = |own: &mut Self| own.judged_select(select, &mut scope, place);
        let (rows, decisions) = self.lent(|own| &mut own.decisions, Taint::default(), judge);
        let mut rows = rows?;
        self.flows_from_around(&mut rows, scope.around(), &decisions);
        Ok(rows)
    }

    fn judged_select(
        &mut self,
        select: &mut pb::SelectStmt,
        scope: &mut Scope<'_>,
        place: Place,
    ) -> Judged<Rows> {
        let counts = only_counts(select);
        if counts {
            leave_out_counted(select);
        }
        self.leave_groups_as_they_are(select);
        self.sort_groups_by_themselves(select);
        self.split_extremes(select, place);
        self.unfold_alone(select, place);
        self.unfold_exists(select, place);
        let mut values = self.join_values(select, place);
        values.extend(self.join_compared(select));
        let sets = self.may_tell_sets(select, place).then(BTreeSet::new);
        let judge = |own: &mut Self| {
            let from = &mut select.from_clause;
            let read = |own: &mut Self| own.read_from_clause(from, scope, place);
            let mut star = own.lent(|own| &mut own.counted, counts, read).0?;
            scope.hide(&values, &mut star);
            let judge = |own: &mut Self| own.beyond_from(select, scope, &mut star, place);
            let (judged, aggregates) = own.lent(|own| &mut own.aggregates, Vec::new(), judge);
            judged.map(|judged| (judged, aggregates))
        };
        let (judged, sets) = self.lent(|own| &mut own.sets, sets, judge);
        let ((outputs, clauses, windows), aggregates) = judged?;
        self.tell_sets(&sets.unwrap_or_default(), &outputs, windows.uses());
        self.sort_hashed(select, &outputs, &clauses);
        let folds = clauses.grouped || !windows.uses().is_empty();
        self.note_held(select, scope, place, folds);
        self.finish(select, scope, outputs, &clauses, (place, &aggregates, windows.uses()))
    }

    /// All clauses but FROM, whose relations are in the scope.
    fn beyond_from(
        &mut self,
        select: &mut pb::SelectStmt,
        scope: &mut Scope<'_>,
        star: &mut Star,
        place: Place,
    ) -> Judged<(Outputs, Clauses, Windows)> {
        self.take_lookups(&mut select.where_clause, scope)?;
        self.charge_conjuncts(select.where_clause.as_deref(), scope)?;
        let optional = must_be_there(select.where_clause.as_deref(), scope, star);
        self.tested.extend(optional);
        let condition = select.where_clause.as_deref();
        let links = self.links(condition, &select.from_clause, scope);
        self.bound(condition, &links, scope);
        let single = self.single_subjects(condition, &links, scope);
        let about = self.about_one(condition, &links, scope);
        if let Some(condition) = select.where_clause.as_deref_mut() {
            let _ = self.condition(condition, scope)?;
        }
        self.group_different(select, scope, place);
        scope.grouped = self.is_grouped(select);
        scope.records = !scope.grouped || self.groups_records(select, scope);
        let windows = self.windows_of(&select.window_clause, scope)?;
        let judge = |own: &mut Self| {
            let outputs = own.targets(&mut select.target_list, star, scope, place)?;
            if !outputs.whole().leaves.is_empty() {
                // Whether a value is NULL is counted.
                own.pinned.extend(scope.items.iter().flat_map(|item| &item.rows.picked));
            }
            let clauses =
                Clauses { single, about, links, ..own.clauses(select, &outputs, (scope, place))? };
            if !matches!(place, Place::Top | Place::Counted) {
                // What is around it can tell by the order of its rows.
                own.pinned.extend(&clauses.sorts);
            }
            Ok((outputs, clauses))
        };
        let (judged, windows) = self.lent(|own| &mut own.windows, windows, judge);
        let (outputs, clauses) = judged?;
        let compared = clauses.compared(&outputs);
        let at_random = !self.is_in_order(select, &outputs, scope);
        // What comes first of them is a look-up where nothing is masked.
        let accounted = self.resolver.rules.mode == Mode::Accounted;
        let passes = select.limit_offset.is_some() || accounted && select.limit_count.is_some();
        let passes = passes && at_random;
        // So are the groups that it leaves out.
        let leaves_out = accounted && select.having_clause.is_some();
        if place != Place::Top || leaves_out || !windows.uses().is_empty() || passes {
            self.groups_tell(&compared);
        }
        if accounted {
            // So is what the groups say of columns that do not come with them.
            self.groups_tell(&outputs.left_out_of(&compared));
        }
        self.sequential |= place == Place::Top && at_random && !compared.protected.is_empty();
        Ok((outputs, clauses, windows))
    }

    pub(super) fn is_grouped(&self, select: &pb::SelectStmt) -> bool {
        let kind = |call: &pb::FuncCall| self.kind_of_call(call);
        !select.group_clause.is_empty()
            || select.having_clause.is_some()
            || select
                .target_list
                .iter()
                .chain(&select.sort_clause)
                .chain(&select.distinct_clause)
                .any(|node| has_aggregate(node, &kind))
    }

    fn clauses(
        &mut self,
        select: &mut pb::SelectStmt,
        outputs: &Outputs,
        (scope, place): (&Scope<'_>, Place),
    ) -> Judged<Clauses> {
        let around = mem::take(&mut self.computed);
        let Groups { taints: groups, columns: mut group_columns, computed: grouped_by } =
            self.groups(&mut select.group_clause, outputs, scope)?;
        if let Some(condition) = select.having_clause.as_deref_mut() {
            let taint = self.expression(condition, scope)?;
            self.predicate(&taint);
        }
        for node in &mut select.window_clause {
            match node.node.as_mut() {
                Some(NodeEnum::WindowDef(window)) => self.window(window, scope)?,
                _ => return not_understood("this kind of window"),
            }
        }
        for group in &groups {
            self.tested.extend(&group.sides);
            self.decisions.add(group);
        }
        let (mut sorts, paged) = self.sort_clause(select, outputs, (scope, place))?;
        // How many groups there are hangs on it, and the server may sort to find them, and give the
        // rows in that order.
        self.pinned.extend(&grouped_by);
        sorts.extend(grouped_by);
        if !group_columns.is_empty() {
            self.group_dependents(select, outputs, scope, &mut group_columns);
        }
        let plain = matches!(select.distinct_clause.as_slice(), [Node { node: None }]);
        if !plain {
            for node in &mut select.distinct_clause {
                sorts.extend(self.sort(node, outputs, (scope, "DISTINCT ON"), None)?);
            }
        }
        if plain {
            self.decisions.add(&outputs.whole());
            let computed = outputs.computed();
            for output in outputs.columns.iter().filter(|output| output.column.source.is_none()) {
                self.spoil(&output.column.taint);
                self.computes_places(&output.column.taint);
            }
            self.singled.extend(computed.singling());
            let told: BTreeSet<usize> = &computed.few | &computed.identifiers;
            self.pinned.extend(&told);
            sorts.extend(told);
        }
        let computed = mem::replace(&mut self.computed, around);
        scope.flows_in(&self.limits(select, scope.parent)?);
        Ok(Clauses {
            computed,
            grouped: scope.grouped,
            groups,
            group_columns,
            distinct: plain,
            first: !plain && !select.distinct_clause.is_empty(),
            picks: select.limit_count.is_some()
                || select.limit_offset.is_some()
                || !plain && !select.distinct_clause.is_empty(),
            sorts,
            paged,
            single: BTreeSet::new(),
            about: BTreeSet::new(),
            links: Links::default(),
        })
    }

    /// Decides which keys the rows carry, and appends them.
    fn finish(
        &mut self,
        select: &mut pb::SelectStmt,
        scope: &Scope<'_>,
        outputs: Outputs,
        clauses: &Clauses,
        (place, aggregates, windows): (Place, &[Aggregate], &[WindowUse]),
    ) -> Judged<Rows> {
        let (alone, exact) = (|leaf| self.is_alone(scope, leaf), |leaf| self.is_exact(leaf));
        let primary = |source| self.is_primary(source);
        let kept = (&alone as &dyn Fn(usize) -> bool, &exact as &dyn Fn(usize) -> bool);
        let (carried, mut left) = carry(scope, &outputs, (clauses, place), kept, &primary);
        let certain = certain(scope, &carried);
        let mut whole = outputs.whole();
        for group in &clauses.groups {
            whole.add(group);
        }
        let folds = clauses.grouped || clauses.distinct;
        let read = (&whole, aggregates);
        let folded = self.carry_folded(select, scope, (clauses, place, windows), read, &mut left);
        self.spoil_folded(aggregates, (&carried, &folded), &left);
        if folds {
            self.fold_rows(&left, &whole, (place, aggregates), &outputs)?;
        }
        let rowwise = carried.iter().map(|(_, _, leaf)| *leaf);
        let single = rowwise.clone().filter(|l| clauses.single.contains(l));
        let single: BTreeSet<usize> = single.collect();
        let rowwise = rowwise.chain(left.iter().copied().filter(|_| !clauses.grouped));
        let rowwise = rowwise.filter(|leaf| !single.contains(leaf)).collect();
        let (ranked, moved) = self.rank(&rowwise, windows, (clauses, place, scope))?;
        let lost = whole.protected.iter().filter(|(leaf, _)| left.contains(leaf)).copied();
        self.spoil(&Taint { protected: lost.collect(), ..Taint::default() });
        // How many DISTINCT ON and WITH TIES leave hangs on what they compare.
        let compares = clauses.first || select.limit_option() == pb::LimitOption::WithTies;
        let compares = compares && !clauses.sorts.is_empty();
        let counted = place == Place::Counted && !folds && !compares;
        let picked = if clauses.picks && counted { left.clone() } else { BTreeSet::new() };
        let rows = carried.iter().map(|(_, _, leaf)| *leaf).chain(folded.leaves());
        let rows = rows.chain(left.iter().copied().filter(|_| !folds));
        let rows = rows.filter(|_| !counted).collect();
        let sorts = &clauses.sorts | &scope.padded();
        let few = self.pick(select, place, &rows, (&single, &sorts))?;
        let mut padded = scope.padded();
        // There is a row where there is no record, too.
        padded.extend(folded.leaves());
        let joined = if folds { BTreeSet::new() } else { self.joined(scope, clauses, &carried) };
        let paged = self.keys_of_page(select, &outputs, (&clauses.paged, &carried));
        let keys = self.append_keys(select, (carried, folded), (moved, paged));
        let mut given = Rows {
            keys,
            picked,
            bare: if folds { BTreeSet::new() } else { left },
            searchable: scope
                .items
                .iter()
                .filter(|item| !folds && !clauses.picks && windows.is_empty() && !item.nullable)
                .flat_map(|item| item.rows.searchable.iter().copied())
                .collect(),
            certain,
            single,
            about: clauses.about.clone(),
            padded,
            joined,
            ..outputs.into_rows()
        };
        given.leave_few(&few);
        given.rank(&ranked);
        Ok(given)
    }

    /// What windows read of the rows of `leaves`; those whose rows they put into an order, and
    /// what carries the keys of the rows whose values they give.
    fn rank(
        &mut self,
        leaves: &BTreeSet<usize>,
        windows: &[WindowUse],
        (clauses, place, scope): (&Clauses, Place, &Scope<'_>),
    ) -> Judged<(BTreeSet<usize>, Vec<Moved>)> {
        let shown = place == Place::Top && !clauses.grouped && !clauses.distinct && !clauses.first;
        let moved = self.fold_windows(leaves, windows, shown.then_some(scope))?;
        self.shows_nobody_asked(&(&clauses.single - &clauses.about), windows)?;
        let ranked = Self::ranked(leaves, windows);
        if clauses.picks {
            self.singled.extend(clauses.computed.intersection(&ranked));
        }
        Ok((ranked, moved))
    }
}
