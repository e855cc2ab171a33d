//! The events of the replay format, as types. Live they come from the ledger and the connectors,
//! otherwise from files; detectors and the tracer see no difference.

use std::sync::Arc;

use crate::{Actor, Grade, Subject, Timestamp};

/// One line of a feed. `seen` is when it reached us, equal to `ts` where it came at once; a
/// decision at a moment may use only what was seen by then.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Person(Person),
    Subject(SubjectChange),
    Ticket(Ticket),
    Call(Call),
    Approval(Approval),
    Access(Access),
    Complaint(Complaint),
}

impl Event {
    /// When it happened.
    pub fn ts(&self) -> Timestamp {
        match self {
            Self::Person(e) => e.ts,
            Self::Subject(e) => e.ts,
            Self::Ticket(e) => e.ts,
            Self::Call(e) => e.ts,
            Self::Approval(e) => e.ts,
            Self::Access(e) => e.ts,
            Self::Complaint(e) => e.ts,
        }
    }

    /// When it reached us.
    pub fn seen(&self) -> Timestamp {
        match self {
            Self::Person(e) => e.seen,
            Self::Ticket(e) => e.seen,
            Self::Subject(_)
            | Self::Call(_)
            | Self::Approval(_)
            | Self::Access(_)
            | Self::Complaint(_) => self.ts(),
        }
    }
}

/// A change in who works here.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    pub ts: Timestamp,
    pub seen: Timestamp,
    pub actor: Actor,
    pub event: PersonEvent,
    pub role: Option<Arc<str>>,
    pub team: Option<Arc<str>>,
    pub manager: Option<Actor>,
    /// `own`, or the contractor's name.
    pub employer: Option<Arc<str>>,
    pub queues: Vec<Arc<str>>,
    pub languages: Vec<Arc<str>>,
    pub shift: Option<Shift>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonEvent {
    Hired,
    Role,
    Notice,
    Left,
    Absent,
    Returned,
}

/// Working hours, as the feed states them: a time zone's name, `HH:MM` twice, days.
#[derive(Debug, Clone, PartialEq)]
pub struct Shift {
    pub tz: String,
    pub start: String,
    pub end: String,
    pub days: Vec<String>,
}

/// A change in what is known of a customer. Tags: `vip`, `employee:ACTOR`, `canary`, ...
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectChange {
    pub ts: Timestamp,
    pub subject: Subject,
    pub queue: Option<Arc<str>>,
    pub language: Option<Arc<str>>,
    pub tags: Vec<Arc<str>>,
}

/// A change of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    pub ts: Timestamp,
    pub seen: Timestamp,
    pub ticket: Arc<str>,
    pub event: TicketEvent,
    pub subject: Option<Subject>,
    /// `email`, `phone`, `chat`, `web` or `internal`.
    pub channel: Option<Arc<str>>,
    /// `customer`, or an actor.
    pub opened_by: Option<Arc<str>>,
    /// Id of the customer's own message or call.
    pub inbound_ref: Option<Arc<str>>,
    /// Opaque hash of the network address or mailbox domain that it came from.
    pub origin: Option<Arc<str>>,
    pub assignee: Option<Actor>,
    pub queue: Option<Arc<str>>,
    pub language: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketEvent {
    Opened,
    Assigned,
    Escalated,
    Note,
    Reply,
    Closed,
    Reopened,
    Linked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

/// A phone call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub ts: Timestamp,
    pub call: Arc<str>,
    pub actor: Actor,
    pub subject: Option<Subject>,
    pub direction: Direction,
    pub seconds: f64,
    pub booking: Option<Arc<str>>,
}

/// A request for access, or an answer to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    pub ts: Timestamp,
    pub request: Arc<str>,
    pub event: ApprovalEvent,
    /// Who asked.
    pub actor: Actor,
    /// Who answered.
    pub by: Option<Actor>,
    pub scope: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalEvent {
    Asked,
    Granted,
    Refused,
    Expired,
}

/// One statement that disclosed records.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    pub ts: Timestamp,
    pub id: String,
    pub actor: Actor,
    pub session: Arc<str>,
    pub client_addr: Option<Arc<str>>,
    pub device: Option<Arc<str>>,
    pub app: Option<Arc<str>>,
    /// The statement's fingerprint.
    pub statement: Arc<str>,
    pub kind: Option<AccessKind>,
    /// The ticket that the actor claimed as reason.
    pub ticket: Option<Arc<str>>,
    /// The reason that held at the time.
    pub reason: Option<Arc<str>>,
    /// Its grade; `None` where the source does not know, or where no reason held.
    pub grade: Option<Grade>,
    /// Every customer disclosed.
    pub subjects: Vec<Subject>,
    pub clear: Vec<Arc<str>>,
    pub masked: Vec<Arc<str>>,
    pub rows: u64,
    pub decision: AccessDecision,
    /// Keyed hash of the searched value.
    pub search: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessKind {
    Lookup,
    Search,
    List,
    Report,
    Export,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessDecision {
    Allow,
    Mask,
    Deny,
    Stop,
}

/// A customer reports a suspicious contact.
#[derive(Debug, Clone, PartialEq)]
pub struct Complaint {
    pub ts: Timestamp,
    pub subject: Subject,
    /// `scam_call`, `phishing` or `other`.
    pub kind: Arc<str>,
    /// The fields that the caller knew.
    pub fields: Vec<Arc<str>>,
}
