//! How ledger and follower reach each other: TLS 1.3 with certificates on both sides, or a Unix
//! socket that only the account itself can open. What is said over it is `postern_ledger`'s.

use std::{
    fs, io,
    net::{TcpListener, TcpStream, ToSocketAddrs as _},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use postern_ledger::{Channel, Connect, PeerOptions, WhenLost};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use crate::config;

/// How often the follower is looked for, and asked whether it is there.
const RETRY: Duration = Duration::from_secs(1);

/// Where a follower listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PeerAt {
    Unix(PathBuf),
    Host { host: String, port: u16 },
}

/// PEM files of one side: who it is, and whom it trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerTls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

impl PeerAt {
    /// Reads `unix:PATH` or `HOST:PORT`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            ensure!(!path.is_empty(), "the socket's path is missing");
            return Ok(Self::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':').context("the port is missing")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        ensure!(!host.is_empty(), "the host is missing");
        Ok(Self::Host { host, port: port.parse().context("that is no port")? })
    }

    /// A relative path is one in that folder.
    pub(crate) fn under(self, folder: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(folder.join(path)),
            Self::Host { .. } => self,
        }
    }
}

impl PeerTls {
    fn identity(
        &self,
    ) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, RootCertStore)> {
        let unread = |path: &Path| format!("can't read `{}`", path.display());
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .with_context(|| unread(&self.certificate))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).with_context(|| unread(&self.key))?;
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(&self.ca).with_context(|| unread(&self.ca))? {
            roots.add(root.with_context(|| unread(&self.ca))?)?;
        }
        Ok((chain, key, roots))
    }

    fn client(&self) -> anyhow::Result<ClientConfig> {
        let (chain, key, roots) = self.identity()?;
        Ok(ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?)
    }

    fn server(&self) -> anyhow::Result<ServerConfig> {
        let (chain, key, roots) = self.identity()?;
        let known = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        Ok(ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(known.build()?)
            .with_single_cert(chain, key)?)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// What the ledger is told of its second copy.
pub(crate) fn options(settings: &config::PeerSettings) -> anyhow::Result<PeerOptions> {
    let when_lost = match settings.when_lost {
        config::WhenLost::Stop => WhenLost::Stop,
        config::WhenLost::GoOn => WhenLost::GoOn,
    };
    let patience = settings.patience;
    let connect: Connect = match (&settings.at, &settings.tls) {
        (PeerAt::Unix(path), _) => {
            let path = path.clone();
            Arc::new(move || {
                let stream = UnixStream::connect(&path)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                Ok(Box::new(stream))
            })
        }
        (PeerAt::Host { host, port }, Some(files)) => {
            let tls = Arc::new(files.client().context("the follower can't be reached so")?);
            let name = ServerName::try_from(host.clone()).context("that is no host's name")?;
            let (host, port) = (host.clone(), *port);
            Arc::new(move || {
                let stream = reach(&host, port, patience)?;
                let session = ClientConnection::new(tls.clone(), name.clone());
                let session = session.map_err(io::Error::other)?;
                Ok(Box::new(StreamOwned::new(session, stream)))
            })
        }
        // The configuration was checked; it fails closed should that be wrong.
        (PeerAt::Host { .. }, None) => Arc::new(|| Err(io::ErrorKind::Unsupported.into())),
    };
    Ok(PeerOptions { connect, when_lost, retry: RETRY.min(patience) })
}

/// Tries each address of a host.
fn reach(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                prepare(&stream, patience)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn prepare(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    // A batch is waited for: it must not wait for more to come.
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))
}

/// Where a follower takes connections.
pub(crate) enum Listener {
    Unix(UnixListener, PathBuf),
    Tls(TcpListener, Arc<ServerConfig>),
}

impl Listener {
    pub(crate) fn bind(at: &PeerAt, tls: Option<&PeerTls>) -> anyhow::Result<Self> {
        match (at, tls) {
            (PeerAt::Unix(path), None) => {
                // One that a killed follower left; a living one has the folder's lock.
                if UnixStream::connect(path).is_err() && path.exists() {
                    fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)
                    .with_context(|| format!("can't make the socket `{}`", path.display()))?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                Ok(Self::Unix(listener, path.clone()))
            }
            (PeerAt::Host { host, port }, Some(tls)) => {
                let listener = TcpListener::bind((host.as_str(), *port))
                    .with_context(|| format!("can't listen on {host}:{port}"))?;
                Ok(Self::Tls(listener, Arc::new(tls.server()?)))
            }
            (PeerAt::Unix(_), Some(_)) => anyhow::bail!("over a Unix socket nothing is encrypted"),
            (PeerAt::Host { .. }, None) => anyhow::bail!(
                "the ledger comes here encrypted: give --tls-certificate, --tls-key and --tls-ca"
            ),
        }
    }

    /// Where it listens, as the configuration's `address` has it.
    pub(crate) fn address(&self) -> io::Result<String> {
        match self {
            Self::Unix(_, path) => Ok(format!("unix:{}", path.display())),
            Self::Tls(listener, _) => Ok(listener.local_addr()?.to_string()),
        }
    }

    /// The next connection, of which nothing is known yet.
    pub(crate) fn accept(&self) -> io::Result<Arriving> {
        match self {
            Self::Unix(listener, _) => Ok(Arriving::Unix(listener.accept()?.0)),
            Self::Tls(listener, tls) => Ok(Arriving::Tls(listener.accept()?.0, tls.clone())),
        }
    }
}

/// Somebody who has connected and not said who it is.
pub(crate) enum Arriving {
    Unix(UnixStream),
    Tls(TcpStream, Arc<ServerConfig>),
}

impl Arriving {
    /// What ends it from outside; nothing where only the account itself can connect.
    pub(crate) fn handle(&self) -> Option<TcpStream> {
        match self {
            Self::Unix(_) => None,
            Self::Tls(stream, _) => stream.try_clone().ok(),
        }
    }

    /// Finds out who it is, within that time in all, however slowly it speaks; then it may say
    /// nothing for so long.
    pub(crate) fn greet(
        self,
        within: Duration,
        patience: Duration,
    ) -> io::Result<Box<dyn Channel>> {
        let (mut stream, tls) = match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                return Ok(Box::new(stream));
            }
            Self::Tls(stream, tls) => (stream, tls),
        };
        let until = Instant::now() + within;
        let mut session = ServerConnection::new(tls).map_err(io::Error::other)?;
        prepare(&stream, within)?;
        while session.is_handshaking() {
            if session.wants_write() {
                session.write_tls(&mut stream)?;
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            if session.read_tls(&mut stream)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let read = session.process_new_packets();
            if read.is_err() {
                // It is told why; that it can't be tells nothing new.
                let _ = session.write_tls(&mut stream);
            }
            read.map_err(io::Error::other)?;
        }
        prepare(&stream, patience)?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_socket_or_a_host_and_port() {
        let host = |host: &str| PeerAt::Host { host: host.to_owned(), port: 7500 };
        for (text, expected) in [
            ("unix:/run/f.sock", PeerAt::Unix("/run/f.sock".into())),
            ("ledger2.example.org:7500", host("ledger2.example.org")),
            ("[::1]:7500", host("::1")),
        ] {
            assert_eq!(PeerAt::parse(text).unwrap(), expected, "{text}");
        }
        for wrong in ["", "unix:", "host", ":7500", "host:", "host:port", "host:70000"] {
            PeerAt::parse(wrong).unwrap_err();
        }
    }
}
