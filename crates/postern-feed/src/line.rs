//! One line to one event. The types of [`form`] are the format; those of the model are what it
//! means.

use std::{borrow::Cow, sync::Arc};

use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Approval, ApprovalEvent, Call, Complaint, Direction,
    Event, Grade, Person, PersonEvent, Shift, Subject, SubjectChange, Ticket, TicketEvent,
    Timestamp,
};
use thiserror::Error;

use self::form::{
    AccessLine, ApprovalLine, CallLine, ComplaintLine, PersonLine, SubjectLine, Text, TicketLine,
};
use crate::{Source, pool::Pool};

mod form;
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
pub(crate) fn parse(source: Source, line: &str, pool: &mut Pool) -> Result<Parsed, LineError> {
    match source {
        Source::People => person(serde_json::from_str(line)?, pool),
        Source::Subjects => subject(serde_json::from_str(line)?, pool),
        Source::Tickets => ticket(serde_json::from_str(line)?, pool),
        Source::Calls => call(serde_json::from_str(line)?, pool),
        Source::Approvals => approval(serde_json::from_str(line)?, pool),
        Source::Access => access(serde_json::from_str(line)?, pool),
        Source::Complaints => complaint(serde_json::from_str(line)?, pool),
    }
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
    let Parsed { seen, event } =
        parse(source, line, &mut Pool::default()).map_err(|error| error.told())?;
    Ok((seen, event))
}

/// Parses a time as the format writes it.
pub(crate) fn time(text: &str) -> Result<Timestamp, LineError> {
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

impl Pool {
    fn shared(&mut self, text: Option<Text<'_>>) -> Option<Arc<str>> {
        text.map(|text| self.text(&text))
    }

    fn list(&mut self, texts: Option<Vec<Text<'_>>>) -> Vec<Arc<str>> {
        texts.unwrap_or_default().iter().map(|text| self.text(text)).collect()
    }

    fn actor(&mut self, text: &str) -> Actor {
        Actor::new(self.text(text))
    }

    fn customer(&mut self, text: &str) -> Subject {
        Subject::new(self.text(text))
    }
}

fn person(line: PersonLine<'_>, pool: &mut Pool) -> Result<Parsed, LineError> {
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
    let event = Event::Person(Person {
        ts,
        seen,
        actor: pool.actor(&line.actor),
        event,
        role: pool.shared(line.role),
        team: pool.shared(line.team),
        manager: line.manager.map(|text| pool.actor(&text)),
        employer: pool.shared(line.employer),
        queues: pool.list(line.queues),
        languages: pool.list(line.languages),
        shift,
    });
    Ok(Parsed { seen, event })
}

fn subject(line: SubjectLine<'_>, pool: &mut Pool) -> Result<Parsed, LineError> {
    let (ts, seen) = times(&line.ts, line.seen.as_deref())?;
    let event = Event::Subject(SubjectChange {
        ts,
        subject: pool.customer(&line.subject),
        queue: pool.shared(line.queue),
        language: pool.shared(line.language),
        tags: pool.list(line.tags),
    });
    Ok(Parsed { seen, event })
}

fn ticket(line: TicketLine<'_>, pool: &mut Pool) -> Result<Parsed, LineError> {
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
    let event = Event::Ticket(Ticket {
        ts,
        seen,
        ticket: pool.text(&line.ticket),
        event,
        subject: line.subject.map(|text| pool.customer(&text)),
        channel: pool.shared(line.channel),
        opened_by: pool.shared(line.opened_by),
        inbound_ref: pool.shared(line.inbound_ref),
        origin: pool.shared(line.origin),
        assignee: line.assignee.map(|text| pool.actor(&text)),
        queue: pool.shared(line.queue),
        language: pool.shared(line.language),
    });
    Ok(Parsed { seen, event })
}

fn call(line: CallLine<'_>, pool: &mut Pool) -> Result<Parsed, LineError> {
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
        call: pool.text(&line.call),
        actor: pool.actor(&line.actor),
        subject: line.subject.map(|text| pool.customer(&text)),
        direction,
        seconds: line.seconds,
        booking: pool.shared(line.booking),
    });
    Ok(Parsed { seen, event })
}

fn approval(line: ApprovalLine<'_>, pool: &mut Pool) -> Result<Parsed, LineError> {
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
        request: pool.text(&line.request),
        event,
        actor: pool.actor(&line.actor),
        by: line.by.map(|text| pool.actor(&text)),
        scope: line.scope.map(Cow::into_owned),
    });
    Ok(Parsed { seen, event })
}

/// An unknown `kind` or `grade` is read as absent: the disclosure is worth more than its label.
fn access(line: AccessLine<'_>, pool: &mut Pool) -> Result<Parsed, LineError> {
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
    let event = Event::Access(Access {
        ts,
        id: line.id.into_owned(),
        actor: pool.actor(&line.actor),
        session: pool.text(&line.session),
        client_addr: pool.shared(line.client_addr),
        device: pool.shared(line.device),
        app: pool.shared(line.app),
        statement: pool.text(&line.statement),
        kind,
        ticket: pool.shared(line.ticket),
        reason: pool.shared(line.reason),
        grade,
        subjects: line.subjects.iter().map(|text| pool.customer(text)).collect(),
        clear: pool.list(line.clear),
        masked: pool.list(line.masked),
        rows: line.rows,
        decision,
        search: pool.shared(line.search),
    });
    Ok(Parsed { seen, event })
}

fn complaint(line: ComplaintLine<'_>, pool: &mut Pool) -> Result<Parsed, LineError> {
    let (ts, seen) = times(&line.ts, line.seen.as_deref())?;
    let event = Event::Complaint(Complaint {
        ts,
        subject: pool.customer(&line.subject),
        kind: pool.text(&line.kind),
        fields: pool.list(line.fields),
    });
    Ok(Parsed { seen, event })
}
