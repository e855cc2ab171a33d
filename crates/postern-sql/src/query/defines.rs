//! What definitions are made of: expressions over one table, types, and whole queries.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    from::{derived, plain_columns},
    scope::Scope,
    select::Place,
};
use crate::{
    refusal::{Judged, refuse},
    shape::Shape,
    taint::Rows,
};

impl Analysis<'_> {
    /// An expression over columns of a table that reads nothing protected.
    pub(crate) fn defines(
        &mut self,
        node: &mut Node,
        table: &str,
        columns: &[String],
    ) -> Judged<()> {
        self.charge_definition(columns.len())?;
        Shape::new(self.resolver.context.prefix).node(node)?;
        let rows = Rows { columns: plain_columns(columns.iter()), ..Rows::default() };
        let mut scope = Scope::new(None);
        scope.items.push(derived(table.to_owned(), rows));
        self.expression(node, &scope)?;
        self.reads_nothing_protected()
    }

    /// The columns of a query that reads nothing protected; `None` if they are not all known.
    pub(crate) fn defines_by(
        &mut self,
        select: &mut Box<pb::SelectStmt>,
    ) -> Judged<Option<Vec<String>>> {
        let mut whole = Node { node: Some(NodeEnum::SelectStmt(std::mem::take(select))) };
        let shaped = Shape::new(self.resolver.context.prefix).node(&mut whole);
        if let Some(NodeEnum::SelectStmt(back)) = whole.node {
            *select = back;
        }
        shaped?;
        let rows = self.select(select, None, Place::Top)?;
        self.close(&rows)?;
        self.reads_nothing_protected()?;
        if self.changes() {
            return refuse(
                "definition",
                "what a table is made of can't write or call listed functions",
                "write and define in two statements",
            );
        }
        let names = rows.columns.into_iter().map(|column| column.name);
        Ok(rows.open.is_none().then(|| names.collect()))
    }

    /// The columns of a view's query. What a view does is done by whoever names it, and a view of
    /// the session's own is not looked into again: it does nothing that may not be done beside a
    /// protected table.
    pub(crate) fn defines_view_by(
        &mut self,
        select: &mut Box<pb::SelectStmt>,
    ) -> Judged<Option<Vec<String>>> {
        self.defines_view = true;
        let columns = self.defines_by(select)?;
        let acts = &self.acts;
        if acts.counts || acts.clocks || acts.draws || acts.switches || acts.sleeps {
            return refuse(
                "definition",
                "a view that takes numbers, tells the time, waits or changes a setting can't be \
                 made through the gateway",
                "leave such functions out of the view, and call them where it is read",
            );
        }
        Ok(columns)
    }

    /// A type by its name, which is qualified.
    pub(crate) fn names_type(&mut self, name: &mut pb::TypeName) -> Judged<()> {
        let mut whole = Node { node: Some(NodeEnum::TypeName(std::mem::take(name))) };
        let shaped = Shape::new(self.resolver.context.prefix).node(&mut whole);
        if let Some(NodeEnum::TypeName(back)) = whole.node {
            *name = back;
        }
        shaped?;
        self.type_name(name).map(|_| ())
    }

    fn reads_nothing_protected(&self) -> Judged<()> {
        if self.leaves.is_empty() {
            return Ok(());
        }
        refuse(
            "definition",
            "what a definition is made of can't read a protected table",
            "define it without protected tables",
        )
    }
}
