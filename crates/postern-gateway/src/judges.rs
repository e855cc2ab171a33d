//! The judges of one core, shared by all connections whose rules are equal.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use postern_model::Actor;
use postern_session::{Enforcement, Judge, Kind, ReasonSet, observing_rules, plan_rules};
use postern_sql::{Catalogue, Rules};

use crate::{freshness::Present, regime::Regime};

/// One core's judges.
pub(crate) struct Judges {
    /// Begins every name that a rewriting makes; not guessable.
    prefix: Arc<str>,
    search_path: Arc<[String]>,
    /// Of the catalogue that the judges know; `None` while there is none.
    version: Option<[u8; 32]>,
    planned: Vec<Planned>,
    /// The rules that account for those for whom policy is not enforced.
    observing: Option<Arc<Rules>>,
    /// The one that was asked for last is the last.
    judges: Vec<(Ruled, Rc<RefCell<Judge>>)>,
}

/// By which rules a judge judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruled {
    /// The role's own.
    own: Arc<Rules>,
    /// Those that account for everything, where the role's own are not enforced; and whether what
    /// can't be accounted is let through.
    observing: Option<(Arc<Rules>, bool)>,
}

impl Ruled {
    fn judge(
        &self,
        catalogue: Option<Arc<Catalogue>>,
        search_path: Arc<[String]>,
        prefix: Arc<str>,
    ) -> Judge {
        match &self.observing {
            None => Judge::new(catalogue, self.own.clone(), search_path, prefix),
            Some((rules, lets_through)) => {
                Judge::new(catalogue, rules.clone(), search_path, prefix)
                    .observing(self.own.clone(), *lets_through)
            }
        }
    }
}

struct Planned {
    actor: Actor,
    role: Arc<str>,
    /// The role's, which another configuration may change.
    kind: Kind,
    rules: Arc<Rules>,
    key_sets: Arc<[ReasonSet]>,
}

/// How many actors' rules are remembered; equal rules are kept once however many share them.
const PLANNED_MAX: usize = 4_096;

/// How many judges are kept that no connection uses.
const IDLE_MAX: usize = 16;

/// What all judges of a core remember together; those that are used share it in equal parts.
const REMEMBERED_BYTES_MAX: usize = 128 * 1024 * 1024;

impl Judges {
    pub(crate) fn new(prefix: Arc<str>, search_path: Arc<[String]>) -> Self {
        let (planned, judges) = (Vec::new(), Vec::new());
        Self { prefix, search_path, version: None, planned, observing: None, judges }
    }

    /// The rules for an actor, by the policy in force.
    pub(crate) fn rules(
        &mut self,
        regime: &Regime,
        actor: &Actor,
        role: &Arc<str>,
        kind: Kind,
    ) -> (Arc<Rules>, Arc<[ReasonSet]>) {
        let is_it = |p: &&Planned| p.actor == *actor && p.role == *role && p.kind == kind;
        let known = self.planned.iter().find(is_it);
        if let Some(known) = known {
            return (known.rules.clone(), known.key_sets.clone());
        }
        let settings = &regime.settings;
        let (mut rules, key_sets) =
            plan_rules(&settings.tables, &settings.reasons, &regime.policy, (actor, role, kind));
        settings.upstream.vouch(&mut rules);
        let equal = self.planned.iter().find(|p| *p.rules == rules && *p.key_sets == *key_sets);
        let (rules, key_sets) = match equal {
            Some(equal) => (equal.rules.clone(), equal.key_sets.clone()),
            None => (Arc::new(rules), Arc::from(key_sets)),
        };
        if self.planned.len() >= PLANNED_MAX {
            self.planned.clear();
        }
        self.planned.push(Planned {
            actor: actor.clone(),
            role: role.clone(),
            kind,
            rules: rules.clone(),
            key_sets: key_sets.clone(),
        });
        (rules, key_sets)
    }

    /// The same for somebody for whom policy is, or is not, enforced.
    pub(crate) fn ruled(
        &mut self,
        regime: &Regime,
        own: Arc<Rules>,
        (enforcement, lets_through): (Enforcement, bool),
    ) -> Ruled {
        if enforcement.is_enforced() {
            return Ruled { own, observing: None };
        }
        let rules = self.observing.get_or_insert_with(|| {
            let mut rules = observing_rules(&regime.settings.tables);
            regime.settings.upstream.vouch(&mut rules);
            Arc::new(rules)
        });
        Ruled { own, observing: Some((rules.clone(), lets_through)) }
    }

    /// The judge by these rules under this catalogue. One of other content ends all judges before.
    pub(crate) fn judge(&mut self, present: Option<&Present>, rules: &Ruled) -> Rc<RefCell<Judge>> {
        let version = present.map(|present| present.catalogue.version());
        if self.version != version {
            // A connection may keep its judge until its client sends something.
            for (_, judge) in self.judges.drain(..) {
                judge.borrow_mut().remember(0);
            }
            self.version = version;
        }
        if let Some(at) = self.judges.iter().position(|(known, _)| known == rules) {
            let known = self.judges.remove(at);
            let judge = known.1.clone();
            self.judges.push(known);
            return judge;
        }
        let catalogue = present.map(|present| present.catalogue.clone());
        let judge = rules.judge(catalogue, self.search_path.clone(), self.prefix.clone());
        let judge = Rc::new(RefCell::new(judge));
        self.judges.push((rules.clone(), judge.clone()));
        self.share_out();
        judge
    }

    /// Lets go of judges that nobody uses, the longest unused first, and divides what may be
    /// remembered among the others.
    fn share_out(&mut self) {
        let idle = |judge: &Rc<RefCell<Judge>>| Rc::strong_count(judge) == 1;
        let count = self.judges.iter().filter(|(_, judge)| idle(judge)).count();
        let mut spare = count.saturating_sub(IDLE_MAX);
        self.judges.retain(|(_, judge)| {
            let goes = spare > 0 && idle(judge);
            spare -= usize::from(goes);
            !goes
        });
        let share = REMEMBERED_BYTES_MAX / self.judges.len().max(1);
        for (_, judge) in &self.judges {
            judge.borrow_mut().remember(share);
        }
    }
}

#[cfg(test)]
mod tests;
