//! How accounts conduct themselves: all signals on all accounts, and what they come to together.
//!
//! An access becomes trials, one for each customer that the account sees for the first time that
//! day; each trial is put to every signal. Who looks a customer up without a reason sees masks, and
//! a moment later, with a reason, the customer: that is one trial, and the reason is the one that
//! the values were shown for. So a masked look-up waits a little for it. The evidence of the
//! signals is measured against how far it goes among all accounts ([`crate::tail`]) and averaged,
//! which keeps the bound on false alarms whatever the dependence between signals.

use std::collections::{BTreeSet, VecDeque};

use postern_model::{Access, AccessKind, Actor, Finding, Text, Timestamp};

use crate::{
    WatchConfig,
    account::{Account, Mark},
    ahead::{Ahead, fetch},
    at_will,
    feedback::Feedback,
    names::{Map, NONE, Names},
    naming::Named,
    peers::{Group, Teams},
    reasons::{Class, Reason},
    rollout::Rollout,
    share::{Learning, Setting, Track, weight},
    signals::{ALL, Trial, UNEXPLAINED, about, blank},
    tail::Tail,
    usual::{Count, Load},
    verdict::{AT_WILL, STREAMS, Verdict},
    waiting::{Asked, Opened, Pending},
    world::{Shown, World, digits, shown},
};

/// How long late links, and connectors that were away, have to explain an access.
const GRACE: std::time::Duration = std::time::Duration::from_secs(44 * 60 * 60);
/// How much longer they have while the tickets' source is away.
const AWAY: std::time::Duration = std::time::Duration::from_secs(5 * 24 * 60 * 60);
/// How long a masked look-up waits for the reason that usually follows. No protected value has
/// left by then.
const ASKING: std::time::Duration = std::time::Duration::from_secs(10 * 60);
/// Lists of fewer customers are no amount.
const LIST: usize = 20;
/// Days in which somebody is new.
const NEW: i64 = 14;
/// Days after which somebody new has customers of old to look back to; until then their number
/// grows by itself.
const SEASONED: i64 = 35;
/// Days until as much is known of closed tickets as ever will be.
const BEGINNING: i64 = 21;
/// Days from one look at a customer to another's that make them the same case.
const SAME_CASE: i64 = 30;

/// Days after which an account is in use no more, and complaints tell nothing of it.
const ACTIVE: i64 = 14;
/// Days within which a stolen record is used.
const CALLED_WITHIN: i64 = 45;
/// Complaints of a usual day.
const COMPLAINTS: f64 = 2.0;

/// Of so many trials, one draws a customer.
const DRAW: u64 = 3;
/// Of accesses that are looked at again so many are fetched beforehand, at once.
const EXPECTED: usize = 256;
/// An account whose usual unexplained share is below this is one that has reasons.
const NEEDS_REASONS: f64 = 0.25;

#[derive(Debug)]
pub(crate) struct Conduct {
    verdict: Verdict,
    accounts: Vec<Account>,
    groups: Vec<Group>,
    group_of: Map<(u32, bool, u8), usize>,
    teams: Teams,
    rollout: Rollout,
    tails: Vec<Tail>,
    asked: VecDeque<Asked>,
    pending: VecDeque<Pending>,
    on: Vec<bool>,
    /// Trials so far: which customers are drawn follows from it.
    turn: u64,
    learning_days: i64,
    /// The day of the first access.
    first: Option<i64>,
}

impl Conduct {
    pub(crate) fn new(config: &WatchConfig) -> Self {
        Self {
            verdict: Verdict::new(config),
            accounts: Vec::new(),
            groups: Vec::new(),
            group_of: Map::default(),
            teams: Teams::default(),
            rollout: Rollout::default(),
            tails: (0..STREAMS).map(|_| Tail::default()).collect(),
            asked: VecDeque::new(),
            pending: VecDeque::new(),
            on: ALL.iter().map(|signal| !config.off.contains(signal.name)).collect(),
            learning_days: i64::from(config.learning_days),
            turn: 0,
            first: None,
        }
    }

    /// Takes what people have found out about a case.
    pub(crate) fn feedback(&mut self, case: u64, said: Option<&Feedback>, words: &mut Names) {
        self.verdict.priors.take(case, said, words);
    }

    /// Adds what is looked at again, and who is drawn, meanwhile; has the accounts be fetched.
    pub(crate) fn expect(&self, world: &World, ahead: &mut Ahead) {
        let accesses = ahead.actors.len();
        // While the source of tickets is away, all that is due goes on waiting.
        let due = self.pending.iter().take_while(|pending| pending.due <= ahead.until);
        for pending in due.take(EXPECTED) {
            ahead.actors.push(pending.actor);
            ahead.subjects.push(pending.subject);
        }
        let turns = (self.turn..).take(accesses + ahead.actors.len());
        let drawn = turns.filter(|turn| turn.is_multiple_of(DRAW));
        ahead.subjects.extend(drawn.map(|turn| drawn_in(turn, world)));
        fetch(ahead.actors.iter(), |actor| {
            let account = self.accounts.get(*actor as usize)?;
            Some(account.device ^ u32::from(account.tried > 0.0) ^ u32::from(account.day > 0))
        });
    }

    /// Takes an access that was seen at this moment.
    pub(crate) fn access(
        &mut self,
        seen: Timestamp,
        (access, named): (&Access, &Named),
        world: &mut World,
        findings: &mut Vec<Finding>,
    ) {
        self.give_up(seen, world, findings);
        self.settle(seen, world, findings);
        let actor = world.acting;
        let shown = shown(access);
        if shown == Shown::Nothing {
            return;
        }
        let day = seen.day();
        self.first.get_or_insert(day);
        self.begin(actor, day, world);
        let direct = access.subjects.len() == 1;
        // A source that doesn't tell the kind may well mean a look-up.
        let lookup = matches!(access.kind, Some(AccessKind::Lookup) | None);
        if shown == Shown::Masked && !(direct && lookup) {
            return;
        }
        if access.subjects.len() >= LIST {
            self.list(actor, access.subjects.len());
        }
        let marked =
            world.reasons.connected() && self.trials(seen, (actor, direct), (access, named), world);
        if marked || access.subjects.len() >= LIST {
            self.judge((actor, &access.actor), seen, world, findings);
        }
    }

    /// Puts an access's customers to the signals; says whether anything spoke against it.
    fn trials(
        &mut self,
        seen: Timestamp,
        (actor, direct): (u32, bool),
        (access, named): (&Access, &Named),
        world: &mut World,
    ) -> bool {
        let device = named.from;
        let common = world.is_common(device, actor);
        let Some(account) = self.accounts.get_mut(actor as usize) else { return false };
        let before = account.device;
        let odd_hour = account.odd_hour(access.ts);
        if account.is_new_device(device) && !common {
            self.rollout.renew(seen.day());
        }
        let replaced = self.rollout.goes_on() && !common;
        let strange_device = account.strange_device(device, seen.day(), replaced) && !common;
        let member = world.member(actor);
        let calling = before != device && world.reasons.on_call(actor, access.ts);
        let elsewhere = calling || member.is_some_and(|member| member.absent);
        let clear = shown(access) == Shown::Clear;
        let mut marked = false;
        let number = match access.subjects.as_slice() {
            [one] => digits(one.as_str()),
            _ => None,
        };
        for subject in named.shown(access) {
            let subject = world.subject(subject);
            let Some(account) = self.accounts.get_mut(actor as usize) else { return false };
            let neighbour = direct && account.neighbour(number);
            if !account.known.entry(subject).or_default().is_new(direct, clear) {
                continue;
            }
            let reason = world.reasons.explain(access, actor, subject);
            let facts =
                Trial { direct, neighbour, odd_hour, strange_device, elsewhere, ..blank(reason) };
            let opened = Opened { at: access.ts, actor, subject, claimed: access.ticket.clone() };
            if clear {
                let checked = access.grade.is_some();
                marked |= self.open((seen, &access.id), opened, (facts, checked), world);
            } else {
                let id = access.id.clone();
                self.asked.push_back(Asked { due: seen.after(ASKING), id, opened, facts });
            }
        }
        marked
    }

    /// Looks at the masked look-ups that no reason has followed.
    fn give_up(&mut self, seen: Timestamp, world: &mut World, findings: &mut Vec<Finding>) {
        while self.asked.front().is_some_and(|asked| asked.due <= seen) {
            let Some(Asked { id, opened, facts, .. }) = self.asked.pop_front() else { return };
            let (actor, subject) = (opened.actor, opened.subject);
            let account = self.accounts.get(actor as usize);
            if account.is_some_and(|account| account.has_opened(subject)) {
                continue;
            }
            let claimed = opened.claimed.as_deref();
            let reason = world.reasons.derive((actor, subject), opened.at, claimed);
            if self.open((seen, &id), opened, (Trial { reason, ..facts }, false), world) {
                let name = world.name(actor);
                self.judge((actor, &name), seen, world, findings);
            }
        }
    }

    /// Puts the customer who was opened to the signals; says whether anything spoke against it.
    fn open(
        &mut self,
        (seen, id): (Timestamp, &Text),
        opened: Opened,
        (facts, checked): (Trial, bool),
        world: &mut World,
    ) -> bool {
        let (actor, subject, reason) = (opened.actor, opened.subject, facts.reason);
        let Some(account) = self.accounts.get_mut(actor as usize) else { return false };
        let usual = account.tracks.get(UNEXPLAINED).map_or(0.0, Track::usual);
        let begun = self.first.unwrap_or(i64::MIN).saturating_add(NEW);
        let seasoned = account.since <= begun || seen.day() >= account.since + SEASONED;
        let facts = Trial { needs_reasons: usual < NEEDS_REASONS, seasoned, ..facts };
        // While the source of reasons is away, that there is none means nothing.
        if !checked && facts.direct && is_away(&reason, seen, world) {
            world.opened(subject, actor, seen.day());
            self.wait((seen, id), opened, (reason, checked));
            return false;
        }
        if reason.class > Class::Strong {
            account.unexplained += 1.0;
            let usual = account.volume.usual();
            let group = self.groups.get_mut(account.group).filter(|_| usual.is_some());
            if let Some(group) = group {
                group.see(seen.day());
            }
        }
        if facts.direct {
            account.manner.see(reason.class);
        }
        let strays = world.customer(subject).map_or([(NONE, i32::MIN); 2], |known| known.strays);
        let lately = |(_, day): &(u32, i32)| seen.day() - i64::from(*day) <= SAME_CASE;
        let others = strays.into_iter().filter(|(other, _)| *other != actor).filter(lately);
        let mut shared = false;
        others.for_each(|(other, _)| shared |= account.shares_with(other));
        let facts = Trial { shared, ..facts };
        let trial = about(facts, (actor, subject), seen, world);
        if trial.direct {
            self.draw((actor, opened.at, seen), false, world);
            if let Some(group) = self.group(actor) {
                group.drawn.iter_mut().for_each(|drawn| drawn.claim(opened.claimed.is_some()));
            }
        }
        let marked = self.put(actor, seen, (id, subject), &trial);
        if trial.direct {
            world.opened(subject, actor, seen.day());
        }
        if trial.direct && reason.class >= Class::Archive {
            world.stray(subject, actor, seen.day());
        }
        if trial.direct {
            self.wait((seen, id), opened, (reason, checked));
        }
        marked
    }

    /// Has the customer looked at again when late links had their time.
    fn wait(
        &mut self,
        (seen, id): (Timestamp, &Text),
        opened: Opened,
        (reason, checked): (Reason, bool),
    ) {
        let strong = reason.class == Class::Strong;
        let known = (strong || checked).then_some(reason);
        let Opened { at, actor, subject, claimed } = opened;
        let told = (!strong).then(|| Box::new((id.clone(), claimed)));
        self.pending.push_back(Pending { due: seen.after(GRACE), at, actor, subject, told, known });
    }

    /// Looks again at what had no reason, now that late links had their time.
    fn settle(&mut self, seen: Timestamp, world: &World, findings: &mut Vec<Finding>) {
        let due = |due: Timestamp| if world.quiet.tickets(seen) { due.after(AWAY) } else { due };
        // What is due at the same moment is judged together.
        let mut marked = BTreeSet::new();
        while self.pending.front().is_some_and(|pending| due(pending.due) <= seen) {
            let Some(pending) = self.pending.pop_front() else { break };
            let Pending { at, actor, subject, told, known, .. } = pending;
            let (id, claimed) = told.map_or_else(Default::default, |told| *told);
            let strong = known.filter(|known| known.class == Class::Strong);
            let derive = || world.reasons.derive((actor, subject), at, claimed.as_deref());
            let derived = strong.unwrap_or_else(derive);
            // What the gateway has checked holds, though no source tells of it here.
            let reason = known.filter(|known| known.class < derived.class).unwrap_or(derived);
            let trial = Trial { settled: true, direct: true, ..blank(reason) };
            let trial = about(trial, (actor, subject), seen, world);
            self.draw((actor, at, seen), true, world);
            if self.put(actor, seen, (&id, subject), &trial) {
                marked.insert(actor);
            }
        }
        for actor in marked {
            let name = world.name(actor);
            self.judge((actor, &name), seen, world, findings);
        }
    }

    /// A customer tells of a suspicious contact: whoever had opened them of late may have sold
    /// them. One account that has opened many of those who complain stands out.
    pub(crate) fn complaint(
        &mut self,
        seen: Timestamp,
        named: &Named,
        world: &mut World,
        findings: &mut Vec<Finding>,
    ) {
        let (subject, day) = (world.subject(named.subject), seen.day());
        let reason = world.reasons.derive((NONE, subject), seen, None);
        for actor in (0_u32..).take(self.accounts.len()) {
            let Some(account) = self.accounts.get_mut(actor as usize) else { return };
            if account.day < day - ACTIVE || account.group == usize::MAX {
                continue;
            }
            let hit = world.has_opened(subject, actor, day - CALLED_WITHIN);
            let facts = Trial { settled: true, complained: Some(hit), ..blank(reason) };
            if self.put(actor, seen, (&Text::default(), subject), &facts) {
                let name = world.name(actor);
                self.judge((actor, &name), seen, world, findings);
            }
        }
    }

    /// Looks at a customer who is drawn from all with the account's eyes.
    fn draw(
        &mut self,
        (actor, at, seen): (u32, Timestamp, Timestamp),
        settled: bool,
        world: &World,
    ) {
        self.turn += 1;
        if !self.turn.is_multiple_of(DRAW) {
            return;
        }
        let subject = drawn_in(self.turn, world);
        let reason = world.reasons.derive((actor, subject), at, None);
        let trial = Trial { settled, direct: true, ..blank(reason) };
        let trial = about(trial, (actor, subject), seen, world);
        let drawn = self.group(actor).and_then(|group| group.drawn.get_mut(usize::from(settled)));
        if let Some(drawn) = drawn {
            drawn.add(&trial);
        }
    }

    fn group(&mut self, actor: u32) -> Option<&mut Group> {
        let account = self.accounts.get(actor as usize)?;
        self.groups.get_mut(account.group)
    }

    /// Puts a trial to every signal.
    fn put(
        &mut self,
        actor: u32,
        seen: Timestamp,
        (id, subject): (&Text, u32),
        trial: &Trial,
    ) -> bool {
        let Self { accounts, groups, teams, on, .. } = self;
        let Some(account) = accounts.get_mut(actor as usize) else { return false };
        let Some(group) = groups.get_mut(account.group) else { return false };
        let (day, team) = (seen.day(), (account.team, seen.day()));
        let (tried, pace) = match (trial.complained, trial.settled) {
            (Some(_), _) => (&mut account.complaints, COMPLAINTS),
            (None, true) => (&mut account.settled, account.pace),
            (None, false) => (&mut account.tried, account.pace),
        };
        let weight = weight(*tried, pace);
        *tried += 1.0;
        let mut yes = 0_u32;
        let answers = ALL.map(|signal| (signal.trial)(trial));
        let answers = answers.into_iter().zip(on.iter()).map(|(one, on)| one.filter(|_| *on));
        let applies = account.team != NONE && answers.clone().any(|one| one.is_some());
        let loads = if applies { teams.today(team) } else { Default::default() };
        let tracks = account.tracks.iter_mut().zip(&mut group.peers).zip(ALL);
        for (place, (((track, peers), signal), one)) in tracks.zip(answers).enumerate() {
            let Some(one) = one else { continue };
            let (own, mean) = (track.today(), track.history.mean());
            let count = Count { ones: f64::from(u8::from(one)), trials: 1.0 };
            let role = peers.today(day);
            let mut setting = Setting {
                role: role.without(own),
                team: Load::default(),
                least: signal.least,
                weight,
            };
            role.add(count, mean);
            if let Some(team) = loads.get_mut(place) {
                setting.team = team.without(own);
                team.add(count, mean);
            }
            track.step(one, setting);
            yes |= u32::from(one) << place;
        }
        if trial.direct && trial.complained.is_none() {
            let cell = at_will::cell(trial);
            at_will::weigh((account, group, teams), (cell, trial.settled), weight, day);
            yes |= u32::from(cell.is_some()) << (AT_WILL + usize::from(trial.settled));
        }
        if yes != 0 {
            account.mark(Mark { id: id.clone(), subject, signals: yes });
        }
        yes != 0
    }

    /// An account was shown a list.
    fn list(&mut self, actor: u32, many: usize) {
        let Some(account) = self.accounts.get_mut(actor as usize) else { return };
        account.listed += many;
        let Some(group) = self.groups.get(account.group) else { return };
        let sizes = &account.sizes;
        let own = sizes.share(account.listed).max(sizes.own_chance(account.listed));
        let peers = group.sizes.chance(account.listed);
        account.size_evidence = (1.0 / own.max(peers)).clamp(1.0, 1e9);
    }

    fn learning(&self, day: i64) -> bool {
        self.first.is_none_or(|first| day < first + self.learning_days)
    }

    fn judge(
        &mut self,
        (actor, name): (u32, &Actor),
        seen: Timestamp,
        world: &World,
        findings: &mut Vec<Finding>,
    ) {
        if self.learning(seen.day()) {
            return;
        }
        let Self { accounts, groups, tails, verdict, teams, .. } = self;
        let Some(account) = accounts.get_mut(actor as usize) else { return };
        if account.is_settling() {
            return;
        }
        let Some(group) = groups.get(account.group) else { return };
        let notice = world.member(actor).is_some_and(|member| member.notice);
        findings.extend(verdict.judge((name, notice), seen, account, (group, tails), teams));
    }

    /// Begins the account's day, if it has not begun: ends the last one, learns from it.
    fn begin(&mut self, actor: u32, day: i64, world: &World) {
        while self.accounts.len() <= actor as usize {
            self.accounts.push(Account::new());
        }
        let Some(account) = self.accounts.get(actor as usize) else { return };
        if day <= account.day {
            return;
        }
        let Some(member) = world.member(actor) else { return };
        self.end(actor, day);
        let Some(account) = self.accounts.get_mut(actor as usize) else { return };
        account.take_role(member.role, day);
        // Where nobody tells when somebody was hired, it is when the account is used at first.
        let first = self.first.unwrap_or(day);
        let late = (account.since > first + NEW).then_some(account.since);
        let hired = member.hired.map(Timestamp::day).or(late).unwrap_or(i64::MIN / 2);
        let fresh = day - hired < NEW && hired > first;
        let manner = account.manner.kind();
        let groups = &mut self.groups;
        let group = *self.group_of.entry((member.role, fresh, manner)).or_insert_with(|| {
            groups.push(Group::new(STREAMS));
            groups.len() - 1
        });
        let learning = self.learning(day);
        let Some(account) = self.accounts.get_mut(actor as usize) else { return };
        let learning = learning || account.is_settling();
        (account.group, account.team, account.day) = (group, member.team, day);
        account.told_role = world.roles.get(&actor).copied().unwrap_or(member.role);
        account.days += 1;
        self.rollout.begin(day);
        account.known.clear();
        (account.unexplained, account.tried, account.settled) = (0.0, 0.0, 0.0);
        account.complaints = 0.0;
        (account.listed, account.size_evidence) = (0, 0.0);
        let Some(group) = self.groups.get_mut(group) else { return };
        for (track, peers) in account.tracks.iter_mut().zip(&mut group.peers) {
            if learning {
                track.reset();
            }
            track.begin(peers);
        }
        for (at_will, peers) in account.at_will.iter_mut().zip(&mut group.cells) {
            if learning {
                at_will.test.reset();
            }
            at_will.begin(peers);
        }
        if learning {
            account.volume.reset();
            account.marks.clear();
        }
        if let Some(usual) = account.volume.usual() {
            group.expect(day, usual);
        }
        let quiet = account.at_will.iter().all(|at_will| at_will.test.at_rest());
        if quiet && account.tracks.iter().all(Track::at_rest) {
            account.marks.clear();
        }
        account.told = 0.0;
    }

    /// Ends the account's last day.
    fn end(&mut self, actor: u32, now: i64) {
        let learning = self.learning(now);
        let begins = self.first.is_none_or(|first| now < first + BEGINNING);
        let Self { accounts, groups, tails, verdict, .. } = self;
        let Some(account) = accounts.get_mut(actor as usize) else { return };
        let Some(group) = groups.get_mut(account.group) else { return };
        let learning = learning || account.is_settling();
        let begins = begins || account.is_settling();
        let suspected = verdict.suspected(account, account.day) && !learning;
        let frozen = if learning { f64::INFINITY } else { verdict.frozen };
        let how = match (suspected, begins) {
            (true, _) => Learning::Suspected,
            (_, true) => Learning::Beginning,
            _ => Learning::Usual,
        };
        verdict.budget.account_day(account.day);
        let seen = account.known.len() as f64;
        let usual = account.volume.usual().unwrap_or(0.0);
        let counted = if usual > 0.0 { account.unexplained } else { 0.0 };
        let load = group.load(account.day, (counted, usual));
        let explained = (seen - account.unexplained).max(0.0);
        account.volume.day((account.unexplained, explained), load, frozen);
        account.learn_hours(suspected);
        account.manner.day(account.listed >= LIST);
        if !learning && !verdict.lately(account, now) {
            verdict.learn(account, (group, tails));
        }
        for (track, peers) in account.tracks.iter_mut().zip(&mut group.peers) {
            track.new_day(peers, how, frozen);
        }
        for (at_will, peers) in account.at_will.iter_mut().zip(&mut group.cells) {
            at_will.new_day(peers, how, frozen);
        }
        if !suspected {
            account.pace += 0.1 * (seen - account.pace);
            if account.size_evidence < frozen * 30.0 {
                account.sizes.learn(account.listed);
                // Who lists by trade must not make lists usual for the others at first.
                if account.manner.is_settled() {
                    group.sizes.learn(account.listed);
                }
            }
        }
    }
}

/// The customer who is drawn in that turn.
fn drawn_in(turn: u64, world: &World) -> u32 {
    let mixed =
        (turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) * u64::from(world.subjects.count());
    u32::try_from(mixed >> 32).unwrap_or(0)
}

/// Whether the source is away that would tell of a better reason.
fn is_away(reason: &Reason, seen: Timestamp, world: &World) -> bool {
    world.quiet.tickets(seen) || (reason.class == Class::Weak && world.quiet.calls(seen))
}
