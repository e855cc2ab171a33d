//! That a mask does not come back as a value.
//!
//! An application that saves a whole row stores what it was shown. What it was shown is the
//! server's output of a mask, which can be written in many ways and in binary, so the server
//! compares: both as text, cast to the column's type. Where they are equal it is asked for a
//! setting that nobody has, and fails before anything is changed; the session knows the setting's
//! name.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{reach::text_of, value::written_value};
use crate::{
    ColumnRule, MaskCheck, Mode, TableRule, ast,
    catalogue::{Column, Type},
    check::{Given, Rule},
    mask::{mask, mask_text, type_of},
    query::{
        Analysis,
        leaf::{Shown, shown},
    },
    refusal::{Judged, refusal},
};

impl Analysis<'_> {
    /// What a WHERE clause must hold where `value` is stored; `None` if nothing must.
    pub(super) fn no_mask(
        &mut self,
        value: &Node,
        column: &Column,
        rule: &TableRule,
    ) -> Judged<Option<Node>> {
        let catalogue = self.resolver.catalogue;
        let Some(kind) = catalogue.type_by_oid(column.type_oid) else { return Ok(None) };
        let found = match shown(rule, column) {
            _ if self.resolver.rules.mode == Mode::Accounted => return Ok(None),
            Shown::Free | Shown::Always => return Ok(None),
            // Who sees the value may want the one that others are shown.
            Shown::Keyed(..) if !is_strange(kind) => return Ok(None),
            Shown::Keyed(_, found) => Some(found),
            Shown::Masked(found) => found,
        };
        let default = matches!(value.node, Some(NodeEnum::SetToDefault(_)));
        if default || self.is_known_in_full(value, column, found) {
            return Ok(None);
        }
        let name = format!("{}mask{}", self.resolver.context.prefix, column.number);
        let given = text_of(ast::cast(value.clone(), type_of(catalogue, column)?));
        let masked = text_of(mask(catalogue, column, found)?);
        let same = ast::equal(pb::AExprKind::AexprOp, given, masked);
        let missing = ast::call("current_setting", vec![ast::constant(&name)]);
        let bool = || ast::type_name("pg_catalog", "bool", &[], false);
        let fails = ast::cast(missing, bool());
        let refusal = is_the_mask(column);
        self.mask_checks.push(MaskCheck { name: name.into(), refusal });
        Ok(Some(ast::case(same, fails, ast::cast(ast::constant("true"), bool()))))
    }

    /// Whether the gateway's own comparison is the server's: of a text that no modifier changes.
    fn is_known_in_full(&self, value: &Node, column: &Column, found: Option<&ColumnRule>) -> bool {
        let catalogue = self.resolver.catalogue;
        let kind = catalogue.type_by_oid(column.type_oid);
        let in_full = kind.is_some_and(|kind| {
            kind.schema == "pg_catalog" && matches!(kind.name.as_str(), "text" | "varchar")
        });
        // Of what is longer than the column blanks are cut off, and then it may be the mask.
        let shown = mask_text(catalogue, column, found).map(|mask| mask.chars().count());
        let shorter = |length| shown.is_some_and(|shown| shown < length);
        let uncut = column.length().is_none_or(shorter);
        in_full && uncut && written_value(value) != Given::Unknown
    }

    /// The same for what is known when a statement is sent, as far as texts go: nothing runs then.
    pub(super) fn no_known_mask(&mut self, value: &Node, column: &Column, rule: &TableRule) {
        let catalogue = self.resolver.catalogue;
        let found = match shown(rule, column) {
            Shown::Keyed(_, found) => Some(found),
            Shown::Masked(found) => found,
            Shown::Free | Shown::Always => return,
        };
        let kind = catalogue.type_by_oid(column.type_oid);
        if kind.is_some_and(|kind| kind.category == 'S')
            && let Some(mask) = mask_text(catalogue, column, found)
        {
            let value = written_value(value);
            self.checks.push(Rule::NotMask { value, mask }, is_the_mask(column));
        }
    }
}

/// Whether a type's mask is a value that nobody stores for itself, as `false` or zero is.
fn is_strange(kind: &Type) -> bool {
    matches!(kind.category, 'S' | 'D' | 'I')
        || kind.schema == "pg_catalog" && matches!(kind.name.as_str(), "uuid" | "xml")
}

fn is_the_mask(column: &Column) -> crate::Refusal {
    refusal(
        "masked_write",
        format!("the value for column `{}` is its mask", column.name),
        "store only values that you know: leave the column out",
    )
}
