//! What a connection tells the ledger, and what it hears.

use bytes::BytesMut;
use postern_ledger::{Answer, Limit, Nearing, Plan, Receipt, RecordError};
use postern_session::{Hold, Input, Stopped, Unrecorded};
use postern_wire::{
    SqlState,
    encode::{self, Report, Severity},
};

use super::{Connection, ConnectionError};
use crate::{
    draft::draft,
    hold::{HoldBuffer, WrongReceipt},
    registry::Command,
};

impl Connection<'_> {
    pub(super) fn record(&mut self, mut hold: Hold) {
        let (number, id) = (self.number, hold.id);
        self.shared.observations.count(&self.who.role_name, &hold);
        self.counters.recorded.add(1);
        self.counters.recorded_rows.add(hold.rows.len());
        self.held = Some(HoldBuffer::new(number, &mut hold));
        let who = (number, &self.who.actor);
        let draft = draft(hold, who, &self.who.role.budgets, &self.shared.search_key);
        let recorded = move |result| Command::Recorded { hold: id, result: Box::new(result) };
        if self.busy.is_alone() {
            let sender = self.sender.clone();
            let done = move |result| {
                // Who has ended meanwhile releases nothing.
                let _ = sender.send(recorded(result));
                None
            };
            self.shared.ledger.record_here(draft, Box::new(done));
        } else {
            let address = self.letterbox.address();
            let done = move |result| address.put(recorded(result));
            self.shared.ledger.record_waking(draft, Box::new(done));
        }
    }

    /// Records what nothing leaves of. Where that fails nothing else leaves either.
    pub(super) fn tell(&self, hold: Hold) {
        self.shared.observations.count(&self.who.role_name, &hold);
        let who = (self.number, &self.who.actor);
        let draft = draft(hold, who, &self.who.role.budgets, &self.shared.search_key);
        let (wary, now) = (self.who.wary.clone(), self.shared.clock.now());
        self.shared.ledger.record(
            draft,
            Box::new(move |result| match result {
                Ok(receipt) if receipt.stopped().is_some() => wary.stopped(now),
                Ok(_) => {}
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a search could not be recorded"
                ),
            }),
        );
    }

    pub(super) fn ask(&mut self, question: u64, searches: usize, writes: bool) {
        self.asking = searches;
        let searches = self.who.under_way.begin(searches);
        let address = self.letterbox.address();
        self.shared.ledger.ask(
            self.who.actor.clone(),
            self.who.role.budgets.clone(),
            Plan { searches, writes },
            Box::new(move |result| {
                address.tell(Command::Asked { question, result: Box::new(result) });
            }),
        );
    }

    pub(super) async fn asked(
        &mut self,
        question: u64,
        result: Result<Answer, RecordError>,
    ) -> Result<(), ConnectionError> {
        let asked = std::mem::take(&mut self.asking);
        if !matches!(&result, Ok(answer) if answer.stopped.is_none()) {
            self.who.under_way.give_back(asked);
        }
        let answer = match result {
            Ok(answer) => {
                self.who.wary.learn(answer.was_stopped, self.shared.clock.now());
                Ok(answer.stopped.map(stopped))
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a search could not be asked for; it was not sent"
                );
                Err(unrecorded(&error))
            }
        };
        self.handle(Input::Asked { question, answer }).await
    }

    pub(super) async fn recorded(
        &mut self,
        hold: u64,
        result: Result<Receipt, RecordError>,
    ) -> Result<(), ConnectionError> {
        let held = self.held.take().filter(|held| held.hold() == hold);
        let (receipt, held) = match (result, held) {
            (Ok(receipt), Some(held)) => (receipt, held),
            (Err(error), _) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a disclosure could not be recorded; nothing of it was released"
                );
                let why = unrecorded(&error);
                return self.handle(Input::NotRecorded { hold, why }).await;
            }
            (Ok(_), None) => return Err(WrongReceipt::Named { named: hold }.into()),
        };
        let allowed = usize::try_from(receipt.allowed()).unwrap_or(usize::MAX);
        if receipt.stopped().is_some() {
            self.who.wary.stopped(self.shared.clock.now());
        }
        for nearing in receipt.nearing() {
            self.session.give_notice(&notice(nearing));
        }
        let stopped = receipt.stopped().map(stopped);
        self.receipt = Some((held, receipt));
        self.handle(Input::Recorded { hold, allowed, stopped }).await
    }
}

/// What tells the actor that a budget is nearly spent.
fn notice(nearing: &Nearing) -> BytesMut {
    let Nearing { limit, used } = nearing;
    let (max, counter, window) = (limit.max, limit.counter.as_str(), limit.window_text());
    let message = format!("{used} of {max} {counter} in {window} are used");
    let hint = "what comes after the last of them is not shown; ask for more while there is time";
    let report = Report {
        severity: Severity::Notice,
        sqlstate: SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        message: &message,
        detail: None,
        hint: Some(hint),
        position: None,
    };
    let mut notice = BytesMut::new();
    encode::notice_response(&mut notice, &report);
    notice
}

fn stopped(limit: Limit) -> Stopped {
    Stopped { counter: limit.counter.as_str(), max: limit.max, window: limit.window_text() }
}

fn unrecorded(error: &RecordError) -> Unrecorded {
    match error {
        RecordError::Full { .. } => Unrecorded::Full,
        RecordError::NoCopy => Unrecorded::NoCopy,
        RecordError::Unwitnessed => Unrecorded::Unwitnessed,
        RecordError::Poisoned { .. }
        | RecordError::PutBack { .. }
        | RecordError::Closed
        | RecordError::Busy
        | RecordError::TooLarge
        | RecordError::Horizon { .. }
        | RecordError::Leaf => Unrecorded::Failed,
    }
}
