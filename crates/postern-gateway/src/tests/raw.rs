//! A client that sends and sees every byte.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is not looked at is skipped")]

use std::{net::SocketAddr, time::Duration};

use bytes::BytesMut;
use postern_wire::{Authentication, Backend, Bind, Execute, Frame, FrameReader, Parse, encode};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::upstream::BoxedStream;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Raw {
    stream: BoxedStream,
    buffer: BytesMut,
    /// The process that the gateway named for cancel requests.
    pub(super) process_id: i32,
}

/// What came up to ReadyForQuery or the end of the connection.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Vec<String>>,
    pub(super) error: Option<String>,
    /// All that the error says.
    pub(super) said: String,
    /// What was copied, message after message.
    pub(super) copied: Vec<Vec<u8>>,
    pub(super) tags: Vec<String>,
    /// What notices say.
    pub(super) noticed: Vec<String>,
    /// The transaction status; 0 if the connection ended.
    pub(super) status: u8,
}

impl Raw {
    pub(super) async fn connect(
        address: SocketAddr,
        user: &str,
        password: &str,
        database: &str,
    ) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::log_in(Box::new(stream), user, password, database).await
    }

    /// Logs in over a connection that is there.
    pub(super) async fn log_in(
        stream: BoxedStream,
        user: &str,
        password: &str,
        database: &str,
    ) -> Self {
        Self::try_log_in(stream, user, password, database).await.expect("let in")
    }

    /// The same; what is said if it fails.
    pub(super) async fn try_log_in(
        stream: BoxedStream,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Self, String> {
        let mut raw = Self { stream, buffer: BytesMut::new(), process_id: 0 };
        let mut out = BytesMut::new();
        encode::startup(&mut out, 0, &[("user", user), ("database", database)]).unwrap();
        raw.send(&out).await;
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            let frame = raw.frame().await.expect("the log-in ended");
            let mut out = BytesMut::new();
            match Backend::parse(&frame).unwrap() {
                Backend::Authentication(Authentication::Sasl { .. }) => {
                    encode::sasl_initial_response(&mut out, "SCRAM-SHA-256", scram.message())
                        .unwrap();
                }
                Backend::Authentication(Authentication::SaslContinue(data)) => {
                    scram.update(data).unwrap();
                    encode::sasl_response(&mut out, scram.message()).unwrap();
                }
                Backend::Authentication(Authentication::SaslFinal(data)) => {
                    scram.finish(data).unwrap();
                }
                Backend::ReadyForQuery(_) => return Ok(raw),
                Backend::BackendKeyData { process_id, .. } => raw.process_id = process_id,
                Backend::ErrorResponse(fields) => return Err(format!("{:?}", fields.0)),
                _ => {}
            }
            raw.send(&out).await;
        }
    }

    /// What comes up to the end of a log-in that fails, message by message: types, and contents
    /// where they are not random. Nothing is checked of what the server proves.
    pub(super) async fn refusal(address: SocketAddr, user: &str, password: &str) -> Vec<String> {
        let stream: BoxedStream = Box::new(TcpStream::connect(address).await.unwrap());
        let mut raw = Self { stream, buffer: BytesMut::new(), process_id: 0 };
        let mut out = BytesMut::new();
        encode::startup(&mut out, 0, &[("user", user), ("database", "support")]).unwrap();
        raw.send(&out).await;
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let mut said = Vec::new();
        while let Some(frame) = raw.frame().await {
            let mut out = BytesMut::new();
            match Backend::parse(&frame).unwrap() {
                Backend::Authentication(Authentication::Sasl { mechanisms }) => {
                    said.push(format!("{mechanisms:?}"));
                    encode::sasl_initial_response(&mut out, "SCRAM-SHA-256", scram.message())
                        .unwrap();
                }
                Backend::Authentication(Authentication::SaslContinue(data)) => {
                    said.push(format!("challenge of {} bytes", data.len()));
                    scram.update(data).unwrap();
                    encode::sasl_response(&mut out, scram.message()).unwrap();
                }
                Backend::ErrorResponse(fields) => {
                    said.push(format!("{:?}", fields.0).replace(user, "NAME"));
                }
                other => said.push(format!("{other:?}")),
            }
            raw.send(&out).await;
        }
        said
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        // The gateway may have closed: what comes back says so.
        let _ = self.stream.write_all(bytes).await;
    }

    pub(super) async fn send_query(&mut self, sql: &str) {
        let mut out = BytesMut::new();
        encode::query(&mut out, sql).unwrap();
        self.send(&out).await;
    }

    pub(super) async fn query(&mut self, sql: &str) -> Answer {
        self.send_query(sql).await;
        self.answer().await
    }

    pub(super) async fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        while let Some(frame) = self.frame().await {
            match Backend::parse(&frame).unwrap() {
                Backend::DataRow(row) => {
                    let text = |cell: Option<&[u8]>| {
                        cell.map_or("NULL".into(), |c| String::from_utf8_lossy(c).into_owned())
                    };
                    answer.rows.push(row.cells().map(text).collect());
                }
                Backend::ErrorResponse(fields) => {
                    answer.error = fields.sqlstate().map(|code| code.to_string());
                    answer.said = format!("{:?}", fields.0);
                }
                Backend::NoticeResponse(fields) => {
                    answer.noticed.push(fields.message().unwrap_or_default().to_owned());
                }
                Backend::CopyData(data) => answer.copied.push(data.to_vec()),
                Backend::CommandComplete(tag) => answer.tags.push(tag.to_owned()),
                // The server waits for data: what is sent next is the caller's.
                Backend::CopyInResponse(_) => return answer,
                Backend::ReadyForQuery(status) => {
                    answer.status = status.as_byte();
                    break;
                }
                _ => {}
            }
        }
        answer
    }

    /// What came up to the first row; the rest is left.
    pub(super) async fn first_row(&mut self) -> Answer {
        let mut answer = Answer::default();
        while let Some(frame) = self.frame().await {
            if let Backend::DataRow(row) = Backend::parse(&frame).unwrap() {
                let text = |cell: Option<&[u8]>| {
                    cell.map_or("NULL".into(), |c| String::from_utf8_lossy(c).into_owned())
                };
                answer.rows.push(row.cells().map(text).collect());
                break;
            }
        }
        answer
    }

    /// Says goodbye in the way of sockets, and listens on.
    pub(super) async fn sends_no_more(&mut self) {
        // The gateway may have closed already.
        let _ = self.stream.shutdown().await;
    }

    /// All that comes up to the end of the connection, as it is.
    pub(super) async fn all(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.buffer).to_vec();
        let read = self.stream.read_to_end(&mut all);
        // A connection that is reset has ended, too.
        let _ = tokio::time::timeout(PATIENCE, read).await.expect("no end in time");
        all
    }

    /// Whether the gateway has closed the connection, or does so soon.
    pub(super) async fn is_closed(&mut self) -> bool {
        self.frame().await.is_none()
    }

    async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = FrameReader::new(1 << 24).next(&mut self.buffer).unwrap() {
                return Some(frame);
            }
            let read = self.stream.read_buf(&mut self.buffer);
            match tokio::time::timeout(PATIENCE, read).await.expect("no answer in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// A statement by the extended protocol, without a Sync.
pub(super) fn run(out: &mut BytesMut, sql: &str, parameter: Option<&str>) {
    encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
    let bind = Bind {
        portal: "",
        statement: "",
        formats: Vec::new(),
        parameters: parameter.iter().map(|text| Some(text.as_bytes())).collect(),
        result_formats: Vec::new(),
    };
    encode::bind(out, &bind).unwrap();
    encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
}
