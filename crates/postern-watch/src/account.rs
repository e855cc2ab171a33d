//! What is remembered of one account.

use std::collections::{BTreeMap, VecDeque};

use postern_model::Timestamp;

use crate::{
    amount::{Sizes, Volume},
    names::NONE,
    share::Track,
    signals,
    tail::Rise,
    verdict::STREAMS,
};

/// Evidence that is kept for a finding.
const KEPT: usize = 100;
/// Devices that are told apart.
const DEVICES: usize = 24;
/// How long a device is new.
const NEW: i64 = 3;

/// An access that something spoke against.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) id: String,
    pub(crate) subject: u32,
    /// The signals that said yes, as bits.
    pub(crate) signals: u32,
}

#[derive(Debug)]
pub(crate) struct Account {
    /// The peers: role and whether it is new.
    pub(crate) group: usize,
    pub(crate) team: u32,
    pub(crate) day: i64,
    pub(crate) days: usize,
    /// How many of today's customers no strong reason explains.
    pub(crate) unexplained: f64,
    /// The customers of today, and whether they were shown in clear.
    pub(crate) known: BTreeMap<u32, bool>,
    /// Trials of today, at once and after the time that late links need.
    pub(crate) tried: f64,
    pub(crate) settled: f64,
    pub(crate) tracks: Vec<Track>,
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
    /// The score that was last told.
    pub(crate) told: f64,
    hours: [f32; 24],
    hours_today: [f32; 24],
    devices: Vec<(u32, i64)>,
    pub(crate) device: u32,
    numbers: [u64; 8],
    next: usize,
}

impl Account {
    pub(crate) fn new() -> Self {
        Self {
            group: usize::MAX,
            team: NONE,
            day: i64::MIN,
            days: 0,
            unexplained: 0.0,
            known: BTreeMap::new(),
            tried: 0.0,
            settled: 0.0,
            tracks: vec![Track::default(); signals::ALL.len()],
            pace: 32.0,
            volume: Volume::default(),
            sizes: Sizes::default(),
            listed: 0,
            size_evidence: 0.0,
            rises: vec![Rise::default(); STREAMS + 1],
            marks: VecDeque::new(),
            alerted: None,
            alerts: 0,
            told: 0.0,
            hours: [0.0; 24],
            hours_today: [0.0; 24],
            devices: Vec::new(),
            device: NONE,
            numbers: [0; 8],
            next: 0,
        }
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
        let all: f32 = self.hours.iter().sum();
        let near = [hour + 23, hour, hour + 1];
        let near: f32 = near.iter().filter_map(|hour| self.hours.get(hour % 24)).sum();
        self.days >= 5 && all >= 60.0 && near < 0.01 * all
    }

    /// Whether the device is new to an account that is not.
    pub(crate) fn strange_device(&mut self, device: u32, day: i64) -> bool {
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

    /// Learns at which hours of the day it was used.
    pub(crate) fn learn_hours(&mut self, suspected: bool) {
        for (hour, today) in self.hours.iter_mut().zip(&mut self.hours_today) {
            if !suspected {
                *hour = *hour * 0.98 + *today;
            }
            *today = 0.0;
        }
    }
}
