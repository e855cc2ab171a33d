use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// All that was ever seen, counted anew at each question.
#[derive(Default)]
struct Naive(Vec<(i64, u64)>);

impl Naive {
    fn in_window(&self, now: i64, length: i64) -> BTreeSet<u64> {
        self.0.iter().filter(|(time, _)| *time > now - length).map(|(_, key)| *key).collect()
    }
}

const HORIZON: u64 = 100;

proptest! {
    #[test]
    fn windows_count_what_a_naive_count_counts(
        steps in prop::collection::vec((0..12i64, 0..5u64, 1..=HORIZON), 1..250),
    ) {
        let mut distinct = Distinct::default();
        let mut naive = Naive::default();
        let mut now = 0;
        for (pause, key, length) in steps {
            // Most steps take no time, so that much is touched at the same moment, too.
            now += (pause - 8).max(0);
            distinct.advance(Timestamp(now), Duration::from_micros(HORIZON));
            // Few lengths, so that windows live on.
            for length in [length - length % 30 + 1, HORIZON] {
                let length = length.min(HORIZON);
                let window = distinct.window(Duration::from_micros(length), Timestamp(now));
                let expected = naive.in_window(now, length as i64);
                prop_assert_eq!(distinct.live(window), expected.len() as u64);
                prop_assert_eq!(distinct.is_in(window, key), expected.contains(&key));
            }
            distinct.touch(key, Timestamp(now));
            naive.0.push((now, key));
            // With five keys, most runs clear stale touches away.
            let bound = STALE_MIN + 2 * distinct.last.len();
            prop_assert!(distinct.queue.len() <= bound, "stale touches pile up");
        }
    }
}

#[test]
fn a_limit_is_printed_as_the_configuration_writes_it() {
    let check = |seconds: u64, expected: &str| {
        let window = Duration::from_secs(seconds);
        let limit = Limit { counter: Counter::ClearSubjects, window, max: 60 };
        assert_eq!(limit.to_string(), format!("60 clear_subjects in {expected}"));
    };
    check(86_400, "1d");
    check(5_400, "90m");
    check(10, "10s");
}

#[test]
fn a_limit_that_is_nearly_spent_is_told_of_once_in_its_window() {
    let window = Duration::from_micros(50);
    let limit = |counter, max| Limit { counter, window, max };
    let limits = [limit(Counter::MaskedSubjects, 10), limit(Counter::Lookups, 1)];
    let mut budgets = Budgets::new(Duration::from_micros(HORIZON));
    let mut told = Vec::new();
    for now in 0..200_u32 {
        // One customer in each moment up to the eighth, then one in ten moments.
        let budget = budgets.actor(1, Timestamp(i64::from(now)));
        if now < 8 || now % 10 == 0 {
            budget.touch(now, None);
        }
        let nearing = budget.nearing(&limits);
        told.extend(nearing.iter().map(|one| (now, one.limit, one.used)));
    }
    assert_eq!(told, [(7, limits[0], 8)], "five in a window are not near ten");
    for now in 300..420 {
        let budget = budgets.actor(1, Timestamp(now));
        budget.touch(now as u32, None);
        told.extend(budget.nearing(&limits).iter().map(|one| (now as u32, one.limit, one.used)));
    }
    let when: Vec<u32> = told.iter().map(|(now, ..)| *now).collect();
    assert_eq!(when, [7, 307, 357, 407]);
    budgets.actor(2, Timestamp(500)).look_up(true);
    let other = budgets.actor(2, Timestamp(500)).nearing(&limits);
    assert_eq!(other, [Nearing { limit: limits[1], used: 1 }]);
}
