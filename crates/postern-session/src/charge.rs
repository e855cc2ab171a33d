//! Searches by storing are charged before they run.
//!
//! Storing a value where it must be the only one tells whether it is there, by an error or none.
//! What has run can't be taken back, so such a statement is told to the ledger first, as a search
//! that found nobody, and sent when the receipt has come. Until then the client is read no further.

use postern_sql::LookupKind;
use postern_wire::Frame;

use crate::{
    Effect, Failure, Session, View,
    hold::Held,
    judge::Planned,
    session::{Portal, UpstreamName},
};

/// A message of the client that waits for the receipt of what it searches for.
#[derive(Debug)]
pub(crate) struct Charging {
    frame: Frame,
    /// The hold that tells of the searches.
    hold: u64,
    query: bool,
    /// The receipt has come; the message is being handled.
    paid: bool,
}

impl Session {
    /// Tells of what the statements of a Query message search for by storing it; whether the
    /// message has to wait.
    pub(crate) fn charges_query(
        &mut self,
        frame: &Frame,
        planned: &[std::sync::Arc<Planned>],
        view: &View<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let unnamed = UpstreamName(None);
        let portals: Vec<Portal> =
            planned.iter().map(|plan| Portal::new(unnamed, plan.clone(), &[], view)).collect();
        let waits = self.charges(frame, &portals, effects);
        if waits && let Some(charging) = &mut self.charging {
            charging.query = true;
        }
        waits
    }

    /// Tells of what executions search for by storing it; whether the message has to wait.
    pub(crate) fn charges(
        &mut self,
        frame: &Frame,
        portals: &[Portal],
        effects: &mut Vec<Effect>,
    ) -> bool {
        if self.charging.as_ref().is_some_and(|charging| charging.paid) {
            return false;
        }
        let mut held: Option<Held> = None;
        for portal in portals {
            let Planned::Guarded(plan) = &*portal.plan else { continue };
            let lookups = plan.lookups(LookupKind::Stored, &portal.searched, false);
            if lookups.is_empty() {
                continue;
            }
            let held = held.get_or_insert_with(|| {
                self.holds += 1;
                Held::new(self.holds, plan.shown.clone())
            });
            held.hold.lookups.extend(lookups);
        }
        let Some(held) = held else { return false };
        let hold = held.hold.id;
        self.charging = Some(Charging { frame: frame.clone(), hold, query: false, paid: false });
        self.outbox.rows(held, effects);
        true
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
        let Some(mut charging) = self.charging.take_if(|charging| charging.hold == hold) else {
            return false;
        };
        if !matches!(charged, Err(Failure::LedgerFull | Failure::NotRecorded)) {
            effects.push(Effect::Release { hold, rows: 0 });
        }
        self.outbox.released();
        let sent = match charged {
            Ok(()) => {
                charging.paid = true;
                let frame = charging.frame.clone();
                self.charging = Some(charging);
                self.client(&frame, view, effects);
                self.charging = None;
                Ok(())
            }
            Err(failure) if charging.query => self.refuse_query(&failure, effects),
            Err(failure) => self.refuse_in_order(&failure, effects),
        };
        if sent.is_err() {
            self.close(&Failure::Protocol("message can't be passed on"), effects);
        }
        true
    }

    /// The statement before it is cut: what waits is never sent, nor what depends on it.
    pub(crate) fn uncharged(&mut self, effects: &mut Vec<Effect>) {
        let Some(charging) = self.charging.take() else { return };
        let sent = if charging.query {
            // The client waits for a ReadyForQuery of its own.
            self.refuse_query(&Failure::NotRecorded, effects)
        } else {
            self.refuse_in_order(&Failure::NotRecorded, effects)
        };
        if sent.is_err() {
            self.close(&Failure::Protocol("message can't be passed on"), effects);
        }
    }
}
