//! Typed events as lines of FEEDS.md: the way out to the forms of `form`, and the only writer of
//! them.
//!
//! Matches are written out for every kind, so that a new one does not compile until it has its word
//! in a file. What the files have no word for (a list without elements, a `seen` that equals the
//! `ts`) is left out and reads back as the same event. Where to start: [`print()`].

use std::sync::Arc;

use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Approval, ApprovalEvent, Call, Complaint, Direction,
    Event, Person, PersonEvent, Subject, SubjectChange, Ticket, TicketEvent, Timestamp,
};

use super::form::{
    AccessLine, ApprovalLine, CallLine, ComplaintLine, Day, PersonLine, ShiftLine, SubjectLine,
    Text, TicketLine,
};
use crate::Source;

/// The event's file and its line there, without the line's end.
pub(crate) fn print(event: &Event, seen: Timestamp) -> Result<(Source, String), serde_json::Error> {
    let late = (seen > event.ts()).then(|| Text::from(seen.to_string()));
    Ok(match event {
        Event::Person(e) => (Source::People, serde_json::to_string(&person(e, late))?),
        Event::Subject(e) => (Source::Subjects, serde_json::to_string(&subject(e, late))?),
        Event::Ticket(e) => (Source::Tickets, serde_json::to_string(&ticket(e, late))?),
        Event::Call(e) => (Source::Calls, serde_json::to_string(&call(e, late))?),
        Event::Approval(e) => (Source::Approvals, serde_json::to_string(&approval(e, late))?),
        Event::Access(e) => (Source::Access, serde_json::to_string(&access(e, late))?),
        Event::Complaint(e) => (Source::Complaints, serde_json::to_string(&complaint(e, late))?),
    })
}

fn text(value: Option<&Arc<str>>) -> Option<Text<'_>> {
    value.map(|value| Text::from(&**value))
}

fn list(values: &[Arc<str>]) -> Option<Vec<Text<'_>>> {
    (!values.is_empty()).then(|| values.iter().map(|value| Text::from(&**value)).collect())
}

fn name(actor: &Actor) -> Text<'_> {
    Text::from(actor.as_str())
}

fn customer(subject: &Subject) -> Text<'_> {
    Text::from(subject.as_str())
}

fn person<'a>(e: &'a Person, seen: Option<Text<'a>>) -> PersonLine<'a> {
    let event = match e.event {
        PersonEvent::Hired => "hired",
        PersonEvent::Role => "role",
        PersonEvent::Notice => "notice",
        PersonEvent::Left => "left",
        PersonEvent::Absent => "absent",
        PersonEvent::Returned => "returned",
    };
    let shift = e.shift.as_ref().map(|shift| ShiftLine {
        tz: shift.tz.clone(),
        start: shift.start.clone(),
        end: shift.end.clone(),
        days: shift.days.iter().cloned().map(Day).collect(),
    });
    PersonLine {
        ts: Text::from(e.ts.to_string()),
        seen,
        actor: name(&e.actor),
        event: Text::from(event),
        role: text(e.role.as_ref()),
        team: text(e.team.as_ref()),
        manager: e.manager.as_ref().map(name),
        employer: text(e.employer.as_ref()),
        queues: list(&e.queues),
        languages: list(&e.languages),
        shift,
    }
}

fn subject<'a>(e: &'a SubjectChange, seen: Option<Text<'a>>) -> SubjectLine<'a> {
    SubjectLine {
        ts: Text::from(e.ts.to_string()),
        seen,
        subject: customer(&e.subject),
        queue: text(e.queue.as_ref()),
        language: text(e.language.as_ref()),
        tags: list(&e.tags),
    }
}

fn ticket<'a>(e: &'a Ticket, seen: Option<Text<'a>>) -> TicketLine<'a> {
    let event = match e.event {
        TicketEvent::Opened => "opened",
        TicketEvent::Assigned => "assigned",
        TicketEvent::Escalated => "escalated",
        TicketEvent::Note => "note",
        TicketEvent::Reply => "reply",
        TicketEvent::Closed => "closed",
        TicketEvent::Reopened => "reopened",
        TicketEvent::Linked => "linked",
    };
    TicketLine {
        ts: Text::from(e.ts.to_string()),
        seen,
        ticket: Text::from(&*e.ticket),
        event: Text::from(event),
        subject: e.subject.as_ref().map(customer),
        channel: text(e.channel.as_ref()),
        opened_by: text(e.opened_by.as_ref()),
        inbound_ref: text(e.inbound_ref.as_ref()),
        origin: text(e.origin.as_ref()),
        assignee: e.assignee.as_ref().map(name),
        queue: text(e.queue.as_ref()),
        language: text(e.language.as_ref()),
    }
}

fn call<'a>(e: &'a Call, seen: Option<Text<'a>>) -> CallLine<'a> {
    let direction = match e.direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    CallLine {
        ts: Text::from(e.ts.to_string()),
        seen,
        call: Text::from(&*e.call),
        actor: name(&e.actor),
        subject: e.subject.as_ref().map(customer),
        direction: Text::from(direction),
        seconds: e.seconds,
        booking: text(e.booking.as_ref()),
    }
}

fn approval<'a>(e: &'a Approval, seen: Option<Text<'a>>) -> ApprovalLine<'a> {
    let event = match e.event {
        ApprovalEvent::Asked => "asked",
        ApprovalEvent::Granted => "granted",
        ApprovalEvent::Refused => "refused",
        ApprovalEvent::Expired => "expired",
    };
    ApprovalLine {
        ts: Text::from(e.ts.to_string()),
        seen,
        request: Text::from(&*e.request),
        event: Text::from(event),
        actor: name(&e.actor),
        by: e.by.as_ref().map(name),
        scope: e.scope.as_deref().map(Text::from),
    }
}

fn access<'a>(e: &'a Access, seen: Option<Text<'a>>) -> AccessLine<'a> {
    let kind = e.kind.map(|kind| match kind {
        AccessKind::Lookup => "lookup",
        AccessKind::Search => "search",
        AccessKind::List => "list",
        AccessKind::Report => "report",
        AccessKind::Export => "export",
    });
    let decision = match e.decision {
        AccessDecision::Allow => "allow",
        AccessDecision::Mask => "mask",
        AccessDecision::Deny => "deny",
        AccessDecision::Stop => "stop",
    };
    AccessLine {
        ts: Text::from(e.ts.to_string()),
        seen,
        id: Text::from(&*e.id),
        actor: name(&e.actor),
        session: Text::from(&*e.session),
        client_addr: text(e.client_addr.as_ref()),
        device: text(e.device.as_ref()),
        app: text(e.app.as_ref()),
        statement: Text::from(&*e.statement),
        kind: kind.map(Text::from),
        ticket: text(e.ticket.as_ref()),
        reason: text(e.reason.as_ref()),
        grade: e.grade.map(|grade| Text::from(grade.as_str())),
        subjects: e.subjects.iter().map(customer).collect(),
        clear: list(&e.clear),
        masked: list(&e.masked),
        rows: e.rows,
        decision: Text::from(decision),
        search: text(e.search.as_ref()),
    }
}

fn complaint<'a>(e: &'a Complaint, seen: Option<Text<'a>>) -> ComplaintLine<'a> {
    ComplaintLine {
        ts: Text::from(e.ts.to_string()),
        seen,
        subject: customer(&e.subject),
        kind: Text::from(&*e.kind),
        fields: list(&e.fields),
    }
}
