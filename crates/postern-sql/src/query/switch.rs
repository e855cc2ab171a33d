//! Settings in expressions: `set_config` and `current_setting`.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, call::text_parameter, scope::Scope};
use crate::{
    ast,
    check::{Given, Rule},
    functions::Class,
    path::written_path,
    refusal::{Judged, refusal},
    search_path,
    setting::{Setting, own_copy, set_both, setting},
};

/// What a call of `set_config` comes to.
pub(super) enum Switch {
    /// What it says: what SET may do, said as a function.
    Said,
    /// The setting of this name is the database's own, and is kept in a copy too.
    Copied(String),
    /// Nothing: the value is what there is, if this holds.
    Same(Option<Rule>),
}

impl Analysis<'_> {
    /// Whether it is `set_config('jit', 'off', false)` or its like, which drivers call before they
    /// read the catalogue. A value that is a parameter is not known here; that of `jit` changes how
    /// fast a statement is and nothing else, and that of a setting that is the database's own may
    /// be any. What may not be changed may be set to what it is, as PostgREST does it each time.
    pub(super) fn switches_setting(&self, call: &pb::FuncCall) -> Option<Switch> {
        let named = ast::names(&call.funcname).is_some_and(|names| {
            matches!(names.as_slice(), ["set_config"] | ["pg_catalog", "set_config"])
        });
        let [name, value, local] = call.args.as_slice() else { return None };
        let plain = call.agg_order.is_empty() && call.agg_filter.is_none() && call.over.is_none();
        let is_local = matches!(
            &local.node,
            Some(NodeEnum::AConst(pb::AConst { val: Some(pb::a_const::Val::Boolval(_)), .. }))
        );
        let name = name.node.as_ref().and_then(ast::text);
        let name = name.filter(|_| named && plain && is_local)?.to_ascii_lowercase();
        let text = value.node.as_ref().and_then(ast::text);
        let given = text.map_or_else(|| text_parameter(value), |text| Given::Text(text.to_owned()));
        let may_be_given = given != Given::Unknown;
        match (name.as_str(), text) {
            _ if self.resolver.catalogue.is_custom_setting(&name) => {
                may_be_given.then_some(Switch::Copied(name))
            }
            ("search_path", Some(text)) => {
                let path = search_path(text).ok()?;
                (path == self.resolver.context.search_path).then_some(Switch::Same(None))
            }
            ("search_path", None) => {
                may_be_given.then(|| Switch::Same(Some(Rule::OneOf(given, self.same_paths()))))
            }
            ("role", Some("none")) => Some(Switch::Same(None)),
            ("role", _) => may_be_given.then_some(Switch::Same(Some(Rule::Actor(given)))),
            ("jit", None) => may_be_given.then_some(Switch::Said),
            (_, Some(text)) => {
                (setting(&name, Some(text)) == Ok(Setting::Free)).then_some(Switch::Said)
            }
            (_, None) => None,
        }
    }

    /// Ways to write the path that the session has.
    fn same_paths(&self) -> Vec<String> {
        let schemas = self.resolver.context.search_path;
        let quoted: Vec<String> =
            schemas.iter().map(|name| crate::quote::identifier(name)).collect();
        let plain = written_path(schemas);
        vec![plain.replace(", ", ","), plain, quoted.join(","), quoted.join(", ")]
    }

    pub(super) fn switch(
        &mut self,
        call: &mut pb::FuncCall,
        switch: Switch,
        scope: &Scope<'_>,
    ) -> Judged<()> {
        for argument in &mut call.args {
            self.expression(argument, scope)?;
        }
        let mut arguments = std::mem::take(&mut call.args).into_iter();
        let (Some(name), Some(value), Some(local)) =
            (arguments.next(), arguments.next(), arguments.next())
        else {
            return Ok(());
        };
        let function = |name: &str| vec![ast::string("pg_catalog"), ast::string(name)];
        match switch {
            Switch::Said => {
                self.acts.switches = true;
                call.funcname = function("set_config");
                call.args = vec![name, value, local];
            }
            Switch::Copied(name) => {
                self.acts.switches = true;
                // With NULL the server would give it what the administrator has written, and show
                // that.
                let value = coalesce(value);
                if let Some(NodeEnum::FuncCall(both)) = set_both(&name, value, local).node {
                    *call = *both;
                }
            }
            Switch::Same(rule) => {
                call.funcname = function("concat");
                let text = ast::type_name("pg_catalog", "text", &[], false);
                call.args = vec![ast::cast(value, text)];
                if let Some(rule) = rule {
                    self.checks.push(
                        rule,
                        refusal(
                            "setting",
                            "this setting can't be changed to this by this role",
                            "the role is the account's own; a search path is changed by a \
                             statement of its own",
                        ),
                    );
                }
            }
        }
        Ok(())
    }

    /// Has a call of `current_setting` read the copy of a setting that is the database's own. What
    /// the administrator has written reads the setting itself.
    pub(super) fn read_copy(&self, call: &mut pb::FuncCall) {
        let elsewhere = self.views.verbatim
            || !self.views.open.is_empty()
            || self.defines_view
            || self.conditions_on.is_some();
        if elsewhere || self.class_of_call(call) != Class::Setting {
            return;
        }
        let Some(name) = call.args.first_mut() else { return };
        let Some(text) = name.node.as_ref().and_then(ast::text) else { return };
        if self.resolver.catalogue.is_custom_setting(text) {
            *name = ast::constant(&own_copy(text));
        }
    }

    /// Whether it reads such a copy: what the session itself has written.
    pub(super) fn reads_copy(call: &pb::FuncCall) -> bool {
        let name = call.args.first().and_then(|name| name.node.as_ref()).and_then(ast::text);
        name.is_some_and(|name| name.starts_with(&own_copy("")))
    }
}

/// An empty text for NULL.
fn coalesce(value: Node) -> Node {
    if matches!(value.node, Some(NodeEnum::AConst(_))) {
        return value;
    }
    ast::node(NodeEnum::CoalesceExpr(Box::new(pb::CoalesceExpr {
        args: vec![value, ast::constant("")],
        ..pb::CoalesceExpr::default()
    })))
}
