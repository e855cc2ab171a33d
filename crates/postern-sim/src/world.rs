//! A support centre: its customers, its staff and what they read for their work.

use postern_model::{Access, Event};
use postern_trace::ValueVersion;

use crate::chance::{Chance, Wheel};

mod people;
mod style;
pub mod work;

pub use self::style::Style;

pub(crate) const MINUTE: i64 = 60_000_000;
pub(crate) const DAY: i64 = 24 * 60 * MINUTE;
/// 2026-01-05, a Monday, so that the days of the week are right.
pub(crate) const START: i64 = 1_767_571_200_000_000;

/// What a world is like.
#[derive(Debug, Clone)]
pub struct Setting {
    pub customers: usize,
    pub agents: usize,
    pub days: i64,
    pub queues: usize,
    pub languages: usize,
    /// Tickets a day and agent.
    pub tickets: f64,
    /// Spread of the logarithm of how often customers write.
    pub activity: f64,
    /// Whether accesses say how well they were reasoned.
    pub graded: bool,
    /// Whether accesses say which fields were in clear.
    pub fields: bool,
    /// The share of customers whose address or number changes.
    pub moving: f64,
    /// Share of an agent's readings that nothing explains.
    pub curious: f64,
    pub style: Style,
}

impl Setting {
    /// A setting drawn from the wide range of those that there are.
    pub fn drawn(chance: &mut Chance) -> Self {
        Self {
            customers: chance.between(6_000, 30_000),
            agents: chance.between(24, 90),
            days: i64::try_from(chance.between(20, 70)).unwrap_or(20),
            queues: chance.between(2, 6),
            languages: chance.between(1, 4),
            tickets: 4.0 + 10.0 * chance.unit(),
            activity: 0.5 + 1.0 * chance.unit(),
            graded: chance.odds(0.6),
            fields: chance.odds(0.7),
            moving: 0.3 * chance.unit(),
            curious: 0.08 * chance.unit(),
            style: Style::Usual,
        }
    }
}

/// The fields of a customer's record, by position.
pub const FIELDS: [&str; 4] = ["name", "email", "phone", "ticket"];

/// The value of one field from a moment on.
#[derive(Debug, Clone)]
pub struct Version {
    pub ts: i64,
    pub value: String,
}

/// A customer.
#[derive(Debug, Clone)]
pub struct Customer {
    pub queue: usize,
    pub language: usize,
    pub important: bool,
    /// How often they write, relative to others.
    pub activity: f64,
    /// Name, e-mail address and telephone number over time.
    pub versions: [Vec<Version>; 3],
    /// Tickets: number, opened, queue.
    pub tickets: Vec<(String, i64, usize)>,
}

impl Customer {
    /// The value that the field has at that moment.
    pub fn value(&self, field: usize, time: i64, chance: &mut Chance) -> Option<String> {
        if let Some(versions) = self.versions.get(field) {
            let last = versions.iter().rev().find(|version| version.ts <= time);
            return last.or(versions.first()).map(|version| version.value.clone());
        }
        let until = self.tickets.partition_point(|ticket| ticket.1 <= time);
        chance.one(&self.tickets[..until]).map(|ticket| ticket.0.clone())
    }
}

/// A member of staff, or a program.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    pub role: &'static str,
    pub queues: Vec<usize>,
    pub languages: Vec<usize>,
}

/// One record before somebody's eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    pub customer: usize,
    pub time: i64,
    /// Which of [`FIELDS`] were in clear, as bits.
    pub shown: u8,
}

/// A support centre with everything that happened in it.
#[derive(Debug)]
pub struct World {
    pub setting: Setting,
    pub customers: Vec<Customer>,
    pub staff: Vec<Member>,
    /// What each member read for their work.
    pub work: Vec<Vec<Read>>,
    pub events: Vec<Event>,
    pub accesses: Vec<Access>,
    pub chance: Chance,
}

impl World {
    /// The world of a seed in this style, before anything is taken.
    pub fn new(seed: u64, style: Style) -> Self {
        let mut chance = Chance::new(seed);
        let mut setting = Setting::drawn(&mut chance);
        style.set(&mut setting);
        Self::with(setting, chance)
    }

    /// A world of this setting.
    pub fn with(setting: Setting, mut chance: Chance) -> Self {
        let mut world = Self {
            customers: people::customers(&setting, &mut chance),
            staff: people::staff(&setting, &mut chance),
            setting,
            work: Vec::new(),
            events: Vec::new(),
            accesses: Vec::new(),
            chance,
        };
        world.work = vec![Vec::new(); world.staff.len()];
        world.events = people::events(&world);
        work::happen(&mut world);
        world
    }

    /// The end of what is recorded.
    pub fn end(&self) -> i64 {
        START + self.setting.days * DAY
    }

    /// The subject of a customer.
    pub fn subject(customer: usize) -> String {
        format!("c{customer}")
    }

    /// The members who answer customers, by position.
    pub fn agents(&self) -> Vec<usize> {
        (0..self.staff.len()).filter(|member| self.staff[*member].role == "agent").collect()
    }

    /// A wheel of all customers by how often they write.
    pub fn wheel(&self) -> Wheel {
        Wheel::new(self.customers.iter().map(|customer| customer.activity))
    }

    /// What the fields were over time.
    pub fn values(&self) -> Vec<ValueVersion> {
        people::values(self)
    }
}
