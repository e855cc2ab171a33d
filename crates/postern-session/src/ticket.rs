//! The ticket that a client states for a statement: `/*postern.ticket='T-123'*/` at its end, as
//! sqlcommenter writes it (<https://google.github.io/sqlcommenter/spec/>); or for all that follow in
//! the session, by `SET postern.ticket = 'T-123'`, which is answered here and never sent.
//!
//! It is checked and not believed: a ticket that is no reason of the actor's now is a refusal, and
//! one that is narrows what is clear down to its own customer. The comment is taken off before the
//! text is judged, so that texts that differ in it are one; what is judged is what runs.

use std::sync::Arc;

use postern_sql::{Local, Refusal};

use crate::{
    Entitled, Failure, Session, View,
    asked::Given,
    judge::{Planned, PlannedGuarded},
    named::Undo,
    portal::{Run, UpstreamName},
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

/// What a text sets for the statements that follow it, if it is `SET postern.ticket = '…'` or takes
/// that back, and nothing else; with the tag of the answer.
pub(crate) fn setting(sql: &str) -> Option<(Option<Option<Arc<str>>>, &'static str)> {
    let text = sql.trim_matches(|c: char| c.is_ascii_whitespace() || c == ';');
    let (verb, rest) = text.split_once(|c: char| c.is_ascii_whitespace())?;
    let rest = rest.trim_start();
    let named = rest.get(..KEY.len()).filter(|name| name.eq_ignore_ascii_case(KEY))?;
    let rest = rest.get(named.len()..)?.trim_start();
    if verb.eq_ignore_ascii_case("RESET") && rest.is_empty() {
        return Some((None, "RESET"));
    }
    let is_to = |to: &&str| to.eq_ignore_ascii_case("TO ");
    let value = rest
        .strip_prefix('=')
        .or_else(|| rest.get(3..).filter(|_| rest.get(..3).as_ref().is_some_and(is_to)))?;
    if !verb.eq_ignore_ascii_case("SET") {
        return None;
    }
    let value = value.trim();
    if value.eq_ignore_ascii_case("DEFAULT") || value == "''" {
        return Some((None, "SET"));
    }
    let quoted = value.strip_prefix('\'')?.strip_suffix('\'')?;
    // A quote in it is doubled; anything else is another statement.
    let plain = quoted.replace("''", "");
    (!plain.contains('\'')).then(|| (Some(fitting(&quoted.replace("''", "'"))), "SET"))
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
        let Some(ticket) = ticket.or_else(|| self.ticket.clone()) else {
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

    /// A message that sets the ticket for those that follow, as it is sent: an empty one, which is
    /// answered here.
    pub(crate) fn sets_ticket(&mut self, sql: &str, view: &View<'_>) -> Option<(String, Run)> {
        let (ticket, tag) = setting(sql)?;
        let plan = self.scale.plan(Arc::new(Planned::Local(Local::Tag(tag))), 0).ok()?;
        let portal = self.portal(UpstreamName(None), plan, Given::default(), view).ok()?;
        self.ticket = ticket;
        Some((String::new(), Run::new(portal, Undo::Nothing)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_states_a_ticket_for_what_follows() {
        let is = |ticket: &str, tag| Some((Some(Some(ticket.into())), tag));
        assert_eq!(setting("SET postern.ticket = 'T-1'"), is("T-1", "SET"));
        assert_eq!(setting(" set Postern.Ticket TO 'it''s' ;\n"), is("it's", "SET"));
        assert_eq!(setting("SET postern.ticket='T'"), is("T", "SET"));
        assert_eq!(setting("RESET postern.ticket"), Some((None, "RESET")));
        assert_eq!(setting("SET postern.ticket TO DEFAULT"), Some((None, "SET")));
        let long = format!("SET postern.ticket = '{}'", "T".repeat(201));
        assert_eq!(setting(&long), Some((Some(None), "SET")));
        for sql in [
            "SET LOCAL postern.ticket = 'T'",
            "SET postern.tickets = 'T'",
            "SET postern.ticket = 'T'; SELECT 'x'",
            "SET postern.ticket = T",
            "SET postern.ticket",
            "RESET postern.ticket, x",
            "SET",
        ] {
            assert_eq!(setting(sql), None, "{sql}");
        }
    }

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
