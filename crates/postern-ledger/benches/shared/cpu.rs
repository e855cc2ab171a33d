//! What this process has used.

/// The time that all threads of this process had a processor, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    /// Fixed for user space on Linux, whatever the kernel's own tick.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS_A_SECOND
}
