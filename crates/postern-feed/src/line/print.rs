//! Typed events as lines of FEEDS.md: the way out to the forms of `form`, and the only writer of
//! them.
//!
//! Matches are written out for every kind, so that a new one does not compile until it has its word
//! in a file. What the files have no word for (a list without elements, a `seen` that equals the
//! `ts`) is left out and reads back as the same event. Where to start: [`print()`].

use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Approval, ApprovalEvent, Call, Complaint, Direction,
    Event, Person, PersonEvent, Subject, SubjectChange, Text, Ticket, TicketEvent, Timestamp,
};

use super::form::{
    AccessLine, ApprovalLine, CallLine, ComplaintLine, Day, Given, PersonLine, ShiftLine,
    SubjectLine, TicketLine,
};
use crate::Source;

/// The event's file and its line there, without the line's end.
pub(crate) fn print(event: &Event, seen: Timestamp) -> Result<(Source, String), serde_json::Error> {
    let late = (seen > event.ts()).then(|| Given::from(seen.to_string()));
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

fn text(value: Option<&Text>) -> Option<Given<'_>> {
    value.map(|value| Given::from(&**value))
}

fn list(values: &[Text]) -> Option<Vec<Text>> {
    (!values.is_empty()).then(|| values.to_vec())
}

fn name(actor: &Actor) -> Given<'_> {
    Given::from(actor.as_str())
}

fn customer(subject: &Subject) -> Given<'_> {
    Given::from(subject.as_str())
}

fn person<'a>(e: &'a Person, seen: Option<Given<'a>>) -> PersonLine<'a> {
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
        ts: Given::from(e.ts.to_string()),
        seen,
        actor: name(&e.actor),
        event: Given::from(event),
        role: text(e.role.as_ref()),
        team: text(e.team.as_ref()),
        manager: e.manager.as_ref().map(name),
        employer: text(e.employer.as_ref()),
        queues: list(&e.queues),
        languages: list(&e.languages),
        shift,
    }
}

fn subject<'a>(e: &'a SubjectChange, seen: Option<Given<'a>>) -> SubjectLine<'a> {
    SubjectLine {
        ts: Given::from(e.ts.to_string()),
        seen,
        subject: customer(&e.subject),
        queue: text(e.queue.as_ref()),
        language: text(e.language.as_ref()),
        tags: list(&e.tags),
    }
}

fn ticket<'a>(e: &'a Ticket, seen: Option<Given<'a>>) -> TicketLine<'a> {
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
        ts: Given::from(e.ts.to_string()),
        seen,
        ticket: Given::from(&*e.ticket),
        event: Given::from(event),
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

fn call<'a>(e: &'a Call, seen: Option<Given<'a>>) -> CallLine<'a> {
    let direction = match e.direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    CallLine {
        ts: Given::from(e.ts.to_string()),
        seen,
        call: Given::from(&*e.call),
        actor: name(&e.actor),
        subject: e.subject.as_ref().map(customer),
        direction: Given::from(direction),
        seconds: e.seconds,
        booking: text(e.booking.as_ref()),
    }
}

fn approval<'a>(e: &'a Approval, seen: Option<Given<'a>>) -> ApprovalLine<'a> {
    let event = match e.event {
        ApprovalEvent::Asked => "asked",
        ApprovalEvent::Granted => "granted",
        ApprovalEvent::Refused => "refused",
        ApprovalEvent::Expired => "expired",
    };
    ApprovalLine {
        ts: Given::from(e.ts.to_string()),
        seen,
        request: Given::from(&*e.request),
        event: Given::from(event),
        actor: name(&e.actor),
        by: e.by.as_ref().map(name),
        scope: e.scope.as_deref().map(Given::from),
    }
}

fn access<'a>(e: &'a Access, seen: Option<Given<'a>>) -> AccessLine<'a> {
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
        ts: Given::from(e.ts.to_string()),
        seen,
        id: Given::from(&*e.id),
        actor: name(&e.actor),
        session: Given::from(&*e.session),
        client_addr: text(e.client_addr.as_ref()),
        device: text(e.device.as_ref()),
        app: text(e.app.as_ref()),
        statement: Given::from(&*e.statement),
        kind: kind.map(Given::from),
        ticket: text(e.ticket.as_ref()),
        reason: text(e.reason.as_ref()),
        grade: e.grade.map(|grade| Given::from(grade.as_str())),
        subjects: e.subjects.iter().map(|subject| Text::new(subject.as_str())).collect(),
        clear: list(&e.clear),
        masked: list(&e.masked),
        rows: e.rows,
        decision: Given::from(decision),
        search: text(e.search.as_ref()),
    }
}

fn complaint<'a>(e: &'a Complaint, seen: Option<Given<'a>>) -> ComplaintLine<'a> {
    ComplaintLine {
        ts: Given::from(e.ts.to_string()),
        seen,
        subject: customer(&e.subject),
        kind: Given::from(&*e.kind),
        fields: list(&e.fields),
    }
}
