//! Retention: epochs begin when they are due, and what is past retention is made unreadable.
//!
//! Where to start: [`Sequencer::retain`]. What a crash leaves half done is ended by the next
//! opening, which finds the entry that says so.

use std::{io, sync::Arc};

use postern_model::{Actor, Timestamp};

use crate::{
    EraseError, Note, RecordError, Retention,
    disk::is_full,
    epoch::{Stage, destroy_keys, write_key},
    erase::Gone,
    follow::Shipped,
    room::Room,
    sequencer::{Recorded, Sequencer, Work},
    values::ValueKey,
};

/// What retention came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// The epoch that entries belong to now; 0: none has begun, since no retention is set.
    pub epoch: u16,
    /// Whether anything was forgotten just now.
    pub forgot: bool,
    /// Before this moment the ledger names no customer any more.
    pub past_retention: Option<Timestamp>,
}

/// Why retention could not be seen to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RetainError {
    /// Budgets look back further than customers would be named.
    #[error("what budgets look back to would be past retention")]
    Short,
    /// The key of a new epoch could not be made.
    #[error("the key of a new epoch cannot be kept")]
    Key {
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// What is past retention could not be taken away.
    #[error("what is past retention is not gone")]
    Forget(#[from] EraseError),
    /// It could not be recorded, and was not done.
    #[error("it could not be recorded")]
    Record(#[from] RecordError),
}

impl Sequencer {
    /// Begins an epoch if one is due, and forgets those that are past retention. Entries that were
    /// recorded are added to `recorded`, whatever comes of the rest.
    pub(crate) fn retain(
        &mut self,
        by: &Actor,
        recorded: &mut Vec<Recorded>,
    ) -> Result<Retained, RetainError> {
        // An entry that begins an epoch may be on disk though it was not recorded: its key has to
        // stay what it was, or nobody could open the ledger again.
        self.check_poison()?;
        let before = self.stage.kept;
        if let Some(retention) = self.options.retention {
            if retention.keep < self.options.horizon {
                return Err(RetainError::Short);
            }
            self.begin_if_due(retention, recorded)?;
            self.forget_if_due(retention, by, recorded)?;
        }
        let Stage { current, kept, .. } = self.stage;
        let past_retention = self.stage.past_retention();
        Ok(Retained { epoch: current, forgot: kept > before, past_retention })
    }

    fn begin_if_due(
        &mut self,
        retention: Retention,
        recorded: &mut Vec<Recorded>,
    ) -> Result<(), RetainError> {
        let now = self.options.now().max(self.last);
        let is_due = self.begun.last().is_none_or(|begun| *begun <= now.before(retention.epoch));
        let Some(epoch) = self.stage.current.checked_add(1).filter(|_| is_due) else {
            return Ok(());
        };
        let key = self.dictionary.new_key();
        // The key first: a crash behind this leaves one that nothing uses, and that the next try
        // writes anew.
        if let Err(error) = write_key(&*self.disk, epoch, &key) {
            let source = Arc::new(error);
            return Err(if is_full(&source) {
                RecordError::Full { source }.into()
            } else {
                RetainError::Key { source }
            });
        }
        let size = self.edge.size();
        let for_copy = Shipped::Key { size, epoch, key: key.clone() };
        self.shipping.iter_mut().for_each(|shipping| shipping.push(for_copy.clone()));
        let note = Note::Epoch { number: epoch, commitment: key.commitment(epoch) };
        let began = self.commit_note(note)?;
        self.stage.current = epoch;
        if epoch == 1 {
            self.stage.unsealed = self.dictionary.subjects_len();
        }
        self.begun.push(began.entry.time);
        self.value_key = ValueKey::new(key.as_bytes());
        self.dictionary.begin_epoch(epoch, key);
        recorded.push(began);
        Ok(())
    }

    fn forget_if_due(
        &mut self,
        retention: Retention,
        by: &Actor,
        recorded: &mut Vec<Recorded>,
    ) -> Result<(), RetainError> {
        // By the clock itself: entries have the time of one that was ahead until it is as late as
        // that, and what is forgotten is so for good.
        let oldest = self.options.now().before(retention.keep);
        // Epochs before one that began before all that is kept have nothing of it.
        let begun = (1..).zip(&self.begun).take_while(|(_, begun)| **begun <= oldest).last();
        // There may be nobody from before the first one.
        let first = if self.stage.unsealed == 0 { 2 } else { 1 };
        let first = first.max(self.stage.kept + 1);
        let Some((before, &until)) = begun.filter(|&(epoch, _)| epoch >= first) else {
            return Ok(());
        };
        let by = by.clone();
        recorded.push(self.commit_note(Note::Forgotten { by, before, until })?);
        // From here on it is as good as forgotten: what comes is done by the next opening, should
        // it not be done now.
        (self.stage.kept, self.stage.until) = (before, until);
        self.dictionary.forget_epochs(before);
        self.rewrite(Gone::Before(self.stage))?;
        destroy_keys(&*self.disk, before)
            .map_err(|error| EraseError::Later { source: Arc::new(error) }.into())
    }

    fn commit_note(&mut self, note: Note) -> Result<Recorded, RecordError> {
        let room = Room::needed_by_note(&note);
        let recorded = self.commit(std::iter::once(&Work::Note(note)), room)?;
        recorded.into_iter().next().ok_or(RecordError::Closed)
    }
}

#[cfg(test)]
mod tests;
