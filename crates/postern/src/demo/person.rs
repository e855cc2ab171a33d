//! A person at their tool: a real client, over a connection whose every byte is kept.

use std::net::SocketAddr;

use anyhow::Context as _;
use postern_model::Secret;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage, config::SslMode};

use super::tee::Tee;

/// Somebody who is logged in.
#[derive(Debug)]
pub(super) struct Person {
    client: Client,
    tee: Tee,
    connection: JoinHandle<Result<(), Error>>,
}

/// A result as text.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// Everybody's password in the demo.
pub(super) fn password(actor: &str) -> Secret<String> {
    Secret::new(format!("{actor}-in-the-demo"))
}

impl Person {
    /// Logs in through the gateway. The inner result is the server's answer.
    pub(super) async fn log_in(
        gateway: SocketAddr,
        actor: &str,
    ) -> anyhow::Result<Result<Self, Error>> {
        let tee = Tee::start(gateway).await.context("can't listen for a recording client")?;
        let mut config = Config::new();
        config.host("127.0.0.1").port(tee.port()).ssl_mode(SslMode::Disable);
        config.user(actor).password(password(actor).expose()).dbname("support");
        config.application_name("postern demo");
        Ok(match config.connect(NoTls).await {
            Ok((client, connection)) => {
                Ok(Self { client, tee, connection: tokio::spawn(connection) })
            }
            Err(error) => Err(error),
        })
    }

    /// Runs SQL by the simple protocol.
    pub(super) async fn run(&self, sql: &str) -> Result<Rows, Error> {
        let messages = self.client.simple_query(sql).await?;
        let rows = messages.into_iter().filter_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        });
        Ok(rows.collect())
    }

    /// Runs SQL by the extended protocol; the columns must be text.
    pub(super) async fn ask(&self, sql: &str, parameter: &str) -> Result<Rows, Error> {
        let rows = self.client.query(sql, &[&parameter]).await?;
        let row = |row: &tokio_postgres::Row| (0..row.len()).map(|c| row.try_get(c)).collect();
        rows.iter().map(row).collect()
    }

    /// What the client was sent since some number of bytes.
    pub(super) fn received_since(&self, bytes: usize) -> Vec<u8> {
        self.tee.received().split_off(bytes)
    }

    /// How many bytes the client was sent.
    pub(super) fn received_len(&self) -> usize {
        self.tee.len()
    }

    /// Whether the connection was ended.
    pub(super) fn is_cut(&self) -> bool {
        self.client.is_closed() || self.connection.is_finished()
    }
}

/// An error as a person reads it: what the server said, with its SQLSTATE.
pub(super) fn said(error: &Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => error.to_string(),
    }
}
