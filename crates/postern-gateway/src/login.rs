//! From the first byte of a connection to a session: one straight function.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::BytesMut;
use postern_ledger::Note;
use postern_model::Actor;
use postern_people::{Account, Attempt, NotDone, ScramServer, Standing, Verifier};
use postern_session::Kind;
use postern_wire::{
    FirstMessage, Frame, FrameReader, Frontend, SaslInitial, SqlState, TransactionStatus, encode,
    encode::{Report, Severity},
    first_message,
};
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    ApprovalError, Role,
    certificate::Certified,
    connection::Export,
    listen::{Core, Seat},
    pool::{Parameters, Set},
    shared::Shared,
    show,
    spare::{self, Owner},
    upstream::{self, BoxedStream, Connected},
};

mod behind;
mod certificate;
mod start;
mod token;

use self::behind::Found;
pub(crate) use self::{behind::pinned, start::own_path};

/// A client that has proved who it is, with a server connection of its own.
pub(crate) struct LoggedIn {
    pub(crate) core: Core,
    pub(crate) actor: Actor,
    pub(crate) role_name: Arc<str>,
    pub(crate) role: Role,
    pub(crate) client: BoxedStream,
    pub(crate) client_buffer: BytesMut,
    pub(crate) behind: Behind,
    /// It has come for one statement.
    pub(crate) export: Option<Box<Export>>,
    /// The ParameterStatus messages, not yet sent.
    pub(crate) greeting: BytesMut,
}

/// What a connection has come for.
pub(crate) enum Came {
    /// A session.
    In(Box<LoggedIn>),
    /// To ask how the gateway is doing.
    ToAsk(Box<Administrator>),
    /// A cancel request, which is done.
    AndWent,
}

/// An administrator who has proved who it is.
pub(crate) struct Administrator {
    pub(crate) core: Core,
    pub(crate) actor: Actor,
    pub(crate) role_name: Arc<str>,
    pub(crate) stream: BoxedStream,
    pub(crate) buffer: BytesMut,
}

/// How a session comes to the server.
pub(crate) enum Behind {
    /// By a connection of its own; whose that is.
    Own(Connected, Owner),
    /// By those of the core's pool, with these settings from its start-up.
    Turns(Set),
}

/// Why a connection did not become a session.
#[derive(Debug, Error)]
pub(crate) enum LoginError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the client broke the protocol")]
    Frame(#[from] postern_wire::FrameError),
    #[error("the client sent a malformed message")]
    Message(#[from] postern_wire::MessageError),
    #[error("a message can't be made")]
    Encode(#[from] encode::EncodeError),
    #[error("refused with {}: {message}", .sqlstate.as_str())]
    Refused { sqlstate: SqlState, message: String },
}

/// Messages before the log-in are short.
const LOGIN_BYTES_MAX: usize = 16 * 1024;

/// The connection of somebody who has not logged in yet.
struct Door<'a> {
    shared: &'a Shared,
    seat: &'a Seat,
    /// Of what is in force when it is asked who may come in.
    core: Core,
    stream: BoxedStream,
    buffer: BytesMut,
    address: SocketAddr,
    encrypted: bool,
    /// The certificates that the client has shown, its own first.
    shown: Vec<CertificateDer<'static>>,
    reader: FrameReader,
}

/// Takes a connection up to the point where queries can come. Whatever is refused has been told to
/// the client.
pub(crate) async fn login(
    seat: &Seat,
    stream: TcpStream,
    address: SocketAddr,
) -> Result<Came, LoginError> {
    stream.set_nodelay(true)?;
    let door = Door {
        shared: &seat.shared,
        seat,
        core: seat.core(),
        stream: Box::new(stream),
        buffer: BytesMut::new(),
        address,
        encrypted: false,
        shown: Vec::new(),
        reader: FrameReader::new(LOGIN_BYTES_MAX),
    };
    let Some((mut door, parameters)) = door.first().await? else { return Ok(Came::AndWent) };
    match door.come_in(&parameters).await {
        Ok((entered, Some(found))) => match door.export(&entered, &parameters) {
            Ok(export) => Ok(Came::In(Box::new(door.greet(entered, found, export)?))),
            Err(error) => {
                door.tell(&error).await;
                Err(error)
            }
        },
        Ok(((actor, role_name, _), None)) => {
            let Door { core, stream, buffer, .. } = door;
            Ok(Came::ToAsk(Box::new(Administrator { core, actor, role_name, stream, buffer })))
        }
        Err(error) => {
            door.tell(&error).await;
            Err(error)
        }
    }
}

/// Who has come in, with the role and its name.
type Entered = (Actor, Arc<str>, Role);

impl<'a> Door<'a> {
    /// TLS where it is asked for, then the start-up message.
    async fn first(mut self) -> Result<Option<(Door<'a>, Parameters)>, LoginError> {
        loop {
            let Some(message) = first_message(&mut self.buffer)? else {
                upstream::fill(&mut self.stream, &mut self.buffer).await?;
                continue;
            };
            match message {
                FirstMessage::Ssl if self.encrypted => {
                    return Err(refused(SqlState::PROTOCOL_VIOLATION, "TLS was asked for twice"));
                }
                FirstMessage::Ssl => {
                    self = self.encrypt().await?;
                }
                FirstMessage::Gssenc => self.stream.write_all(b"N").await?,
                FirstMessage::Cancel { process_id, secret } => {
                    self.cancel(process_id, &secret).await;
                    return Ok(None);
                }
                FirstMessage::Startup { .. }
                    if !self.encrypted
                        && self.core.regime.settings.tls.is_some()
                        && !self.address.ip().is_loopback() =>
                {
                    let message = "this server takes encrypted connections only";
                    let error = refused(SqlState::INVALID_AUTHORIZATION, message);
                    self.tell(&error).await;
                    return Err(error);
                }
                FirstMessage::Startup { minor, parameters } => {
                    self.negotiate(minor, &parameters).await?;
                    return Ok(Some((self, parameters)));
                }
            }
        }
    }

    async fn encrypt(mut self) -> Result<Self, LoginError> {
        // Bytes sent before the handshake would be taken for what TLS protects (CVE-2021-23214).
        if !self.buffer.is_empty() {
            return Err(refused(SqlState::PROTOCOL_VIOLATION, "data before the TLS handshake"));
        }
        let Some(tls) = &self.core.regime.settings.tls else {
            self.stream.write_all(b"N").await?;
            return Ok(self);
        };
        self.stream.write_all(b"S").await?;
        let acceptor = tokio_rustls::TlsAcceptor::from(tls.clone());
        let stream = acceptor.accept(self.stream).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        self.shown = shown.iter().cloned().map(CertificateDer::into_owned).collect();
        self.stream = Box::new(stream);
        self.encrypted = true;
        Ok(self)
    }

    /// A client that asks for more than 3.0 is told what is spoken here.
    async fn negotiate(
        &mut self,
        minor: u16,
        parameters: &[(String, String)],
    ) -> Result<(), LoginError> {
        let unknown: Vec<&str> = parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.starts_with("_pq_."))
            .collect();
        if minor > 0 || !unknown.is_empty() {
            let mut out = BytesMut::new();
            encode::negotiate_protocol_version(&mut out, 0, &unknown)?;
            self.stream.write_all(&out).await?;
        }
        Ok(())
    }

    /// Passes a cancel request on if its key is right; nobody learns whether it was.
    async fn cancel(&self, process_id: i32, secret: &[u8]) {
        let reached = self.shared.registry.cancel_key(process_id, secret);
        let Some((key, regime)) = reached else { return };
        if let Err(error) = upstream::cancel(&regime.settings.upstream, &key.key).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a cancel request could not be passed on"
            );
        }
    }

    /// Who it is, and a connection to the server in their place, by what is in force at its end;
    /// none for an administrator who asks how the gateway is doing.
    async fn come_in(
        &mut self,
        parameters: &[(String, String)],
    ) -> Result<(Entered, Option<Found>), LoginError> {
        let (mut entered, mut settings) = self.enter(parameters).await?;
        if self.asks(&entered.0, parameters) {
            return Ok((entered, None));
        }
        loop {
            let found = self.find(&entered, settings).await;
            if self.shared.regime().covers(&self.core.regime, &entered.1) {
                return Ok((entered, Some(found?)));
            }
            if let Ok((Behind::Own(server, _), _)) = found {
                tokio::task::spawn_local(spare::end(server));
            }
            // Another configuration has come meanwhile: whether they may is for that to say.
            self.core = self.seat.core();
            let (actor, ..) = entered;
            let (role_name, role) =
                self.shared.admitted(&self.core.regime, &actor).map_err(|why| {
                    self.note_refused(&actor, why);
                    wrong_password(&actor)
                })?;
            settings = self.settings(&actor, role.kind, parameters)?;
            entered = (actor, role_name, role);
        }
    }

    /// Who it is, and whether they may come in.
    async fn enter(
        &mut self,
        parameters: &[(String, String)],
    ) -> Result<(Entered, start::Settings), LoginError> {
        let shared = self.shared;
        let find = |name: &str| {
            parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        let name = find("user").filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| {
            refused(SqlState::INVALID_AUTHORIZATION, "no user name was given at start-up")
        })?;
        let actor = Actor::new(name);
        if self.certified(&actor)? == Certified::Enough {
            return self.enter_by_certificate(actor, parameters);
        }
        if self.asks_for_token(&actor, parameters)? {
            return self.enter_by_token(actor, parameters).await;
        }
        let people = shared.people();
        let account = people.account(name);
        // Whether there is such an account shows neither in what is sent nor in the time. Nor does
        // anything tell, before all is known, that the password is right.
        let verifier = people.verifier_or_mock(name, &shared.mock_secret);
        let last = self.scram(verifier).await?;
        // It may have taken long.
        self.core = self.seat.core();
        let place = place(self.address.ip());
        let attempt = shared.throttle().attempt(name, &place);
        if shared.throttle().standing(attempt, shared.clock.now()) == Standing::Throttled {
            return Err(wrong_password(&actor));
        }
        let (last, role_name, role) = match self.admitted(&actor, account, last) {
            Ok(admitted) => admitted,
            Err(why) => return Err(self.no_entry(&actor, attempt, why)),
        };
        shared.throttle().succeeded(attempt);
        let mut out = BytesMut::new();
        let message = postern_wire::Authentication::SaslFinal(last.as_bytes());
        encode::authentication(&mut out, &message)?;
        self.stream.write_all(&out).await?;
        let settings = self.settings(&actor, role.kind, parameters)?;
        Ok(((actor, role_name, role), settings))
    }

    /// The proof that the server knows the password too, for whoever may come in; else why not.
    fn admitted(
        &self,
        actor: &Actor,
        account: Option<&Account>,
        last: Option<String>,
    ) -> Result<(String, Arc<str>, Role), &'static str> {
        let last = last.filter(|_| account.is_some_and(|account| account.verifier.is_some()));
        let Some(last) = last else { return Err("wrong password or unknown name") };
        let (role_name, role) = self.shared.admitted(&self.core.regime, actor)?;
        Ok((last, role_name, role))
    }

    /// Whether an administrator has come to the gateway's own database. For all others there is
    /// none of that name but the server's.
    fn asks(&self, actor: &Actor, parameters: &[(String, String)]) -> bool {
        let asked = parameters.iter().find(|(name, _)| name == "database");
        let settings = &self.core.regime.settings;
        asked.is_some_and(|(_, asked)| asked == show::DATABASE)
            && settings.upstream.database != show::DATABASE
            && settings.administrators.contains(actor)
    }

    /// What the server is to be told of the start-up parameters.
    fn settings(
        &self,
        actor: &Actor,
        kind: Kind,
        parameters: &[(String, String)],
    ) -> Result<start::Settings, LoginError> {
        if self.asks(actor, parameters) {
            return Ok(start::Settings::new());
        }
        let upstream = &self.core.regime.settings.upstream;
        let asked = parameters.iter().find(|(name, _)| name == "database");
        if let Some((_, other)) = asked.filter(|(_, asked)| *asked != upstream.database) {
            let message = format!("database \"{other}\" does not exist");
            return Err(refused(SqlState::INVALID_CATALOG_NAME, &message));
        }
        start::settings(parameters, kind, &upstream.search_path)
            .map_err(|denied| self.denied(actor, &denied))
    }

    fn denied(&self, actor: &Actor, denied: &start::Denied) -> LoginError {
        let start::Denied { name, hint } = denied;
        self.note_refused(actor, &format!("start-up parameter `{name}`"));
        let message = format!("start-up parameter \"{name}\" can't be set to this: {hint}");
        refused(SqlState::INSUFFICIENT_PRIVILEGE, &message)
    }

    /// The SCRAM-SHA-256 exchange (RFC 7677) up to its last message, which is there if the client
    /// knows the password and is not sent yet. Fails where the client does not speak the protocol.
    async fn scram(&mut self, verifier: Verifier) -> Result<Option<String>, LoginError> {
        let mut out = BytesMut::new();
        let mechanisms = vec!["SCRAM-SHA-256"];
        encode::authentication(&mut out, &postern_wire::Authentication::Sasl { mechanisms })?;
        self.stream.write_all(&out).await?;
        let frame = self.frame().await?;
        let Frontend::Password(body) = Frontend::parse(&frame)? else {
            return Err(refused(SqlState::PROTOCOL_VIOLATION, "expected a SASL response"));
        };
        let initial = SaslInitial::parse(body)?;
        let (Some(data), "SCRAM-SHA-256") = (initial.data, initial.mechanism) else {
            return Err(refused(SqlState::PROTOCOL_VIOLATION, "unknown SASL mechanism"));
        };
        let nonce = ScramServer::nonce(rand::random());
        let Ok((challenge, scram)) = ScramServer::start(data, verifier, &nonce) else {
            return Err(refused(SqlState::PROTOCOL_VIOLATION, "malformed SCRAM message"));
        };
        out.clear();
        let message = postern_wire::Authentication::SaslContinue(challenge.as_bytes());
        encode::authentication(&mut out, &message)?;
        self.stream.write_all(&out).await?;
        let frame = self.frame().await?;
        let Frontend::Password(response) = Frontend::parse(&frame)? else {
            return Err(refused(SqlState::PROTOCOL_VIOLATION, "expected a SASL response"));
        };
        Ok(scram.finish(response).ok())
    }

    async fn frame(&mut self) -> Result<Frame, LoginError> {
        upstream::frame(&mut self.stream, &mut self.buffer, &self.reader).await
    }

    /// Counts and records a failed log-in. Once there are too many, the further ones are neither,
    /// so that they can't fill the ledger.
    fn no_entry(&self, actor: &Actor, attempt: Attempt, why: &str) -> LoginError {
        self.note_refused(actor, why);
        let now = self.shared.clock.now();
        if self.shared.throttle().failed(attempt, now) == Standing::Throttled {
            self.note_refused(actor, "too many failed: the next ones are refused unrecorded");
        }
        wrong_password(actor)
    }

    fn note_refused(&self, actor: &Actor, why: &str) {
        let client = self.address.ip().to_string().into();
        let actor = actor.clone();
        self.shared.note(Note::LoginRefused { actor, client, why: why.into() });
    }

    async fn tell(&mut self, error: &LoginError) {
        let (sqlstate, message) = match error {
            LoginError::Refused { sqlstate, message } => (*sqlstate, message.as_str()),
            LoginError::Io(_) => return,
            LoginError::Frame(_) | LoginError::Message(_) | LoginError::Encode(_) => {
                (SqlState::PROTOCOL_VIOLATION, "malformed message")
            }
        };
        let severity = Severity::Fatal;
        let mut out = BytesMut::new();
        let report =
            Report { severity, sqlstate, message, detail: None, hint: None, position: None };
        encode::error_response(&mut out, &report);
        // The client may be gone; there is nobody else to tell.
        let _ = self.stream.write_all(&out).await;
        let _ = self.stream.shutdown().await;
    }

    /// The one statement that the client has come for, if it says so.
    fn export(
        &self,
        (actor, role_name, role): &Entered,
        parameters: &[(String, String)],
    ) -> Result<Option<Box<Export>>, LoginError> {
        let number = start::approved(parameters).map_err(|denied| self.denied(actor, &denied))?;
        let Some(number) = number else { return Ok(None) };
        let who = (actor, &**role_name);
        let export = match role.kind {
            Kind::Restricted if !role.speaks_for => {
                Export::of((self.shared, &self.core.regime), number, who)
            }
            Kind::Restricted | Kind::Accounted | Kind::PassThrough => {
                Err(ApprovalError::NotDone(NotDone::Unknown { number, act: "run" }))
            }
        };
        export.map(|export| Some(Box::new(export))).map_err(|error| {
            self.note_refused(actor, &format!("number {number} may not be run"));
            refused(SqlState::INSUFFICIENT_PRIVILEGE, &error.in_full())
        })
    }

    /// Prepares what the client is greeted with.
    fn greet(
        self,
        (actor, role_name, role): Entered,
        (behind, parameters): Found,
        export: Option<Box<Export>>,
    ) -> Result<LoggedIn, LoginError> {
        let mut greeting = BytesMut::new();
        encode::authentication(&mut greeting, &postern_wire::Authentication::Ok)?;
        for (name, value) in &*parameters {
            let value = match name.as_str() {
                "session_authorization" => actor.as_str(),
                "is_superuser" if role.kind != Kind::PassThrough => "off",
                _ => value,
            };
            encode::parameter_status(&mut greeting, name, value)?;
        }
        let Self { core, stream: client, buffer: client_buffer, .. } = self;
        Ok(LoggedIn {
            core,
            actor,
            role_name,
            role,
            client,
            client_buffer,
            behind,
            export,
            greeting,
        })
    }
}

/// The end of the greeting: the key for cancel requests, and that queries may come.
pub(crate) fn ready(
    greeting: &mut BytesMut,
    process_id: i32,
    secret: [u8; 4],
) -> Result<(), encode::EncodeError> {
    encode::backend_key_data(greeting, process_id, &secret)?;
    encode::ready_for_query(greeting, TransactionStatus::Idle);
    Ok(())
}

/// Every failed log-in says the same, whatever failed.
fn wrong_password(actor: &Actor) -> LoginError {
    let message = format!("password authentication failed for user \"{actor}\"");
    refused(SqlState::INVALID_PASSWORD, &message)
}

/// What of an address is one place: whoever has an IPv6 address has a whole network of them.
fn place(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().into_iter().take(8).collect(),
    }
}

fn refused(sqlstate: SqlState, message: &str) -> LoginError {
    LoginError::Refused { sqlstate, message: message.to_owned() }
}

/// A client's key for cancel requests.
pub(crate) fn cancel_secret() -> [u8; 4] {
    rand::random()
}
