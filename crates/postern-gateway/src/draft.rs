//! What a hold becomes in the ledger: whom it shows, and hashes of what was looked up.

use std::sync::Arc;

use postern_ledger::{Draft, DraftLeaf, DraftLookup, DraftRow, Limit, Touch};
use postern_model::Actor;
use postern_session::Hold;

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
    Draft {
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
        claimed: None,
        limits: limits.clone(),
    }
}

fn search_hash(key: &[u8; 32], value: &[u8]) -> [u8; 8] {
    let mut hash = [0; 8];
    blake3::Hasher::new_keyed(key).update(value).finalize_xof().fill(&mut hash);
    hash
}
