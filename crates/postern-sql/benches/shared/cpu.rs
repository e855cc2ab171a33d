//! The thread's CPU time as what criterion measures: the same on a busy machine and a quiet one.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use rustix::time::{ClockId, clock_gettime};

#[derive(Debug)]
pub(crate) struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = Duration::from_secs(now.tv_sec.try_into().unwrap_or_default());
        seconds + Duration::from_nanos(now.tv_nsec.try_into().unwrap_or_default())
    }

    fn end(&self, begun: Duration) -> Duration {
        self.start().saturating_sub(begun)
    }

    fn add(&self, one: &Duration, two: &Duration) -> Duration {
        *one + *two
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
