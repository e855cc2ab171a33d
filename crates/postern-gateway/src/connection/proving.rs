//! How a connection finds out which catalogue is the present one: from the server's own word behind
//! its statements where that is enough, from the keeper otherwise.

use postern_session::Input;

use super::Connection;
use crate::{
    Settings,
    freshness::{Due, LOOK, Look},
};

/// The proofs that a connection waits for.
#[derive(Debug)]
pub(super) struct Proving {
    /// A proof that is wanted, while the server is about to tell the moment.
    wanted: Option<u64>,
    /// The proof by the moment that the server has told, for the session.
    proven: Option<Input>,
    /// The look at the catalogue before a statement is judged.
    look: Look,
}

impl Proving {
    pub(super) fn new(settings: &Settings) -> Self {
        let needed = !settings.tables.is_empty();
        Self { wanted: None, proven: None, look: Look::new(needed) }
    }

    pub(super) fn proven(&mut self) -> Option<Input> {
        self.proven.take()
    }

    /// The catalogue has changed, by the session's own doing.
    pub(super) fn must_look(&mut self) {
        self.look.must();
    }

    pub(super) fn looked(&mut self) {
        self.look.ended();
    }
}

impl Connection<'_> {
    /// Whether the client's next message waits for a look at the catalogue.
    pub(super) fn looks_first(&mut self) -> bool {
        let due = self.proving.look.is_due(self.client.input.first(), &self.regime.looked);
        if due == Due::Now {
            self.regime.prove(LOOK, self.sender.clone());
        }
        due != Due::No
    }

    pub(super) fn prove(&mut self, proof: u64) {
        if self.session.awaits_moment() {
            self.proving.wanted = Some(proof);
        } else {
            self.regime.prove(proof, self.sender.clone());
        }
    }

    /// Asks the keeper for what is wanted still.
    pub(super) fn prove_wanted(&mut self) {
        if let Some(proof) = self.proving.wanted.take() {
            self.regime.prove(proof, self.sender.clone());
        }
    }

    /// The server's moment, behind all that this proof is for.
    pub(super) fn moment(&mut self, proof: u64, moment: Option<&str>) {
        // What the keeper was asked for is the keeper's to answer.
        if self.proving.wanted.take().is_none() {
            return;
        }
        let generation = moment.and_then(|moment| self.regime.looked.generation(moment));
        if generation.is_some() {
            self.regime.looked.ended();
            self.proving.proven = Some(Input::Proven { proof, generation });
        } else {
            self.regime.prove(proof, self.sender.clone());
        }
    }
}
