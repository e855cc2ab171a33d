//! Who is told how a draft or a note fared, and when they are woken for it.

use std::{sync::Arc, task::Waker};

use crate::{Receipt, RecordError, bulk::Bulk, follow::link::Waiting};

/// Is told how a draft fared, on the thread that wrote it, on that of the second copy if it waits
/// for that, or on the caller's if it was refused at once. It must not wait for anything.
pub type RecordDone = Box<dyn FnOnce(Result<Receipt, RecordError>) + Send>;
/// The same; says whom to wake for it. The writer wakes when it has told all of a batch: who is
/// woken by the first would be woken again for the next, each time by a system call.
pub type RecordWakes = Box<dyn FnOnce(Result<Receipt, RecordError>) -> Option<Waker> + Send>;
/// Is told how a note fared; gets the entry's sequence.
pub type NoteDone = Box<dyn FnOnce(Result<u64, RecordError>) + Send>;
/// Whom to tell how a request fared.
pub(crate) enum Done {
    Record(RecordDone),
    Wakes(RecordWakes),
    Note(NoteDone),
}

impl Done {
    pub(crate) fn refuse(self, error: RecordError) {
        match self {
            Self::Record(done) => done(Err(error)),
            Self::Wakes(done) => at_once(done)(Err(error)),
            Self::Note(done) => done(Err(error)),
        }
    }

    /// The same, told when witnesses have seen the entry, where it waits for them.
    pub(crate) fn after(self, waits: Option<&Arc<Bulk>>, sequence: u64) -> Self {
        match (self, waits) {
            (Self::Record(done), Some(bulk)) => Self::Record(bulk.holding(sequence, done)),
            (Self::Wakes(done), Some(bulk)) => Self::Record(bulk.holding(sequence, at_once(done))),
            (done, _) => done,
        }
    }

    /// Says that it is durable here, to a disclosure that waits for no more.
    pub(crate) fn tell(self, recorded: Option<Receipt>, sequence: u64) -> Option<Waker> {
        // A draft always has a receipt; without one it is not let through.
        let receipt = recorded.ok_or(RecordError::Closed);
        match self {
            Self::Record(done) => done(receipt),
            Self::Wakes(done) => return done(receipt),
            Self::Note(done) => done(Ok(sequence)),
        }
        None
    }

    /// A disclosure that waits for the second copy, with its receipt; else what is to be told now.
    pub(crate) fn waiting(
        self,
        recorded: Option<Receipt>,
    ) -> Result<Waiting, (Self, Option<Receipt>)> {
        match (self, recorded) {
            (Self::Record(done), Some(receipt)) => Ok((done, receipt)),
            (Self::Wakes(done), Some(receipt)) => Ok((at_once(done), receipt)),
            (done, recorded) => Err((done, recorded)),
        }
    }
}

/// For who tells one by one.
fn at_once(done: RecordWakes) -> RecordDone {
    Box::new(move |result| {
        if let Some(waker) = done(result) {
            waker.wake();
        }
    })
}

#[cfg(test)]
mod tests;
