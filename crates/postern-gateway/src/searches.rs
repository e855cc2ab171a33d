//! Searches that were let through and are not told yet, of all sessions of an actor.
//!
//! What a search found is charged when it is known. Until then it takes up room, so that sessions
//! side by side, or statements sent one behind the other, don't search beyond the budget.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use postern_model::Actor;

use crate::shared::Shared;

#[derive(Debug, Default)]
pub(crate) struct Searches(Mutex<HashMap<Actor, usize>>);

impl Searches {
    fn lock(&self) -> MutexGuard<'_, HashMap<Actor, usize>> {
        // One number changes at a time: every change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The searches of one session.
pub(crate) struct UnderWay {
    shared: Arc<Shared>,
    actor: Actor,
    searches: usize,
}

impl UnderWay {
    pub(crate) fn new(shared: &Arc<Shared>, actor: &Actor) -> Self {
        Self { shared: shared.clone(), actor: actor.clone(), searches: 0 }
    }

    /// So many more; how many of the actor are under way now.
    pub(crate) fn begin(&mut self, searches: usize) -> usize {
        self.searches += searches;
        let mut all = self.shared.searches.lock();
        let of_actor = all.entry(self.actor.clone()).or_default();
        *of_actor += searches;
        *of_actor
    }

    /// So many were not let through.
    pub(crate) fn give_back(&mut self, searches: usize) {
        let searches = searches.min(self.searches);
        self.searches -= searches;
        self.leave(searches);
    }

    /// All that this session searched for is with the ledger, or was never run.
    pub(crate) fn end(&mut self) {
        let searches = std::mem::take(&mut self.searches);
        self.leave(searches);
    }

    fn leave(&self, searches: usize) {
        if searches == 0 {
            return;
        }
        let mut all = self.shared.searches.lock();
        let left = all.get(&self.actor).map_or(0, |of_actor| of_actor.saturating_sub(searches));
        if left == 0 {
            all.remove(&self.actor);
        } else {
            all.insert(self.actor.clone(), left);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.end();
    }
}
