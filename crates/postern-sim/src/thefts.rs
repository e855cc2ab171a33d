//! How records are taken by people who may see some of them.

use postern_model::{AccessKind, Grade};

use crate::world::{DAY, MINUTE, Read, START, Style, World, work::How};

/// How somebody takes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Many at once, in long lists.
    Bulk,
    /// A few a day, one at a time, some with a ticket that has nothing to do with it.
    Drip,
    /// Nothing beyond the work: what was read for it is sold.
    Own,
}

impl Manner {
    /// Takes records through a member's account, and says which.
    pub fn take(self, world: &mut World, member: usize) -> Vec<Read> {
        match self {
            Self::Bulk => bulk(world, member),
            Self::Drip => drip(world, member),
            Self::Own => own(world, member),
        }
    }
}

/// Customers that a buyer wants: anybody, one language or queue, the active or the important.
fn wanted(world: &mut World, count: usize) -> Vec<usize> {
    let (queue, language) =
        (world.chance.below(world.setting.queues), world.chance.below(world.setting.languages));
    let taste = world.chance.below(5);
    let kind = world.kind();
    let weights: Vec<f64> = world
        .customers
        .iter()
        .enumerate()
        .map(|(number, customer)| match taste {
            0 => f64::from(u8::from(world.is_of_kind(number, kind, queue))),
            1 => f64::from(u8::from(customer.language == language)),
            2 => customer.activity,
            _ => 1.0,
        })
        .collect();
    // Who takes nearly everything can't be told from a copy of everything, by nobody.
    let eligible = weights.iter().filter(|weight| **weight > 0.0).count();
    world.chance.weighted(&weights, count.min(eligible / 3))
}

fn bulk(world: &mut World, member: usize) -> Vec<Read> {
    let count = world.chance.between(300, 2_500);
    let customers = wanted(world, count);
    let day = 2 + i64::try_from(world.chance.below(16)).unwrap_or(0);
    let start = START + day * DAY + i64::try_from(world.chance.below(1_300)).unwrap_or(0) * MINUTE;
    let size = world.chance.between(15, 120);
    let shown = if world.chance.odds(0.5) { 0b1111 } else { 0b0111 };
    let kind = if world.chance.odds(0.5) { AccessKind::List } else { AccessKind::Search };
    let grade = world.chance.odds(0.4).then_some(Grade::Weak);
    let statement = format!("s{}", world.chance.below(1_000));
    let how = How { kind, statement: &statement, ticket: None, grade, shown };
    let mut taken = Vec::new();
    for (number, part) in customers.chunks(size).enumerate() {
        // Two evenings, a statement every two minutes.
        let number = i64::try_from(number).unwrap_or(0);
        let time = if world.setting.style == Style::Hour {
            start + number * MINUTE / 4
        } else {
            start + number * 2 * MINUTE + (number % 2) * DAY
        };
        world.read(member, time, part, how);
        taken.extend(part.iter().map(|customer| Read { customer: *customer, time, shown }));
    }
    taken
}

fn drip(world: &mut World, member: usize) -> Vec<Read> {
    let count = world.chance.between(150, 1_200);
    let customers = wanted(world, count);
    let span = world.setting.days as f64 * (0.4 + 0.6 * world.chance.unit()) * DAY as f64;
    let mut taken = Vec::new();
    for customer in customers {
        let time = START + (world.chance.unit() * span) as i64;
        let with_ticket = world.chance.odds(0.3);
        let ticket = with_ticket.then(|| format!("T{:06}", world.chance.below(9_999)));
        let how = How {
            kind: AccessKind::Lookup,
            statement: "lookup",
            ticket: ticket.as_deref(),
            grade: with_ticket.then_some(Grade::Weak),
            shown: 0b1111,
        };
        world.read(member, time, &[customer], how);
        taken.push(Read { customer, time, shown: 0b1111 });
    }
    taken
}

fn own(world: &World, member: usize) -> Vec<Read> {
    let mut taken = world.work[member].clone();
    taken.sort_by_key(|read| (read.customer, read.time));
    taken.dedup_by_key(|read| read.customer);
    taken
}
