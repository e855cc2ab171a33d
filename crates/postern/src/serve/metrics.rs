//! Figures for a monitoring system, over HTTP in the text format of OpenMetrics.
//!
//! They are read when they are asked for; nothing is counted twice. No account, customer or value
//! is among them, and no text that somebody chose: labels are numbers of cores.

use std::{
    fmt,
    fs::DirEntry,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use postern_gateway::CoreStats;
use postern_ledger::Copying;
use postern_model::{Clock as _, Timestamp};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};

use super::control::{Answering, Standing};
use crate::{clock::SystemClock, config::Settings, http};

/// How many may fetch at once.
const CONNECTIONS_MAX: usize = 8;
/// How long to wait when no connection could be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// When entries became durable last; 0: not since the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Synced(Arc<AtomicI64>);

impl Synced {
    /// Entries have become durable.
    pub(super) fn now(&self) {
        self.0.store(SystemClock.now().0, Ordering::Relaxed);
    }

    fn last(&self) -> Option<Timestamp> {
        Some(Timestamp(self.0.load(Ordering::Relaxed))).filter(|time| time.0 != 0)
    }
}

/// The thread that accepts; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // It waits for somebody to connect. Where nobody can, it waits for the end of the process.
        let _ = TcpStream::connect_timeout(&self.address, ACCEPT_AGAIN_AFTER);
    }
}

/// Serves the figures at the address that the settings have, if they have one.
pub(super) fn start(
    settings: &Settings,
    (answering, synced): (Arc<Answering>, Synced),
) -> anyhow::Result<Option<Serving>> {
    let Some(listen) = settings.metrics else { return Ok(None) };
    let listener = TcpListener::bind(listen)
        .with_context(|| format!("can't listen on {listen} for who fetches metrics"))?;
    let address = listener.local_addr()?;
    let mut registry = Registry::with_prefix("postern");
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "Which Postern it is", version);
    let ledger = settings.data.ledger();
    registry.register_collector(Box::new(Figures { answering, synced, ledger }));
    let stopped = Arc::new(AtomicBool::new(false));
    let serving = Serving { address, stopped: stopped.clone() };
    let registry = Arc::new(registry);
    thread::Builder::new()
        .name("postern-metrics".to_owned())
        .spawn(move || accept(&listener, &registry, &stopped))?;
    tracing::info!(metrics = %address, "metrics can be fetched");
    Ok(Some(serving))
}

fn accept(listener: &TcpListener, registry: &Arc<Registry>, stopped: &AtomicBool) {
    let connected = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stopped.load(Ordering::Relaxed) {
            return;
        }
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!(%error, "who fetches metrics could not be let in");
                thread::sleep(ACCEPT_AGAIN_AFTER);
                continue;
            }
        };
        // Whoever holds connections open keeps others from fetching, and nothing else.
        if connected.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            continue;
        }
        connected.fetch_add(1, Ordering::Relaxed);
        let (registry, connected) = (registry.clone(), Connected(connected.clone()));
        thread::spawn(move || {
            let _connected = connected;
            if let Err(error) = serve(stream, &registry) {
                tracing::debug!(%error, "who fetched metrics was cut off");
            }
        });
    }
}

/// One of those who fetch, for as long as it is there.
struct Connected(Arc<AtomicUsize>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(stream: TcpStream, registry: &Registry) -> io::Result<()> {
    http::serve(stream, |request| {
        let path = request.path.split('?').next().unwrap_or_default();
        match (path, &*request.method) {
            ("/metrics", "GET") => {
                let mut page = String::new();
                match text::encode(&mut page, registry) {
                    Ok(()) => http::reply(200, CONTENT_TYPE, &page),
                    Err(error) => http::reply(500, http::PLAIN, &format!("{error}\n")),
                }
            }
            ("/metrics", _) => http::reply(405, http::PLAIN, "metrics are fetched by GET\n"),
            _ => http::reply(404, http::PLAIN, "only /metrics is here\n"),
        }
    })
}

/// Reads them where they are.
struct Figures {
    answering: Arc<Answering>,
    synced: Synced,
    /// The ledger's folder.
    ledger: PathBuf,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.gateway(&mut page)?;
        let standing = self.answering.standing();
        self.ledger(&mut page, &standing)?;
        witnesses(&mut page, &standing)?;
        copy(&mut page, &standing)
    }
}

/// What one core has counted, by name.
type OfCore = (&'static str, &'static str, fn(&CoreStats) -> u64);

const OF_CORES: [OfCore; 7] = [
    ("log_ins", "Sessions that have begun", |core| core.log_ins),
    ("statements", "Statements that clients have sent", |core| core.statements),
    ("received_bytes", "Bytes of clients' messages", |core| core.received_bytes),
    ("sent_bytes", "Bytes of what clients were sent", |core| core.sent_bytes),
    ("recorded", "Entries that were written before rows left", |core| core.recorded),
    ("recorded_rows", "Rows that these entries are about", |core| core.recorded_rows),
    ("refused", "Statements that were refused", |core| core.refused),
];

impl Figures {
    fn gateway(&self, page: &mut Page<'_>) -> fmt::Result {
        let Self { answering, .. } = self;
        let handle = &answering.handle;
        let stats = handle.stats();
        for (name, help, of) in OF_CORES {
            page.counters(name, help, stats.iter().map(|core| (core.core, of(core))))?;
        }
        page.time("start", "When the gateway started", Some(answering.since))?;
        page.gauge("connections", "Who is connected", handle.sessions().len() as u64)?;
        let suspended = handle.suspended().len() as u64;
        page.gauge("suspended", "Accounts that are suspended", suspended)?;
        let findings = answering.counts.findings() as u64;
        page.counter("findings", "Findings since the gateway started", findings)?;
        let withheld = u64::from(answering.withheld().is_some());
        page.gauge("withheld", "1 while nothing protected is shown", withheld)
    }

    fn ledger(&self, page: &mut Page<'_>, standing: &Standing) -> fmt::Result {
        let Self { answering, synced, ledger } = self;
        page.gauge("ledger_entries", "Entries of the ledger", standing.entries)?;
        // What can't be read now is left out, not said to be nothing.
        if let Ok(bytes) = size(ledger) {
            page.gauge("ledger_size_bytes", "Bytes of segments and dictionary", bytes)?;
        }
        if let Ok(bytes) = answering.space.free() {
            page.gauge("ledger_free_bytes", "Bytes that are free on the ledger's disk", bytes)?;
        }
        let queued = answering.ledger.queued() as u64;
        page.gauge("ledger_queue", "What waits to be recorded", queued)?;
        page.time("ledger_synced", "When entries became durable last", synced.last())
    }
}

/// Promise 3's state.
fn witnesses(page: &mut Page<'_>, standing: &Standing) -> fmt::Result {
    let witnessed = standing.witnessed.unwrap_or(0);
    page.gauge("ledger_witnessed_entries", "Entries that witnesses have seen", witnessed)?;
    let unwitnessed = standing.entries.saturating_sub(witnessed);
    page.gauge("ledger_unwitnessed_entries", "Entries that they have not seen", unwitnessed)?;
    let since = standing.unwitnessed_since;
    page.time("ledger_unwitnessed_since", "Since when there are such", since)?;
    let troubles = standing.witness_troubles.len() as u64;
    page.gauge("ledger_witness_troubles", "What kept witnesses from cosigning", troubles)?;
    let waiting = standing.waiting as u64;
    page.gauge("ledger_waiting_for_witness", "Results that wait for witnesses", waiting)
}

/// How far the second copy is, if there is to be one.
fn copy(page: &mut Page<'_>, standing: &Standing) -> fmt::Result {
    let Some(copied) = &standing.copied else { return Ok(()) };
    let in_step = u64::from(copied.copying == Copying::InStep);
    page.gauge("ledger_copy_in_step", "1 while the second copy is told at once", in_step)?;
    page.time("ledger_copy_since", "Since when that is so", Some(copied.since))?;
    page.gauge("ledger_copy_behind_entries", "Entries that it is not known to have", copied.behind)
}

/// How many bytes a ledger takes, wherever its segments are.
fn size(ledger: &Path) -> io::Result<u64> {
    let length = |path: PathBuf| Ok(std::fs::metadata(path)?.len());
    let entry = |entry: io::Result<DirEntry>| length(entry?.path());
    let segments = std::fs::read_dir(ledger.join("segments"))?.map(entry);
    segments
        .sum::<io::Result<u64>>()
        .and_then(|sum| Ok(sum + length(ledger.join("dictionary.log"))?))
}

/// What is written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn described(
        &mut self,
        (name, help): (&str, &str),
        kind: MetricType,
        values: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        values(self.0.encode_descriptor(name, help, None, kind)?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.described((name, help), MetricType::Gauge, |encoder| {
            ConstGauge::new(value).encode(encoder)
        })
    }

    /// A moment, which is not there while there is none.
    fn time(&mut self, name: &str, help: &str, time: Option<Timestamp>) -> fmt::Result {
        let Some(time) = time else { return Ok(()) };
        let name = format!("{name}_timestamp_seconds");
        let seconds = time.0 as f64 / 1e6;
        self.described((&name, help), MetricType::Gauge, |encoder| {
            ConstGauge::new(seconds).encode(encoder)
        })
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.described((name, help), MetricType::Counter, |encoder| {
            ConstCounter::new(value).encode(encoder)
        })
    }

    /// One for each core.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (usize, u64)>,
    ) -> fmt::Result {
        self.described((name, help), MetricType::Counter, |mut encoder| {
            for (core, value) in values {
                ConstCounter::new(value).encode(encoder.encode_family(&[("core", core)])?)?;
            }
            Ok(())
        })
    }
}
