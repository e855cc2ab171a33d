//! What is remembered of one account.

use std::{collections::VecDeque, time::Duration};

use postern_model::{Text, Timestamp};

use crate::{
    amount::{Sizes, Volume},
    at_will::AtWill,
    names::{Map, NONE},
    reasons::Class,
    share::Track,
    signals,
    tail::Rise,
    verdict::STREAMS,
};

/// Evidence that is kept for a finding.
const KEPT: usize = 100;
/// Devices that are told apart.
const DEVICES: usize = 24;
/// Accounts that are remembered for having looked at the same customers.
const PARTNERS: usize = 8;
/// How long a device is new.
const NEW: i64 = 3;
/// Days within which an account gets one new device, where all do.
const REPLACED: i64 = 60;

/// An access that something spoke against.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) id: Text,
    pub(crate) subject: u32,
    /// The signals that said yes, as bits.
    pub(crate) signals: u32,
}

/// Days, and customers opened alone, from which an account's manner is taken.
const MANNER_DAYS: u32 = 5;
const MANNER_TRIALS: u32 = 20;
/// Shares from which on something is the account's task.
const TASK: f64 = 0.25;
const LISTING: f64 = 0.3;

/// What kind of work an account does, by its first days: feeds often tell no roles, or roles that
/// are used for more than one task. It is settled once, so that nobody drifts into a group for
/// which it is usual to have no reasons.
#[derive(Debug, Default)]
pub(crate) struct Manner {
    days: u32,
    list_days: u32,
    trials: u32,
    unexplained: u32,
    untraced: u32,
    approved: u32,
    settled: Option<u8>,
}

impl Manner {
    pub(crate) fn see(&mut self, class: Class) {
        if self.settled.is_none() {
            self.trials += 1;
            self.unexplained += u32::from(class >= Class::Colleague);
            self.untraced += u32::from(class >= Class::Archive);
            self.approved += u32::from(class == Class::Approved);
        }
    }

    /// A day has ended.
    pub(crate) fn day(&mut self, listing: bool) {
        self.days += 1;
        self.list_days += u32::from(listing);
        let part = |count: u32, of: u32| f64::from(count) / f64::from(of.max(1));
        if self.settled.is_some() || self.days < MANNER_DAYS {
            return;
        }
        if part(self.list_days, self.days) >= LISTING {
            self.settled = Some(1);
        } else if self.trials >= MANNER_TRIALS {
            let untraced = part(self.untraced, self.trials) >= TASK;
            let unexplained = part(self.unexplained, self.trials) >= TASK;
            let approved = part(self.approved, self.trials) >= TASK;
            self.settled = Some(match (approved, untraced, unexplained) {
                (true, ..) => 2,
                (_, true, _) => 3,
                (_, _, true) => 4,
                _ => 0,
            });
        }
    }

    /// Whether it is known, or won't be.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.is_some() || self.days >= 3 * MANNER_DAYS
    }

    pub(crate) fn kind(&self) -> u8 {
        self.settled.unwrap_or(0)
    }
}

/// How a customer was shown to an account today.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    listed: bool,
    asked: bool,
    opened: bool,
}

impl Known {
    /// Notes that the customer is shown, alone or in a list; says whether this is another step than
    /// those of today. Who opens a customer after a search has done more than to search.
    pub(crate) fn is_new(&mut self, direct: bool, clear: bool) -> bool {
        let before = *self;
        match (direct, clear) {
            (true, true) => self.opened = true,
            (true, false) => self.asked = true,
            (false, _) => self.listed = true,
        }
        match (direct, clear) {
            (true, true) => !before.opened,
            (true, false) => !before.opened && !before.asked,
            (false, _) => !before.opened && !before.listed,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) manner: Manner,
    /// The peers: role and whether it is new.
    pub(crate) group: usize,
    role: u32,
    moved: bool,
    /// The day on which it was used at first.
    pub(crate) since: i64,
    pub(crate) team: u32,
    /// The role that feedback is laid to.
    pub(crate) told_role: u32,
    pub(crate) day: i64,
    pub(crate) days: usize,
    /// How many of today's customers no strong reason explains.
    pub(crate) unexplained: f64,
    /// The customers of today, and how they were shown.
    pub(crate) known: Map<u32, Known>,
    /// Trials of today, at once and after the time that late links need.
    pub(crate) tried: f64,
    pub(crate) settled: f64,
    /// Complaints of today.
    pub(crate) complaints: f64,
    pub(crate) tracks: Vec<Track>,
    /// At once, and after the time that late links need.
    pub(crate) at_will: [AtWill; 2],
    /// Trials on a usual day.
    pub(crate) pace: f64,
    pub(crate) volume: Volume,
    pub(crate) sizes: Sizes,
    /// Customers shown in lists today.
    pub(crate) listed: usize,
    pub(crate) size_evidence: f64,
    /// How far each stream's evidence has risen, and that of all together.
    pub(crate) rises: Vec<Rise>,
    pub(crate) marks: VecDeque<Mark>,
    /// When it was last an alert, and how often it was.
    pub(crate) alerted: Option<Timestamp>,
    pub(crate) alerts: u32,
    /// When it was last one of a crowd of whom the same was found.
    pub(crate) crowded: Option<Timestamp>,
    /// The score of the last alert.
    pub(crate) carried: f64,
    /// For how much its last alert counts in the budget, and the evidence of it, until what came
    /// after shows that it was none of chance.
    pub(crate) unconfirmed: Option<(f64, f64)>,
    /// The score that was last told.
    pub(crate) told: f64,
    hours: [f32; 24],
    /// All of these together.
    hours_all: f32,
    hours_today: [f32; 24],
    devices: Vec<(u32, i64)>,
    /// When a new device was taken for the replacement of the old one.
    renewed: Option<i64>,
    pub(crate) device: u32,
    numbers: [u64; 8],
    next: usize,
    partners: [u32; PARTNERS],
}

impl Account {
    pub(crate) fn new() -> Self {
        Self {
            manner: Manner::default(),
            group: usize::MAX,
            role: NONE,
            moved: false,
            since: i64::MAX,
            team: NONE,
            told_role: NONE,
            day: i64::MIN,
            days: 0,
            unexplained: 0.0,
            known: Map::default(),
            tried: 0.0,
            settled: 0.0,
            complaints: 0.0,
            tracks: vec![Track::default(); signals::ALL.len()],
            at_will: Default::default(),
            pace: 32.0,
            volume: Volume::default(),
            sizes: Sizes::default(),
            listed: 0,
            size_evidence: 0.0,
            rises: vec![Rise::default(); STREAMS + 1],
            marks: VecDeque::new(),
            alerted: None,
            alerts: 0,
            crowded: None,
            carried: 0.0,
            unconfirmed: None,
            told: 0.0,
            hours: [0.0; 24],
            hours_all: 0.0,
            hours_today: [0.0; 24],
            devices: Vec::new(),
            renewed: None,
            device: NONE,
            numbers: [0; 8],
            next: 0,
            partners: [NONE; PARTNERS],
        }
    }

    /// Takes the role that HR tells today. With another one, it is other work, and what was usual
    /// is so no more.
    pub(crate) fn take_role(&mut self, role: u32, day: i64) {
        self.since = self.since.min(day);
        if self.role != NONE && self.role != role {
            self.moved = true;
            self.manner = Manner::default();
            self.tracks.iter_mut().for_each(|track| *track = Track::default());
            self.at_will = Default::default();
            (self.volume, self.sizes) = (Volume::default(), Sizes::default());
        }
        self.role = role;
    }

    /// Whether it has another role, and its manner of work there is not known yet.
    pub(crate) fn is_settling(&self) -> bool {
        self.moved && !self.manner.is_settled()
    }

    /// Whether the customer was opened alone and in clear today.
    pub(crate) fn has_opened(&self, subject: u32) -> bool {
        self.known.get(&subject).is_some_and(|known| known.opened)
    }

    /// How rare it is what the account shows, in account-days: where it was alerted on lately, how
    /// rare it is that this comes on top within that time.
    pub(crate) fn score(&self, rarity: f64, seen: Timestamp, within: Duration) -> f64 {
        let lately = self.alerted.is_some_and(|alerted| seen <= alerted.after(within));
        let days = within.as_secs_f64() / 86_400.0;
        if lately { rarity.max(self.carried * (rarity / days)) } else { rarity }
    }

    pub(crate) fn mark(&mut self, mark: Mark) {
        if self.marks.len() >= KEPT {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// Whether the account is not used around this hour.
    pub(crate) fn odd_hour(&mut self, at: Timestamp) -> bool {
        let hour = usize::try_from(at.0.rem_euclid(86_400_000_000) / 3_600_000_000).unwrap_or(0);
        if let Some(count) = self.hours_today.get_mut(hour) {
            *count += 1.0;
        }
        let all = self.hours_all;
        let near = [hour + 23, hour, hour + 1];
        let near: f32 = near.iter().filter_map(|hour| self.hours.get(hour % 24)).sum();
        self.days >= 5 && all >= 60.0 && near < 0.01 * all
    }

    /// Whether the device is met for the first time, by an account that is not new.
    pub(crate) fn is_new_device(&self, device: u32) -> bool {
        device != NONE && self.days >= 5 && self.devices.iter().all(|(known, _)| *known != device)
    }

    /// Whether the device is new to an account that is not. While devices are being `replaced`, one
    /// new one is taken for that.
    pub(crate) fn strange_device(&mut self, device: u32, day: i64, replaced: bool) -> bool {
        let strange = self.is_strange(device, day);
        let lately = self.renewed.is_some_and(|before| day <= before + REPLACED);
        if !strange || !replaced || lately {
            return strange;
        }
        self.renewed = Some(day);
        if let Some((_, first)) = self.devices.iter_mut().find(|(known, _)| *known == device) {
            *first = i64::MIN / 2;
        }
        false
    }

    fn is_strange(&mut self, device: u32, day: i64) -> bool {
        self.device = device;
        if device == NONE {
            return false;
        }
        let found = self.devices.iter().find(|(known, _)| *known == device);
        let first = found.map_or(day, |(_, first)| *first);
        if found.is_none() {
            if self.devices.len() >= DEVICES {
                self.devices.remove(0);
            }
            let settled = if self.days < 5 { i64::MIN / 2 } else { day };
            self.devices.push((device, settled));
            return self.days >= 5;
        }
        self.days >= 5 && day - first < NEW
    }

    /// Whether the identifier is beside one of the last; it is the last one from now on.
    pub(crate) fn neighbour(&mut self, number: Option<u64>) -> bool {
        let Some(number) = number else { return false };
        let beside = self.numbers.iter().any(|other| (1..=4).contains(&other.abs_diff(number)));
        if let Some(place) = self.numbers.get_mut(self.next) {
            *place = number;
        }
        self.next = (self.next + 1) % self.numbers.len();
        beside
    }

    /// Whether the other account, which has looked at the same customer, is one with which that has
    /// happened lately: chance brings together everybody, and rarely the same two.
    pub(crate) fn shares_with(&mut self, other: u32) -> bool {
        if other == NONE {
            return false;
        }
        let again = self.partners.contains(&other);
        self.partners.rotate_right(1);
        let [latest, ..] = &mut self.partners;
        *latest = other;
        again
    }

    /// Learns at which hours of the day it was used.
    pub(crate) fn learn_hours(&mut self, suspected: bool) {
        for (hour, today) in self.hours.iter_mut().zip(&mut self.hours_today) {
            if !suspected {
                *hour = *hour * 0.98 + *today;
            }
            *today = 0.0;
        }
        self.hours_all = self.hours.iter().sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manner(class: Class, listing: bool) -> Manner {
        let mut manner = Manner::default();
        for _ in 0..MANNER_DAYS {
            (0..5).for_each(|_| manner.see(class));
            manner.day(listing);
        }
        manner
    }

    #[test]
    fn who_works_in_another_manner_is_compared_with_others_of_that_manner() {
        let usual = manner(Class::Strong, false).kind();
        let all = [
            manner(Class::Bare, false).kind(),
            manner(Class::Past, false).kind(),
            manner(Class::Approved, false).kind(),
            manner(Class::Strong, true).kind(),
        ];
        for (place, kind) in all.iter().enumerate() {
            assert_ne!(*kind, usual);
            assert!(!all[..place].contains(kind));
        }
    }

    #[test]
    fn a_manner_that_is_settled_does_not_change() {
        let mut manner = manner(Class::Strong, false);
        let before = manner.kind();
        (0..500).for_each(|_| manner.see(Class::Bare));
        manner.day(true);
        assert_eq!(manner.kind(), before);
        assert!(manner.is_settled());
    }

    #[test]
    fn the_new_device_that_everybody_gets_is_not_strange_and_another_one_is() {
        let mut account = Account::new();
        (0..10).for_each(|day| {
            account.days += 1;
            assert!(!account.strange_device(1, day, false));
        });
        assert!(account.is_new_device(2) && !account.is_new_device(1));
        assert!(account.strange_device(2, 10, false));
        assert!(!account.strange_device(2, 10, true), "it is seen that all get one");
        assert!(!account.strange_device(2, 11, false));
        assert!(account.strange_device(3, 11, true));
    }

    #[test]
    fn two_accounts_share_customers_from_the_second_time_on() {
        let mut account = Account::new();
        assert!(!account.shares_with(3));
        assert!(account.shares_with(3));
        (10..30).for_each(|other| assert!(!account.shares_with(other)));
        assert!(!account.shares_with(3));
    }
}
