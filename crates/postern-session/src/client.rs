//! What the client asks for.

use std::{borrow::Cow, collections::VecDeque, sync::Arc};

use bytes::BytesMut;
use postern_model::StatementFingerprint;
use postern_sql::{KeySet, Refusal};
use postern_wire::{
    Bind, Execute, Frame, Frontend, MessageError, Parse, Target, TransactionStatus, encode,
    rewrite::{self, HiddenBind},
};

use crate::{
    ClientFacing, Effect, Failure, Judged, Session, View,
    judge::{Planned, Refused},
    session::{Expect, Portal, Prepared, REFUSED_SQL, Run, UpstreamName, to_server},
};

impl Session {
    pub(crate) fn client(&mut self, frame: &Frame, view: &mut View<'_>, effects: &mut Vec<Effect>) {
        let message = match Frontend::parse(frame) {
            Ok(message) => message,
            Err(MessageError::Utf8 { .. }) => return self.not_utf8(frame, effects),
            Err(_) => return self.close(&Failure::Protocol("malformed message"), effects),
        };
        let done = match message {
            Frontend::Terminate => {
                self.closed = true;
                effects.push(Effect::Close);
                Ok(())
            }
            Frontend::Sync => {
                self.skipping = false;
                to_server(frame.raw(), effects);
                self.expected.push_back(Expect::SyncReady);
                Ok(())
            }
            // After an error everything up to Sync is dropped, as the server does.
            _ if self.skipping => Ok(()),
            Frontend::Query(sql) => self.query(sql, view, effects),
            Frontend::Parse(parse) => self.parse(&parse, view, effects),
            Frontend::Bind(bind) => self.bind(&bind, view, effects),
            Frontend::Describe(target) => self.describe(target, effects),
            Frontend::Execute(execute) => self.execute(&execute, effects),
            Frontend::Close(target) => self.close_name(target, effects),
            Frontend::Flush => {
                to_server(frame.raw(), effects);
                Ok(())
            }
            Frontend::FunctionCall => self.refuse_unread(function_call(), effects),
            // Outside of COPY these are ignored by the server too; COPY is refused.
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

    fn query(&mut self, sql: &str, view: &mut View<'_>, effects: &mut Vec<Effect>) -> Sent {
        let judged = view.judge.judge(sql);
        let planned = match &*judged {
            Judged::Refused(refused) => {
                effects.push(Effect::Refused(refused.clone()));
                return self.refuse_query(&refused.refusal, effects);
            }
            Judged::Statements(planned) => planned,
        };
        let mut text = String::new();
        let mut runs = VecDeque::with_capacity(planned.len());
        for plan in planned {
            if !text.is_empty() {
                text.push_str(";\n");
            }
            match &**plan {
                Planned::Plain(plain) => text.push_str(&plain.sql),
                Planned::Guarded(plan) => {
                    let keys = |set: KeySet| self.array(set, view);
                    text.push_str(&plan.guarded.sql.render_literal(keys));
                }
                // Stands for an empty statement, which says nothing between others.
                Planned::Local(_) if planned.len() > 1 => {
                    return self.refuse_unread(local_among_others(), effects);
                }
                Planned::Local(_) => {}
            }
            let unnamed = UpstreamName(None);
            runs.push_back(Run::new(Portal::new(unnamed, plan.clone(), &[], view)));
        }
        if runs.is_empty() {
            let (unnamed, empty) = (UpstreamName(None), Arc::new(Planned::empty()));
            runs.push_back(Run::new(Portal::new(unnamed, empty, &[], view)));
        }
        let mut bytes = BytesMut::new();
        encode::query(&mut bytes, &text)?;
        to_server(&bytes, effects);
        self.expected.push_back(Expect::Simple(runs));
        self.expected.push_back(Expect::QueryReady);
        Ok(())
    }

    /// Refuses what was not judged as a statement.
    fn refuse_unread(&mut self, refusal: Refusal, effects: &mut Vec<Effect>) -> Sent {
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

    /// The actor's keys of a set, as an array's text.
    fn array(&self, set: KeySet, view: &View<'_>) -> Arc<str> {
        let set = self.profile.key_sets.get(usize::from(set.0));
        set.map_or_else(|| "{}".into(), |set| view.entitled.array(set, view.now))
    }

    /// Refuses a message that is answered by ReadyForQuery, without a Sync of its own.
    fn refuse_query(&mut self, failure: &dyn ClientFacing, effects: &mut Vec<Effect>) -> Sent {
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

    fn parse(&mut self, parse: &Parse<'_>, view: &mut View<'_>, effects: &mut Vec<Effect>) -> Sent {
        let name = parse.name;
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(name) {
            return self.refuse_in_order(&Failure::StatementExists(name.to_owned()), effects);
        }
        if self.statements.len() >= self.profile.limits.names_max {
            return self.refuse_in_order(&Failure::TooManyNames, effects);
        }
        let plan = match single(&view.judge.judge(parse.sql)) {
            Ok(plan) => plan,
            Err(None) => return self.refuse_in_order(&Failure::ManyStatements, effects),
            Err(Some(refused)) => {
                self.refuse_in_order(&refused.refusal, effects)?;
                effects.push(Effect::Refused(refused));
                return Ok(());
            }
        };
        let sql: Cow<'_, str> = match &*plan {
            Planned::Plain(plain) => (&*plain.sql).into(),
            Planned::Local(_) => "".into(),
            // Hidden parameters come after all that the client declares, used or not.
            Planned::Guarded(plan) if parse.types.len() > plan.guarded.client_parameters => {
                plan.guarded.sql.render_parameters(parse.types.len()).0.into()
            }
            Planned::Guarded(plan) => (&*plan.sql).into(),
        };
        let types = parse.types.clone();
        let upstream = self.upstream_name(name);
        let message = Parse { name: &upstream.statement(), sql: &sql, types };
        let mut bytes = BytesMut::new();
        encode::parse(&mut bytes, &message)?;
        to_server(&bytes, effects);
        let prepared = Prepared { upstream, sql: parse.sql.into(), plan };
        self.statements.insert(name.to_owned(), prepared);
        self.expected.push_back(Expect::Parse { name: name.to_owned() });
        Ok(())
    }

    fn bind(&mut self, bind: &Bind<'_>, view: &mut View<'_>, effects: &mut Vec<Effect>) -> Sent {
        let Some(prepared) = self.statements.get(bind.statement) else {
            let failure = Failure::NoStatement(bind.statement.to_owned());
            return self.refuse_in_order(&failure, effects);
        };
        let full = self.portals.len() >= self.profile.limits.names_max;
        if full && !self.portals.contains_key(bind.portal) {
            return self.refuse_in_order(&Failure::TooManyNames, effects);
        }
        // The catalogue or the policy may have changed since the statement was prepared.
        let plan = match single(&view.judge.judge(&prepared.sql)) {
            Ok(plan) if plan.is_same(&prepared.plan) => plan,
            Ok(_) | Err(_) => return self.refuse_in_order(&Failure::PlanChanged, effects),
        };
        let statement = prepared.upstream.statement();
        // A portal that is still there makes the server refuse the same name.
        let name = self.portals.get(bind.portal).map(|portal| portal.upstream);
        let name = name.unwrap_or_else(|| self.upstream_name(bind.portal));
        let portal = name.portal();
        let upstream = Bind { portal: &portal, statement: &statement, ..bind.clone() };
        let mut bytes = BytesMut::new();
        match &*plan {
            Planned::Plain(_) | Planned::Local(_) => encode::bind(&mut bytes, &upstream)?,
            Planned::Guarded(plan) => {
                let arrays: Vec<Arc<str>> =
                    plan.parameters.iter().map(|set| self.array(*set, view)).collect();
                let hidden = HiddenBind {
                    parameters: &arrays.iter().map(|array| &**array).collect::<Vec<_>>(),
                    visible_columns: plan.guarded.visible_columns,
                    hidden_columns: plan.guarded.keys.len(),
                };
                if rewrite::bind(&mut bytes, &upstream, &hidden).is_err() {
                    let failure = Failure::Protocol("format codes don't fit the statement");
                    return self.refuse_in_order(&failure, effects);
                }
            }
        }
        to_server(&bytes, effects);
        let guarded = plan.is_guarded();
        let portal = Portal::new(name, plan, &bind.parameters, view);
        self.portals.insert(bind.portal.to_owned(), portal);
        self.expected.push_back(Expect::Bind { portal: bind.portal.to_owned(), guarded });
        Ok(())
    }

    fn describe(&mut self, target: Target<'_>, effects: &mut Vec<Effect>) -> Sent {
        let mut bytes = BytesMut::new();
        let expect = match target {
            Target::Statement(name) => {
                let Some(prepared) = self.statements.get(name) else {
                    let failure = Failure::NoStatement(name.to_owned());
                    return self.refuse_in_order(&failure, effects);
                };
                let name = prepared.upstream.statement();
                encode::describe(&mut bytes, Target::Statement(&name))?;
                Expect::DescribeStatement(prepared.plan.clone())
            }
            Target::Portal(name) => {
                let Some(portal) = self.portals.get(name) else {
                    let failure = Failure::NoPortal(name.to_owned());
                    return self.refuse_in_order(&failure, effects);
                };
                let name = portal.upstream.portal();
                encode::describe(&mut bytes, Target::Portal(&name))?;
                Expect::DescribePortal(portal.clone())
            }
        };
        to_server(&bytes, effects);
        self.expected.push_back(expect);
        Ok(())
    }

    fn execute(&mut self, execute: &Execute<'_>, effects: &mut Vec<Effect>) -> Sent {
        let Some(portal) = self.portals.get(execute.portal) else {
            return self.refuse_in_order(&Failure::NoPortal(execute.portal.to_owned()), effects);
        };
        let run = Run::new(portal.clone());
        let mut bytes = BytesMut::new();
        let upstream = Execute { portal: &portal.upstream.portal(), ..*execute };
        encode::execute(&mut bytes, &upstream)?;
        to_server(&bytes, effects);
        self.expected.push_back(Expect::Execute(run));
        Ok(())
    }

    fn close_name(&mut self, target: Target<'_>, effects: &mut Vec<Effect>) -> Sent {
        let mut bytes = BytesMut::new();
        let expect = match target {
            Target::Statement(name) => {
                let known = self.statements.remove_entry(name);
                let upstream = known.as_ref().map_or(NOTHING, |(_, known)| known.upstream);
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

    /// A name for the server that was never used before.
    fn upstream_name(&mut self, name: &str) -> UpstreamName {
        if name.is_empty() {
            return UpstreamName(None);
        }
        self.names += 1;
        UpstreamName(Some(self.names))
    }
}

/// A message of ours can't be made; nothing was sent.
type Sent = Result<(), encode::EncodeError>;

/// The one plan of a text to prepare; `Err(None)` where it has several statements.
fn single(judged: &Judged) -> Result<Arc<Planned>, Option<Refused>> {
    match judged {
        Judged::Refused(refused) => Err(Some(refused.clone())),
        Judged::Statements(planned) => match &**planned {
            [] => Ok(Arc::new(Planned::empty())),
            [plan] => Ok(plan.clone()),
            _ => Err(None),
        },
    }
}

/// Names no statement and no portal; names are counted from 1.
const NOTHING: UpstreamName = UpstreamName(Some(0));

fn function_call() -> Refusal {
    Refusal {
        sqlstate: "42501",
        rule: "function_call",
        message: "function calls by the protocol's own message are not allowed".to_owned(),
        hint: "call the function in a SELECT".to_owned(),
    }
}

fn local_among_others() -> Refusal {
    Refusal {
        sqlstate: "42501",
        rule: "local_among_others",
        message: "this can't be said together with other statements".to_owned(),
        hint: "send the statements one by one".to_owned(),
    }
}
