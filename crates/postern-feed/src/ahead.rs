//! Reading ahead: lines are parsed on one core while the events before them are used on another.

use std::{sync::mpsc, thread};

use crate::{Arrival, Folder, FolderError, Problems};

/// Events that are handed over together, and how many such batches are read ahead at most: so few
/// that they are still in the cache when they are used.
const BATCH: usize = 256;
const BATCHES: usize = 6;

impl Folder {
    /// Gives every arrival to `each`, in order, while another thread reads on. That one also does
    /// what can be done ahead of `each`: `prepare` is given every arrival first, in the same order.
    /// Arrivals go back to it when they are used: memory is freed cheapest where it was taken.
    ///
    /// # Errors
    /// If the folder can't be read on; what was read before has been given.
    pub fn for_each_ahead<T: Send>(
        mut self,
        mut prepare: impl FnMut(&Arrival) -> T + Send,
        mut each: impl FnMut(&Arrival, &T),
    ) -> Result<Problems, FolderError> {
        let (sender, receiver) = mpsc::sync_channel::<Vec<(Arrival, T)>>(BATCHES);
        let (give_back, used) = mpsc::channel::<Vec<(Arrival, T)>>();
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut batch = Vec::with_capacity(BATCH);
                let mut failed = None;
                for arrival in &mut self {
                    match arrival {
                        Ok(arrival) => {
                            let prepared = prepare(&arrival);
                            batch.push((arrival, prepared));
                        }
                        Err(error) => failed = Some(error),
                    }
                    if batch.len() == BATCH {
                        let mut next = used.try_recv().unwrap_or_default();
                        next.clear();
                        let full = std::mem::replace(&mut batch, next);
                        if sender.send(full).is_err() {
                            break;
                        }
                    }
                }
                // Nobody listens only if the one who used the events has panicked.
                let _ = sender.send(batch);
                match failed {
                    Some(error) => Err(error),
                    None => Ok(self.problems().clone()),
                }
            });
            for batch in receiver {
                batch.iter().for_each(|(arrival, prepared)| each(arrival, prepared));
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
