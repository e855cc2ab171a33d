//! Views over protected tables: the definition stands where the view is named, and is judged as if
//! the client had written it.
//!
//! The server never sees the view's name: a view that is replaced meanwhile changes nothing.
//! Names in a definition are resolved as the server printed them: qualified, or `pg_catalog`'s.

use std::mem;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, from::rename, select::Place};
use crate::{
    Context, Origin, Refusal, ast,
    catalogue::{Definition, Relation},
    nesting::DEPTH_MAX,
    refusal::{Judged, not_understood, too_many},
    resolve::Resolver,
    shape::Shape,
    taint::Rows,
};

/// Views in views in views.
const VIEWS_DEEP_MAX: usize = 16;
/// Definitions that one statement may stand for.
const VIEWS_MAX: usize = 100;

/// The definitions that a statement stands for.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// Those being analysed, outermost first, with the depth of each.
    pub(super) open: Vec<(u32, usize)>,
    expanded: usize,
    /// The definition that is analysed is not what is sent: the server runs its own.
    pub(super) verbatim: bool,
}

impl<'a> Analysis<'a> {
    /// The sub-select that stands for a view, its columns named as the view's, or as `names` says.
    pub(super) fn view(
        &mut self,
        range: &pb::RangeVar,
        view: &'a Relation,
        names: &[String],
        place: Place,
    ) -> Judged<(Node, Rows)> {
        if !range.inh {
            return not_understood("ONLY with a view");
        }
        let mut query = self.open_view(view).map_err(|refusal| about(view, refusal))?;
        // Nothing of the statement around it can be named in a definition.
        let judge = |own: &mut Self| own.select(&mut query, None, place.nested());
        let context = self.resolver.context;
        let pathless = Context { search_path: &[], text: "", ..context };
        let judge = |own: &mut Self| own.lent(|own| &mut own.resolver.context, pathless, judge).0;
        let rows = self.lent(|own| &mut own.commons, Vec::new(), judge).0;
        self.views.open.pop();
        let mut rows = rows.map_err(|refusal| about(view, refusal))?;
        if rows.open.is_some() || rows.columns.len() != view.columns.len() {
            return not_understood("a view whose columns can't be told");
        }
        for (column, attribute) in rows.columns.iter_mut().zip(&view.columns) {
            column.origin = Some(Origin {
                table_oid: view.oid,
                attribute: attribute.number,
                type_modifier: attribute.modifier,
            });
        }
        let own = view.columns.iter().skip(names.len()).map(|column| column.name.clone());
        let names: Vec<String> = names.iter().cloned().chain(own).collect();
        rename(&mut rows, &names, false)?;
        let name = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname);
        let alias = pb::Alias {
            aliasname: name.clone(),
            colnames: names.iter().map(|name| ast::string(name)).collect(),
        };
        let node = ast::node(NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
            lateral: false,
            subquery: Some(Box::new(ast::node(NodeEnum::SelectStmt(query)))),
            alias: Some(alias),
        })));
        Ok((node, rows))
    }

    /// Judges the definition of a view that is sent by its name because it reads nothing
    /// protected. What `pg_depend` says of it is not all: it leaves out what came with PostgreSQL,
    /// functions that run SQL given as text among them.
    pub(super) fn plain_view(&mut self, view: &'a Relation) -> Judged<()> {
        if self.resolver.is_listed(view) {
            if self.resolver.context.is_astray {
                return self.resolver.derived(view, "is listed, and may run functions");
            }
            // What it does is the administrator's word.
            self.acts.calls_listed.set(true);
            return Ok(());
        }
        let mut query = self.open_view(view).map_err(|refusal| about(view, refusal))?;
        let context = Context { search_path: &[], text: "", ..self.resolver.context };
        let resolver = Resolver { context, ..self.resolver };
        let mut inner = Analysis::scout(resolver);
        inner.views = mem::take(&mut self.views);
        inner.acts = mem::take(&mut self.acts);
        inner.steps.set(self.steps.get());
        let outside = mem::replace(&mut inner.views.verbatim, true);
        let rows = inner.select(&mut query, None, Place::Top);
        self.steps.set(inner.steps.get());
        self.acts = inner.acts;
        self.views = inner.views;
        self.views.verbatim = outside;
        self.views.open.pop();
        rows.map_err(|refusal| about(view, refusal))?;
        if inner.leaves.is_empty() { Ok(()) } else { not_understood("a view that has changed") }
    }

    /// Refuses what is let through only because it is rewritten, where nothing can be.
    pub(super) fn can_rewrite(&self, what: &str) -> Judged<()> {
        if self.views.verbatim { not_understood(&format!("{what} in a view")) } else { Ok(()) }
    }

    /// The definition, within the limits.
    fn open_view(&mut self, view: &Relation) -> Judged<Box<pb::SelectStmt>> {
        let Some(Definition { query, depth }) = view.definition() else {
            return not_understood("its definition");
        };
        let deep: usize = self.views.open.iter().map(|(_, depth)| depth).sum();
        let inside = self.views.open.iter().any(|(oid, _)| *oid == view.oid);
        if inside || self.views.open.len() >= VIEWS_DEEP_MAX || deep + depth > DEPTH_MAX {
            return too_many("54001", "views that read each other", VIEWS_DEEP_MAX);
        }
        self.views.expanded += 1;
        if self.views.expanded > VIEWS_MAX {
            return too_many("54001", "views over protected tables", VIEWS_MAX);
        }
        let mut whole = ast::node(NodeEnum::SelectStmt(query.clone()));
        Shape::new(self.resolver.context.prefix).node(&mut whole)?;
        match whole.node {
            Some(NodeEnum::SelectStmt(query)) => {
                self.views.open.push((view.oid, *depth));
                Ok(query)
            }
            _ => not_understood("its definition"),
        }
    }
}

/// Says which view a refusal is about.
fn about(view: &Relation, refusal: Refusal) -> Refusal {
    let Refusal { sqlstate, rule, message, hint: _, position: _ } = refusal;
    Refusal {
        sqlstate,
        rule,
        message: format!("view `{}.{}` can't be used: {message}", view.schema, view.name),
        hint: "select from the tables that the view reads".to_owned(),
        position: None,
    }
}
