//! The ticket that a client states for a statement: `/*postern.ticket='T-123'*/` at its end, as
//! sqlcommenter writes it (<https://google.github.io/sqlcommenter/spec/>); or for all that follow in
//! the session, by `SET postern.ticket = 'T-123'`, of which the server hears nothing. Like any
//! setting it is taken back when the transaction is, and may be for the transaction only.
//!
//! It is checked and not believed: a ticket that is no reason of the actor's now is a refusal, and
//! one that is narrows what is clear down to its own customer. The comment is taken off before the
//! text is judged, so that texts that differ in it are one; what is judged is what runs.

use std::{borrow::Cow, sync::Arc};

use postern_sql::{Effect, LookupValue, OwnChange, Plain, Refusal, quote::literal};

use crate::{
    Entitled, Failure, Session, View,
    asked::Given,
    judge::{Planned, PlannedGuarded},
    named::Resolved,
    portal::{Portal, Run, UpstreamName},
};

/// The longest name of a ticket.
const TICKET_BYTES_MAX: usize = 200;
/// A longer comment is not looked into.
const COMMENT_BYTES_MAX: usize = 4 * 1024;
const KEY: &str = "postern.ticket";

/// What is stated for the statements that are being handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stated {
    /// `None` if it can't be read.
    ticket: Option<Arc<str>>,
    /// It is a reason of the actor's now.
    holds: bool,
}

/// A text without the comment at its end that states a ticket, and the ticket; `None` in its place
/// if it can't be read. `None` for a text that states none.
pub(crate) fn stated(sql: &str) -> Option<(&str, Option<Arc<str>>)> {
    let trimmed = sql.trim_end_matches(|c: char| c.is_ascii_whitespace() || c == ';');
    let inner = trimmed.strip_suffix("*/")?;
    let from = inner.rfind("/*")?;
    let (before, comment) = (inner.get(..from)?, inner.get(from + 2..)?);
    if comment.contains("*/") || comment.len() > COMMENT_BYTES_MAX {
        return None;
    }
    let mut pairs = comment.split(',').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| decoded(key.trim()).as_deref() == Some(KEY))?;
    Some((before, ticket(value.trim())))
}

fn ticket(value: &str) -> Option<Arc<str>> {
    let quoted = value.strip_prefix('\'')?.strip_suffix('\'')?;
    fitting(&decoded(&quoted.replace("\\'", "'"))?)
}

/// A ticket's name, if it can be one.
fn fitting(text: &str) -> Option<Arc<str>> {
    let fits =
        !text.is_empty() && text.len() <= TICKET_BYTES_MAX && !text.chars().any(char::is_control);
    fits.then(|| text.into())
}

/// Text in which `%` and two hex digits stand for a byte (RFC 3986, 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = digit(*high)? * 16 + digit(*low)?;
        bytes.push(u8::try_from(byte).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

impl Session {
    /// Takes note of what is stated for the next statements, and looks whether it is so; whom they
    /// may see with it.
    pub(crate) fn states(
        &mut self,
        ticket: Option<Option<Arc<str>>>,
        view: &View<'_>,
    ) -> Arc<Entitled> {
        let Some(ticket) = ticket.or_else(|| self.own.ticket().cloned()) else {
            self.stated = None;
            return view.entitled.clone();
        };
        let own = ticket.as_deref().and_then(|ticket| view.entitled.for_ticket(ticket, view.now));
        self.stated = Some(Stated { ticket, holds: own.is_some() });
        match own {
            Some(own) => Arc::new(own),
            // Nothing runs on protected tables then, or nothing is enforced.
            None => view.entitled.clone(),
        }
    }

    /// What a statement changes for the session's next statements: what it says of names, and of
    /// the ticket that they go by.
    pub(crate) fn changes<'p>(&self, plain: &'p Plain, portal: &Portal) -> Cow<'p, [OwnChange]> {
        let (ticket, local) = match &plain.states {
            Some(stating) => (portal.states.as_deref().cloned(), stating.local),
            None if portal.resets() && self.own.ticket().is_some() => (None, false),
            None => return Cow::Borrowed(&plain.changes),
        };
        let ticket = OwnChange::Ticket { ticket, local };
        Cow::Owned(plain.changes.iter().cloned().chain([ticket]).collect())
    }

    /// The text that shows what is stated, as a setting's value.
    pub(crate) fn show_ticket(&self, view: &View<'_>) -> Resolved {
        let ticket = self.own.ticket().and_then(Option::as_deref).unwrap_or_default();
        let sql = format!("SELECT {}::pg_catalog.text AS \"postern.ticket\"", literal(ticket));
        let mut shown = Plain::new(sql.clone(), Effect::Setting, 0);
        shown.tag = Some("SHOW");
        let plan = self.scale.plan(Arc::new(Planned::Plain(shown.into())), 0)?;
        Ok((sql, self.portal(UpstreamName(None), plan, Given::default(), view)?))
    }

    /// Whether what a Query message holds is judged by a ticket that it states itself.
    pub(crate) fn states_beside(&self, runs: &[(String, Run)]) -> Result<(), Failure> {
        let states = runs.iter().any(|(_, run)| run.portal.states_ticket());
        let reads =
            |run: &Run| run.portal.plan.guarded().is_some_and(|p| !p.guarded.leaves.is_empty());
        if !states || !runs.iter().any(|(_, run)| reads(run)) {
            return Ok(());
        }
        Err(Failure::Said(Box::new(Refusal {
            sqlstate: "42501",
            rule: "ticket",
            message: "a ticket is stated in a message before that in which it counts".to_owned(),
            hint: "send what states it by itself".to_owned(),
            position: None,
        })))
    }

    /// The ticket that a statement goes by: one that was stated, and is so.
    pub(crate) fn claimed(&self) -> Option<Arc<str>> {
        self.stated.as_ref().filter(|stated| stated.holds)?.ticket.clone()
    }

    /// Whether a statement on protected tables may go by what is stated for it.
    pub(crate) fn is_stated_rightly(&self, plan: &PlannedGuarded) -> Result<(), Failure> {
        let Some(stated) = self.stated.as_ref().filter(|stated| !stated.holds) else {
            return Ok(());
        };
        if plan.guarded.leaves.is_empty() || !self.profile.enforcement.is_enforced() {
            return Ok(());
        }
        let message = match &stated.ticket {
            Some(ticket) => format!("ticket `{ticket}` is no reason of yours now"),
            None => "the ticket in the comment can't be read".to_owned(),
        };
        Err(plan.unreadable(Refusal {
            sqlstate: "42501",
            rule: "ticket",
            message,
            hint:
                "state an open ticket of yours, as /*postern.ticket='T-123'*/ at the end, or none"
                    .to_owned(),
            position: None,
        }))
    }
}

impl Portal {
    /// Whether it states a ticket for what follows, or none.
    pub(crate) fn states_ticket(&self) -> bool {
        matches!(&*self.plan, Planned::Plain(plain) if plain.states.is_some())
    }

    /// Keeps the ticket that such a statement states, be it a parameter.
    pub(crate) fn with_ticket(mut self, parameters: &[Option<&[u8]>]) -> Self {
        let Planned::Plain(plain) = &*self.plan else { return self };
        let Some(stating) = &plain.states else { return self };
        self.states = match &stating.ticket {
            None => None,
            Some(LookupValue::Constant(ticket)) => Some(Box::new(fitting(ticket))),
            Some(LookupValue::Parameter(_)) => {
                let given = parameters.first().copied().flatten().filter(|text| !text.is_empty());
                given.map(|text| Box::new(fitting(&String::from_utf8_lossy(text))))
            }
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_at_the_end_states_a_ticket() {
        let of = |sql| stated(sql).map(|(sql, ticket)| (sql, ticket.unwrap_or_else(|| "?".into())));
        let is = |sql, ticket: &str| Some((sql, Arc::<str>::from(ticket)));
        assert_eq!(of("SELECT 1 /*postern.ticket='T-123'*/"), is("SELECT 1 ", "T-123"));
        let sql =
            "SELECT 1 /*action='%2Fparam*d',postern.ticket='T%2F1%20a',traceparent='00-5b'*/;\n";
        assert_eq!(of(sql), is("SELECT 1 ", "T/1 a"));
        assert_eq!(of("SELECT 1 /*postern%2Eticket='it\\'s'*/"), is("SELECT 1 ", "it's"));
        assert_eq!(of("/*postern.ticket='T'*/"), is("", "T"));
        for sql in [
            "SELECT 1",
            "SELECT 1 /* postern.ticket */",
            "/*postern.ticket='T'*/ SELECT 1",
            "SELECT '/*postern.ticket=''T''*/'",
            "SELECT 1 /*a='b'*/",
            "SELECT 1 /*x*/ */",
            "*/",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
        let long = format!("/*postern.ticket='{}'*/", "T".repeat(201));
        for sql in [
            "/*postern.ticket=''*/",
            "/*postern.ticket=T*/",
            "/*postern.ticket='%0A'*/",
            "/*postern.ticket='%f'*/",
            "/*postern.ticket='%FF'*/",
            &long,
        ] {
            assert_eq!(of(sql), is("", "?"), "{sql}");
        }
    }
}
