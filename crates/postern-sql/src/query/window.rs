//! Window functions, which put what other rows hold into a row.
//!
//! A row carries the keys of its own records only. So a value of another record may come in by what
//! an aggregate could show as well (a sum, a count: folded, see [`super::grouping`]), or from rows
//! of the same subject: where the window is partitioned by the subject's column. What would pick
//! another record's value (`lag`, `first_value`, a frame that ends before or after the row) is
//! refused.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, asked::beside_windows, grouping::unaccounted, scope::Scope};
use crate::{
    KeyType, Mode, ast,
    functions::Kind,
    refusal::{Judged, not_understood},
    taint::Taint,
};

/// The window functions of one select.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// What its WINDOW clause defines, by name.
    named: BTreeMap<String, Built>,
    uses: Vec<WindowUse>,
}

/// What a window's definition says together with those that it is built on.
#[derive(Debug, Clone, Default)]
struct Built {
    /// Leaves whose rows it sees of one subject at a time.
    own: BTreeSet<usize>,
    /// The leaves of a UNION ALL's arms of which it sees the rows of one subject at a time.
    whose: BTreeSet<usize>,
    /// Its frame ends elsewhere than at the partition's ends or the row itself.
    framed: bool,
    /// Its frame reaches so far in values, not in rows: with `RANGE BETWEEN 1 FOLLOWING AND 1
    /// FOLLOWING` over keys it holds the one record whose key comes next.
    reaches: bool,
    /// Leaves whose keys order its rows.
    ordered: BTreeSet<usize>,
    /// Its rows are ordered.
    sorted: bool,
}

/// A use of a window function, until it is known which leaves' rows it sees one by one.
#[derive(Debug)]
pub(super) struct WindowUse {
    values: Taint,
    /// Leaves that decide which rows count.
    filters: BTreeSet<usize>,
    /// Leaves whose rows it sees of one subject at a time.
    own: BTreeSet<usize>,
    /// Its value is one other row's, or can be told from a few.
    picks: bool,
    /// It hangs on an order of the rows.
    ordered: bool,
    /// The call, where its value is one other row's: of that row's key it gives the key.
    moves: Option<pb::FuncCall>,
}

/// A hidden column with the key of the row whose value a window function gives, and its leaf.
pub(super) type Moved = (Node, usize);

impl Windows {
    pub(super) fn uses(&self) -> &[WindowUse] {
        &self.uses
    }
}

// PostgreSQL's FRAMEOPTION_* bits.
const RANGE: i32 = 0x2;
pub(super) const ROWS: i32 = 0x4;
pub(super) const START_UNBOUNDED_PRECEDING: i32 = 0x20;
const END_UNBOUNDED_FOLLOWING: i32 = 0x100;
const START_CURRENT_ROW: i32 = 0x200;
const END_CURRENT_ROW: i32 = 0x400;
pub(super) const EXCLUDE: i32 = 0x38000;

/// Whether a frame's ends are the partition's or the row itself.
fn whole_frame(options: i32) -> bool {
    let has = |bits: i32| options & bits != 0;
    has(START_UNBOUNDED_PRECEDING | START_CURRENT_ROW)
        && has(END_UNBOUNDED_FOLLOWING | END_CURRENT_ROW)
        && !has(EXCLUDE)
}

impl Analysis<'_> {
    /// Those of a select with this WINDOW clause. A window can be built on those before it only,
    /// so that each is looked at once, however many calls name it.
    pub(super) fn windows_of(&self, clause: &[Node], scope: &Scope<'_>) -> Judged<Windows> {
        let mut named = BTreeMap::new();
        for node in clause {
            let Some(NodeEnum::WindowDef(window)) = &node.node else {
                return not_understood("this kind of window");
            };
            let built = self.built(window, &window.refname, &named, scope)?;
            if named.insert(window.name.clone(), built).is_some() {
                return not_understood("two windows of one name");
            }
        }
        Ok(Windows { named, uses: Vec::new() })
    }

    fn built(
        &self,
        window: &pb::WindowDef,
        base: &str,
        named: &BTreeMap<String, Built>,
        scope: &Scope<'_>,
    ) -> Judged<Built> {
        let mut built = match named.get(base) {
            Some(base) => base.clone(),
            None if base.is_empty() => Built::default(),
            None => return not_understood("a window that is not defined"),
        };
        for node in &window.partition_clause {
            self.charge_names(scope)?;
            built.own.extend(self.subject_of(node, scope));
            built.whose.extend(scope.column(node).iter().flat_map(|(_, column)| &column.whose));
        }
        for node in &window.order_clause {
            self.charge_names(scope)?;
            built.ordered.extend(ordering_keys(sorted(node), scope));
        }
        // A frame of rows hangs on their order, whoever made it.
        built.sorted |= !window.order_clause.is_empty() || window.frame_options & ROWS != 0;
        built.framed |= !whole_frame(window.frame_options);
        built.reaches |= window.frame_options & RANGE != 0
            && (window.start_offset.is_some() || window.end_offset.is_some());
        Ok(built)
    }

    pub(super) fn windowed(
        &mut self,
        mut taint: Taint,
        filters: BTreeSet<usize>,
        kind: Kind,
        (window, scope): (&mut pb::WindowDef, &Scope<'_>),
    ) -> Judged<Taint> {
        self.spoil(&taint);
        self.window(window, scope)?;
        // `OVER w` has the name there, `OVER (w …)` as a reference.
        let base = if window.name.is_empty() { &window.refname } else { &window.name };
        let Built { own, whose, framed, reaches, ordered, sorted } =
            self.built(window, base, &self.windows.named, scope)?;
        told_by_others(taint.leaves.union(&filters), &whose, scope)?;
        let reached = if reaches && scope.records { ordered } else { BTreeSet::new() };
        let picks = framed || matches!(kind, Kind::Window | Kind::Collecting);
        self.charge_columns(scope)?;
        let values = taint.clone();
        self.pinned.extend(&reached);
        self.folded.extend(&reached);
        let ordered = sorted || kind == Kind::Window;
        self.windows.uses.push(WindowUse { values, filters, own, picks, ordered, moves: None });
        taint.plain.clear();
        taint.windowed.clear();
        // It ranks the rows, so it tells them apart.
        if scope.records {
            for item in &scope.items {
                let whole = item.rows.whole();
                // What is folded to groups below that are no records is told apart as those are.
                let there: BTreeSet<usize> = item.rows.leaves().collect();
                let records = |leaf: &&usize| {
                    there.contains(leaf)
                        || whole.identifiers.contains(leaf)
                        || whole.few.contains(leaf)
                };
                let records: BTreeSet<usize> =
                    whole.leaves.iter().filter(records).copied().collect();
                taint.ranked.extend(records.difference(&taint.identifiers));
                taint.identifiers.extend(&records);
                taint.leaves.extend(&whole.leaves);
            }
        }
        Ok(taint)
    }

    /// Notes of the call that was judged last that it gives a value of one other row.
    pub(super) fn moves(&mut self, call: &pb::FuncCall, name: &str) {
        let one = matches!(name, "lag" | "lead" | "first_value" | "last_value" | "nth_value");
        let offset = call.args.get(1).is_none_or(|by| matches!(by.node, Some(NodeEnum::AConst(_))));
        let plain = call.agg_filter.is_none() && call.agg_order.is_empty() && !call.agg_distinct;
        if one && offset && plain {
            let mut moves = call.clone();
            // Beyond the rows there is no key, whatever is given there.
            moves.args.truncate(2);
            if let Some(used) = self.windows.uses.last_mut() {
                used.moves = Some(moves);
            }
        }
    }

    /// The leaf whose subject column an expression is a copy of, if that is so for all rows.
    fn subject_of(&self, node: &Node, scope: &Scope<'_>) -> Option<usize> {
        let (_, column) = scope.column(node)?;
        let source = column.source.filter(|source| source.subject)?;
        let single = self.is_alone(scope, source.leaf);
        // A collation can take different texts for equal.
        let exact = self.leaves.get(source.leaf)?.key_type != KeyType::Text;
        (single && exact).then_some(source.leaf)
    }

    pub(super) fn window(&mut self, window: &mut pb::WindowDef, scope: &Scope<'_>) -> Judged<()> {
        let base = if window.name.is_empty() { &window.refname } else { &window.name };
        let base = self.windows.named.get(base).map_or("", |_| base);
        let whose = self.built(window, base, &self.windows.named, scope)?.whose;
        for node in window.partition_clause.iter_mut().chain(&mut window.order_clause) {
            let plain = scope.is_copy(sorted(node));
            let taint = self.expression(node, scope)?;
            told_by_others(taint.leaves.iter(), &whose, scope)?;
            self.spoil(&taint);
            self.tested.extend(&taint.sides);
            // Of a few rows any column tells which; and where nothing is masked a rank compares
            // protected values, of which the actor may have written one.
            self.pinned.extend(&taint.few);
            if self.resolver.rules.mode == Mode::Accounted {
                self.pinned.extend(taint.protected.iter().map(|(leaf, _)| *leaf));
            }
            if !plain {
                // What is computed of keys can put any two records together: even a count says
                // something of the other.
                self.pinned.extend(&taint.identifiers);
                self.folded.extend(&taint.identifiers);
            }
        }
        let offsets = window.start_offset.as_deref_mut().into_iter();
        let taint = self.all(offsets.chain(window.end_offset.as_deref_mut()), scope)?;
        self.predicate(&taint);
        Ok(())
    }

    /// The leaves whose rows, other than those of one subject, window functions put into an order.
    pub(super) fn ranked(leaves: &BTreeSet<usize>, uses: &[WindowUse]) -> BTreeSet<usize> {
        let ordered = uses.iter().filter(|used| used.ordered);
        ordered.flat_map(|used| leaves.difference(&used.own).copied()).collect()
    }

    /// Checks the window functions of a select that sees the rows of `leaves` one by one. Where
    /// its rows are shown, those of `scope`, so may be the keys of those whose values it gives.
    pub(super) fn fold_windows(
        &mut self,
        leaves: &BTreeSet<usize>,
        uses: &[WindowUse],
        scope: Option<&Scope<'_>>,
    ) -> Judged<Vec<Moved>> {
        self.passes |= !uses.is_empty();
        let mut carried = Vec::new();
        for used in uses {
            self.looked_at(leaves.difference(&used.own).copied())?;
            if used.ordered {
                self.windowed.extend(leaves.difference(&used.own));
            }
            let read = used.values.leaves.union(&used.filters);
            let others = |leaf: &&usize| leaves.contains(leaf) && !used.own.contains(leaf);
            let moved: BTreeSet<usize> = read.filter(others).copied().collect();
            // What is joined to a record, or computed for it, is moved as well as its columns are.
            let more = used.values.names_columns() && leaves.iter().any(|leaf| others(&leaf));
            if used.picks && (more || !moved.is_empty()) {
                match scope.and_then(|scope| keys_of_moved(used, leaves, scope)) {
                    Some(keys) => carried.extend(keys),
                    None => return unaccounted(),
                }
                continue;
            }
            self.fold(moved, &used.values)?;
        }
        Ok(carried)
    }

    /// Whom a statement asks about is recorded, and no column of theirs: a window may count and
    /// order the rows of `asked` leaves, and give out no value of others' that is protected.
    pub(super) fn shows_nobody_asked(
        &self,
        asked: &BTreeSet<usize>,
        uses: &[WindowUse],
    ) -> Judged<()> {
        let accounted = self.resolver.rules.mode == Mode::Accounted;
        for used in uses {
            let values = &used.values;
            // For restricted roles protected ones are masked.
            let protected = values.protected.iter().filter(|_| accounted);
            let shown = protected.chain(&values.shown).map(|(leaf, _)| leaf);
            if shown.into_iter().any(|leaf| asked.contains(leaf) && !used.own.contains(leaf)) {
                return unaccounted();
            }
        }
        Ok(())
    }

    /// Whether the groups of a select may be single records. It is asked before the clauses are
    /// analysed in their places, and so leaves nothing behind.
    pub(super) fn groups_records(&self, select: &pb::SelectStmt, scope: &Scope<'_>) -> bool {
        let mut queue: Vec<&Node> = select.group_clause.iter().collect();
        while let Some(node) = queue.pop() {
            if let Some(NodeEnum::GroupingSet(set)) = &node.node {
                queue.extend(&set.content);
                continue;
            }
            let in_from = scope.names_column(node);
            let target = target_of(node, select).filter(|_| in_from != Some(true));
            // Where both may be meant, both are looked at.
            let own = (target.is_none() || in_from.is_none()).then_some(node);
            // A number may be that of any column of a `*`.
            let number = |node: &Node| matches!(node.node, Some(NodeEnum::AConst(_)));
            let tells = |node: &Node| number(node) || self.tells_records(node, scope);
            if own.into_iter().chain(target).any(tells) {
                return true;
            }
        }
        false
    }

    /// Whether what is grouped by may tell records apart: it names a column that does, or is more
    /// than columns and what is computed of them. What is refused where it is analysed is so too.
    fn tells_records(&self, node: &Node, scope: &Scope<'_>) -> bool {
        let any = |nodes: &[Node]| nodes.iter().any(|node| self.tells_records(node, scope));
        let one = |node: &Option<Box<Node>>| {
            node.as_deref().is_some_and(|node| self.tells_records(node, scope))
        };
        match node.node.as_ref() {
            Some(NodeEnum::ColumnRef(n)) => {
                let taint = self.reference(&mut n.clone(), scope);
                taint.map_or(true, |taint| !taint.identifiers.is_empty() || taint.sublink)
            }
            Some(NodeEnum::FuncCall(n)) => n.over.is_some() || any(&n.args) || one(&n.agg_filter),
            Some(NodeEnum::TypeCast(n)) => one(&n.arg),
            Some(NodeEnum::CollateClause(n)) => one(&n.arg),
            Some(NodeEnum::CoalesceExpr(n)) => any(&n.args),
            Some(NodeEnum::MinMaxExpr(n)) => any(&n.args),
            Some(NodeEnum::CaseExpr(n)) => one(&n.arg) || any(&n.args) || one(&n.defresult),
            Some(NodeEnum::CaseWhen(n)) => one(&n.expr) || one(&n.result),
            Some(NodeEnum::AExpr(n)) => one(&n.lexpr) || one(&n.rexpr),
            Some(NodeEnum::BoolExpr(n)) => any(&n.args),
            Some(NodeEnum::NullTest(n)) => one(&n.arg),
            Some(NodeEnum::BooleanTest(n)) => one(&n.arg),
            Some(NodeEnum::NamedArgExpr(n)) => one(&n.arg),
            Some(NodeEnum::List(n)) => any(&n.items),
            Some(NodeEnum::AArrayExpr(n)) => any(&n.elements),
            Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::SqlvalueFunction(_)) => {
                false
            }
            _ => true,
        }
    }
}

/// The same window function, of the keys of the row whose value it gives.
fn keys_of_moved(
    used: &WindowUse,
    leaves: &BTreeSet<usize>,
    scope: &Scope<'_>,
) -> Option<Vec<Moved>> {
    let call = used.moves.as_ref()?;
    let others: BTreeSet<usize> = leaves.difference(&used.own).copied().collect();
    let known: BTreeSet<usize> =
        scope.keys().filter(|(_, key)| !key.many).map(|(_, key)| key.leaf).collect();
    let bare = scope.items.iter().any(|item| !item.rows.bare.is_empty());
    if bare || !others.is_subset(&known) {
        return None;
    }
    let keys = scope.keys().filter(|(_, key)| others.contains(&key.leaf));
    let moved = keys.map(|(item, key)| {
        let mut call = call.clone();
        if let Some(first) = call.args.first_mut() {
            *first = ast::column(&[&item.alias, &key.column]);
        }
        (ast::node(NodeEnum::FuncCall(Box::new(call))), key.leaf)
    });
    Some(moved.collect())
}

/// Rows of one arm of a UNION ALL, which carry no key of a leaf of another, must not tell of it:
/// that none of these is named by a window that sees both.
fn told_by_others<'l>(
    mut named: impl Iterator<Item = &'l usize>,
    whose: &BTreeSet<usize>,
    scope: &Scope<'_>,
) -> Judged<()> {
    let padded = &scope.padded() - whose;
    if named.any(|leaf| padded.contains(leaf)) { Err(beside_windows()) } else { Ok(()) }
}

/// The leaves whose keys a column is; what is computed of keys is looked at where it stands.
fn ordering_keys(node: &Node, scope: &Scope<'_>) -> BTreeSet<usize> {
    match scope.column(node) {
        Some((_, column)) => column.taint.identifiers.clone(),
        // A column that a join merged, or one from further out.
        None if matches!(node.node, Some(NodeEnum::ColumnRef(_))) => {
            scope.keys().map(|(_, key)| key.leaf).collect()
        }
        None => BTreeSet::new(),
    }
}

/// What an element of ORDER BY sorts by.
fn sorted(node: &Node) -> &Node {
    match &node.node {
        Some(NodeEnum::SortBy(by)) => by.node.as_deref().unwrap_or(node),
        _ => node,
    }
}

/// The result column that an element of GROUP BY names or numbers.
fn target_of<'s>(node: &Node, select: &'s pb::SelectStmt) -> Option<&'s Node> {
    let targets = select.target_list.iter().map(|target| match &target.node {
        Some(NodeEnum::ResTarget(target)) => Some(target.as_ref()),
        _ => None,
    });
    let mut targets = targets.flatten();
    let target = match &node.node {
        Some(NodeEnum::ColumnRef(reference)) => {
            let names = ast::names(&reference.fields)?;
            targets.find(|target| names.as_slice() == [target.name.as_str()])
        }
        Some(NodeEnum::AConst(pb::AConst {
            val: Some(pb::a_const::Val::Ival(pb::Integer { ival })),
            ..
        })) if !select.target_list.iter().any(is_star) => {
            targets.nth(usize::try_from(*ival).ok()?.checked_sub(1)?)
        }
        _ => None,
    }?;
    target.val.as_deref()
}

pub(super) fn is_star(target: &Node) -> bool {
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return true };
    let last = match target.val.as_deref().and_then(|value| value.node.as_ref()) {
        Some(NodeEnum::ColumnRef(reference)) => reference.fields.last(),
        Some(NodeEnum::AIndirection(indirection)) => indirection.indirection.last(),
        _ => None,
    };
    last.is_some_and(|last| matches!(last.node, Some(NodeEnum::AStar(_))))
}
