//! What all connections of the process share, and who may work.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
};

use postern_ledger::{Ledger, Limit, Note, RecordError};
use postern_model::{Actor, Clock, Timestamp};
use postern_people::{Account, Approvals, People, Replays, Throttle};
use postern_policy::{Action, Policy, Request};
use tokio::sync::mpsc;

use crate::{
    Role, Settings,
    figures::Figures,
    observing::{NotEnforced, Observations},
    pool::{PoolInfo, Told},
    refusals::{Refusals, left_out},
    regime::{Common, Regime, Upkeep, Work},
    registry::Registry,
    searches::Searches,
    stops::Stops,
};

/// Why an account is out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Who ordered it.
    pub by: Actor,
    pub why: Arc<str>,
    pub since: Timestamp,
}

/// What a gateway is made of, besides its settings.
#[derive(Clone)]
pub struct Parts {
    pub ledger: Arc<Ledger>,
    pub policy: Arc<Policy>,
    pub people: Arc<People>,
    /// Who was let in by others so far.
    pub approvals: Approvals,
    /// Whose log-ins are refused from the start.
    pub suspended: BTreeMap<Actor, Suspension>,
    pub clock: Arc<dyn Clock>,
    /// For unknown names' verifiers, so that they look like known ones; random, kept while the
    /// gateway runs.
    pub mock_secret: [u8; 32],
    /// Keys the hashes of searched values; kept over restarts, so that they stay comparable.
    pub search_key: [u8; 32],
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("suspended", &self.suspended).finish_non_exhaustive()
    }
}

/// What all connections of the process share.
pub(crate) struct Shared {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) mock_secret: [u8; 32],
    pub(crate) search_key: [u8; 32],
    /// Knows which regime is in force, too.
    pub(crate) registry: Registry,
    /// Held while another regime is being put in force.
    changing: Mutex<()>,
    /// Run on the threads of the keepers and of the breakers.
    keepers: mpsc::UnboundedSender<Work>,
    breakers: mpsc::UnboundedSender<Work>,
    pub(crate) searches: Searches,
    pub(crate) stops: Stops,
    pub(crate) refusals: Refusals,
    pub(crate) observations: Observations,
    pub(crate) figures: Figures,
    /// Connections of all cores, those included that have not logged in.
    pub(crate) open: AtomicUsize,
    /// Cores that accept connections.
    pub(crate) accepting: AtomicUsize,
    /// Server connections of all cores that no session uses.
    pub(crate) spares: AtomicUsize,
    /// A mutex held for one look or one count.
    throttle: Mutex<Throttle>,
    /// By which tokens somebody came in; held for one look.
    replays: Mutex<Replays>,
    /// Held while a deed about access is recorded, so that each sees those before.
    deeds: Mutex<()>,
    /// What people have approved; held for one look or one change.
    approvals: Arc<Mutex<Approvals>>,
    people: RwLock<Arc<People>>,
    suspended: Mutex<BTreeMap<Actor, Suspension>>,
    /// What each core's pool says of itself.
    pools: Mutex<Vec<Told>>,
}

impl Shared {
    /// With what has to be run for it.
    pub(crate) fn new(
        settings: Settings,
        parts: Parts,
        (keepers, breakers): (mpsc::UnboundedSender<Work>, mpsc::UnboundedSender<Work>),
    ) -> Self {
        let approvals = Arc::new(Mutex::new(parts.approvals));
        let figures = Figures::new(settings.workers);
        let common = Common { clock: parts.clock.clone(), approvals: approvals.clone() };
        let (regime, upkeep) = Regime::first(settings, parts.policy, &common);
        let shared = Self {
            ledger: parts.ledger,
            clock: parts.clock,
            mock_secret: parts.mock_secret,
            search_key: parts.search_key,
            registry: Registry::new(regime),
            changing: Mutex::default(),
            keepers,
            breakers,
            searches: Searches::default(),
            stops: Stops::default(),
            refusals: Refusals::default(),
            observations: Observations::default(),
            figures,
            open: AtomicUsize::new(0),
            accepting: AtomicUsize::new(0),
            spares: AtomicUsize::new(0),
            throttle: Mutex::new(Throttle::new(parts.mock_secret)),
            replays: Mutex::default(),
            deeds: Mutex::default(),
            approvals,
            people: RwLock::new(parts.people),
            suspended: Mutex::new(parts.suspended),
            pools: Mutex::default(),
        };
        shared.run(upkeep);
        shared
    }

    /// What is in force.
    pub(crate) fn regime(&self) -> Arc<Regime> {
        self.registry.in_force()
    }

    /// Has it run for as long as anything of its regime is left; whether there is somebody to.
    pub(crate) fn run(&self, upkeep: Upkeep) -> bool {
        let Upkeep { keeper, breaker } = upkeep;
        self.keepers.send(keeper).is_ok() && self.breakers.send(breaker).is_ok()
    }

    /// Has something run on the keepers' thread, unless the gateway has stopped.
    pub(crate) fn run_beside_keepers(&self, work: Work) {
        let _ = self.keepers.send(work);
    }

    /// What regimes have in common.
    pub(crate) fn common(&self) -> Common {
        Common { clock: self.clock.clone(), approvals: self.approvals.clone() }
    }

    /// The roles for which policy is not enforced, as it is in force.
    pub(crate) fn not_enforced(&self) -> Vec<NotEnforced> {
        let regime = self.regime();
        let roles = regime.settings.roles.iter();
        let not_enforced = roles.filter(|(_, role)| !role.enforcement.is_enforced());
        let counted = not_enforced.map(|(name, role)| NotEnforced {
            role: name.clone(),
            enforcement: role.enforcement,
            counts: self.observations.of(name),
        });
        counted.collect()
    }

    /// Whether no core accepts and all connections have ended.
    pub(crate) fn is_left(&self) -> bool {
        // What a core has accepted it has counted before it stops accepting.
        self.accepting.load(Ordering::Acquire) == 0 && self.open.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn approvals(&self) -> MutexGuard<'_, Approvals> {
        // Each change is whole.
        self.approvals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a pool's figures into the list, for as long as there is the pool.
    pub(crate) fn tell_pool(&self, told: Told) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(Told::is_there);
        pools.push(told);
    }

    /// The figures of all pools by core, and those of the regime in force first.
    pub(crate) fn pools(&self) -> Vec<PoolInfo> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pools: Vec<PoolInfo> = pools.iter().filter_map(Told::info).collect();
        pools.sort_by_key(|info| (info.ends, info.core));
        pools
    }

    pub(crate) fn people(&self) -> Arc<People> {
        self.people.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The role, with its name, of an account that may come in, its password aside; else why not.
    pub(crate) fn admitted(
        &self,
        regime: &Regime,
        actor: &Actor,
    ) -> Result<(Arc<str>, Role), &'static str> {
        let people = self.people();
        let account = people.account(actor.as_str()).ok_or("unknown name")?;
        if self.suspended().contains_key(actor) {
            return Err("suspended");
        }
        if !account.works_at(self.clock.now()) {
            return Err("the account has ended");
        }
        let request = Request {
            actor,
            role: &account.role,
            action: Action::Connect,
            table: "",
            column: None,
            class: None,
            reason: None,
        };
        let role = regime.settings.roles.get(&account.role).cloned();
        let (Some(role), true) = (role, regime.policy.decide(&request).permitted) else {
            return Err("the role may not connect");
        };
        Ok((account.role.clone(), role))
    }

    /// Whether the account is there, has not ended and still has this role.
    pub(crate) fn may_work(&self, actor: &Actor, role: &str) -> bool {
        let people = self.people();
        let account = people.account(actor.as_str());
        account.is_some_and(|account| &*account.role == role && account.works_at(self.clock.now()))
    }

    /// What limits an actor, by what is known of them now.
    pub(crate) fn limits(&self, actor: &Actor, role: &Role) -> Arc<[Limit]> {
        let people = self.people();
        role.limits(actor, people.account(actor.as_str()).is_none_or(Account::is_contractor))
    }

    pub(crate) fn replace_people(&self, people: Arc<People>) {
        *self.people.write().unwrap_or_else(PoisonError::into_inner) = people;
    }

    /// Cuts an actor's sessions and ends what they have at the server; how many there were.
    pub(crate) fn cut(&self, actor: &Actor) -> usize {
        let (count, all) = self.registry.suspend(actor);
        for (regime, ended) in all {
            // Nobody hears it when the gateway has stopped: then nothing runs any more.
            let _ = regime.breaker.send(ended);
        }
        count
    }

    pub(crate) fn deeds(&self) -> MutexGuard<'_, ()> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        // Each count is whole.
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn replays(&self) -> MutexGuard<'_, Replays> {
        // Each insertion is whole.
        self.replays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn suspended(&self) -> MutexGuard<'_, BTreeMap<Actor, Suspension>> {
        // One insertion or removal at a time: every change is whole.
        self.suspended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement was refused: it becomes an entry, or one of those that are only counted.
    pub(crate) fn refused(&self, actor: &Actor, connection: u64, note: impl FnOnce() -> Note) {
        let counted = self.refusals.count(actor, self.clock.now());
        left_out(actor, connection, counted.left_out).into_iter().for_each(|note| self.note(note));
        if counted.is_recorded {
            self.note(note());
        }
    }

    /// A session ends: what was only counted until then is told.
    pub(crate) fn tells_refused(&self, actor: &Actor, connection: u64) {
        let count = self.refusals.ends(actor);
        left_out(actor, connection, count).into_iter().for_each(|note| self.note(note));
    }

    /// Puts a note into the ledger and waits until it is durable.
    pub(crate) fn note_durably(&self, note: Note) -> Result<(), RecordError> {
        let (sender, receiver) = sync_channel(1);
        self.ledger.note(
            note,
            Box::new(move |result| {
                // The receiver waits below, so that this never fails.
                let _ = sender.send(result.map(|_| ()));
            }),
        );
        receiver.recv().unwrap_or(Err(RecordError::Closed))
    }

    /// Puts a note into the ledger without waiting for it. One that can't be written is said in the
    /// log: the ledger then refuses disclosures too, so nothing leaves unrecorded.
    pub(crate) fn note(&self, note: Note) {
        self.ledger.note(
            note,
            Box::new(|result| {
                if let Err(error) = result {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a note could not be recorded"
                    );
                }
            }),
        );
    }
}
