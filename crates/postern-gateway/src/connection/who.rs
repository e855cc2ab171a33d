//! Whom a connection's statements are judged, recorded and charged as: the account that has logged
//! in, or the end user whom an application has named.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use postern_ledger::Note;
use postern_model::{Actor, Secret, StatementFingerprint, Timestamp};
use postern_session::{EndUser, Failure, Input, Kind, Naming, Profile};

use super::{Connection, Judging, profile};
use crate::{
    Role, judges::Judges, reasons::Active, regime::Regime, registry::Command, searches::UnderWay,
    shared::Shared, stops::Wary,
};

/// Whom statements are for, with all that hangs on it.
pub(super) struct Who {
    pub(super) actor: Actor,
    pub(super) role_name: Arc<str>,
    pub(super) role: Role,
    pub(super) profile: Arc<Profile>,
    pub(super) judging: Judging,
    pub(super) reasons: Active,
    pub(super) wary: Wary,
    /// Searches that are not told yet.
    pub(super) under_way: UnderWay,
}

/// An account and what its role is.
pub(super) type Known = (Actor, Arc<str>, Role);

impl Who {
    /// An account that has logged in.
    pub(super) async fn account(
        (shared, regime): (&Arc<Shared>, &Regime),
        judges: &Rc<RefCell<Judges>>,
        known: Known,
    ) -> Self {
        let (actor, _, role) = &known;
        let reasons = match role.kind {
            Kind::PassThrough => regime.reasons.keep(actor),
            Kind::Restricted | Kind::Accounted => regime.reasons.activate(actor).await,
        };
        let end_user = if role.speaks_for { EndUser::Nobody } else { EndUser::Own };
        Self::new((shared, regime), judges, known, (reasons, end_user))
    }

    fn new(
        (shared, regime): (&Arc<Shared>, &Regime),
        judges: &Rc<RefCell<Judges>>,
        (actor, role_name, mut role): Known,
        (reasons, end_user): (Active, EndUser),
    ) -> Self {
        role.budgets = shared.limits(&actor, &role);
        let about = (&actor, &role_name, role.kind);
        // What nobody looks into could name another end user.
        let enforced = (role.enforcement, end_user == EndUser::Own);
        let (judging, key_sets) = Judging::new(regime, judges, about, enforced);
        let about = (actor.clone(), role_name.clone(), &role);
        let profile = profile(&regime.settings, about, (key_sets, end_user));
        let wary = shared.stops.of(&actor, &role.budgets);
        let under_way = UnderWay::new(shared, &actor);
        Self { actor, role_name, role, profile, judging, reasons, wary, under_way }
    }
}

impl Connection<'_> {
    /// The account that has logged in, whomever it speaks for.
    pub(super) fn account(&self) -> &Actor {
        self.aside.first().map_or(&self.who.actor, |who| &who.actor)
    }

    /// Has the next statements be for somebody else. The session hears it by a command, for it is
    /// handling something now.
    pub(super) fn name_end_user(&mut self, naming: Naming) {
        let mut failure = None;
        let mut read = None;
        self.shared.tells_refused(&self.who.actor, self.number);
        match naming {
            Naming::Nobody => self.for_nobody(),
            Naming::Back => self.for_whom_before(),
            Naming::Token { token, local } => match self.end_user(&token) {
                Ok((known, until)) => read = self.for_end_user(known, until, local),
                Err(why) => {
                    self.for_nobody();
                    let note = || Note::Refused {
                        actor: self.account().clone(),
                        connection: self.number,
                        fingerprint: StatementFingerprint::default(),
                        statement: "SET postern.actor".into(),
                        rule: "end_user_token".into(),
                    };
                    self.shared.refused(self.account(), self.number, note);
                    failure = Some(Failure::Token { why });
                }
            },
        }
        let sender = self.sender.clone();
        let named = Command::Named { failure: failure.map(Box::new) };
        match read {
            None => {
                // Its receiver is this connection's own.
                let _ = sender.send(named);
            }
            Some(read) => {
                tokio::task::spawn_local(async move {
                    read.await;
                    let _ = sender.send(named);
                });
            }
        }
    }

    /// Tells the session whom its next statements are for.
    pub(super) fn named(&self, failure: Option<Failure>) -> Input {
        Input::Named { profile: self.who.profile.clone(), failure }
    }

    /// Whom a token names, and until when; in words, why nobody.
    fn end_user(&self, token: &Secret<Arc<str>>) -> Result<(Known, Timestamp), String> {
        let now = self.shared.clock.now();
        let tokens = self.regime.settings.tokens.as_ref();
        let tokens = tokens.ok_or("this gateway is not told whose tokens to take")?;
        let named = tokens.check(token.expose(), now).map_err(|error| error.to_string())?;
        let known = self.may_be_named(Actor::new(named.account));
        // Which of the reasons it is would tell who has an account.
        let known = known.ok_or("the account that it names is not available")?;
        Ok((known, named.until))
    }

    /// The account of that name with its role, if applications may speak for it.
    fn may_be_named(&self, actor: Actor) -> Option<Known> {
        let (role_name, role) = self.shared.admitted(self.regime, &actor).ok()?;
        let speaks = match role.kind {
            Kind::Restricted | Kind::Accounted => !role.speaks_for,
            Kind::PassThrough => false,
        };
        speaks.then_some((actor, role_name, role))
    }

    /// Statements are for this end user from now on; with what is still to be read.
    fn for_end_user(
        &mut self,
        known: Known,
        until: Timestamp,
        local: bool,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let reasons = self.regime.reasons.keep(&known.0);
        let fresh = reasons.is_fresh(self.shared.clock.now());
        let read = (!fresh).then(|| reasons.refresh());
        let judges = self.who.judging.judges.clone();
        let with = (reasons, EndUser::Until(until));
        let who = Who::new((self.shared, self.regime), &judges, known, with);
        if !local {
            self.drop_end_user();
        }
        let before = std::mem::replace(&mut self.who, who);
        // One that was named for the transaction before is not come back to.
        if !std::mem::replace(&mut self.local, local) {
            self.aside.push(before);
        }
        self.tell_registry();
        read
    }

    fn for_nobody(&mut self) {
        self.drop_end_user();
        self.tell_registry();
    }

    /// The transaction is over: for whom they were for before it, if that is still so.
    fn for_whom_before(&mut self) {
        self.local = false;
        if let Some(before) = self.aside.pop() {
            self.who = before;
        }
        self.tell_registry();
    }

    fn drop_end_user(&mut self) {
        self.local = false;
        if let Some(account) = self.aside.drain(..).next() {
            self.who = account;
        }
    }

    /// Who is put out is put out wherever somebody speaks for them. Told first and asked then, so
    /// that none is missed.
    fn tell_registry(&mut self) {
        let shared = self.shared;
        if self.aside.is_empty() {
            return shared.registry.speaks_for(self.number, None);
        }
        let (actor, role) = (self.who.actor.clone(), self.who.role_name.clone());
        shared.registry.speaks_for(self.number, Some((actor.clone(), role.clone())));
        let may_work = shared.may_work(&actor, &role)
            && shared.limits(&actor, &self.who.role) == self.who.role.budgets;
        if shared.suspended().contains_key(&actor) || !may_work {
            self.drop_end_user();
            shared.registry.speaks_for(self.number, None);
        }
    }
}
