//! What waits for proofs on its way to the server: whatever could commit what a statement wrote
//! that is not yet proven to have been judged by the present catalogue.
//!
//! A Query message with such a statement is run as the extended protocol would, statement by
//! statement in one transaction, so that there is a moment between the statement and its commit.

use std::sync::Arc;

use bytes::BytesMut;
use postern_wire::{Bind, Execute, Frame, Frontend, Parse, Target, encode};

use crate::{
    Effect, Failure, Session, View,
    judge::Planned,
    proof::Judgement,
    session::{Expect, Portal, Run, UpstreamName, to_server},
};

/// What waits, in order.
#[derive(Debug)]
pub(crate) enum Step {
    /// A message of the client.
    Message(Frame),
    /// A statement of a Query message, and by which generation of the catalogue it was judged:
    /// that of the message, however long it waits.
    Statement { plan: Arc<Planned>, generation: u64 },
    /// The end of that message.
    End,
}

impl Session {
    /// Whether the message could commit what is not proven yet; then it waits.
    pub(crate) fn waits(&mut self, frame: &Frame, message: &Frontend<'_>) -> bool {
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
        let waits = commits && !self.is_settled();
        if waits {
            self.steps.push_back(Step::Message(frame.clone()));
        }
        waits
    }

    /// Goes on with what waits, as far as it may.
    pub(crate) fn step(&mut self, view: &mut View<'_>, effects: &mut Vec<Effect>) {
        while !self.cancelling && !self.closed {
            let may_commit = match self.steps.front() {
                Some(Step::Statement { plan, .. }) => plan.is_transaction(),
                Some(Step::Message(_) | Step::End) => true,
                None => return,
            };
            if may_commit && !self.is_settled() {
                return self.flush_server(effects);
            }
            let sent = match self.steps.pop_front() {
                Some(Step::Message(frame)) => {
                    self.client(&frame, view, effects);
                    Ok(())
                }
                // What follows an error is dropped, as the server would.
                Some(Step::Statement { .. }) if self.skipping => Ok(()),
                Some(Step::Statement { plan, generation }) => {
                    self.run_own((plan, generation), view, effects)
                }
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
        self.skipping = false;
        self.writes.clear();
        to_server(bytes, effects);
        self.expected.push_back(Expect::SyncReady);
    }

    fn run_own(
        &mut self,
        (plan, generation): (Arc<Planned>, u64),
        view: &View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), encode::EncodeError> {
        let sql = self.literal(&plan, view);
        let guarded = plan.is_guarded();
        let mut portal = Portal::new(UpstreamName(None), plan, &[], view);
        portal.judged = Judgement::new(generation);
        let mut bytes = BytesMut::new();
        encode::parse(&mut bytes, &Parse { name: "", sql: &sql, types: Vec::new() })?;
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
        let open = self.unproven(&portal);
        self.expected.push_back(Expect::Own { bind: false, guarded, open: None });
        self.expected.push_back(Expect::Own { bind: true, guarded, open });
        self.expected.push_back(Expect::DescribeOwn(portal.clone()));
        self.sends(&portal);
        self.expected.push_back(Expect::Execute(Run::new(portal)));
        Ok(())
    }
}
