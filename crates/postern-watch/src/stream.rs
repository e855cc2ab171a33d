//! The test of the signals on streams that are no accesses: data that others made and labelled.
//!
//! The detectors ask many questions of a customer who is opened, and each is put to the same test
//! (`share`). Here it can be put one question of one's own about anything that somebody does, so
//! that what it reaches can be set beside what others have published. Nothing in the product uses
//! this.

use crate::{
    share::{Learning, Setting, Track, weight},
    usual::{Load, Peers},
};

/// People of one kind, and one question that is answered with yes or no again and again.
#[derive(Debug, Default)]
pub struct Streams {
    peers: Peers,
    people: Vec<Person>,
}

#[derive(Debug, Clone)]
struct Person {
    track: Track,
    day: Option<i64>,
    tried: f64,
    /// Trials of a usual day.
    pace: f64,
}

impl Streams {
    /// So many people of whom nothing is known, each with so many trials on a usual day.
    pub fn new(people: usize, pace: f64) -> Self {
        let person = Person { track: Track::default(), day: None, tried: 0.0, pace };
        Self { peers: Peers::default(), people: vec![person; people] }
    }

    /// Takes an answer of that day, which is not before the last one; gives the evidence that the
    /// share of yes has risen above what is usual for the person and the peers. The days before
    /// `until` are learned from whatever they show, and raise nothing.
    pub fn trial(&mut self, person: usize, (day, until): (i64, i64), yes: bool, least: f64) -> f64 {
        let Self { peers, people } = self;
        let Some(person) = people.get_mut(person) else { return 0.0 };
        if person.day.is_none_or(|last| last < day) {
            if person.day.is_some() {
                let learning = if day < until { Learning::Beginning } else { Learning::Usual };
                person.track.new_day(peers, learning, FROZEN);
            }
            (person.day, person.tried) = (Some(day), 0.0);
            person.track.begin(peers);
        }
        let weight = weight(person.tried, person.pace);
        person.tried += 1.0;
        let others = Load::default();
        person.track.step(yes, Setting { role: others, team: others, least, weight });
        if day < until {
            person.track.reset();
        }
        person.track.evidence()
    }

    /// Begins anew with the person's evidence, as after an alarm.
    pub fn reset(&mut self, person: usize) {
        if let Some(person) = self.people.get_mut(person) {
            person.track.reset();
        }
    }
}

/// From this evidence on a day is not learned from: the root of an alert in 1,000 account-days.
const FROZEN: f64 = 31.6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_changes_stands_out_and_one_who_always_was_so_does_not() {
        let mut streams = Streams::new(20, 10.0);
        let mut highest = [0.0_f64; 20];
        for day in 0..120 {
            for (person, highest) in highest.iter_mut().enumerate() {
                let changed = person == 3 && day >= 100;
                let every = if changed || person == 7 { 4 } else { 20 };
                for trial in 0..10 {
                    let yes = (i64::from(trial) + 10 * day) % every == 0;
                    let evidence = streams.trial(person, (day, 30), yes, 0.004);
                    *highest = highest.max(evidence);
                }
            }
        }
        assert!(highest[3] > 1e4, "{highest:?}");
        assert!(highest[7] < 100.0, "{highest:?}");
        let others = highest.iter().enumerate().filter(|(person, _)| *person != 3);
        assert!(others.map(|(_, evidence)| *evidence).fold(0.0, f64::max) < 1_000.0);
    }
}
