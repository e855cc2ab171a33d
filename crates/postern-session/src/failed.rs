//! What the server fails with, and what follows from it.

use std::sync::Arc;

use bytes::BytesMut;
use postern_model::StatementFingerprint;
use postern_sql::LookupKind;
use postern_wire::{ReportFields, SqlState, TransactionStatus};

use crate::{
    ClientFacing, Effect, Session, Shown,
    copy::CopyIn,
    expect::{Expect, OwnDoes},
    hold::{Held, LookupTouch, Observed},
    judge::{Planned, PlannedGuarded},
    moment::Part,
    named::{About, Undo},
    portal::Run,
    scrub::{gave_up, scrub},
    server::Handled,
    would::ToldPlain,
};

impl Session {
    /// An error: what was expected up to the next ReadyForQuery does not come any more.
    pub(crate) fn failed(
        &mut self,
        fields: &ReportFields<'_>,
        effects: &mut Vec<Effect>,
    ) -> Handled {
        let is_fatal = matches!(fields.severity(), Some("FATAL" | "PANIC"));
        if self.failed_moment() && !is_fatal {
            return Ok(());
        }
        if !is_fatal {
            self.gate(effects);
        }
        let (mut refusal, mut missing, mut alike) = (None, None, None);
        self.copy_in = CopyIn::No;
        self.unsettle();
        let mut dropped = self.drop_failed();
        let shown = self.failed_with(&dropped, fields);
        let mut planned = Self::planned_only(&dropped);
        // A constraint that is checked late speaks of what was written before.
        let enforced = self.profile.enforcement.is_enforced();
        let mut guarded = self.wrote;
        if let Some(failed) = dropped.first_mut() {
            refusal = masked_write(failed, fields, effects);
            // Nobody but the gateway has asked the question for the moment.
            guarded |= failed.is_guarded() || matches!(failed, Expect::Moment(_));
            if let Expect::Refusal { error, .. } = failed {
                refusal = Some((SqlState::SYNTAX_ERROR, error.clone()));
            }
            if let Some(run) = failed.run_mut().or(planned.as_mut()) {
                alike = alike_code(run, fields).filter(|_| enforced);
                missing = self.tell_failure(run, fields);
            }
        }
        self.filling.take_if(|held| held.withhold());
        if self.status == TransactionStatus::Idle {
            // What it did before in the same message goes with it.
            self.own.fails();
        }
        if self.skipping {
            self.drop_statements();
        }
        while let Some(expect) = dropped.pop() {
            self.undo(expect);
        }
        self.flush(effects);
        let mut bytes = BytesMut::new();
        let sqlstate = fields.sqlstate();
        match (refusal, missing.map(|about| about.missing())) {
            (Some((expected, error)), _) if sqlstate == Some(expected) => bytes = error,
            // The server would name it by its number.
            (_, Some(missing)) if sqlstate == Some(missing.sqlstate()) => {
                missing.encode(&mut bytes);
            }
            _ if alike.is_some() => scrub(b'E', &with_code(fields, alike), true, &mut bytes)?,
            _ => {
                let scrubs = guarded && (enforced || is_fatal || gave_up(fields));
                if guarded && !scrubs {
                    self.tell_said(shown, effects);
                }
                scrub(b'E', fields, scrubs, &mut bytes)?;
            }
        }
        self.outbox.bytes(&bytes, effects);
        // The server closes after a fatal error; so does the session.
        if is_fatal {
            self.closed = true;
            effects.push(Effect::Close);
        }
        Ok(())
    }

    /// Whether texts that were let through have begun to run before this error: not those behind
    /// the message that it is about, nor one that the server could not read.
    fn strays(&mut self, dropped: &[Expect], fields: &ReportFields<'_>) {
        let unread = match dropped.first() {
            Some(Expect::Refusal { .. }) => true,
            Some(Expect::Parse { .. } | Expect::Execute(_) | Expect::Simple(_)) => {
                is_of_grammar(fields)
            }
            Some(_) | None => false,
        };
        if unread { self.astray.unread() } else { self.astray.answers() }
    }

    /// Looks at what has failed before it is taken back; the statement on protected data in it.
    fn failed_with(&mut self, dropped: &[Expect], fields: &ReportFields<'_>) -> Option<Arc<Shown>> {
        self.strays(dropped, fields);
        self.shown_of(dropped)
    }

    /// The statement on protected data that has failed.
    fn shown_of(&self, dropped: &[Expect]) -> Option<Arc<Shown>> {
        let mut runs = dropped.iter().flat_map(Expect::runs);
        let run = runs.find_map(|run| run.portal.plan.guarded());
        let kept = || {
            let first = dropped.first()?;
            if let Expect::Parse { name, .. } = first {
                self.statements.get(name)?.plan.guarded()
            } else if let Expect::Bind { portal, .. } = first {
                self.portals.get(portal)?.plan.guarded()
            } else {
                None
            }
        };
        run.or_else(kept).map(|plan| plan.shown.clone())
    }

    /// Tells, before it leaves, that what the server says of a statement on protected data is not
    /// known: it can quote any value of it.
    pub(crate) fn tell_said(&mut self, shown: Option<Arc<Shown>>, effects: &mut Vec<Effect>) {
        const UNKNOWN: &str = "a message about what was done before with protected data";
        let unknown =
            || ToldPlain::unsure(StatementFingerprint::default(), &UNKNOWN.into()).shown.clone();
        self.holds += 1;
        let mut held = Held::new(self.holds, shown.unwrap_or_else(unknown));
        held.hold.observed = Some(Box::new(Observed { rule: None, masked: 0, unknown: true }));
        self.outbox.rows(held, effects);
    }

    /// What a Bind that has failed would have run, if the server can have met values while it
    /// planned it: its estimates apply operators to those that ANALYZE has kept.
    fn planned_only(dropped: &[Expect]) -> Option<Run> {
        let first = dropped.first()?;
        let portal = if let Expect::Bind { planned, .. } = first {
            planned.as_deref()?
        } else if matches!(first, Expect::Own { guarded: true, .. }) {
            &dropped.iter().find_map(|expect| expect.runs().next())?.portal
        } else {
            return None;
        };
        let works = portal.plan.guarded().is_some_and(PlannedGuarded::works);
        works.then(|| Run::new(portal.clone(), Undo::Nothing))
    }

    /// What the server does not answer any more because of an error in its first message: up to
    /// the end of a Query message, or up to the next Sync, which may be still to come.
    fn drop_failed(&mut self) -> Vec<Expect> {
        let mut dropped = Vec::new();
        let query = match self.expected.front() {
            // At the end of a transaction, or out of nowhere.
            None | Some(Expect::QueryReady | Expect::SyncReady) => return dropped,
            Some(Expect::Simple(_) | Expect::Refusal { query: true, .. }) => true,
            // The question at the end of a Query message ends with it.
            Some(Expect::Moment(Part::Execute)) => {
                matches!(self.expected.get(1), Some(Expect::QueryReady))
            }
            Some(_) => false,
        };
        while let Some(expect) = self.expected.pop_front() {
            let ends = matches!(expect, Expect::SyncReady | Expect::Moment(Part::Ready));
            if ends || query && expect.is_ready() {
                self.expected.push_front(expect);
                return dropped;
            }
            dropped.push(expect);
        }
        self.skipping = true;
        dropped
    }

    /// Takes back what was assumed of a message that failed or was skipped: a name that is not
    /// sure to be the server's is nobody's.
    fn undo(&mut self, expect: Expect) {
        match expect {
            Expect::Parse { name, upstream, known, .. } => {
                self.statements.remove(&name);
                if !known {
                    self.own_failed(OwnDoes::Parses(upstream));
                }
            }
            Expect::Own { does, .. } => self.own_failed(does),
            Expect::Bind { portal, .. } => {
                self.portals.remove(&portal);
            }
            Expect::CloseStatement(Some((name, statement))) => {
                self.statements.insert(name, statement);
            }
            Expect::ClosePortal(Some((name, portal))) => {
                self.portals.insert(name, portal);
            }
            Expect::Execute(run) => self.put_back(run.undo),
            Expect::Simple(runs) => {
                for run in runs.into_iter().rev() {
                    self.put_back(run.undo);
                }
            }
            Expect::CloseStatement(None)
            | Expect::ClosePortal(None)
            | Expect::DescribeStatement(_)
            | Expect::DescribePortal(_)
            | Expect::DescribeOwn(_)
            | Expect::Refusal { .. }
            | Expect::Moment(_)
            | Expect::QueryReady
            | Expect::SyncReady => {}
        }
    }

    /// What failed has been searched for all the same. And whether a statement on protected data
    /// fails can hang on the data: it is told as a search that found nothing, one for each table,
    /// before the client learns of it. Gives what is known by name of the statement's object.
    fn tell_failure(&mut self, run: &mut Run, fields: &ReportFields<'_>) -> Option<Arc<About>> {
        let sqlstate = code(fields);
        let sqlstate = sqlstate.as_str();
        let shown = alike_code(run, fields).unwrap_or(sqlstate);
        if may_hang_on_data(sqlstate, fields) {
            self.tell_failed_lookups(run, shown);
        } else {
            self.tell_misses(run);
        }
        self.tell_asked(run);
        let ends = matches!(fields.severity(), Some("FATAL" | "PANIC"));
        // What is only declared is planned all the same.
        let plan = run.portal.plan.guarded();
        // Room was found for one miss of a look-up, and that is told.
        let missed =
            plan.is_some_and(|plan| plan.looks_up(LookupKind::Compared)) && !run.lookups_told;
        if let Some(plan) = plan
            && !missed
            && !ends
            && !self.outbox.is_discarding()
            // What was charged before it ran is told already.
            && !plan.looks_up(LookupKind::Stored)
            // A person who cancels has seen how long it takes.
            && (may_hang_on_data(sqlstate, fields) || sqlstate == "57014" && plan.works())
        {
            self.tell_failed(plan, shown);
        }
        run.portal.about.clone()
    }

    /// Of a look-up that has failed it is not known whether it found somebody, on whom it failed.
    fn tell_failed_lookups(&mut self, run: &Run, sqlstate: &str) {
        let plan = match &*run.portal.plan {
            Planned::Guarded(plan) => plan,
            Planned::Copy(copy) => &copy.query,
            Planned::Plain(_) | Planned::Local(_) | Planned::Named(_) => return,
        };
        let searched = &run.portal.searched;
        if !run.lookups_told {
            let mut failed = plan.lookups(LookupKind::Compared, searched, false);
            for lookup in &mut failed {
                let failure = postern_model::FAILED;
                lookup.column = format!("{failure}{sqlstate} ({})", lookup.column).into();
            }
            self.tell_lookups_of(plan, failed);
        }
        self.tell_lookups_of(plan, plan.deciders(searched, false));
    }

    /// Tells of a failure with this code: one for each table.
    pub(crate) fn tell_failed(&mut self, plan: &PlannedGuarded, sqlstate: &str) {
        let mut relations: Vec<_> =
            plan.shown.leaves.iter().map(|leaf| leaf.relation.clone()).collect();
        relations.sort();
        relations.dedup();
        if relations.is_empty() {
            return;
        }
        if plan.looks_up(LookupKind::Compared) {
            relations.truncate(1);
        }
        let value = postern_model::Secret::new(Arc::<[u8]>::from(sqlstate.as_bytes()));
        let told = relations.into_iter().map(|relation| LookupTouch {
            column: failed_column(plan, &relation, sqlstate),
            relation,
            hit: false,
            value: value.clone(),
        });
        self.hold_row(plan, told.collect());
    }
}

/// What the ledger says of a failure: its code, and the table's columns on which it may hang.
fn failed_column(plan: &PlannedGuarded, relation: &str, sqlstate: &str) -> Arc<str> {
    let worked = plan.guarded.worked.iter().filter(|worked| *worked.relation == *relation);
    let columns: Vec<&str> = worked.map(|worked| &*worked.column).collect();
    let failed = postern_model::FAILED;
    if columns.is_empty() {
        return format!("{failed}{sqlstate}").into();
    }
    format!("{failed}{sqlstate} ({})", columns.join(", ")).into()
}

/// The code that the client gets for every failure that may hang on what is computed of protected
/// values: which of many it is would tell as much of a value as a row does.
fn alike_code(run: &Run, fields: &ReportFields<'_>) -> Option<&'static str> {
    let plan = run.portal.plan.guarded().filter(|plan| plan.works())?;
    let sqlstate = code(fields);
    let sqlstate = sqlstate.as_str();
    let class = sqlstate.get(..2).unwrap_or_default();
    // A limit of time, a lock and a text that the server does not take are said as they are, and
    // so is what a write runs into.
    let said = matches!(class, "55" | "57") || is_of_text(fields);
    let said = said || class == "23" && plan.guarded.writes;
    (!said && may_hang_on_data(sqlstate, fields)).then_some("22000")
}

/// The same with this code.
fn with_code<'f>(fields: &ReportFields<'f>, code: Option<&'static str>) -> ReportFields<'f> {
    let kept = fields.0.iter().filter(|(code, _)| *code != b'C').copied();
    ReportFields(kept.chain(code.map(|code| (b'C', code))).collect())
}

/// The error's code. What does not look like one could be anything, and is not taken for one.
fn code(fields: &ReportFields<'_>) -> SqlState {
    fields.sqlstate().unwrap_or(SqlState::INTERNAL_ERROR)
}

/// Whether the server has found it before it ran the statement: it gives a place in the text then
/// (`parser_errposition`). What fails while it runs has none, also where the code is one of a text
/// (42601 of a value that is cast to `jsonpath`).
fn is_of_text(fields: &ReportFields<'_>) -> bool {
    fields.field(b'P').is_some()
}

/// Whether the server's grammar does not know the text (`scanner_yyerror`, src/backend/parser/
/// scan.l): code and place alone may be those of a function that the text's analysis has called.
fn is_of_grammar(fields: &ReportFields<'_>) -> bool {
    code(fields) == SqlState::SYNTAX_ERROR
        && is_of_text(fields)
        && fields.field(b'R') == Some("scanner_yyerror")
}

/// What the client is told if the server found that a mask would have been stored, and the error
/// by which the server says so.
fn masked_write(
    failed: &Expect,
    fields: &ReportFields<'_>,
    effects: &mut Vec<Effect>,
) -> Option<(SqlState, BytesMut)> {
    let run = failed.runs().next()?;
    let refused = run.portal.plan.guarded()?.stores_mask(fields.message()?)?;
    let mut error = BytesMut::new();
    refused.refusal.encode(&mut error);
    effects.push(Effect::Refused(refused));
    Some((fields.sqlstate()?, error))
}

/// Whether an error can say anything of the data: not one that a person, a deadlock or the state
/// of the session brought about. A time-out can, and so can spent memory or disk: an expression
/// that takes long where it meets a row is easily written.
fn may_hang_on_data(sqlstate: &str, fields: &ReportFields<'_>) -> bool {
    let class = sqlstate.get(..2).unwrap_or_default();
    match class {
        "57" => {
            sqlstate == "57014"
                && fields.message() != Some("canceling statement due to user request")
        }
        "55" => sqlstate == "55P03",
        _ => !matches!(class, "08" | "25" | "26" | "34" | "40" | "58"),
    }
}
