//! What searches has room in the budgets before it runs.
//!
//! A look-up is charged when it is known what it found. That can show by other things than its
//! rows, so it is not sent unless there is room for it, and for a miss: the client's message waits
//! for the answer, and is refused in its place if there is none. The same is asked for each
//! statement of an actor of whom one was stopped by a spent budget: being stopped tells something.
//! A write is not sent when a budget of customers is spent: whom it touches is known when it is
//! done, and recorded then whatever is left.
//!
//! Storing a value where it must be the only one tells whether it is there, by an error or none.
//! What has run can't be taken back, so such a statement is told to the ledger first, as a search
//! that found nobody, and sent when the receipt has come. Until then the client is read no further.

use std::sync::Arc;

use postern_sql::{Act, LookupKind};
use postern_wire::Frame;

use crate::{
    Effect, Failure, Hold, Session, Stopped, Unrecorded, View,
    hold::Held,
    judge::{Planned, PlannedGuarded},
    portal::{Portal, Run},
    would::ToldPlain,
};

/// A message of the client that waits for the receipt of what it searches for.
#[derive(Debug)]
pub(crate) struct Charging {
    frame: Frame,
    query: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// It is asked whether there is room for what it looks up. That is told if there is none.
    Asking { question: u64, told: Box<Hold> },
    /// There is; the message is being handled.
    Asked,
    /// That it is not known what it shows is told by this hold.
    Telling(u64),
    /// That is recorded; the message is being handled.
    Known,
    /// What it searches for by storing it is told by this hold.
    Told(u64),
    /// The receipt has come; the message is being handled.
    Paid,
}

impl Charging {
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl Session {
    /// Asks or tells of what the statements of a Query message search for, as they would be sent;
    /// whether the message has to wait.
    pub(crate) fn charges_query(
        &mut self,
        frame: &Frame,
        runs: &[(String, Run)],
        unsure: impl FnOnce() -> Arc<ToldPlain>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let portals: Vec<&Portal> = runs.iter().map(|(_, run)| &run.portal).collect();
        let shows = portals.iter().any(|portal| !matches!(&*portal.plan, Planned::Local(_)));
        let told = portals.iter().find_map(|portal| portal.plan.unaccounted()).cloned();
        let told = told.or_else(|| (shows && self.is_unsure()).then(unsure));
        let waits = self.tells_first(frame, told, effects)
            || self.charges_as(frame, (&portals, true), effects);
        if waits && let Some(charging) = &mut self.charging {
            charging.query = true;
        }
        waits
    }

    /// The same of the execution of a portal that was bound.
    pub(crate) fn charges(
        &mut self,
        frame: &Frame,
        portal: &Portal,
        effects: &mut Vec<Effect>,
    ) -> bool {
        self.charges_as(frame, (&[portal], false), effects)
    }

    /// Asks or tells of what executions search for, and whether they are planned now; whether the
    /// message has to wait.
    fn charges_as(
        &mut self,
        frame: &Frame,
        (portals, planned): (&[&Portal], bool),
        effects: &mut Vec<Effect>,
    ) -> bool {
        match self.charging.as_ref().map(|charging| &charging.stage) {
            None | Some(Stage::Known) => {
                if self.asks(frame, (portals, planned), effects) {
                    return true;
                }
            }
            Some(Stage::Asked) => {}
            Some(Stage::Asking { .. } | Stage::Telling(_) | Stage::Told(_) | Stage::Paid) => {
                return false;
            }
        }
        let Some(held) = self.told(portals, LookupKind::Stored) else { return false };
        let stage = Stage::Told(held.hold.id);
        self.charging = Some(Charging { frame: frame.clone(), query: false, stage });
        self.outbox.rows(held, effects);
        true
    }

    /// Tells that it is not known what a message shows, and has it wait for the receipt: whether
    /// it has to.
    pub(crate) fn tells_first(
        &mut self,
        frame: &Frame,
        told: Option<Arc<ToldPlain>>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(told) = told.filter(|_| self.charging.is_none()) else { return false };
        self.holds += 1;
        let held = told.held(self.holds);
        let stage = Stage::Telling(held.hold.id);
        self.charging = Some(Charging { frame: frame.clone(), query: false, stage });
        self.outbox.rows(held, effects);
        true
    }

    /// Asks of what is bound: the server plans it, and how long that takes, and whether it fails,
    /// hangs on values that ANALYZE has kept of what protected columns it works with.
    pub(crate) fn asks_before_planning(
        &mut self,
        frame: &Frame,
        portal: &Portal,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let hangs = running(&portal.plan)
            .is_some_and(|plan| plan.works() && !plan.looks_up(LookupKind::Compared));
        let is_asked = |charging: &Charging| !matches!(charging.stage, Stage::Known);
        let asked = self.charging.as_ref().is_some_and(is_asked);
        hangs && !asked && self.asks(frame, (&[portal], true), effects)
    }

    /// Asks whether there is room for what they look up, if they do, or for anything at all.
    fn asks(
        &mut self,
        frame: &Frame,
        (portals, planned): (&[&Portal], bool),
        effects: &mut Vec<Effect>,
    ) -> bool {
        let searches = portals.iter().map(|portal| {
            let Some(plan) = running(&portal.plan) else { return 0 };
            // What works with protected columns was asked for when it was bound.
            let asked = !planned && plan.works();
            let compared = usize::from(plan.looks_up(LookupKind::Compared));
            let decides = portal.searched.is_to_decide() && !asked;
            let decided = if decides { plan.guarded.decided_by.len() } else { 0 };
            // Whether it fails tells of what a write sets columns to.
            let sets = if plan.guarded.writes { plan.guarded.worked.len() } else { 0 };
            compared + decided.max(sets)
        });
        let searches = searches.sum();
        let mut plans = portals.iter().filter_map(|portal| running(&portal.plan));
        let writes = plans.clone().any(|plan| plan.guarded.writes);
        let asks = searches > 0 || writes || self.asks;
        let Some(first) = plans.next().filter(|_| asks) else { return false };
        let holds = self.holds;
        let told = self.told(portals, LookupKind::Compared);
        // What searches for nobody is told, too, if it may not run.
        let told = told.unwrap_or_else(|| Held::of(0, first));
        let told = Box::new(told.hold);
        // It becomes a hold only if it is told.
        self.holds = holds;
        self.questions += 1;
        let question = self.questions;
        let stage = Stage::Asking { question, told };
        self.charging = Some(Charging { frame: frame.clone(), query: false, stage });
        effects.push(Effect::Ask { question, searches, writes });
        true
    }

    /// Executions' searches of a kind, as ones that found nobody.
    fn told(&mut self, portals: &[&Portal], kind: LookupKind) -> Option<Held> {
        let mut held: Option<Held> = None;
        for portal in portals {
            let Some(plan) = running(&portal.plan) else { continue };
            let mut lookups = plan.lookups(kind, &portal.searched, false);
            if kind == LookupKind::Compared {
                lookups.extend(plan.would_decide(&portal.searched));
            }
            if lookups.is_empty() {
                continue;
            }
            let held = held.get_or_insert_with(|| {
                self.holds += 1;
                Held::of(self.holds, plan)
            });
            held.hold.lookups.extend(lookups);
        }
        held
    }

    /// The answer to a question: the message goes on, or is refused in its place, and its searches
    /// are recorded as stopped ones.
    pub(crate) fn asked(
        &mut self,
        question: u64,
        answer: Result<Option<Stopped>, Unrecorded>,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let is_it = |charging: &mut Charging| match charging.stage {
            Stage::Asking { question: waits, .. } => waits == question,
            Stage::Asked | Stage::Telling(_) | Stage::Known | Stage::Told(_) | Stage::Paid => false,
        };
        let Some(mut charging) = self.charging.take_if(is_it) else { return };
        let stage = std::mem::replace(&mut charging.stage, Stage::Asked);
        let failure = match answer {
            Ok(None) => return self.go_on(charging, view, effects),
            Ok(Some(stopped)) => {
                if let Stage::Asking { mut told, .. } = stage {
                    self.holds += 1;
                    told.id = self.holds;
                    told.stopped = Some(stopped.clone());
                    effects.push(Effect::Tell(*told));
                }
                stopped.failure()
            }
            Err(why) => why.failure(),
        };
        self.refuse_charging(&charging, &failure, effects);
    }

    /// Handles the message that waited.
    pub(crate) fn go_on(
        &mut self,
        charging: Charging,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let (frame, query) = (charging.frame.clone(), charging.query);
        self.charging = Some(charging);
        self.client(&frame, view, effects);
        let is_handled = |charging: &mut Charging| {
            matches!(charging.stage, Stage::Asked | Stage::Known | Stage::Paid)
        };
        self.charging.take_if(is_handled);
        if let Some(charging) = &mut self.charging {
            charging.query = query;
        }
    }

    fn refuse_charging(
        &mut self,
        charging: &Charging,
        failure: &Failure,
        effects: &mut Vec<Effect>,
    ) {
        if self.skipping {
            // A statement before it has failed since: it is dropped like all up to the Sync.
            return;
        }
        let sent = if charging.query {
            // The client waits for a ReadyForQuery of its own.
            self.refuse_query(failure, effects)
        } else {
            self.refuse_in_order(failure, effects)
        };
        if sent.is_err() {
            self.close(&Failure::Protocol("message can't be passed on"), effects);
        }
    }

    /// The ledger's word on a hold, if it is one that a message waits for: the message goes on, or
    /// is refused in its place.
    pub(crate) fn charged(
        &mut self,
        hold: u64,
        charged: Result<(), Failure>,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if self.outbox.waiting().is_none_or(|waiting| waiting.hold != hold) {
            return false;
        }
        let is_it = |charging: &mut Charging| match charging.stage {
            Stage::Telling(told) | Stage::Told(told) => told == hold,
            Stage::Asking { .. } | Stage::Asked | Stage::Known | Stage::Paid => false,
        };
        let Some(mut charging) = self.charging.take_if(is_it) else { return false };
        if !charged.as_ref().is_err_and(Failure::is_unrecorded) {
            effects.push(Effect::Release { hold, rows: 0 });
        }
        self.outbox.released();
        match charged {
            Ok(()) => {
                let is_told = matches!(charging.stage, Stage::Telling(_));
                charging.stage = if is_told { Stage::Known } else { Stage::Paid };
                self.go_on(charging, view, effects);
            }
            Err(failure) => self.refuse_charging(&charging, &failure, effects),
        }
        true
    }

    /// The statement before it is cut: what waits is never sent, nor what depends on it.
    pub(crate) fn uncharged(&mut self, effects: &mut Vec<Effect>) {
        let Some(charging) = self.charging.take() else { return };
        self.refuse_charging(&charging, &Failure::NotRecorded, effects);
    }
}

/// The query on protected tables that is run, or may be run before anything else is said of it.
fn running(plan: &Planned) -> Option<&PlannedGuarded> {
    match plan {
        Planned::Guarded(plan) => Some(plan),
        Planned::Copy(copy) => Some(&copy.query),
        Planned::Named(named) if matches!(named.named.act, Act::Declare { .. }) => {
            named.query.as_deref().and_then(Planned::guarded)
        }
        Planned::Plain(_) | Planned::Local(_) | Planned::Named(_) => None,
    }
}
