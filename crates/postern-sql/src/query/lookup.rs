//! `column = constant` at the top of a WHERE clause, on a column that may be searched.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, FoundLookup, expression::is_constant, leaf::Shown, scope::Scope};
use crate::{
    LookupValue, Mode, ast,
    refusal::{Judged, refuse},
};

impl Analysis<'_> {
    /// Takes the lookups out of a WHERE clause; they go into their leaves.
    pub(super) fn take_lookups(
        &mut self,
        condition: &mut Option<Box<Node>>,
        scope: &Scope<'_>,
    ) -> Judged<()> {
        if self.resolver.rules.mode == Mode::Accounted {
            return Ok(());
        }
        let Some(node) = condition.take() else { return Ok(()) };
        let mut rest = Vec::new();
        for conjunct in conjuncts(*node) {
            if matches!(conjunct.node, Some(NodeEnum::AExpr(_))) {
                self.charge_names(scope)?;
            }
            match self.as_lookup(&conjunct, scope) {
                None => {
                    self.facts.points.extend(point(&conjunct, scope));
                    rest.push(conjunct);
                }
                Some((leaf, found)) => {
                    self.facts.points.insert(leaf);
                    if let LookupValue::Parameter(number) = found.value {
                        self.uses_parameter(number);
                    }
                    if self.facts.lookups.insert(leaf, found).is_some() {
                        return refuse(
                            "lookup",
                            "a statement may search for one value only",
                            "send one statement for each value",
                        );
                    }
                }
            }
        }
        *condition = conjunction(rest);
        Ok(())
    }

    fn as_lookup(&self, node: &Node, scope: &Scope<'_>) -> Option<(usize, FoundLookup)> {
        let Some(NodeEnum::AExpr(comparison)) = &node.node else { return None };
        if !ast::is_equality(&comparison.name) || self.equality_by_name().is_err() {
            return None;
        }
        let (left, right) = (comparison.lexpr.as_deref()?, comparison.rexpr.as_deref()?);
        let right = match (comparison.kind(), &right.node) {
            (pb::AExprKind::AexprOp, _) => right,
            // `IN (one)` is `= one` (`transformAExprIn`, src/backend/parser/parse_expr.c).
            (pb::AExprKind::AexprIn, Some(NodeEnum::List(list))) => match list.items.as_slice() {
                [one] => one,
                _ => return None,
            },
            _ => return None,
        };
        let (column, constant) =
            if is_constant(Some(right)) { (left, right) } else { (right, left) };
        let value = searched_value(constant)?;
        let (item, column) = scope.column(column)?;
        let source = column.source?;
        let (leaf, attribute) = (source.leaf, source.attribute);
        if item.nullable || !item.rows.searchable.contains(&leaf) {
            return None;
        }
        let build = self.leaves.get(leaf)?;
        let column = build.column(attribute)?;
        let rule = match super::leaf::shown(build.rule, column) {
            Shown::Keyed(_, rule) | Shown::Masked(Some(rule)) => rule,
            Shown::Masked(None) | Shown::Free | Shown::Always => return None,
        };
        if !rule.lookup {
            return None;
        }
        let compared = self.compared_type(column.type_oid)?;
        let constant =
            ast::cast(constant.clone(), ast::type_name("pg_catalog", compared, &[], false));
        Some((leaf, FoundLookup { attribute, constant, value }))
    }

    /// The type that `=` compares a column of the type as; one of those whose equality is that of
    /// `pg_catalog` and can't fail.
    fn compared_type(&self, oid: u32) -> Option<&'static str> {
        let mut kind = self.resolver.catalogue.type_by_oid(oid)?;
        for _ in 0..32 {
            if kind.kind != 'd' {
                break;
            }
            kind = self.resolver.catalogue.type_by_oid(kind.base)?;
        }
        if kind.schema != "pg_catalog" {
            return None;
        }
        match kind.name.as_str() {
            "text" | "varchar" => Some("text"),
            "bpchar" => Some("bpchar"),
            "int2" | "int4" | "int8" => Some("int8"),
            "uuid" => Some("uuid"),
            _ => None,
        }
    }
}

/// The leaf of which a conjunct leaves a few records: `key = constant`, or a short list of them.
fn point(node: &Node, scope: &Scope<'_>) -> Option<usize> {
    /// As many records as are told apart faster by an array than by a hash of the keys.
    const FEW: usize = 20;
    let Some(NodeEnum::AExpr(comparison)) = &node.node else { return None };
    if !ast::is_equality(&comparison.name) {
        return None;
    }
    let (left, right) = (comparison.lexpr.as_deref()?, comparison.rexpr.as_deref()?);
    let column = match comparison.kind() {
        pb::AExprKind::AexprOp if is_constant(Some(right)) => left,
        pb::AExprKind::AexprOp if is_constant(Some(left)) => right,
        pb::AExprKind::AexprIn => match &right.node {
            Some(NodeEnum::List(list)) if list.items.len() <= FEW => left,
            _ => return None,
        },
        _ => return None,
    };
    let column = scope.column(column)?.1;
    // Where the column is masked it tells nothing apart.
    let leaf = column.source.filter(|source| source.identifier)?.leaf;
    column.taint.identifiers.contains(&leaf).then_some(leaf)
}

/// What a constant, a parameter or a plain cast of one searches for.
pub(crate) fn searched_value(node: &Node) -> Option<LookupValue> {
    match node.node.as_ref()? {
        NodeEnum::ParamRef(parameter) => {
            usize::try_from(parameter.number).ok().map(LookupValue::Parameter)
        }
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            pb::a_const::Val::Sval(pb::String { sval }) => {
                Some(LookupValue::Constant(sval.clone()))
            }
            pb::a_const::Val::Ival(pb::Integer { ival }) => {
                Some(LookupValue::Constant(ival.to_string()))
            }
            pb::a_const::Val::Fval(pb::Float { fval }) => Some(LookupValue::Constant(fval.clone())),
            pb::a_const::Val::Boolval(_) | pb::a_const::Val::Bsval(_) => None,
        },
        NodeEnum::TypeCast(cast) => {
            let name = cast.type_name.as_ref()?;
            let names = ast::names(&name.names)?;
            let plain = matches!(
                names.as_slice(),
                ["text" | "varchar" | "uuid" | "int8" | "int4" | "int2"]
                    | ["pg_catalog", "text" | "varchar" | "uuid" | "int8" | "int4" | "int2"]
            );
            let simple = plain && name.typmods.is_empty() && name.array_bounds.is_empty();
            searched_value(cast.arg.as_deref().filter(|_| simple)?)
        }
        _ => None,
    }
}

pub(super) fn conjuncts(node: Node) -> Vec<Node> {
    match node.node {
        Some(NodeEnum::BoolExpr(and)) if and.boolop() == pb::BoolExprType::AndExpr => {
            and.args.into_iter().flat_map(conjuncts).collect()
        }
        _ => vec![node],
    }
}

pub(super) fn conjunction(mut nodes: Vec<Node>) -> Option<Box<Node>> {
    if nodes.len() < 2 {
        return nodes.pop().map(Box::new);
    }
    Some(Box::new(ast::node(NodeEnum::BoolExpr(Box::new(pb::BoolExpr {
        xpr: None,
        boolop: pb::BoolExprType::AndExpr as i32,
        args: nodes,
        location: 0,
    })))))
}
