//! Lists that turn up, and where they really came from.

use std::{collections::BTreeSet, fmt};

use postern_trace::{Leak, LeakRow};

use crate::{
    lists::{Hand, stranger},
    thefts::Manner,
    world::{DAY, Read, START, Style, World},
};

#[cfg(test)]
mod tests;

/// Lengths of lists.
pub const LENGTHS: [usize; 5] = [3, 10, 30, 100, 1_000];

/// Where a list came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Bulk,
    Drip,
    Own,
    /// Two or three together.
    Ring,
    /// A thief adds what somebody else read.
    Framing,
    /// A thief's records within another breach.
    Merged,
    /// The open tickets of a queue, which many have before their eyes.
    Queue,
    /// A copy of the database that no gateway saw.
    Unlogged,
    /// Somebody who has nothing to do with the company.
    Outsider,
}

impl Kind {
    /// Every kind, in the order of the tables.
    pub const ALL: [Self; 9] = [
        Self::Bulk,
        Self::Drip,
        Self::Own,
        Self::Ring,
        Self::Framing,
        Self::Merged,
        Self::Queue,
        Self::Unlogged,
        Self::Outsider,
    ];

    /// Whether an account is behind it.
    pub fn is_guilty(self) -> bool {
        !matches!(self, Self::Queue | Self::Unlogged | Self::Outsider)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bulk => "bulk",
            Self::Drip => "drip",
            Self::Own => "own work",
            Self::Ring => "ring of two or three",
            Self::Framing => "framing",
            Self::Merged => "merged breach",
            Self::Queue => "queue export",
            Self::Unlogged => "unlogged path",
            Self::Outsider => "outsider",
        })
    }
}

/// A list with the truth.
#[derive(Debug, Clone)]
pub struct Sample {
    pub kind: Kind,
    /// One of [`LENGTHS`]: rows, before some were doubled.
    pub length: usize,
    pub leak: Leak,
    /// The accounts that it came through.
    pub sources: Vec<String>,
}

/// Takes records in this world, and makes lists: of every guilty kind one of each length, and
/// `innocent` lists from elsewhere.
pub fn leaks(world: &mut World, innocent: usize) -> Vec<Sample> {
    let thieves = Thieves::strike(world);
    let mut samples = Vec::new();
    for length in LENGTHS {
        for (kind, members) in &thieves.single {
            let (member, taken) = (members.0, &members.1);
            let sources = vec![world.staff[member].name.clone()];
            let rows = match kind {
                Kind::Framing => framed(world, &thieves, (member, taken), length),
                Kind::Merged => merged(world, taken, length),
                Kind::Bulk
                | Kind::Drip
                | Kind::Own
                | Kind::Ring
                | Kind::Queue
                | Kind::Unlogged
                | Kind::Outsider => genuine(world, taken, length),
            };
            samples.push(Sample { kind: *kind, length, leak: Leak { rows }, sources });
        }
        let rows = ring(world, &thieves.ring, length);
        let sources = thieves.ring.iter().map(|(m, _)| world.staff[*m].name.clone());
        let sources = sources.collect::<BTreeSet<_>>().into_iter().collect();
        samples.push(Sample { kind: Kind::Ring, length, leak: Leak { rows }, sources });
    }
    for number in 0..innocent {
        let kind = [Kind::Outsider, Kind::Unlogged, Kind::Outsider, Kind::Queue][number % 4];
        let length = LENGTHS[(number / 4) % LENGTHS.len()];
        let leak = Leak { rows: elsewhere(world, kind, length) };
        samples.push(Sample { kind, length, leak, sources: Vec::new() });
    }
    samples
}

type Taken = (usize, Vec<Read>);

/// Who steals in a world, and what they have.
struct Thieves {
    single: Vec<(Kind, Taken)>,
    ring: Vec<Taken>,
}

impl Thieves {
    fn strike(world: &mut World) -> Self {
        let agents = world.agents();
        let mut chosen = world.chance.some(&agents, 8);
        let mut next = || chosen.pop().unwrap_or(0);
        let own = next();
        let mut plan = vec![(Kind::Bulk, next(), Manner::Bulk), (Kind::Drip, next(), Manner::Drip)];
        for kind in [Kind::Framing, Kind::Merged] {
            let manner = if world.chance.odds(0.5) { Manner::Bulk } else { Manner::Drip };
            plan.push((kind, next(), manner));
        }
        let ring: Vec<usize> = (0..world.chance.between(2, 3)).map(|_| next()).collect();
        let mut single: Vec<(Kind, Taken)> = plan
            .into_iter()
            .map(|(kind, member, manner)| (kind, (member, manner.take(world, member))))
            .collect();
        single.push((Kind::Own, (own, Manner::Own.take(world, own))));
        let ring = ring.into_iter().map(|member| {
            let manner = [Manner::Bulk, Manner::Drip, Manner::Drip][world.chance.below(3)];
            (member, manner.take(world, member))
        });
        let ring = ring.collect();
        Self { single, ring }
    }
}

fn genuine(world: &mut World, taken: &[Read], length: usize) -> Vec<LeakRow> {
    let share = [1.0, 0.9, 0.7, 0.5][world.chance.below(4)];
    let own = (length as f64 * share).ceil() as usize;
    let mut records = world.chance.some(taken, own);
    // What is missing comes from other lists, of customers and of others.
    let short = length.saturating_sub(records.len()).min(records.len());
    let customers = world.chance.below(short + 1);
    records.extend(outsiders(world, customers));
    let mut rows = written(world, &records);
    rows.extend((customers..short).map(|_| stranger(&mut world.chance)));
    rows
}

fn written(world: &mut World, records: &[Read]) -> Vec<LeakRow> {
    let shown = records.iter().fold(0b1111, |set, read| set & read.shown);
    let hand = Hand::drawn(&mut world.chance, shown).styled(world);
    let mut records = records.to_vec();
    let count = records.len();
    records = world.chance.some(&records, count);
    hand.write(world, &records)
}

fn merged(world: &mut World, taken: &[Read], length: usize) -> Vec<LeakRow> {
    let share = 0.25 + 0.4 * world.chance.unit();
    let own = ((length as f64 * share).ceil() as usize).min(taken.len());
    let mut records = world.chance.some(taken, own);
    let customers = (length - own) * world.chance.between(1, 5) / 5;
    records.extend(outsiders(world, customers));
    let mut rows = written(world, &records);
    rows.extend((own + customers..length).map(|_| stranger(&mut world.chance)));
    rows
}

/// A third to a half of the list is what somebody else read; the thief has it from looking over
/// their shoulder, or has read it too.
fn framed(
    world: &mut World,
    thieves: &Thieves,
    (thief, taken): (usize, &[Read]),
    length: usize,
) -> Vec<LeakRow> {
    let busy = |member: &usize| {
        let guilty = thieves.single.iter().any(|(_, (thief, _))| thief == member)
            || thieves.ring.iter().any(|(thief, _)| thief == member);
        *member != thief && !guilty
    };
    let innocent: Vec<usize> = world.agents().into_iter().filter(busy).collect();
    // Where everybody is up to something, somebody is framed who has no part in this one.
    let others: Vec<usize> = world.agents().into_iter().filter(|m| *m != thief).collect();
    let innocent = if innocent.is_empty() { others } else { innocent };
    let victim = innocent[world.chance.below(innocent.len())];
    let part = 0.2 + 0.3 * world.chance.unit();
    let planted = (length as f64 * part) as usize;
    let work = world.work[victim].clone();
    let mut records = world.chance.some(&work, planted);
    records.extend(world.chance.some(taken, length - planted));
    written(world, &records)
}

fn ring(world: &mut World, members: &[Taken], length: usize) -> Vec<LeakRow> {
    let weights: Vec<f64> = members.iter().map(|_| 0.3 + world.chance.unit()).collect();
    let sum: f64 = weights.iter().sum();
    let mut records = Vec::new();
    for ((_, taken), weight) in members.iter().zip(weights) {
        records.extend(world.chance.some(taken, (length as f64 * weight / sum).round() as usize));
    }
    written(world, &records)
}

fn elsewhere(world: &mut World, kind: Kind, length: usize) -> Vec<LeakRow> {
    let records = match kind {
        Kind::Queue => queue(world, length),
        Kind::Unlogged => copied(world, length),
        Kind::Bulk
        | Kind::Drip
        | Kind::Own
        | Kind::Ring
        | Kind::Framing
        | Kind::Merged
        | Kind::Outsider => {
            let share = [1.0, 1.0, 0.6, 0.2][world.chance.below(4)];
            let customers = ((length as f64 * share).ceil() as usize).max(1);
            let records = outsiders(world, customers);
            let mut rows = written(world, &records);
            rows.extend((rows.len()..length).map(|_| stranger(&mut world.chance)));
            return rows;
        }
    };
    written(world, &records)
}

/// Customers as somebody has them who never saw the database: everybody alike, or the active, the
/// important, those of one language or queue, of one time, or of one stretch of numbers; with
/// values of any age.
fn outsiders(world: &mut World, count: usize) -> Vec<Read> {
    let taste = world.chance.below(7);
    let (queue, language) =
        (world.chance.below(world.setting.queues), world.chance.below(world.setting.languages));
    let power = 0.5 + world.chance.unit();
    let from = START + (world.chance.unit() * world.setting.days as f64 * 0.8 * DAY as f64) as i64;
    let until = from + world.setting.days * DAY / 4;
    let half = world.customers.len() / 2;
    let kind = world.kind();
    // Kinds that nothing tells of are wished for more often than a queue.
    let taste = if world.setting.style == Style::Traits && taste > 3 { 1 } else { taste };
    let start = world.chance.below(half.max(1));
    let weight = |(number, customer): (usize, &crate::world::Customer)| match taste {
        0 => customer.activity.powf(power),
        1 => {
            let is_one = world.is_of_kind(number, kind, queue);
            customer.activity.powf(power) * f64::from(1 + u8::from(is_one) * 9)
        }
        2 => f64::from(u8::from(customer.language == language)),
        3 => 1.0 + 20.0 * f64::from(u8::from(customer.important)),
        4 => {
            let of_then = |ticket: &&(String, i64, usize)| (from..until).contains(&ticket.1);
            customer.tickets.iter().filter(of_then).count() as f64 + 1e-6
        }
        5 => f64::from(u8::from((start..start + half).contains(&number))),
        _ => 1.0,
    };
    let weights: Vec<f64> = world.customers.iter().enumerate().map(weight).collect();
    let customers = world.chance.weighted(&weights, count);
    let span = world.setting.days as f64 * DAY as f64;
    let mut records = Vec::new();
    for customer in customers {
        let time = START + (world.chance.unit() * span) as i64;
        records.push(Read { customer, time, shown: 0b0111 });
    }
    records
}

/// Those who had a ticket in a queue during some days.
fn queue(world: &mut World, count: usize) -> Vec<Read> {
    let queue = world.chance.below(world.setting.queues);
    let days = i64::try_from(world.chance.between(3, 20)).unwrap_or(3);
    let last = usize::try_from(world.setting.days - days).unwrap_or(0);
    let from = START + i64::try_from(world.chance.below(last.max(1))).unwrap_or(0) * DAY;
    let until = from + days * DAY;
    let open = |customer: &crate::world::Customer| {
        customer.tickets.iter().any(|t| t.2 == queue && (from..until).contains(&t.1))
    };
    let customers: Vec<usize> =
        (0..world.customers.len()).filter(|c| open(&world.customers[*c])).collect();
    let customers = world.chance.some(&customers, count);
    let read = |customer| Read { customer, time: until, shown: 0b1111 };
    customers.into_iter().map(read).collect()
}

/// A copy of everything, or of one part, at one moment.
fn copied(world: &mut World, count: usize) -> Vec<Read> {
    let time = START + (world.chance.unit() * world.setting.days as f64 * DAY as f64) as i64;
    let (queue, language) =
        (world.chance.below(world.setting.queues), world.chance.below(world.setting.languages));
    let taste = world.chance.below(4);
    let kind = world.kind();
    let in_part = |customer: &usize| match taste {
        0 => world.is_of_kind(*customer, kind, queue),
        1 => world.customers[*customer].language == language,
        _ => true,
    };
    let customers: Vec<usize> = (0..world.customers.len()).filter(in_part).collect();
    let customers = world.chance.some(&customers, count);
    customers.into_iter().map(|customer| Read { customer, time, shown: 0b1111 }).collect()
}
