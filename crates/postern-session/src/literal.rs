//! Queries that differ in their literals only: judged once, as statements with parameters.

use std::sync::Arc;

use postern_sql::{Effect, Literals, Template, without_literals};

use crate::{
    Judge, Judged, Session, View,
    asked::Given,
    judge::Planned,
    portal::{Run, UpstreamName},
};

/// What texts of one shape are judged to be.
#[derive(Debug)]
pub(crate) struct Shape {
    plan: Arc<Planned>,
    /// What is sent, known where the literals go.
    template: Template,
}

impl Shape {
    /// The shape of a single query or write; nothing else has one.
    fn of(judged: &Judged) -> Option<Self> {
        let Judged::Statements(planned) = judged else { return None };
        let [plan] = planned.as_slice() else { return None };
        let template = match &**plan {
            Planned::Plain(plain) if matches!(plain.effect, Effect::Query | Effect::Write) => {
                Template::of(&plain.sql).with_parameters()?
            }
            Planned::Guarded(guarded) => guarded.guarded.sql.with_parameters()?,
            Planned::Plain(_) | Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => {
                return None;
            }
        };
        Some(Self { plan: plan.clone(), template })
    }
}

impl Judge {
    /// The shape of a text, with its literals; `None` if it is to be judged by itself.
    fn shape<'s>(&mut self, sql: &'s str) -> Option<(Arc<Shape>, Literals<'s>)> {
        let literals = without_literals(sql)?;
        if let Some(known) = self.shapes.get(literals.text.as_str()) {
            return known.clone().map(|shape| (shape, literals));
        }
        let shape = Shape::of(&self.analysed(&literals.text, true)).map(Arc::new);
        if self.makes_room(&literals.text) {
            self.shapes.insert(literals.text.as_str().into(), shape.clone());
        }
        shape.map(|shape| (shape, literals))
    }
}

impl Session {
    /// A query of a known shape as it is sent. Where anything is to be said about its literals it
    /// has none, so that it is said about the text as it is.
    pub(crate) fn of_shape(&mut self, sql: &str, view: &mut View<'_>) -> Option<(String, Run)> {
        let (shape, literals) = view.judge.shape(sql)?;
        let values: Vec<Option<&[u8]>> =
            literals.values.iter().map(|literal| Some(literal.value.as_bytes())).collect();
        let types: Vec<u32> = literals.values.iter().map(|literal| literal.declared).collect();
        if let Planned::Guarded(plan) = &*shape.plan {
            plan.takes_types(&types).ok()?;
            plan.checked(self.profile.actor.as_str(), &values).ok()?;
        }
        let plan = self.scale.plan(shape.plan.clone(), 0).ok()?;
        let given = Given { values: &values, formats: &[], types: &types };
        let portal = self.portal(UpstreamName(None), plan, given, view).ok()?;
        let bounded = shape.plan.guarded().is_some_and(|plan| plan.guarded.bounded);
        let searched = bounded.then_some(&*portal.searched);
        let tokens: Vec<&str> = literals.values.iter().map(|literal| literal.token).collect();
        let sql = shape.template.render_with(&tokens, |hole| self.fill(hole, searched, view))?;
        let undo = self.change(&portal);
        Some((sql, Run::new(portal, undo)))
    }
}
