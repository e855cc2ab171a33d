//! The accounts that an account is compared with: those of its role, newcomers apart, and those of
//! its team on the same day.

use std::collections::VecDeque;

use crate::{
    amount::Sizes,
    at_will::{CELLS, Drawn},
    names::Map,
    signals,
    tail::Tail,
    usual::{Load, Peers},
};

/// Days of which the load is remembered.
const LOADS: usize = 6;
/// Expected customers of a day that are needed before its load counts by half.
const LOAD: f64 = 40.0;

/// Accounts of one role.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) peers: Vec<Peers>,
    /// The same for the cells of what is picked at will, at once and later, and how those look who
    /// are drawn.
    pub(crate) cells: [[Peers; CELLS]; 2],
    pub(crate) drawn: [Drawn; 2],
    pub(crate) tails: Vec<Tail>,
    pub(crate) sizes: Sizes,
    /// Day, customers seen, customers expected.
    loads: VecDeque<(i64, f64, f64)>,
}

impl Group {
    pub(crate) fn new(tails: usize) -> Self {
        Self {
            peers: signals::ALL.iter().map(|_| Peers::default()).collect(),
            cells: Default::default(),
            drawn: Default::default(),
            tails: (0..tails).map(|_| Tail::default()).collect(),
            sizes: Sizes::default(),
            loads: VecDeque::new(),
        }
    }

    fn load_of(&mut self, day: i64) -> Option<&mut (i64, f64, f64)> {
        if self.loads.back().is_none_or(|(last, ..)| *last < day) {
            self.loads.push_back((day, 0.0, 0.0));
            while self.loads.len() > LOADS {
                self.loads.pop_front();
            }
        }
        self.loads.iter_mut().find(|(other, ..)| *other == day)
    }

    /// An account of which so much is usual begins its day.
    pub(crate) fn expect(&mut self, day: i64, usual: f64) {
        if let Some((_, _, expected)) = self.load_of(day) {
            *expected += usual;
        }
    }

    /// A customer was shown.
    pub(crate) fn see(&mut self, day: i64) {
        if let Some((_, seen, _)) = self.load_of(day) {
            *seen += 1.0;
        }
    }

    /// How much the others had to do that day, relative to what is usual.
    pub(crate) fn load(&self, day: i64, own: (f64, f64)) -> f64 {
        let found = self.loads.iter().find(|(other, ..)| *other == day);
        let (seen, expected) = found.map_or((0.0, 0.0), |(_, seen, expected)| (*seen, *expected));
        let (seen, expected) = ((seen - own.0).max(0.0), (expected - own.1).max(0.0));
        ((seen + LOAD) / (expected + LOAD)).clamp(0.3, 4.0)
    }
}

/// What each team shows today.
#[derive(Debug, Default)]
pub(crate) struct Teams(Map<u32, (i64, Vec<Load>)>);

impl Teams {
    /// What the team shows of each signal.
    pub(crate) fn today(&mut self, (team, day): (u32, i64)) -> &mut [Load] {
        let empty = || vec![Load::default(); signals::ALL.len() + 2 * CELLS];
        let (last, loads) = self.0.entry(team).or_insert_with(|| (day, empty()));
        if day > *last {
            *last = day;
            loads.iter_mut().for_each(|load| *load = load.faded());
        }
        loads
    }

    /// Whether the others of the team show today much more of a signal than usual, too.
    pub(crate) fn has_risen(&self, (team, day): (u32, i64), signal: usize, own: Load) -> bool {
        let today = self.0.get(&team).filter(|(last, _)| *last == day);
        let load = today.and_then(|(_, loads)| loads.get(signal));
        load.is_some_and(|load| load.without(own).is_high())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usual::Count;

    #[test]
    fn what_the_others_of_a_team_show_has_a_cause_and_what_one_shows_has_not() {
        let mut teams = Teams::default();
        let day = (7, 30);
        let look = |teams: &mut Teams, ones: f64| {
            let count = Count { ones, trials: 20.0 };
            teams.today(day)[2].add(count, 0.01);
            Load { count, expected: 0.2 }
        };
        let own = look(&mut teams, 15.0);
        look(&mut teams, 1.0);
        assert!(!teams.has_risen(day, 2, own), "its own rise is none of the others'");
        look(&mut teams, 12.0);
        assert!(teams.has_risen(day, 2, own));
        assert!(!teams.has_risen(day, 3, Load::default()));
        assert!(!teams.has_risen((7, 31), 2, own), "yesterday is another day");
        assert!(!teams.has_risen((8, 30), 2, own));
    }
}
