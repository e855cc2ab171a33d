//! Whether devices are being replaced.
//!
//! A device that is new to an account is a trace of a borrowed credential, but not while everybody
//! gets a new one. So where many accounts have begun to use devices of their own of late, one new
//! device is what every account is about to get. The second one is strange again.

use std::collections::VecDeque;

/// Days that belong to the same replacement.
const DAYS: i64 = 21;
/// The share of the accounts in use that have a new device, and the least number of them.
const SHARE: f64 = 0.1;
const LEAST: f64 = 4.0;

/// Which accounts have got new devices of late.
#[derive(Debug, Default)]
pub(crate) struct Rollout {
    /// Day, accounts in use, accounts with a new device.
    days: VecDeque<(i64, f64, f64)>,
    /// What they come to.
    goes_on: bool,
}

impl Rollout {
    fn on(&mut self, day: i64) -> Option<&mut (i64, f64, f64)> {
        if self.days.back().is_none_or(|(last, ..)| *last < day) {
            self.days.push_back((day, 0.0, 0.0));
            while self.days.front().is_some_and(|(first, ..)| *first <= day - DAYS) {
                self.days.pop_front();
            }
        }
        self.days.back_mut()
    }

    /// An account begins its day.
    pub(crate) fn begin(&mut self, day: i64) {
        if let Some((_, used, _)) = self.on(day) {
            *used += 1.0;
        }
        self.look();
    }

    /// An account uses a device that is new to it and that is not many people's.
    pub(crate) fn renew(&mut self, day: i64) {
        if let Some((.., new)) = self.on(day) {
            *new += 1.0;
        }
        self.look();
    }

    /// Whether devices are being replaced.
    pub(crate) fn goes_on(&self) -> bool {
        self.goes_on
    }

    fn look(&mut self) {
        let new: f64 = self.days.iter().map(|(.., new)| new).sum();
        let used = self.days.iter().map(|(_, used, _)| *used).fold(0.0, f64::max);
        self.goes_on = new >= LEAST.max(SHARE * used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_new_devices_are_no_replacement() {
        let mut rollout = Rollout::default();
        for day in 0..60 {
            (0..100).for_each(|_| rollout.begin(day));
            if day % 7 == 0 {
                rollout.renew(day);
            }
        }
        assert!(!rollout.goes_on());
        (0..10).for_each(|_| rollout.renew(59));
        assert!(rollout.goes_on());
        (60..85).for_each(|day| (0..100).for_each(|_| rollout.begin(day)));
        assert!(!rollout.goes_on(), "it is over");
    }
}
