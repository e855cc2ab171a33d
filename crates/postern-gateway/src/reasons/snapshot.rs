//! Which transactions a snapshot of the server shows, as `pg_current_snapshot()` tells.

/// A snapshot: all transactions before `xmax` are seen that are not among those running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// All before it had ended.
    pub(super) xmin: u64,
    /// None from here on had begun.
    pub(super) xmax: u64,
    /// Those between that had not ended.
    pub(super) running: Vec<u64>,
}

impl Snapshot {
    /// The text of a `pg_snapshot`; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let running = parts.next()?;
        let running = match running {
            "" => Vec::new(),
            list => list.split(',').map(|xid| xid.parse().ok()).collect::<Option<_>>()?,
        };
        parts.next().is_none().then_some(Self { xmin, xmax, running })
    }

    /// Whether every transaction that the other shows is shown here too.
    pub(super) fn shows_all_of(&self, other: &Self) -> bool {
        let hidden = |xid: &u64| *xid >= other.xmax || other.running.contains(xid);
        other.xmax <= self.xmax && self.running.iter().all(hidden)
    }

    /// Whether all that had begun by the other has ended here.
    pub(super) fn has_ended(&self, other: &Self) -> bool {
        self.xmin >= other.xmax
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        Snapshot::parse(text).unwrap()
    }

    #[test]
    fn a_text_that_is_no_snapshot_is_none() {
        assert_eq!(snapshot("10:20:12,15").running, [12, 15]);
        assert_eq!(snapshot("10:10:").running, [0; 0]);
        for not in ["", "10", "10:20", "10:20:x", "10:20:1,", "10:20:1:2", "a:20:"] {
            assert_eq!(Snapshot::parse(not), None, "{not}");
        }
    }

    #[test]
    fn what_one_shows_is_compared_transaction_by_transaction() {
        let seen = snapshot("10:20:10,15");
        for (other, shown) in [
            ("10:20:10,15", true),
            ("10:12:10", true),
            ("9:11:9,10", true),
            // 10 had ended there and runs here.
            ("11:12:", false),
            ("10:20:10", false),
            ("10:21:10,15,20", false),
        ] {
            assert_eq!(seen.shows_all_of(&snapshot(other)), shown, "{other}");
        }
        assert!(snapshot("20:20:").has_ended(&seen) && !snapshot("19:30:19").has_ended(&seen));
    }
}
