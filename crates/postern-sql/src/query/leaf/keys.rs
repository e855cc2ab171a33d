//! How a leaf tells whether a record is the actor's own: three forms of the same test.
//!
//! They differ in cost only. An array is cheap for one row, and dear for many where a server
//! before PostgreSQL 14 or a generic plan searches it from front to back; there the keys are
//! hashed. A join with the keys would be cheaper still, but to join rows the server may sort them,
//! or hash them: then it holds values that are not shown, and tells how long they are. None of the
//! forms changes which rows there are: a key that is NULL is nobody's. All names are qualified by
//! the aliases `b` and `k`, which nothing outside can see.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{KeySet, KeyType, ast, query::Analysis};

/// Where the test stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// In each column, against an array.
    Inline,
    /// Once for each row, against an array: for few rows.
    Once,
    /// In each column, against what the keys are hashed to: for many rows.
    Hashed,
}

impl Analysis<'_> {
    /// The cheapest form for a leaf with that many columns that hang on the keys.
    pub(super) fn own_test(&self, leaf: usize, columns: usize, held: bool) -> Test {
        let few = self.known.points.contains(&leaf);
        let by_itself = !held && columns > 1 && !self.known.locked.contains(&leaf);
        match (few, by_itself) {
            (true, true) => Test::Once,
            (true, false) => Test::Inline,
            (false, _) if self.known.locked.contains(&leaf) => Test::Inline,
            (false, _) => Test::Hashed,
        }
    }
}

/// The condition in a column; `keys` is the array, needed by the first form only.
pub(super) fn condition(test: Test, subject: &Node, keys: impl FnOnce() -> Node) -> Node {
    match test {
        Test::Inline => is_any(subject.clone(), keys()),
        Test::Hashed => among(subject.clone(), keys()),
        Test::Once => ast::column(&["k", "k"]),
    }
}

/// The table of a leaf together with what the condition looks at.
pub(super) fn beside(test: Test, base: Node, subject: Node, keys: impl FnOnce() -> Node) -> Node {
    if test != Test::Once {
        return base;
    }
    let right = ast::node(NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
        lateral: true,
        subquery: Some(Box::new(once(is_any(subject, keys())))),
        alias: Some(alias()),
    })));
    ast::node(NodeEnum::JoinExpr(Box::new(pb::JoinExpr {
        jointype: pb::JoinType::JoinInner as i32,
        is_natural: false,
        larg: Some(Box::new(base)),
        rarg: Some(Box::new(right)),
        using_clause: Vec::new(),
        join_using_alias: None,
        quals: None,
        alias: None,
        rtindex: 0,
    })))
}

fn is_any(subject: Node, keys: Node) -> Node {
    ast::equal(pb::AExprKind::AexprOpAny, subject, keys)
}

/// `subject IN (SELECT k.k FROM unnest(…) k)`, of which the server makes a hash table.
fn among(subject: Node, keys: Node) -> Node {
    let select =
        ast::select(vec![ast::target("k", ast::column(&["k", "k"]))], vec![unnested(keys)], None);
    ast::node(NodeEnum::SubLink(Box::new(pb::SubLink {
        xpr: None,
        sub_link_type: pb::SubLinkType::AnySublink as i32,
        sub_link_id: 0,
        testexpr: Some(Box::new(subject)),
        oper_name: vec![ast::string("pg_catalog"), ast::string("=")],
        subselect: Some(Box::new(select)),
        location: 0,
    })))
}

fn unnested(keys: Node) -> Node {
    let call = ast::call("unnest", vec![keys]);
    let items = vec![call, Node { node: None }];
    ast::node(NodeEnum::RangeFunction(pb::RangeFunction {
        functions: vec![ast::node(NodeEnum::List(pb::List { items }))],
        alias: Some(alias()),
        ..pb::RangeFunction::default()
    }))
}

fn alias() -> pb::Alias {
    pb::Alias { aliasname: "k".to_owned(), colnames: Vec::new() }
}

/// `SELECT … AS k OFFSET 0`, which the server does not merge into the query around it and so does
/// not evaluate for each column.
fn once(test: Node) -> Node {
    ast::node(NodeEnum::SelectStmt(Box::new(pb::SelectStmt {
        target_list: vec![ast::target("k", test)],
        limit_offset: Some(Box::new(ast::integer(0))),
        limit_option: pb::LimitOption::Count as i32,
        op: pb::SetOperation::SetopNone as i32,
        ..pb::SelectStmt::default()
    })))
}

/// The column that the keys are compared with.
pub(in crate::query) fn subject(alias: &str, column: &str, key_type: KeyType) -> Node {
    let subject = ast::column(&[alias, column]);
    if key_type == KeyType::Text {
        // A collation can take different texts for equal; the gateway doesn't.
        ast::collate(subject, ["pg_catalog", "C"])
    } else {
        subject
    }
}

/// The column of a leaf that hangs on a set of keys and shows in the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) set: KeySet,
    pub(super) test: Test,
}
