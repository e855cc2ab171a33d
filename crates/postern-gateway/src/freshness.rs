//! Proves that the catalogue by which statements were judged is the server's still.
//!
//! A connection asks after the server has answered the statement's first message. One probe that
//! begins after that serves all who have asked by then. Why this leaves no gap, and what it costs:
//! docs/design/catalogue.md.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use postern_session::MOMENT_SQL;
use postern_sql::{Catalogue, VERSION_SQL};
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::{Client, Statement};

use crate::{
    catalogue::{self, KeepError},
    registry::Command,
};

/// The catalogue that statements are judged by.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    pub(crate) catalogue: Arc<Catalogue>,
    /// Counts the changes since the gateway started; what was judged under one is never released
    /// under another, even if the two are equal again.
    pub(crate) generation: u64,
}

/// When a probe last ended. A statement is judged by a catalogue that was looked at a moment ago,
/// so that one that comes after a change is judged by what it finds. No proof rests on this: it
/// only spares clients the error of a proof that fails.
#[derive(Debug)]
pub(crate) struct Looked {
    since: Instant,
    micros: AtomicU64,
    moment: RwLock<Option<Moment>>,
}

/// The generation that the catalogue has wherever the server tells this moment.
#[derive(Debug)]
struct Moment {
    text: String,
    generation: u64,
}

impl Looked {
    /// How old a look may be: less than a client and a change of definitions take between them.
    const AGE_MAX: Duration = Duration::from_millis(2);

    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), micros: AtomicU64::new(0), moment: RwLock::new(None) }
    }

    /// What the last probe saw; `None` where no moment says anything.
    pub(crate) fn saw(&self, text: Option<&str>, generation: u64) {
        let known = |known: &Moment| known.generation == generation && Some(&*known.text) == text;
        let mut moment = self.moment.write().unwrap_or_else(PoisonError::into_inner);
        if !moment.as_ref().is_some_and(known) {
            *moment = text.map(|text| Moment { text: text.to_owned(), generation });
        }
    }

    /// The catalogue's generation at a moment that the server has told, if it is known.
    pub(crate) fn generation(&self, text: &str) -> Option<u64> {
        let moment = self.moment.read().unwrap_or_else(PoisonError::into_inner);
        moment.as_ref().filter(|known| known.text == text).map(|known| known.generation)
    }

    pub(crate) fn ended(&self) {
        self.micros.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn is_recent(&self) -> bool {
        let age = self.now().saturating_sub(self.micros.load(Ordering::Relaxed));
        u128::from(age) < Self::AGE_MAX.as_micros()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// One connection's looks.
#[derive(Debug)]
pub(crate) struct Look {
    /// What is judged hangs on the catalogue.
    needed: bool,
    under_way: bool,
    /// One has ended, for the message that comes next.
    done: bool,
    /// One must begin, whoever has looked since.
    must: bool,
}

/// Whether a message has to wait for a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    No,
    /// One begins now.
    Now,
    /// One is under way.
    UnderWay,
}

impl Look {
    pub(crate) fn new(needed: bool) -> Self {
        Self { needed, under_way: false, done: false, must: false }
    }

    /// For the message that begins with this byte: only one that leads to a statement waits, and
    /// only after a pause in which nobody has looked.
    pub(crate) fn is_due(&mut self, first: Option<&u8>, looked: &Looked) -> Due {
        if self.under_way {
            return Due::UnderWay;
        }
        let done = std::mem::take(&mut self.done);
        if !matches!(first, Some(b'Q' | b'P' | b'B')) {
            return Due::No;
        }
        self.under_way = self.must || self.needed && !done && !looked.is_recent();
        self.must &= !self.under_way;
        if self.under_way { Due::Now } else { Due::No }
    }

    pub(crate) fn must(&mut self) {
        self.must = true;
    }

    pub(crate) fn ended(&mut self) {
        (self.under_way, self.done) = (false, true);
    }
}

/// The number of a look before a statement is judged; a session counts its proofs from 1.
pub(crate) const LOOK: u64 = 0;

/// A connection's wish to know which generation is the present one.
#[derive(Debug)]
pub(crate) struct ProofRequest {
    proof: u64,
    /// Taken when it is answered.
    commands: Option<mpsc::UnboundedSender<Command>>,
}

impl ProofRequest {
    pub(crate) fn new(proof: u64, commands: mpsc::UnboundedSender<Command>) -> Self {
        Self { proof, commands: Some(commands) }
    }

    pub(crate) fn answer(mut self, generation: u64) {
        self.say(Some(generation));
    }

    fn say(&mut self, generation: Option<u64>) {
        if let Some(commands) = self.commands.take() {
            // A connection that has ended meanwhile releases nothing.
            let _ = commands.send(Command::Proven { proof: self.proof, generation });
        }
    }
}

impl Drop for ProofRequest {
    /// Whatever happened to the probe: nothing was proven.
    fn drop(&mut self) {
        self.say(None);
    }
}

/// What a probe compares with.
pub(crate) struct Probe {
    moment: Statement,
    version: Statement,
    /// The transaction snapshot in which the version was last seen; none on a standby.
    seen: Option<String>,
    seen_version: String,
}

impl Probe {
    /// Reads the catalogue, with all that later probes compare with, in one snapshot.
    pub(crate) async fn begin(client: &Client) -> Result<(Self, Catalogue), KeepError> {
        let moment = client.prepare(MOMENT_SQL).await?;
        let version = client.prepare(VERSION_SQL).await?;
        let mut probe = Self { moment, version, seen: None, seen_version: String::new() };
        let catalogue = probe.read(client).await?;
        Ok((probe, catalogue))
    }

    /// The moment at which the catalogue was last seen.
    pub(crate) fn moment(&self) -> Option<&str> {
        self.seen.as_deref()
    }

    /// What is new since the last time; `None` where the catalogue is what it was at some moment
    /// after the beginning of this call.
    pub(crate) async fn changed(
        &mut self,
        client: &Client,
    ) -> Result<Option<Catalogue>, KeepError> {
        if self.seen.is_some() {
            // A connection that does not answer this is given up.
            let asked = timeout(catalogue::QUERY_MAX, client.query_one(&self.moment, &[]));
            let row = asked.await??;
            if row.try_get::<_, Option<String>>(0)? == self.seen {
                return Ok(None);
            }
        }
        let (seen, version) = self.version(client).await?;
        if version == self.seen_version {
            self.seen = seen;
            return Ok(None);
        }
        self.read(client).await.map(Some)
    }

    /// Both texts come from one statement, so from one snapshot: what the first says is equal later
    /// has the second's version.
    async fn version(&self, client: &Client) -> Result<(Option<String>, String), KeepError> {
        let row = client.query_one(&self.version, &[]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// In one transaction with one snapshot, so that the catalogue is that of the version. What a
    /// function within the reading may have looked up later than that belongs to a change that the
    /// next probe finds.
    async fn read(&mut self, client: &Client) -> Result<Catalogue, KeepError> {
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        let (seen, version) = self.version(client).await?;
        let catalogue = catalogue::read(client).await?;
        client.batch_execute("COMMIT").await?;
        (self.seen, self.seen_version) = (seen, version);
        Ok(catalogue)
    }
}
