//! The signals: what about an access to one customer could be a trace of misuse.
//!
//! Each is a question that is answered with yes or no for a trial (one customer, one account, one
//! day), or that doesn't apply to it. None of them is evidence by itself: what counts is that the
//! share of yes rises above what is usual for the account and its peers, which is the same test
//! for all of them ([`crate::share`]). A new signal is a new entry here and nothing else.

use postern_model::Timestamp;

use crate::{
    names::NONE,
    reasons::{Class, Reason},
    world::World,
};

/// One customer whose data an account was shown, for the first time on that day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) reason: Reason,
    /// Whether this is looked at again after the time that late links need.
    pub(crate) settled: bool,
    /// Whether the account has been in use for so long that it has customers of old.
    pub(crate) seasoned: bool,
    /// Whether the customer was opened alone, not as one of a list.
    pub(crate) direct: bool,
    /// Whether the identifier is beside one that the account has just seen.
    pub(crate) neighbour: bool,
    /// Whether the account is never used at this hour.
    pub(crate) odd_hour: bool,
    /// Whether the device is new to the account.
    pub(crate) strange_device: bool,
    /// Whether the owner is absent, or on a call while another device is used.
    pub(crate) elsewhere: bool,
    /// Whether the customer is prominent or works here.
    pub(crate) vip: bool,
    /// Whether queue or language are not the account's.
    pub(crate) foreign: bool,
    /// Whether another account has looked at the customer without a reason, one with which that has
    /// happened before.
    pub(crate) shared: bool,
    /// Whether a missing reason is unusual for the account at all.
    pub(crate) needs_reasons: bool,
    /// Whether the account had opened this customer, who has now told of a suspicious contact.
    pub(crate) complained: Option<bool>,
    /// Whether the one who approved has been granted something by this account.
    pub(crate) reciprocal: bool,
}

/// Nothing but the reason.
pub(crate) fn blank(reason: Reason) -> Trial {
    Trial {
        reason,
        settled: false,
        seasoned: true,
        direct: false,
        neighbour: false,
        odd_hour: false,
        strange_device: false,
        elsewhere: false,
        vip: false,
        foreign: false,
        shared: false,
        reciprocal: false,
        needs_reasons: false,
        complained: None,
    }
}

/// What is to be said about the customer and the account.
pub(crate) fn about(
    facts: Trial,
    (actor, subject): (u32, u32),
    seen: Timestamp,
    world: &World,
) -> Trial {
    let (Some(customer), Some(member)) = (world.customer(subject), world.member(actor)) else {
        return facts;
    };
    let queue = !member.queues.is_empty()
        && customer.queue != NONE
        && !member.queues.contains(&customer.queue);
    let language = !member.languages.is_empty()
        && customer.language != NONE
        && !member.languages.contains(&customer.language);
    let by = facts.reason.by;
    Trial {
        vip: customer.vip,
        foreign: queue || language,
        reciprocal: by != NONE && world.reasons.has_granted(actor, by, seen),
        ..facts
    }
}

/// A signal.
#[derive(Debug)]
pub(crate) struct Signal {
    /// The kind of the findings.
    pub(crate) name: &'static str,
    /// A usual share below this is not believed: rare things happen to everybody once.
    pub(crate) least: f64,
    /// Its part of the alert budget, relative to the others'.
    pub(crate) weight: f64,
    pub(crate) trial: fn(&Trial) -> Option<bool>,
    /// What was seen, after "customers".
    pub(crate) why: &'static str,
    /// The most innocent explanation.
    pub(crate) innocent: &'static str,
}

fn now(trial: &Trial) -> bool {
    trial.direct && !trial.settled
}

/// Whether nothing explains it, for an account that usually has reasons. What is odd besides counts
/// for these only: for somebody who never has a reason, each new device would be a theft.
fn unusual(trial: &Trial) -> bool {
    trial.needs_reasons && trial.reason.class >= Class::Past
}

/// Sees the drip, the frog, the enumeration. Fooled by reasons that are forged.
const UNEXPLAINED_SHARE: Signal = Signal {
    name: "unexplained_share",
    least: 0.01,
    weight: 0.8,
    trial: |t| now(t).then_some(t.reason.class >= Class::Weak),
    why: "without any reason that a customer caused",
    innocent: "help for colleagues, or tickets that were never linked",
};

/// As the unexplained share, where nobody has a current ticket of the customer and the account
/// never had one: rarer, so sharper.
const NO_TRACE: Signal = Signal {
    name: "no_trace",
    least: 0.004,
    weight: 3.0,
    trial: |t| now(t).then_some(t.reason.class >= Class::Archive),
    why: "of whom no current ticket, call or approval tells, and never its own",
    innocent: "a channel that is not connected, or mistyped numbers",
};

/// The same once late links had their time. Sees two a day among sloppy records; two days late.
const NEVER_EXPLAINED: Signal = Signal {
    name: "never_explained",
    least: 0.004,
    weight: 5.0,
    trial: |t| (t.direct && t.settled).then_some(t.reason.class >= Class::Archive),
    why: "whom nothing explains even two days later",
    innocent: "a channel that is not connected",
};

/// Sees pretexts. Fooled by whoever writes in the customer's name.
const SELF_OPENED: Signal = Signal {
    name: "self_opened",
    least: 0.006,
    weight: 2.0,
    trial: |t| now(t).then_some(t.reason.class == Class::Weak),
    why: "under tickets that the account opened without a customer's message or call",
    innocent: "work on behalf of customers at the desk, or a telephone that is not connected",
};

/// Sees pretexts that are closed at once. Fooled by leaving them open and answering.
const SHORT_LIVED: Signal = Signal {
    name: "short_lived_ticket",
    least: 0.003,
    weight: 0.7,
    trial: |t| (t.direct && t.settled).then_some(t.reason.fleeting),
    why: "under tickets of its own that were closed at once and never answered",
    innocent: "duplicates that were cleaned up",
};

/// Sees approvals as a way round tickets. Fooled by approvals that are usual for the role.
const APPROVED_SHARE: Signal = Signal {
    name: "approved_share",
    least: 0.01,
    weight: 0.3,
    trial: |t| now(t).then_some(t.reason.class == Class::Approved),
    why: "on approvals instead of tickets",
    innocent: "a task that was approved",
};

/// Sees two who grant each other what they ask for. Fooled by a ring of three.
const APPROVAL_RING: Signal = Signal {
    name: "approval_ring",
    least: 0.003,
    weight: 1.0,
    trial: |t| now(t).then_some(t.reason.class == Class::Approved && t.reciprocal),
    why: "on approvals of somebody to whom it grants approvals itself",
    innocent: "two who stand in for each other",
};

/// Sees the hoarder who goes through old customers. Fooled by patience.
const LOOKS_BACK: Signal = Signal {
    name: "looks_back",
    least: 0.01,
    weight: 0.8,
    trial: |t| (now(t) && t.seasoned).then_some(t.reason.class == Class::Past),
    why: "whom it once served and whose tickets were closed long ago",
    innocent: "a complaint, an audit, or cleaning up",
};

/// Sees records taken under colleagues' tickets. Fooled by a team that shares everything.
const COLLEAGUES: Signal = Signal {
    name: "colleagues_tickets",
    least: 0.02,
    weight: 0.3,
    trial: |t| now(t).then_some(t.reason.class == Class::Colleague),
    why: "who are colleagues' to serve",
    innocent: "standing in for somebody",
};

/// Sees a real ticket that is claimed for other customers. Fooled by claiming nothing.
const OTHER_TICKET: Signal = Signal {
    name: "other_ticket",
    least: 0.006,
    weight: 1.0,
    trial: |t| now(t).then_some(t.reason.class == Class::Misclaimed),
    why: "under tickets of other customers",
    innocent: "households and companies with several accounts",
};

/// Sees enumeration and neighbours of real records. Fooled by identifiers without an order.
const SEQUENCE: Signal = Signal {
    name: "sequence",
    least: 0.004,
    weight: 1.0,
    trial: |t| now(t).then_some(t.neighbour && unusual(t)),
    why: "whose numbers are beside those it had just seen",
    innocent: "accounts that were opened together",
};

/// Sees shopping outside one's own field. Fooled by queues that everybody serves.
const FOREIGN: Signal = Signal {
    name: "foreign_queue",
    least: 0.01,
    weight: 0.3,
    trial: |t| now(t).then_some(t.foreign && unusual(t)),
    why: "of queues or languages that are not its own, and not assigned to it",
    innocent: "a move between teams that HR has not told of",
};

/// Sees curiosity. Fooled by prominent customers who are not marked.
const PROMINENT: Signal = Signal {
    name: "prominent",
    least: 0.003,
    weight: 0.3,
    trial: |t| now(t).then_some(t.vip && unusual(t)),
    why: "who are prominent or work here, without a reason",
    innocent: "a desk for such customers",
};

/// Sees messages that were forged in customers' names. Fooled by a new origin for each.
const FORGED: Signal = Signal {
    name: "inbound_cluster",
    least: 0.004,
    weight: 1.0,
    trial: |t| now(t).then_some(t.reason.clustered),
    why: "whose messages come from the same few senders and reach this account",
    innocent: "a company that writes for its employees",
};

/// Sees several accounts that take the same records. Fooled by dividing the customers.
const SAME_VICTIMS: Signal = Signal {
    name: "same_customers",
    least: 0.002,
    weight: 1.0,
    trial: |t| now(t).then_some(t.shared && unusual(t)),
    why: "without a reason whom the same other account has looked at without one too",
    innocent: "a case that several work on outside the ticket system",
};

/// Sees work when nobody works. Fooled by staying in the shift.
const ODD_HOURS: Signal = Signal {
    name: "odd_hours",
    least: 0.003,
    weight: 0.7,
    trial: |t| now(t).then_some(t.odd_hour && unusual(t)),
    why: "without a reason and at hours at which it is never used",
    innocent: "a changed shift",
};

/// Sees a borrowed credential. Fooled by using the owner's own machine.
const STRANGE_DEVICE: Signal = Signal {
    name: "strange_device",
    least: 0.003,
    weight: 1.0,
    trial: |t| now(t).then_some(t.strange_device && unusual(t)),
    why: "without a reason and on a device that is new to it",
    innocent: "a new device",
};

/// Sees an account that works while its owner can't. Fooled by the owner being there.
const ELSEWHERE: Signal = Signal {
    name: "owner_elsewhere",
    least: 0.003,
    weight: 0.7,
    trial: |t| {
        let odd = [t.odd_hour, t.strange_device, t.elsewhere].iter().filter(|odd| **odd).count();
        now(t).then_some(odd >= 2 && t.reason.class >= Class::Weak)
    },
    why: "without a customer's reason while its owner seems to be elsewhere",
    innocent: "a return that HR has not told of",
};

/// Sees lists that show in clear whom nobody asked for. Fooled by lists that are usual.
const COLLATERAL: Signal = Signal {
    name: "lists_in_clear",
    least: 0.02,
    weight: 0.3,
    trial: |t| (!t.direct && !t.settled).then_some(t.reason.class >= Class::Past),
    why: "in lists, in clear and without a reason",
    innocent: "a search that finds too much",
};

/// Sees whose customers are called by swindlers, whatever the reason was to open them.
/// Fooled by selling the data to somebody who waits for months.
const COMPLAINTS: Signal = Signal {
    name: "complaints",
    least: 0.02,
    weight: 2.0,
    trial: |t| t.complained,
    why: "who told of suspicious contacts within weeks after it had opened them",
    innocent: "a small team, where the same few have served everybody who complains",
};

/// The place of the unexplained share among [`ALL`].
pub(crate) const UNEXPLAINED: usize = 2;

/// Every signal, in the order in which findings prefer their names.
pub(crate) const ALL: [&Signal; 20] = [
    &NO_TRACE,
    &NEVER_EXPLAINED,
    &UNEXPLAINED_SHARE,
    &SELF_OPENED,
    &SHORT_LIVED,
    &APPROVED_SHARE,
    &APPROVAL_RING,
    &LOOKS_BACK,
    &COLLEAGUES,
    &OTHER_TICKET,
    &SEQUENCE,
    &FOREIGN,
    &PROMINENT,
    &FORGED,
    &SAME_VICTIMS,
    &ODD_HOURS,
    &STRANGE_DEVICE,
    &ELSEWHERE,
    &COLLATERAL,
    &COMPLAINTS,
];
