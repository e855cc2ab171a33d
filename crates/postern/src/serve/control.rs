//! The running gateway's side of the control socket.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use postern_cases::Act;
use postern_gateway::Handle;
use postern_ledger::{Complained, Copied, Ledger, Note};
use postern_model::{Actor, Clock as _, Subject, Timestamp};

use super::{
    approvals, decoys, people, reloading::Reloads, settings::hex, space::Space, taking_over,
    watching::Counts, witnessed,
};
use crate::{
    cases::{self, NoteOf},
    cli::Shown,
    clock::SystemClock,
    control::{
        Asked, LINE_BYTES_MAX, LedgerStatus, NotEnforced, Reply, Request, Status, Suspension,
        Table, encode, peer,
    },
};

/// How long somebody who is connected may say nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait when no connection could be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Promise 3's state, and that of the second copy.
pub(super) struct Standing {
    pub(super) entries: u64,
    /// How many of them witnesses have seen; `None` if there are no witnesses.
    pub(super) witnessed: Option<u64>,
    /// Since when there are some that they have not.
    pub(super) unwitnessed_since: Option<Timestamp>,
    /// What kept witnesses from cosigning in the last round.
    pub(super) witness_troubles: Vec<String>,
    /// How many results wait for witnesses.
    pub(super) waiting: usize,
    pub(super) copied: Option<Copied>,
}

/// Answers requests.
pub(super) struct Answering {
    pub(super) handle: Handle,
    pub(super) ledger: Arc<Ledger>,
    witnessed: witnessed::Progress,
    cases: cases::Shared,
    people: people::Looks,
    reloads: Reloads,
    pub(super) counts: Counts,
    entries_before: u64,
    pub(super) space: Space,
    /// Where the texts of statements are kept.
    queries: PathBuf,
    pub(super) since: Timestamp,
}

impl Answering {
    pub(super) fn new(
        handle: Handle,
        (ledger, witnessed, cases): (Arc<Ledger>, witnessed::Progress, cases::Shared),
        people: people::Looks,
        reloads: Reloads,
        (counts, entries_before): (Counts, u64),
        (space, queries): (Space, PathBuf),
    ) -> Self {
        let since = SystemClock.now();
        Self {
            handle,
            ledger,
            witnessed,
            cases,
            people,
            reloads,
            counts,
            entries_before,
            space,
            queries,
            since,
        }
    }

    /// The socket for connections, for a gateway that is to listen at the same place.
    fn hands_over(&self, listen: &str) -> Result<TcpListener, String> {
        let here = self.handle.listens();
        if here.to_string() != listen {
            return Err(format!("it listens on another address, `{here}`"));
        }
        self.handle.hand_over().ok_or_else(|| "it stops already".to_owned())
    }

    /// Does what `by` wants; what needs the connection itself does `serve`.
    fn answer(&self, request: Request, by: &str) -> Reply {
        match request {
            Request::Suspend { actor, why } => {
                match self.handle.suspend(&Actor::new(actor), &Actor::new(by), &why) {
                    Ok(sessions_cut) => Reply::Suspended { sessions_cut },
                    Err(error) => Reply::Refused {
                        why: format!("the account is out, but it could not be recorded: {error}"),
                    },
                }
            }
            Request::Resume { actor } => {
                match self.handle.resume(&Actor::new(&*actor), &Actor::new(by), "resumed") {
                    Ok(()) => Reply::Resumed {},
                    Err(error) => Reply::Refused { why: chain(&error) },
                }
            }
            Request::Reload {} => match self.reloads.reload(by) {
                Ok(taken) => Reply::Reloaded(taken),
                Err(why) => Reply::Refused { why },
            },
            Request::HandOver { .. } => Reply::Refused { why: "not understood".to_owned() },
            Request::Status {} => Reply::Status(Box::new(self.status())),
            Request::Show { what: Shown::Clients } => Reply::Table(self.clients()),
            Request::Show { what: Shown::Pools } => Reply::Table(self.pools()),
            Request::People { changed } => match self.people.look(by, changed) {
                Ok(()) => Reply::Read {},
                Err(why) => Reply::Refused { why },
            },
            Request::Ask { actor, subject, seconds, why } => {
                approvals::ask(&self.handle, (actor, subject), (by, &why), seconds)
            }
            Request::AskQuery(asked) => {
                approvals::ask_query(&self.handle, &self.queries, asked, by)
            }
            Request::BreakGlass { actor, subject, why } => {
                approvals::break_glass(&self.handle, (actor, subject), (by, &why))
            }
            Request::Decide { act, number, why, seen } => {
                approvals::decide(&self.handle, (&act, seen.as_deref()), number, (by, &why))
            }
            Request::Approvals {} => approvals::all(&self.handle, by),
            Request::Erase { subject, why } => {
                match crate::commands::erase(&self.ledger, &subject, by, &why) {
                    Ok(entry) => Reply::Recorded { entry },
                    Err(error) => Reply::Refused { why: chain(&error) },
                }
            }
            Request::Retain {} => self.retain(by),
            Request::Look { what } => {
                self.noted(Note::Read { by: Actor::new(by), what: what.into() })
            }
            Request::Complaint { subject, at, kind, fields, caller } => {
                let fields = fields.into_iter().map(Into::into).collect();
                self.complained(by, subject, (at, kind), (fields, caller))
            }
            Request::Planted { digest, count } => match decoys::planted(by, &digest, count) {
                Some(note) => self.noted(note),
                None => Reply::Refused { why: "that is no hash of a plan".to_owned() },
            },
            Request::DecoyHit { subject, how, why } => {
                self.noted(decoys::hit(by, subject, &how, &why))
            }
            Request::DecoyFound { why, evidence } => self.noted(decoys::found(&why, evidence)),
            Request::Case { act, number, why } => self.case(&act, number, (by, &why)),
            Request::Record(asked) => self.noted(Asked { by: by.to_owned(), ..asked }.into()),
        }
    }

    fn retain(&self, by: &str) -> Reply {
        match super::retain(&self.ledger, by) {
            Ok(done) => Reply::Retained {
                forgot: done.forgot,
                until: done.past_retention.map(|until| until.to_string()),
            },
            Err(error) => Reply::Refused { why: chain(&error) },
        }
    }

    fn noted(&self, note: Note) -> Reply {
        match super::note(&self.ledger, note) {
            Ok(entry) => Reply::Recorded { entry },
            Err(error) => Reply::Refused { why: format!("{error:#}") },
        }
    }

    /// What a customer tells: when they were contacted and how, what was known, and by whom.
    fn complained(
        &self,
        by: &str,
        subject: String,
        (at, kind): (i64, String),
        (fields, caller): (Vec<Arc<str>>, String),
    ) -> Reply {
        let (by, subject, at) = (Actor::new(by), Subject::new(subject), Timestamp(at));
        let (kind, caller) = (kind.into(), caller.into());
        self.noted(Note::Complained(Complained { by, subject, at, kind, fields, caller }))
    }

    /// What somebody wants to do with a case; who they are is what the system says.
    fn case(&self, act: &str, number: u64, (by, why): (&str, &str)) -> Reply {
        let refused = |why: String| Reply::Refused { why };
        let Some(act) = Act::parse(act) else { return refused(format!("nobody can do `{act}`")) };
        let decided = self.cases.lock().decide(act, number, (Actor::new(by), why.into()));
        match decided {
            Ok(deed) => self.noted(NoteOf::from(deed).0),
            Err(error) => refused(error.to_string()),
        }
    }

    /// How the ledger is doing, in figures.
    pub(super) fn standing(&self) -> Standing {
        let entries = self.entries_before + self.counts.entries();
        let witnessed::State { done, troubles } = self.witnessed.state();
        // Until the first time there is nothing since which it is.
        let since = done.filter(|done| done.entries < entries).map(|done| match done.seconds {
            Some(seconds) => i64::try_from(seconds)
                .map_or(self.since, |seconds| Timestamp(seconds.saturating_mul(1_000_000))),
            None => self.since,
        });
        Standing {
            entries,
            witnessed: done.map(|done| done.entries),
            unwitnessed_since: since,
            witness_troubles: troubles,
            waiting: self.ledger.waiting_for_witness().unwrap_or(0),
            copied: self.ledger.copied(),
        }
    }

    fn ledger_status(&self) -> LedgerStatus {
        let standing = self.standing();
        LedgerStatus {
            entries: standing.entries,
            witnessed: standing.witnessed,
            unwitnessed_since: standing.unwitnessed_since.map(|since| since.to_string()),
            witness_troubles: standing.witness_troubles,
            waiting: standing.waiting,
            copy: standing.copied.map(Into::into),
            space: self.space.warning(),
        }
    }

    /// Why protected data is not shown at the moment.
    pub(super) fn withheld(&self) -> Option<String> {
        if !self.handle.is_ready() {
            return Some("the database server can't be read".to_owned());
        }
        if let Some(why) = self.ledger.forbidden() {
            return Some(format!("the ledger was put back or forked: {why}"));
        }
        let is_away = self.ledger.copied().is_some_and(|copied| copied.withholds);
        is_away.then(|| "the ledger's second copy is away".to_owned())
    }

    fn clients(&self) -> Table {
        let columns = ["connection", "actor", "role", "client", "since", "server process"];
        let rows = self.handle.reaches().into_iter().map(|(info, server)| {
            vec![
                info.connection.to_string(),
                match &info.end_user {
                    Some((end_user, _)) => format!("{} for {end_user}", info.actor),
                    None => info.actor.to_string(),
                },
                info.role.to_string(),
                info.client.to_string(),
                info.since.to_string(),
                server.map_or_else(|| "-".to_owned(), |process| process.to_string()),
            ]
        });
        Table { columns: columns.map(str::to_owned).into(), rows: rows.collect() }
    }

    fn pools(&self) -> Table {
        let columns = [
            "core",
            "servers",
            "idle",
            "max",
            "waiting",
            "taken",
            "waited",
            "waited ms",
            "started",
            "cleaned",
            "ends",
        ];
        let rows = self.handle.pools().into_iter().map(|pool| {
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
        Table { columns: columns.map(str::to_owned).into(), rows: rows.collect() }
    }

    fn status(&self) -> Status {
        let suspended = self.handle.suspended();
        let in_force = self.reloads.in_force();
        Status {
            version: 1,
            listen: self.handle.address().to_string(),
            since: self.since.to_string(),
            configured_since: in_force.since.to_string(),
            configuration: hex(&in_force.hash),
            process_id: std::process::id(),
            connections: self.handle.sessions().len(),
            suspended: suspended
                .into_iter()
                .map(|(actor, suspension)| Suspension {
                    actor: actor.to_string(),
                    by: suspension.by.to_string(),
                    why: suspension.why.to_string(),
                    since: suspension.since.to_string(),
                })
                .collect(),
            ledger: self.ledger_status(),
            not_enforced: self.handle.not_enforced().into_iter().map(not_enforced).collect(),
            findings: self.counts.findings(),
            withheld: self.withheld(),
        }
    }
}

fn not_enforced(told: postern_gateway::NotEnforced) -> NotEnforced {
    NotEnforced {
        role: told.role.to_string(),
        enforcement: told.enforcement.as_str().to_owned(),
        masked: told.counts.masked,
        refused: told.counts.refused,
        unknown: told.counts.unknown,
    }
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The socket, removed when this is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    path: PathBuf,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}

impl Listening {
    /// Listens. A socket that a killed gateway left is replaced; that no other one runs is
    /// certain, because the ledger could be opened.
    pub(super) fn start(path: &Path, answering: Arc<Answering>) -> anyhow::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("can't replace the socket `{}`", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path)
            .with_context(|| format!("can't make the socket `{}`", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        thread::Builder::new().name("postern-control".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                let stream = match stream {
                    Ok(stream) => stream,
                    Err(error) => {
                        // Out of descriptors, most likely. It must go on: this is how accounts
                        // are suspended.
                        tracing::error!(%error, "a control connection could not be accepted");
                        thread::sleep(ACCEPT_AGAIN_AFTER);
                        continue;
                    }
                };
                let answering = answering.clone();
                // A thread each: administrators are few.
                thread::spawn(move || {
                    if let Err(error) = serve(stream, &answering) {
                        tracing::info!(error = %error, "a control connection has failed");
                    }
                });
            }
        })?;
        Ok(Self { path: path.to_owned() })
    }
}

fn serve(stream: UnixStream, answering: &Answering) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let by = peer(&stream)?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if (&mut stream).take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let reply = match serde_json::from_str(&line) {
            Ok(Request::HandOver { listen }) => match answering.hands_over(&listen) {
                Ok(listener) => {
                    taking_over::hand_over(stream.get_mut(), &listener)?;
                    tracing::info!(by, "handed over; ends with the last session");
                    // The end of this process tells the other, by the end of the connection.
                    stream.get_ref().set_read_timeout(None)?;
                    continue;
                }
                Err(why) => Reply::Refused { why },
            },
            Ok(request) => answering.answer(request, &by),
            Err(error) => Reply::Refused { why: format!("not understood: {error}") },
        };
        let reply = encode(&reply).map_err(io::Error::other)?;
        stream.get_mut().write_all(reply.as_bytes())?;
    }
}
