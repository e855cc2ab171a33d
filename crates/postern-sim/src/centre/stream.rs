//! Worlds that are too large to be held: written a day at a time.

use std::path::Path;

use postern_feed::{EventWriter, WriteError};
use postern_model::{Event, Timestamp};

use crate::centre::{
    Plan,
    log::{Seen, at},
    world::{Making, rank},
};

/// Days for which events are held, because work of a later day tells of things that were before.
const HELD: i64 = 3;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streamed {
    pub events: u64,
    pub accesses: u64,
    pub days: i64,
}

/// Writes the days of a plan as a folder of feeds, until there are at least so many events or the
/// plan ends. The same plan gives the same files. What its trouble does to events on their way and
/// its style are left out: both look at a world as a whole.
///
/// # Errors
/// If a file can't be written.
pub fn stream(plan: &Plan, events_min: u64, folder: &Path) -> Result<Streamed, WriteError> {
    let mut making = Making::begin(plan);
    let mut writer = Writer {
        files: EventWriter::new(folder),
        until: Timestamp(i64::MIN),
        done: Streamed { events: 0, accesses: 0, days: 0 },
    };
    for day in 0..plan.days {
        if writer.done.events + making.stage.log.events.len() as u64 >= events_min && day > 0 {
            break;
        }
        making.day(day);
        writer.done.days = day + 1;
        writer.write(&mut making.stage.log.events, Timestamp(at(day - HELD, 0.0)))?;
    }
    // What would come after the last day is left out: it has not happened yet.
    let end = Timestamp(at(writer.done.days, 0.0));
    writer.write(&mut making.stage.log.events, end)?;
    writer.files.finish()?;
    Ok(writer.done)
}

struct Writer {
    files: EventWriter,
    /// Up to where the files are complete.
    until: Timestamp,
    done: Streamed,
}

impl Writer {
    /// Writes what happened before that moment; the rest stays.
    fn write(&mut self, events: &mut Vec<Seen>, until: Timestamp) -> Result<(), WriteError> {
        for seen in events.iter_mut().filter(|seen| seen.event.ts() < self.until) {
            delay(seen, self.until);
        }
        let (mut ready, later): (Vec<Seen>, Vec<Seen>) =
            events.drain(..).partition(|seen| seen.event.ts() < until);
        *events = later;
        ready.sort_by_key(|seen| (seen.event.ts(), rank(&seen.event)));
        for seen in &ready {
            self.files.write_late(&seen.event, seen.seen)?;
            self.done.accesses += u64::from(matches!(seen.event, Event::Access(_)));
        }
        self.done.events += ready.len() as u64;
        self.until = self.until.max(until);
        Ok(())
    }
}

/// A customer's message that waited longer than days are held came later, for simplicity.
fn delay(seen: &mut Seen, until: Timestamp) {
    match &mut seen.event {
        Event::Ticket(ticket) => (ticket.ts, ticket.seen) = (until, until.max(ticket.seen)),
        Event::Call(call) => call.ts = until,
        Event::Person(_)
        | Event::Subject(_)
        | Event::Approval(_)
        | Event::Access(_)
        | Event::Complaint(_) => return,
    }
    seen.seen = seen.seen.max(until);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use postern_feed::{Arrival, Folder, Options, write_findings};
    use postern_model::Finding;
    use postern_watch::{Named, Watch, WatchConfig};

    use super::*;
    use crate::centre::Trouble;

    #[test]
    fn a_world_that_is_written_by_days_can_be_read_and_is_the_same_again() {
        let mut plan = Plan::usual(3, Trouble::Calm);
        (plan.agents, plan.customers, plan.days) = (40, 3_000, 60);
        let written = || {
            let folder = tempfile::tempdir().unwrap();
            let done = stream(&plan, 12_000, folder.path()).unwrap();
            let stream = Folder::open(folder.path(), Options::default()).unwrap();
            let read = stream.map(Result::unwrap).count() as u64;
            assert_eq!(read, done.events);
            let text = ["access", "tickets", "calls"]
                .map(|name| fs::read(folder.path().join(format!("{name}.jsonl"))).unwrap());
            (done, text)
        };
        let (done, text) = written();
        assert_eq!((done, text), written());
        assert!(done.events >= 12_000 && done.days < 60, "{done:?}");
        assert!(done.accesses * 5 > done.events, "{done:?}");
    }

    /// The findings of a folder as they are written, read on another thread or on the same.
    fn findings(folder: &Path, ahead: bool) -> Vec<u8> {
        let config = WatchConfig { alerts_per_100_agents_per_day: 10.0, ..WatchConfig::default() };
        let (watch, mut out) = (Watch::new(&config), Vec::new());
        let stream = Folder::open(folder, Options::default()).unwrap();
        let mut write = |findings: Vec<Finding>| write_findings(&findings, &mut out).unwrap();
        if ahead {
            let (mut namer, mut judge) = watch.halves();
            let name = |arrivals: &[Arrival], named: &mut Vec<Named>| {
                namer.name_all(arrivals.iter().map(|arrival| &arrival.event), named);
            };
            let judge = |arrivals: &[Arrival], named: &[Named]| {
                let both = arrivals.iter().zip(named);
                let both = both.map(|(arrival, named)| (arrival.seen, &arrival.event, named));
                judge.expect(both.clone());
                for (seen, event, named) in both {
                    write(judge.observe(seen, event, named));
                }
            };
            stream.for_each_ahead(name, judge).unwrap();
        } else {
            let mut watch = watch;
            for arrival in stream.map(Result::unwrap) {
                write(watch.observe(arrival.seen, &arrival.event));
            }
        }
        out
    }

    #[test]
    fn a_replay_writes_the_same_bytes_again_also_when_lines_of_a_moment_are_shuffled() {
        let mut plan = Plan::usual(5, Trouble::Calm);
        (plan.agents, plan.customers, plan.days) = (16, 1_000, 40);
        let folder = tempfile::tempdir().unwrap();
        stream(&plan, u64::MAX, folder.path()).unwrap();
        let first = findings(folder.path(), true);
        assert!(first.iter().filter(|byte| **byte == b'\n').count() > 10);
        assert!(first == findings(folder.path(), true), "another run");
        assert!(first == findings(folder.path(), false), "on one thread");
        for name in ["subjects", "tickets", "access"] {
            let path = folder.path().join(format!("{name}.jsonl"));
            let text = fs::read_to_string(&path).unwrap();
            let mut lines: Vec<&str> = text.lines().rev().collect();
            lines.sort_by_key(|line| line.get(..34));
            fs::write(&path, lines.join("\n")).unwrap();
        }
        assert!(first == findings(folder.path(), false), "lines of a moment the other way round");
    }
}
