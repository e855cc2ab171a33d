//! Expressions: every node that can stand in one, and what flows through it.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    call::{is_clock, is_plain_random},
    condition::{at_present, parse_condition},
    definition::{blank_literals, covered, never},
    grouping::{leave_out_columns, leave_out_distinct},
    scope::{Scope, row},
    select::Place,
};
use crate::{
    Hole, Refusal, ast,
    catalogue::Relation,
    functions::Class,
    refusal::{Judged, not_understood, refuse},
    relations::Cover,
    shape::Shape,
    taint::{Source, Taint},
};

/// A number as `random()` gives it, of 53 bits of a UUID drawn by the operating system.
const DRAWN: &str = "(pg_catalog.hashtextextended(pg_catalog.gen_random_uuid()\
                     ::pg_catalog.text COLLATE pg_catalog.\"C\", 0) \
                     OPERATOR(pg_catalog.&) 9007199254740991)::pg_catalog.float8 \
                     OPERATOR(pg_catalog./) 9007199254740992::pg_catalog.float8";

/// Whether a value is the name of the session's user.
pub(crate) fn is_session_user(op: pb::SqlValueFunctionOp) -> bool {
    use pb::SqlValueFunctionOp as Op;
    matches!(op, Op::SvfopCurrentRole | Op::SvfopCurrentUser | Op::SvfopUser | Op::SvfopSessionUser)
}

/// Puts in the place of `random()` a number of the same kind that leaves no trace.
fn drawn_anew(node: &mut Node) -> Judged<()> {
    let Some(mut drawn) = parse_condition(DRAWN) else {
        return not_understood("random()");
    };
    Shape::new("").node(&mut drawn)?;
    *node = drawn;
    Ok(())
}

impl Analysis<'_> {
    pub(super) fn expression(&mut self, node: &mut Node, scope: &Scope<'_>) -> Judged<Taint> {
        let is_plain = matches!(node.node, Some(NodeEnum::ColumnRef(_)));
        let taint = self.any_expression(node, scope)?;
        if !is_plain {
            self.worked.extend(&taint.protected);
        }
        Ok(taint)
    }

    fn any_expression(&mut self, node: &mut Node, scope: &Scope<'_>) -> Judged<Taint> {
        if let Some((row, taint)) = self.visible_row(node, scope)? {
            *node = row;
            return Ok(taint);
        }
        if self.conditions_on.is_some() {
            at_present(node);
        }
        match node.node.as_mut() {
            None => not_understood("an empty expression"),
            Some(NodeEnum::ColumnRef(n)) => {
                let taint = self.reference(n, scope)?;
                self.qualify_condition(n)?;
                match self.cover(node, scope)? {
                    Some(Cover::Null("pg_node_tree")) if self.prints_expression => {}
                    Some(cover) => covered(node, cover),
                    None => self.mask_in_place(node, &taint)?,
                }
                Ok(taint)
            }
            Some(NodeEnum::ParamRef(n)) => {
                self.uses_parameter(usize::try_from(n.number).unwrap_or_default());
                Ok(Taint::default())
            }
            Some(NodeEnum::TypeCast(n)) => self.cast(n, scope),
            Some(NodeEnum::AExpr(n)) => self.operation(n, scope),
            Some(NodeEnum::FuncCall(_)) => self.called(node, scope),
            Some(NodeEnum::SubLink(n)) => self.sublink(n, scope),
            Some(NodeEnum::AIndirection(n)) => self.indirection(n, scope),
            Some(NodeEnum::CaseExpr(n)) => {
                if n.arg.is_some() {
                    self.equality_by_name()?;
                }
                let children = n.arg.as_deref_mut().into_iter().chain(&mut n.args);
                self.all(children.chain(n.defresult.as_deref_mut()), scope)
            }
            Some(NodeEnum::SqlvalueFunction(n)) => {
                if is_session_user(n.op()) {
                    self.session_user(node);
                }
                Ok(Taint::default())
            }
            Some(other) => self.plain(other, scope),
        }
    }

    /// A call, and what is put in its place.
    fn called(&mut self, node: &mut Node, scope: &Scope<'_>) -> Judged<Taint> {
        let Some(NodeEnum::FuncCall(n)) = node.node.as_mut() else {
            return not_understood("a call");
        };
        let taint = self.call(n, scope)?;
        match self.class_of_call(n) {
            Class::Definition => {
                self.can_rewrite("a definition")?;
                blank_literals(node);
            }
            Class::Size => {
                self.can_rewrite("a size")?;
                never(node);
            }
            // A protected table is read. Outside of the second run none is, or nothing is
            // sent.
            Class::Free if self.beside && is_plain_random(n) => {
                self.charge_text(DRAWN)?;
                drawn_anew(node)?;
            }
            Class::Free if self.beside && self.conditions_on.is_none() && is_clock(n) => {
                let name = ["pg_catalog", "statement_timestamp"];
                n.funcname = name.map(ast::string).into();
            }
            Class::Free | Class::Setting | Class::Sleep | Class::Counter | Class::Refused(_) => {}
        }
        Ok(taint)
    }

    /// Puts the actor's name in the place of the session's user: the server knows the gateway's
    /// role only. What a reason or a view says, and what is asked of that role, is left as it is.
    fn session_user(&mut self, node: &mut Node) {
        let elsewhere = self.conditions_on.is_some() || self.defines_view || self.views.verbatim;
        if elsewhere || self.asks_of_role {
            return;
        }
        self.facts.actor = true;
        if !self.scouting && !self.known.catalogue {
            let name = ast::type_name("pg_catalog", "name", &[], false);
            *node = ast::cast(self.hole(Hole::Actor), name);
        }
    }

    pub(super) fn uses_parameter(&mut self, number: usize) {
        self.parameters = self.parameters.max(number);
        *self.parameter_uses.entry(number).or_default() += 1;
    }

    /// Nodes that do nothing but combine their children.
    fn plain(&mut self, node: &mut NodeEnum, scope: &Scope<'_>) -> Judged<Taint> {
        match node {
            NodeEnum::AConst(_) | NodeEnum::SetToDefault(_) => Ok(Taint::default()),
            NodeEnum::CollateClause(n) => self.all(n.arg.as_deref_mut(), scope),
            NodeEnum::NamedArgExpr(n) => self.all(n.arg.as_deref_mut(), scope),
            NodeEnum::AArrayExpr(n) => self.all(&mut n.elements, scope),
            NodeEnum::List(n) => self.all(&mut n.items, scope),
            NodeEnum::BoolExpr(n) => self.all(&mut n.args, scope),
            NodeEnum::NullTest(n) => self.null_test(n, scope),
            NodeEnum::BooleanTest(n) => self.all(n.arg.as_deref_mut(), scope),
            NodeEnum::CaseWhen(n) => {
                self.all(n.expr.as_deref_mut().into_iter().chain(n.result.as_deref_mut()), scope)
            }
            NodeEnum::RowExpr(n) => self.all(&mut n.args, scope),
            NodeEnum::CoalesceExpr(n) => self.all(&mut n.args, scope),
            NodeEnum::MinMaxExpr(n) => self.all(&mut n.args, scope),
            NodeEnum::GroupingFunc(n) => self.all(&mut n.args, scope),
            NodeEnum::SortBy(n) => self.all(n.node.as_deref_mut(), scope),
            _ => not_understood("this kind of expression"),
        }
    }

    fn null_test(&mut self, test: &mut pb::NullTest, scope: &Scope<'_>) -> Judged<Taint> {
        let source = test.arg.as_deref().and_then(|arg| scope.source(arg));
        if let Some(arg) = test.arg.as_deref() {
            self.questions.is_given(arg);
        }
        let mut taint = self.all(test.arg.as_deref_mut(), scope)?;
        // Where there is a record it has a key: which one, this does not ask.
        if source.is_some_and(|source| source.subject || self.is_primary(source)) {
            taint.identifiers.clear();
            taint.few.clear();
        }
        Ok(taint)
    }

    pub(super) fn all<'n>(
        &mut self,
        nodes: impl IntoIterator<Item = &'n mut Node>,
        scope: &Scope<'_>,
    ) -> Judged<Taint> {
        let mut taint = Taint::default();
        for node in nodes {
            taint.add(&self.expression(node, scope)?);
        }
        Ok(taint)
    }

    fn cast(&mut self, cast: &mut pb::TypeCast, scope: &Scope<'_>) -> Judged<Taint> {
        let taint = self.all(cast.arg.as_deref_mut(), scope)?;
        let Some(name) = cast.type_name.as_mut() else {
            return not_understood("a cast without a type");
        };
        let looks_up = self.type_name(name)?;
        ast::plain_truth(cast);
        if looks_up && !taint.leaves.is_empty() {
            return refuse(
                "object_name",
                "data of a protected table can't be cast to the name of an object",
                "cast to text",
            );
        }
        Ok(taint)
    }

    /// Resolves and qualifies a type; whether it is one whose input looks up objects by name.
    pub(super) fn type_name(&mut self, name: &mut pb::TypeName) -> Judged<bool> {
        let Some(names) = ast::names(&name.names) else {
            return not_understood("this kind of type");
        };
        let catalogue = self.resolver.catalogue;
        let Some(found) = self.resolver.named_type(&names) else {
            let text = names.join(".");
            return refuse(
                "type",
                format!("type `{text}` is not known or not allowed for this role"),
                "use a built-in type, an enum or a domain; row types of tables are not allowed",
            );
        };
        let vouched = found.schema == "pg_catalog" || found.extension;
        let base = found.kind == 'b' && found.element == 0;
        let runs = base && !vouched || self.resolver.runs_unlisted(found);
        if runs || catalogue.has_user_cast(found.oid) {
            return refuse(
                "type",
                format!("type `{}` runs user-defined code", found.name),
                "use a built-in type",
            );
        }
        let (schema, type_name) = (found.schema.clone(), found.name.clone());
        name.names = vec![ast::string(&schema), ast::string(&type_name)];
        Ok(schema == "pg_catalog" && type_name.trim_start_matches('_').starts_with("reg"))
    }

    fn operation(&mut self, operation: &mut pb::AExpr, scope: &Scope<'_>) -> Judged<Taint> {
        self.operator(operation.kind(), &mut operation.name)?;
        let sources = match (&operation.lexpr, &operation.rexpr) {
            (Some(left), Some(right)) => scope.source(left).zip(scope.source(right)),
            _ => None,
        };
        let question = self.question(operation, scope);
        let (left, right) = (operation.lexpr.as_deref_mut(), operation.rexpr.as_deref_mut());
        let flows = (question.is_some() || sources.is_some()).then(|| scope.flows());
        let mut taint = self.all(left.into_iter().chain(right), scope)?;
        if let Some(question) = question {
            taint.identifiers.remove(&question.leaf);
            self.ask(question)?;
        }
        let equality =
            operation.kind() == pb::AExprKind::AexprOp && ast::is_equality(&operation.name);
        if equality && sources.is_some_and(|(one, two)| self.links_records(one, two)) {
            taint.identifiers.clear();
            taint.plain.clear();
            taint.windowed.clear();
        }
        if let Some(flows) = flows {
            scope.replace_flows(flows, &taint);
        }
        Ok(taint)
    }

    /// Whether a condition is such an equality, and nothing else.
    pub(super) fn compares_same_record(&self, node: &Node, scope: &Scope<'_>) -> bool {
        let Some(NodeEnum::AExpr(comparison)) = &node.node else { return false };
        let equality = comparison.kind() == pb::AExprKind::AexprOp
            && matches!(ast::names(&comparison.name).as_deref(), Some([.., "="]));
        let source = |side: &Option<Box<Node>>| scope.source(side.as_deref()?);
        let sides = source(&comparison.lexpr).zip(source(&comparison.rexpr));
        equality && sides.is_some_and(|(one, two)| self.same_record(one, two))
    }

    /// Whether an equality of the two columns says no more than that two rows are about the same
    /// subject, or are the same record.
    pub(super) fn same_record(&self, one: Source, two: Source) -> bool {
        let relation = |source: Source| self.leaves.get(source.leaf).map(|leaf| leaf.relation.oid);
        one.subject && two.subject
            || self.is_primary(one)
                && self.is_primary(two)
                && one.attribute == two.attribute
                && relation(one) == relation(two)
    }

    /// The same of an equality that decides: who is picked in the one is picked in the other.
    pub(super) fn links_records(&mut self, one: Source, two: Source) -> bool {
        let same = self.same_record(one, two);
        if same && one.leaf != two.leaf {
            self.linked.insert((one.leaf, two.leaf));
        }
        same
    }

    /// Whether a column is a primary key by itself. Another, one of several in a unique index or
    /// one that is computed from a key (`id / 1000`), tells records apart, but not each from all.
    pub(super) fn is_primary(&self, source: Source) -> bool {
        let Some(leaf) = self.leaves.get(source.leaf) else { return false };
        leaf.column(source.attribute).is_some_and(|column| column.primary)
            && self.is_whole(leaf.relation)
    }

    /// Whether what holds of a table's own rows holds of all that it gives: tables that inherit
    /// from it have keys of their own. Partitions have their parent's.
    pub(super) fn is_whole(&self, relation: &Relation) -> bool {
        relation.kind == 'p' || self.resolver.catalogue.children(relation.oid).is_empty()
    }

    /// Operators are PostgreSQL's own or an extension's.
    fn operator(&self, kind: pb::AExprKind, name: &mut Vec<Node>) -> Judged<()> {
        use pb::AExprKind::{
            AexprBetween, AexprBetweenSym, AexprNotBetween, AexprNotBetweenSym, AexprOp,
            AexprOpAll, AexprOpAny, Undefined,
        };
        let Some(names) = ast::names(name) else { return not_understood("this operator") };
        match (kind, names.as_slice()) {
            (Undefined, _) => not_understood("this kind of operator"),
            (AexprBetween | AexprNotBetween | AexprBetweenSym | AexprNotBetweenSym, _) => {
                [">=", "<=", ">", "<"].into_iter().try_for_each(|symbol| self.by_name(symbol))
            }
            (AexprOp | AexprOpAll | AexprOpAny, [symbol]) if self.by_name(symbol).is_err() => {
                if !self.resolver.catalogue.has_symbol(symbol) {
                    return self.by_name(symbol);
                }
                let symbol = (*symbol).to_owned();
                *name = vec![ast::string("pg_catalog"), ast::string(&symbol)];
                Ok(())
            }
            (_, [symbol]) => self.by_name(symbol),
            (_, ["pg_catalog", symbol]) if self.resolver.catalogue.has_symbol(symbol) => Ok(()),
            (_, [schema, symbol]) => {
                let found = self.resolver.catalogue.operators_named(symbol);
                let mut found = found.filter(|o| o.schema == *schema).peekable();
                if found.peek().is_some() && found.all(|operator| operator.extension) {
                    return Ok(());
                }
                user_operator(symbol)
            }
            _ => not_understood("this operator"),
        }
    }

    /// Whether an operator that is looked up by its name alone is PostgreSQL's own or an
    /// extension's.
    fn by_name(&self, symbol: &str) -> Judged<()> {
        let mut found = self.resolver.catalogue.operators_named(symbol).peekable();
        // One that is not known at all may have been made a moment ago.
        if found.peek().is_none() && !self.resolver.catalogue.has_symbol(symbol) {
            return unknown_operator(symbol);
        }
        if found.all(|operator| operator.extension) { Ok(()) } else { user_operator(symbol) }
    }

    /// A construct that looks up `=` by name.
    pub(super) fn equality_by_name(&self) -> Judged<()> {
        self.by_name("=")
    }

    fn indirection(&mut self, node: &mut pb::AIndirection, scope: &Scope<'_>) -> Judged<Taint> {
        let mut whole_row = node.arg.as_deref().is_some_and(|arg| self.is_row_of(arg, scope));
        let row = node.arg.as_deref().cloned().filter(|_| whole_row);
        if let Some(arg) = node.arg.as_deref()
            && self.visible_row(arg, scope)?.is_some()
        {
            return not_understood("a field of a whole row");
        }
        let mut taint = self.all(node.arg.as_deref_mut(), scope)?;
        for step in &mut node.indirection {
            match step.node.as_mut() {
                Some(NodeEnum::String(pb::String { sval })) => {
                    self.selected_field(row.as_ref().filter(|_| whole_row), sval, scope)?;
                    whole_row = false;
                }
                Some(NodeEnum::AIndices(indices)) => {
                    let bounds = indices.lidx.as_deref_mut().into_iter();
                    taint.add(&self.all(bounds.chain(indices.uidx.as_deref_mut()), scope)?);
                }
                _ => return not_understood("`.*` of an expression"),
            }
        }
        Ok(taint)
    }

    fn sublink(&mut self, link: &mut pb::SubLink, scope: &Scope<'_>) -> Judged<Taint> {
        use pb::SubLinkType as Link;
        let kind = link.sub_link_type();
        if !link.oper_name.is_empty() {
            self.operator(pb::AExprKind::AexprOp, &mut link.oper_name)?;
        } else if kind == Link::AnySublink {
            self.equality_by_name()?;
        }
        let tested = link.testexpr.as_deref_mut();
        let source = tested.as_ref().and_then(|node| scope.source(node));
        let mut taint = self.all(tested, scope)?;
        let Some(NodeEnum::SelectStmt(select)) =
            link.subselect.as_mut().and_then(|node| node.node.as_mut())
        else {
            return not_understood("this kind of sub-select");
        };
        // `EXISTS (… LIMIT 1)` is `EXISTS (…)`.
        let limit = (kind == Link::ExistsSublink && select.limit_offset.is_none())
            .then(|| select.limit_count.take());
        let constant = limit.as_ref().is_none_or(|limit| is_constant(limit.as_deref()));
        if matches!(kind, Link::ExistsSublink | Link::AnySublink) {
            leave_out_distinct(select);
        }
        if kind == Link::ExistsSublink {
            leave_out_columns(select);
        }
        let rows = self.select(select, Some(scope), Place::Bare)?;
        if let Some(mut limit) = limit {
            self.all(limit.as_deref_mut(), &Scope::new(None))?;
            select.limit_count = limit;
        }
        if !constant {
            return not_understood("a computed LIMIT in EXISTS");
        }
        let mut inner = rows.whole();
        let bare: Vec<usize> = rows.bare.iter().copied().collect();
        match kind {
            Link::ExistsSublink => {
                // Whether there is a row: the columns are never looked at.
                self.spoil(&inner);
                inner.add(&rows.decided);
                inner.identifiers.retain(|leaf| !bare.contains(leaf));
                inner.protected.retain(|(leaf, _)| !bare.contains(leaf));
                inner.shown.retain(|(leaf, _)| !bare.contains(leaf));
            }
            Link::AnySublink | Link::AllSublink | Link::RowcompareSublink => {
                let own = rows.columns.first().and_then(|column| column.source);
                let single = rows.columns.len() == 1 && rows.open.is_none();
                let same = source.zip(own).is_some_and(|(one, two)| self.links_records(one, two));
                if kind == Link::AnySublink && link.oper_name.is_empty() && single && same {
                    for taint in [&mut inner, &mut taint] {
                        taint.identifiers.clear();
                        taint.plain.clear();
                        taint.windowed.clear();
                    }
                }
            }
            Link::ExprSublink | Link::ArraySublink if bare.is_empty() => {}
            _ => return values_of_protected(),
        }
        self.folded.extend(&bare);
        self.fold(bare.iter().copied().collect(), &inner)?;
        taint.add(&inner);
        taint.sublink = true;
        Ok(taint)
    }

    /// `alias.*` where a row is meant, as in `count(c.*)`.
    pub(super) fn star_argument(
        &mut self,
        node: &mut Node,
        scope: &Scope<'_>,
    ) -> Judged<Option<Taint>> {
        let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return Ok(None) };
        let Some((last, names)) = reference.fields.split_last() else { return Ok(None) };
        if !matches!(last.node, Some(NodeEnum::AStar(_))) {
            return Ok(None);
        }
        let names = ast::names(names).unwrap_or_default();
        let [alias] = names.as_slice() else {
            return not_understood("`*` in an expression");
        };
        match scope.items.iter().find(|item| item.alias == *alias) {
            Some(item) => row(item, true).map(Some),
            None => not_understood("`*` of an outer table"),
        }
    }
}

pub(super) fn is_constant(node: Option<&Node>) -> bool {
    match node.and_then(|node| node.node.as_ref()) {
        None => true,
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => is_constant(cast.arg.as_deref()),
        Some(_) => false,
    }
}

fn unknown_operator<T>(symbol: &str) -> Judged<T> {
    Err(Refusal {
        sqlstate: "42883",
        rule: "unknown_operator",
        message: format!("operator does not exist: {symbol}"),
        hint: "if it was created a moment ago, try again".to_owned(),
        position: None,
    })
}

fn user_operator<T>(symbol: &str) -> Judged<T> {
    refuse(
        "operator",
        format!("operator `{symbol}` may run user-defined code"),
        format!("write OPERATOR(pg_catalog.{symbol})"),
    )
}

fn values_of_protected<T>() -> Judged<T> {
    refuse(
        "unaccounted",
        "a sub-select that returns values of a protected table is not allowed for this role",
        "join the table in the FROM clause instead",
    )
}
