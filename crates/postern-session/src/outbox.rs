//! What goes to the client, in order: bytes that may go at once, gates that a proof opens, and rows
//! that wait for the ledger.
//!
//! At most one gate is shut and one chunk out for recording, the chunk behind the gate: both are
//! waited for at the same time. Whatever comes after queues up behind them, so that a client sees
//! the same order as without. While one chunk is being made durable the next one fills, so the size
//! of a batch adapts itself to the disk.

use std::{collections::VecDeque, sync::Arc};

use bytes::BytesMut;

use crate::{
    Effect, Failure, Hold, Stopped,
    hold::{Held, HeldRow, Relied, Touch},
    proof::Judgement,
    session::with_room,
};

#[derive(Debug)]
enum Out {
    /// Anything that discloses no record.
    Bytes(BytesMut),
    /// What comes behind it was judged by a catalogue that must be proven to be the present one.
    Gate(Gate),
    /// Rows that must be recorded first, with what they take.
    Rows(Box<Held>, usize),
    /// A ReadyForQuery message; a cut statement discards up to here.
    Ready(BytesMut),
}

#[derive(Debug)]
struct Gate {
    /// Counts the gates of a session.
    number: u64,
    judged: Arc<Judgement>,
}

/// The chunk that is out for recording.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) hold: u64,
    pub(crate) rows: usize,
    pub(crate) relied: Vec<Relied>,
    /// The ledger's word, when it has come: how many rows may leave, and why no more.
    pub(crate) recorded: Option<(usize, Option<Stopped>)>,
}

/// The newest answer to a request for proof.
#[derive(Debug, Default)]
struct Answer {
    /// The last gate before the request.
    proof: u64,
    /// The present generation of the catalogue, if it could be found out.
    generation: Option<u64>,
}

/// What stands at the front.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Nothing, or something that is still to be answered.
    Waits,
    /// A chunk that is recorded, behind no gate.
    Recorded,
    /// A gate that does not open, with the chunk behind it if one was out.
    Unproven { hold: Option<u64>, failure: Failure },
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    gate: Option<Gate>,
    waiting: Option<Waiting>,
    queue: VecDeque<Out>,
    queued_bytes: usize,
    gates: u64,
    /// A request for proof is out.
    asked: bool,
    answer: Answer,
    /// A statement was cut: everything up to the next ReadyForQuery is dropped.
    discarding: bool,
    /// What the client is told before the next ReadyForQuery.
    notices: BytesMut,
}

impl Outbox {
    /// Bytes that wait behind a gate or a chunk that is being recorded, with what rows take.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// How many gates there were.
    pub(crate) fn gates(&self) -> u64 {
        self.gates
    }

    pub(crate) fn is_discarding(&self) -> bool {
        self.discarding
    }

    pub(crate) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.gate.is_none() && self.waiting.is_none() && self.queue.is_empty()
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8], effects: &mut Vec<Effect>) {
        if self.discarding {
            return;
        }
        if self.is_empty() {
            send(bytes, effects);
            return;
        }
        self.queued_bytes += bytes.len();
        if let Some(Out::Bytes(last)) = self.queue.back_mut() {
            last.extend_from_slice(bytes);
        } else {
            self.queue.push_back(Out::Bytes(BytesMut::from(bytes)));
        }
    }

    pub(crate) fn ready(&mut self, bytes: &[u8], effects: &mut Vec<Effect>) {
        self.discarding = false;
        if self.is_empty() {
            send(&std::mem::take(&mut self.notices), effects);
            send(bytes, effects);
        } else {
            self.queued_bytes += bytes.len();
            self.queue.push_back(Out::Ready(BytesMut::from(bytes)));
        }
    }

    /// Tells the client something of the gateway's own, between two of its requests: a notice among
    /// rows would part them for whoever reads them as one.
    pub(crate) fn tell(&mut self, notice: &[u8]) {
        self.notices.extend_from_slice(notice);
    }

    pub(crate) fn rows(&mut self, held: Held, effects: &mut Vec<Effect>) {
        if self.discarding {
            return;
        }
        let weight = weight(&held.hold);
        self.queued_bytes += weight;
        self.queue.push_back(Out::Rows(Box::new(held), weight));
        self.pull(effects);
    }

    /// A gate before what comes now, which was judged like this.
    pub(crate) fn gate(&mut self, judged: Arc<Judgement>, effects: &mut Vec<Effect>) {
        if self.discarding {
            return;
        }
        self.gates += 1;
        self.queue.push_back(Out::Gate(Gate { number: self.gates, judged }));
        self.ask(effects);
        self.pull(effects);
    }

    /// Asks for a proof that answers for all gates up to the newest, unless one is being made.
    fn ask(&mut self, effects: &mut Vec<Effect>) {
        if !self.asked && self.answer.proof < self.gates {
            self.asked = true;
            effects.push(Effect::Prove { proof: self.gates });
        }
    }

    /// The answer to a request for proof.
    pub(crate) fn proven(
        &mut self,
        proof: u64,
        generation: Option<u64>,
        effects: &mut Vec<Effect>,
    ) {
        self.asked = false;
        self.answer = Answer { proof, generation };
        self.ask(effects);
    }

    /// The ledger's word on the chunk that is out.
    pub(crate) fn recorded(&mut self, hold: u64, allowed: usize, stopped: Option<Stopped>) {
        if let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.hold == hold) {
            waiting.recorded = Some((allowed, stopped));
        }
    }

    /// Moves on as far as it can; what stands at the front then.
    pub(crate) fn standing(&mut self, effects: &mut Vec<Effect>) -> Standing {
        loop {
            self.pull(effects);
            let is_recorded =
                self.waiting.as_ref().is_some_and(|waiting| waiting.recorded.is_some());
            let Some(gate) = &self.gate else {
                return if is_recorded { Standing::Recorded } else { Standing::Waits };
            };
            if gate.number > self.answer.proof {
                return Standing::Waits;
            }
            let failure = match self.answer.generation {
                Some(present) if present == gate.judged.generation => {
                    gate.judged.prove();
                    self.gate = None;
                    continue;
                }
                Some(_) => Failure::CatalogueChanged,
                None => Failure::CatalogueUnknown,
            };
            // A chunk that is out is waited for, so that each receipt meets its own chunk.
            if self.waiting.is_some() && !is_recorded {
                return Standing::Waits;
            }
            let hold = self.waiting.as_ref().map(|waiting| waiting.hold);
            return Standing::Unproven { hold, failure };
        }
    }

    /// Sends what is in the way of nothing, up to a shut gate; the first chunk behind that goes out
    /// for recording all the same.
    fn pull(&mut self, effects: &mut Vec<Effect>) {
        while let Some(front) = self.queue.front() {
            let is_free = match front {
                Out::Rows(..) => self.waiting.is_none(),
                Out::Bytes(_) | Out::Ready(_) | Out::Gate(_) => {
                    self.gate.is_none() && self.waiting.is_none()
                }
            };
            if !is_free {
                return;
            }
            match self.queue.pop_front() {
                Some(Out::Bytes(bytes)) => {
                    self.queued_bytes -= bytes.len();
                    send(&bytes, effects);
                }
                Some(Out::Ready(bytes)) => {
                    self.queued_bytes -= bytes.len();
                    send(&std::mem::take(&mut self.notices), effects);
                    send(&bytes, effects);
                }
                Some(Out::Gate(gate)) => self.gate = Some(gate),
                Some(Out::Rows(held, weight)) => {
                    let Held { hold, relied, .. } = *held;
                    self.queued_bytes -= weight;
                    let rows = hold.rows.len();
                    self.waiting = Some(Waiting { hold: hold.id, rows, relied, recorded: None });
                    effects.push(Effect::Hold(hold));
                }
                None => return,
            }
        }
    }

    /// The chunk that was out has left.
    pub(crate) fn released(&mut self) {
        self.waiting = None;
    }

    /// What was searched for by the statements that a cut would drop.
    pub(crate) fn searched(&mut self) -> Vec<Hold> {
        let mut searched = Vec::new();
        for out in &mut self.queue {
            match out {
                Out::Rows(held, _) => {
                    searched.extend(held.searched());
                }
                Out::Ready(_) => break,
                Out::Bytes(_) | Out::Gate(_) => {}
            }
        }
        searched
    }

    /// Whether something of a message is still to leave that the server has answered in full: what
    /// it says now is of another.
    pub(crate) fn is_behind_another(&self) -> bool {
        self.queue.iter().any(|out| matches!(out, Out::Ready(_)))
    }

    /// Ends the last statement, behind another: in the place of what is still to leave of it the
    /// client gets the error. What was searched for and done by it.
    pub(crate) fn cut_last(&mut self, error: &[u8]) -> Vec<Hold> {
        let mut dropped = Vec::new();
        while let Some(out) = self.queue.pop_back() {
            match out {
                Out::Ready(_) => {
                    self.queue.push_back(out);
                    break;
                }
                Out::Rows(mut held, weight) => {
                    self.queued_bytes -= weight;
                    dropped.extend(held.searched());
                }
                Out::Bytes(bytes) => self.queued_bytes -= bytes.len(),
                Out::Gate(_) => {}
            }
        }
        dropped.reverse();
        self.queued_bytes += error.len();
        self.queue.push_back(Out::Bytes(BytesMut::from(error)));
        self.discarding = true;
        dropped
    }

    /// Ends the statement at the front: the client gets the error, and nothing more of it up to the
    /// next ReadyForQuery. Returns whether that is still to come from the server.
    pub(crate) fn cut(&mut self, error: &[u8], effects: &mut Vec<Effect>) -> bool {
        (self.gate, self.waiting) = (None, None);
        send(error, effects);
        while let Some(out) = self.queue.front() {
            if let Out::Ready(_) = out {
                return false;
            }
            match self.queue.pop_front() {
                Some(Out::Bytes(bytes)) => self.queued_bytes -= bytes.len(),
                Some(Out::Rows(_, weight)) => self.queued_bytes -= weight,
                Some(Out::Ready(_) | Out::Gate(_)) | None => {}
            }
        }
        self.discarding = true;
        true
    }
}

/// What a chunk takes: rows of which nothing leaves are kept for the ledger all the same.
fn weight(hold: &Hold) -> usize {
    const ROW_BYTES: usize = size_of::<HeldRow>() + size_of::<Touch>();
    hold.bytes.len() + hold.rows.len() * ROW_BYTES
}

/// Appends to the bytes that go to the client, in one piece where that is possible.
fn send(bytes: &[u8], effects: &mut Vec<Effect>) {
    if bytes.is_empty() {
        return;
    }
    if let Some(Effect::ToClient(last)) = effects.last_mut() {
        last.extend_from_slice(bytes);
    } else {
        effects.push(Effect::ToClient(with_room(bytes)));
    }
}
