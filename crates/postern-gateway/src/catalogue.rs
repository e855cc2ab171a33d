//! Keeps the catalogue and the readings of reasons up to date, on one thread for all cores.

use std::{sync::Arc, time::Duration};

use postern_model::Clock;
use postern_sql::{Catalogue, SNAPSHOT_SQL};
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_postgres::{Client, Connection, NoTls, tls::NoTlsStream};

use crate::{
    Settings, Upstream,
    reasons::{READ_EVERY, Reader, Reasons, Request},
    upstream::{self, BoxedStream, ConnectError},
};

/// How often the catalogue is read.
const CATALOGUE_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before a lost connection is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// What takes longer on the keeper's connection has failed.
const QUERY_MAX: Duration = Duration::from_secs(5);

/// What the keeper works with.
pub(crate) struct Keeper {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reasons: Reasons,
    pub(crate) requests: mpsc::UnboundedReceiver<Request>,
    pub(crate) catalogue: watch::Sender<Option<Arc<Catalogue>>>,
}

#[derive(Debug, Error)]
enum KeepError {
    #[error("the database server can't be used")]
    Database(#[from] tokio_postgres::Error),
    #[error("no connection to the database server")]
    Connect(#[from] ConnectError),
    #[error("the query of reason `{reason}` is not accepted by the database server")]
    Reason { reason: Arc<str>, source: tokio_postgres::Error },
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
            // What the old one says may not be true any more, so that nothing is judged by it.
            self.catalogue.send_replace(None);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no statement of a judged role runs until the database can be read again"
            );
            if self.catalogue.is_closed() {
                return;
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn keep(&mut self) -> Result<(), KeepError> {
        let client = timeout(QUERY_MAX, self.connect()).await??;
        timeout(QUERY_MAX, self.read_catalogue(&client)).await??;
        let (settings, clock) = (self.settings.clone(), self.clock.clone());
        let reader = Reader::prepare(&client, &settings.reasons, &*clock).await;
        let reader = reader.map_err(|(reason, source)| KeepError::Reason { reason, source })?;
        let mut read_reasons = tokio::time::interval(READ_EVERY);
        read_reasons.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut read_catalogue = tokio::time::interval(CATALOGUE_EVERY);
        read_catalogue.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                request = self.requests.recv() => {
                    let Some(request) = request else { return Ok(()) };
                    let mut asked = vec![request];
                    while let Ok(request) = self.requests.try_recv() {
                        asked.push(request);
                    }
                    let read = reader.read_asked(&self.reasons, asked);
                    timeout(QUERY_MAX, read).await??;
                }
                _ = read_reasons.tick() => {
                    let read = reader.read_all(&self.reasons);
                    timeout(QUERY_MAX, read).await??;
                }
                _ = read_catalogue.tick() => {
                    timeout(QUERY_MAX, self.read_catalogue(&client)).await??;
                }
                () = self.catalogue.closed() => return Ok(()),
            }
        }
    }

    async fn connect(&self) -> Result<Client, KeepError> {
        let (client, connection) = open(&self.settings.upstream).await?;
        tokio::task::spawn_local(async move {
            // Its end shows in the client's next query.
            let _ = connection.await;
        });
        Ok(client)
    }

    /// Replaces the catalogue if it has changed.
    async fn read_catalogue(&self, client: &Client) -> Result<(), KeepError> {
        let read = read(client).await?;
        self.catalogue.send_if_modified(|present| {
            let changed =
                present.as_ref().is_none_or(|present| present.version() != read.version());
            if changed {
                *present = Some(Arc::new(read));
            }
            changed
        });
        Ok(())
    }
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
    match timeout(QUERY_MAX, reading).await {
        Ok(read) => read.map_err(ReadCatalogueError),
        Err(late) => Err(ReadCatalogueError(late.into())),
    }
}

async fn read(client: &Client) -> Result<Catalogue, KeepError> {
    let row = client.query_one(SNAPSHOT_SQL, &[]).await?;
    Ok(Catalogue::from_json(row.try_get(0)?)?)
}

async fn open(
    upstream: &Upstream,
) -> Result<(Client, Connection<BoxedStream, NoTlsStream>), KeepError> {
    let mut config = tokio_postgres::Config::new();
    config
        .user(&upstream.user)
        .dbname(&upstream.database)
        .application_name("postern")
        .options("-c search_path=pg_catalog -c statement_timeout=5s");
    if let Some(password) = &upstream.password {
        config.password(password.expose());
    }
    let stream = upstream::open(upstream).await?;
    // TLS, where it is wanted, is a matter of the stream.
    Ok(config.connect_raw(stream, NoTls).await?)
}
