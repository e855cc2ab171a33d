//! The configuration, read again while the gateway runs: all of it is in force then, or none.
//!
//! A thread of its own does one reload after the other, each from what the files say when its turn
//! comes, so that of two at once the second takes what is newest.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use postern_gateway::{Handle, Settings as GatewaySettings};
use postern_ledger::Note;
use postern_model::{Actor, Clock as _, Timestamp};
use postern_policy::Policy;

use super::{
    Basis, basis,
    keys::Keys,
    people::{self, UNKNOWN},
    settings::{self, hash},
    watching::Told,
};
use crate::{
    clock::SystemClock,
    config::{self, ConfigError, Problem, Settings},
    control::Taken,
};

/// How many may wait for their turn; what a signal asks for beyond that is asked for already.
const WAITING_MAX: usize = 16;

/// How long somebody waits for a reload, and for those before it.
const PATIENCE: Duration = Duration::from_secs(50);

/// Which configuration is in force, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Force {
    pub(super) hash: [u8; 32],
    pub(super) since: Timestamp,
}

/// The same for whoever asks; held for one look.
#[derive(Debug, Clone)]
struct InForce(Arc<Mutex<Force>>);

impl InForce {
    fn now(settings: &Settings) -> Self {
        Self(Arc::new(Mutex::new(Force { hash: hash(settings), since: SystemClock.now() })))
    }

    fn get(&self) -> Force {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, force: Force) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = force;
    }
}

/// Somebody wants the configuration to be read again.
#[derive(Debug)]
struct Wish {
    by: String,
    done: Option<mpsc::SyncSender<Result<Taken, String>>>,
}

/// Has the configuration read again.
#[derive(Debug, Clone)]
pub(super) struct Reloads {
    wishes: mpsc::SyncSender<Wish>,
    in_force: InForce,
}

impl Reloads {
    /// Which configuration is in force.
    pub(super) fn in_force(&self) -> Force {
        self.in_force.get()
    }

    /// Waits until it is in force; else why it is not.
    pub(super) fn reload(&self, by: &str) -> Result<Taken, String> {
        let (done, answer) = mpsc::sync_channel(1);
        let wish = Wish { by: by.to_owned(), done: Some(done) };
        self.wishes.try_send(wish).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => "too many wait for a reload; try again".to_owned(),
            mpsc::TrySendError::Disconnected(_) => "the gateway stops".to_owned(),
        })?;
        answer.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            Err(format!("it was not done within {PATIENCE:?}; the log says what becomes of it"))
        })
    }

    /// Somebody has sent SIGHUP. Nobody waits.
    pub(super) fn signalled(&self) {
        // Where so many wait already, one of them reads what this one would.
        let _ = self.wishes.try_send(Wish { by: UNKNOWN.to_owned(), done: None });
    }
}

/// What a reload acts on.
pub(super) struct Effect {
    pub(super) handle: Handle,
    pub(super) looks: people::Looks,
    pub(super) detectors: mpsc::Sender<Told>,
    pub(super) keys: Keys,
}

/// What is in force, to be compared with.
pub(super) struct Reloading {
    settings: Settings,
    gateway: GatewaySettings,
    policy: Arc<Policy>,
    /// What the file says by which the database server is trusted.
    trust: Option<Vec<u8>>,
    told: InForce,
}

impl Reloading {
    pub(super) fn new(settings: &Settings, gateway: GatewaySettings, policy: Arc<Policy>) -> Self {
        let (trust, told) = (trust(settings), InForce::now(settings));
        Self { settings: settings.clone(), gateway, policy, trust, told }
    }

    /// Reloads for as long as somebody can want it.
    pub(super) fn start(mut self, effect: Effect) -> std::io::Result<Reloads> {
        let (sender, wishes) = mpsc::sync_channel::<Wish>(WAITING_MAX);
        let in_force = self.told.clone();
        let follow = move || {
            while let Ok(wish) = wishes.recv() {
                let done = self.reload(&wish.by, &effect).map_err(|error| said(&error));
                match &done {
                    Ok(taken) => {
                        let (by, hash) = (&*wish.by, &*taken.hash);
                        let changed = taken.changed.join(", ");
                        let ending = taken.ending;
                        tracing::info!(by, hash, changed, ending, "the configuration was reloaded");
                        for name in &taken.unprotected {
                            tracing::warn!("`{name}` is not protected any more");
                        }
                    }
                    Err(error) => tracing::error!(
                        by = &*wish.by,
                        error,
                        "the configuration could not be reloaded; it stays as it was"
                    ),
                }
                if let Some(waits) = wish.done {
                    // Whoever does not wait any more needs no answer.
                    let _ = waits.send(done);
                }
            }
        };
        thread::Builder::new().name("postern-reload".to_owned()).spawn(follow)?;
        Ok(Reloads { wishes: sender, in_force })
    }

    fn reload(&mut self, by: &str, effect: &Effect) -> anyhow::Result<Taken> {
        let config::Loaded { settings, warnings } = config::load(&self.settings.path)?;
        let fixed = fixed(&self.settings, &settings);
        anyhow::ensure!(
            fixed.is_empty(),
            "{} can't change while the gateway runs; restart it, or write what it was",
            listed(&fixed)
        );
        let trust = trust(&settings);
        let Basis { people: _, policy, mut gateway } = basis(&settings)?;
        let fetching = effect.keys.take_up(&mut gateway);
        // What is the same is to be known as the same.
        let same = same_policy(&self.settings, &settings);
        let policy = if same { self.policy.clone() } else { Arc::new(policy) };
        let is_trusted = trust.is_some() && trust == self.trust;
        if gateway.upstream.tls.is_some() && self.gateway.upstream.tls.is_some() && is_trusted {
            gateway.upstream.tls.clone_from(&self.gateway.upstream.tls);
        }
        let hash = hash(&settings);
        let note = Note::Configured { hash, by: Actor::new(by) };
        let done = effect.handle.reconfigure(gateway.clone(), policy.clone(), note)?;
        effect.keys.keep(fetching);
        let force = Force { hash, since: SystemClock.now() };
        self.told.set(force);
        let suspend_on: BTreeSet<String> = settings.watch.suspend_on.iter().cloned().collect();
        // Once the detectors are gone the gateway is going down too.
        let _ = effect.detectors.send(Told::SuspendOn(suspend_on));
        if settings.watch.rules != self.settings.watch.rules {
            let rules = settings.watch.rules.as_ref().map(config::WatchRules::rules).transpose()?;
            let _ = effect.detectors.send(Told::Rules(rules.map(Box::new)));
        }
        let mut warnings: Vec<String> = warnings.iter().map(placed).collect();
        if let Err(error) = effect.looks.look(by, true) {
            warnings.push(format!("the list of people is {error}"));
        }
        let taken = Taken {
            hash: settings::hex(&hash),
            since: force.since.to_string(),
            changed: changed(&self.settings, &settings),
            unprotected: unprotected(&self.settings, &settings),
            warnings,
            ending: done.ending,
            drain_seconds: done.drain.as_secs_f64(),
        };
        (self.settings, self.gateway, self.policy) = (settings, gateway, policy);
        self.trust = trust;
        Ok(taken)
    }
}

fn trust(settings: &Settings) -> Option<Vec<u8>> {
    // One that can't be read is no reason to take it for what it was.
    settings.upstream.tls_ca.as_ref().and_then(|path| fs::read(path).ok())
}

/// All that is wrong, and where.
fn said(error: &anyhow::Error) -> String {
    let problems = error.downcast_ref::<ConfigError>().map_or(&[][..], ConfigError::problems);
    let places: Vec<String> = problems.iter().map(placed).collect();
    if places.is_empty() {
        format!("{error:#}")
    } else {
        format!("{error:#}\n{}", places.join("\n"))
    }
}

fn placed(problem: &Problem) -> String {
    format!("line {}: {problem}; {}", problem.line(), problem.what_to_do())
}

fn listed(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

fn same_policy(before: &Settings, after: &Settings) -> bool {
    match (&before.policy, &after.policy) {
        (config::Policy::Shipped, config::Policy::Shipped) => true,
        (config::Policy::File { text, .. }, config::Policy::File { text: other, .. }) => {
            text == other
        }
        (config::Policy::Shipped, config::Policy::File { .. })
        | (config::Policy::File { .. }, config::Policy::Shipped) => false,
    }
}

/// The keys that differ and can't while the gateway runs: what it listens with, where it keeps what
/// it records, what its detectors were made with, and who witnesses.
fn fixed(before: &Settings, after: &Settings) -> Vec<&'static str> {
    // Every field is named, so that a new one is thought of.
    let Settings {
        path: _,
        text: _,
        gateway: config::Gateway { listen, tls: _, workers, limits: _, administrators: _ },
        upstream: _,
        data: config::Data { folder, min_free_bytes, warn_free_bytes },
        peer,
        retention,
        value_hashes,
        older_segments,
        roles: _,
        contractors: _,
        people: _,
        tables: _,
        reasons: _,
        approvals: _,
        end_users: _,
        sign_in: _,
        certificates: _,
        scim,
        metrics,
        policy: _,
        watch: was_watch,
        witness: config::Witnessing { witnesses, enough, every, bulk },
        tsa: _,
    } = before;
    let config::Watch {
        alerts_per_100_agents_per_day,
        suspend_on: _,
        off,
        learning_days,
        decoys,
        rules: _,
    } = was_watch;
    let (watch, witness) = (&after.watch, &after.witness);
    let same = [
        ("gateway.listen", *listen == after.gateway.listen),
        ("gateway.workers", *workers == after.gateway.workers),
        ("data.folder", *folder == after.data.folder),
        ("data.min_free", *min_free_bytes == after.data.min_free_bytes),
        ("data.warn_free", *warn_free_bytes == after.data.warn_free_bytes),
        ("scim", *scim == after.scim),
        ("metrics", *metrics == after.metrics),
        ("ledger", *peer == after.peer && *retention == after.retention),
        ("ledger.value_hashes", *value_hashes == after.value_hashes),
        ("ledger.older_segments", *older_segments == after.older_segments),
        (
            "watch.alerts_per_100_agents_per_day",
            alerts_per_100_agents_per_day.total_cmp(&watch.alerts_per_100_agents_per_day).is_eq(),
        ),
        ("watch.off", *off == watch.off),
        ("watch.learning_days", *learning_days == watch.learning_days),
        ("watch.decoys", *decoys == watch.decoys),
        ("witness.witnesses", *witnesses == witness.witnesses),
        ("witness.enough", *enough == witness.enough),
        ("witness.every", *every == witness.every),
        ("witness.unwitnessed_max", *bulk == witness.bulk),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

/// Where the files differ: a key or section each, two levels deep at most.
fn changed(before: &Settings, after: &Settings) -> Vec<String> {
    let table = |settings: &Settings| settings.text.parse::<toml::Table>().unwrap_or_default();
    let (old, new) = (table(before), table(after));
    let mut places = Vec::new();
    for key in keys(&old, &new) {
        match (old.get(key), new.get(key)) {
            (old, new) if old == new => {}
            (Some(toml::Value::Table(old)), Some(toml::Value::Table(new))) => {
                let inner =
                    keys(old, new).into_iter().filter(|inner| old.get(*inner) != new.get(*inner));
                places.extend(inner.map(|inner| format!("{key}.{inner}")));
            }
            _ => places.push(key.to_owned()),
        }
    }
    if !same_policy(before, after) && !places.iter().any(|place| place.starts_with("policy")) {
        places.push("policy".to_owned());
    }
    places
}

fn keys<'a>(old: &'a toml::Table, new: &'a toml::Table) -> BTreeSet<&'a str> {
    old.keys().chain(new.keys()).map(String::as_str).collect()
}

/// Tables that were protected and are not.
fn unprotected(before: &Settings, after: &Settings) -> Vec<String> {
    let names: BTreeSet<String> = after.tables.iter().map(config::Table::full_name).collect();
    let before = before.tables.iter().map(config::Table::full_name);
    before.filter(|name| !names.contains(name)).collect()
}
