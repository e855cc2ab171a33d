//! Keeps the catalogue and the readings of reasons up to date, on one thread for all cores.

use std::{
    ops::Deref,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postern_model::Clock;
use postern_session::TableSettings;
use postern_sql::{Catalogue, Identities, ProtectedTable, SNAPSHOT_SQL};
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_postgres::{Client, Connection, NoTls, tls::NoTlsStream};

use crate::{
    Settings, Upstream,
    freshness::{Looked, Present, Probe, ProofRequest},
    measured::Measured,
    reasons::{READ_EVERY, Reader, Reasons, Request},
    regime::FirstRead,
    upstream::{self, BoxedStream, ConnectError},
};

/// How often the catalogue is looked at while nobody asks for a proof.
const CATALOGUE_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before a lost connection is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// What the server may say to the keeper at once: the whole catalogue is one message, about a
/// kilobyte for each table.
const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What takes longer on the keeper's connection has failed, and nobody waits longer for it.
pub(crate) const QUERY_MAX: Duration = Duration::from_secs(5);
/// So long may the catalogue be read: it takes a second for some thousand tables where nothing
/// else is at work.
pub(crate) const READ_MAX: Duration = Duration::from_secs(60);

/// For how many actors who have to be read the others wait.
const ASKED_MAX: usize = 256;

/// What the keeper works with.
pub(crate) struct Keeper {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reasons: Reasons,
    pub(crate) requests: mpsc::UnboundedReceiver<Request>,
    pub(crate) catalogue: watch::Sender<Option<Present>>,
    pub(crate) proofs: mpsc::UnboundedReceiver<ProofRequest>,
    pub(crate) looked: Arc<Looked>,
    /// Held for one look.
    pub(crate) identities: Arc<Mutex<Identities>>,
    /// The protected tables of the configuration that they were remembered under, up to the first
    /// reading.
    pub(crate) tables_before: Option<Vec<TableSettings>>,
    /// Told of the first reading, or that there is none, which is the end then.
    pub(crate) first_read: Option<FirstRead>,
    /// Of the last catalogue that was read.
    pub(crate) generation: u64,
}

#[derive(Debug, Error)]
pub(crate) enum KeepError {
    #[error("the database server can't be used")]
    Database(#[from] tokio_postgres::Error),
    #[error("no connection to the database server")]
    Connect(#[from] ConnectError),
    #[error("the query of reason `{reason}` is not accepted by the database server")]
    Reason { reason: Arc<str>, source: tokio_postgres::Error },
    /// The server's own words can hold the value at which a condition failed.
    #[error("the query of reason `{reason}` fails: {what}")]
    Reading { reason: Arc<str>, what: String },
    #[error("the catalogue can't be understood")]
    Catalogue(#[from] postern_sql::CatalogueError),
    #[error("the database server closed the connection")]
    Closed,
    #[error("the database server does not answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
}

impl Keeper {
    /// Runs until nobody reads the catalogue any more.
    pub(crate) async fn run(mut self) {
        loop {
            let error = match self.keep().await {
                Ok(()) => return,
                Err(error) => error,
            };
            if let Some(first_read) = self.first_read.take() {
                // Whoever does not wait any more has given it up.
                let _ = first_read.send(Err(error));
                return;
            }
            // What the old one says may not be true any more, so that nothing is judged by it.
            self.catalogue.send_replace(None);
            self.looked.saw(None, self.generation);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no statement of a judged role runs until the database can be read again"
            );
            if self.catalogue.is_closed() {
                return;
            }
            declining(&mut self.proofs, tokio::time::sleep(RETRY_AFTER)).await;
        }
    }

    async fn keep(&mut self) -> Result<(), KeepError> {
        let settings = self.settings.clone();
        let start = async {
            let reading = timeout(QUERY_MAX, connect(&settings.upstream)).await??;
            let probing = timeout(QUERY_MAX, connect(&settings.upstream)).await??;
            let (probe, read) = timeout(READ_MAX, Probe::begin(&probing)).await??;
            let clock = self.clock.clone();
            Ok::<_, KeepError>((reading, probing, probe, read, clock))
        };
        let (reading, probing, mut probe, read, clock) = declining(&mut self.proofs, start).await?;
        let prepare = timeout(QUERY_MAX, Reader::prepare(&reading, &settings.reasons, &*clock));
        let mut reader = declining(&mut self.proofs, prepare).await??;
        declining(&mut self.proofs, timeout(QUERY_MAX, reader.try_all())).await??;
        if let Some(before) = self.tables_before.take() {
            let (before, after) = (protected(&before), protected(&settings.tables));
            identities(&self.identities).reconfigured(&read, &before, &after);
        }
        let read = remembering(read, &self.identities, &settings.tables);
        publish(&self.catalogue, &mut self.generation, read);
        self.looked.saw(probe.moment(), self.generation);
        if let Some(first_read) = self.first_read.take() {
            let _ = first_read.send(Ok(()));
        }
        let catalogue = Freshness {
            client: &probing,
            probe: &mut probe,
            proofs: &mut self.proofs,
            looked: &self.looked,
            identities: &self.identities,
            tables: &settings.tables,
            present: &self.catalogue,
            generation: &mut self.generation,
        };
        tokio::select! {
            ended = read_reasons(&mut reader, &self.reasons, &mut self.requests) => ended,
            ended = catalogue.keep() => ended,
            () = self.catalogue.closed() => Ok(()),
        }
    }
}

/// What keeps the catalogue: a connection of its own, so that no proof waits for a reading.
struct Freshness<'a> {
    client: &'a Client,
    probe: &'a mut Probe,
    proofs: &'a mut mpsc::UnboundedReceiver<ProofRequest>,
    present: &'a watch::Sender<Option<Present>>,
    generation: &'a mut u64,
    looked: &'a Looked,
    identities: &'a Mutex<Identities>,
    tables: &'a [TableSettings],
}

impl Freshness<'_> {
    async fn keep(self) -> Result<(), KeepError> {
        let mut look = tokio::time::interval(CATALOGUE_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut asked = Vec::new();
            tokio::select! {
                request = self.proofs.recv() => {
                    let Some(request) = request else { return Ok(()) };
                    asked.push(request);
                }
                _ = look.tick() => {}
            }
            // The probe begins after all these were asked, so that it answers them all.
            while let Ok(request) = self.proofs.try_recv() {
                asked.push(request);
            }
            let read = {
                let mut changed = pin!(self.probe.changed(self.client));
                if let Ok(read) = timeout(QUERY_MAX, changed.as_mut()).await {
                    read?
                } else {
                    // It is read on, and nobody is kept waiting for it.
                    asked.clear();
                    declining(self.proofs, timeout(READ_MAX, changed)).await??
                }
            };
            if let Some(read) = read {
                let read = remembering(read, self.identities, self.tables);
                publish(self.present, self.generation, read);
            }
            self.looked.saw(self.probe.moment(), *self.generation);
            self.looked.ended();
            for request in asked {
                request.answer(*self.generation);
            }
        }
    }
}

/// What was protected under another name is so still.
fn remembering(read: Catalogue, seen: &Mutex<Identities>, tables: &[TableSettings]) -> Catalogue {
    read.remembering(&mut identities(seen), &protected(tables))
}

fn identities(seen: &Mutex<Identities>) -> MutexGuard<'_, Identities> {
    // Each insertion is whole.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn protected(tables: &[TableSettings]) -> Vec<ProtectedTable<'_>> {
    let protected = tables.iter().map(|table| ProtectedTable {
        schema: &table.schema,
        table: &table.table,
        subject: &table.subject,
        clear: &table.clear,
    });
    protected.collect()
}

/// From now on statements are judged by this catalogue. Readers whose judges knew an equal one
/// keep them.
fn publish(present: &watch::Sender<Option<Present>>, generation: &mut u64, read: Catalogue) {
    *generation += 1;
    let generation = *generation;
    present.send_modify(|present| {
        let same = present.take().filter(|known| known.catalogue.version() == read.version());
        let catalogue = same.map_or_else(|| Arc::new(read), |known| known.catalogue);
        *present = Some(Present { catalogue, generation });
    });
}

/// Does the work; whoever asks for a proof meanwhile is told that there is none.
async fn declining<T>(
    proofs: &mut mpsc::UnboundedReceiver<ProofRequest>,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            // A request that is dropped is answered by that.
            Some(_) = proofs.recv() => {}
        }
    }
}

async fn read_reasons(
    reader: &mut Reader<'_>,
    reasons: &Reasons,
    requests: &mut mpsc::UnboundedReceiver<Request>,
) -> Result<(), KeepError> {
    let mut read_all = tokio::time::interval(READ_EVERY);
    read_all.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            request = requests.recv() => {
                let Some(request) = request else { return Ok(()) };
                let mut asked = vec![request];
                while asked.len() < ASKED_MAX
                    && let Ok(request) = requests.try_recv()
                {
                    asked.push(request);
                }
                timeout(QUERY_MAX, reader.read_asked(reasons, asked)).await??;
            }
            _ = read_all.tick() => {
                timeout(QUERY_MAX, reader.read_all(reasons)).await??;
            }
        }
    }
}

/// A client whose connection goes with it, also where the server still owes an answer: of a server
/// that hangs each new try would leave one behind.
pub(crate) struct Kept {
    client: Client,
    connection: tokio::task::JoinHandle<()>,
}

impl Kept {
    /// Waits until there is no connection any more.
    pub(crate) async fn ended(&mut self) {
        // How it ended makes no difference.
        let _ = (&mut self.connection).await;
    }
}

impl Deref for Kept {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

pub(crate) async fn connect(upstream: &Upstream) -> Result<Kept, KeepError> {
    let (client, connection) = open(upstream).await?;
    let connection = tokio::task::spawn_local(async move {
        // Its end shows in the client's next query.
        let _ = connection.await;
    });
    Ok(Kept { client, connection })
}

/// The catalogue of a database could not be read.
#[derive(Debug, Error)]
#[error("the database's catalogue can't be read")]
pub struct ReadCatalogueError(#[source] KeepError);

/// Reads the catalogue of a database once, as a gateway does all the time.
pub async fn read_catalogue(upstream: &Upstream) -> Result<Catalogue, ReadCatalogueError> {
    let reading = async {
        let (client, connection) = open(upstream).await?;
        tokio::select! {
            read = read(&client) => read,
            ended = connection => Err(ended.err().map_or(KeepError::Closed, KeepError::Database)),
        }
    };
    match timeout(READ_MAX, reading).await {
        Ok(read) => read.map_err(ReadCatalogueError),
        Err(late) => Err(ReadCatalogueError(late.into())),
    }
}

/// A question to the guarded database was not answered.
#[derive(Debug, Error)]
#[error("the database can't be asked")]
pub struct AskError(#[source] KeepError);

/// How long all questions of one visit may take.
const VISIT_MAX: Duration = Duration::from_secs(60);

/// Lets somebody ask the guarded database, as the gateway's own account does.
///
/// # Errors
/// [`AskError`] where there is no connection, and what the visitor makes of an error.
pub async fn ask<T>(
    upstream: &Upstream,
    visit: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
) -> Result<T, AskError> {
    let visiting = async {
        let (client, connection) = open(upstream).await?;
        tokio::select! {
            answer = visit(&client) => Ok(answer?),
            ended = connection => Err(ended.err().map_or(KeepError::Closed, KeepError::Database)),
        }
    };
    match timeout(VISIT_MAX, visiting).await {
        Ok(answer) => answer.map_err(AskError),
        Err(late) => Err(AskError(late.into())),
    }
}

pub(crate) async fn read(client: &Client) -> Result<Catalogue, KeepError> {
    let row = client.query_one(SNAPSHOT_SQL, &[]).await?;
    Ok(Catalogue::from_json(row.try_get(0)?)?)
}

async fn open(
    upstream: &Upstream,
) -> Result<(Client, Connection<BoxedStream, NoTlsStream>), KeepError> {
    let mut config = tokio_postgres::Config::new();
    config.user(&upstream.user).dbname(&upstream.database).application_name("postern").options(
        "-c search_path=pg_catalog -c statement_timeout=5s -c client_min_messages=error \
             -c default_transaction_isolation=read\\ committed",
    );
    if let Some(password) = &upstream.password {
        config.password(password.expose());
    }
    let stream = upstream::open(upstream).await?;
    let stream: BoxedStream = Box::new(Measured::new(stream, MESSAGE_BYTES_MAX));
    // TLS, where it is wanted, is a matter of the stream.
    Ok(config.connect_raw(stream, NoTls).await?)
}
