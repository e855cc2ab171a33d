//! What waits for proofs on its way to the server: whatever could commit what a statement wrote
//! that is not yet proven to have been judged by the present catalogue.
//!
//! A Query message with such a statement is run as the extended protocol would, statement by
//! statement in one transaction, so that there is a moment between the statement and its commit.

use bytes::BytesMut;
use postern_wire::{Bind, Execute, Frame, Frontend, Parse, Target, encode};

use crate::{
    Effect, Failure, Session, View,
    charge::Charging,
    copy::CopyIn,
    expect::{Expect, OwnDoes},
    portal::Run,
    session::to_server,
};

/// What waits, in order.
#[derive(Debug)]
pub(crate) enum Step {
    /// A message of the client.
    Message(Frame),
    /// One that has waited already for what it was told or asked for.
    Charged(Charging),
    /// A statement of a Query message as it is sent, judged when the message came, however long
    /// it waits.
    Statement { sql: String, run: Box<Run> },
    /// The end of that message.
    End,
}

impl Session {
    /// Whether the message could commit what is not proven yet; then it waits.
    pub(crate) fn waits(&mut self, frame: &Frame, message: &Frontend<'_>) -> bool {
        if self.copy_in == CopyIn::Open {
            // What comes is for the copy.
            return false;
        }
        let commits = match message {
            Frontend::Sync | Frontend::Query(_) | Frontend::FunctionCall => true,
            Frontend::Execute(execute) => {
                let portal = self.portals.get(execute.portal);
                portal.is_some_and(|portal| portal.plan.is_transaction())
            }
            Frontend::Parse(_)
            | Frontend::Bind(_)
            | Frontend::Describe(_)
            | Frontend::Close(_)
            | Frontend::Flush
            | Frontend::CopyData(_)
            | Frontend::CopyDone
            | Frontend::CopyFail(_)
            | Frontend::Password(_)
            | Frontend::Terminate => false,
        };
        let behind = matches!(message, Frontend::Query(_)) && self.is_unsynced();
        let waits = commits && !self.is_settled() || behind;
        if waits {
            // What was told of it is not told again; and it came before whatever waits.
            match self.charging.take() {
                Some(charging) => self.steps.push_front(Step::Charged(charging)),
                None => self.steps.push_back(Step::Message(frame.clone())),
            }
        }
        waits
    }

    /// Whether the server has still to answer messages without a Sync behind them. If one fails it
    /// skips a Query that follows, which is taken apart only when that is known: what ends it would
    /// be a Sync.
    fn is_unsynced(&self) -> bool {
        self.expected.back().is_some_and(|last| !last.is_ready())
    }

    /// Goes on with what waits, as far as it may.
    pub(crate) fn step(&mut self, view: &mut View<'_>, effects: &mut Vec<Effect>) {
        while !self.cancelling
            && !self.closed
            && self.charging.is_none()
            && self.pending.is_none()
            && self.copy_in == CopyIn::No
        {
            if self.skipping {
                self.drop_statements();
            }
            let may_commit = match self.steps.front() {
                Some(Step::Statement { run, .. }) => run.portal.plan.is_transaction(),
                Some(Step::Message(_) | Step::Charged(_) | Step::End) => true,
                None => return,
            };
            let is_query = |step: &Step| match step {
                Step::Message(frame) => frame.tag() == b'Q',
                Step::Charged(charging) => charging.frame().tag() == b'Q',
                Step::Statement { .. } | Step::End => false,
            };
            let behind = self.steps.front().is_some_and(is_query) && self.is_unsynced();
            if may_commit && !self.is_settled() || behind {
                return self.flush_server(effects);
            }
            let sent = match self.steps.pop_front() {
                Some(Step::Message(frame)) => {
                    self.client(&frame, view, effects);
                    Ok(())
                }
                Some(Step::Charged(charging)) => {
                    self.go_on(charging, view, effects);
                    Ok(())
                }
                Some(Step::Statement { sql, run }) => self.run_own(&sql, *run, effects),
                Some(Step::End) => {
                    let mut bytes = BytesMut::new();
                    encode::sync(&mut bytes);
                    self.synced(&bytes, effects);
                    Ok(())
                }
                None => return,
            };
            if sent.is_err() {
                self.close(&Failure::Protocol("message can't be passed on"), effects);
            }
        }
    }

    /// The client's Sync, or the one at the end of its Query message.
    pub(crate) fn synced(&mut self, bytes: &[u8], effects: &mut Vec<Effect>) {
        if self.is_apart() {
            self.skipping = false;
            return self.ready_by_itself(effects);
        }
        self.ask_moment(effects);
        self.skipping = false;
        self.writes.clear();
        to_server(bytes, effects);
        self.expected.push_back(Expect::SyncReady);
    }

    /// What follows an error is dropped, as the server would; the last one is taken back first.
    pub(crate) fn drop_statements(&mut self) {
        let is_statement = |step: &Step| matches!(step, Step::Statement { .. });
        let count = self.steps.iter().take_while(|step| is_statement(step)).count();
        let dropped: Vec<Step> = self.steps.drain(..count).collect();
        for step in dropped.into_iter().rev() {
            if let Step::Statement { run, .. } = step {
                self.put_back(run.undo);
            }
        }
    }

    fn run_own(
        &mut self,
        sql: &str,
        run: Run,
        effects: &mut Vec<Effect>,
    ) -> Result<(), encode::EncodeError> {
        let portal = run.portal.clone();
        let mut bytes = BytesMut::new();
        encode::parse(&mut bytes, &Parse { name: "", sql, types: Vec::new() })?;
        let bind = Bind {
            portal: "",
            statement: "",
            formats: Vec::new(),
            parameters: Vec::new(),
            result_formats: Vec::new(),
        };
        encode::bind(&mut bytes, &bind)?;
        encode::describe(&mut bytes, Target::Portal(""))?;
        encode::execute(&mut bytes, &Execute { portal: "", max_rows: 0 })?;
        to_server(&bytes, effects);
        // The server's unnamed statement and portal are not the client's any more.
        self.statements.remove("");
        self.portals.remove("");
        let guarded = portal.plan.is_guarded();
        let open = self.unproven(&portal);
        self.unnamed = false;
        self.expected.push_back(Expect::Own { guarded, open: None, does: OwnDoes::Else });
        self.expected.push_back(Expect::Own { guarded, open, does: OwnDoes::Else });
        self.expected.push_back(Expect::DescribeOwn(portal.clone()));
        self.sends(&portal);
        self.tell_unenforced(&portal);
        self.await_copy(&portal);
        self.expected.push_back(Expect::Execute(run));
        Ok(())
    }
}
