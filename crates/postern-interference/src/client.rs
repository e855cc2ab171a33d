//! A client that keeps every byte that it is sent.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use postern_wire::{Authentication, Backend, Frame, FrameReader, encode};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

/// Longer than any statement may run.
const PATIENCE: Duration = Duration::from_secs(60);
const MESSAGE_BYTES_MAX: usize = 1 << 28;

/// A logged-in connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

/// All that came for a script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// Message by message, in the bytes that they came in.
    pub frames: Vec<Frame>,
    /// The connection ended before the last answer was complete.
    pub closed: bool,
}

impl Client {
    /// Connects and logs in with a password.
    pub fn connect(
        address: SocketAddr,
        user: &str,
        password: &str,
        database: &str,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).context("cannot connect to the gateway")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, buffer: BytesMut::new() };
        let mut out = BytesMut::new();
        encode::startup(&mut out, 0, &[("user", user), ("database", database)])?;
        client.send(&out)?;
        client.authenticate(password)?;
        Ok(client)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not looked at is skipped")]
    fn authenticate(&mut self, password: &str) -> anyhow::Result<()> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            let Some(frame) = self.frame()? else { bail!("the log-in ended") };
            let mut out = BytesMut::new();
            match Backend::parse(&frame)? {
                Backend::Authentication(Authentication::Sasl { .. }) => {
                    encode::sasl_initial_response(&mut out, "SCRAM-SHA-256", scram.message())?;
                }
                Backend::Authentication(Authentication::SaslContinue(data)) => {
                    scram.update(data)?;
                    encode::sasl_response(&mut out, scram.message())?;
                }
                Backend::Authentication(Authentication::SaslFinal(data)) => scram.finish(data)?,
                Backend::ReadyForQuery(_) => return Ok(()),
                Backend::ErrorResponse(fields) => bail!("not let in: {fields:?}"),
                _ => {}
            }
            self.send(&out)?;
        }
    }

    /// Sends bytes. That the other side is gone is found out when its answer is read.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write_all(bytes) {
            Err(error) if is_closed(&error) => Ok(()),
            done => done,
        }
    }

    /// Reads until the server has been ready so many times, or is gone.
    pub fn read(&mut self, readies: usize) -> io::Result<Transcript> {
        let mut transcript = Transcript::default();
        let mut seen = 0;
        while seen < readies {
            let Some(frame) = self.frame()? else {
                transcript.closed = true;
                return Ok(transcript);
            };
            seen += usize::from(frame.tag() == b'Z');
            transcript.frames.push(frame);
        }
        Ok(transcript)
    }

    fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let next = FrameReader::new(MESSAGE_BYTES_MAX).next(&mut self.buffer);
            if let Some(frame) = next.map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if is_closed(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// What became of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// No error.
    Allowed,
    /// The gateway refused a part of it.
    Refused,
    /// The server raised an error.
    Failed,
    /// It took longer than allowed: nothing is known.
    TimedOut,
    /// The connection was dropped, which no script may bring about.
    Closed,
}

impl Transcript {
    /// What the first error says, if the connection lasted.
    pub fn outcome(&self) -> Outcome {
        if self.closed { Outcome::Closed } else { outcome(&self.frames) }
    }

    /// What became of each step.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let steps = self.frames.split_inclusive(|frame| frame.tag() == b'Z');
        let mut outcomes: Vec<Outcome> = steps.map(outcome).collect();
        if self.closed {
            outcomes.push(Outcome::Closed);
        }
        outcomes
    }

    /// SQLSTATE and text of each error.
    pub fn errors(&self) -> Vec<(String, String)> {
        errors(&self.frames)
    }

    /// How many rows came.
    pub fn rows(&self) -> usize {
        self.frames.iter().filter(|frame| frame.tag() == b'D').count()
    }

    /// Whether these bytes are somewhere in it.
    pub fn contains(&self, needle: &[u8]) -> bool {
        let Some(first) = needle.first() else { return true };
        self.frames.iter().any(|frame| {
            let mut rest = frame.raw().as_ref();
            while let Some(at) = rest.iter().position(|byte| byte == first) {
                if rest[at..].starts_with(needle) {
                    return true;
                }
                rest = &rest[at + 1..];
            }
            false
        })
    }
}

fn outcome(frames: &[Frame]) -> Outcome {
    match errors(frames).first().map(|(code, _)| code.as_str()) {
        None => Outcome::Allowed,
        Some("57014") => Outcome::TimedOut,
        Some("42501") => Outcome::Refused,
        Some(_) => Outcome::Failed,
    }
}

fn errors(frames: &[Frame]) -> Vec<(String, String)> {
    let mut errors = Vec::new();
    for frame in frames.iter().filter(|frame| frame.tag() == b'E') {
        if let Ok(Backend::ErrorResponse(fields)) = Backend::parse(frame) {
            let code = fields.sqlstate().map(|code| code.to_string()).unwrap_or_default();
            errors.push((code, fields.message().unwrap_or_default().to_owned()));
        }
    }
    errors
}
