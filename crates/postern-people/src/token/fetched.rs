//! Keys that are fetched by their URL. Who fetches them, and when, is not known here; only how old
//! they may become.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use postern_model::Timestamp;

use super::{KeySetError, Keys, TokenError};

/// Where keys come from, and for how long they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySource {
    /// The address of the issuer's JSON Web Key Set.
    pub url: String,
    /// Certificates, as PEM, that the server's must descend from; those of a URL without TLS are
    /// empty.
    pub trusted: Vec<u8>,
    /// After this long they are fetched again at the latest.
    pub refresh: Duration,
    /// For how long they count after they were fetched last. Then no token is taken.
    pub grace: Duration,
}

/// The keys that were fetched last.
#[derive(Debug)]
pub struct FetchedKeys {
    source: KeySource,
    /// Held for one look or one change.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<(Arc<Keys>, Timestamp)>,
    /// Counts the attempts that have ended.
    attempts: u64,
    /// Hears that a token was by a key that is not known.
    wants: Option<SyncSender<()>>,
}

/// Whether both are the same keys, whatever was fetched by now.
impl PartialEq for FetchedKeys {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for FetchedKeys {}

impl FetchedKeys {
    /// None was fetched yet.
    pub fn new(source: KeySource) -> Self {
        Self { source, state: Mutex::default() }
    }

    /// Where they come from.
    pub fn source(&self) -> &KeySource {
        &self.source
    }

    /// What the issuer has answered at that moment.
    ///
    /// # Errors
    /// [`KeySetError`] if it is no key set of use: what was known before goes on to count, and the
    /// caller says that they could not be fetched.
    pub fn put(&self, key_set: &str, now: Timestamp) -> Result<(), KeySetError> {
        let keys = Keys::parse(key_set)?;
        let mut state = self.state();
        state.keys = Some((Arc::new(keys), now));
        state.attempts += 1;
        Ok(())
    }

    /// They could not be fetched.
    pub fn failed(&self) {
        self.state().attempts += 1;
    }

    /// Whoever fetches them hears by this that they are to be fetched before their time. It ends
    /// when nobody uses the keys any more.
    pub fn wants(&self) -> Receiver<()> {
        let (sender, receiver) = sync_channel(1);
        self.state().wants = Some(sender);
        receiver
    }

    /// How many attempts to fetch them have ended.
    pub fn attempts(&self) -> u64 {
        self.state().attempts
    }

    /// When they were fetched last.
    pub fn fetched_at(&self) -> Option<Timestamp> {
        self.state().keys.as_ref().map(|(_, at)| *at)
    }

    pub(super) fn want(&self) {
        // One that waits to be heard says the same.
        let _ = self.state().wants.as_ref().map(|wants| wants.try_send(()));
    }

    pub(super) fn keys(&self, now: Timestamp) -> Result<Arc<Keys>, TokenError> {
        let state = self.state();
        match &state.keys {
            None => Err(TokenError::NoKeys),
            Some((_, at)) if at.after(self.source.grace) <= now => Err(TokenError::OldKeys),
            Some((keys, _)) => Ok(keys.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
