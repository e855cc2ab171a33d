//! Whether the systems that give reasons have stopped telling of any.
//!
//! While the tickets' connector is away, nobody's work is explained, and the first who open many
//! customers look like thieves until enough of their peers do the same. But an outage can be seen
//! before that: accesses go on, and the events that usually come with them don't. How many come is
//! learned, and so is how long they usually stay away, because some connectors deliver once an
//! hour. What is seen meanwhile is judged when the source speaks again.

use std::{collections::VecDeque, time::Duration};

use postern_model::{Event, Timestamp};

/// Events that were to be expected until a source that tells of none is quiet.
const EXPECTED: f64 = 30.0;
/// How many times the usual gap a gap must be.
const BEYOND: f64 = 2.0;
/// The part of the events to be expected that must come until a source is back.
const BACK: f64 = 0.5;
/// A gap is usual that comes on so many of the last days.
const USUAL: usize = 4;
const DAYS: i64 = 14;
/// Accesses until it is known how many events come with them, and until older ones fade.
const KNOWN: f64 = 500.0;
const FADING: f64 = 20_000.0;
/// Days after which a source that is away is no more.
const GONE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What was kept back comes within a part of the time for which it was, within these bounds.
const PART: u32 = 8;
const LEAST: Duration = Duration::from_secs(60 * 60);
const MOST: Duration = Duration::from_secs(6 * 60 * 60);

/// The sources that give reasons.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    tickets: Source,
    calls: Source,
}

#[derive(Debug, Default)]
struct Source {
    /// Events, and the accesses that they came with.
    events: f64,
    accesses: f64,
    /// The last event, and the accesses since.
    last: Option<Timestamp>,
    since: f64,
    /// The day's longest gap, in events that were to be expected.
    gaps: VecDeque<(i64, f64)>,
    /// Set while it is away.
    away: Option<Away>,
    /// Until when what was kept back is coming.
    until: Option<Timestamp>,
}

/// A source that is away. That single events come all the same does not bring it back.
#[derive(Debug, Clone, Copy)]
struct Away {
    from: Timestamp,
    /// Events that came, and those that were to be expected, since it was last looked at.
    came: f64,
    expected: f64,
}

impl Quiet {
    pub(crate) fn observe(&mut self, seen: Timestamp, event: &Event) {
        match event {
            Event::Ticket(_) => self.tickets.event(seen),
            Event::Call(_) => self.calls.event(seen),
            Event::Access(access) if access.subjects.len() == 1 => {
                self.tickets.access(seen);
                self.calls.access(seen);
            }
            Event::Access(_)
            | Event::Person(_)
            | Event::Subject(_)
            | Event::Approval(_)
            | Event::Complaint(_) => {}
        }
    }

    /// Whether tickets are away.
    pub(crate) fn tickets(&self, seen: Timestamp) -> bool {
        self.tickets.is_away(seen)
    }

    /// Whether calls are away.
    pub(crate) fn calls(&self, seen: Timestamp) -> bool {
        self.calls.is_away(seen)
    }
}

impl Source {
    fn access(&mut self, seen: Timestamp) {
        let rate = self.rate();
        self.since += 1.0;
        if let Some(away) = &mut self.away {
            away.expected += rate;
            if away.expected >= EXPECTED {
                let back = away.came >= BACK * away.expected;
                (away.came, away.expected) = (0.0, 0.0);
                let gone = seen > away.from.after(GONE);
                if back {
                    self.come_back(seen);
                } else if gone {
                    // How much comes with the work is learned anew.
                    *self = Self::default();
                }
            }
            return;
        }
        self.accesses += 1.0;
        if self.is_gap() {
            let from = self.last.unwrap_or(seen);
            self.away = Some(Away { from, came: 0.0, expected: 0.0 });
        }
        if self.accesses > FADING {
            (self.accesses, self.events) = (0.5 * self.accesses, 0.5 * self.events);
        }
    }

    fn event(&mut self, seen: Timestamp) {
        self.last = Some(seen);
        let gap = self.missing();
        match self.gaps.back_mut() {
            Some((day, longest)) if *day == seen.day() => *longest = longest.max(gap),
            _ => self.gaps.push_back((seen.day(), gap)),
        }
        while self.gaps.front().is_some_and(|(day, _)| *day <= seen.day() - DAYS) {
            self.gaps.pop_front();
        }
        self.since = 0.0;
        match &mut self.away {
            Some(away) => {
                away.came += 1.0;
                if away.came >= EXPECTED + away.expected {
                    self.come_back(seen);
                }
            }
            None => self.events += 1.0,
        }
    }

    fn come_back(&mut self, seen: Timestamp) {
        if let Some(away) = self.away.take() {
            let kept = (seen.since(away.from) / PART).clamp(LEAST, MOST);
            self.until = Some(seen.after(kept));
        }
    }

    fn rate(&self) -> f64 {
        self.events / self.accesses.max(1.0)
    }

    /// How many events were to be expected since the last one.
    fn missing(&self) -> f64 {
        self.since * self.rate()
    }

    fn is_gap(&self) -> bool {
        let missing = self.missing();
        if missing < EXPECTED || self.accesses < KNOWN {
            return false;
        }
        let longer = self.gaps.iter().filter(|(_, gap)| BEYOND * *gap >= missing);
        longer.count() < USUAL
    }

    fn is_away(&self, seen: Timestamp) -> bool {
        self.away.is_some() || self.until.is_some_and(|until| seen <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;

    /// Days of 600 accesses and as many events, which come every `every` accesses at once.
    fn work(source: &mut Source, days: std::ops::Range<i64>, every: i64) {
        for day in days {
            for turn in 0..600 {
                let now = Timestamp(day * 24 * HOUR + 8 * HOUR + turn * MINUTE);
                source.access(now);
                if turn % every == every - 1 {
                    (0..every).for_each(|_| source.event(now));
                }
            }
        }
    }

    #[test]
    fn a_source_is_away_when_what_comes_with_the_work_does_not() {
        let mut source = Source::default();
        work(&mut source, 0..20, 1);
        let now = Timestamp(20 * 24 * HOUR + 8 * HOUR);
        (0..20).for_each(|_| source.access(now));
        assert!(!source.is_away(now));
        (0..20).for_each(|_| source.access(now));
        assert!(source.is_away(now));
        let later = now.after(Duration::from_secs(4 * 3_600));
        source.event(later);
        assert!(source.is_away(later), "a single event is no return");
        (0..40).for_each(|_| source.event(later));
        assert!(source.is_away(later.after(Duration::from_secs(1_800))), "the rest is coming");
        assert!(!source.is_away(later.after(Duration::from_secs(3 * 3_600))));
    }

    #[test]
    fn a_source_that_always_comes_in_batches_is_not_away() {
        let mut source = Source::default();
        work(&mut source, 0..20, 100);
        let now = Timestamp(20 * 24 * HOUR);
        (0..150).for_each(|_| source.access(now));
        assert!(!source.is_away(now));
        (0..150).for_each(|_| source.access(now));
        assert!(source.is_away(now));
    }

    #[test]
    fn a_source_that_never_was_or_has_gone_is_not_away() {
        let mut source = Source::default();
        (0..100_000).for_each(|_| source.access(Timestamp(0)));
        assert!(!source.is_away(Timestamp(0)));
        work(&mut source, 0..20, 1);
        for day in 20..40 {
            let now = Timestamp(day * 24 * HOUR);
            (0..600).for_each(|_| source.access(now));
            let later = now.after(Duration::from_secs(10 * 3_600));
            assert_eq!(source.is_away(later), day < 27, "{day}");
        }
    }
}
