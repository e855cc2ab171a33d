//! That a column which can't be changed is given the value that it has.
//!
//! An ORM's `save()` writes all columns of a record back, changed or not. Such an assignment is
//! written as one of the column to itself, if the given value is what it holds; else the server is
//! asked for a setting that nobody has, and fails, as with a mask ([`super::masked`]). It stands in
//! SET, so it is worked out for rows only that are changed, in their newest version.

use pg_query::{Node, NodeEnum};

use super::{protected::is_free, reach::text_of};
use crate::{
    MaskCheck, Refusal, TableRule, ast,
    catalogue::Column,
    mask::type_of,
    query::{Analysis, scope::Scope},
    refusal::{Judged, not_understood},
};

impl Analysis<'_> {
    /// `column = value`, of a column that can't be changed, of the target under this alias.
    pub(super) fn assigned_same(
        &mut self,
        node: &mut Node,
        (leaf, column): (usize, &Column),
        (rule, refusal): (&TableRule, &Refusal),
        alias: &str,
    ) -> Judged<()> {
        let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else {
            return not_understood("this kind of assignment");
        };
        let Some(value) = target.val.as_deref_mut() else {
            return not_understood("an assignment of nothing");
        };
        self.no_known_mask(value, column, rule);
        self.expression(value, &Scope::new(None))?;
        if !is_free(rule, column) {
            // Whether it fails hangs on the value: an entry names the column.
            self.worked.insert((leaf, column.number));
            self.target.computed.push(column.number);
        }
        let kind = || type_of(self.resolver.catalogue, column);
        let name = format!("{}same{}", self.resolver.context.prefix, column.number);
        let held = ast::column(&[alias, &column.name]);
        let given = text_of(ast::cast(value.clone(), kind()?));
        let same = ast::same(text_of(held.clone()), given);
        let missing = ast::call("current_setting", vec![ast::constant(&name)]);
        *value = ast::case(same, held, ast::cast(missing, kind()?));
        self.mask_checks.push(MaskCheck { name: name.into(), refusal: refusal.clone() });
        Ok(())
    }

    /// Whether a column's values are equal where their texts are, as PostgreSQL or an extension
    /// writes them.
    pub(super) fn is_compared_as_text(&self, column: &Column) -> bool {
        let catalogue = self.resolver.catalogue;
        let kind = catalogue.type_by_oid(column.type_oid);
        let known = |kind: &crate::catalogue::Type| {
            kind.schema == "pg_catalog" || kind.extension || kind.kind == 'e'
        };
        kind.is_some_and(|kind| {
            let element = catalogue.type_by_oid(kind.element);
            known(kind) || kind.category == 'A' && element.is_some_and(known)
        })
    }
}

/// Whether an assignment is of a constant, NULL or a parameter.
pub(super) fn is_given(node: &Node) -> bool {
    fn is_value(node: &Node) -> bool {
        match &node.node {
            Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
            Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_value),
            _ => false,
        }
    }
    let Some(NodeEnum::ResTarget(target)) = &node.node else { return false };
    target.val.as_deref().is_some_and(is_value)
}
