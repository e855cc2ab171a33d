//! Connections to the guarded server under the gateway's own account.

use std::{io, time::Duration};

use bytes::BytesMut;
use postern_model::Secret;
use postern_wire::{
    Authentication, Backend, Frame, FrameError, FrameReader, MessageError, ReportFields, SqlState,
    encode,
};
use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
};
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use crate::{Upstream, UpstreamHost, registry::CancelKey};

#[cfg(test)]
mod tests;

/// Both directions of a connection, whatever carries it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(crate) type BoxedStream = Box<dyn Stream>;

/// The next message from the other side; an error where it ends before.
pub(crate) async fn frame<E: From<io::Error> + From<FrameError>>(
    stream: &mut BoxedStream,
    buffer: &mut BytesMut,
    reader: &FrameReader,
) -> Result<Frame, E> {
    loop {
        if let Some(frame) = reader.next(buffer)? {
            return Ok(frame);
        }
        fill(stream, buffer).await?;
    }
}

/// Reads what is there, at least a byte.
pub(crate) async fn fill(stream: &mut BoxedStream, buffer: &mut BytesMut) -> io::Result<()> {
    if stream.read_buf(buffer).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Why there is no connection to the server.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("can't reach the database server")]
    Io(#[from] io::Error),
    #[error("the database server sent a malformed message")]
    Frame(#[from] FrameError),
    #[error("the database server sent a malformed message")]
    Message(#[from] MessageError),
    #[error("a message to the database server can't be made")]
    Encode(#[from] encode::EncodeError),
    #[error("the database server refused the gateway with {sqlstate}: {message}")]
    Refused { sqlstate: SqlState, message: String },
    #[error("the database server wants a password and none is configured")]
    NoPassword,
    #[error("the database server asks for an authentication that is not known")]
    Authentication,
    #[error("the database server does not prove that it knows the password")]
    Scram(#[source] io::Error),
    #[error("the database server leaves the proof that it knows the password unfinished")]
    Unproven,
    #[error("the database server does not speak TLS")]
    NoTls,
    #[error("the TLS handshake with the database server failed")]
    Tls(#[source] io::Error),
    #[error("`{0}` is not a server name for TLS")]
    ServerName(String),
    #[error("the database server sent something that was not expected")]
    Unexpected,
    #[error("the database server says more than {START_BYTES_MAX} bytes before it is ready")]
    TooMuch,
}

/// What a server says before it is ready is short: some settings, perhaps a notice. One that never
/// ends is not listened to for longer.
const START_BYTES_MAX: usize = 1024 * 1024;

/// A connection that is ready for queries.
pub(crate) struct Connected {
    pub(crate) stream: BoxedStream,
    /// What the server has said after being ready, if anything.
    pub(crate) buffer: BytesMut,
    pub(crate) cancel: CancelKey,
    /// ParameterStatus messages of the start, by name and value.
    pub(crate) parameters: Vec<(String, String)>,
}

/// Opens a connection with these start-up parameters beside user and database.
pub(crate) async fn connect(
    upstream: &Upstream,
    parameters: &[(&str, &str)],
    message_bytes_max: usize,
) -> Result<Connected, ConnectError> {
    let mut stream = open(upstream).await?;
    let mut all = vec![("user", &*upstream.user), ("database", &*upstream.database)];
    all.extend_from_slice(parameters);
    let mut out = BytesMut::new();
    encode::startup(&mut out, 0, &all)?;
    stream.write_all(&out).await?;
    let reader = FrameReader::new(message_bytes_max.min(START_BYTES_MAX));
    let mut start = Start { stream, buffer: BytesMut::new(), reader, heard_bytes: 0 };
    start.authenticate(upstream).await?;
    start.until_ready().await
}

pub(crate) async fn open(upstream: &Upstream) -> Result<BoxedStream, ConnectError> {
    let stream = match &upstream.host {
        UpstreamHost::Unix { folder, port } => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            return Ok(Box::new(UnixStream::connect(path).await?));
        }
        UpstreamHost::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            (stream, host)
        }
    };
    let (mut stream, host) = stream;
    let Some(tls) = &upstream.tls else { return Ok(Box::new(stream)) };
    let mut out = BytesMut::new();
    encode::ssl_request(&mut out);
    stream.write_all(&out).await?;
    if stream.read_u8().await? != b'S' {
        return Err(ConnectError::NoTls);
    }
    let name =
        ServerName::try_from(host.clone()).map_err(|_| ConnectError::ServerName(host.clone()))?;
    let connector = tokio_rustls::TlsConnector::from(tls.clone());
    Ok(Box::new(connector.connect(name, stream).await.map_err(ConnectError::Tls)?))
}

struct Start {
    stream: BoxedStream,
    buffer: BytesMut,
    reader: FrameReader,
    /// Of all messages so far.
    heard_bytes: usize,
}

impl Start {
    async fn frame(&mut self) -> Result<Frame, ConnectError> {
        let frame: Result<_, ConnectError> =
            frame(&mut self.stream, &mut self.buffer, &self.reader).await;
        let frame = frame?;
        self.heard_bytes += frame.raw().len();
        if self.heard_bytes > START_BYTES_MAX {
            return Err(ConnectError::TooMuch);
        }
        Ok(frame)
    }

    async fn send(&mut self, out: &BytesMut) -> Result<(), ConnectError> {
        Ok(self.stream.write_all(out).await?)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else comes is refused")]
    async fn authenticate(&mut self, upstream: &Upstream) -> Result<(), ConnectError> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            let frame = self.frame().await?;
            let mut out = BytesMut::new();
            match Backend::parse(&frame)? {
                // Who has begun to prove that they know the password has to end it.
                Backend::Authentication(kind)
                    if scram.is_some()
                        && !matches!(
                            kind,
                            Authentication::SaslContinue(_) | Authentication::SaslFinal(_)
                        ) =>
                {
                    return Err(ConnectError::Unproven);
                }
                Backend::Authentication(Authentication::Ok) => return Ok(()),
                Backend::Authentication(Authentication::CleartextPassword) => {
                    encode::password(&mut out, password(upstream)?.expose())?;
                }
                Backend::Authentication(Authentication::Md5Password { salt }) => {
                    let password = password(upstream)?.expose().as_bytes();
                    let hash = md5_hash(upstream.user.as_bytes(), password, salt);
                    encode::password(&mut out, &hash)?;
                }
                Backend::Authentication(Authentication::Sasl { mechanisms }) => {
                    if !mechanisms.contains(&SCRAM_SHA_256) {
                        return Err(ConnectError::Authentication);
                    }
                    let password = password(upstream)?.expose().as_bytes();
                    let client = ScramSha256::new(password, ChannelBinding::unsupported());
                    encode::sasl_initial_response(&mut out, SCRAM_SHA_256, client.message())?;
                    scram = Some(client);
                }
                Backend::Authentication(Authentication::SaslContinue(data)) => {
                    let client = scram.as_mut().ok_or(ConnectError::Unexpected)?;
                    client.update(data).map_err(ConnectError::Scram)?;
                    encode::sasl_response(&mut out, client.message())?;
                }
                Backend::Authentication(Authentication::SaslFinal(data)) => {
                    let mut client = scram.take().ok_or(ConnectError::Unexpected)?;
                    client.finish(data).map_err(ConnectError::Scram)?;
                    continue;
                }
                Backend::ErrorResponse(fields) => return Err(refused(&fields)),
                Backend::NoticeResponse(_) => continue,
                _ => return Err(ConnectError::Authentication),
            }
            self.send(&out).await?;
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else comes is refused")]
    async fn until_ready(mut self) -> Result<Connected, ConnectError> {
        let mut parameters = Vec::new();
        let mut cancel = CancelKey { process_id: 0, secret: Vec::new() };
        loop {
            let frame = self.frame().await?;
            match Backend::parse(&frame)? {
                Backend::ParameterStatus { name, value } => {
                    parameters.push((name.to_owned(), value.to_owned()));
                }
                Backend::BackendKeyData { process_id, secret } => {
                    cancel = CancelKey { process_id, secret: secret.to_vec() };
                }
                Backend::ReadyForQuery(_) => {
                    let Self { stream, buffer, .. } = self;
                    return Ok(Connected { stream, buffer, cancel, parameters });
                }
                Backend::NoticeResponse(_) => {}
                Backend::ErrorResponse(fields) => return Err(refused(&fields)),
                _ => return Err(ConnectError::Unexpected),
            }
        }
    }
}

fn password(upstream: &Upstream) -> Result<&Secret<String>, ConnectError> {
    upstream.password.as_ref().ok_or(ConnectError::NoPassword)
}

fn refused(fields: &ReportFields<'_>) -> ConnectError {
    let sqlstate = fields.sqlstate().unwrap_or(SqlState::INTERNAL_ERROR);
    let message = fields.message().unwrap_or("no message").to_owned();
    ConnectError::Refused { sqlstate, message }
}

/// How long the delivery of a cancel request may take.
const CANCEL_MAX: Duration = Duration::from_secs(5);

/// Asks the server to cancel what a connection is doing, and waits until it has been told.
pub(crate) async fn cancel(upstream: &Upstream, key: &CancelKey) -> Result<(), ConnectError> {
    match tokio::time::timeout(CANCEL_MAX, deliver_cancel(upstream, key)).await {
        Ok(delivered) => delivered,
        Err(_) => Err(ConnectError::Io(io::ErrorKind::TimedOut.into())),
    }
}

async fn deliver_cancel(upstream: &Upstream, key: &CancelKey) -> Result<(), ConnectError> {
    let mut stream = open(upstream).await?;
    let mut out = BytesMut::new();
    encode::cancel_request(&mut out, key.process_id, &key.secret)?;
    stream.write_all(&out).await?;
    // The server closes once it has sent the signal; nothing is ever answered.
    let mut rest = [0; 16];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
