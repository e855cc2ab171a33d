//! Texts that are sent as the client wrote them, where policy is not enforced and they can't be
//! accounted.

use bytes::BytesMut;
use postern_wire::{Bind, Frame, Parse, Target, encode};

use crate::{
    ClientFacing, Effect, Failure, Judge, Session, View,
    asked::Given,
    client::{Sent, ToParse, function_call},
    expect::{Expect, OwnDoes},
    portal::{Portal, Run, UpstreamName},
    session::to_server,
};

impl Session {
    /// A text that would be refused, as the client wrote it, where nothing is refused.
    pub(crate) fn let_through(
        &mut self,
        sql: &str,
        why: &dyn ClientFacing,
        view: &View<'_>,
    ) -> Option<Vec<(String, Run)>> {
        let plan = view.judge.let_through(sql, why)?;
        let plan = self.scale.plan(plan, 0).ok()?;
        let portal = self.portal(UpstreamName(None), plan, Given::default(), view).ok()?;
        let undo = self.change(&portal);
        Some(vec![(sql.to_owned(), Run::new(portal, undo))])
    }

    /// A text to prepare as the client wrote it, where nothing is refused.
    pub(crate) fn parse_as_it_is(
        &self,
        parse: &Parse<'_>,
        why: &dyn ClientFacing,
        view: &View<'_>,
    ) -> Option<ToParse> {
        let plan = view.judge.let_through(parse.sql, why)?;
        let plan = self.scale.plan(plan, 2 * parse.name.len() + parse.sql.len()).ok()?;
        Some((plan, parse.sql.to_owned(), None))
    }

    /// The same of a text that was prepared otherwise, and can't be bound so.
    fn bound_as_it_is(
        &self,
        bind: &Bind<'_>,
        why: &dyn ClientFacing,
        view: &View<'_>,
    ) -> Option<(String, Vec<u32>, Portal)> {
        let prepared = self.statements.get(bind.statement).filter(|known| !known.by_sql)?;
        let plan = view.judge.let_through(&prepared.sql, why)?;
        let plan = self.scale.plan(plan, prepared.sql.len()).ok()?;
        let portal = self.portal(UpstreamName(None), plan, Given::default(), view).ok()?;
        Some((prepared.sql.to_string(), prepared.types.clone(), portal))
    }

    /// Binds what can't be bound as it was prepared: as the client wrote it where nothing is
    /// refused.
    pub(crate) fn bind_or_refuse(
        &mut self,
        (frame, bind): (&Frame, &Bind<'_>),
        failure: Failure,
        view: &View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let let_through = self.bound_as_it_is(bind, &failure, view);
        let Some((sql, types, mut portal)) = let_through else {
            return self.refuse_bound(failure, effects);
        };
        if self.tells_first(frame, portal.plan.unaccounted().cloned(), effects) {
            return Ok(());
        }
        portal.upstream = self.portal_name(bind.portal);
        let statement = UpstreamName(Some(self.names.next())).statement();
        let mut bytes = BytesMut::new();
        encode::parse(&mut bytes, &Parse { name: &statement, sql: &sql, types })?;
        let upstream = portal.upstream.portal();
        encode::bind(
            &mut bytes,
            &Bind { portal: &upstream, statement: &statement, ..bind.clone() },
        )?;
        encode::close(&mut bytes, Target::Statement(&statement))?;
        to_server(&bytes, effects);
        let own = || Expect::Own { guarded: false, open: None, does: OwnDoes::Else };
        self.expected.push_back(own());
        self.expect_bound(bind, portal, (false, None));
        self.expected.push_back(own());
        Ok(())
    }

    /// A function call by the protocol's own message, which nobody looks into.
    pub(crate) fn call_function(
        &mut self,
        frame: &Frame,
        view: &View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let plan = Judge::function_call(&function_call());
        let Ok(plan) = self.scale.plan(plan, 0) else {
            return self.refuse_query(&Failure::NamesTooLarge, effects);
        };
        let Ok(portal) = self.portal(UpstreamName(None), plan, Given::default(), view) else {
            return self.refuse_unread(function_call(), effects);
        };
        let undo = self.change(&portal);
        let run = [(String::new(), Run::new(portal, undo))];
        if self.charges_query(frame, &run, || view.judge.unsure(""), effects) {
            return Ok(());
        }
        to_server(frame.raw(), effects);
        self.expected.push_back(Expect::Simple(run.into_iter().map(|(_, run)| run).collect()));
        self.expected.push_back(Expect::QueryReady);
        Ok(())
    }
}
