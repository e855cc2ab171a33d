//! In which order a leaf gives its rows, and what of them is held above it.
//!
//! An index of clear and protected columns, as one of `(country, name)`, gives the rows of one
//! country in the order of their names, and the server takes them from it wherever it likes that
//! plan; a partitioned table gives them partition by partition. What is above can tell that order
//! in many ways: by what comes first, by which rows a LIMIT leaves, by which of two equal rows a
//! hash table has first, by which of two errors is met. So a leaf of such a table gives its rows
//! in the order of their keys. Conditions on clear columns go into it all the same.
//!
//! What the server holds of a row, to sort or to join it, it holds in memory of a certain size:
//! when that is too small, rows come in another order, and by when it is one would read how long
//! a protected value is. So where rows can be held, what is shown of them is made where they are
//! read: the values of a sub-select on the side of an outer join that can be absent are (as
//! `PlaceHolderVar`, src/backend/optimizer/README, "Placeholder vars"), and here the server sees
//! that the side is never absent, and leaves the join out.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{LeafBuild, Shown, shown};
use crate::{
    Mode, TableRule, ast,
    catalogue::{Column, Relation},
    query::{
        Analysis,
        scope::Scope,
        select::{Clauses, Place},
        target::Outputs,
    },
    taint::Taint,
};

/// Types that can be sorted of which no two equal values look different.
const SORTED: [&str; 8] =
    ["bool", "date", "int2", "int4", "int8", "timestamp", "timestamptz", "uuid"];

impl Analysis<'_> {
    /// Whether the order in which the server finds a leaf's rows can tell of protected columns.
    pub(in crate::query) fn tells_by_order(&self, relation: &Relation, rule: &TableRule) -> bool {
        let accounted = self.resolver.rules.mode == Mode::Accounted;
        relation.columns.iter().filter(|column| column.orders).any(|column| {
            match shown(rule, column) {
                Shown::Free => false,
                // What is shown to all of the role, or, to accounted ones, what is recorded if it
                // comes: a client need not take all rows.
                Shown::Always => accounted,
                Shown::Keyed(..) | Shown::Masked(_) => true,
            }
        })
    }

    /// What the leaf's rows are sorted by, where the order in which they are found tells.
    /// Rows that a restricted role locks are its own: it knows what they hold, and sorting all of
    /// them would lock all of them.
    pub(super) fn leaf_order(&self, leaf: usize, build: &LeafBuild<'_>) -> Vec<Node> {
        if self.locks_own(leaf, build) || !self.tells_by_order(build.relation, build.rule) {
            return Vec::new();
        }
        let columns = &build.relation.columns;
        let free = |column: &&Column| matches!(shown(build.rule, column), Shown::Free);
        if let Some(primary) = columns.iter().filter(free).find(|column| column.primary) {
            return vec![by(&primary.name)];
        }
        // What is tied is to look the same in all that can be shown.
        let subject = build.subject().into_iter();
        let rest = || columns.iter().filter(free).filter(|c| c.name != build.rule.subject);
        let unique = rest().filter(|column| column.unique);
        let named = subject.chain(unique).chain(rest().filter(|column| !column.unique));
        let mut sorts: Vec<Node> = named.map(|column| self.by_look(column)).collect();
        sorts.push(by("ctid"));
        sorts
    }

    /// An order of a column's values in which those that are equal look the same.
    fn by_look(&self, column: &Column) -> Node {
        let value = ast::column(&["b", &column.name]);
        let own = self.resolver.catalogue.type_by_oid(column.type_oid);
        let sorts =
            own.is_some_and(|own| own.schema == "pg_catalog" && SORTED.contains(&&*own.name));
        if sorts {
            return sort_by(value);
        }
        let text = ast::cast(value, ast::type_name("pg_catalog", "text", &[], false));
        sort_by(ast::collate(text, ["pg_catalog", "C"]))
    }

    /// Notes whether rows can be held above the leaves of a select.
    pub(in crate::query) fn note_held(
        &mut self,
        select: &pb::SelectStmt,
        scope: &Scope<'_>,
        place: Place,
        folds: bool,
    ) {
        // What is volatile or dear is computed after the rows are sorted, others before.
        let sorts = !select.sort_clause.is_empty();
        let alone = place == Place::Top && scope.items.len() <= 1;
        self.facts.held |= !alone || folds || sorts || !select.distinct_clause.is_empty();
    }

    /// Has rows that were made different come in the order of what they show: where protected
    /// values are hashed, which come first hangs on those that do not come.
    pub(in crate::query) fn sort_different(&self, sorts: &mut Vec<Node>, shown: &Outputs) {
        if self.hashes(&shown.whole()) && shown.open.is_none() {
            let places = (1..).take(shown.columns.len()).map(ast::integer);
            sorts.extend(places.map(sort_by));
        }
    }

    /// The same of what a select makes different or groups; of groups, by what they are of.
    pub(in crate::query) fn sort_hashed(
        &self,
        select: &mut pb::SelectStmt,
        shown: &Outputs,
        clauses: &Clauses,
    ) {
        if clauses.distinct {
            return self.sort_different(&mut select.sort_clause, shown);
        }
        let simple = |node: &Node| !matches!(node.node, Some(NodeEnum::GroupingSet(_)));
        // What hangs on a primary key was added to what the client groups by.
        let added = select.group_clause.len() > clauses.groups.len()
            && self.resolver.rules.mode == Mode::Accounted;
        if (added || clauses.groups.iter().any(|group| self.hashes(group)))
            && select.group_clause.iter().all(simple)
        {
            select.sort_clause.extend(select.group_clause.iter().cloned().map(sort_by));
        }
    }

    fn hashes(&self, taint: &Taint) -> bool {
        self.resolver.rules.mode == Mode::Accounted && !taint.protected.is_empty()
    }

    /// Whether what is shown of the leaf is to be made where its rows are read: the server has to
    /// be told, unless they are sorted there.
    pub(super) fn is_held(&self, leaf: usize, order: &[Node]) -> bool {
        self.known.held && order.is_empty() && !self.is_locked(leaf)
    }
}

/// The sub-select with its rows in an order.
pub(super) fn sorted(mut select: Node, order: Vec<Node>) -> Node {
    if let Some(NodeEnum::SelectStmt(select)) = select.node.as_mut() {
        select.sort_clause = order;
    }
    select
}

/// `SELECT l.… FROM (SELECT) o LEFT JOIN (…, b.tableoid AS tableoid …) l ON true WHERE l.tableoid
/// IS NOT NULL`, which is the same as the sub-select.
pub(super) fn made_where_read(mut select: Node, columns: &[Column]) -> Node {
    const SYSTEM: &str = "tableoid";
    if let Some(NodeEnum::SelectStmt(select)) = select.node.as_mut() {
        select.target_list.push(ast::target(SYSTEM, ast::column(&["b", SYSTEM])));
    }
    let aliased = |select: Node, name: &str| {
        Box::new(ast::node(NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
            lateral: false,
            subquery: Some(Box::new(select)),
            alias: Some(pb::Alias { aliasname: name.to_owned(), colnames: Vec::new() }),
        }))))
    };
    let joined = ast::node(NodeEnum::JoinExpr(Box::new(pb::JoinExpr {
        jointype: pb::JoinType::JoinLeft as i32,
        is_natural: false,
        larg: Some(aliased(ast::select(Vec::new(), Vec::new(), None), "o")),
        rarg: Some(aliased(select, "l")),
        using_clause: Vec::new(),
        join_using_alias: None,
        quals: Some(Box::new(ast::truth())),
        alias: None,
        rtindex: 0,
    })));
    let there = ast::node(NodeEnum::NullTest(Box::new(pb::NullTest {
        xpr: None,
        arg: Some(Box::new(ast::column(&["l", SYSTEM]))),
        nulltesttype: pb::NullTestType::IsNotNull as i32,
        argisrow: false,
        location: 0,
    })));
    let targets = columns.iter().map(|column| &column.name);
    let targets = targets.map(|name| ast::target(name, ast::column(&["l", name]))).collect();
    ast::select(targets, vec![joined], Some(there))
}

fn by(column: &str) -> Node {
    sort_by(ast::column(&["b", column]))
}

fn sort_by(node: Node) -> Node {
    ast::node(NodeEnum::SortBy(Box::new(pb::SortBy {
        node: Some(Box::new(node)),
        sortby_dir: pb::SortByDir::SortbyDefault as i32,
        sortby_nulls: pb::SortByNulls::SortbyNullsDefault as i32,
        ..pb::SortBy::default()
    })))
}
