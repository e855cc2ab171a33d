//! The Query message: its statements, judged and made ready to be sent.

use std::{collections::VecDeque, sync::Arc};

use bytes::BytesMut;
use postern_sql::NOTHING_DONE;
use postern_wire::{Frame, encode};

use crate::{
    Effect, Failure, Session, View,
    asked::Given,
    client::Sent,
    expect::Expect,
    judge::{Judged, Planned, Refused},
    moment::Part,
    portal::{Portal, Run},
    session::to_server,
    sharing::executes,
    steps::Step,
    ticket::stated,
};

impl Session {
    /// What a Query message with this text would be judged to be now. Nothing of it is done.
    pub fn foresee(&mut self, sql: &str, view: &mut View<'_>) -> Arc<Judged> {
        let sql = stated(sql).map_or(sql, |(sql, _)| sql);
        self.judged_by_its_own(view, |_, view| view.judge.judge(sql))
    }

    pub(crate) fn query(
        &mut self,
        frame: &Frame,
        sql: &str,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let (sql, ticket) = match stated(sql) {
            Some((sql, ticket)) => (sql, Some(ticket)),
            None => (sql, None),
        };
        let own = self.states(ticket, view);
        let &mut View { generation, now, asks, .. } = view;
        let view = &mut View { judge: view.judge, generation, entitled: &own, now, asks };
        let sent = match self.of_shape(sql, view) {
            Some(sent) => {
                self.prepare_moment(effects)?;
                vec![sent]
            }
            None => match self.by_itself(sql, view, effects)? {
                Some(sent) => sent,
                None => return Ok(()),
            },
        };
        let stated = self.states_beside(&sent);
        match stated.and_then(|()| self.message_names(frame, &sent)) {
            Ok(false) => {}
            Ok(true) => {
                self.take_back(sent);
                return Ok(());
            }
            Err(failure) => {
                self.take_back(sent);
                self.refuse_query(&failure, effects)?;
                effects.extend(failure.refused().map(Effect::Refused));
                return Ok(());
            }
        }
        // Only now is it known what each name in the message means.
        if self.charges_query(frame, &sent, || view.judge.unsure(sql), effects) {
            self.take_back(sent);
            return Ok(());
        }
        if sent.iter().any(|(_, run)| self.uncommitted(&run.portal).is_some()) {
            let steps = sent.into_iter().map(|(sql, run)| {
                let run = Box::new(run);
                Step::Statement { sql, run }
            });
            self.steps.extend(steps);
            self.steps.push_back(Step::End);
            return Ok(());
        }
        for (_, run) in &sent {
            self.tell_unenforced(&run.portal);
        }
        let asks = self.moment_behind(&sent);
        let (mut texts, runs): (Vec<String>, VecDeque<Run>) = sent.into_iter().unzip();
        texts.extend(asks.clone());
        let mut bytes = BytesMut::new();
        encode::query(&mut bytes, &texts.join(";\n"))?;
        to_server(&bytes, effects);
        self.expected.push_back(Expect::Simple(runs));
        self.expected.extend(asks.map(|_| Expect::Moment(Part::Execute)));
        self.expected.push_back(Expect::QueryReady);
        Ok(())
    }

    /// The statements of a text as they are sent; `None` if it is refused.
    fn by_itself(
        &mut self,
        sql: &str,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Vec<(String, Run)>>, encode::EncodeError> {
        let judged = view.judge.judge(sql);
        let planned = match self.checked(&judged) {
            Ok(planned) => planned,
            Err(refused) => {
                if let Some(sent) = self.let_through(sql, &refused.refusal, view) {
                    return Ok(Some(sent));
                }
                effects.push(Effect::Refused(refused.clone()));
                self.refuse_query(&refused.refusal, effects)?;
                return Ok(None);
            }
        };
        if planned.iter().any(|plan| plan.depends()) {
            self.prepare_moment(effects)?;
        }
        let empty = [Arc::new(Planned::empty())];
        let planned = if planned.is_empty() { &empty } else { planned };
        let mut sent = Vec::with_capacity(planned.len());
        for plan in planned {
            if let Some(name) = executes(plan) {
                self.prepare_synced(name, view, effects)?;
            }
            let kept = self.scale.plan(plan.clone(), 0);
            let resolved = kept.and_then(|plan| self.resolve(&plan, Given::default(), view));
            let resolved = resolved.map(|(sql, portal)| (sql, portal.with_ticket(&[])));
            let (sql, portal) = match resolved {
                Ok(resolved) => resolved,
                Err(failure) => {
                    self.take_back(sent);
                    if let Some(sent) = self.let_through(sql, &failure, view) {
                        return Ok(Some(sent));
                    }
                    self.refuse_query(&failure, effects)?;
                    effects.extend(failure.refused().map(Effect::Refused));
                    return Ok(None);
                }
            };
            let undo = self.change(&portal);
            // An empty statement between others is not answered.
            let is_local = matches!(**plan, Planned::Local(_)) && planned.len() > 1;
            let sql = if is_local { NOTHING_DONE.to_owned() } else { sql };
            sent.push((sql, Run::new(portal, undo)));
        }
        Ok(Some(sent))
    }

    fn message_names(&mut self, frame: &Frame, sent: &[(String, Run)]) -> Result<bool, Failure> {
        let portals: Vec<&Portal> = sent.iter().map(|(_, run)| &run.portal).collect();
        self.names_end_user((frame, true), &portals)
    }

    /// The plans of a text that is not refused, neither as such nor for this actor.
    fn checked<'j>(&self, judged: &'j Judged) -> Result<&'j [Arc<Planned>], Refused> {
        let planned = match judged {
            Judged::Refused(refused) => return Err(refused.clone()),
            Judged::Statements(planned) => planned,
        };
        for plan in planned {
            if let Planned::Guarded(plan) = &**plan {
                plan.checked(self.profile.actor.as_str(), &[])?;
            }
        }
        Ok(planned)
    }

    /// Nothing of what was to be sent has been.
    fn take_back(&mut self, sent: Vec<(String, Run)>) {
        for (_, run) in sent.into_iter().rev() {
            self.put_back(run.undo);
        }
    }
}
