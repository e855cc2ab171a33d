use std::time::{Duration, Instant};

/// Time between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// What was waited for didn't happen in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {} s in vain: {what}", limit.as_secs())]
pub struct WaitError {
    what: String,
    limit: Duration,
}

/// Waits until `condition` holds, looking every few milliseconds, for `limit` at most.
///
/// `what` says in the error what was expected, as in "the port is free". For conditions that can't
/// be subscribed to; a test has no other reason to wait for time to pass.
pub fn wait_until(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() >= limit {
            return Err(WaitError { what: what.to_owned(), limit });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
