//! Statements whose text is made when they are sent: those about prepared statements and cursors,
//! which the session keeps by name, and those whose keys can only be literals.
//!
//! On the server each prepared statement and cursor has a number that is never given to another
//! one. What the session remembers under a name may be gone on the server (a savepoint was rolled
//! back, say): then the server says so. It can never be something else than what was judged.

use std::sync::Arc;

use postern_sql::{
    Act, Arguments, Effect, LookupValue, NOTHING_DONE, OwnNames, Passed, quote::literal,
};

use crate::{
    Failure, Session, View,
    asked::Given,
    client::single,
    judge::{Planned, PlannedNamed},
    own::Changes,
    portal::{Lasts, NOTHING, Portal, Prepared, UpstreamName},
    session::ByName,
    sharing::Known,
    weight::KeptPlan,
};

/// A statement as it is sent: its text, and what executes it.
pub(crate) type Resolved = Result<(String, Portal), Failure>;

/// What an execution has to do with something that is kept by name.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// The client's name of it.
    pub(crate) name: String,
    /// The server's number of it.
    pub(crate) upstream: UpstreamName,
    pub(crate) is_cursor: bool,
    /// Rows are counted and recorded, and do not leave: it is a MOVE.
    pub(crate) moves: bool,
    pub(crate) change: Change,
}

/// A name of the client, and the server's number of what it means.
enum Kept<'a> {
    Statement(&'a str, UpstreamName),
    Cursor(&'a str, UpstreamName),
}

impl About {
    fn new(kept: Kept<'_>, moves: bool, change: Change) -> Self {
        let is_cursor = matches!(kept, Kept::Cursor(..));
        let (Kept::Statement(name, upstream) | Kept::Cursor(name, upstream)) = kept;
        Self { name: name.to_owned(), upstream, is_cursor, moves, change }
    }

    /// What the client is told if the server does not know it.
    pub(crate) fn missing(&self) -> Failure {
        let name = self.name.clone();
        if self.is_cursor { Failure::NoCursor(name) } else { Failure::NoStatement(name) }
    }
}

/// What an execution changes in what the session keeps by name.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Nothing,
    Statement(Option<Box<Prepared>>),
    Cursor(Option<Box<Portal>>),
}

impl Portal {
    /// Whether a row that is passed over would tell something and not be recorded.
    fn is_sequential(&self) -> bool {
        match &*self.plan {
            Planned::Guarded(plan) => plan.guarded.sequential,
            Planned::Plain(_) | Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => false,
        }
    }
}

impl Portal {
    /// Whether rows are passed over, by its own executions only.
    fn passes(&self) -> bool {
        self.plan.guarded().is_some_and(|plan| plan.guarded.passed.is_some())
    }
}

/// What is put back if an execution fails.
#[derive(Debug, Default)]
pub(crate) enum Undo {
    #[default]
    Nothing,
    Statement(String, Option<Prepared>),
    Cursor(String, Option<Portal>),
    Statements(ByName<Prepared>, Known),
    Portals(ByName<Portal>),
    All(Box<Forgotten>),
    /// What names meant.
    Names(Arc<OwnNames>),
}

/// What a session had before all was discarded.
#[derive(Debug)]
pub(crate) struct Forgotten {
    statements: ByName<Prepared>,
    portals: ByName<Portal>,
    known: Known,
    names: Arc<OwnNames>,
}

impl Session {
    /// The text of a statement as it is sent now, with the actor's keys as literals.
    pub(crate) fn resolve(
        &mut self,
        plan: &KeptPlan,
        given: Given<'_>,
        view: &mut View<'_>,
    ) -> Resolved {
        if let Planned::Named(named) = &**plan {
            return self.resolve_named(plan, named, given, view);
        }
        let portal = self.portal(UpstreamName(None), plan.clone(), given, view)?;
        let sql = match &**plan {
            Planned::Copy(copy) => {
                let fill = |hole| self.fill(hole, None, view);
                let query = copy.query.guarded.sql.render_literal(fill);
                format!("COPY ({query}) TO STDOUT{}", copy.options)
            }
            Planned::Guarded(plan) if plan.guarded.bounded => {
                let fill = |hole| self.fill(hole, Some(&portal.searched), view);
                plan.guarded.sql.render_literal(fill)
            }
            Planned::Plain(_) | Planned::Guarded(_) | Planned::Local(_) | Planned::Named(_) => {
                self.literal(plan, view)
            }
        };
        Ok((sql, portal))
    }

    /// The text of a query with the actor's keys in it.
    fn literal(&self, plan: &Planned, view: &View<'_>) -> String {
        match plan {
            Planned::Plain(plain) => plain.sql.clone(),
            Planned::Guarded(plan) => {
                plan.guarded.sql.render_literal(|hole| self.fill(hole, None, view))
            }
            // A local statement is sent as an empty one.
            Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => String::new(),
        }
    }

    fn resolve_named(
        &mut self,
        plan: &KeptPlan,
        named: &PlannedNamed,
        given: Given<'_>,
        view: &mut View<'_>,
    ) -> Resolved {
        let name = &named.named.name;
        match (&named.named.act, &named.query) {
            (Act::Prepare { types, source, .. }, Some(query)) => {
                self.prepare(plan, (name, types, source), query, view)
            }
            (Act::Execute(arguments), _) => self.execute_prepared(name, arguments, view),
            (Act::Declare { options, holds, .. }, Some(query)) => {
                let (sql, cursor) = self.declare((name, options, *holds), query, given, view)?;
                let (upstream, judged) = (cursor.upstream, cursor.judged.clone());
                let searched = cursor.searched.clone();
                let change = Change::Cursor(Some(Box::new(cursor)));
                let kept = Kept::Cursor(name, upstream);
                let portal = self.about(plan, kept, change, view)?;
                // The query is analysed now: this proof is that of all that is fetched. And it is
                // planned now: what decides in it is told once, by this or by what is fetched.
                Ok((sql, Portal { judged, searched, ..portal }))
            }
            (Act::Fetch { .. } | Act::Close, _)
                if self.profile.lets_through() && !self.portals.contains_key(name) =>
            {
                Err(Failure::NoCursor(name.clone()))
            }
            (Act::Deallocate, _)
                if self.profile.lets_through() && !self.statements.contains_key(name) =>
            {
                Err(Failure::NoStatement(name.clone()))
            }
            (Act::Fetch { what, moves, jumps }, _) => {
                let sequential =
                    self.portals.get(name).is_some_and(|cursor| cursor.is_sequential());
                let passes = self.portals.get(name).is_some_and(Portal::passes);
                if (*jumps && sequential || passes) && !self.profile.lets_through() {
                    return Err(Failure::CursorJump);
                }
                self.fetch(plan, name, (what, *moves), view)
            }
            (Act::Deallocate, _) => {
                let known = self.statements.get(name);
                let upstream = known.map_or(NOTHING, |known| known.upstream);
                let sql = if self.shares && known.is_some_and(|known| !known.by_sql) {
                    NOTHING_DONE.to_owned()
                } else {
                    format!("DEALLOCATE {}", upstream.statement())
                };
                let kept = Kept::Statement(name, upstream);
                Ok((sql, self.about(plan, kept, Change::Statement(None), view)?))
            }
            (Act::Close, _) => {
                let upstream = self.portals.get(name).map_or(NOTHING, |known| known.upstream);
                let sql = format!("CLOSE {}", upstream.portal());
                let kept = Kept::Cursor(name, upstream);
                Ok((sql, self.about(plan, kept, Change::Cursor(None), view)?))
            }
            (Act::ShowTicket, _) => self.show_ticket(view),
            (Act::Prepare { .. } | Act::Declare { .. }, None) => Err(Failure::NotExecutable),
        }
    }

    fn prepare(
        &mut self,
        plan: &KeptPlan,
        (name, types, source): (&str, &[String], &str),
        query: &Arc<Planned>,
        view: &View<'_>,
    ) -> Resolved {
        if self.statements.contains_key(name) {
            return Err(Failure::StatementExists(name.to_owned()));
        }
        if self.statements.len() >= self.profile.limits.names_max {
            return Err(Failure::TooManyNames);
        }
        if let Planned::Guarded(plan) = &**query {
            for asked in &plan.guarded.asked {
                asked.takes(types).map_err(|refusal| plan.unreadable(refusal))?;
            }
        }
        let (parameters, text) = match &**query {
            Planned::Plain(plain) => (plain.client_parameters.max(types.len()), plain.sql.clone()),
            Planned::Guarded(plan) => {
                let parameters = plan.guarded.client_parameters.max(types.len());
                (parameters, plan.guarded.sql.render_parameters(parameters).0)
            }
            Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => {
                return Err(Failure::NotExecutable);
            }
        };
        let upstream = self.upstream_name(name);
        // As they are read where somebody is asked about.
        let oids: Vec<u32> = types.iter().map(|name| postern_sql::key_oid(name)).collect();
        let types =
            if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
        let sql = format!("PREPARE {}{types} AS {text}", upstream.statement());
        let prepared = Prepared {
            upstream,
            sql: source.into(),
            plan: self.scale.plan(query.clone(), 2 * name.len() + source.len())?,
            judge: view.judge.identity().clone(),
            parameters,
            types: oids,
            by_sql: true,
            told_in: None,
            resolved: None,
            stated: None,
        };
        let change = Change::Statement(Some(Box::new(prepared)));
        Ok((sql, self.about(plan, Kept::Statement(name, upstream), change, view)?))
    }

    /// The plan is judged again, as for Bind.
    fn execute_prepared(
        &mut self,
        name: &str,
        arguments: &Arguments,
        view: &mut View<'_>,
    ) -> Resolved {
        let lets_through = self.profile.lets_through();
        let Some(prepared) = self.statements.get_mut(name) else {
            if lets_through {
                return Err(Failure::NoStatement(name.to_owned()));
            }
            let sql = format!("EXECUTE {}", NOTHING.statement());
            let nothing = self.scale.plan(Arc::new(Planned::empty()), 0)?;
            let kept = Kept::Statement(name, NOTHING);
            return Ok((sql, self.about(&nothing, kept, Change::Nothing, view)?));
        };
        let plan = rejudged(prepared, view).ok_or(Failure::PlanChanged)?;
        if arguments.values.len() != prepared.parameters {
            return Err(Failure::ArgumentCount(name.to_owned()));
        }
        let (upstream, types) = (prepared.upstream, prepared.types.clone());
        let values: Vec<Option<&[u8]>> =
            arguments.values.iter().map(|value| value.as_ref().map(String::as_bytes)).collect();
        let mut texts = Vec::new();
        texts.extend((!arguments.sql.is_empty()).then(|| arguments.sql.clone()));
        match &*plan {
            // What does more than to read is done by a statement of its own, or by Bind: there what
            // it does to the session is seen, and its values are looked at.
            Planned::Plain(plain) if matches!(plain.effect, Effect::Query | Effect::Write) => {}
            Planned::Guarded(guarded)
                if lets_through || !guarded.guarded.writes && guarded.guarded.checks.is_empty() =>
            {
                let read = guarded.guarded.asked.iter().filter_map(|asked| asked.parameter());
                let read = read.map(|(number, _)| number);
                let read = read.chain(guarded.guarded.passed.and_then(Passed::parameter));
                let lookups = guarded.guarded.lookups.iter().filter_map(|lookup| {
                    if let LookupValue::Parameter(number) = lookup.value {
                        Some(number)
                    } else {
                        None
                    }
                });
                let is_known = |number: usize| {
                    let value = number.checked_sub(1).and_then(|index| values.get(index));
                    value.is_some_and(Option::is_some)
                };
                let known = read.chain(lookups).all(is_known);
                if !known && !lets_through {
                    return Err(Failure::LookupArgument);
                }
                let keys =
                    guarded.parameters.iter().map(|hole| literal(&self.fill(*hole, None, view)));
                texts.extend(keys);
            }
            Planned::Plain(_)
            | Planned::Guarded(_)
            | Planned::Local(_)
            | Planned::Named(_)
            | Planned::Copy(_) => return Err(Failure::NotExecutable),
        }
        let list = if texts.is_empty() { String::new() } else { format!("({})", texts.join(", ")) };
        let sql = format!("EXECUTE {}{list}", upstream.statement());
        // That of NULL is empty; what is empty is no key and no number.
        let values: Vec<_> = values.into_iter().map(|v| v.filter(|v| !v.is_empty())).collect();
        let given = Given { types: &types, ..Given::texts(&values) };
        let mut portal = self.portal(UpstreamName(None), plan, given, view)?;
        let kept = Kept::Statement(name, upstream);
        portal.about = Some(Arc::new(About::new(kept, false, Change::Nothing)));
        Ok((sql, portal))
    }

    fn declare(
        &mut self,
        (name, options, holds): (&str, &str, bool),
        query: &Arc<Planned>,
        given: Given<'_>,
        view: &View<'_>,
    ) -> Resolved {
        if self.portals.get(name).is_some_and(|known| !known.unsure) {
            return Err(Failure::CursorExists(name.to_owned()));
        }
        if self.portals.len() >= self.profile.limits.names_max {
            return Err(Failure::TooManyNames);
        }
        let upstream = self.upstream_name(name);
        let text = self.literal(query, view);
        let hold = if holds { "WITH HOLD " } else { "" };
        let sql = format!("DECLARE {} {options}CURSOR {hold}FOR {text}", upstream.portal());
        let query = self.scale.plan(query.clone(), 2 * name.len())?;
        let lasts = if holds { Lasts::BeyondCommit } else { Lasts::Transaction };
        Ok((sql, Portal { lasts, ..self.portal(upstream, query, given, view)? }))
    }

    /// Rows of a cursor are those of its query, under the entitlements and the catalogue of its
    /// DECLARE: where that was not proven, neither is this. A MOVE over
    /// protected rows says how many there are: it is sent as a FETCH whose rows are recorded.
    fn fetch(
        &self,
        plan: &KeptPlan,
        name: &str,
        (what, moves): (&str, bool),
        view: &View<'_>,
    ) -> Resolved {
        let cursor = self
            .portals
            .get(name)
            .filter(|cursor| matches!(*cursor.plan, Planned::Plain(_) | Planned::Guarded(_)));
        if cursor.is_some_and(|cursor| cursor.judged.path != self.own.path()) {
            return Err(Failure::PathChanged);
        }
        // What it holds was not protected by the catalogue and the rules of then.
        let is_old = |cursor: &&Portal| cursor.judged.generation != view.generation;
        if cursor.filter(is_old).is_some_and(|cursor| cursor.lasts == Lasts::Session) {
            return Err(Failure::PlanChanged);
        }
        let upstream = cursor.map_or(NOTHING, |cursor| cursor.upstream);
        let held = cursor.is_some_and(|cursor| match &*cursor.plan {
            Planned::Guarded(plan) => plan.is_held(),
            Planned::Plain(_) | Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => false,
        });
        let verb = if moves && !held { "MOVE" } else { "FETCH" };
        let sql = format!("{verb} {what} FROM {}", upstream.portal());
        let kept = Kept::Cursor(name, upstream);
        let about = Some(Arc::new(About::new(kept, moves && held, Change::Nothing)));
        let portal = match cursor {
            Some(cursor) => cursor.clone(),
            None => self.portal(UpstreamName(None), plan.clone(), Given::default(), view)?,
        };
        Ok((sql, Portal { about, upstream: UpstreamName(None), ..portal }))
    }

    /// What executes a statement that gives no rows.
    fn about(
        &self,
        plan: &KeptPlan,
        kept: Kept<'_>,
        change: Change,
        view: &View<'_>,
    ) -> Result<Portal, Failure> {
        let mut portal = self.portal(UpstreamName(None), plan.clone(), Given::default(), view)?;
        portal.about = Some(Arc::new(About::new(kept, false, change)));
        Ok(portal)
    }

    /// Takes over what an execution that is being sent changes; it is put back if it fails.
    pub(crate) fn change(&mut self, portal: &Portal) -> Undo {
        self.trace(portal);
        if let Some(told) = portal.plan.unaccounted() {
            self.astray.sends(told.remains);
            self.portals.values_mut().for_each(|portal| portal.unsure = true);
            return Undo::Nothing;
        }
        if let Planned::Plain(plain) = &*portal.plan
            && portal.about.is_none()
        {
            if matches!(plain.effect, Effect::Deallocate | Effect::Discard) {
                self.moments.forget();
            }
            if plain.effect == Effect::Discard {
                self.astray.discards();
            }
            let changes = self.changes(plain, portal);
            let mut change = |does| Undo::Names(self.own.change(&changes, does));
            return match plain.effect {
                Effect::Define => change(Changes::Defines),
                Effect::Transaction if !changes.is_empty() => change(Changes::Transacts),
                Effect::Setting if !changes.is_empty() => change(Changes::Searches),
                Effect::Deallocate => {
                    Undo::Statements(std::mem::take(&mut self.statements), self.server.clear())
                }
                Effect::CloseAll => Undo::Portals(std::mem::take(&mut self.portals)),
                Effect::Discard => Undo::All(Box::new(Forgotten {
                    statements: std::mem::take(&mut self.statements),
                    portals: std::mem::take(&mut self.portals),
                    known: self.server.clear(),
                    names: self.own.discard(),
                })),
                Effect::Query
                | Effect::Write
                | Effect::Transaction
                | Effect::Setting
                | Effect::CopyIn => Undo::Nothing,
            };
        }
        let Some(about) = portal.about.as_ref() else { return Undo::Nothing };
        let name = about.name.clone();
        match &about.change {
            Change::Nothing => Undo::Nothing,
            Change::Statement(None) => {
                let known = self.statements.remove(&name);
                Undo::Statement(name, known)
            }
            Change::Statement(Some(prepared)) => {
                let known = self.statements.insert(name.clone(), (**prepared).clone());
                self.prepares |= prepared.by_sql;
                Undo::Statement(name, known)
            }
            Change::Cursor(None) => {
                let known = self.portals.remove(&name);
                Undo::Cursor(name, known)
            }
            Change::Cursor(Some(cursor)) => {
                // Whoever has the connection next has it, too.
                self.traces.kept |= cursor.lasts != Lasts::Transaction;
                let known = self.portals.insert(name.clone(), (**cursor).clone());
                Undo::Cursor(name, known)
            }
        }
    }

    /// A transaction has ended: what is left of its portals are the cursors that were to outlive
    /// it, if nothing of it was undone. What an earlier one has left stays.
    pub(crate) fn end_portals(&mut self) {
        let undone = std::mem::take(&mut self.undone);
        self.portals.retain(|_, portal| match portal.lasts {
            Lasts::Transaction => false,
            Lasts::BeyondCommit => !undone,
            Lasts::Session => true,
        });
        self.portals.values_mut().for_each(|portal| portal.lasts = Lasts::Session);
    }

    pub(crate) fn put_back(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Names(names) => self.own.put_back(names),
            Undo::Statement(name, known) => put(&mut self.statements, name, known),
            Undo::Cursor(name, known) => put(&mut self.portals, name, known),
            Undo::Statements(statements, known) => {
                self.statements = statements;
                self.server.put_back(known);
            }
            Undo::Portals(portals) => self.portals = portals,
            Undo::All(forgotten) => {
                let Forgotten { statements, portals, known, names } = *forgotten;
                (self.statements, self.portals) = (statements, portals);
                self.server.put_back(known);
                self.own.put_back(names);
            }
        }
    }

    /// Whether a statement that was prepared by the protocol still means the same objects.
    pub(crate) fn still_means(&self, prepared: &Prepared) -> bool {
        let Some(about) = prepared.resolved.as_ref().and_then(|portal| portal.about.as_ref())
        else {
            return true;
        };
        let upstream = if about.is_cursor {
            self.portals.get(&about.name).map(|known| known.upstream)
        } else {
            self.statements.get(&about.name).map(|known| known.upstream)
        };
        !matches!(about.change, Change::Nothing) || upstream.unwrap_or(NOTHING) == about.upstream
    }
}

/// The plan of what was prepared, if it is judged as it was then. Only another judge has to look: a
/// short message must not cost the analysis of a long text.
pub(crate) fn rejudged(prepared: &mut Prepared, view: &mut View<'_>) -> Option<KeptPlan> {
    if prepared.judge == *view.judge.identity() {
        return Some(prepared.plan.clone());
    }
    let judged = single(&view.judge.judge(&prepared.sql)).ok()?;
    let plan = match (&*judged, &*prepared.plan) {
        // It was prepared in SQL: the text is that of PREPARE.
        (Planned::Named(named), Planned::Plain(_) | Planned::Guarded(_)) => named.query.clone()?,
        _ => judged,
    };
    if !plan.is_same(&prepared.plan) {
        return None;
    }
    prepared.judge = view.judge.identity().clone();
    Some(prepared.plan.clone())
}

fn put<T>(map: &mut ByName<T>, name: String, known: Option<T>) {
    match known {
        Some(known) => {
            map.insert(name, known);
        }
        None => {
            map.remove(&name);
        }
    }
}
