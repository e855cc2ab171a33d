//! Small constructors for the trees that the rewriting adds.

use pg_query::{Node, NodeEnum, protobuf as pb};

pub(crate) fn node(kind: NodeEnum) -> Node {
    Node { node: Some(kind) }
}

pub(crate) fn string(text: &str) -> Node {
    node(NodeEnum::String(pb::String { sval: text.to_owned() }))
}

/// The text of a list of names, if it is nothing but names.
pub(crate) fn names(nodes: &[Node]) -> Option<Vec<&str>> {
    nodes
        .iter()
        .map(|node| match &node.node {
            Some(NodeEnum::String(pb::String { sval })) => Some(sval.as_str()),
            _ => None,
        })
        .collect()
}

/// Whether the name of an operator is that of PostgreSQL's own equality; without a schema it is,
/// as long as nothing but extensions has added another, which is looked at where it is judged.
pub(crate) fn is_equality(name: &[Node]) -> bool {
    matches!(names(name).as_deref(), Some(["="] | ["pg_catalog", "="]))
}

/// The text that is written there, if nothing else is.
pub(crate) fn text(node: &NodeEnum) -> Option<&str> {
    match node {
        NodeEnum::AConst(pb::AConst {
            val: Some(pb::a_const::Val::Sval(pb::String { sval })),
            ..
        }) => Some(sval),
        _ => None,
    }
}

pub(crate) fn constant(text: &str) -> Node {
    let val = Some(pb::a_const::Val::Sval(pb::String { sval: text.to_owned() }));
    node(NodeEnum::AConst(pb::AConst { isnull: false, location: 0, val }))
}

pub(crate) fn null() -> Node {
    node(NodeEnum::AConst(pb::AConst { isnull: true, location: 0, val: None }))
}

pub(crate) fn truth() -> Node {
    boolean(true)
}

pub(crate) fn falsehood() -> Node {
    boolean(false)
}

fn boolean(boolval: bool) -> Node {
    let val = Some(pb::a_const::Val::Boolval(pb::Boolean { boolval }));
    node(NodeEnum::AConst(pb::AConst { isnull: false, location: 0, val }))
}

/// `IS NULL` or `IS NOT NULL`.
pub(crate) fn null_test(arg: Node, kind: pb::NullTestType) -> Node {
    node(NodeEnum::NullTest(Box::new(pb::NullTest {
        arg: Some(Box::new(arg)),
        nulltesttype: kind as i32,
        ..pb::NullTest::default()
    })))
}

pub(crate) fn integer(value: i32) -> Node {
    let val = Some(pb::a_const::Val::Ival(pb::Integer { ival: value }));
    node(NodeEnum::AConst(pb::AConst { isnull: false, location: 0, val }))
}

/// Whether one of these holds; nothing holds of none.
pub(crate) fn any(mut conditions: Vec<Node>) -> Node {
    if conditions.len() == 1
        && let Some(only) = conditions.pop()
    {
        return only;
    }
    node(NodeEnum::BoolExpr(Box::new(pb::BoolExpr {
        xpr: None,
        boolop: pb::BoolExprType::OrExpr as i32,
        args: conditions,
        location: 0,
    })))
}

pub(crate) fn column(names: &[&str]) -> Node {
    let fields = names.iter().map(|name| string(name)).collect();
    node(NodeEnum::ColumnRef(pb::ColumnRef { fields, location: 0 }))
}

pub(crate) fn target(name: &str, value: Node) -> Node {
    node(NodeEnum::ResTarget(Box::new(pb::ResTarget {
        name: name.to_owned(),
        indirection: Vec::new(),
        val: Some(Box::new(value)),
        location: 0,
    })))
}

pub(crate) fn type_name(schema: &str, name: &str, modifiers: &[i32], array: bool) -> pb::TypeName {
    pb::TypeName {
        names: vec![string(schema), string(name)],
        type_oid: 0,
        setof: false,
        pct_type: false,
        typmods: modifiers.iter().map(|modifier| integer(*modifier)).collect(),
        typemod: -1,
        array_bounds: if array {
            vec![node(NodeEnum::Integer(pb::Integer { ival: -1 }))]
        } else {
            Vec::new()
        },
        location: 0,
    }
}

/// Writes a truth value that is given as a text in the form in which it would be printed, and read
/// again: `'t'::bool` is printed as `true`.
pub(crate) fn plain_truth(cast: &mut pb::TypeCast) {
    let is_bool = cast.type_name.as_ref().is_some_and(|name| {
        let names = names(&name.names);
        name.array_bounds.is_empty() && names.is_some_and(|names| names == ["pg_catalog", "bool"])
    });
    let Some(arg) = cast.arg.as_deref_mut() else { return };
    let Some(NodeEnum::AConst(constant)) = arg.node.as_mut() else { return };
    if let Some(pb::a_const::Val::Sval(pb::String { sval })) = &constant.val
        && is_bool
        && matches!(sval.as_str(), "t" | "f")
    {
        let boolval = sval == "t";
        constant.val = Some(pb::a_const::Val::Boolval(pb::Boolean { boolval }));
    }
}

pub(crate) fn cast(value: Node, type_name: pb::TypeName) -> Node {
    let (arg, type_name) = (Some(Box::new(value)), Some(type_name));
    let mut cast = pb::TypeCast { arg, type_name, location: 0 };
    plain_truth(&mut cast);
    node(NodeEnum::TypeCast(Box::new(cast)))
}

/// A call of one of PostgreSQL's own functions.
pub(crate) fn call(name: &str, args: Vec<Node>) -> Node {
    node(NodeEnum::FuncCall(Box::new(pb::FuncCall {
        funcname: vec![string("pg_catalog"), string(name)],
        args,
        funcformat: pb::CoercionForm::CoerceExplicitCall as i32,
        ..pb::FuncCall::default()
    })))
}

/// `left OPERATOR(pg_catalog.=) right`, or `… ANY (right)`.
pub(crate) fn equal(kind: pb::AExprKind, left: Node, right: Node) -> Node {
    node(NodeEnum::AExpr(Box::new(pb::AExpr {
        kind: kind as i32,
        name: vec![string("pg_catalog"), string("=")],
        lexpr: Some(Box::new(left)),
        rexpr: Some(Box::new(right)),
        rexpr_list_start: 0,
        rexpr_list_end: 0,
        location: 0,
    })))
}

/// `left IS NOT DISTINCT FROM right`, of texts: PostgreSQL's own equality, which comes first.
pub(crate) fn same(left: Node, right: Node) -> Node {
    node(NodeEnum::AExpr(Box::new(pb::AExpr {
        kind: pb::AExprKind::AexprNotDistinct as i32,
        name: vec![string("=")],
        lexpr: Some(Box::new(left)),
        rexpr: Some(Box::new(right)),
        rexpr_list_start: 0,
        rexpr_list_end: 0,
        location: 0,
    })))
}

pub(crate) fn collate(text: Node, collation: [&str; 2]) -> Node {
    node(NodeEnum::CollateClause(Box::new(pb::CollateClause {
        arg: Some(Box::new(text)),
        collname: collation.map(string).to_vec(),
        location: 0,
    })))
}

pub(crate) fn case(condition: Node, yes: Node, no: Node) -> Node {
    let when = pb::CaseWhen {
        xpr: None,
        expr: Some(Box::new(condition)),
        result: Some(Box::new(yes)),
        location: 0,
    };
    node(NodeEnum::CaseExpr(Box::new(pb::CaseExpr {
        xpr: None,
        casetype: 0,
        casecollid: 0,
        arg: None,
        args: vec![node(NodeEnum::CaseWhen(Box::new(when)))],
        defresult: Some(Box::new(no)),
        location: 0,
    })))
}

/// `VALUES (expressions)`.
pub(crate) fn values(expressions: Vec<Node>) -> NodeEnum {
    let list = node(NodeEnum::List(pb::List { items: expressions }));
    NodeEnum::SelectStmt(Box::new(pb::SelectStmt {
        values_lists: vec![list],
        limit_option: pb::LimitOption::Default as i32,
        op: pb::SetOperation::SetopNone as i32,
        ..pb::SelectStmt::default()
    }))
}

/// `SELECT targets [FROM from] [WHERE condition]`.
pub(crate) fn select(targets: Vec<Node>, from: Vec<Node>, condition: Option<Node>) -> Node {
    node(NodeEnum::SelectStmt(Box::new(pb::SelectStmt {
        target_list: targets,
        from_clause: from,
        where_clause: condition.map(Box::new),
        ..empty_select()
    })))
}

/// A `SELECT` of nothing.
pub(crate) fn empty_select() -> pb::SelectStmt {
    pb::SelectStmt {
        limit_option: pb::LimitOption::Default as i32,
        op: pb::SetOperation::SetopNone as i32,
        ..pb::SelectStmt::default()
    }
}

/// What is cast to a text by a cast that changes nothing of a text; `None` if it is another node.
pub(crate) fn cast_to_text(node: &Node) -> Option<&Node> {
    let Some(NodeEnum::TypeCast(cast)) = &node.node else { return None };
    let name = cast.type_name.as_ref()?;
    let names = names(&name.names)?;
    let text =
        matches!(names.as_slice(), ["text" | "varchar"] | ["pg_catalog", "text" | "varchar"]);
    let simple = name.typmods.is_empty() && name.array_bounds.is_empty() && !name.setof;
    cast.arg.as_deref().filter(|_| text && simple)
}
