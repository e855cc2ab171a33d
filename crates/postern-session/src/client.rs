//! What the client asks for.

use std::{borrow::Cow, sync::Arc};

use bytes::BytesMut;
use postern_model::StatementFingerprint;
use postern_sql::{Hole, Refusal};
use postern_wire::{
    Bind, Execute, Frame, Frontend, MessageError, Parse, Target, TransactionStatus, encode,
    rewrite::{self, HiddenBind},
};

use crate::{
    ClientFacing, Effect, Failure, Judged, Session, View,
    asked::Given,
    copy::CopyIn,
    expect::{Expect, OwnDoes},
    judge::{Planned, PlannedGuarded, Refused},
    named::rejudged,
    portal::{NOTHING, Portal, Prepared, Run, UpstreamName},
    proof::Judgement,
    session::{REFUSED_SQL, to_server, write_to_server},
    sharing::{close_nothing, executes},
    ticket::stated,
    weight::{KeptPlan, Searched},
};

impl Session {
    pub(crate) fn client(&mut self, frame: &Frame, view: &mut View<'_>, effects: &mut Vec<Effect>) {
        let message = match Frontend::parse(frame) {
            Ok(message) => message,
            Err(MessageError::Utf8 { .. }) => return self.not_utf8(frame, effects),
            Err(_) => return self.close(&Failure::Protocol("malformed message"), effects),
        };
        if message != Frontend::Terminate {
            self.moments.begins();
            self.astray.begins(view.generation);
        }
        if self.waits(frame, &message) {
            return;
        }
        let done = match message {
            ref message if self.copy_in == CopyIn::Open && *message != Frontend::Terminate => {
                self.copy_in(frame, message, effects)
            }
            Frontend::Terminate => {
                self.closed = true;
                effects.push(Effect::Close);
                Ok(())
            }
            Frontend::Sync => {
                self.synced(frame.raw(), effects);
                Ok(())
            }
            // After an error everything up to Sync is dropped, as the server does.
            _ if self.skipping => Ok(()),
            Frontend::Query(sql) => self.query(frame, sql, view, effects),
            Frontend::Parse(parse) => self.parse(frame, &parse, view, effects),
            Frontend::Bind(bind) => self.bind(frame, &bind, view, effects),
            Frontend::Describe(target) => self.describe(target, view, effects),
            Frontend::Execute(execute) => self.execute(frame, &execute, view, effects),
            Frontend::Close(target) => self.close_name(target, effects),
            Frontend::Flush if self.is_apart() => Ok(()),
            Frontend::Flush => {
                self.ask_moment(effects);
                to_server(frame.raw(), effects);
                Ok(())
            }
            Frontend::FunctionCall if self.profile.lets_through() => {
                self.call_function(frame, view, effects)
            }
            Frontend::FunctionCall => self.refuse_unread(function_call(), effects),
            // Outside of COPY these are ignored by the server too: a copy may have failed while
            // the client was still sending.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => Ok(()),
            Frontend::Password(_) => {
                self.close(&Failure::Protocol("unexpected password message"), effects);
                Ok(())
            }
        };
        if done.is_err() {
            self.close(&Failure::Protocol("message can't be passed on"), effects);
        }
    }

    /// Refuses what was not judged as a statement.
    pub(crate) fn refuse_unread(&mut self, refusal: Refusal, effects: &mut Vec<Effect>) -> Sent {
        let fingerprint = StatementFingerprint::default();
        self.refuse_query(&refusal, effects)?;
        effects.push(Effect::Refused(Refused { refusal, fingerprint, statement: "".into() }));
        Ok(())
    }

    /// Answers a message that holds text in another encoding, as the server would.
    fn not_utf8(&mut self, frame: &Frame, effects: &mut Vec<Effect>) {
        let refusal = Refusal {
            sqlstate: "22021",
            rule: "encoding",
            message: "invalid byte sequence for encoding \"UTF8\"".to_owned(),
            hint: "send UTF-8; the gateway takes no other client encoding".to_owned(),
            position: None,
        };
        let done = match frame.tag() {
            _ if self.skipping => Ok(()),
            b'Q' => self.refuse_query(&refusal, effects),
            b'P' | b'B' | b'D' | b'E' | b'C' => self.refuse_in_order(&refusal, effects),
            _ => return self.close(&Failure::Protocol("malformed message"), effects),
        };
        if done.is_err() {
            self.close(&Failure::Protocol("message can't be passed on"), effects);
        }
    }

    /// What stands in a hole: an array's text, or the actor's name.
    pub(crate) fn fill(&self, hole: Hole, asked: Option<&Searched>, view: &View<'_>) -> Arc<str> {
        match hole {
            Hole::Actor => self.profile.actor.as_str().into(),
            Hole::Keys(set, key_type) => {
                let set = self.profile.key_sets.get(usize::from(set.0));
                let Some(set) = set else { return "{}".into() };
                match asked {
                    None => view.entitled.array((set, key_type), view.now),
                    Some(asked) => {
                        let asked = asked.asked.iter().map(|(_, subject)| subject);
                        view.entitled.array_among(asked, set, view.now)
                    }
                }
            }
        }
    }

    /// Refuses a message that is answered by ReadyForQuery, without a Sync of its own.
    pub(crate) fn refuse_query(
        &mut self,
        failure: &dyn ClientFacing,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let mut error = BytesMut::new();
        failure.encode(&mut error);
        let quiet = self.expected.is_empty() && self.outbox.is_empty();
        if quiet && self.status == TransactionStatus::Idle {
            encode::ready_for_query(&mut error, self.status);
            self.outbox.bytes(&error, effects);
            return Ok(());
        }
        let mut bytes = BytesMut::new();
        encode::query(&mut bytes, REFUSED_SQL)?;
        to_server(&bytes, effects);
        self.expected.push_back(Expect::Refusal { error, query: true });
        self.expected.push_back(Expect::QueryReady);
        Ok(())
    }

    fn parse(
        &mut self,
        frame: &Frame,
        parse: &Parse<'_>,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let (sql, ticket) = match stated(parse.sql) {
            Some((sql, ticket)) => (sql, Some(ticket)),
            None => (parse.sql, None),
        };
        let parse = &Parse { sql, ..parse.clone() };
        let unsure = self.is_unsure();
        if unsure && self.tells_first(frame, Some(view.judge.unsure(sql)), effects) {
            return Ok(());
        }
        let name = parse.name;
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(name) {
            return self.refuse_in_order(&Failure::StatementExists(name.to_owned()), effects);
        }
        if self.statements.len() >= self.profile.limits.names_max {
            return self.refuse_in_order(&Failure::TooManyNames, effects);
        }
        let Some(plan) = self.parse_judged(parse, view, effects)? else { return Ok(()) };
        if plan.depends() {
            self.prepare_moment(effects)?;
        }
        let Some((plan, sql, resolved)) = self.prepared(plan, parse, view, effects)? else {
            return Ok(());
        };
        // The server works out constants of a type with checks while it reads the text. What calls
        // nothing of somebody's own is told when it is bound.
        let told = plan.unaccounted().filter(|told| told.remains).cloned();
        if self.tells_first(frame, told.clone(), effects) {
            return Ok(());
        }
        if let Some(told) = &told {
            self.astray.sends(told.remains);
        }
        let told = unsure || told.is_some();
        self.send_prepared(parse, (plan, sql, resolved), (ticket, told), view, effects)
    }

    /// Sends a text to prepare, and keeps what it is under its name; whether it is `told`, and the
    /// ticket that it states.
    fn send_prepared(
        &mut self,
        parse: &Parse<'_>,
        (plan, sql, resolved): ToParse,
        (stated, told): (Option<Option<Arc<str>>>, bool),
        view: &View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let name = parse.name;
        let types = parse.types.clone();
        let used = match &*plan {
            Planned::Plain(plain) => plain.client_parameters,
            Planned::Guarded(plan) => plan.guarded.client_parameters,
            Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => 0,
        };
        let parameters = used.max(types.len());
        let (upstream, known) = match &resolved {
            None => self.statement_name(name, (&sql, &types), view.generation),
            Some(_) => (self.upstream_name(name), false),
        };
        if known {
            close_nothing(effects)?;
        } else {
            self.send_parse(upstream, (&sql, &types), effects)?;
        }
        let sql = parse.sql.into();
        let judge = view.judge.identity().clone();
        let guarded = plan.is_guarded();
        let by_sql = false;
        let told_in = told.then(|| self.astray.round());
        let prepared = Prepared {
            upstream,
            sql,
            stated,
            plan,
            judge,
            parameters,
            types,
            by_sql,
            told_in,
            resolved,
        };
        self.statements.insert(name.to_owned(), prepared);
        let name = name.to_owned();
        self.expected.push_back(Expect::Parse { name, guarded, upstream, known });
        Ok(())
    }

    /// The plan of a text to prepare; `None` if it was refused.
    fn parse_judged(
        &mut self,
        parse: &Parse<'_>,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<KeptPlan>, encode::EncodeError> {
        match single(&view.judge.judge(parse.sql)) {
            Ok(plan) => {
                let with = 2 * parse.name.len() + parse.sql.len() + 4 * parse.types.len();
                match self.scale.plan(plan, with) {
                    Ok(plan) => return Ok(Some(plan)),
                    Err(failure) => self.refuse_in_order(&failure, effects)?,
                }
            }
            Err(None) => self.refuse_in_order(&Failure::ManyStatements, effects)?,
            Err(Some(refused)) => {
                self.refuse_in_order(&refused.refusal, effects)?;
                effects.push(Effect::Refused(refused));
            }
        }
        Ok(None)
    }

    /// What is prepared for a text of that plan: a plan, its text, and what it comes to now; `None`
    /// if it was refused.
    fn prepared(
        &mut self,
        plan: KeptPlan,
        parse: &Parse<'_>,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<ToParse>, encode::EncodeError> {
        if let Planned::Guarded(guarded) = &*plan
            && let Err(refused) = guarded.takes_types(&parse.types)
        {
            let let_through = self.parse_as_it_is(parse, &refused.refusal, view);
            if let_through.is_none() {
                self.refuse_in_order(&refused.refusal, effects)?;
                effects.push(Effect::Refused(refused));
            }
            return Ok(let_through);
        }
        let parsed = self.parsed(&plan, parse, view);
        match parsed.map(|(sql, resolved)| (sql.into_owned(), resolved)) {
            Ok((sql, resolved)) => Ok(Some((plan, sql, resolved))),
            Err(failure) => {
                let let_through = self.parse_as_it_is(parse, &failure, view);
                if let_through.is_none() {
                    self.refuse_in_order(&failure, effects)?;
                }
                Ok(let_through)
            }
        }
    }

    /// The text of a statement to be prepared, and what it comes to now, if that is found out anew
    /// at each Bind.
    pub(crate) fn parsed<'p>(
        &mut self,
        plan: &'p KeptPlan,
        parse: &Parse<'_>,
        view: &mut View<'_>,
    ) -> Result<(Cow<'p, str>, Option<Box<Portal>>), Failure> {
        let sql = match &**plan {
            Planned::Named(_) | Planned::Copy(_) => {
                let (sql, portal) = self.resolve(plan, Given::default(), view)?;
                return Ok((sql.into(), Some(Box::new(portal))));
            }
            Planned::Plain(plain) => (&*plain.sql).into(),
            Planned::Local(_) => "".into(),
            // Hidden parameters come after all that the client declares, used or not.
            Planned::Guarded(plan) if parse.types.len() > plan.guarded.client_parameters => {
                plan.guarded.sql.render_parameters(parse.types.len()).0.into()
            }
            Planned::Guarded(plan) => (&*plan.sql).into(),
        };
        Ok((sql, None))
    }

    fn bind(
        &mut self,
        frame: &Frame,
        bind: &Bind<'_>,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let prepared = self.statements.get(bind.statement);
        let own = self.states(prepared.and_then(|prepared| prepared.stated.clone()), view);
        let &mut View { generation, now, asks, .. } = view;
        let mut view = View { judge: view.judge, generation, entitled: &own, now, asks };
        self.bind_as_stated(frame, bind, &mut view, effects)
    }

    fn bind_as_stated(
        &mut self,
        frame: &Frame,
        bind: &Bind<'_>,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let Some(prepared) = self.statements.get_mut(bind.statement) else {
            let failure = Failure::NoStatement(bind.statement.to_owned());
            return self.refuse_in_order(&failure, effects);
        };
        let full = self.portals.len() >= self.profile.limits.names_max;
        if full && !self.portals.contains_key(bind.portal) {
            return self.refuse_in_order(&Failure::TooManyNames, effects);
        }
        // The catalogue or the policy may have changed since the statement was prepared.
        let plan = match rejudged(prepared, view) {
            Some(plan) => plan,
            None if self.prepare_for(bind.statement, view, effects)? => {
                return self.bind_as_stated(frame, bind, view, effects);
            }
            None => return self.refuse_in_order(&Failure::PlanChanged, effects),
        };
        if self.tells_bound((frame, bind), &plan, view, effects) {
            return Ok(());
        }
        if plan.is_late() {
            return self.bind_late((frame, bind), &plan, view, effects);
        }
        let Some(prepared) = self.statements.get(bind.statement) else { return Ok(()) };
        if let Some(failure) = prepared.miscounts(bind).filter(|_| plan.unaccounted().is_none()) {
            return self.refuse_in_order(&failure, effects);
        }
        if let Planned::Guarded(plan) = &*plan
            && let Err(refused) = plan.checked(self.profile.actor.as_str(), &bind.parameters)
        {
            self.refuse_in_order(&refused.refusal, effects)?;
            effects.push(Effect::Refused(refused));
            return Ok(());
        }
        let types = prepared.types.clone();
        let name = self.portal_name(bind.portal);
        if bind.portal.is_empty() {
            self.portals.remove("");
        }
        let portal = self.portal(name, plan.clone(), Given::of(bind, &types), view);
        let portal = match portal.and_then(|portal| portal.with_token(&bind.parameters)) {
            Ok(portal) => portal.with_ticket(&bind.parameters),
            Err(failure) => return self.bind_or_refuse((frame, bind), failure, view, effects),
        };
        if self.asks_before_planning(frame, &portal, effects) {
            return Ok(());
        }
        if !self.prepare_again(bind.statement, view, effects)? {
            return Ok(());
        }
        let (upstream, statement) = (name.portal(), &self.sent_as(bind.statement));
        let upstream = Bind { portal: &upstream, statement, ..bind.clone() };
        if !self.bound(&upstream, &portal, view, effects)? {
            let failure = Failure::Protocol("format codes don't fit the statement");
            return self.refuse_in_order(&failure, effects);
        }
        let guarded = plan.is_guarded();
        let open = self.unproven(&portal);
        self.expect_bound(bind, portal, (guarded, open));
        Ok(())
    }

    /// The server's name of a prepared statement.
    fn sent_as(&self, name: &str) -> String {
        let prepared = self.statements.get(name);
        prepared.map_or(NOTHING, |prepared| prepared.upstream).statement()
    }

    /// Sends the message with the hidden parameters; not if its format codes don't fit.
    fn bound(
        &self,
        upstream: &Bind<'_>,
        portal: &Portal,
        view: &View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<bool, encode::EncodeError> {
        let Planned::Guarded(plan) = &*portal.plan else {
            write_to_server(effects, |bytes| match portal.names() {
                true => self.bind_naming(upstream, bytes),
                false => encode::bind(bytes, upstream),
            })?;
            return Ok(true);
        };
        let asked = plan.guarded.bounded.then_some(&*portal.searched);
        let hidden: Vec<Arc<str>> =
            plan.parameters.iter().map(|hole| self.fill(*hole, asked, view)).collect();
        let hidden = HiddenBind {
            parameters: &hidden.iter().map(|text| &**text).collect::<Vec<_>>(),
            visible_columns: plan.guarded.visible_columns,
            hidden_columns: plan.guarded.keys.len(),
        };
        Ok(write_to_server(effects, |bytes| rewrite::bind(bytes, upstream, &hidden)).is_ok())
    }

    /// Binds a statement whose text is made when it is sent: it is parsed once more.
    fn bind_late(
        &mut self,
        (frame, bind): (&Frame, &Bind<'_>),
        plan: &KeptPlan,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        if let Some(name) = executes(plan)
            && !self.prepare_again(name, view, effects)?
        {
            return Ok(());
        }
        let types = self.statements.get(bind.statement).map(|known| known.types.clone());
        let types = types.unwrap_or_default();
        let given = Given::of(bind, &types);
        let (sql, mut portal) = match self.resolve(plan, given, view) {
            Ok(resolved) => resolved,
            Err(failure) => return self.refuse_bound(failure, effects),
        };
        if self.asks_before_planning(frame, &portal, effects) {
            return Ok(());
        }
        portal.upstream = self.portal_name(bind.portal);
        let statement = UpstreamName(Some(self.names.next())).statement();
        let mut bytes = BytesMut::new();
        encode::parse(&mut bytes, &Parse { name: &statement, sql: &sql, types })?;
        let upstream = portal.upstream.portal();
        let upstream = Bind { portal: &upstream, statement: &statement, ..bind.clone() };
        // Rows come from FETCH and EXECUTE only; a COPY gives none by this protocol's word.
        let bound = if let Planned::Guarded(plan) = &*portal.plan {
            let hidden = HiddenBind {
                parameters: &[],
                visible_columns: plan.guarded.visible_columns,
                hidden_columns: plan.guarded.keys.len(),
            };
            rewrite::bind(&mut bytes, &upstream, &hidden)
        } else {
            encode::bind(&mut bytes, &upstream).map_err(Into::into)
        };
        if bound.is_err() {
            let failure = Failure::Protocol("format codes don't fit the statement");
            return self.refuse_in_order(&failure, effects);
        }
        encode::close(&mut bytes, Target::Statement(&statement))?;
        to_server(&bytes, effects);
        let guarded = portal.plan.is_guarded() || plan.is_guarded();
        let open = self.unproven(&portal);
        self.expected.push_back(Expect::Own { guarded, open: None, does: OwnDoes::Else });
        self.expect_bound(bind, portal, (guarded, open));
        self.expected.push_back(Expect::Own { guarded, open: None, does: OwnDoes::Else });
        Ok(())
    }

    /// A Bind was sent for this portal.
    pub(crate) fn expect_bound(
        &mut self,
        bind: &Bind<'_>,
        portal: Portal,
        (guarded, open): (bool, Option<Arc<Judgement>>),
    ) {
        let works = portal.plan.guarded().is_some_and(PlannedGuarded::works);
        let planned = works.then(|| Box::new(portal.clone()));
        let (name, portal) = (bind.portal, self.told_of(bind.statement, portal));
        self.portals.insert(name.to_owned(), portal);
        self.expected.push_back(Expect::Bind { portal: name.to_owned(), planned, guarded, open });
    }

    /// Refuses to bind what was given; what can't be read of it is an entry.
    pub(crate) fn refuse_bound(&mut self, failure: Failure, effects: &mut Vec<Effect>) -> Sent {
        self.refuse_in_order(&failure, effects)?;
        effects.extend(failure.refused().map(Effect::Refused));
        Ok(())
    }

    fn describe(
        &mut self,
        target: Target<'_>,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let expect = match target {
            Target::Statement(name) => {
                if !self.prepare_again(name, view, effects)? {
                    return Ok(());
                }
                let Some(prepared) = self.statements.get(name) else {
                    let failure = Failure::NoStatement(name.to_owned());
                    return self.refuse_in_order(&failure, effects);
                };
                if !self.still_means(prepared) {
                    return self.refuse_in_order(&Failure::PlanChanged, effects);
                }
                let name = prepared.upstream.statement();
                write_to_server(effects, |bytes| {
                    encode::describe(bytes, Target::Statement(&name))
                })?;
                Expect::DescribeStatement(prepared.described())
            }
            Target::Portal(name) => {
                let Some(portal) = self.portals.get(name) else {
                    let failure = Failure::NoPortal(name.to_owned());
                    return self.refuse_in_order(&failure, effects);
                };
                let name = portal.upstream.portal();
                write_to_server(effects, |bytes| encode::describe(bytes, Target::Portal(&name)))?;
                Expect::DescribePortal(portal.clone())
            }
        };
        self.expected.push_back(expect);
        Ok(())
    }

    fn execute(
        &mut self,
        frame: &Frame,
        execute: &Execute<'_>,
        view: &View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let Some(portal) = self.portals.get(execute.portal) else {
            return self.refuse_in_order(&Failure::NoPortal(execute.portal.to_owned()), effects);
        };
        if portal.judged.path != self.own.path() {
            // What it calls would find other things by their names.
            return self.refuse_in_order(&Failure::PathChanged, effects);
        }
        let portal = portal.clone();
        match self.names_end_user((frame, false), &[&portal]) {
            Ok(false) => {}
            Ok(true) => return Ok(()),
            Err(failure) => return self.refuse_bound(failure, effects),
        }
        if self.tells_executed(frame, &portal, view, effects)
            || self.charges(frame, &portal, effects)
        {
            return Ok(());
        }
        let max_rows = match execute.max_rows {
            // A statement that returns nothing to the client is not suspended. Nor is one that
            // writes: it would have run to its end, with rows that nobody is told of.
            _ if portal.plan.is_silent() || portal.plan.writes_guarded() => 0,
            // Rows that are passed over are not counted.
            rows if rows > 0 => {
                rows.saturating_add(i32::try_from(portal.searched.more()).unwrap_or(i32::MAX))
            }
            rows => rows,
        };
        let upstream = Execute { portal: &portal.upstream.portal(), max_rows };
        write_to_server(effects, |bytes| encode::execute(bytes, &upstream))?;
        self.sends(&portal);
        self.tell_unenforced(&portal);
        if self.unproven(&portal).is_some() {
            self.needs_moment();
        }
        self.await_copy(&portal);
        if let Some(portal) = self.portals.get_mut(execute.portal) {
            portal.told = false;
        }
        let undo = self.change(&portal);
        self.expected.push_back(Expect::Execute(Run::new(portal, undo)));
        Ok(())
    }

    fn close_name(&mut self, target: Target<'_>, effects: &mut Vec<Effect>) -> Sent {
        let mut bytes = BytesMut::new();
        let expect = match target {
            Target::Statement(name) => {
                let known = self.statements.remove_entry(name);
                // One that others may use stays.
                let own = known.as_ref().filter(|(_, known)| !self.shares || known.by_sql);
                let upstream = own.map_or(NOTHING, |(_, known)| known.upstream);
                encode::close(&mut bytes, Target::Statement(&upstream.statement()))?;
                Expect::CloseStatement(known)
            }
            Target::Portal(name) => {
                let known = self.portals.remove_entry(name);
                let upstream = known.as_ref().map_or(NOTHING, |(_, known)| known.upstream);
                encode::close(&mut bytes, Target::Portal(&upstream.portal()))?;
                Expect::ClosePortal(known)
            }
        };
        to_server(&bytes, effects);
        self.expected.push_back(expect);
        Ok(())
    }

    /// A portal that is still there makes the server refuse the same name; one that may be gone is
    /// given up, so that no name is ever another portal's.
    pub(crate) fn portal_name(&mut self, name: &str) -> UpstreamName {
        let known = self.portals.get(name).filter(|portal| !portal.unsure);
        let known = known.map(|portal| portal.upstream);
        known.unwrap_or_else(|| self.upstream_name(name))
    }

    /// A name for the server that was never used before.
    pub(crate) fn upstream_name(&mut self, name: &str) -> UpstreamName {
        if name.is_empty() {
            return UpstreamName(None);
        }
        UpstreamName(Some(self.names.next()))
    }
}

impl Prepared {
    /// What is told where it has another number of parameters than are bound. How many a text has
    /// that was not looked into only the server knows.
    fn miscounts(&self, bind: &Bind<'_>) -> Option<Failure> {
        let (given, needed) = (bind.parameters.len(), self.parameters);
        let statement = bind.statement.to_owned();
        (given != needed).then_some(Failure::ParameterCount { given, statement, needed })
    }
}

/// A plan, the text that is prepared for it, and what it comes to now.
pub(crate) type ToParse = (KeptPlan, String, Option<Box<Portal>>);

/// A message of ours can't be made; nothing was sent.
pub(crate) type Sent = Result<(), encode::EncodeError>;

/// The one plan of a text to prepare; `Err(None)` where it has several statements.
pub(crate) fn single(judged: &Judged) -> Result<Arc<Planned>, Option<Refused>> {
    match judged {
        Judged::Refused(refused) => Err(Some(refused.clone())),
        Judged::Statements(planned) => match &**planned {
            [] => Ok(Arc::new(Planned::empty())),
            [plan] => Ok(plan.clone()),
            _ => Err(None),
        },
    }
}

pub(crate) fn function_call() -> Refusal {
    Refusal {
        sqlstate: "42501",
        rule: "function_call",
        message: "function calls by the protocol's own message are not allowed".to_owned(),
        hint: "call the function in a SELECT".to_owned(),
        position: None,
    }
}
