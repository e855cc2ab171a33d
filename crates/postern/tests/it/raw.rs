//! A client that keeps every byte that it gets, in either protocol.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

use bytes::BytesMut;
use postern_wire::{
    Authentication, Backend, Bind, Execute, Frame, FrameReader, Parse, SqlState, encode,
};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use crate::served::PATIENCE;

const MESSAGE_BYTES_MAX: usize = 1 << 24;
const READ_BYTES: usize = 16 << 10;

/// The password of everybody.
pub(crate) fn password(actor: &str) -> String {
    format!("password of {actor}")
}

/// The database that is guarded.
pub(crate) const DATABASE: &str = "support";

#[derive(Debug)]
pub(crate) struct Raw {
    stream: TcpStream,
    /// What came and was not taken yet.
    buffer: BytesMut,
}

/// Why there is no session, or no longer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The gateway said so.
    Refused(Report),
    /// The connection is gone.
    Gone,
}

/// What an error message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// What came up to ReadyForQuery.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) error: Option<Report>,
}

impl Answer {
    /// The SQLSTATE of the error, or nothing.
    pub(crate) fn sqlstate(&self) -> &str {
        self.error.as_ref().map_or("", |error| &error.sqlstate)
    }
}

impl Raw {
    /// Logs in by the password.
    pub(crate) fn connect(address: SocketAddr, actor: &str) -> Result<Self, End> {
        let stream = TcpStream::connect(address).map_err(|_| End::Gone)?;
        Self::log_in(stream, &[("user", actor), ("database", DATABASE)], &password(actor))
    }

    /// Logs in by a token, from this address of the machine's.
    pub(crate) fn connect_from(
        (address, from): (SocketAddr, Ipv4Addr),
        actor: &str,
        token: &str,
    ) -> Result<Self, End> {
        let stream = connected(address, from).map_err(|_| End::Gone)?;
        let options = "-c postern.sign_in=token";
        let parameters = [("user", actor), ("database", DATABASE), ("options", options)];
        Self::log_in(stream, &parameters, token)
    }

    fn log_in(stream: TcpStream, parameters: &[(&str, &str)], secret: &str) -> Result<Self, End> {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut raw = Self { stream, buffer: BytesMut::new() };
        let mut out = BytesMut::new();
        encode::startup(&mut out, 0, parameters).unwrap();
        raw.send(&out)?;
        let mut scram = ScramSha256::new(secret.as_bytes(), ChannelBinding::unsupported());
        loop {
            let frame = raw.frame().ok_or(End::Gone)?;
            let mut out = BytesMut::new();
            match Backend::parse(&frame).unwrap() {
                Backend::Authentication(Authentication::CleartextPassword) => {
                    encode::password(&mut out, secret).unwrap();
                }
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
                Backend::ErrorResponse(fields) => return Err(End::Refused(report(&fields))),
                _ => {}
            }
            raw.send(&out)?;
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.stream.write_all(bytes).map_err(|_| End::Gone)
    }

    /// Sends a simple query.
    pub(crate) fn send_query(&mut self, sql: &str) -> Result<(), End> {
        let mut out = BytesMut::new();
        encode::query(&mut out, sql).unwrap();
        self.send(&out)
    }

    /// Sends a statement in the extended protocol that is executed in portions of rows.
    pub(crate) fn send_extended(
        &mut self,
        sql: &str,
        parameters: &[String],
        portions: (usize, i32),
    ) -> Result<(), End> {
        let (count, max_rows) = portions;
        let mut out = BytesMut::new();
        encode::parse(&mut out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
        let parameters = parameters.iter().map(|text| Some(text.as_bytes())).collect();
        let bind = Bind {
            portal: "",
            statement: "",
            formats: Vec::new(),
            parameters,
            result_formats: Vec::new(),
        };
        encode::bind(&mut out, &bind).unwrap();
        for _ in 0..count {
            encode::execute(&mut out, &Execute { portal: "", max_rows }).unwrap();
        }
        encode::sync(&mut out);
        self.send(&out)
    }

    /// Runs a simple query to its end; `None` if the connection ends with it.
    pub(crate) fn query(&mut self, sql: &str) -> Option<Answer> {
        self.send_query(sql).ok()?;
        self.answer(|_| ())
    }

    /// Reads up to ReadyForQuery and tells of each row when it is there; `None` if the connection
    /// ends before.
    pub(crate) fn answer(&mut self, mut on_row: impl FnMut(&[String])) -> Option<Answer> {
        let mut answer = Answer::default();
        loop {
            let frame = self.frame()?;
            match Backend::parse(&frame).unwrap() {
                Backend::DataRow(row) => {
                    let text = |cell: Option<&[u8]>| {
                        cell.map_or("NULL".into(), |c| String::from_utf8_lossy(c).into_owned())
                    };
                    let row: Vec<String> = row.cells().map(text).collect();
                    on_row(&row);
                    answer.rows.push(row);
                }
                Backend::ErrorResponse(fields) => answer.error = Some(report(&fields)),
                Backend::ReadyForQuery(_) => return Some(answer),
                _ => {}
            }
        }
    }

    /// What came of a message that is not there as a whole; empty but for a cut connection.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether the gateway ends the connection, with what last word.
    pub(crate) fn end(&mut self) -> Option<Report> {
        let mut last = None;
        while let Some(frame) = self.frame() {
            if let Backend::ErrorResponse(fields) = Backend::parse(&frame).unwrap() {
                last = Some(report(&fields));
            }
        }
        last
    }

    fn frame(&mut self) -> Option<Frame> {
        let mut bytes = [0; READ_BYTES];
        loop {
            let next = FrameReader::new(MESSAGE_BYTES_MAX).next(&mut self.buffer).unwrap();
            if next.is_some() {
                return next;
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(bytes.get(..count).unwrap()),
                Err(error) => {
                    let kind = error.kind();
                    assert_ne!(kind, std::io::ErrorKind::WouldBlock, "no answer in time");
                    return None;
                }
            }
        }
    }
}

fn connected(address: SocketAddr, from: Ipv4Addr) -> rustix::io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketAddrV4, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(from, 0))?;
    connect(&socket, &address)?;
    Ok(socket.into())
}

fn report(fields: &postern_wire::ReportFields<'_>) -> Report {
    Report {
        sqlstate: fields.sqlstate().as_ref().map_or(String::new(), SqlState::to_string),
        message: fields.message().unwrap_or_default().to_owned(),
        hint: fields.field(b'H').unwrap_or_default().to_owned(),
    }
}
