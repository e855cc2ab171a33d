//! Budgets: how many distinct customers an actor saw, and how many searches they made, in windows
//! that end now. Exact; rebuilt from the entries when the ledger is opened.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use postern_model::{Grade, Subject, Timestamp};

use crate::{Counter, Limit, Nearing, dictionary::Rows, payload::Charges};

#[cfg(test)]
mod tests;

/// One customer of a row: its number if the dictionary has one, its text, the reason's grade.
pub(crate) type RowTouch<'a> = (Option<u32>, &'a Subject, Option<Grade>);

/// The budgets of all actors, by the numbers of their names.
#[derive(Debug)]
pub(crate) struct Budgets {
    horizon: Duration,
    actors: HashMap<u32, ActorBudget>,
}

impl Budgets {
    pub(crate) fn new(horizon: Duration) -> Self {
        Self { horizon, actors: HashMap::new() }
    }

    pub(crate) fn horizon(&self) -> Duration {
        self.horizon
    }

    /// The budget of an actor as of `now`, which never goes back.
    pub(crate) fn actor(&mut self, actor: u32, now: Timestamp) -> &mut ActorBudget {
        let budget = self.actors.entry(actor).or_default();
        budget.advance(now, self.horizon);
        budget
    }

    /// Counts what an entry of the past says.
    pub(crate) fn replay(&mut self, charges: &Charges, time: Timestamp, rows: &Rows) {
        let budget = self.actor(charges.actor, time);
        for (grade, numbers) in &charges.subjects {
            let counted = numbers.iter().map(|&number| rows.counted_as(number));
            counted.for_each(|number| budget.touch(number, *grade));
        }
        charges.lookups.iter().for_each(|&hit| budget.look_up(hit));
        if charges.stop {
            budget.stop();
        }
    }
}

/// What one actor saw within the horizon.
#[derive(Debug, Default)]
pub(crate) struct ActorBudget {
    now: Timestamp,
    clear: Distinct,
    weak: Distinct,
    masked: Distinct,
    lookups: Distinct,
    misses: Distinct,
    lookups_ever: u64,
    stops: Distinct,
    stops_ever: u64,
    /// When the actor was told last that a limit is nearly spent, since the ledger was opened.
    told: HashMap<Limit, Timestamp>,
}

impl ActorBudget {
    fn advance(&mut self, now: Timestamp, horizon: Duration) {
        self.now = now;
        let subjects = [&mut self.clear, &mut self.weak, &mut self.masked];
        let statements = [&mut self.lookups, &mut self.misses, &mut self.stops];
        subjects.into_iter().chain(statements).for_each(|distinct| distinct.advance(now, horizon));
    }

    /// The first limit that keeps a row back, if there is one.
    pub(crate) fn stop_row(&mut self, limits: &[Limit], row: &[RowTouch<'_>]) -> Option<Limit> {
        limits.iter().copied().find(|limit| !self.row_fits(limit, row))
    }

    fn row_fits(&mut self, limit: &Limit, row: &[RowTouch<'_>]) -> bool {
        let counts = |grade: Option<Grade>| match limit.counter {
            Counter::ClearSubjects => grade.is_some(),
            Counter::WeakSubjects => grade == Some(Grade::Weak),
            Counter::MaskedSubjects => grade.is_none(),
            Counter::Lookups | Counter::LookupMisses | Counter::Stops => false,
        };
        if !row.iter().any(|&(_, _, grade)| counts(grade)) {
            return true;
        }
        let now = self.now;
        let distinct = match limit.counter {
            Counter::WeakSubjects => &mut self.weak,
            Counter::MaskedSubjects => &mut self.masked,
            Counter::ClearSubjects | Counter::Lookups | Counter::LookupMisses | Counter::Stops => {
                &mut self.clear
            }
        };
        let window = distinct.window(limit.window, now);
        let is_new = |number: Option<u32>| {
            number.is_none_or(|number| !distinct.is_in(window, u64::from(number)))
        };
        let new: BTreeSet<&str> = row
            .iter()
            .filter(|&&(number, _, grade)| counts(grade) && is_new(number))
            .map(|(_, subject, _)| subject.as_str())
            .collect();
        new.is_empty() || distinct.live(window) + new.len() as u64 <= limit.max
    }

    /// The first limit that keeps all back because of the statement's searches. A search needs
    /// room for a miss even if it hit: else, with the misses spent, a refusal would tell a miss
    /// from a hit, without end.
    pub(crate) fn stop_lookups(&mut self, limits: &[Limit], hits: &[bool]) -> Option<Limit> {
        let (_, before_last) = hits.split_last()?;
        let (count, now) = (hits.len() as u64, self.now);
        let misses = before_last.iter().filter(|&&hit| !hit).count() as u64;
        limits.iter().copied().find(|limit| {
            let (distinct, needed) = match limit.counter {
                Counter::Lookups => (&mut self.lookups, count),
                Counter::LookupMisses => (&mut self.misses, misses + 1),
                Counter::ClearSubjects
                | Counter::WeakSubjects
                | Counter::MaskedSubjects
                | Counter::Stops => return false,
            };
            let window = distinct.window(limit.window, now);
            distinct.live(window) + needed > limit.max
        })
    }

    /// The first limit that keeps a statement from being run because too many were stopped.
    pub(crate) fn stop_statement(&mut self, limits: &[Limit]) -> Option<Limit> {
        let now = self.now;
        limits.iter().copied().find(|limit| {
            limit.counter == Counter::Stops && {
                let window = self.stops.window(limit.window, now);
                self.stops.live(window) >= limit.max
            }
        })
    }

    /// The first spent limit on customers who are seen in clear, as all are whose records are
    /// changed.
    pub(crate) fn stop_write(&mut self, limits: &[Limit]) -> Option<Limit> {
        let now = self.now;
        limits.iter().copied().find(|limit| {
            let distinct = match limit.counter {
                Counter::ClearSubjects => &mut self.clear,
                Counter::WeakSubjects => &mut self.weak,
                Counter::MaskedSubjects
                | Counter::Lookups
                | Counter::LookupMisses
                | Counter::Stops => return false,
            };
            let window = distinct.window(limit.window, now);
            distinct.live(window) >= limit.max
        })
    }

    /// The limits of which four fifths are used, each once in its window. It is told with a
    /// statement that was recorded, and so tells whether that one was counted: one bit in a window.
    pub(crate) fn nearing(&mut self, limits: &[Limit]) -> Vec<Nearing> {
        let now = self.now;
        let mut nearing = Vec::new();
        for &limit in limits {
            let distinct = match limit.counter {
                Counter::ClearSubjects => &mut self.clear,
                Counter::WeakSubjects => &mut self.weak,
                Counter::MaskedSubjects => &mut self.masked,
                Counter::Lookups => &mut self.lookups,
                Counter::LookupMisses => &mut self.misses,
                Counter::Stops => &mut self.stops,
            };
            let window = distinct.window(limit.window, now);
            let used = distinct.live(window);
            let is_near = u128::from(used) * 5 >= u128::from(limit.max) * 4 && used > 0;
            let told = self.told.get(&limit);
            if is_near && told.is_none_or(|told| *told <= now.before(limit.window)) {
                self.told.insert(limit, now);
                nearing.push(Nearing { limit, used });
            }
        }
        nearing
    }

    /// Whether a statement was stopped within the horizon.
    pub(crate) fn was_stopped(&self) -> bool {
        !self.stops.last.is_empty()
    }

    /// Counts one statement stopped now.
    pub(crate) fn stop(&mut self) {
        self.stops.touch(self.stops_ever, self.now);
        self.stops_ever += 1;
    }

    /// Counts one customer seen now.
    pub(crate) fn touch(&mut self, number: u32, grade: Option<Grade>) {
        let (key, now) = (u64::from(number), self.now);
        match grade {
            None => self.masked.touch(key, now),
            Some(Grade::Strong) => self.clear.touch(key, now),
            Some(Grade::Weak) => {
                self.clear.touch(key, now);
                self.weak.touch(key, now);
            }
        }
    }

    /// Counts one search made now.
    pub(crate) fn look_up(&mut self, hit: bool) {
        let (key, now) = (self.lookups_ever, self.now);
        self.lookups_ever += 1;
        self.lookups.touch(key, now);
        if !hit {
            self.misses.touch(key, now);
        }
    }
}

/// Distinct keys by when each was last seen, with a running count for each window asked for.
///
/// All touches stand in a queue by time, which never goes back. The last touch of a key is *live*;
/// earlier ones are stale. A window is a place in the queue, before which its touches are too old,
/// and the number of live ones from there on. All work is constant, amortised.
#[derive(Debug, Default)]
struct Distinct {
    /// Place of the queue's front, counted from the first touch ever.
    front: u64,
    queue: VecDeque<(Timestamp, u64)>,
    /// INVARIANT: the place of each key's live touch, for all keys that have one in the queue.
    last: HashMap<u64, u64>,
    windows: Vec<Window>,
}

#[derive(Debug)]
struct Window {
    length: Duration,
    /// INVARIANT: between the queue's front and its end.
    from: u64,
    /// INVARIANT: how many touches from `from` on are live.
    live: u64,
}

/// Stale touches are cleared away when they are more than the live ones and this.
const STALE_MIN: usize = 64;

impl Distinct {
    fn advance(&mut self, now: Timestamp, horizon: Duration) {
        for window in &mut self.windows {
            let oldest = now.before(window.length);
            while let Some(&(time, key)) = at(&self.queue, self.front, window.from) {
                if time > oldest {
                    break;
                }
                window.live -= u64::from(self.last.get(&key) == Some(&window.from));
                window.from += 1;
            }
        }
        let oldest = now.before(horizon);
        while let Some((_, key)) = self.queue.pop_front_if(|(time, _)| *time <= oldest) {
            if self.last.get(&key) == Some(&self.front) {
                self.last.remove(&key);
            }
            self.front += 1;
        }
    }

    /// The window of that length, made at its first use.
    fn window(&mut self, length: Duration, now: Timestamp) -> usize {
        if let Some(index) = self.windows.iter().position(|window| window.length == length) {
            return index;
        }
        let oldest = now.before(length);
        let from = self.front + self.queue.partition_point(|&(time, _)| time <= oldest) as u64;
        let live = self.last.values().filter(|&&place| place >= from).count() as u64;
        self.windows.push(Window { length, from, live });
        self.windows.len() - 1
    }

    fn live(&self, window: usize) -> u64 {
        self.windows.get(window).map_or(u64::MAX, |window| window.live)
    }

    fn is_in(&self, window: usize, key: u64) -> bool {
        let from = self.windows.get(window).map_or(u64::MAX, |window| window.from);
        self.last.get(&key).is_some_and(|&place| place >= from)
    }

    fn touch(&mut self, key: u64, now: Timestamp) {
        let place = self.front + self.queue.len() as u64;
        let before = self.last.get(&key).copied();
        let seen_now = before
            .and_then(|before| at(&self.queue, self.front, before))
            .is_some_and(|&(time, _)| time == now);
        if seen_now {
            return;
        }
        self.queue.push_back((now, key));
        self.last.insert(key, place);
        for window in &mut self.windows {
            window.live += u64::from(before.is_none_or(|before| before < window.from));
        }
        if self.queue.len() > STALE_MIN + 2 * self.last.len() {
            self.clear_stale();
        }
    }

    fn clear_stale(&mut self) {
        let (first, last) = (self.front, &mut self.last);
        let mut kept = VecDeque::with_capacity(last.len());
        let mut kept_before = Vec::with_capacity(self.queue.len() + 1);
        for (place, (time, key)) in (first..).zip(self.queue.drain(..)) {
            kept_before.push(kept.len() as u64);
            if last.get(&key) == Some(&place) {
                last.insert(key, first + kept.len() as u64);
                kept.push_back((time, key));
            }
        }
        kept_before.push(kept.len() as u64);
        for window in &mut self.windows {
            let index = usize::try_from(window.from - first).unwrap_or(usize::MAX);
            let place = kept_before.get(index).copied().unwrap_or(kept.len() as u64);
            window.from = first + place;
        }
        self.queue = kept;
    }
}

fn at(queue: &VecDeque<(Timestamp, u64)>, front: u64, place: u64) -> Option<&(Timestamp, u64)> {
    queue.get(usize::try_from(place.checked_sub(front)?).ok()?)
}
