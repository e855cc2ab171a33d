//! `SHOW STATS`, `SHOW CLIENTS` and `SHOW POOLS` for the gateway's administrators, over psql and
//! whatever else speaks the simple protocol, in a database of the gateway's own.
//!
//! Nothing that is asked here reaches the guarded server, and nothing protected is in an answer.
//! Nothing can be changed here: that is for the control socket, which the system guards.

use std::{io, net::IpAddr, time::Duration};

use bytes::BytesMut;
use postern_ledger::Note;
use postern_model::Actor;
use postern_session::{ClientFacing as _, Failure};
use postern_wire::{
    Authentication, Column, Frame, FrameError, FrameReader, Frontend, MessageError, SqlState,
    TransactionStatus, encode,
    encode::{EncodeError, Report, Severity},
};
use thiserror::Error;
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc::{self, UnboundedReceiver},
};

use crate::{
    SessionInfo,
    listen::Seat,
    login::{self, Administrator},
    registry::{Command, Reach},
    shared::Shared,
    upstream::{self, BoxedStream},
};

/// The database that administrators connect to.
pub const DATABASE: &str = "postern";

/// Questions are short.
const QUESTION_BYTES_MAX: usize = 16 * 1024;
/// How long an answer may take to be taken: who is put out does not stay by not reading.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The type `text`.
const TEXT_OID: u32 = 25;

/// Why a connection ended other than by the client's own wish.
#[derive(Debug, Error)]
pub(crate) enum ShowError {
    #[error("the connection to the administrator failed")]
    Io(#[from] io::Error),
    #[error("the administrator's client broke the protocol")]
    Frame(#[from] FrameError),
    #[error("the administrator's client sent a malformed message")]
    Message(#[from] MessageError),
    #[error("a message can't be made")]
    Encode(#[from] EncodeError),
}

/// A table of texts.
struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

struct Showing<'a> {
    shared: &'a Shared,
    actor: Actor,
    stream: BoxedStream,
    buffer: BytesMut,
    /// A message was refused: what follows is dropped up to the next Sync.
    skipping: bool,
}

/// Answers an administrator until they leave or are put out.
pub(crate) async fn serve(
    seat: &Seat,
    came: Administrator,
    client: IpAddr,
) -> Result<(), ShowError> {
    let Administrator { core, actor, role_name, stream, buffer } = came;
    let shared = &seat.shared;
    let (sender, mut commands) = mpsc::unbounded_channel();
    let (connection, secret) = (shared.registry.connection(), login::cancel_secret());
    let info = SessionInfo {
        connection,
        actor: actor.clone(),
        role: role_name.clone(),
        client,
        since: shared.clock.now(),
        end_user: None,
    };
    let key = (i32::try_from(connection & 0x7fff_ffff).unwrap_or_default(), secret);
    let mut showing = Showing { shared, actor: actor.clone(), stream, buffer, skipping: false };
    let reach = (key, Reach::default());
    let Some(_registered) = shared.registry.register(info, &core.regime, reach, sender) else {
        return showing.last_word(&Failure::Outdated).await;
    };
    // Whoever was put out between the check at log-in and the registration is not let in.
    if shared.suspended().contains_key(&actor) || !shared.may_work(&actor, &role_name) {
        return showing.last_word(&Failure::Suspended).await;
    }
    let client = client.to_string().into();
    shared.note(Note::LoggedIn { actor: actor.clone(), connection, client });
    let shown = showing.run(key, &mut commands).await;
    shared.note(Note::LoggedOut { actor, connection });
    shown
}

impl Showing<'_> {
    async fn run(
        &mut self,
        (process_id, secret): (i32, [u8; 4]),
        commands: &mut UnboundedReceiver<Command>,
    ) -> Result<(), ShowError> {
        let mut out = BytesMut::new();
        encode::authentication(&mut out, &Authentication::Ok)?;
        for (name, value) in [
            ("server_version", concat!(env!("CARGO_PKG_VERSION"), " (Postern)")),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("standard_conforming_strings", "on"),
            ("DateStyle", "ISO, MDY"),
            ("is_superuser", "off"),
        ] {
            encode::parameter_status(&mut out, name, value)?;
        }
        login::ready(&mut out, process_id, secret)?;
        let reader = FrameReader::new(QUESTION_BYTES_MAX);
        loop {
            self.send(&out).await?;
            out.clear();
            let frame: Result<Frame, ShowError> = tokio::select! {
                biased;
                Some(command) = commands.recv() => {
                    let failure = match command {
                        Command::Suspend => Failure::Suspended,
                        Command::Leave(why) => why.into(),
                        Command::Late => Failure::Outdated,
                        // Nobody answers what was not asked.
                        Command::Recorded { .. } | Command::Proven { .. } | Command::Tried { .. }
                        | Command::Asked { .. } | Command::Cancelled | Command::ReasonsRead
                        | Command::Named { .. } => continue,
                    };
                    return self.last_word(&failure).await;
                }
                frame = upstream::frame(&mut self.stream, &mut self.buffer, &reader) => frame,
            };
            match Frontend::parse(&frame?)? {
                Frontend::Terminate => return Ok(()),
                Frontend::Query(sql) => {
                    self.answer(sql, &mut out)?;
                    encode::ready_for_query(&mut out, TransactionStatus::Idle);
                }
                Frontend::Sync => {
                    self.skipping = false;
                    encode::ready_for_query(&mut out, TransactionStatus::Idle);
                }
                Frontend::Parse(_)
                | Frontend::Bind(_)
                | Frontend::Describe(_)
                | Frontend::Execute(_)
                | Frontend::Close(_)
                | Frontend::FunctionCall => {
                    if !std::mem::replace(&mut self.skipping, true) {
                        let message = "this database answers the simple query protocol only";
                        refuse(&mut out, SqlState::FEATURE_NOT_SUPPORTED, message, None);
                    }
                }
                Frontend::Flush
                | Frontend::CopyData(_)
                | Frontend::CopyDone
                | Frontend::CopyFail(_) => {}
                Frontend::Password(_) => {
                    return self.last_word(&Failure::Protocol("unexpected password message")).await;
                }
            }
        }
    }

    /// Answers one question, up to its ReadyForQuery message.
    fn answer(&self, sql: &str, out: &mut BytesMut) -> Result<(), EncodeError> {
        let regime = self.shared.regime();
        if !regime.settings.administrators.contains(&self.actor) {
            let message = format!("`{}` is no administrator of the gateway any more", self.actor);
            refuse(out, SqlState::INSUFFICIENT_PRIVILEGE, &message, None);
            return Ok(());
        }
        let words = sql.trim().trim_end_matches(';').to_ascii_lowercase();
        let words: Vec<&str> = words.split_whitespace().collect();
        let table = match *words {
            [] => {
                encode::empty_query_response(out);
                return Ok(());
            }
            ["show", "stats"] => self.stats(),
            ["show", "clients"] => self.clients(),
            ["show", "pools"] => self.pools(),
            ["show", "version"] => {
                let version = concat!("Postern ", env!("CARGO_PKG_VERSION")).to_owned();
                Table { columns: vec!["version"], rows: vec![vec![version]] }
            }
            _ => {
                let message = "this database answers SHOW STATS, SHOW CLIENTS and SHOW POOLS";
                let hint = "orders are given by the `postern` command, on the gateway's machine";
                refuse(out, SqlState::SYNTAX_ERROR, message, Some(hint));
                return Ok(());
            }
        };
        table.encode(out)
    }

    fn stats(&self) -> Table {
        let rows = self.shared.figures.all().into_iter().map(|stats| {
            let figures = [
                stats.core as u64,
                stats.log_ins,
                stats.statements,
                stats.received_bytes,
                stats.sent_bytes,
                stats.recorded,
                stats.recorded_rows,
                stats.refused,
            ];
            figures.map(|figure| figure.to_string()).into()
        });
        let columns = vec![
            "core",
            "log_ins",
            "statements",
            "received_bytes",
            "sent_bytes",
            "recorded",
            "recorded_rows",
            "refused",
        ];
        Table { columns, rows: rows.collect() }
    }

    fn clients(&self) -> Table {
        let rows = self.shared.registry.reaches().into_iter().map(|(info, server)| {
            vec![
                info.connection.to_string(),
                info.actor.to_string(),
                info.end_user.map_or_else(String::new, |(actor, _)| actor.to_string()),
                info.role.to_string(),
                info.client.to_string(),
                info.since.to_string(),
                server.map_or_else(String::new, |process| process.to_string()),
            ]
        });
        let columns =
            vec!["connection", "actor", "end_user", "role", "client", "since", "server_process"];
        Table { columns, rows: rows.collect() }
    }

    fn pools(&self) -> Table {
        let rows = self.shared.pools().into_iter().map(|pool| {
            let figures = [
                pool.core as u64,
                pool.servers as u64,
                pool.idle as u64,
                pool.servers_max as u64,
                pool.waiting as u64,
                pool.taken,
                pool.waited,
                pool.waited_micros / 1000,
                pool.started,
                pool.cleaned,
            ];
            let mut cells: Vec<String> = figures.map(|figure| figure.to_string()).into();
            cells.push(if pool.ends { "yes" } else { "no" }.to_owned());
            cells
        });
        let columns = vec![
            "core",
            "servers",
            "idle",
            "max",
            "waiting",
            "taken",
            "waited",
            "waited_ms",
            "started",
            "cleaned",
            "ends",
        ];
        Table { columns, rows: rows.collect() }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), ShowError> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let sent = tokio::time::timeout(ANSWER_MAX, sent).await;
        Ok(sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    }

    async fn last_word(&mut self, failure: &Failure) -> Result<(), ShowError> {
        let mut out = BytesMut::new();
        failure.encode(&mut out);
        self.send(&out).await?;
        Ok(self.stream.shutdown().await?)
    }
}

impl Table {
    fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let column = |name: &&'static str| Column {
            name,
            table_oid: 0,
            attribute: 0,
            type_oid: TEXT_OID,
            type_size: -1,
            type_modifier: -1,
            format: 0,
        };
        let columns: Vec<Column<'_>> = self.columns.iter().map(column).collect();
        encode::row_description(out, &columns)?;
        for row in &self.rows {
            encode::data_row(out, row.iter().map(|cell| Some(cell.as_bytes())))?;
        }
        encode::command_complete(out, "SHOW")
    }
}

fn refuse(out: &mut BytesMut, sqlstate: SqlState, message: &str, hint: Option<&str>) {
    let severity = Severity::Error;
    let report = Report { severity, sqlstate, message, detail: None, hint, position: None };
    encode::error_response(out, &report);
}
