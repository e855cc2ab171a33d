//! One line to one event. The types of [`form`] are the format; those of the model are what it
//! means.

use std::borrow::Cow;

use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Approval, ApprovalEvent, Call, Complaint, Direction,
    Event, Grade, Person, PersonEvent, Shift, Subject, SubjectChange, Text, Ticket, TicketEvent,
    Timestamp,
};
use thiserror::Error;

use self::form::{
    AccessLine, ApprovalLine, CallLine, ComplaintLine, Given, PersonLine, SubjectLine, TicketLine,
};
use crate::Source;

mod form;
mod moment;
mod plain;
mod print;
#[cfg(test)]
mod tests;

pub(crate) use self::print::print;

/// Why a line gives no event.
#[derive(Debug, Error)]
pub(crate) enum LineError {
    #[error("not an object of this file's form")]
    Json(#[from] serde_json::Error),
    #[error("`{0}` is no RFC 3339 time with offset")]
    Time(String),
    #[error("`{value}` is no value of `{key}`")]
    Value { key: &'static str, value: String },
    /// Not a bad line: a newer writer knows an event that this reader does not.
    #[error("unknown event `{0}`")]
    UnknownEvent(String),
}

impl LineError {
    /// The error with its cause, in one line.
    pub(crate) fn told(&self) -> String {
        std::error::Error::source(self)
            .map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }
}

/// An event and when it was seen; `seen` may come on any line, also where the model has no place
/// for it. It is never before `ts`.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) seen: Timestamp,
    pub(crate) event: Event,
}

/// Parses a line of the given file.
pub(crate) fn parse(source: Source, line: &str) -> Result<Parsed, LineError> {
    match source {
        Source::People => person(serde_json::from_str(line)?),
        Source::Subjects => subject(serde_json::from_str(line)?),
        Source::Tickets => ticket(form(line, plain::ticket)?),
        Source::Calls => call(form(line, plain::call)?),
        Source::Approvals => approval(serde_json::from_str(line)?),
        Source::Access => access(form(line, plain::access)?),
        Source::Complaints => complaint(serde_json::from_str(line)?),
    }
}

/// The line's object, by the reader for plain lines or by the general one.
fn form<'a, T: serde::Deserialize<'a>>(
    line: &'a str,
    plain: fn(&'a str) -> Option<T>,
) -> Result<T, LineError> {
    Ok(plain(line).map_or_else(|| serde_json::from_str(line), Ok)?)
}

/// Parses a time as the format writes it, RFC 3339.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    time(text).map_err(|error| error.to_string())
}

/// The file in which an event's line stands, and the line, without its end.
///
/// # Errors
/// If it can't be written as JSON.
pub fn event_line(event: &Event, seen: Timestamp) -> Result<(Source, String), serde_json::Error> {
    print(event, seen)
}

/// One line of a file as the event that it is, with when that was seen.
///
/// # Errors
/// A sentence that says what is wrong with the line.
pub fn parse_event(source: Source, line: &str) -> Result<(Timestamp, Event), String> {
    let Parsed { seen, event } = parse(source, line).map_err(|error| error.told())?;
    Ok((seen, event))
}

/// Parses a time as the format writes it.
pub(crate) fn time(text: &str) -> Result<Timestamp, LineError> {
    if let Some(time) = moment::usual(text) {
        return Ok(time);
    }
    let parsed: jiff::Timestamp =
        text.parse().map_err(|_source| LineError::Time(text.to_owned()))?;
    Ok(Timestamp(parsed.as_microsecond()))
}

/// `ts`, and `seen` or what stands for it.
fn times(ts: &str, seen: Option<&str>) -> Result<(Timestamp, Timestamp), LineError> {
    let ts = time(ts)?;
    let seen = seen.map_or(Ok(ts), time)?;
    Ok((ts, seen.max(ts)))
}

fn text(given: &str) -> Text {
    Text::new(given)
}

fn some(given: Option<Given<'_>>) -> Option<Text> {
    given.map(|given| text(&given))
}

fn actor(given: &str) -> Actor {
    Actor::new(text(given))
}

fn customer(given: &str) -> Subject {
    Subject::new(text(given))
}

fn person(line: PersonLine<'_>) -> Result<Parsed, LineError> {
    let (ts, seen) = times(&line.ts, line.seen.as_deref())?;
    let event = match &*line.event {
        "hired" => PersonEvent::Hired,
        "role" => PersonEvent::Role,
        "notice" => PersonEvent::Notice,
        "left" => PersonEvent::Left,
        "absent" => PersonEvent::Absent,
        "returned" => PersonEvent::Returned,
        other => return Err(LineError::UnknownEvent(other.to_owned())),
    };
    let shift = line.shift.map(|shift| Shift {
        tz: shift.tz,
        start: shift.start,
        end: shift.end,
        days: shift.days.into_iter().map(|day| day.0).collect(),
    });
    let event = Person {
        ts,
        seen,
        actor: actor(&line.actor),
        event,
        role: some(line.role),
        team: some(line.team),
        manager: line.manager.map(|given| actor(&given)),
        employer: some(line.employer),
        queues: line.queues.unwrap_or_default(),
        languages: line.languages.unwrap_or_default(),
        shift,
    };
    Ok(Parsed { seen, event: Event::Person(Box::new(event)) })
}

fn subject(line: SubjectLine<'_>) -> Result<Parsed, LineError> {
    let (ts, seen) = times(&line.ts, line.seen.as_deref())?;
    let event = Event::Subject(SubjectChange {
        ts,
        subject: customer(&line.subject),
        queue: some(line.queue),
        language: some(line.language),
        tags: line.tags.unwrap_or_default(),
    });
    Ok(Parsed { seen, event })
}

fn ticket(line: TicketLine<'_>) -> Result<Parsed, LineError> {
    let (ts, seen) = times(&line.ts, line.seen.as_deref())?;
    let event = match &*line.event {
        "opened" => TicketEvent::Opened,
        "assigned" => TicketEvent::Assigned,
        "escalated" => TicketEvent::Escalated,
        "note" => TicketEvent::Note,
        "reply" => TicketEvent::Reply,
        "closed" => TicketEvent::Closed,
        "reopened" => TicketEvent::Reopened,
        "linked" => TicketEvent::Linked,
        other => return Err(LineError::UnknownEvent(other.to_owned())),
    };
    let event = Ticket {
        ts,
        seen,
        ticket: text(&line.ticket),
        event,
        subject: line.subject.map(|given| customer(&given)),
        channel: some(line.channel),
        opened_by: some(line.opened_by),
        inbound_ref: some(line.inbound_ref),
        origin: some(line.origin),
        assignee: line.assignee.map(|given| actor(&given)),
        queue: some(line.queue),
        language: some(line.language),
    };
    Ok(Parsed { seen, event: Event::Ticket(Box::new(event)) })
}

fn call(line: CallLine<'_>) -> Result<Parsed, LineError> {
    let (ts, seen) = times(&line.ts, line.seen.as_deref())?;
    let direction = match &*line.direction {
        "in" => Direction::In,
        "out" => Direction::Out,
        other => return Err(LineError::Value { key: "direction", value: other.to_owned() }),
    };
    if line.seconds < 0.0 {
        return Err(LineError::Value { key: "seconds", value: line.seconds.to_string() });
    }
    let event = Event::Call(Call {
        ts,
        call: text(&line.call),
        actor: actor(&line.actor),
        subject: line.subject.map(|given| customer(&given)),
        direction,
        seconds: line.seconds,
        booking: some(line.booking),
    });
    Ok(Parsed { seen, event })
}

fn approval(line: ApprovalLine<'_>) -> Result<Parsed, LineError> {
    let (ts, seen) = times(&line.ts, line.seen.as_deref())?;
    let event = match &*line.event {
        "asked" => ApprovalEvent::Asked,
        "granted" => ApprovalEvent::Granted,
        "refused" => ApprovalEvent::Refused,
        "expired" => ApprovalEvent::Expired,
        other => return Err(LineError::UnknownEvent(other.to_owned())),
    };
    let event = Event::Approval(Approval {
        ts,
        request: text(&line.request),
        event,
        actor: actor(&line.actor),
        by: line.by.map(|given| actor(&given)),
        scope: line.scope.map(Cow::into_owned),
    });
    Ok(Parsed { seen, event })
}

/// An unknown `kind` or `grade` is read as absent: the disclosure is worth more than its label.
fn access(line: AccessLine<'_>) -> Result<Parsed, LineError> {
    let (ts, seen) = times(&line.ts, line.seen.as_deref())?;
    let kind = match line.kind.as_deref() {
        Some("lookup") => Some(AccessKind::Lookup),
        Some("search") => Some(AccessKind::Search),
        Some("list") => Some(AccessKind::List),
        Some("report") => Some(AccessKind::Report),
        Some("export") => Some(AccessKind::Export),
        _ => None,
    };
    let grade = match line.grade.as_deref() {
        Some("strong") => Some(Grade::Strong),
        Some("weak") => Some(Grade::Weak),
        _ => None,
    };
    let decision = match &*line.decision {
        "allow" => AccessDecision::Allow,
        "mask" => AccessDecision::Mask,
        "deny" => AccessDecision::Deny,
        "stop" => AccessDecision::Stop,
        other => return Err(LineError::Value { key: "decision", value: other.to_owned() }),
    };
    let event = Access {
        ts,
        id: text(&line.id),
        actor: actor(&line.actor),
        session: text(&line.session),
        client_addr: some(line.client_addr),
        device: some(line.device),
        app: some(line.app),
        statement: text(&line.statement),
        kind,
        ticket: some(line.ticket),
        reason: some(line.reason),
        grade,
        subjects: line.subjects.into_iter().map(Subject::new).collect(),
        clear: line.clear.unwrap_or_default(),
        masked: line.masked.unwrap_or_default(),
        rows: line.rows,
        decision,
        search: some(line.search),
    };
    Ok(Parsed { seen, event: Event::Access(Box::new(event)) })
}

fn complaint(line: ComplaintLine<'_>) -> Result<Parsed, LineError> {
    let (ts, seen) = times(&line.ts, line.seen.as_deref())?;
    let event = Event::Complaint(Complaint {
        ts,
        subject: customer(&line.subject),
        kind: text(&line.kind),
        fields: line.fields.unwrap_or_default(),
    });
    Ok(Parsed { seen, event })
}
