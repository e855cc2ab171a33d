//! The judges of one core, shared by all connections whose rules are equal.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use postern_model::Actor;
use postern_session::{Judge, Kind, ReasonSet, plan_rules};
use postern_sql::Rules;

use crate::{freshness::Present, shared::Shared};

/// One core's judges.
pub(crate) struct Judges {
    /// Begins every name that a rewriting makes; not guessable.
    prefix: Arc<str>,
    search_path: Arc<[String]>,
    /// Of the catalogue that the judges know; `None` while there is none.
    version: Option<[u8; 32]>,
    planned: Vec<Planned>,
    judges: Vec<(Arc<Rules>, Rc<RefCell<Judge>>)>,
}

struct Planned {
    actor: Actor,
    role: Arc<str>,
    rules: Arc<Rules>,
    key_sets: Arc<[ReasonSet]>,
}

/// How many actors' rules are remembered; equal rules are kept once however many share them.
const PLANNED_MAX: usize = 4_096;

impl Judges {
    pub(crate) fn new(prefix: Arc<str>, search_path: Arc<[String]>) -> Self {
        Self { prefix, search_path, version: None, planned: Vec::new(), judges: Vec::new() }
    }

    /// The rules for an actor, by the policy in force.
    pub(crate) fn rules(
        &mut self,
        shared: &Shared,
        actor: &Actor,
        role: &Arc<str>,
        kind: Kind,
    ) -> (Arc<Rules>, Arc<[ReasonSet]>) {
        let known = self.planned.iter().find(|p| p.actor == *actor && p.role == *role);
        if let Some(known) = known {
            return (known.rules.clone(), known.key_sets.clone());
        }
        let settings = &shared.settings;
        let (mut rules, key_sets) =
            plan_rules(&settings.tables, &settings.reasons, &shared.policy, (actor, role, kind));
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
            rules: rules.clone(),
            key_sets: key_sets.clone(),
        });
        (rules, key_sets)
    }

    /// The judge by these rules under this catalogue. One of other content ends all judges before.
    pub(crate) fn judge(
        &mut self,
        present: Option<&Present>,
        rules: &Arc<Rules>,
    ) -> Rc<RefCell<Judge>> {
        let version = present.map(|present| present.catalogue.version());
        if self.version != version {
            self.judges.clear();
            self.version = version;
        }
        if let Some((_, judge)) = self.judges.iter().find(|(known, _)| **known == **rules) {
            return judge.clone();
        }
        let judge = Judge::new(
            present.map(|present| present.catalogue.clone()),
            rules.clone(),
            self.search_path.clone(),
            self.prefix.clone(),
        );
        let judge = Rc::new(RefCell::new(judge));
        self.judges.push((rules.clone(), judge.clone()));
        judge
    }
}
