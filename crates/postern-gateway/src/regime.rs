//! What a configuration makes: what sessions are judged by, and what is kept for them.
//!
//! A gateway has one regime in force. While it goes from one to the next, the sessions of the last
//! end under it, with all that they use: its keeper and its breaker run for as long as anything of
//! it is left, on threads that they share with those of others.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
    time::Duration,
};

use postern_model::Clock;
use postern_people::Approvals;
use postern_policy::Policy;
use postern_sql::Identities;
use tokio::sync::{mpsc, watch};

use crate::{
    Limits, Settings,
    breaker::{self, Ended},
    catalogue::{KeepError, Keeper},
    freshness::{Looked, Present, ProofRequest},
    reasons::Reasons,
    registry::Command,
};

/// What a configuration makes. A session has the same one from its log-in to its end.
pub(crate) struct Regime {
    /// Counts those that were in force since the gateway started, from 1.
    pub(crate) number: u64,
    pub(crate) settings: Settings,
    pub(crate) policy: Arc<Policy>,
    pub(crate) reasons: Reasons,
    /// The present catalogue; `None` while the server can't be read.
    pub(crate) catalogue: watch::Receiver<Option<Present>>,
    proofs: mpsc::UnboundedSender<ProofRequest>,
    pub(crate) looked: Arc<Looked>,
    pub(crate) breaker: mpsc::UnboundedSender<Ended>,
    identities: Arc<Mutex<Identities>>,
}

impl std::fmt::Debug for Regime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Regime").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A task, made on the thread that runs it.
pub(crate) type Work = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// Runs whatever comes, side by side.
pub(crate) async fn host(mut works: mpsc::UnboundedReceiver<Work>) {
    while let Some(work) = works.recv().await {
        tokio::task::spawn_local(work());
    }
}

/// What runs for a regime for as long as anything of it is left.
pub(crate) struct Upkeep {
    pub(crate) keeper: Work,
    pub(crate) breaker: Work,
}

/// Hears whether the server could be read for the first time; if not, nothing more is tried.
pub(crate) type FirstRead = SyncSender<Result<(), KeepError>>;

/// What all regimes of a process have.
pub(crate) struct Common {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) approvals: Arc<Mutex<Approvals>>,
}

impl Regime {
    /// The first one.
    pub(crate) fn first(
        settings: Settings,
        policy: Arc<Policy>,
        common: &Common,
    ) -> (Self, Upkeep) {
        Self::begin((1, settings, policy), common, (Identities::default(), None, None))
    }

    /// The next one, with a keeper of its own. What was protected under another name is so still,
    /// as far as both configurations say the same of it.
    pub(crate) fn next(
        &self,
        settings: Settings,
        policy: Arc<Policy>,
        common: &Common,
        first_read: FirstRead,
    ) -> (Self, Upkeep) {
        let known = if self.settings.upstream.is_same_database(&settings.upstream) {
            (self.identities().clone(), Some(self.settings.tables.clone()), Some(first_read))
        } else {
            (Identities::default(), None, Some(first_read))
        };
        Self::begin((self.number + 1, settings, policy), common, known)
    }

    fn begin(
        (number, settings, policy): (u64, Settings, Arc<Policy>),
        common: &Common,
        (identities, tables_before, first_read): (
            Identities,
            Option<Vec<postern_session::TableSettings>>,
            Option<FirstRead>,
        ),
    ) -> (Self, Upkeep) {
        let approvals = settings.approvals.map(|_| common.approvals.clone());
        let (reasons, requests) = Reasons::new(approvals);
        let (present, catalogue) = watch::channel(None);
        let (proofs, asked) = mpsc::unbounded_channel();
        let (breaker, ended) = mpsc::unbounded_channel();
        let looked = Arc::new(Looked::new());
        let identities = Arc::new(Mutex::new(identities));
        let keeper = Keeper {
            settings: settings.clone(),
            clock: common.clock.clone(),
            reasons: reasons.clone(),
            requests,
            catalogue: present,
            proofs: asked,
            looked: looked.clone(),
            identities: identities.clone(),
            tables_before,
            first_read,
            generation: 0,
        };
        let upstream = settings.upstream.clone();
        let upkeep = Upkeep {
            keeper: Box::new(move || Box::pin(keeper.run())),
            breaker: Box::new(move || Box::pin(breaker::run(upstream, ended))),
        };
        let regime = Self {
            number,
            settings,
            policy,
            reasons,
            catalogue,
            proofs,
            looked,
            breaker,
            identities,
        };
        (regime, upkeep)
    }

    /// The next one, with the same keeper: what sessions are judged by is the same, and only
    /// log-ins meet what is new. `None` where that is not so.
    pub(crate) fn continued(&self, settings: &Settings, policy: &Arc<Policy>) -> Option<Self> {
        let same = is_same_but_at_the_door(&self.settings, settings);
        (same && Arc::ptr_eq(&self.policy, policy)).then(|| Self {
            number: self.number + 1,
            settings: settings.clone(),
            policy: policy.clone(),
            reasons: self.reasons.clone(),
            catalogue: self.catalogue.clone(),
            proofs: self.proofs.clone(),
            looked: self.looked.clone(),
            breaker: self.breaker.clone(),
            identities: self.identities.clone(),
        })
    }

    /// Whether both judge alike, by one keeper.
    pub(crate) fn judges_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.looked, &other.looked)
    }

    /// Whether a session of that role that has begun under the other would be the same here.
    pub(crate) fn covers(&self, other: &Self, role: &str) -> bool {
        let (here, there) = (&self.settings, &other.settings);
        let (its, before) = (here.roles.get(role), there.roles.get(role));
        // An application speaks for people of any role.
        let speaks = its.is_some_and(|role| role.speaks_for);
        let same_people = || here.roles == there.roles && here.tokens == there.tokens;
        self.judges_as(other) && its == before && (!speaks || same_people())
    }

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

    fn identities(&self) -> MutexGuard<'_, Identities> {
        // Each insertion is whole.
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether all that a session hangs on after its log-in is the same, but for its role.
fn is_same_but_at_the_door(before: &Settings, after: &Settings) -> bool {
    // Every field is named, so that a new one is thought of.
    let Settings {
        listen: _,
        workers: _,
        tls: _,
        roles: _,
        tokens: _,
        administrators: _,
        sign_in: _,
        certificates: _,
        upstream,
        limits,
        tables,
        reasons,
        approvals,
    } = before;
    let at_the_door = |limits: &Limits| Limits {
        connections_max: 0,
        login_timeout: Duration::ZERO,
        drain: Duration::ZERO,
        ..*limits
    };
    upstream.is_same(&after.upstream)
        && at_the_door(limits) == at_the_door(&after.limits)
        && *tables == after.tables
        && *reasons == after.reasons
        && approvals.is_some() == after.approvals.is_some()
}
