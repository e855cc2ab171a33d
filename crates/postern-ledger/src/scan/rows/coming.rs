//! Rows that a thread reads and opens ahead of the pass. It stops at the first thing that it can't
//! open, and the pass looks for itself what that is.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    vec,
};

use super::READ_AHEAD_BYTES;
use crate::{
    dictionary::{self, StoredRow},
    disk::DiskFile,
    epoch::Keys,
};

/// A row, and the length of its frame.
type Opened = (StoredRow, usize);

/// The receiving end.
pub(super) struct Coming {
    messages: Receiver<Vec<Opened>>,
    rows: vec::IntoIter<Opened>,
}

/// Rows that are handed over together.
const ROWS_AT_ONCE: usize = 1024;
/// How many times that the thread is ahead at most.
const MESSAGES_AHEAD: usize = 32;

impl Coming {
    /// Starts the thread at that byte of the file; `None` if there can be no more threads.
    pub(super) fn start(file: Arc<dyn DiskFile>, offset: u64, keys: Keys) -> Option<Self> {
        let (sender, messages) = sync_channel(MESSAGES_AHEAD);
        let thread = std::thread::Builder::new().name("ledger rows".into());
        thread.spawn(move || go_ahead(&*file, offset, &keys, &sender)).ok()?;
        Some(Self { messages, rows: Vec::new().into_iter() })
    }
}

impl Iterator for Coming {
    type Item = Opened;

    fn next(&mut self) -> Option<Opened> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(row);
            }
            self.rows = self.messages.recv().ok()?.into_iter();
        }
    }
}

/// The thread: ends at what is no row, or when nobody listens any more.
fn go_ahead(file: &dyn DiskFile, mut offset: u64, keys: &Keys, sender: &SyncSender<Vec<Opened>>) {
    let mut bytes = vec![0; READ_AHEAD_BYTES];
    let mut rows = Vec::with_capacity(ROWS_AT_ONCE);
    while let Ok(read) = file.read_at(&mut bytes, offset) {
        let before = offset;
        let mut rest = bytes.get(..read).unwrap_or_default();
        while let Some((row, length)) = dictionary::check_frame(rest, keys) {
            if row.trouble.is_some() {
                break;
            }
            rest = rest.get(length..).unwrap_or_default();
            offset += length as u64;
            rows.push((row, length));
            if rows.len() == ROWS_AT_ONCE {
                let some = std::mem::replace(&mut rows, Vec::with_capacity(ROWS_AT_ONCE));
                if sender.send(some).is_err() {
                    return;
                }
            }
        }
        if offset == before {
            break;
        }
    }
    // Nobody may listen any more, which ends this as well.
    let _ = sender.send(rows);
}
