//! What a hold becomes in the ledger: whom it shows, and hashes of what was looked up.

use std::sync::Arc;

use postern_ledger::{Draft, DraftLeaf, DraftLookup, DraftRow, DraftValue, Limit, Observed, Touch};
use postern_model::Actor;
use postern_session::{Hold, ShownValue, Stopped};

/// What the ledger is told of a hold.
///
/// `search_key` keys the hashes of what is looked up: equal searches can be seen to be equal, and
/// nothing else.
pub(crate) fn draft(
    hold: Hold,
    (connection, actor): (u64, &Actor),
    limits: &Arc<[Limit]>,
    search_key: &[u8; 32],
) -> Draft {
    let shown = &hold.shown;
    // Where nothing leaves of what is done there is nothing to keep back.
    let unbounded = hold.done && hold.rows.iter().all(|row| row.bytes == 0);
    Draft {
        done: hold.done,
        actor: actor.clone(),
        connection,
        hold: hold.id,
        fingerprint: shown.fingerprint,
        statement: shown.statement.clone(),
        leaves: shown
            .leaves
            .iter()
            .map(|leaf| DraftLeaf {
                relation: leaf.relation.clone(),
                clear: leaf.clear.clone(),
                shown: leaf.shown.clone(),
                masked: leaf.masked.clone(),
            })
            .collect(),
        rows: hold
            .rows
            .into_iter()
            .map(|row| DraftRow {
                touches: row
                    .touches
                    .into_iter()
                    .map(|touch| Touch {
                        leaf: touch.leaf,
                        subject: touch.subject,
                        reason: touch.reason,
                    })
                    .collect(),
            })
            .collect(),
        lookups: hold
            .lookups
            .into_iter()
            .map(|lookup| DraftLookup {
                relation: lookup.relation,
                column: lookup.column,
                hit: lookup.hit,
                search: search_hash(search_key, lookup.value.expose()),
            })
            .collect(),
        values: hold.values.into_iter().map(value).collect(),
        claimed: hold.claimed,
        observed: hold.observed.map(|observed| {
            let postern_session::Observed { rule, masked, unknown } = *observed;
            Box::new(Observed { rule: rule.map(Into::into), masked, unknown })
        }),
        refused: hold.stopped.as_ref().and_then(|stopped| limit_of(stopped, limits)),
        limits: if unbounded { Arc::new([]) } else { limits.clone() },
    }
}

fn value(value: ShownValue) -> DraftValue {
    let ShownValue { row, touch, column, digest } = value;
    DraftValue { row, touch, column, digest }
}

/// The limit that a session was told of in words.
fn limit_of(stopped: &Stopped, limits: &[Limit]) -> Option<Limit> {
    let is_it = |limit: &&Limit| {
        limit.counter.as_str() == stopped.counter
            && limit.max == stopped.max
            && limit.window_text() == stopped.window
    };
    limits.iter().find(is_it).copied()
}

fn search_hash(key: &[u8; 32], value: &[u8]) -> [u8; 8] {
    let mut hash = [0; 8];
    blake3::Hasher::new_keyed(key).update(value).finalize_xof().fill(&mut hash);
    hash
}
