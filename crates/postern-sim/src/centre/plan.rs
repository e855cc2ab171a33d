//! What a world is made of.

/// The kind of trouble that a world has beside its attackers. Each is common in real support
/// centres, and each looks like a theft to somebody who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Nothing special.
    Calm,
    /// Backlogs: two to three times the work for days, overtime, everybody helps other queues.
    Peaks,
    /// The ticket or call connector stops for hours or days; what it missed comes late or never.
    Outages,
    /// Customers move between queues, devices are replaced, one team cleans up old records.
    Migration,
    /// A cohort of trainees arrives that works differently from everybody.
    Cohorts,
    /// Tickets are linked late or not at all, and habits differ widely between people.
    Sloppy,
    /// All of it.
    Mixed,
}

impl Trouble {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Calm,
        Self::Peaks,
        Self::Outages,
        Self::Migration,
        Self::Cohorts,
        Self::Sloppy,
        Self::Mixed,
    ];

    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Peaks => "peaks",
            Self::Outages => "outages",
            Self::Migration => "migration",
            Self::Cohorts => "cohorts",
            Self::Sloppy => "sloppy",
            Self::Mixed => "mixed",
        }
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self == other || self == Self::Mixed
    }
}

/// How a company works and what its systems tell, where that differs from the usual centre. None
/// of it is trouble: worlds made by other people look like this every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    Usual,
    /// Only tickets and accesses, and of these only what a feed must have.
    Bare,
    /// No calls, so that nobody knows who telephoned.
    NoCalls,
    /// Nobody tells of people, customers, calls and approvals.
    NoPeople,
    /// Tickets without message, sender, channel, language and opener.
    ThinTickets,
    /// Accesses carry the grade of the reason that was checked.
    Graded,
    /// Tickets have no owner: whoever has time takes the next one.
    Pool,
    /// Tickets are linked to customers hours after they were opened.
    LinkedLater,
    /// Tickets are told of from their assignment on.
    Headless,
    /// Changes of tickets come hours late, changes of people days late.
    Late,
    /// Customers' identifiers without an order.
    Opaque,
    /// Identifiers of digits only, in the order of opening.
    Numeric,
    /// One team, one queue.
    OneTeam,
    /// All hours of all days, far from the time zone of the feeds.
    Nights,
    Small,
    Large,
    Long,
    /// Hardly anything is unexplained.
    Clean,
    /// One look in seven is unexplained.
    Dirty,
    /// Roles that nobody has heard of.
    Roles,
    /// No devices, and addresses that change with every session.
    Roaming,
    /// Everybody works on everybody's tickets.
    Shared,
    /// Each kind of look is written as an access of its own, masked at first.
    Masked,
    /// Some customers whose records were taken are called by swindlers, and some others.
    Complaints,
    /// UUIDs as identifiers of customers.
    Uuids,
    /// Tickets are opened and closed, with whom they belong to on both; accesses tell no kind and
    /// no fields, and that something was masked.
    Terse,
    /// In the morning everybody sees a list of a thousand customers, with names.
    Walls,
    /// Every sixth agent gets other work and another role; nobody tells of who was hired.
    Movers,
}

impl Style {
    /// Every style.
    pub const ALL: [Self; 28] = [
        Self::Usual,
        Self::Bare,
        Self::NoCalls,
        Self::NoPeople,
        Self::ThinTickets,
        Self::Graded,
        Self::Pool,
        Self::LinkedLater,
        Self::Headless,
        Self::Late,
        Self::Opaque,
        Self::Numeric,
        Self::OneTeam,
        Self::Nights,
        Self::Small,
        Self::Large,
        Self::Long,
        Self::Clean,
        Self::Dirty,
        Self::Roles,
        Self::Roaming,
        Self::Shared,
        Self::Masked,
        Self::Complaints,
        Self::Uuids,
        Self::Terse,
        Self::Walls,
        Self::Movers,
    ];

    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Bare => "bare",
            Self::NoCalls => "no_calls",
            Self::NoPeople => "no_people",
            Self::ThinTickets => "thin_tickets",
            Self::Graded => "graded",
            Self::Pool => "pool",
            Self::LinkedLater => "linked_later",
            Self::Headless => "headless",
            Self::Late => "late",
            Self::Opaque => "opaque",
            Self::Numeric => "numeric",
            Self::OneTeam => "one_team",
            Self::Nights => "nights",
            Self::Small => "small",
            Self::Large => "large",
            Self::Long => "long",
            Self::Clean => "clean",
            Self::Dirty => "dirty",
            Self::Roles => "roles",
            Self::Roaming => "roaming",
            Self::Shared => "shared",
            Self::Masked => "masked",
            Self::Complaints => "complaints",
            Self::Uuids => "uuids",
            Self::Terse => "terse",
            Self::Walls => "walls",
            Self::Movers => "movers",
        }
    }
}

/// What an attacker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Drip2,
    Drip8,
    Pretext,
    Neighbour,
    Enumeration,
    RandomEnumeration,
    Hoarding,
    ExEmployee,
    Borrowed,
    Export,
    Collusion,
    Ring,
    Forged,
    Frog,
    Bulk,
    /// Photographs the screen while doing honest work: leaves no trace, and is there to show what
    /// luck finds.
    Photographs,
}

impl Kind {
    /// Every kind, in the order of the tables.
    pub const ALL: [Self; 16] = [
        Self::Drip2,
        Self::Drip8,
        Self::Pretext,
        Self::Neighbour,
        Self::Enumeration,
        Self::RandomEnumeration,
        Self::Hoarding,
        Self::ExEmployee,
        Self::Borrowed,
        Self::Export,
        Self::Collusion,
        Self::Ring,
        Self::Forged,
        Self::Frog,
        Self::Bulk,
        Self::Photographs,
    ];

    /// Its name in tables and truth files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drip2 => "drip_2",
            Self::Drip8 => "drip_8",
            Self::Pretext => "pretext",
            Self::Neighbour => "neighbour",
            Self::Enumeration => "enumeration",
            Self::RandomEnumeration => "random_enumeration",
            Self::Hoarding => "hoarding",
            Self::ExEmployee => "ex_employee",
            Self::Borrowed => "borrowed",
            Self::Export => "export",
            Self::Collusion => "collusion",
            Self::Ring => "approval_ring",
            Self::Forged => "forged_inbound",
            Self::Frog => "boiling_frog",
            Self::Bulk => "bulk",
            Self::Photographs => "photographs",
        }
    }
}

/// A world to make. The same plan gives the same events.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub trouble: Trouble,
    pub style: Style,
    pub agents: usize,
    pub customers: usize,
    pub days: i64,
    pub attacks: Vec<Kind>,
    /// How much the attackers take, as a factor.
    pub strength: f64,
    /// Unexplained looks of honest people, as a factor.
    pub stray: f64,
}

impl Plan {
    /// A centre of the usual size with half of the attacks, picked by the seed.
    pub fn usual(seed: u64, trouble: Trouble) -> Self {
        let mut chance = crate::centre::Chance::new(seed * 16 + trouble as u64);
        let mut attacks = Kind::ALL.to_vec();
        while attacks.len() > Kind::ALL.len() / 2 {
            attacks.remove(chance.below(attacks.len()));
        }
        let strength = *chance.one_of(&[0.7, 1.0, 1.0, 1.5]);
        Self {
            seed,
            trouble,
            style: Style::Usual,
            agents: 110,
            customers: 20_000,
            days: 80,
            attacks,
            strength,
            stray: 1.0,
        }
    }

    /// The same in another style.
    pub fn styled(mut self, style: Style) -> Self {
        self.style = style;
        if style == Style::Small {
            (self.agents, self.customers) = (20, 4_000);
            self.attacks.truncate(3);
        }
        if style == Style::Large {
            (self.agents, self.customers, self.days) = (400, 60_000, 36);
        }
        if style == Style::Long {
            (self.agents, self.customers, self.days) = (45, 9_000, 180);
        }
        if style == Style::Clean {
            self.stray = 0.05;
        }
        if style == Style::Dirty {
            self.stray = 7.0;
        }
        self
    }
}
