//! LIMIT, OFFSET and what else leaves rows out by their place.
//!
//! A row that is left out is not recorded. Yet it can decide what comes: whoever skips one row and
//! gets the next knows that there was one. So the rows of a leaf that a predicate has narrowed down
//! to records are not passed over: by no OFFSET, and by nothing in a sub-select, whose rows may be
//! filtered once more. A LIMIT at the end of the statement is none of these: it takes the first
//! rows, which come with their keys, and what would have come after them has decided nothing.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    asked::beside_windows,
    expression::is_constant,
    links::{Links, equality},
    optional::conjuncts,
    scope::Scope,
    select::Place,
};
use crate::{
    KeyType, Refusal, ast,
    passed::{PASSED_MAX, Passed, too_far},
    refusal::{Judged, refusal},
    taint::{Rows, Source, Taint},
};

impl Analysis<'_> {
    /// LIMIT and OFFSET, which name nothing of their select; gives what they name of those around.
    pub(super) fn limits(
        &mut self,
        select: &mut pb::SelectStmt,
        outer: Option<&Scope<'_>>,
    ) -> Judged<Taint> {
        let scope = Scope::new(outer);
        for limit in [&mut select.limit_count, &mut select.limit_offset] {
            let taint = self.all(limit.as_deref_mut(), &scope)?;
            self.predicate(&taint);
        }
        Ok(scope.around())
    }

    /// Rows of `leaves` are left out by their place, in an order that tells the records of `sorts`
    /// apart; of the leaves of `single` they are one subject's. Gives those of which a few rows are
    /// left, which any column tells apart.
    pub(super) fn pick(
        &mut self,
        select: &mut pb::SelectStmt,
        place: Place,
        leaves: &BTreeSet<usize>,
        (single, sorts): (&BTreeSet<usize>, &BTreeSet<usize>),
    ) -> Judged<BTreeSet<usize>> {
        let first = matches!(select.distinct_clause.first(), Some(Node { node: Some(_) }));
        let limited = select.limit_count.is_some() || select.limit_offset.is_some();
        let skips = !is_zero(select.limit_offset.as_deref());
        let told = |leaf: &usize| self.pinned.contains(leaf) || sorts.contains(leaf);
        let told = leaves.difference(single).any(told);
        if place != Place::Top {
            let few = if first || limited { leaves.clone() } else { BTreeSet::new() };
            self.narrowed.extend(&few);
            self.passes |= !few.is_empty();
            return if told && !few.is_empty() { Err(skipped()) } else { Ok(few) };
        }
        self.sequential |= told;
        self.passes |= skips;
        if told && skips {
            self.pass_over(select)?;
        }
        Ok(BTreeSet::new())
    }

    /// What an OFFSET passes over is sent all the same, with as much more of what LIMIT allows: the
    /// gateway takes it away and records it.
    fn pass_over(&mut self, select: &mut pb::SelectStmt) -> Judged<()> {
        let offset = select.limit_offset.as_deref();
        let passed = if let Some(number) = offset.and_then(parameter) {
            Passed::Parameter(number)
        } else if let Some(rows) = offset.and_then(constant).filter(|rows| *rows <= PASSED_MAX) {
            Passed::Constant(rows)
        } else {
            return Err(too_far());
        };
        let bigint = |node| ast::cast(node, ast::type_name("pg_catalog", "int8", &[], false));
        let rows = match passed {
            Passed::Parameter(_) => {
                bigint(select.limit_offset.take().map(|n| *n).unwrap_or_default())
            }
            Passed::Constant(rows) => bigint(ast::constant(&rows.to_string())),
        };
        if let Some(limit) = select.limit_count.as_deref_mut().filter(|limit| !is_null(limit)) {
            // No limit is near the largest number, and none may become greater than that.
            let most = bigint(ast::constant(&(i64::MAX - PASSED_MAX).to_string()));
            let limit_or_most = ast::node(NodeEnum::MinMaxExpr(Box::new(pb::MinMaxExpr {
                op: pb::MinMaxOp::IsLeast as i32,
                args: vec![bigint(limit.clone()), most],
                ..pb::MinMaxExpr::default()
            })));
            // Without an offset none is passed over.
            let or_none = ast::node(NodeEnum::CoalesceExpr(Box::new(pb::CoalesceExpr {
                args: vec![rows.clone(), bigint(ast::integer(0))],
                ..pb::CoalesceExpr::default()
            })));
            *limit = operation("+", limit_or_most, or_none);
        }
        select.limit_offset = match passed {
            // Its type is that of the parameter still.
            Passed::Parameter(_) => Some(Box::new(operation("*", rows, ast::integer(0)))),
            Passed::Constant(_) => None,
        };
        if select.limit_count.is_none() && select.limit_offset.is_none() {
            select.limit_option = pb::LimitOption::Default as i32;
        }
        self.passed = Some(passed);
        Ok(())
    }

    /// A window function reads rows of `leaves` that need not come.
    pub(super) fn looked_at(&self, leaves: impl IntoIterator<Item = usize>) -> Judged<()> {
        if !leaves.into_iter().any(|leaf| self.pinned.contains(&leaf)) {
            return Ok(());
        }
        Err(beside_windows())
    }

    /// For each condition at the top of WHERE its columns are looked for, on both sides and twice.
    pub(super) fn charge_conjuncts(
        &self,
        condition: Option<&Node>,
        scope: &Scope<'_>,
    ) -> Judged<()> {
        let looks = 5 * conjuncts(condition).len();
        (0..looks).try_for_each(|_| self.charge_names(scope))
    }

    /// The leaves of which a select has the rows of one subject only: `key = constant`, where the
    /// key is the subject's or the record's.
    ///
    /// Each of its rows carries that key, so that whatever comes of it names the subject. What an
    /// OFFSET or a window function tells by a row is about a subject that the row names, and
    /// an empty page tells no more than any search that finds nothing.
    pub(super) fn single_subjects(
        &self,
        condition: Option<&Node>,
        links: &Links,
        scope: &Scope<'_>,
    ) -> BTreeSet<usize> {
        let found =
            conjuncts(condition).into_iter().filter_map(|node| self.one_subject(node, scope));
        let mut single: BTreeSet<usize> =
            found.filter(|leaf| self.is_alone(scope, *leaf)).collect();
        let below = scope.items.iter().filter(|item| !item.nullable);
        let below = below.flat_map(|item| item.rows.single.iter().copied());
        single.extend(below.filter(|leaf| self.is_alone(scope, *leaf)));
        // What is joined by the subject to one of those is of the same subjects.
        let known: Vec<usize> = single.iter().copied().collect();
        single.extend(known.into_iter().flat_map(|leaf| links.joined_to(leaf)));
        single
    }

    /// The leaves of which a select has the rows of one subject at a time: `key = constant`, or the
    /// key is that of a record of the selects around it.
    pub(super) fn about_one(
        &self,
        condition: Option<&Node>,
        links: &Links,
        scope: &Scope<'_>,
    ) -> BTreeSet<usize> {
        let named = |node: &Node| {
            self.subject_around(node, scope).or_else(|| {
                let one = equality(node).and_then(|_| self.one_subject(node, scope))?;
                (self.is_alone(scope, one) && self.is_exact(one)).then_some(one)
            })
        };
        let found = conjuncts(condition).into_iter().filter_map(named);
        let below = scope.items.iter().filter(|item| !item.nullable);
        let below = below.flat_map(|item| item.rows.about.iter().copied());
        let below = below.filter(|leaf| self.is_alone(scope, *leaf));
        // What is joined by the subject to one of those is of the same subject; that one is, too.
        found.chain(below).flat_map(|leaf| links.joined_to(leaf)).collect()
    }

    /// The leaf of this level whose subject is said to be that of a record further out.
    fn subject_around(&self, node: &Node, scope: &Scope<'_>) -> Option<usize> {
        let (one, two) = equality(node)?;
        let of = |own: &Node, outer: &Node| {
            let own = scope.column(own)?.1.source?;
            let here = scope.column(outer).is_some();
            let outer = scope.source(outer).filter(|_| !here)?;
            let exact = self.is_exact(own.leaf) && self.is_exact(outer.leaf);
            let subjects = own.subject && outer.subject && exact;
            (subjects && self.is_alone(scope, own.leaf)).then_some(own.leaf)
        };
        of(one, two).or_else(|| of(two, one))
    }

    /// Notes of which of a select's own leaves a condition leaves those only whom it asks about.
    /// More keys than theirs would show nothing more.
    pub(super) fn bound(&mut self, condition: Option<&Node>, links: &Links, scope: &Scope<'_>) {
        let asked: BTreeSet<usize> = conjuncts(condition)
            .into_iter()
            .filter_map(|node| {
                let Some(NodeEnum::AExpr(comparison)) = &node.node else { return None };
                let question = self.question(comparison, scope)?;
                let sides = [comparison.lexpr.as_deref(), comparison.rexpr.as_deref()];
                let (item, _) = sides.into_iter().flatten().find_map(|side| scope.column(side))?;
                (question.holds_of_them && item.leaf == Some(question.leaf))
                    .then_some(question.leaf)
            })
            .collect();
        let own = |leaf: &usize| scope.items.iter().any(|item| item.leaf == Some(*leaf));
        for leaf in asked {
            self.bounded.extend(links.joined_to(leaf).into_iter().filter(own));
        }
    }

    fn one_subject(&self, node: &Node, scope: &Scope<'_>) -> Option<usize> {
        let Some(NodeEnum::AExpr(comparison)) = &node.node else { return None };
        if let Some(question) = self.question(comparison, scope) {
            let sides = [comparison.lexpr.as_deref(), comparison.rexpr.as_deref()];
            // It may ask about a row of the select around this one.
            let own = sides.into_iter().flatten().any(|side| scope.column(side).is_some());
            return (own && question.holds_of_them).then_some(question.leaf);
        }
        let names = ast::names(&comparison.name)?;
        if comparison.kind() != pb::AExprKind::AexprOp || names.last() != Some(&"=") {
            return None;
        }
        let (left, right) = (comparison.lexpr.as_deref()?, comparison.rexpr.as_deref()?);
        let (column, constant) = match (is_constant(Some(left)), is_constant(Some(right))) {
            (false, true) => (left, right),
            (true, false) => (right, left),
            _ => return None,
        };
        let (_, column) = scope.column(column)?;
        let source = column.source?;
        // Where the column is masked it tells nothing apart.
        let clear = column.taint.identifiers.contains(&source.leaf);
        // A collation can take different texts for equal, but none of a unique column.
        let text = self.leaves.get(source.leaf)?.key_type == KeyType::Text;
        let one = source.subject && !text || self.is_primary(source);
        (clear && one && self.has_type(constant, source)).then_some(source.leaf)
    }

    /// Whether a constant is compared in the type of a column: in another (`bigint` in `float8`)
    /// several of its values can be equal. What is declared of a parameter is not known here.
    fn has_type(&self, constant: &Node, source: Source) -> bool {
        let cast = match &constant.node {
            // Its type is taken from the column, or it is a number, which is compared exactly.
            Some(NodeEnum::AConst(_)) => return true,
            Some(NodeEnum::TypeCast(cast)) => cast.type_name.as_ref(),
            _ => None,
        };
        let plain = cast.filter(|name| name.typmods.is_empty() && name.array_bounds.is_empty());
        let names = plain.and_then(|name| ast::names(&name.names));
        let cast = names.and_then(|names| self.resolver.named_type(&names));
        let column = self.leaves.get(source.leaf).and_then(|leaf| leaf.column(source.attribute));
        let Some((cast, column)) = cast.zip(column) else { return false };
        let is_integer = |oid: &u32| {
            let found = self.resolver.catalogue.type_by_oid(*oid);
            found.is_some_and(|found| {
                found.schema == "pg_catalog" && matches!(&*found.name, "int2" | "int4" | "int8")
            })
        };
        cast.oid == column.type_oid || [cast.oid, column.type_oid].iter().all(is_integer)
    }
}

impl Rows {
    /// The leaves whose rows are in it one by one.
    pub(super) fn leaves(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().map(|key| key.leaf).chain(self.bare.iter().copied())
    }

    /// A window function has put the rows of these leaves into an order.
    pub(super) fn rank(&mut self, leaves: &BTreeSet<usize>) {
        let columns = self.columns.iter_mut().map(|column| &mut column.taint);
        for taint in columns.chain(self.open.as_mut()) {
            taint.windowed.extend(taint.plain.intersection(leaves));
        }
    }

    /// A few rows of these leaves are left.
    pub(super) fn leave_few(&mut self, leaves: &BTreeSet<usize>) {
        let columns = self.columns.iter_mut().map(|column| &mut column.taint);
        for taint in columns.chain(self.open.as_mut()) {
            taint.few.extend(taint.leaves.intersection(leaves));
        }
    }
}

/// The leaves of which each row carries a key that is not NULL, by what carries keys: alias, column
/// and leaf.
pub(super) fn certain(scope: &Scope<'_>, carried: &[(String, String, usize)]) -> BTreeSet<usize> {
    let is_certain = |(alias, _, leaf): &&(String, String, usize)| {
        let mut items = scope.items.iter().filter(|item| item.alias == *alias);
        items.any(|item| !item.nullable && item.rows.certain.contains(leaf))
    };
    carried.iter().filter(is_certain).map(|(_, _, leaf)| *leaf).collect()
}

/// Whether an OFFSET passes no row over.
fn is_zero(offset: Option<&Node>) -> bool {
    match offset.map(|node| &node.node) {
        None => true,
        Some(Some(NodeEnum::AConst(constant))) => {
            let zero = pb::a_const::Val::Ival(pb::Integer { ival: 0 });
            constant.isnull || constant.val == Some(zero)
        }
        Some(_) => false,
    }
}

/// The number of a parameter, or of one that is cast.
fn parameter(node: &Node) -> Option<usize> {
    match node.node.as_ref()? {
        NodeEnum::ParamRef(parameter) => usize::try_from(parameter.number).ok(),
        NodeEnum::TypeCast(cast) => parameter(cast.arg.as_deref()?),
        _ => None,
    }
}

/// Whether it is NULL, as `LIMIT ALL` is.
fn is_null(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::AConst(constant)) if constant.isnull)
}

/// A number that is written as one.
fn constant(node: &Node) -> Option<i64> {
    match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            pb::a_const::Val::Ival(number) => Some(number.ival.into()),
            pb::a_const::Val::Sval(text) => text.sval.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn operation(symbol: &str, left: Node, right: Node) -> Node {
    ast::node(NodeEnum::AExpr(Box::new(pb::AExpr {
        kind: pb::AExprKind::AexprOp as i32,
        name: vec![ast::string("pg_catalog"), ast::string(symbol)],
        lexpr: Some(Box::new(left)),
        rexpr: Some(Box::new(right)),
        rexpr_list_start: 0,
        rexpr_list_end: 0,
        location: 0,
    })))
}

/// What is said where rows of a few records are passed over and not recorded.
pub(crate) fn skipped() -> Refusal {
    refusal(
        "folded_lookup",
        "rows of single records can't be passed over: what LIMIT leaves out in a sub-select, and \
         what OFFSET skips in a cursor or in COPY, can't be accounted",
        "put LIMIT at the end of the statement, go on by the last key (WHERE id > last ORDER BY id \
         LIMIT n), or narrow down to one customer (WHERE key = value)",
    )
}
