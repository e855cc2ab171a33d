//! The session state machine between a scripted client and a scripted server.
//!
//! The input is a script: what the client says, what the server says (an honest answer, one out of
//! a list, or any bytes), what the ledger and the keeper say, in any order. The rest of the gateway
//! is played as the gateway behaves: it delivers a message only where the session wants one.
//!
//! Checked after each step: no panic; what goes out are whole messages; a hold is released once,
//! after it was recorded, and no more of it than was allowed; what waits is bounded; and in scripts
//! whose client asks for protected rows only, no row leaves other than by a release.

use std::{collections::VecDeque, sync::Arc};

use bytes::BytesMut;
use postern_model::{Actor, Grade, Reason, Subject, Timestamp};
use postern_session::{
    Effect, EndUser, Enforcement, Entitled, Hold, HoldLimits, Input, Kind, Profile, Session,
    Stopped, Unrecorded, View,
};
use postern_wire::{Backend, Frame};

use crate::wire::frames;

mod client;
mod server;
mod setting;

use self::{client::Client, server::Server, setting::Setting};

/// A client that does not read and a ledger that is slow may make so much wait.
const LIMITS: HoldLimits = HoldLimits {
    rows_max: 3,
    bytes_max: 2_048,
    value_rows_max: 2,
    names_max: 8,
    names_bytes_max: 256 * 1024,
};
/// Longer scripts say nothing new.
const STEPS_MAX: usize = 400;
/// What is in each visible cell of a row that the scripted server sends.
const MARK: &[u8] = b"SECRET";

/// What a script has led to, so that it is known whether it was worth its while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Messages of the client that were handled.
    pub client: usize,
    /// Messages of the server that were handled.
    pub server: usize,
    /// Chunks of rows that were to be recorded.
    pub holds: usize,
    /// Rows that were released.
    pub released: usize,
    /// Errors that the client got.
    pub errors: usize,
    /// The session ended.
    pub closed: bool,
}

/// Plays a script.
pub fn session(script: &[u8]) -> Seen {
    let mut script = Script(script);
    setting::with(|setting| {
        let mut drive = Drive::new(setting, &mut script);
        for _ in 0..STEPS_MAX {
            if script.0.is_empty() || drive.seen.closed {
                break;
            }
            drive.step(&mut script);
        }
        drive.seen
    })
}

/// What is left of the input.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// 0 where nothing is left.
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn number(&mut self, limit: usize) -> usize {
        usize::from(self.byte()).checked_rem(limit).unwrap_or(0)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// A message of any type with any body.
    fn frame(&mut self) -> Option<Frame> {
        let tag = self.byte();
        let count = usize::from(self.byte());
        message(tag, self.bytes(count))
    }
}

fn message(tag: u8, body: &[u8]) -> Option<Frame> {
    let length = u32::try_from(body.len() + 4).ok()?;
    let mut raw = vec![tag];
    raw.extend_from_slice(&length.to_be_bytes());
    raw.extend_from_slice(body);
    Frame::from_raw(raw.into()).ok()
}

/// A session with all around it.
struct Drive<'a> {
    session: Session,
    setting: &'a mut Setting,
    entitled: Arc<Entitled>,
    generation: u64,
    asks: bool,
    /// The client asks for nothing but rows that must be recorded.
    guarded_only: bool,
    client: Client,
    server: Server,
    /// The hold that is out, how many rows it has, and how many the ledger has allowed.
    out: Option<(u64, usize, Option<usize>)>,
    proofs: VecDeque<u64>,
    questions: VecDeque<u64>,
    cancels: usize,
    seen: Seen,
}

impl<'a> Drive<'a> {
    fn new(setting: &'a mut Setting, script: &mut Script<'_>) -> Self {
        let how = script.byte();
        let proves = how & 1 != 0;
        let profile = Profile {
            end_user: EndUser::Own,
            actor: Actor::new("ana"),
            role: "agent".into(),
            kind: Kind::Restricted,
            enforcement: Enforcement::Enforce,
            key_sets: setting.key_sets.clone(),
            proves,
            moments: proves && how & 2 != 0,
            limits: LIMITS,
        };
        let guarded_only = how & 4 != 0;
        Self {
            session: Session::new(Arc::new(profile)),
            setting,
            entitled: Arc::new(entitled(&["1", "3"])),
            generation: 1,
            asks: how & 8 != 0,
            guarded_only,
            client: Client::new(guarded_only),
            server: Server::new(),
            out: None,
            proofs: VecDeque::new(),
            questions: VecDeque::new(),
            cancels: 0,
            seen: Seen::default(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.byte() % 16 {
            0..=3 => {
                for frame in self.client.says(script) {
                    self.client_says(frame);
                }
            }
            4 => {
                // What is no statement of the list could ask for anything.
                let frame = script.frame();
                let free = |frame: &Frame| !self.guarded_only || !b"QP".contains(&frame.tag());
                if let Some(frame) = frame.filter(free) {
                    self.client_says(frame);
                }
            }
            5..=9 => {
                for _ in 0..=script.number(6) {
                    let Some(frame) = self.server.answers() else { break };
                    self.server_says(frame);
                }
            }
            10 => {
                for frame in server::any(script) {
                    self.server_says(frame);
                }
            }
            11 => {
                if let Some(frame) = script.frame() {
                    self.server_says(frame);
                }
            }
            12 | 13 => self.recorded(script),
            14 => self.proven(script),
            _ => self.else_happens(script),
        }
    }

    fn client_says(&mut self, frame: Frame) {
        if self.session.takes_client() {
            self.seen.client += 1;
            self.handle(Input::Client(frame));
        }
    }

    fn server_says(&mut self, frame: Frame) {
        if self.session.wants_server() {
            let length = frame.raw().len();
            self.seen.server += 1;
            self.handle(Input::Server(frame));
            // The chunk that fills, the queue, notices that wait, and the message itself; a row
            // without bytes weighs what the ledger is told of it.
            let most = 3 * LIMITS.bytes_max + LIMITS.rows_max * 512 + length;
            let waiting = self.session.waiting_bytes();
            assert!(waiting <= most, "{waiting} bytes wait, {most} may");
        }
    }

    fn recorded(&mut self, script: &mut Script<'_>) {
        let Some((hold, rows, recorded)) = self.out.as_mut() else { return };
        if recorded.is_some() {
            return;
        }
        let (hold, rows) = (*hold, *rows);
        let input = match script.byte() % 8 {
            0 => {
                self.out = None;
                let why = if script.byte() < 128 { Unrecorded::Full } else { Unrecorded::Failed };
                Input::NotRecorded { hold, why }
            }
            1 => {
                let allowed = script.number(rows + 1);
                *recorded = Some(allowed);
                Input::Recorded { hold, allowed, stopped: Some(stopped()) }
            }
            _ => {
                *recorded = Some(rows);
                Input::Recorded { hold, allowed: rows, stopped: None }
            }
        };
        self.handle(input);
    }

    fn proven(&mut self, script: &mut Script<'_>) {
        let Some(proof) = self.proofs.pop_front() else { return };
        let generation = match script.byte() % 8 {
            0 => None,
            1 => Some(self.generation + 1),
            _ => Some(self.generation),
        };
        self.handle(Input::Proven { proof, generation });
    }

    fn else_happens(&mut self, script: &mut Script<'_>) {
        match script.byte() % 6 {
            0 => self.entitled = Arc::new(entitled(&["1"])),
            1 => self.entitled = Arc::new(entitled(&["1", "2", "3"])),
            2 => self.generation += 1,
            3 if self.cancels > 0 => {
                self.cancels -= 1;
                self.handle(Input::Cancelled);
            }
            _ => {
                let Some(question) = self.questions.pop_front() else { return };
                let answer = match script.byte() % 8 {
                    0 => Err(Unrecorded::Failed),
                    1 => Ok(Some(stopped())),
                    _ => Ok(None),
                };
                self.handle(Input::Asked { question, answer });
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let mut effects = Vec::new();
        let mut view = View {
            judge: &mut self.setting.judge,
            generation: self.generation,
            entitled: &self.entitled,
            now: Timestamp(0),
            asks: self.asks,
        };
        self.session.handle(input, &mut view, &mut effects);
        assert!(effects.is_empty() || !self.seen.closed, "something happens after the end");
        for effect in effects {
            self.apply(effect);
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::ToServer(bytes) => {
                for frame in whole(&bytes) {
                    self.server.hears(&frame);
                }
            }
            Effect::ToClient(bytes) => {
                for frame in whole(&bytes) {
                    self.client_hears(&frame);
                }
            }
            Effect::Hold(hold) => self.hold(&hold),
            Effect::Release { hold, rows } => {
                let Some((out, _, Some(allowed))) = self.out.take() else {
                    panic!("what is not recorded is released")
                };
                assert_eq!(out, hold, "another hold is released");
                assert!(rows <= allowed, "{rows} rows are released, {allowed} are allowed");
                self.seen.released += rows;
            }
            Effect::Ask { question, .. } => self.questions.push_back(question),
            // The keeper answers each proof once, the server's moment where it is known.
            Effect::Prove { proof } => self.proofs.push_back(proof),
            Effect::CancelUpstream => self.cancels += 1,
            Effect::Close => self.seen.closed = true,
            Effect::Name(_) => panic!("who speaks for itself names somebody"),
            Effect::Moment { .. }
            | Effect::Tell(_)
            | Effect::Refused(_)
            | Effect::Wrote(_)
            | Effect::ReadReasons
            | Effect::Defined => {}
        }
    }

    fn hold(&mut self, hold: &Hold) {
        assert!(self.out.is_none(), "two holds are out");
        let bytes: usize = hold.rows.iter().map(|row| row.bytes).sum();
        assert_eq!(bytes, hold.bytes.len(), "rows and their bytes differ");
        let messages = whole(&hold.bytes).len();
        assert!(messages <= hold.rows.len(), "more messages than rows are held");
        self.seen.holds += 1;
        self.out = Some((hold.id, hold.rows.len(), None));
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only rows and errors are looked at")]
    fn client_hears(&mut self, frame: &Frame) {
        let message = Backend::parse(frame);
        let Ok(message) = message else { panic!("the client gets a malformed message") };
        let shows = match message {
            Backend::DataRow(row) => row.cells().flatten().any(is_marked),
            Backend::CopyData(data) => is_marked(data),
            Backend::ErrorResponse(fields) => {
                self.seen.errors += 1;
                assert!(fields.sqlstate().is_some(), "an error without a code");
                false
            }
            _ => false,
        };
        assert!(!shows || !self.guarded_only, "a protected row leaves without a receipt");
    }
}

fn is_marked(text: &[u8]) -> bool {
    text.windows(MARK.len()).any(|window| window == MARK)
}

/// The messages in these bytes, which are nothing else.
fn whole(bytes: &BytesMut) -> Vec<Frame> {
    let frames = frames(bytes);
    let taken: usize = frames.iter().map(|frame| frame.raw().len()).sum();
    assert_eq!(taken, bytes.len(), "half a message goes out");
    frames
}

fn stopped() -> Stopped {
    Stopped { counter: "masked_subjects", max: 2, window: "1h".to_owned() }
}

fn entitled(subjects: &[&str]) -> Entitled {
    let reason = Reason { name: "ticket".into(), grade: Grade::Strong };
    let held = subjects.iter().map(|subject| (Subject::new(*subject), reason.clone()));
    Entitled::new(held, Timestamp(1_000_000))
}
