//! What a configuration makes: what sessions are judged by, and what is kept for them.

use std::{sync::Arc, time::Duration};

use postern_policy::Policy;
use tokio::sync::{mpsc, watch};

use crate::{
    Settings,
    breaker::Ended,
    freshness::{Looked, Present, ProofRequest},
    reasons::Reasons,
    registry::Command,
};

/// What a configuration makes. A session has the same one from its log-in to its end.
pub(crate) struct Regime {
    pub(crate) settings: Settings,
    pub(crate) policy: Arc<Policy>,
    pub(crate) reasons: Reasons,
    /// The present catalogue; `None` while the server can't be read.
    pub(crate) catalogue: watch::Receiver<Option<Present>>,
    pub(crate) proofs: mpsc::UnboundedSender<ProofRequest>,
    pub(crate) looked: Arc<Looked>,
    pub(crate) breaker: mpsc::UnboundedSender<Ended>,
}

impl std::fmt::Debug for Regime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Regime").finish_non_exhaustive()
    }
}

impl Regime {
    /// Asks which catalogue is the present one; the answer comes as a command, in any case.
    pub(crate) fn prove(&self, proof: u64, connection: mpsc::UnboundedSender<Command>) {
        // Where nobody hears it any more, the request that comes back is dropped, which answers it.
        let _ = self.proofs.send(ProofRequest::new(proof, connection));
    }

    /// Whether there is a catalogue by which statements can be judged, or is one in time.
    pub(crate) async fn knows_catalogue(&self, in_time: Duration) -> bool {
        let mut catalogue = self.catalogue.clone();
        let known = catalogue.wait_for(Option::is_some);
        matches!(tokio::time::timeout(in_time, known).await, Ok(Ok(_)))
    }
}
