use std::{fmt, sync::Arc, time::Duration};

use postern_model::{Clock, Timestamp};

use crate::{BulkOptions, PeerOptions, Retention};

/// How a ledger is made and run.
#[derive(Clone)]
pub struct Options {
    /// The ledger's name in checkpoints, by convention a URL without scheme such as
    /// `postern.example.org/1`. It can't be changed later.
    pub origin: String,
    /// Where entries get their time. A step back is levelled out: time never decreases.
    pub clock: Arc<dyn Clock>,
    /// Length of a segment file in bytes, written with zeros in advance.
    pub segment_bytes: u64,
    /// By how many bytes the dictionary's file is extended at a time.
    pub dictionary_step_bytes: u64,
    /// How often a checkpoint is signed while entries come.
    pub checkpoint_interval: Duration,
    /// How much space disclosures leave free on the ledger's disk. With less they are refused with
    /// [`RecordError::Full`](crate::RecordError::Full); notes may use it up.
    pub min_free_bytes: u64,
    /// How long a sync may wait for disclosures that are [`Coming`](crate::Coming), so that it
    /// serves them too.
    pub commit_delay: Duration,
    /// So long the disk is taken to have the room that was found, while none of it is used up.
    pub room_holds: Duration,
    /// How many requests may wait; more are refused with
    /// [`RecordError::Busy`](crate::RecordError::Busy).
    pub queue_len_max: usize,
    /// The second copy that disclosures wait for; `None`: they wait for this one only.
    pub peer: Option<PeerOptions>,
    /// What waits until witnesses have seen it; `None`: nothing does.
    pub bulk: Option<BulkOptions>,
    /// For how long customers are named; `None`: for ever. It must be no shorter than `horizon`.
    pub retention: Option<Retention>,
    /// Whether hashes of the values that small results show are kept, for whoever asks later
    /// whether a leaked value is one of them. It takes 16 bytes of memory for each customer of the
    /// present epoch.
    pub value_hashes: bool,
    /// The longest window that a limit may have. Budgets remember this much of the past.
    pub horizon: Duration,
}

impl Options {
    /// The defaults for a production ledger of that name.
    pub fn new(origin: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            origin: origin.into(),
            clock,
            segment_bytes: 32 << 20,
            dictionary_step_bytes: 1 << 20,
            checkpoint_interval: Duration::from_secs(1),
            min_free_bytes: 0,
            commit_delay: Duration::ZERO,
            room_holds: Duration::ZERO,
            queue_len_max: 4096,
            peer: None,
            bulk: None,
            retention: None,
            value_hashes: false,
            horizon: Duration::from_secs(31 * 86_400),
        }
    }

    /// Files as small as they can be, for tests and trials: quick to make, nothing else differs.
    #[must_use]
    pub fn small(self) -> Self {
        Self { segment_bytes: 64 << 10, dictionary_step_bytes: 16 << 10, ..self }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("origin", &self.origin)
            .field("segment_bytes", &self.segment_bytes)
            .field("min_free_bytes", &self.min_free_bytes)
            .field("checkpoint_interval", &self.checkpoint_interval)
            .field("peer", &self.peer)
            .field("bulk", &self.bulk)
            .field("retention", &self.retention)
            .field("value_hashes", &self.value_hashes)
            .field("horizon", &self.horizon)
            .finish_non_exhaustive()
    }
}
