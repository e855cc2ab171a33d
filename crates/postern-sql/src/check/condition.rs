//! Conditions over values that are about to be stored, as far as they can be told without the
//! server: comparisons of texts with constants, NULL tests, AND, OR and NOT. What is not
//! understood is [`Truth::Unknown`], which nothing relies on.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Given, Known, Parameter};
use crate::ast;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Equal(Given, Given),
    IsNull(Given),
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    Null,
    Unknown,
}

impl Condition {
    /// Reads a condition whose columns have the values that `value` says.
    pub(crate) fn read(node: &Node, value: &dyn Fn(&str) -> Given) -> Self {
        let read = |nodes: &[Node]| nodes.iter().map(|node| Self::read(node, value)).collect();
        match &node.node {
            Some(NodeEnum::BoolExpr(expression)) => match expression.boolop() {
                pb::BoolExprType::AndExpr => Self::And(read(&expression.args)),
                pb::BoolExprType::OrExpr => Self::Or(read(&expression.args)),
                pb::BoolExprType::NotExpr => Self::Not(Box::new(Self::And(read(&expression.args)))),
                pb::BoolExprType::Undefined => Self::Unknown,
            },
            Some(NodeEnum::NullTest(test)) if !test.argisrow => {
                let given = test.arg.as_deref().map_or(Given::Unknown, |arg| given(arg, value));
                match test.nulltesttype() {
                    pb::NullTestType::IsNull => Self::IsNull(given),
                    pb::NullTestType::IsNotNull => Self::Not(Box::new(Self::IsNull(given))),
                    pb::NullTestType::Undefined => Self::Unknown,
                }
            }
            Some(NodeEnum::AExpr(comparison)) => compared(comparison, value),
            _ => Self::Unknown,
        }
    }

    /// Whether it certainly does not hold: it is false, or NULL.
    pub(super) fn fails(&self, parameters: &[Parameter<'_>]) -> bool {
        matches!(self.truth(parameters), Truth::False | Truth::Null)
    }

    fn truth(&self, parameters: &[Parameter<'_>]) -> Truth {
        match self {
            Self::And(parts) => worst(parts, parameters, Truth::False, Truth::True),
            Self::Or(parts) => worst(parts, parameters, Truth::True, Truth::False),
            Self::Not(part) => match part.truth(parameters) {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                same @ (Truth::Null | Truth::Unknown) => same,
            },
            Self::Equal(left, right) => match (left.known(parameters), right.known(parameters)) {
                (Known::Null, _) | (_, Known::Null) => Truth::Null,
                (Known::Unknown, _) | (_, Known::Unknown) => Truth::Unknown,
                (Known::Text(left), Known::Text(right)) if left == right => Truth::True,
                (Known::Text(_), Known::Text(_)) => Truth::False,
            },
            Self::IsNull(given) => match given.known(parameters) {
                Known::Null => Truth::True,
                Known::Text(_) => Truth::False,
                Known::Unknown => Truth::Unknown,
            },
            Self::Unknown => Truth::Unknown,
        }
    }

    pub(super) fn numbers(&self, numbers: &mut BTreeSet<usize>) {
        match self {
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().for_each(|part| part.numbers(numbers));
            }
            Self::Not(part) => part.numbers(numbers),
            Self::Equal(left, right) => {
                left.number(numbers);
                right.number(numbers);
            }
            Self::IsNull(given) => given.number(numbers),
            Self::Unknown => {}
        }
    }
}

/// One part that is `decides` decides; what is not known may be that.
fn worst(
    parts: &[Condition],
    parameters: &[Parameter<'_>],
    decides: Truth,
    otherwise: Truth,
) -> Truth {
    let truths: Vec<Truth> = parts.iter().map(|part| part.truth(parameters)).collect();
    [decides, Truth::Unknown, Truth::Null]
        .into_iter()
        .find(|truth| truths.contains(truth))
        .unwrap_or(otherwise)
}

fn compared(comparison: &pb::AExpr, value: &dyn Fn(&str) -> Given) -> Condition {
    let (Some(left), Some(right)) = (comparison.lexpr.as_deref(), comparison.rexpr.as_deref())
    else {
        return Condition::Unknown;
    };
    let negated = match ast::names(&comparison.name).as_deref() {
        _ if ast::is_equality(&comparison.name) => false,
        Some(["<>"] | ["pg_catalog", "<>"]) => true,
        _ => return Condition::Unknown,
    };
    let left = given(left, value);
    let equal = match (comparison.kind(), &right.node) {
        (pb::AExprKind::AexprOp, _) => Condition::Equal(left, given(right, value)),
        (pb::AExprKind::AexprIn, Some(NodeEnum::List(list))) => {
            let one = |node: &Node| Condition::Equal(left.clone(), given(node, value));
            Condition::Or(list.items.iter().map(one).collect())
        }
        _ => return Condition::Unknown,
    };
    if negated { Condition::Not(Box::new(equal)) } else { equal }
}

/// A column's value or a text that stands in the condition.
fn given(node: &Node, value: &dyn Fn(&str) -> Given) -> Given {
    match &node.node {
        Some(NodeEnum::ColumnRef(reference)) => {
            let names = ast::names(&reference.fields);
            names.and_then(|names| names.last().map(|name| value(name))).unwrap_or(Given::Unknown)
        }
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            None => Given::Null,
            Some(pb::a_const::Val::Sval(pb::String { sval })) => Given::Text(sval.clone()),
            Some(_) => Given::Unknown,
        },
        _ => Given::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse_condition;

    /// Whether the condition certainly fails; `opened_by` is $1, `channel` 'web', `ref` NULL.
    fn fails(condition: &str, opened_by: Option<&str>) -> bool {
        let value = |name: &str| match name {
            "opened_by" => Given::Parameter(1),
            "channel" => Given::Text("web".to_owned()),
            "ref" => Given::Null,
            _ => Given::Unknown,
        };
        let parsed = parse_condition(condition).unwrap();
        let parameters = [Parameter { value: opened_by.map(str::as_bytes) }];
        Condition::read(&parsed, &value).fails(&parameters)
    }

    #[test]
    fn what_is_told_is_told_as_postgresql_would() {
        for (condition, opened_by, expected) in [
            ("opened_by = 'customer'", Some("ana"), true),
            ("opened_by = 'customer'", Some("customer"), false),
            ("opened_by = 'customer'", None, true),
            ("opened_by <> 'customer'", Some("customer"), true),
            ("opened_by <> 'customer'", None, true),
            ("NOT opened_by = 'ana'", Some("ana"), true),
            ("opened_by IN ('customer', 'mail')", Some("mail"), false),
            ("opened_by NOT IN ('customer', 'mail')", Some("mail"), true),
            ("ref IS NOT NULL", None, true),
            ("ref IS NULL", None, false),
            ("opened_by = 'customer' AND other = 1", Some("ana"), true),
            ("opened_by = 'customer' AND channel = 'web'", Some("customer"), false),
            ("opened_by = 'customer' OR channel = 'mail'", Some("ana"), true),
        ] {
            assert_eq!(fails(condition, opened_by), expected, "{condition} with {opened_by:?}");
        }
    }

    #[test]
    fn what_can_not_be_told_is_never_taken_to_fail() {
        for condition in [
            "other = 'x'",
            "opened_by = 'customer' OR other = 1",
            "opened_by LIKE 'c%'",
            "lower(opened_by) = 'customer'",
            "NOT (opened_by = 'ana' AND other = 1)",
            "opened_by = ANY('{customer}')",
            "coalesce(opened_by, 'customer') = 'customer'",
            "opened_by IS NOT DISTINCT FROM 'customer'",
        ] {
            assert!(!fails(condition, Some("ana")), "{condition}");
        }
    }
}
