//! The events of the replay format, as types. Live they come from the ledger and the connectors,
//! otherwise from files; detectors and the tracer see no difference.

use crate::{Actor, Grade, Subject, Text, Timestamp};

/// One line of a feed. `seen` is when it reached us, equal to `ts` where it came at once; a
/// decision at a moment may use only what was seen by then. What is large is boxed, because events
/// are handed on often, and many may wait for their time.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Person(Box<Person>),
    Subject(SubjectChange),
    Ticket(Box<Ticket>),
    Call(Call),
    Approval(Approval),
    Access(Box<Access>),
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
    pub role: Option<Text>,
    pub team: Option<Text>,
    pub manager: Option<Actor>,
    /// `own`, or the contractor's name.
    pub employer: Option<Text>,
    pub queues: Vec<Text>,
    pub languages: Vec<Text>,
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
    pub queue: Option<Text>,
    pub language: Option<Text>,
    pub tags: Vec<Text>,
}

/// A change of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    pub ts: Timestamp,
    pub seen: Timestamp,
    pub ticket: Text,
    pub event: TicketEvent,
    pub subject: Option<Subject>,
    /// `email`, `phone`, `chat`, `web` or `internal`.
    pub channel: Option<Text>,
    /// `customer`, or an actor.
    pub opened_by: Option<Text>,
    /// Id of the customer's own message or call.
    pub inbound_ref: Option<Text>,
    /// Opaque hash of the network address or mailbox domain that it came from.
    pub origin: Option<Text>,
    pub assignee: Option<Actor>,
    pub queue: Option<Text>,
    pub language: Option<Text>,
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
    pub call: Text,
    pub actor: Actor,
    pub subject: Option<Subject>,
    pub direction: Direction,
    pub seconds: f64,
    pub booking: Option<Text>,
}

/// A request for access, or an answer to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    pub ts: Timestamp,
    pub request: Text,
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
    pub id: Text,
    pub actor: Actor,
    pub session: Text,
    pub client_addr: Option<Text>,
    pub device: Option<Text>,
    pub app: Option<Text>,
    /// The statement's fingerprint.
    pub statement: Text,
    pub kind: Option<AccessKind>,
    /// The ticket that the actor claimed as reason.
    pub ticket: Option<Text>,
    /// The reason that held at the time.
    pub reason: Option<Text>,
    /// Its grade; `None` where the source does not know, or where no reason held.
    pub grade: Option<Grade>,
    /// Every customer disclosed.
    pub subjects: Vec<Subject>,
    pub clear: Vec<Text>,
    pub masked: Vec<Text>,
    pub rows: u64,
    pub decision: AccessDecision,
    /// Keyed hash of the searched value.
    pub search: Option<Text>,
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
    pub kind: Text,
    /// The fields that the caller knew.
    pub fields: Vec<Text>,
}
