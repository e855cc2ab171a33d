//! What is known of a session that is passed through: whether it is between two transactions. It is
//! told by what the client sends and what the server answers to, and counts as not so in doubt.

use postern_wire::{Backend, Frame, TransactionStatus};

/// What the server owes a session that is passed through.
#[derive(Debug, Default)]
pub(crate) struct Passing {
    /// ReadyForQuery messages.
    awaited: usize,
    /// The client has begun something that it has not ended by a Sync.
    begun: bool,
}

impl Passing {
    /// A message of the client goes by.
    pub(crate) fn client(&mut self, tag: u8) {
        match tag {
            // Query, FunctionCall and Sync are answered by a ReadyForQuery. Those that an error or
            // a copy makes the server skip are not: then it is in doubt for good.
            b'Q' | b'F' | b'S' => {
                self.awaited = self.awaited.saturating_add(1);
                self.begun = false;
            }
            // What a copy sends belongs to the statement that is awaited already.
            b'd' | b'c' | b'f' => {}
            _ => self.begun = true,
        }
    }

    /// A message of the server goes by; the status that it tells.
    pub(crate) fn server(&mut self, frame: &Frame) -> Option<TransactionStatus> {
        if frame.tag() != b'Z' {
            return None;
        }
        let Ok(Backend::ReadyForQuery(status)) = Backend::parse(frame) else { return None };
        self.awaited = self.awaited.saturating_sub(1);
        Some(status)
    }

    /// Whether the server has answered all. So it is, too, where nothing is passed through.
    pub(crate) fn is_answered(&self) -> bool {
        self.awaited == 0 && !self.begun
    }
}
