//! HTTP/1.1 around the directory: who may ask, how much, and for how long.
//!
//! Whoever does not show a known token is answered before anything of their body is read. One
//! thread serves all connections; what a request changes is done one after the other on another,
//! since it waits for the disk.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderName, LOCATION, WWW_AUTHENTICATE,
    },
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{
    directory::Directory,
    error::{Kind, ScimError},
    query::Query,
    resource::Resources,
    schema,
    token::{TokenHash, bearer, is_known},
};

mod door;
#[cfg(test)]
mod tests;

use self::door::{Door, Pass};

/// Where everything is below.
const PREFIX: &str = "/scim/v2";
/// The longest body.
const BODY_BYTES_MAX: usize = 1 << 20;
/// All fields of a request's head together.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How long a connection may take to show a token, and how long a head or a body may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may last.
const CONNECTION_MAX: Duration = Duration::from_secs(600);

const JSON: &str = "application/scim+json";

/// Why it does not serve.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("can't listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("can't start a thread")]
    Thread(#[source] io::Error),
}

/// Where and how the directory connects.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Without it nothing is encrypted: for loopback addresses only, which is the caller's to see.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// Who may ask.
pub trait Tokens: Send + Sync {
    /// The hashes of the tokens that are taken now; with none nobody may.
    fn known(&self) -> Vec<TokenHash>;

    /// Somebody was refused.
    fn refused(&self, from: IpAddr, why: &str);
}

/// A directory that is served until this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Serving {
    directory: Mutex<Directory>,
    tokens: Arc<dyn Tokens>,
    is_encrypted: bool,
}

type Answer = Response<Full<Bytes>>;

impl Server {
    /// Binds the address and serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        settings: ServerSettings,
        directory: Directory,
        tokens: Arc<dyn Tokens>,
    ) -> Result<Self, StartError> {
        let at = |source| StartError::Listen { address: settings.listen, source };
        let listener = std::net::TcpListener::bind(settings.listen).map_err(at)?;
        listener.set_nonblocking(true).map_err(at)?;
        let address = listener.local_addr().map_err(at)?;
        let (stop, stopped) = oneshot::channel();
        let is_encrypted = settings.tls.is_some();
        let directory = Mutex::new(directory);
        let serving = Arc::new(Serving { directory, tokens, is_encrypted });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, settings.tls, serving) => {}
                    _ = stopped => {}
                }
            });
            // What is being kept is kept: dropping the runtime waits for it.
        };
        let thread = thread::Builder::new()
            .name("postern-scim".to_owned())
            .spawn(serve)
            .map_err(StartError::Thread)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where the directory connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the SCIM endpoint has panicked");
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    serving: Arc<Serving>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the SCIM endpoint can't be served"),
    };
    let acceptor = tls.map(tokio_rustls::TlsAcceptor::from);
    let mut door = Door::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(%error, "a connection to the SCIM endpoint could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, serving) = (acceptor.clone(), serving.clone());
        let pass = door.pass();
        let mark = pass.mark();
        let served = greet(stream, from, acceptor, (serving, pass));
        let known = mark.clone();
        let task = tokio::spawn(async move {
            let nobody = async {
                tokio::time::sleep(PATIENCE).await;
                if known.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = nobody => tracing::info!(%from, "no token was shown to the SCIM endpoint"),
                served = tokio::time::timeout(CONNECTION_MAX, served) => if served.is_err() {
                    tracing::info!(%from, "a connection of the directory has lasted long enough");
                },
            }
        });
        door.admit(from.ip(), mark, task.abort_handle());
    }
}

async fn greet(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
    serving: (Arc<Serving>, Pass),
) {
    // It is only faster with it.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else { return serve(stream, from, serving).await };
    match acceptor.accept(stream).await {
        Ok(stream) => serve(stream, from, serving).await,
        Err(error) => tracing::info!(%from, %error, "a TLS handshake has failed"),
    }
}

async fn serve<S>(stream: S, from: SocketAddr, (serving, pass): (Arc<Serving>, Pass))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // One request of a connection is served after the other.
    let pass = Arc::new(tokio::sync::Mutex::new(pass));
    let service = service_fn(move |request| {
        let (serving, pass) = (serving.clone(), pass.clone());
        async move { Ok::<_, Infallible>(serving.answer(request, from, &pass).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%from, %error, "a connection to the SCIM endpoint has failed");
    }
}

/// What is asked for, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    All(Resources),
    One(Resources, String),
    Search(Vec<Resources>),
    Config,
    ResourceTypes(Option<String>),
    Schemas(Option<String>),
    Me,
}

impl Target {
    fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix(PREFIX)?.strip_prefix('/')?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let (first, rest) = match path.split_once('/') {
            Some((first, rest)) => (first, Some(rest.to_owned())),
            None => (path, None),
        };
        let resources = match first {
            "Users" => Resources::Users,
            "Groups" => Resources::Groups,
            "ServiceProviderConfig" if rest.is_none() => return Some(Self::Config),
            "ResourceTypes" => return Some(Self::ResourceTypes(rest)),
            "Schemas" => return Some(Self::Schemas(rest)),
            "Me" if rest.is_none() => return Some(Self::Me),
            ".search" if rest.is_none() => {
                return Some(Self::Search(vec![Resources::Users, Resources::Groups]));
            }
            _ => return None,
        };
        Some(match rest {
            None => Self::All(resources),
            Some(rest) if rest == ".search" => Self::Search(vec![resources]),
            Some(rest) if rest.contains('/') => return None,
            Some(id) => Self::One(resources, id),
        })
    }

    /// Whether that method can be used on it.
    fn takes(&self, method: &Method) -> bool {
        let methods: &[Method] = match self {
            Self::All(_) => &[Method::GET, Method::POST],
            Self::One(..) => &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE],
            Self::Search(_) => &[Method::POST],
            Self::Config | Self::ResourceTypes(_) | Self::Schemas(_) => &[Method::GET],
            Self::Me => &[],
        };
        methods.contains(method)
    }
}

impl Serving {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        from: SocketAddr,
        pass: &tokio::sync::Mutex<Pass>,
    ) -> Answer {
        let answered = match self.admits(&request, from.ip()) {
            Ok(()) => {
                pass.lock().await.shows_token().await;
                self.asked(request).await
            }
            Err(error) => Err(error),
        };
        answered.unwrap_or_else(|error| refused(&error))
    }

    fn admits(&self, request: &Request<Incoming>, from: IpAddr) -> Result<(), ScimError> {
        let refused = |why: &str| {
            self.tokens.refused(from, why);
            ScimError::new(Kind::Unauthorized, "a token of this endpoint is needed")
        };
        let field = request.headers().get(AUTHORIZATION).ok_or_else(|| refused("no token"))?;
        let token = field.to_str().ok().and_then(bearer);
        let token = token.ok_or_else(|| refused("no bearer token"))?;
        if is_known(token, &self.tokens.known()) { Ok(()) } else { Err(refused("a wrong token")) }
    }

    async fn asked(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, ScimError> {
        let unknown = || ScimError::new(Kind::NotFound, "there is nothing at this address");
        let target = Target::parse(request.uri().path()).ok_or_else(unknown)?;
        if !target.takes(request.method()) {
            return Err(if target == Target::Me {
                ScimError::new(Kind::NotImplemented, "a token stands for nobody here")
            } else {
                ScimError::new(Kind::Method, "this can't be done with what is there")
            });
        }
        let base = base(&request, self.is_encrypted);
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        let has_body = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        let body = if has_body {
            is_json(head.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes()))?;
            read(body).await?
        } else {
            Value::Null
        };
        let asked = Asked { method: head.method, target, query: Query::parse(query)?, body, base };
        let serving = self;
        let act = move || {
            let mut directory = serving.directory.lock().unwrap_or_else(PoisonError::into_inner);
            asked.act(&mut directory)
        };
        tokio::task::spawn_blocking(act)
            .await
            .unwrap_or_else(|_| Err(ScimError::new(Kind::Server, "it has failed; see the log")))
    }
}

/// A request that was read.
struct Asked {
    method: Method,
    target: Target,
    query: Query,
    body: Value,
    base: String,
}

impl Asked {
    fn act(self, directory: &mut Directory) -> Result<Answer, ScimError> {
        let Self { method, target, query, body, base } = self;
        match (method, target) {
            (Method::GET, Target::All(kind)) => {
                Ok(answer(200, &directory.list(&[kind], &query, &base)))
            }
            (Method::POST, Target::Search(kinds)) => {
                let query = Query::from_json(&body)?;
                Ok(answer(200, &directory.list(&kinds, &query, &base)))
            }
            (Method::POST, Target::All(kind)) => {
                let made = directory.create(kind, &body, &base)?;
                let location = made.pointer("/meta/location").and_then(Value::as_str);
                let location = location.and_then(|location| location.parse().ok());
                let mut answer = answer(201, &made);
                if let Some(location) = location {
                    answer.headers_mut().insert(LOCATION, location);
                }
                Ok(answer)
            }
            (Method::GET, Target::One(kind, id)) => {
                Ok(answer(200, &directory.get((kind, &id), &query, &base)?))
            }
            (Method::PUT, Target::One(kind, id)) => {
                Ok(answer(200, &directory.replace((kind, &id), &body, &base)?))
            }
            (Method::PATCH, Target::One(kind, id)) => {
                Ok(answer(200, &directory.patch((kind, &id), &body, &base)?))
            }
            (Method::DELETE, Target::One(kind, id)) => {
                directory.delete(kind, &id)?;
                let mut answer = Response::new(Full::default());
                *answer.status_mut() = hyper::StatusCode::NO_CONTENT;
                Ok(answer)
            }
            (Method::GET, Target::Config) => {
                Ok(answer(200, &schema::service_provider_config(&base)))
            }
            (Method::GET, Target::ResourceTypes(id)) => {
                described(schema::resource_types(&base), id.as_deref())
            }
            (Method::GET, Target::Schemas(id)) => described(schema::schemas(&base), id.as_deref()),
            // Those that `Target::takes` lets through stand above.
            (_, _) => Err(ScimError::new(Kind::Method, "this can't be done with what is there")),
        }
    }
}

/// All descriptions, or the one of that id.
fn described(all: Vec<Value>, id: Option<&str>) -> Result<Answer, ScimError> {
    let Some(id) = id else {
        return Ok(answer(
            200,
            &serde_json::json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
                "totalResults": all.len(),
                "startIndex": 1,
                "itemsPerPage": all.len(),
                "Resources": all,
            }),
        ));
    };
    let one = all.into_iter().find(|one| one.get("id").and_then(Value::as_str) == Some(id));
    let one = one.ok_or_else(|| ScimError::new(Kind::NotFound, "there is no such description"))?;
    Ok(answer(200, &one))
}

/// The address that locations begin with, as the directory knows this server.
fn base(request: &Request<Incoming>, is_encrypted: bool) -> String {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let is_host = |host: &&str| {
        host.len() <= 255 && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]_".contains(c))
    };
    let scheme = if is_encrypted { "https" } else { "http" };
    match host.filter(is_host) {
        Some(host) => format!("{scheme}://{host}{PREFIX}"),
        None => PREFIX.to_owned(),
    }
}

fn is_json(kind: Option<&[u8]>) -> Result<(), ScimError> {
    let kind = kind.unwrap_or(JSON.as_bytes());
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let known: [&[u8]; 2] = [JSON.as_bytes(), b"application/json"];
    if known.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(ScimError::new(Kind::MediaType, format!("the body must be {JSON}")))
}

async fn read(body: Incoming) -> Result<Value, ScimError> {
    let whole = Limited::new(body, BODY_BYTES_MAX).collect();
    let whole = tokio::time::timeout(PATIENCE, whole);
    let whole = whole.await.map_err(|_| ScimError::new(Kind::Syntax, "the body took too long"))?;
    let whole = whole.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ScimError::new(Kind::TooLong, format!("the body is longer than {BODY_BYTES_MAX} bytes"))
        } else {
            ScimError::new(Kind::Syntax, "the body broke off")
        }
    })?;
    serde_json::from_slice(&whole.to_bytes())
        .map_err(|error| ScimError::new(Kind::Syntax, format!("the body is no JSON: {error}")))
}

fn answer(status: u16, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    // They are all in the table of `Kind`, or stand here.
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(JSON));
    let no_store = hyper::header::HeaderValue::from_static("no-store");
    answer.headers_mut().insert(HeaderName::from_static("cache-control"), no_store);
    answer
}

fn refused(error: &ScimError) -> Answer {
    let mut answer = answer(error.kind.status(), &error.to_json());
    if error.kind == Kind::Unauthorized {
        let value = hyper::header::HeaderValue::from_static("Bearer");
        answer.headers_mut().insert(WWW_AUTHENTICATE, value);
        // Who is not known keeps no place.
        let close = hyper::header::HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    answer
}
