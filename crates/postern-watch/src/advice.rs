//! What people are told beside a finding: the most innocent explanation, and what to do next.

use crate::{at_will, signals::ALL};

/// The most innocent explanation of a kind of finding; `None` for a kind that is not known here.
pub fn innocent(kind: &str) -> Option<&'static str> {
    let signal = ALL.iter().find(|signal| signal.name == kind).map(|signal| signal.innocent);
    signal.or(match kind {
        "volume" | at_will::NAME => Some("work that no connected system knows"),
        "list_size" => Some("a task that needs lists of this size"),
        "decoy_read" => Some("a slip of the hand, or somebody who tests the decoys"),
        "leaver_session" => Some("a leaver who came back, of which HR has not told"),
        "refused_attempts" => Some("a new tool, or a report that was never tried here"),
        "budget_stop" => Some("a day with far more work, or a budget that is too small"),
        "decoy_hit" => Some("an address or number that was guessed, or published by mistake"),
        "silent_source" | "clock_jump" | "late_events" | "duplicate_events" => {
            Some("a connector that is broken")
        }
        "unknown_account" => Some("an account that HR's feed does not have"),
        "break_glass" => Some("an emergency, as was said"),
        "mutual_approval" => Some("two who stand in for each other"),
        _ => None,
    })
}

/// What to look at first, for a kind of finding.
pub fn next(kind: &str) -> &'static str {
    match kind {
        "decoy_read" | "decoy_hit" => {
            "look at all that the account was shown that day; suspend it until its owner is heard"
        }
        "leaver_session" | "strange_device" | "odd_hours" | "owner_elsewhere" => {
            "ask the owner, by telephone, whether it was them; suspend the account if it was not"
        }
        "self_opened" | "short_lived_ticket" | "inbound_cluster" => {
            "call back some of the customers, on the number on file, and ask whether they wrote"
        }
        "approved_share" | "approval_ring" | "mutual_approval" | "break_glass" => {
            "ask who granted it for what, and compare"
        }
        "complaints" => "add every complaint (`postern complaint add`) and trace them",
        "same_customers" => "look at both accounts, and ask each alone",
        "refused_attempts" | "budget_stop" => "read the statements, and ask what they were for",
        "silent_source" | "clock_jump" | "late_events" | "duplicate_events" => {
            "mend the connector; nothing that it did not tell can be judged"
        }
        "unknown_account" => "find out whose account it is",
        _ => {
            "take ten of the customers from the evidence, and look for what explains them outside \
             of the connected systems"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_can_be_an_alert_has_an_innocent_explanation() {
        for kind in crate::kinds() {
            assert!(innocent(kind).is_some(), "{kind}");
            assert!(!next(kind).is_empty());
        }
        assert_eq!(innocent("rule:mine"), None);
    }
}
