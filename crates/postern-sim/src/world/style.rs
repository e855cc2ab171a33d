//! Worlds as other people make them. A style says how a company works and what its systems tell,
//! where that differs from the usual centre; who steals, and how, stays the same.

use std::fmt;

use postern_model::{Access, AccessKind, Event};
use postern_trace::{TraceConfig, Tracer, ValueVersion};

use super::{MINUTE, Setting, World};
use crate::chance::Chance;

/// How a company works and what its systems tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    #[default]
    Usual,
    /// Accesses alone, and of these only what a feed must have; values are known.
    Bare,
    /// No tickets, and no access says what its reason was.
    Reasonless,
    /// Nothing tells of queues and languages, by which the work is divided all the same.
    Unsorted,
    /// No values; lists name the key.
    Keys,
    /// Lists of one column: addresses, numbers, or names.
    Column,
    /// A third of all cells is mistyped, and no list names the key.
    Typos,
    /// 500 customers, 8 agents.
    Small,
    /// 500 agents.
    Large,
    /// A few customers write all the time.
    Popular,
    /// A third of the agents works through shared accounts, of which nothing says that they are.
    Desks,
    /// Three years.
    Years,
    /// What is stolen at once is stolen within an hour.
    Hour,
    /// Each analyst has seen six of ten customers.
    Wide,
    /// Whoever looks for a customer is shown a page of them.
    Pages,
    /// A third of what people read has no reason.
    Curious,
    /// The clock by which accesses are told is three hours ahead of all others.
    Shifted,
    /// A fifth of the accesses is not told.
    Gaps,
    /// Whoever wants customers of one kind wants one of eight kinds that nothing tells of and by
    /// which no work is divided.
    Traits,
}

impl Style {
    /// Every style.
    pub const ALL: [Self; 19] = [
        Self::Usual,
        Self::Bare,
        Self::Reasonless,
        Self::Unsorted,
        Self::Keys,
        Self::Column,
        Self::Typos,
        Self::Small,
        Self::Large,
        Self::Popular,
        Self::Desks,
        Self::Years,
        Self::Hour,
        Self::Wide,
        Self::Pages,
        Self::Curious,
        Self::Shifted,
        Self::Gaps,
        Self::Traits,
    ];

    /// Its name in tables and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Bare => "bare",
            Self::Reasonless => "reasonless",
            Self::Unsorted => "unsorted",
            Self::Keys => "keys",
            Self::Column => "column",
            Self::Typos => "typos",
            Self::Small => "small",
            Self::Large => "large",
            Self::Popular => "popular",
            Self::Desks => "desks",
            Self::Years => "years",
            Self::Hour => "hour",
            Self::Wide => "wide",
            Self::Pages => "pages",
            Self::Curious => "curious",
            Self::Shifted => "shifted",
            Self::Gaps => "gaps",
            Self::Traits => "traits",
        }
    }

    pub(crate) fn set(self, setting: &mut Setting) {
        setting.style = self;
        match self {
            Self::Small => (setting.customers, setting.agents) = (500, 8),
            Self::Large => (setting.agents, setting.tickets) = (500, setting.tickets / 4.0),
            Self::Popular => setting.activity = 2.2,
            Self::Years => {
                (setting.days, setting.tickets) = (1_095, 0.4 + setting.tickets / 20.0);
            }
            Self::Curious => setting.curious = 0.5,
            Self::Usual
            | Self::Bare
            | Self::Reasonless
            | Self::Unsorted
            | Self::Keys
            | Self::Column
            | Self::Typos
            | Self::Desks
            | Self::Hour
            | Self::Wide
            | Self::Pages
            | Self::Shifted
            | Self::Gaps
            | Self::Traits => {}
        }
    }

    /// What is told of an event, if anything is.
    fn tell(self, event: &Event) -> Option<Event> {
        match (self, event) {
            (Self::Bare, _) | (Self::Reasonless, Event::Ticket(_)) => None,
            (Self::Unsorted, Event::Subject(change)) => {
                let mut change = change.clone();
                (change.queue, change.language) = (None, None);
                Some(Event::Subject(change))
            }
            (Self::Unsorted, Event::Ticket(ticket)) => {
                let mut ticket = ticket.clone();
                (ticket.queue, ticket.language) = (None, None);
                Some(Event::Ticket(ticket))
            }
            (_, event) => Some(event.clone()),
        }
    }

    fn tell_access(self, number: usize, access: &Access) -> Option<Access> {
        // Not every fifth: what a seed makes may come in fives.
        if self == Self::Gaps && Chance::new(number as u64).odds(0.2) {
            return None;
        }
        let mut access = access.clone();
        if self == Self::Shifted {
            access.ts.0 += 180 * MINUTE;
        }
        if matches!(self, Self::Bare | Self::Reasonless) {
            (access.grade, access.reason) = (None, None);
        }
        if self == Self::Bare {
            (access.kind, access.ticket) = (None, None);
            access.clear.clear();
            access.masked.clear();
        }
        Some(access)
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl World {
    /// One of eight kinds of customers; no chance is used up where there are none.
    pub(crate) fn kind(&mut self) -> usize {
        if self.setting.style == Style::Traits { self.chance.below(8) } else { 0 }
    }

    /// Whether a customer is of one of eight kinds that nothing tells of; of a queue, where there
    /// are no such kinds.
    pub(crate) fn is_of_kind(&self, customer: usize, kind: usize, queue: usize) -> bool {
        if self.setting.style == Style::Traits {
            customer % 8 == kind
        } else {
            self.customers[customer].queue == queue
        }
    }

    /// What is told of the values that fields had.
    pub fn told_values(&self) -> Vec<ValueVersion> {
        if self.setting.style == Style::Keys { Vec::new() } else { self.values() }
    }

    /// What is told of everything else, accesses last.
    pub fn told_events(&self) -> impl Iterator<Item = Event> + '_ {
        let style = self.setting.style;
        let events = self.events.iter().filter_map(move |event| style.tell(event));
        let accesses = self.accesses.iter().enumerate();
        let told = accesses.filter_map(move |(number, access)| style.tell_access(number, access));
        events.chain(told.map(|access| Event::Access(Box::new(access))))
    }

    /// A tracer that was told of all of it.
    pub fn tracer(&self, config: TraceConfig) -> Tracer {
        let mut tracer = Tracer::new(config);
        self.told_values().iter().for_each(|value| tracer.value(value));
        self.told_events().for_each(|event| tracer.observe(&event));
        tracer
    }

    /// A page of customers on which somebody finds the one they look for.
    pub(crate) fn page(&mut self, customer: usize) -> Vec<usize> {
        let queue = self.customers[customer].queue;
        let mut page = vec![customer];
        while page.len() < 12 {
            let other = self.chance.below(self.customers.len());
            if !page.contains(&other)
                && (self.customers[other].queue == queue || self.chance.odds(0.05))
            {
                page.push(other);
            }
        }
        page
    }

    /// Every analyst exports six of ten customers, a part a week.
    pub(crate) fn export_widely(&mut self) {
        let analysts: Vec<usize> =
            (0..self.staff.len()).filter(|member| self.staff[*member].role == "analyst").collect();
        let all: Vec<usize> = (0..self.customers.len()).collect();
        for analyst in analysts {
            let seen = self.chance.some(&all, all.len() * 6 / 10);
            let weeks = usize::try_from(self.setting.days / 7).unwrap_or(1).max(1);
            for (week, part) in seen.chunks(seen.len().div_ceil(weeks)).enumerate() {
                let statement = format!("extract {analyst}");
                let how = super::work::How {
                    kind: AccessKind::Export,
                    statement: &statement,
                    ..super::work::LOOKUP
                };
                let week = i64::try_from(week).unwrap_or(0);
                self.read(analyst, super::START + week * 7 * super::DAY, part, how);
            }
        }
    }
}
