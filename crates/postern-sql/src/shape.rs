//! The allow-list by node type, and the one place that knows every field of every allowed node.
//!
//! Each allowed node is taken apart without `..`, so that a field that a new grammar brings does
//! not compile until somebody has judged it. Locations are set to zero, so that two trees of the
//! same statement compare equal whatever their texts look like. What is not listed is refused.

use std::cell::Cell;

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{
    refusal::{Judged, not_understood, refuse},
    verdicts::{NodeVerdict, verdict},
};

mod clauses;
mod expressions;

/// Checks trees and sets their locations to zero.
pub(crate) struct Shape<'a> {
    /// What no identifier or constant may contain; empty while checking our own text.
    forbidden: &'a str,
    /// The highest parameter number that was met anywhere.
    parameters: Cell<usize>,
}

type Child = Option<Box<Node>>;

impl<'a> Shape<'a> {
    pub(crate) fn new(forbidden: &'a str) -> Self {
        Self { forbidden, parameters: Cell::new(0) }
    }

    /// The highest parameter number of the trees that were checked.
    pub(crate) fn parameters(&self) -> usize {
        self.parameters.get()
    }

    pub(crate) fn node(&self, node: &mut Node) -> Judged<()> {
        match node.node.as_mut() {
            // A null pointer: `DISTINCT` without expressions, a missing column definition list.
            None => Ok(()),
            Some(node) => self.kind(node),
        }
    }

    fn kind(&self, node: &mut NodeEnum) -> Judged<()> {
        let judged = match verdict(node) {
            NodeVerdict::Expression => self.expression(node),
            NodeVerdict::Clause => self.clause(node),
            NodeVerdict::Utility
            | NodeVerdict::Inside
            | NodeVerdict::Planned
            | NodeVerdict::JsonOrXml
            | NodeVerdict::Definition
            | NodeVerdict::Privilege
            | NodeVerdict::Administration
            | NodeVerdict::Code
            | NodeVerdict::Session
            | NodeVerdict::Form => None,
        };
        judged.unwrap_or_else(|| not_understood(&kind_name(node)))
    }

    fn child(&self, child: &mut Child) -> Judged<()> {
        child.as_mut().map_or(Ok(()), |node| self.node(node))
    }

    fn list(&self, nodes: &mut [Node]) -> Judged<()> {
        nodes.iter_mut().try_for_each(|node| self.node(node))
    }

    /// Text that the client chose.
    fn text(&self, text: &str) -> Judged<()> {
        if self.forbidden.is_empty() || !text.contains(self.forbidden) {
            return Ok(());
        }
        refuse(
            "reserved_name",
            "the statement holds a name that is reserved for the gateway",
            "use another name or constant",
        )
    }

    fn alias(&self, alias: &mut Option<pb::Alias>) -> Judged<()> {
        let Some(pb::Alias { aliasname, colnames }) = alias else { return Ok(()) };
        self.text(aliasname)?;
        self.list(colnames)
    }

    fn type_name(&self, name: &mut Option<pb::TypeName>) -> Judged<()> {
        name.as_mut().map_or(Ok(()), |name| self.type_name_parts(name))
    }

    fn type_name_parts(&self, name: &mut pb::TypeName) -> Judged<()> {
        let pb::TypeName {
            names,
            type_oid,
            setof,
            pct_type,
            typmods,
            typemod: _,
            array_bounds,
            location,
        } = name;
        *location = 0;
        unset(*type_oid == 0 && !*setof && !*pct_type, "a type written with % or SETOF")?;
        self.list(names)?;
        self.list(typmods)?;
        self.list(array_bounds)
    }

    fn relation(&self, relation: &mut pb::RangeVar) -> Judged<()> {
        let pb::RangeVar {
            catalogname,
            schemaname,
            relname,
            inh: _,
            relpersistence,
            alias,
            location,
        } = relation;
        *location = 0;
        unset(relpersistence == "p", "a temporary or unlogged relation")?;
        self.text(catalogname)?;
        self.text(schemaname)?;
        self.text(relname)?;
        self.alias(alias)
    }

    fn window(&self, window: &mut pb::WindowDef) -> Judged<()> {
        let pb::WindowDef {
            name,
            refname,
            partition_clause,
            order_clause,
            frame_options: _,
            start_offset,
            end_offset,
            location,
        } = window;
        *location = 0;
        self.text(name)?;
        self.text(refname)?;
        self.list(partition_clause)?;
        self.list(order_clause)?;
        self.child(start_offset)?;
        self.child(end_offset)
    }
}

/// A field that the raw grammar never sets, or a form that is not understood.
fn unset(holds: bool, what: &str) -> Judged<()> {
    if holds { Ok(()) } else { not_understood(what) }
}

fn kind_name(node: &NodeEnum) -> String {
    let text = format!("{node:?}");
    let name: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
    format!("`{name}`")
}
