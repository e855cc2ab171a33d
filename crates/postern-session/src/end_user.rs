//! Whom an application's statements are for.
//!
//! The shared account of an application speaks for nobody until it names an end user by a token.
//! Then its statements are judged, recorded and charged as the end user's. Who that is is found out
//! outside ([`Effect::Name`], [`Input::Named`]), while nothing else is under way: what was sent
//! before is for whom it was sent. What can't be found out leaves nobody, so that a request whose
//! token is refused is not served as the one before it.

use std::sync::Arc;

use bytes::BytesMut;
use postern_model::{Secret, Timestamp};
use postern_sql::{Effect as Does, LookupValue, OwnChange, Refusal};
use postern_wire::{Bind, Frame, TransactionStatus, encode, encode::EncodeError};

use crate::{
    Effect, Failure, Profile, Session, View,
    client::{Sent, single},
    expect::{Expect, OwnDoes},
    judge::{Planned, PlannedGuarded},
    portal::{Portal, Prepared},
    session::to_server,
};

/// A longer token is refused unread; the longest that is looked at is shorter.
const TOKEN_BYTES_MAX: usize = 32 * 1024;

/// Whom an account's statements are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndUser {
    /// Whoever has logged in.
    Own,
    /// An application has not said it.
    Nobody,
    /// The actor, whom an application has named; until then.
    Until(Timestamp),
}

/// What is to be found out about whom the next statements are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// Whom this token names.
    Token {
        token: Secret<Arc<str>>,
        /// Until the transaction ends; then [`Naming::Back`].
        local: bool,
    },
    /// They are for nobody.
    Nobody,
    /// They are for whom they were for before the transaction.
    Back,
}

/// A change that waits or is being found out.
#[derive(Debug)]
pub(crate) struct Pending {
    naming: Naming,
    /// What the client has sent, and whether it is a Query; none where a transaction has ended.
    message: Option<(Frame, bool)>,
    stage: Stage,
    /// What the client has sent to be named behind it.
    behind: Option<Box<Pending>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// For what is under way to end.
    Waiting,
    Asked,
    /// It is found out; the message is being handled.
    Named,
}

/// For how long the end user is named.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    /// Until the transaction ends.
    local: bool,
    /// Its end was sent.
    over: bool,
    /// There is a savepoint in the transaction.
    saved: bool,
    /// The end user was named behind one.
    renamed: bool,
    /// The end user was named for longer than a transaction, and the server has not said since then
    /// that none is open: it takes the name back with all else if that fails or is rolled back.
    unsettled: bool,
}

impl Session {
    /// Whether the statements that are about to be sent change whom statements are for, so that
    /// their message has to wait.
    ///
    /// # Errors
    /// What is told the client if they may not.
    pub(crate) fn names_end_user(
        &mut self,
        (frame, query): (&Frame, bool),
        portals: &[&Portal],
    ) -> Result<bool, Failure> {
        if self.profile.end_user == EndUser::Own && !portals.iter().any(|portal| portal.names()) {
            return Ok(false);
        }
        if self.pending.as_ref().is_some_and(|pending| pending.stage == Stage::Named) {
            return Ok(false);
        }
        let Some(naming) = self.naming(portals)? else {
            self.follow_transaction(portals);
            return Ok(false);
        };
        let message = Some((frame.clone(), query));
        let (stage, behind) = (Stage::Waiting, None);
        self.pending = Some(Pending { naming, message, stage, behind });
        Ok(true)
    }

    fn naming(&self, portals: &[&Portal]) -> Result<Option<Naming>, Failure> {
        let Some(named) = portals.iter().find(|portal| portal.names()) else {
            return self.dropped(portals);
        };
        let Planned::Plain(plain) = &*named.plan else { return Ok(None) };
        let Some(said) = &plain.end_user else { return Ok(None) };
        if self.profile.end_user == EndUser::Own {
            return Err(refused("this account speaks for itself and names no end user", ""));
        }
        if portals.len() > 1 {
            let hint = "send it by itself, before what it is for";
            return Err(refused("what names the end user is a message of its own", hint));
        }
        let token = match &said.token {
            None => None,
            Some(LookupValue::Constant(token)) => Some(Secret::new(token.as_str().into())),
            Some(LookupValue::Parameter(_)) => named.token.clone(),
        };
        let Some(token) = token else { return Ok(Some(Naming::Nobody)) };
        if !said.local && self.status != TransactionStatus::Idle {
            let hint = "name it with SET LOCAL, for the transaction, or before BEGIN";
            return Err(refused("in a transaction the end user is named for it alone", hint));
        }
        Ok(Some(Naming::Token { token, local: said.local }))
    }

    /// What is dropped by statements that say nothing of it: with all settings, or by going back to
    /// before it was said.
    fn dropped(&self, portals: &[&Portal]) -> Result<Option<Naming>, Failure> {
        if !matches!(self.profile.end_user, EndUser::Until(_)) {
            return Ok(None);
        }
        let ends = portals.iter().any(|portal| portal.ends_transaction());
        if self.scope.local && ends && portals.iter().any(|portal| portal.plan.is_guarded()) {
            let hint = "send what comes behind the transaction's end by itself";
            return Err(refused("the end user was named for the transaction", hint));
        }
        let goes = portals.iter().any(|portal| {
            portal.resets()
                || self.scope.renamed && portal.changes(|c| matches!(c, OwnChange::BackTo(_)))
        });
        Ok(goes.then_some(Naming::Nobody))
    }

    fn follow_transaction(&mut self, portals: &[&Portal]) {
        let saves = |change: &OwnChange| matches!(change, OwnChange::Savepoint(_));
        self.scope.saved |= portals.iter().any(|portal| portal.changes(saves));
        let ends = portals.iter().any(|portal| portal.ends_transaction());
        self.scope.over |= self.scope.local && ends;
    }

    /// Asks who it is once nothing is under way any more.
    pub(crate) fn ask_end_user(&mut self, effects: &mut Vec<Effect>) {
        let Some(pending) = &self.pending else { return };
        if pending.stage != Stage::Waiting || self.cancelling || self.closed {
            return;
        }
        if self.skipping && pending.message.is_some() {
            // What was sent before it has failed: it is dropped like all up to the Sync.
            self.pending = None;
            return;
        }
        if self.expected.is_empty() {
            self.tell_planned();
            self.flush(effects);
        }
        if !self.is_at_rest_before_steps() {
            if self.expected.back().is_some_and(|last| !last.is_ready()) {
                self.flush_server(effects);
            }
            return;
        }
        let Some(pending) = &mut self.pending else { return };
        pending.stage = Stage::Asked;
        effects.push(Effect::Name(pending.naming.clone()));
    }

    /// Whom the next statements are for: the message goes on, or is refused in its place.
    pub(crate) fn named(
        &mut self,
        (profile, failure): (Arc<Profile>, Option<Failure>),
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let pending = self.pending.take_if(|pending| pending.stage == Stage::Asked);
        let Some(Pending { naming, message, behind, .. }) = pending else {
            return self.close(&Failure::Upstream, effects);
        };
        self.pending = behind.map(|behind| *behind);
        let token = |is_local| matches!(&naming, Naming::Token { local, .. } if *local == is_local);
        let (local, unsettled) = (token(true) && failure.is_none(), token(false));
        let saved = self.scope.saved;
        self.scope = Scope { local, over: false, saved, renamed: local && saved, unsettled };
        // What was bound for one is not fetched for another.
        self.portals.retain(|_, portal| !portal.plan.is_guarded());
        self.profile = profile;
        // It was stated for somebody else.
        self.own.forget_tickets();
        let Some((frame, query)) = message else { return };
        let sent = match failure {
            None => {
                let message = Some((frame.clone(), query));
                let (stage, behind) = (Stage::Named, None);
                self.pending = Some(Pending { naming, message, stage, behind });
                self.judged_by_its_own(view, |own, view| own.client(&frame, view, effects));
                self.pending.take_if(|pending| pending.stage == Stage::Named);
                return;
            }
            Some(failure) if query => self.refuse_query(&failure, effects),
            Some(failure) => self.refuse_in_order(&failure, effects),
        };
        if sent.is_err() {
            self.close(&Failure::Protocol("message can't be passed on"), effects);
        }
    }

    /// The transaction has ended, as the server says: so has what was named for it.
    pub(crate) fn end_scope(&mut self, status: TransactionStatus) {
        let ended = status == TransactionStatus::Idle || self.scope.over;
        if ended && self.scope.local {
            self.falls_to(Naming::Back);
        }
        if ended {
            (self.scope.saved, self.scope.renamed) = (false, false);
        }
        self.scope.unsettled &= status != TransactionStatus::Idle;
    }

    /// What was done is taken back: so is who was named by it. Who was named before is not known
    /// any more, so that nobody is.
    pub(crate) fn unsettle(&mut self) {
        self.undone = true;
        if std::mem::take(&mut self.scope.unsettled) {
            self.falls_to(Naming::Nobody);
        }
    }

    /// Who is named is so no more. What the client has sent to be named, and waits, comes behind.
    fn falls_to(&mut self, naming: Naming) {
        let waits =
            |pending: &Pending| pending.message.is_some() && pending.stage == Stage::Waiting;
        let behind = self.pending.take().filter(waits).map(Box::new);
        let stage = Stage::Waiting;
        self.pending = Some(Pending { naming, message: None, stage, behind });
    }

    /// The statement before it is cut: what waits is not handled.
    pub(crate) fn unnamed(&mut self, effects: &mut Vec<Effect>) {
        let has_message = |pending: &mut Pending| pending.message.is_some();
        let pending = self.pending.take_if(has_message);
        let mut behind = || Some(*self.pending.as_mut()?.behind.take()?);
        let Some(pending) = pending.or_else(&mut behind) else { return };
        if self.skipping {
            return;
        }
        let failure = refused("the end user could not be named", "try again");
        let sent = match pending.message {
            Some((_, true)) => self.refuse_query(&failure, effects),
            Some((_, false)) => self.refuse_in_order(&failure, effects),
            None => Ok(()),
        };
        if sent.is_err() {
            self.close(&Failure::Protocol("message can't be passed on"), effects);
        }
    }

    /// Whether protected data may be asked for: somebody is known to be asking.
    pub(crate) fn speaks(&self, plan: &PlannedGuarded, now: Timestamp) -> Result<(), Failure> {
        let (message, hint) = match self.profile.end_user {
            EndUser::Own => return Ok(()),
            EndUser::Until(until) if now < until && !self.scope.over => return Ok(()),
            EndUser::Until(until) if now < until => {
                ("the end user was named for the transaction, which has ended", NAME_IT)
            }
            EndUser::Until(_) => (EXPIRED, NAME_AGAIN),
            // What names nobody but who asks shows nothing protected, and that is the application.
            EndUser::Nobody if plan.guarded.leaves.is_empty() => return Ok(()),
            EndUser::Nobody => {
                ("protected tables are not shown to an application that names no end user", NAME_IT)
            }
        };
        Err(plan.unreadable(refusal(message, hint)))
    }

    /// What is told if the end user's token has expired while rows waited.
    pub(crate) fn has_expired(&self, now: Timestamp) -> Option<Failure> {
        let expired = matches!(self.profile.end_user, EndUser::Until(until) if until <= now);
        expired.then(|| refused(EXPIRED, NAME_AGAIN))
    }

    /// Has a statement prepared anew that an application has prepared for another end user, or for
    /// nobody: by the rules for this one the same text can be sent otherwise. Whether it may be.
    pub(crate) fn prepare_for(
        &mut self,
        name: &str,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<bool, EncodeError> {
        if self.profile.end_user == EndUser::Own {
            return Ok(false);
        }
        let Some(known) = self.statements.get(name) else { return Ok(false) };
        let Prepared { upstream: before, sql, types, by_sql, parameters, stated, .. } =
            known.clone();
        let Planned::Guarded(known) = &*known.plan else { return Ok(false) };
        let Ok(plan) = single(&view.judge.judge(&sql)) else { return Ok(false) };
        let Planned::Guarded(guarded) = &*plan else { return Ok(false) };
        let same = guarded.guarded.visible_columns == known.guarded.visible_columns
            && guarded.guarded.client_parameters == known.guarded.client_parameters
            && guarded.guarded.origins == known.guarded.origins
            && guarded.takes_types(&types).is_ok();
        if by_sql || !same {
            return Ok(false);
        }
        let with = 2 * name.len() + sql.len() + 4 * types.len();
        let Ok(plan) = self.scale.plan(plan, with) else { return Ok(false) };
        let parse = postern_wire::Parse { name, sql: &sql, types: types.clone() };
        let Ok((text, None)) = self.parsed(&plan, &parse, view) else { return Ok(false) };
        let text = text.into_owned();
        if !self.shares && before.0.is_some() {
            let mut bytes = BytesMut::new();
            encode::close(&mut bytes, postern_wire::Target::Statement(&before.statement()))?;
            to_server(&bytes, effects);
            self.expected.push_back(own(OwnDoes::Else));
        }
        let (upstream, known) = self.statement_name(name, (&text, &types), view.generation);
        if !known {
            self.send_parse(upstream, (&text, &types), effects)?;
            self.expected.push_back(own(OwnDoes::Parses(upstream)));
        }
        let judge = view.judge.identity().clone();
        let prepared = Prepared {
            upstream,
            sql,
            stated,
            plan,
            judge,
            parameters,
            types,
            by_sql,
            told_in: None,
            resolved: None,
        };
        self.statements.insert(name.to_owned(), prepared);
        Ok(true)
    }

    /// What names somebody is bound without the token: the server need not know it.
    pub(crate) fn bind_naming(&self, upstream: &Bind<'_>, out: &mut BytesMut) -> Sent {
        let parameters = upstream.parameters.iter().map(|_| Some(&b""[..])).collect();
        encode::bind(out, &Bind { parameters, ..upstream.clone() })
    }
}

fn own(does: OwnDoes) -> Expect {
    Expect::Own { guarded: true, open: None, does }
}

impl Portal {
    /// Whether it says whom the next statements are for.
    pub(crate) fn names(&self) -> bool {
        matches!(&*self.plan, Planned::Plain(plain) if plain.end_user.is_some())
    }

    /// Keeps the token that a parameter of such a statement is.
    pub(crate) fn with_token(mut self, parameters: &[Option<&[u8]>]) -> Result<Self, Failure> {
        let Planned::Plain(plain) = &*self.plan else { return Ok(self) };
        let Some(LookupValue::Parameter(_)) =
            plain.end_user.as_ref().and_then(|naming| naming.token.as_ref())
        else {
            return Ok(self);
        };
        let Some(token) = parameters.first().copied().flatten().filter(|token| !token.is_empty())
        else {
            return Ok(self);
        };
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("the token that names the end user is too long", ""));
        }
        // What is no text is no token: it is refused where tokens are.
        self.token = Some(Secret::new(String::from_utf8_lossy(token).into()));
        Ok(self)
    }

    /// Whether it drops all that was set.
    pub(crate) fn resets(&self) -> bool {
        matches!(&*self.plan, Planned::Plain(plain) if plain.effect == Does::Discard
            || plain.effect == Does::Setting && plain.sql.eq_ignore_ascii_case("RESET ALL"))
    }

    fn changes(&self, is_it: impl Fn(&OwnChange) -> bool) -> bool {
        matches!(&*self.plan, Planned::Plain(plain) if plain.effect == Does::Transaction
            && plain.changes.iter().any(is_it))
    }

    /// Whether it can end a transaction as a whole.
    fn ends_transaction(&self) -> bool {
        let Planned::Plain(plain) = &*self.plan else { return false };
        let goes_on = |change: &OwnChange| !matches!(change, OwnChange::Back | OwnChange::Commit);
        let begins = ["BEGIN", "START", "SET"].iter().any(|word| plain.sql.starts_with(word));
        plain.effect == Does::Transaction && !begins && !plain.changes.iter().any(goes_on)
    }
}

const NAME_IT: &str =
    "say SET LOCAL postern.actor = 'TOKEN', or SELECT set_config('postern.actor', $1, true)";
const EXPIRED: &str = "the token that names the end user has expired";
const NAME_AGAIN: &str = "name the end user by a new token";

fn refusal(message: &str, hint: &str) -> Refusal {
    let (message, hint) = (message.to_owned(), hint.to_owned());
    Refusal { sqlstate: "42501", rule: "end_user", message, hint, position: None }
}

fn refused(message: &str, hint: &str) -> Failure {
    Failure::Said(Box::new(refusal(message, hint)))
}
