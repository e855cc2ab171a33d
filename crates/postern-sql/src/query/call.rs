//! Function calls.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis, expression::is_constant, field::whole_row_of, grouping::Aggregate, scope::Scope,
    settings::listed_settings,
};
use crate::{
    ast,
    check::{Given, Rule},
    functions::{
        Arity, BuiltIn, Class, Kind, readable_setting, readable_settings, refused, unlisted,
    },
    refusal::{Judged, not_understood, refusal},
    taint::{Column, Taint},
};

impl Analysis<'_> {
    pub(super) fn call(&mut self, call: &mut pb::FuncCall, scope: &Scope<'_>) -> Judged<Taint> {
        if let Some(switch) = self.switches_setting(call) {
            self.switch(call, switch, scope)?;
            return Ok(Taint::default());
        }
        let kind = self.function(call)?;
        let built_in = match ast::names(&call.funcname).as_deref() {
            Some(["pg_catalog", name]) => (*name).to_owned(),
            _ => String::new(),
        };
        self.read_copy(call);
        self.act(call, &built_in)?;
        let windowed = call.over.is_some();
        let aggregates = !windowed
            && matches!(kind, Kind::Aggregate | Kind::Collecting | Kind::WindowOrAggregate);
        if aggregates && !scope.grouped {
            return not_understood("an aggregate in this place");
        }
        if !windowed && kind == Kind::Window {
            return not_understood("a window function without OVER");
        }
        counts_rows(call, &built_in, scope);
        self.whole_rows(call, scope);
        let copies = counts_copies(call, scope);
        // It asks what a role of that name may do, and the server knows none of people's.
        let role = self.asks_of_role || built_in.starts_with("has_") || built_in == "pg_has_role";
        let mut taint = Taint::default();
        for (index, argument) in call.args.iter_mut().enumerate() {
            let column = matches!(argument.node, Some(NodeEnum::ColumnRef(_)));
            let prints = built_in == "pg_get_expr" && index == 0 && column;
            let judge = |own: &mut Self| match own.star_argument(argument, scope)? {
                Some(row) => Ok(row),
                None => own.expression(argument, scope),
            };
            let judge = |own: &mut Self| own.lent(|own| &mut own.asks_of_role, role, judge).0;
            taint.add(&self.lent(|own| &mut own.prints_expression, prints, judge).0?);
        }
        taint.add(&self.all(&mut call.agg_order, scope)?);
        let filters = self.filter(call, &mut taint, scope)?;
        if built_in == "count" {
            if copies {
                self.spoil(&taint);
            } else {
                self.predicate(&taint);
            }
            taint.protected.clear();
            taint.shown.clear();
            taint.identifiers.clear();
        }
        if aggregates {
            self.aggregated(&taint, (call, kind), scope)?;
            // It is of rows, whether it names a column or not.
            taint.local = true;
            return Ok(taint);
        }
        if let Some(window) = call.over.as_deref_mut() {
            let taint = self.windowed(taint, filters, kind, (window, scope))?;
            self.moves(call, &built_in);
            return Ok(taint);
        }
        if matches!(kind, Kind::Set | Kind::Record) {
            self.makes_rows_of(&taint);
        }
        Ok(taint)
    }

    /// Writes `f(s.*)` as `f(s)`, which is the same row, where there are hidden columns in it: in
    /// the second form those are left out.
    fn whole_rows(&self, call: &mut pb::FuncCall, scope: &Scope<'_>) {
        for argument in &mut call.args {
            let starred = matches!(&argument.node, Some(NodeEnum::ColumnRef(reference))
                if matches!(reference.fields.as_slice(), [_, last] if is_star(last)));
            let item = whole_row_of(argument, scope).filter(|item| starred && item.hides);
            let row = item.map(|item| ast::column(&[&item.alias]));
            if let Some(row) = row.filter(|row| self.is_row_of(row, scope)) {
                *argument = row;
            }
        }
    }

    fn aggregated(
        &mut self,
        taint: &Taint,
        (call, kind): (&pb::FuncCall, Kind),
        scope: &Scope<'_>,
    ) -> Judged<()> {
        // Of different values it collects what DISTINCT would show. With several fractions
        // percentile_cont gives equal values that look different in the order of the rows.
        let fraction = |node: &Node| matches!(node.node, Some(NodeEnum::AConst(_)));
        let several = call.agg_within_group && !call.args.iter().all(fraction);
        let collects = (kind == Kind::Collecting || several)
            && !call.agg_distinct
            && !self.tells_no_order(call, scope);
        self.aggregate(taint, collects, scope)
    }

    /// What the call does besides giving a value.
    fn act(&mut self, call: &mut pb::FuncCall, built_in: &str) -> Judged<()> {
        let verbatim = self.views.verbatim || self.defines_view;
        self.acts.draws |= draws(built_in) && (verbatim || !is_plain_random(call));
        // Outside of views the time of the statement is put in the place of the plain clock.
        self.acts.clocks |=
            tells_time(built_in) && self.conditions_on.is_none() && (verbatim || !is_clock(call));
        match self.class_of_call(call) {
            Class::Setting if Self::reads_copy(call) => {}
            Class::Setting => self.setting(call)?,
            Class::Sleep => self.acts.sleeps = true,
            Class::Counter => self.acts.counts = true,
            Class::Free | Class::Definition | Class::Size | Class::Refused(_) => {}
        }
        Ok(())
    }

    /// FILTER: the leaves that decide in it.
    fn filter(
        &mut self,
        call: &mut pb::FuncCall,
        taint: &mut Taint,
        scope: &Scope<'_>,
    ) -> Judged<BTreeSet<usize>> {
        let Some(filter) = call.agg_filter.as_deref_mut() else { return Ok(BTreeSet::new()) };
        let filter = self.expression(filter, scope)?;
        self.predicate(&filter);
        taint.leaves.extend(&filter.leaves);
        taint.plain.extend(&filter.plain);
        taint.local |= filter.local;
        taint.outer |= filter.outer;
        taint.sublink |= filter.sublink;
        Ok(filter.leaves)
    }

    /// Whether an aggregate that holds its input sorts all that it holds by itself, and what sorts
    /// as equal is the same: which record a value is of shows nowhere in it.
    fn tells_no_order(&self, call: &pb::FuncCall, scope: &Scope<'_>) -> bool {
        let [Node { node: Some(NodeEnum::SortBy(by)) }] = call.agg_order.as_slice() else {
            return false;
        };
        let Some(key) = by.node.as_deref().filter(|_| by.use_op.is_empty()) else { return false };
        let constant = |node: &Node| match &node.node {
            Some(NodeEnum::AArrayExpr(list)) => list.elements.iter().all(|e| is_constant(Some(e))),
            _ => is_constant(Some(node)),
        };
        let name = |node: &Node| match &node.node {
            Some(NodeEnum::ColumnRef(reference)) => {
                ast::names(&reference.fields).map(|names| names.join("\0"))
            }
            _ => None,
        };
        let sorted = |node: &Node| name(node).is_some_and(|own| Some(own) == name(key));
        let held = |node: &Node| constant(node) || !call.agg_within_group && sorted(node);
        let source = scope.source(key).filter(|_| call.args.iter().all(held));
        source.is_some_and(|source| self.is_same_where_equal(source))
    }

    fn aggregate(&mut self, taint: &Taint, collects: bool, scope: &Scope<'_>) -> Judged<()> {
        if scope.parent.is_some() && (taint.outer && !taint.local || taint.sublink) {
            return not_understood("an aggregate of an outer query's columns");
        }
        self.aggregates.push(Aggregate { arguments: taint.clone(), collects });
        Ok(())
    }

    /// Resolves, checks and qualifies the function's name.
    fn function(&self, call: &mut pb::FuncCall) -> Judged<Kind> {
        let names = ast::names(&call.funcname).unwrap_or_default();
        let built_in = match names.as_slice() {
            [name] | ["pg_catalog", name] => self.built_in(name, call),
            _ => None,
        };
        let qualified = match (names.as_slice(), built_in) {
            ([.., name], Some(BuiltIn::Refused(why))) => return refused(name, why),
            ([name], Some(_)) => Some(("pg_catalog".to_owned(), (*name).to_owned())),
            ([name], None) => {
                let found = self.listed_schema(name);
                found.map(|schema| (schema.to_owned(), (*name).to_owned()))
            }
            _ => None,
        };
        let Some(kind) = self.kind_of_call(call) else { return unlisted(&names.join(".")) };
        if let Some((schema, name)) = qualified {
            call.funcname = vec![ast::string(&schema), ast::string(&name)];
        }
        let own = match ast::names(&call.funcname).as_deref() {
            Some(["pg_catalog", _]) => true,
            Some([schema, name]) => {
                self.numbers_elements(schema, name) || self.resolver.is_pure(schema, name)
            }
            _ => false,
        };
        if !own {
            self.acts.calls_listed.set(true);
        }
        Ok(kind)
    }

    pub(super) fn kind_of_call(&self, call: &pb::FuncCall) -> Option<Kind> {
        let names = ast::names(&call.funcname)?;
        let built_in = match names.as_slice() {
            [name] | ["pg_catalog", name] => self.built_in(name, call),
            _ => None,
        };
        match (names.as_slice(), built_in) {
            (_, Some(BuiltIn::Allowed(kind, _))) => Some(kind),
            (_, Some(BuiltIn::Refused(_))) => None,
            ([schema, name], None) if self.numbers_elements(schema, name) => Some(Kind::Record),
            ([name], None) => self.listed(self.listed_schema(name)?, name),
            ([schema, name], None) => self.listed(schema, name),
            _ => None,
        }
    }

    /// Whether it is the function of PostgreSQL's own that numbers an array's elements, with which
    /// drivers ask for keys and indexes, and nobody has added another of its name.
    fn numbers_elements(&self, schema: &str, name: &str) -> bool {
        (schema, name) == ("information_schema", "_pg_expandarray")
            && self.resolver.catalogue.functions_named(schema, name).next().is_none()
    }

    /// What is done with the call of a function of PostgreSQL's own, by its qualified name.
    pub(super) fn class_of_call(&self, call: &pb::FuncCall) -> Class {
        let found = match ast::names(&call.funcname).as_deref() {
            Some(["pg_catalog", name]) => self.built_in(name, call),
            _ => None,
        };
        match found {
            Some(BuiltIn::Allowed(_, class)) => class,
            Some(BuiltIn::Refused(_)) | None => Class::Free,
        }
    }

    /// The decision on a name of `pg_catalog`. What an administrator or an extension has added to
    /// that schema is none of PostgreSQL's own: if it may be what is called, nothing of that name
    /// is built in.
    fn built_in(&self, name: &str, call: &pb::FuncCall) -> Option<BuiltIn> {
        let catalogue = self.resolver.catalogue;
        let arity = if call.func_variadic || call.agg_within_group {
            Arity::Unknown
        } else {
            Arity::Exactly(call.args.len())
        };
        let found = catalogue.built_in().find(name, arity)?;
        let added = catalogue.functions_named("pg_catalog", name).next().is_some();
        if added && !self.resolver.vouches_for("pg_catalog", name) {
            return Some(BuiltIn::Refused("the database has added another of that name"));
        }
        Some(found)
    }

    /// The first schema of the search path that holds a function of that name.
    fn listed_schema(&self, name: &str) -> Option<&str> {
        let mut path = self.resolver.search_path().into_iter();
        path.find(|schema| self.resolver.catalogue.functions_named(schema, name).next().is_some())
    }

    /// A function that the administrator vouches for, or an extension's that computes.
    fn listed(&self, schema: &str, name: &str) -> Option<Kind> {
        if !self.resolver.vouches_for(schema, name) && !self.resolver.is_pure(schema, name) {
            return None;
        }
        let mut kinds = self.resolver.catalogue.functions_named(schema, name);
        let first = kinds.next()?;
        if kinds.any(|other| other.kind != first.kind) {
            return None;
        }
        match first.kind {
            'f' if first.set => Some(Kind::Record),
            'f' => Some(Kind::Scalar),
            'a' => Some(Kind::Collecting),
            'w' => Some(Kind::Window),
            _ => None,
        }
    }

    /// Whether a function that is not PostgreSQL's own may give several columns.
    pub(super) fn may_give_row(&self, call: &pb::FuncCall) -> bool {
        let names = ast::names(&call.funcname);
        let (schema, name) = match names.as_deref() {
            Some([name]) if self.built_in(name, call).is_none() => {
                (self.listed_schema(name), *name)
            }
            Some([schema, name]) => (Some(*schema), *name),
            _ => return false,
        };
        let Some(schema) = schema else { return false };
        let mut functions = self.resolver.catalogue.functions_named(schema, name);
        functions.any(|function| function.row)
    }

    /// The setting that is read; one that a parameter names is looked at when it is bound.
    ///
    /// A column's value is a name that may be read, or it is NULL: CASE looks at each before the
    /// setting is read, where a condition of the rows might come later.
    fn setting(&mut self, call: &mut pb::FuncCall) -> Judged<()> {
        let verbatim = self.views.verbatim || self.defines_view;
        if let Some(argument @ Node { node: Some(NodeEnum::ColumnRef(_)) }) = call.args.first_mut()
            && !verbatim
        {
            let text = ast::type_name("pg_catalog", "text", &[], false);
            let read = ast::call("lower", vec![ast::cast(argument.clone(), text)]);
            let listed = ast::equal(pb::AExprKind::AexprOpAny, read, listed_settings());
            *argument = ast::case(listed, argument.clone(), ast::null());
            return Ok(());
        }
        let name = call.args.first().and_then(|argument| match &argument.node {
            Some(NodeEnum::AConst(pb::AConst {
                val: Some(pb::a_const::Val::Sval(pb::String { sval })),
                ..
            })) => Some(sval.as_str()),
            _ => None,
        });
        if name.is_some_and(readable_setting) {
            return Ok(());
        }
        let refusal = refusal(
            "setting",
            "this setting can't be read by this role",
            "read a setting that describes the session, by its name",
        );
        let given = call.args.first().map_or(Given::Unknown, text_parameter);
        if given == Given::Unknown || verbatim {
            return Err(refusal);
        }
        let listed = readable_settings().map(str::to_owned).collect();
        self.checks.push(Rule::OneOf(given, listed), refusal);
        Ok(())
    }
}

/// A parameter, be it cast to a text, that is then declared as one or not at all.
pub(super) fn text_parameter(node: &Node) -> Given {
    match &node.node {
        Some(NodeEnum::ParamRef(parameter)) => {
            usize::try_from(parameter.number).map_or(Given::Unknown, Given::Parameter)
        }
        Some(NodeEnum::TypeCast(_)) => match ast::cast_to_text(node) {
            Some(arg @ Node { node: Some(NodeEnum::ParamRef(_)) }) => text_parameter(arg),
            _ => Given::Unknown,
        },
        _ => Given::Unknown,
    }
}

fn is_star(field: &Node) -> bool {
    matches!(field.node, Some(NodeEnum::AStar(_)))
}

/// Writes `count(c)` of a whole row of this level as `count(*)`, where no outer join leaves it out:
/// a row is counted whatever is in it, so that its columns are not looked at.
fn counts_rows(call: &mut pb::FuncCall, built_in: &str, scope: &Scope<'_>) {
    let [argument] = call.args.as_slice() else { return };
    let row = whole_row_of(argument, scope);
    let here = |alias: &str| scope.items.iter().any(|item| item.alias == alias);
    let there = row.is_some_and(|item| !item.nullable && here(&item.alias));
    if built_in == "count" && there && !call.agg_distinct && call.agg_order.is_empty() {
        call.args.clear();
        call.agg_star = true;
    }
}

/// Whether a built-in function tells the time at which it is called; a version 7 UUID holds it.
fn tells_time(built_in: &str) -> bool {
    matches!(built_in, "clock_timestamp" | "timeofday" | "uuidv7")
}

/// Whether it is `clock_timestamp()`, for which the time of the statement can stand.
pub(super) fn is_clock(call: &pb::FuncCall) -> bool {
    call.args.is_empty()
        && ast::names(&call.funcname).as_deref() == Some(&["pg_catalog", "clock_timestamp"])
}

/// Whether a built-in function draws from the session's generator, which begins with a seed and
/// goes on from call to call (`pg_global_prng_state`); UUIDs are drawn anew.
fn draws(built_in: &str) -> bool {
    matches!(built_in, "random" | "random_normal" | "array_sample" | "array_shuffle")
}

/// Whether it is `random()`, for which something else can stand.
pub(super) fn is_plain_random(call: &pb::FuncCall) -> bool {
    call.args.is_empty()
        && matches!(ast::names(&call.funcname).as_deref(), Some(["pg_catalog", "random"]))
}

/// Whether an aggregate of this level is somewhere in the expression.
pub(super) fn has_aggregate(node: &Node, kind: &dyn Fn(&pb::FuncCall) -> Option<Kind>) -> bool {
    let any = |nodes: &[Node]| nodes.iter().any(|node| has_aggregate(node, kind));
    let one =
        |node: &Option<Box<Node>>| node.as_deref().is_some_and(|node| has_aggregate(node, kind));
    match node.node.as_ref() {
        Some(NodeEnum::FuncCall(n)) => {
            let aggregate = matches!(
                kind(n),
                Some(Kind::Aggregate | Kind::Collecting | Kind::WindowOrAggregate)
            );
            let window = n
                .over
                .as_deref()
                .is_some_and(|window| any(&window.partition_clause) || any(&window.order_clause));
            aggregate && n.over.is_none() || any(&n.args) || one(&n.agg_filter) || window
        }
        Some(NodeEnum::ResTarget(n)) => one(&n.val),
        Some(NodeEnum::SortBy(n)) => one(&n.node),
        Some(NodeEnum::TypeCast(n)) => one(&n.arg),
        Some(NodeEnum::CollateClause(n)) => one(&n.arg),
        Some(NodeEnum::AExpr(n)) => one(&n.lexpr) || one(&n.rexpr),
        Some(NodeEnum::BoolExpr(n)) => any(&n.args),
        Some(NodeEnum::NullTest(n)) => one(&n.arg),
        Some(NodeEnum::BooleanTest(n)) => one(&n.arg),
        Some(NodeEnum::CaseExpr(n)) => one(&n.arg) || any(&n.args) || one(&n.defresult),
        Some(NodeEnum::CaseWhen(n)) => one(&n.expr) || one(&n.result),
        Some(NodeEnum::CoalesceExpr(n)) => any(&n.args),
        Some(NodeEnum::MinMaxExpr(n)) => any(&n.args),
        Some(NodeEnum::RowExpr(n)) => any(&n.args),
        Some(NodeEnum::AArrayExpr(n)) => any(&n.elements),
        Some(NodeEnum::AIndirection(n)) => one(&n.arg) || any(&n.indirection),
        Some(NodeEnum::AIndices(n)) => one(&n.lidx) || one(&n.uidx),
        Some(NodeEnum::NamedArgExpr(n)) => one(&n.arg),
        Some(NodeEnum::List(n)) => any(&n.items),
        Some(NodeEnum::SubLink(n)) => one(&n.testexpr),
        _ => false,
    }
}

/// Whether `count` with these arguments says how many, not which: a column is counted where it is
/// not NULL, a row always. What is computed of keys, here or in a sub-select, picks records.
fn counts_copies(call: &pb::FuncCall, scope: &Scope<'_>) -> bool {
    let copies = |columns: &[Column]| columns.iter().all(|column| column.copied);
    call.args.iter().all(|argument| {
        let row = whole_row_of(argument, scope);
        let row = row.is_some_and(|item| !call.agg_distinct || copies(&item.rows.columns));
        row || scope.is_copy(argument)
    })
}
