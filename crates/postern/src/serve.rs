//! The composition root: puts the parts of a gateway together, runs them, takes them down.
//!
//! [`Running::start`] binds and starts everything; [`run`] is the command, which adds signals.
//! Order matters: the ledger's history is read before the ledger is opened for writing, witnesses
//! are asked whether it was put back before anybody can connect, and the detectors have seen all of
//! it before the first new entry.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use postern_gateway::{Gateway, Handle, Parts, Settings as GatewaySettings, Suspension, Upstream};
use postern_ledger::{Body, Entry, Ledger, Note, Reader};
use postern_model::{Actor, Clock as _, Finding, Timestamp};
use postern_people::{Act, Approvals, Deed, People, States};
use postern_policy::Policy;

use self::watching::Detectors;
use crate::{
    cli::ServeArgs,
    clock::SystemClock,
    config::{self, Settings},
    ledger_options,
    ui::{self, Outcome},
};

mod approvals;
mod control;
pub(crate) mod decoys;
mod keys;
mod metrics;
mod people;
mod reloading;
mod retention;
mod scim;
mod settings;
mod space;
mod taking_over;
mod volumes;
mod watching;
mod witnessed;

pub(crate) use self::{retention::retain, scim::tokens as scim_tokens, settings::reasons};

/// How long the ledger lets disclosures gather before it syncs: no longer than a sync itself takes.
const COMMIT_DELAY: Duration = Duration::from_micros(50);

/// How long the ledger takes the disk to have the room that it had: it is to keep much more free
/// than others fill in that time.
const ROOM_HOLDS: Duration = Duration::from_millis(20);

/// A gateway with all that belongs to it.
#[derive(Debug)]
pub(crate) struct Running {
    gateway: Gateway,
    ledger: Arc<Ledger>,
    handle: Handle,
    reloads: reloading::Reloads,
    watching: thread::JoinHandle<()>,
    entries: mpsc::Sender<watching::Told>,
    /// Nothing is changed by it once the ledger closes: it goes first.
    scim: Option<postern_scim::Server>,
    _control: control::Listening,
    _metrics: Option<metrics::Serving>,
    _asking: Option<witnessed::Asking>,
    _looking: space::Looking,
    _tending: Tending,
}

/// What looks after the ledger once a minute; it ends when this is dropped.
type Tending = (Option<retention::Retaining>, Option<volumes::Moving>);

/// What the ledger says of the time before this start.
struct History {
    suspended: BTreeMap<Actor, Suspension>,
    detectors: Detectors,
    /// What was recorded of the accounts.
    people: States,
    /// Who was let in by others.
    approvals: Approvals,
    /// Raised by what is in the ledger, but not in it themselves: a crash came between.
    unrecorded: Vec<Finding>,
    entries: u64,
}

impl Running {
    /// Builds and starts everything that the settings describe.
    /// On the socket of another gateway that has ended, where there is one.
    fn start(settings: &Settings, listener: Option<TcpListener>) -> anyhow::Result<Self> {
        let clock = Arc::new(SystemClock);
        let Basis { people, policy, gateway: mut gateway_settings } = basis(settings)?;
        let keys = keys::Keys::start(&mut gateway_settings);
        let history = history(settings, clock.now())?;
        let (sender, told) = mpsc::channel();
        let synced = metrics::Synced::default();
        let ledger = Arc::new(opened(settings, sender.clone(), synced.clone())?);
        let witnessed = witnessed::Progress::default();
        let asking = witnessed::Asking::start(ledger.clone(), settings, witnessed.clone())?;
        let (people, policy) = (Arc::new(people), Arc::new(policy));
        let mock_secret = settings::secret(&settings.data.folder.join("mock.key"))?;
        let parts = Parts {
            ledger: ledger.clone(),
            policy: policy.clone(),
            people: people.clone(),
            approvals: history.approvals,
            suspended: history.suspended,
            clock,
            mock_secret,
            search_key: settings::secret(&settings.data.folder.join("search.key"))?,
        };
        let gateway = built(listener, gateway_settings.clone(), parts)?;
        let handle = gateway.handle();
        let cases = history.detectors.cases.clone();
        let watching = watching::Watching {
            detectors: history.detectors,
            ledger: ledger.clone(),
            handle: handle.clone(),
            suspend_on: settings.watch.suspend_on.iter().cloned().collect(),
            unrecorded: history.unrecorded,
        };
        let counts = watching::Counts::default();
        let watching = watching.start(told, counts.clone())?;
        let tending = announce(&ledger, settings)?;
        let effect = people::Effect::new(&handle, &ledger, mock_secret);
        let file = (settings.data.people(), &*people);
        let looks = people::Following::start(file, history.people, effect)?;
        let scim = scim::start(settings, &handle, &ledger, &looks)?;
        let reloading = reloading::Reloading::new(settings, gateway_settings, policy);
        let (again, detectors) = (looks.clone(), sender.clone());
        let effect = reloading::Effect { handle: handle.clone(), looks: again, detectors, keys };
        let reloads = reloading.start(effect)?;
        let answering = Arc::new(control::Answering::new(
            handle.clone(),
            (ledger.clone(), witnessed.clone(), cases),
            looks,
            reloads.clone(),
            (counts, history.entries),
            (space::Space::of(&settings.data), settings.data.queries()),
        ));
        let metrics = metrics::start(settings, (answering.clone(), synced))?;
        let control = control::Listening::start(&settings.data.control_socket(), answering)?;
        Ok(Self {
            gateway,
            ledger,
            handle,
            reloads,
            watching,
            entries: sender,
            scim,
            _control: control,
            _metrics: metrics,
            _asking: asking,
            _looking: space::Space::of(&settings.data).look()?,
            _tending: tending,
        })
    }

    /// Speaks to the gateway.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Reads the configuration again, on a thread of its own.
    fn reload(&self) {
        self.reloads.signalled();
    }

    /// Drains, ends everything and closes the ledger.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        drop(self.scim);
        self.handle.stop();
        self.gateway.wait();
        // The detectors see all that was disclosed before the ledger closes. The hook's sender is
        // still there, so that the end must be said.
        let _ = self.entries.send(watching::Told::End);
        let watched = self.watching.join();
        note(&self.ledger, Note::Stopped)?;
        self.ledger.close().context("the ledger's last entries have no checkpoint")?;
        anyhow::ensure!(watched.is_ok(), "the detectors have panicked");
        Ok(())
    }
}

/// On a socket of its own where no other gateway has handed one over.
fn built(
    listener: Option<TcpListener>,
    settings: GatewaySettings,
    parts: Parts,
) -> anyhow::Result<Gateway> {
    Ok(match listener {
        Some(listener) => Gateway::build_on(listener, settings, parts)?,
        None => Gateway::build(settings, parts)?,
    })
}

/// How the ledger is opened.
fn options(settings: &Settings) -> anyhow::Result<postern_ledger::Options> {
    let min_free_bytes = settings.data.min_free_bytes;
    let peer = settings.peer.as_ref().map(crate::peer::options).transpose()?;
    Ok(postern_ledger::Options {
        min_free_bytes,
        commit_delay: COMMIT_DELAY,
        room_holds: ROOM_HOLDS,
        peer,
        retention: settings.retention,
        value_hashes: settings.value_hashes,
        bulk: settings.witness.bulk,
        ..ledger_options()
    })
}

/// The ledger, whose entries the detectors are told once they are durable.
fn opened(
    settings: &Settings,
    detectors: mpsc::Sender<watching::Told>,
    synced: metrics::Synced,
) -> anyhow::Result<Ledger> {
    let hook = Arc::new(move |entries: Vec<Entry>| {
        synced.now();
        // Once the detectors are gone the gateway is going down too.
        let _ = detectors.send(watching::Told::Entries(entries));
    });
    let folder = settings.data.ledger();
    Ledger::open(&folder, options(settings)?, hook)
        .with_context(|| format!("can't open the ledger in `{}`", folder.display()))
}

/// Records what starts, in the epoch that it belongs to.
fn announce(ledger: &Arc<Ledger>, settings: &Settings) -> anyhow::Result<Tending> {
    let retaining = settings.retention.map(|_| retention::Retaining::start(ledger.clone()));
    let version = env!("CARGO_PKG_VERSION");
    note(ledger, Note::Started { version: version.into() })?;
    let hash = settings::hash(settings);
    note(ledger, Note::Configured { hash, by: Actor::new(crate::control::os_user()) })?;
    Ok((retaining.transpose()?, volumes::Moving::start(settings)?))
}

/// The command: serves until SIGTERM or SIGINT; SIGHUP has the configuration read again.
pub(crate) fn run(config: &Path, args: &ServeArgs) -> anyhow::Result<Outcome> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("POSTERN_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(!ui::is_plain())
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Installed before anything runs, so that no signal is missed: a reload that is asked for
    // during the start comes after it.
    let (signals, mut reload) = runtime.block_on(async { Signals::install() })?;
    let settings = config::load(config)?.settings;
    let listener = if args.take_over {
        // What is wrong with them must not end the gateway that runs.
        basis(&settings)?;
        let listen = settings.gateway.listen.to_string();
        Some(taking_over::take_over(&settings.data.control_socket(), &listen)?)
    } else {
        None
    };
    let running = Running::start(&settings, listener)?;
    let (address, database) = (running.handle().address(), &settings.upstream.database);
    let configuration = settings::hex(&settings::hash(&settings));
    tracing::info!(%address, database, configuration, "listening");
    let signal = runtime.block_on(async {
        let announce = async {
            running.handle().ready().await;
            tracing::info!(%address, database, "ready for log-ins");
            std::future::pending().await
        };
        let reloads = async {
            while reload.recv().await.is_some() {
                running.reload();
            }
            std::future::pending().await
        };
        tokio::select! {
            signal = signals.wait() => signal,
            reason = stopped(running.handle()) => reason,
            () = announce => "",
            () = reloads => "",
        }
    });
    tracing::info!(signal, "stopping");
    running.stop()?;
    Ok(Outcome::Yes)
}

/// Waits until the gateway has been told to stop otherwise, or has handed over and nobody is left.
async fn stopped(handle: &Handle) -> &'static str {
    handle.stopping().await;
    if !handle.has_handed_over() {
        return "the gateway's own decision";
    }
    handle.left().await;
    "another gateway has taken over"
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Those that end the process, and the one for a reload.
    fn install() -> std::io::Result<(Self, tokio::signal::unix::Signal)> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok((Self { terminate, interrupt }, signal(SignalKind::hangup())?))
    }

    async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What statements are judged by, read as a gateway that starts reads it.
pub(crate) struct Basis {
    pub(crate) people: People,
    pub(crate) policy: Policy,
    pub(crate) gateway: GatewaySettings,
}

/// A key of the data folder, made if it is not there.
pub(crate) fn secret(path: &Path) -> anyhow::Result<[u8; 32]> {
    settings::secret(path)
}

/// The guarded server, as a gateway that starts uses it.
pub(crate) fn upstream(settings: &Settings) -> anyhow::Result<Upstream> {
    Ok(settings::gateway(settings)?.upstream)
}

pub(crate) fn basis(settings: &Settings) -> anyhow::Result<Basis> {
    Ok(Basis {
        people: people::read(&settings.data.people())?,
        policy: policy(settings)?,
        gateway: settings::gateway(settings)?,
    })
}

fn policy(settings: &Settings) -> anyhow::Result<Policy> {
    match &settings.policy {
        config::Policy::Shipped => {
            Policy::parse(Policy::default_text()).context("the shipped policy can't be used")
        }
        config::Policy::File { path, text } => Policy::parse(text)
            .with_context(|| format!("the policy in `{}` can't be used", path.display())),
    }
}

/// Reads the whole ledger: who is suspended, and what the detectors know.
fn history(settings: &Settings, now: Timestamp) -> anyhow::Result<History> {
    let folder = settings.data.ledger();
    anyhow::ensure!(
        folder.exists(),
        "there is no ledger in `{}`; put it back, or begin a new one with `postern init`",
        folder.display()
    );
    let reader = Reader::open(&folder)
        .with_context(|| format!("can't read the ledger in `{}`", folder.display()))?;
    let mut detectors = Detectors::new(settings, now)?;
    let (mut suspended, mut people) = (BTreeMap::new(), States::new());
    let mut approvals = Approvals::default();
    let mut unrecorded: Vec<Finding> = Vec::new();
    let mut count = 0;
    for entry in reader {
        let entry = entry.context("the ledger is damaged")?;
        count += 1;
        match &entry.body {
            Body::Noted(Note::Suspended { actor, by, why }) => {
                let (by, why, since) = (by.clone(), why.clone(), entry.time);
                suspended.insert(actor.clone(), Suspension { by, why, since });
            }
            Body::Noted(Note::Resumed { actor, .. }) => {
                suspended.remove(actor);
            }
            Body::Noted(Note::Person { actor, now, .. }) => {
                if now.is_empty() {
                    people.remove(actor);
                } else {
                    people.insert(actor.clone(), now.clone());
                }
            }
            Body::Noted(note @ Note::Approval { .. }) => {
                let folder = settings.data.queries();
                deed(note, &folder).iter().for_each(|deed| approvals.apply(deed, entry.time));
            }
            // What an earlier start left unrecorded was its own to record; since then the
            // configuration may have changed, so only the newest run is made up for.
            Body::Noted(Note::Started { .. }) => unrecorded.clear(),
            Body::Noted(Note::Found(found)) => unrecorded
                .retain(|finding| finding.kind != *found.kind || finding.actors != found.actors),
            Body::Noted(_) | Body::Disclosed(_) => {}
        }
        detectors.told(&entry);
        for event in crate::events::of_entry(&entry) {
            unrecorded.extend(detectors.before(&event));
        }
    }
    Ok(History { suspended, people, approvals, detectors, unrecorded, entries: count })
}

/// What an entry says that somebody did; nothing if a later version has another word for it.
fn deed(note: &Note, queries: &Path) -> Option<Deed> {
    let Note::Approval { actor, by, act, number, subject, until, why } = note else { return None };
    Some(Deed {
        act: Act::parse(act)?,
        query: approvals::kept(queries, subject),
        number: *number,
        actor: actor.clone(),
        subject: subject.clone(),
        by: by.clone(),
        until: *until,
        why: why.clone(),
    })
}

/// Records something and says as which entry, once it is durable.
pub(crate) fn note(ledger: &Ledger, note: Note) -> anyhow::Result<u64> {
    let (sender, receiver) = mpsc::sync_channel(1);
    ledger.note(
        note,
        Box::new(move |result| {
            let _ = sender.send(result);
        }),
    );
    receiver.recv()?.context("the ledger can't be written")
}

fn read_text(path: &Path, what: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read {what} `{}`", path.display()))
}
