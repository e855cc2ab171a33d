//! What goes to the client, in order: bytes that may go at once, and rows that wait for the ledger.
//!
//! At most one chunk is out for recording; whatever comes after it queues up behind it, so that a
//! client sees the same order as without recording. While one chunk is being made durable the next
//! one fills, so the size of a batch adapts itself to the disk.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::{
    Effect,
    hold::{Held, Relied},
};

#[derive(Debug)]
pub(crate) enum Out {
    /// Anything that discloses no record.
    Bytes(BytesMut),
    /// Rows that must be recorded first.
    Rows(Held),
    /// A ReadyForQuery message; a cut statement discards up to here.
    Ready(BytesMut),
}

/// The chunk that is out for recording.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) hold: u64,
    pub(crate) rows: usize,
    pub(crate) relied: Vec<Relied>,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Option<Waiting>,
    queue: VecDeque<Out>,
    queued_bytes: usize,
    /// A statement was cut: everything up to the next ReadyForQuery is dropped.
    discarding: bool,
}

impl Outbox {
    /// Bytes that wait behind a chunk that is being recorded.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(crate) fn is_discarding(&self) -> bool {
        self.discarding
    }

    pub(crate) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_none() && self.queue.is_empty()
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
            send(bytes, effects);
        } else {
            self.queued_bytes += bytes.len();
            self.queue.push_back(Out::Ready(BytesMut::from(bytes)));
        }
    }

    pub(crate) fn rows(&mut self, held: Held, effects: &mut Vec<Effect>) {
        if self.discarding {
            return;
        }
        if self.is_empty() {
            self.send_out(held, effects);
        } else {
            self.queued_bytes += held.hold.bytes.len();
            self.queue.push_back(Out::Rows(held));
        }
    }

    fn send_out(&mut self, held: Held, effects: &mut Vec<Effect>) {
        let Held { hold, relied } = held;
        self.waiting = Some(Waiting { hold: hold.id, rows: hold.rows.len(), relied });
        effects.push(Effect::Hold(hold));
    }

    /// The chunk that was out is released: what waits behind it goes on, up to the next chunk.
    pub(crate) fn recorded(&mut self, effects: &mut Vec<Effect>) {
        self.waiting = None;
        while self.waiting.is_none() {
            let Some(out) = self.queue.pop_front() else { return };
            match out {
                Out::Bytes(bytes) | Out::Ready(bytes) => {
                    self.queued_bytes -= bytes.len();
                    send(&bytes, effects);
                }
                Out::Rows(held) => {
                    self.queued_bytes -= held.hold.bytes.len();
                    self.send_out(held, effects);
                }
            }
        }
    }

    /// Ends the statement whose chunk was out: the client gets the error, and nothing more of it
    /// up to the next ReadyForQuery. Returns whether that is still to come from the server.
    pub(crate) fn cut(&mut self, error: &[u8], effects: &mut Vec<Effect>) -> bool {
        self.waiting = None;
        send(error, effects);
        while let Some(out) = self.queue.front() {
            if let Out::Ready(_) = out {
                self.recorded(effects);
                return false;
            }
            match self.queue.pop_front() {
                Some(Out::Bytes(bytes)) => self.queued_bytes -= bytes.len(),
                Some(Out::Rows(held)) => self.queued_bytes -= held.hold.bytes.len(),
                Some(Out::Ready(_)) | None => {}
            }
        }
        self.discarding = true;
        true
    }
}

/// Appends to the bytes that go to the client, in one piece where that is possible.
fn send(bytes: &[u8], effects: &mut Vec<Effect>) {
    if let Some(Effect::ToClient(last)) = effects.last_mut() {
        last.extend_from_slice(bytes);
    } else {
        effects.push(Effect::ToClient(BytesMut::from(bytes)));
    }
}
