//! Reading ahead: lines are parsed on one core while the events before them are used on another.

use std::{sync::mpsc, thread};

use crate::{Arrival, Folder, FolderError, Problems};

/// Events that are handed over together, and how many such batches are read ahead at most: so few
/// that they are still in the cache when they are used.
const BATCH: usize = 256;
const BATCHES: usize = 6;

/// Arrivals, and what was prepared of each.
type Batch<T> = (Vec<Arrival>, Vec<T>);

impl Folder {
    /// Gives every arrival to `each`, some at once and in order, while another thread reads on.
    /// There also is done what can be done ahead of `each`: `prepare` is given them first, and
    /// makes one thing of each, which `each` is given beside it. Arrivals go back to that thread
    /// when they are used: memory is freed cheapest where it was taken.
    ///
    /// # Errors
    /// If the folder can't be read on; what was read before has been given.
    pub fn for_each_ahead<T: Send>(
        mut self,
        mut prepare: impl FnMut(&[Arrival], &mut Vec<T>) + Send,
        mut each: impl FnMut(&[Arrival], &[T]),
    ) -> Result<Problems, FolderError> {
        let (sender, receiver) = mpsc::sync_channel::<Batch<T>>(BATCHES);
        let (give_back, used) = mpsc::channel::<Batch<T>>();
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut batch = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
                let mut failed = None;
                for arrival in &mut self {
                    match arrival {
                        Ok(arrival) => batch.0.push(arrival),
                        Err(error) => failed = Some(error),
                    }
                    if batch.0.len() == BATCH {
                        prepare(&batch.0, &mut batch.1);
                        let mut next = used.try_recv().unwrap_or_default();
                        next.0.clear();
                        next.1.clear();
                        let full = std::mem::replace(&mut batch, next);
                        if sender.send(full).is_err() {
                            break;
                        }
                    }
                }
                prepare(&batch.0, &mut batch.1);
                // Nobody listens only if the one who used the events has panicked.
                let _ = sender.send(batch);
                match failed {
                    Some(error) => Err(error),
                    None => Ok(self.problems().clone()),
                }
            });
            for batch in receiver {
                each(&batch.0, &batch.1);
                // The reader may have read its last.
                let _ = give_back.send(batch);
            }
            match reader.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}
