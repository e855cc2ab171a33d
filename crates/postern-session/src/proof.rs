//! What a statement was judged by, and the proof that it still held when the statement ran.
//!
//! A gate stands in the outbox before the first answer of each execution. The proof that opens it
//! is made after that answer has come: the server has then analysed the statement, so that a
//! catalogue that is unchanged now was unchanged then. One request for proof is out at a time and
//! answers for all gates before it. Why this leaves no gap: docs/design/catalogue.md.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::BytesMut;
use postern_wire::encode;

use crate::{
    Effect, Session, View,
    expect::Expect,
    outbox::Standing,
    portal::{Portal, Run},
};

/// By which catalogue a portal's plan was made.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) generation: u64,
    /// What names without a schema were looked up in when it was opened.
    pub(crate) path: Option<Arc<[String]>>,
    /// That the server's analysis was by the same one. It analyses once for each portal, so that
    /// this holds for all that the portal returns.
    proven: AtomicBool,
}

impl Judgement {
    pub(crate) fn new(generation: u64, path: Option<Arc<[String]>>) -> Arc<Self> {
        Arc::new(Self { generation, path, proven: AtomicBool::new(false) })
    }

    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    pub(crate) fn prove(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }
}

impl Session {
    /// What has to be proven before anything that the portal returns may leave.
    pub(crate) fn unproven(&self, portal: &Portal) -> Option<Arc<Judgement>> {
        let needed = self.profile.proves && portal.plan.depends() && !portal.judged.is_proven();
        needed.then(|| portal.judged.clone())
    }

    /// The execution that the server is answering, if it is one.
    pub(crate) fn running(&mut self) -> Option<&mut Run> {
        self.expected.front_mut().and_then(Expect::run_mut)
    }

    /// What must be proven of the message that the server is answering and has no gate yet.
    fn gateless(&mut self) -> Option<Arc<Judgement>> {
        if let Some(Expect::Bind { open, .. } | Expect::Own { open, .. }) = self.expected.front() {
            return open.clone();
        }
        let portal = self.running().filter(|run| !run.gated)?.portal.clone();
        self.unproven(&portal)
    }

    /// Puts a gate before what the server is answering, if there is none and one is needed. Called
    /// for answers that come after the analysis of the statement only.
    pub(crate) fn gate(&mut self, effects: &mut Vec<Effect>) {
        let Some(judged) = self.gateless() else { return };
        if let Some(run) = self.running() {
            run.gated = true;
        }
        self.outbox.gate(judged, effects);
        let early = std::mem::take(&mut self.early);
        if !early.is_empty() {
            self.outbox.bytes(&early, effects);
        }
    }

    /// A notice. Before the first answer it may come from the analysis itself, which a proof that
    /// began now would not be about: it waits for the gate.
    pub(crate) fn notice(&mut self, bytes: &[u8], effects: &mut Vec<Effect>) {
        if self.gateless().is_none() {
            self.outbox.bytes(bytes, effects);
        } else if self.early.len() + bytes.len() <= self.profile.limits.bytes_max {
            self.early.extend_from_slice(bytes);
        }
    }

    /// Lets out what may leave by now: what is behind gates that are proven and rows that are
    /// recorded.
    pub(crate) fn let_out(&mut self, view: &View<'_>, effects: &mut Vec<Effect>) {
        while !self.closed {
            match self.outbox.standing(effects) {
                Standing::Waits => return,
                Standing::Recorded => self.leave(view, effects),
                Standing::Unproven { hold, failure } => {
                    // The receipt is used up; no row of the hold leaves.
                    effects.extend(hold.map(|hold| Effect::Release { hold, rows: 0 }));
                    self.cut(&failure, effects);
                }
            }
        }
    }
}

impl Session {
    /// Whether no statement that writes waits for its proof, and none on a protected table may have
    /// touched a row that it must not: the server may be told to commit.
    pub(crate) fn is_settled(&mut self) -> bool {
        self.writes.retain(|judged| !judged.is_proven());
        self.skipping || self.writes.is_empty() && !self.is_writing()
    }

    /// Whether the rows that a write on a protected table has touched are still to come.
    fn is_writing(&self) -> bool {
        let mut runs = self.expected.iter().flat_map(Expect::runs);
        self.profile.proves && runs.any(|run| run.portal.plan.writes_guarded())
    }

    /// What has to be proven before what the portal writes may be committed.
    pub(crate) fn uncommitted(&self, portal: &Portal) -> Option<Arc<Judgement>> {
        if portal.plan.writes() { self.unproven(portal) } else { None }
    }

    /// A statement is sent; until it is proven nothing that could commit follows.
    pub(crate) fn sends(&mut self, portal: &Portal) {
        if let Some(judged) = self.uncommitted(portal) {
            self.writes.push(judged);
            self.flushed = false;
        }
    }

    /// Has the server answer what it has, so that it can be proven, without a Sync.
    pub(crate) fn flush_server(&mut self, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.flushed, true) {
            self.ask_moment(effects);
            let mut bytes = BytesMut::new();
            encode::flush(&mut bytes);
            crate::session::to_server(&bytes, effects);
        }
    }
}
