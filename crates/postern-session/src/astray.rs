//! What follows a text that was let through: nothing that is known of the session need be so.
//!
//! It may have made anything, and until its transaction has ended nobody else sees that. So each
//! text up to there has an entry that says that it is not known what it shows, before it is sent:
//! at its Parse, its Bind and each of its executions. What is sent is what is judged all the same,
//! for that is what knows the session's names.
//!
//! What it may have left behind that is the session's own (a setting by which the server reads
//! texts, a temporary view, another statement under a name of the gateway's) is in no catalogue at
//! all. So behind a text that may have left something ([`postern_sql::may_remain`]) this goes on
//! until `DISCARD ALL` has succeeded. Whether it may is said by the catalogue that it was judged
//! by: if that turns out to have been another one, it may.

use std::sync::Arc;

use postern_sql::is_own_type;
use postern_wire::{Bind, Frame};

use crate::{Effect, Session, View, judge::Planned, portal::Portal, would::ToldPlain};

/// What texts that were let through may have done.
#[derive(Debug, Default)]
pub(crate) struct Astray {
    /// One was sent in this transaction.
    now: bool,
    /// Something of the session's own may be left.
    left: bool,
    /// The same, if one that was sent and is not answered yet has begun to run.
    leaving: bool,
    /// A DISCARD ALL was sent, and none of them since.
    discarding: bool,
    /// The generation of the catalogue by which the last one was judged, until it is known whether
    /// it ran under that.
    judged: Option<u64>,
    /// The generation that is the present one for the message that is being handled.
    present: u64,
    /// Counts the server's ReadyForQuery messages.
    round: u64,
}

impl Astray {
    /// A message of the client is handled, under that generation of the catalogue. The catalogue
    /// was looked at since the last transaction with such a text.
    pub(crate) fn begins(&mut self, generation: u64) {
        if !self.now {
            self.left |= self.judged.take().is_some_and(|judged| judged != generation);
        }
        self.present = generation;
    }

    /// One is being sent, or bound.
    pub(crate) fn sends(&mut self, remains: bool) {
        self.now = true;
        self.leaving |= remains;
        self.discarding = false;
        self.judged.get_or_insert(self.present);
    }

    /// Something is left, whatever it was that left it.
    pub(crate) fn strays(&mut self) {
        self.left = true;
    }

    /// The server has begun to run what it was sent.
    pub(crate) fn answers(&mut self) {
        self.left |= std::mem::take(&mut self.leaving);
    }

    /// The server could not read the first of what it has not answered yet, so that nothing of
    /// that has run.
    pub(crate) fn unread(&mut self) {
        self.leaving = false;
    }

    /// The server has answered all.
    pub(crate) fn answered(&mut self) {
        self.answers();
        self.round += 1;
    }

    /// No transaction is open any more; whether there was one of them in it.
    pub(crate) fn ends(&mut self) -> bool {
        std::mem::take(&mut self.now)
    }

    pub(crate) fn discards(&mut self) {
        self.discarding = true;
    }

    /// A DISCARD ALL has succeeded.
    pub(crate) fn discarded(&mut self) {
        self.left &= !self.discarding;
    }

    pub(crate) fn round(&self) -> u64 {
        self.round
    }
}

impl Session {
    /// Whether it is not known what any text shows now.
    pub(crate) fn is_unsure(&self) -> bool {
        self.astray.now || self.astray.left
    }

    /// Tells what a Bind is about before the server plans it, where it is not known what that
    /// shows; whether the message has to wait.
    pub(crate) fn tells_bound(
        &mut self,
        (frame, bind): (&Frame, &Bind<'_>),
        plan: &Planned,
        view: &View<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(prepared) = self.statements.get(bind.statement) else { return false };
        if matches!(plan, Planned::Local(_)) || prepared.told_in == Some(self.astray.round) {
            return false;
        }
        let told = match plan.unaccounted() {
            Some(told) => Some(told.clone()),
            None => self.is_unsure().then(|| view.judge.unsure(&prepared.sql)),
        };
        self.tells_first(frame, told, effects)
    }

    /// The same of an execution that is another one than the first of what was told when it was
    /// bound.
    pub(crate) fn tells_executed(
        &mut self,
        frame: &Frame,
        portal: &Portal,
        view: &View<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if portal.told || matches!(&*portal.plan, Planned::Local(_)) {
            return false;
        }
        let told = match portal.plan.unaccounted() {
            Some(told) => Some(told.clone()),
            None => self.is_unsure().then(|| self.unsure_execution(portal, view)),
        };
        self.tells_first(frame, told, effects)
    }

    /// What was told of what is being bound; from now on it may have run.
    pub(crate) fn told_of(&mut self, statement: &str, mut portal: Portal) -> Portal {
        if !self.profile.lets_through() {
            return portal;
        }
        let unaccounted = portal.plan.unaccounted().cloned();
        let tells = unaccounted.is_some() || self.is_unsure();
        portal.told = tells && self.charging.is_some();
        let mut remains = unaccounted.as_ref().is_some_and(|told| told.remains);
        if let Some(prepared) = self.statements.get_mut(statement) {
            portal.told |= prepared.told_in.take() == Some(self.astray.round);
            portal.text = Some(prepared.sql.clone());
            remains |= prepared.types.iter().any(|oid| is_own_type(*oid));
        }
        if unaccounted.is_some() {
            self.astray.sends(remains);
        }
        portal
    }

    fn unsure_execution(&self, portal: &Portal, view: &View<'_>) -> Arc<ToldPlain> {
        if let Some(text) = &portal.text {
            return view.judge.unsure(text);
        }
        match portal.plan.guarded() {
            Some(plan) => ToldPlain::unsure(plan.shown.fingerprint, &plan.shown.statement),
            None => ToldPlain::unsure(Default::default(), &"a cursor or portal".into()),
        }
    }
}
