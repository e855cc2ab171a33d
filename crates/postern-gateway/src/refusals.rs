//! How many refused statements of an actor are recorded one by one.
//!
//! A refusal costs the client nothing, and each would be an entry for good. So of an actor's
//! refusals, of all sessions together, so many are entries in a minute; the others are counted, and
//! the number is an entry when the minute is over and the next is refused, or a session of the
//! actor's ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use postern_ledger::Note;
use postern_model::{Actor, StatementFingerprint, Timestamp};

/// Refusals of an actor that are recorded one by one within [`WINDOW`].
const RECORDED_MAX: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);

/// The rule that stands for those that are not.
const MORE: &str = "more_refused";

/// Of all actors of whom something was refused since the start.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<Actor, Minute>>);

/// INVARIANT: what is in `left_out` was not recorded, and is nowhere else.
#[derive(Debug)]
struct Minute {
    until: Timestamp,
    recorded: u32,
    left_out: u64,
}

/// What becomes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// It is an entry.
    pub(crate) is_recorded: bool,
    /// So many before it were none, and nothing has said so yet.
    pub(crate) left_out: u64,
}

impl Refusals {
    /// A statement of the actor's was refused.
    pub(crate) fn count(&self, actor: &Actor, now: Timestamp) -> Counted {
        // Each change is whole.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = all.entry(actor.clone()).or_insert(Minute {
            until: now.after(WINDOW),
            recorded: 0,
            left_out: 0,
        });
        let mut left_out = 0;
        if now >= minute.until {
            left_out = minute.left_out;
            *minute = Minute { until: now.after(WINDOW), recorded: 0, left_out: 0 };
        }
        let is_recorded = minute.recorded < RECORDED_MAX;
        if is_recorded {
            minute.recorded += 1;
        } else {
            minute.left_out += 1;
        }
        Counted { is_recorded, left_out }
    }

    /// A session of the actor's ends: how many refusals nothing has told of yet.
    pub(crate) fn ends(&self, actor: &Actor) -> u64 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(actor).map_or(0, |minute| std::mem::take(&mut minute.left_out))
    }
}

/// The entry that says how many were left out; `None` if none was.
pub(crate) fn left_out(actor: &Actor, connection: u64, count: u64) -> Option<Note> {
    let statement: Arc<str> =
        format!("{count} more statements were refused, which are not recorded one by one").into();
    (count > 0).then(|| Note::Refused {
        actor: actor.clone(),
        connection,
        fingerprint: StatementFingerprint::default(),
        statement,
        rule: MORE.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_once_and_in_full() {
        let (refusals, ana, ben) = (Refusals::default(), Actor::new("ana"), Actor::new("ben"));
        let now = Timestamp(1_000_000);
        let counted = |actor: &Actor, now| refusals.count(actor, now);
        let recorded = (0..1_000).filter(|_| counted(&ana, now).is_recorded).count();
        assert_eq!(recorded, 60);
        assert_eq!(counted(&ben, now), Counted { is_recorded: true, left_out: 0 });
        // The next minute begins with the number of the last.
        let later = now.after(WINDOW);
        assert_eq!(counted(&ana, later), Counted { is_recorded: true, left_out: 940 });
        assert_eq!(counted(&ana, later), Counted { is_recorded: true, left_out: 0 });
        let recorded = (0..100).filter(|_| counted(&ana, later).is_recorded).count();
        assert_eq!(recorded, 58);
        // So does the end of a session, and another session goes on in the same minute.
        assert_eq!((refusals.ends(&ana), refusals.ends(&ana), refusals.ends(&ben)), (42, 0, 0));
        assert_eq!(counted(&ana, later), Counted { is_recorded: false, left_out: 0 });
        assert_eq!(refusals.ends(&ana), 1);
        assert_eq!(refusals.ends(&Actor::new("eve")), 0);
        assert!(left_out(&ana, 7, 0).is_none() && left_out(&ana, 7, 3).is_some());
    }
}
