//! What a world needs so that its ledger can be compared with what comes.

use std::collections::BTreeSet;

use super::{Key, Maker, Owner, column};
use crate::{
    dice::Dice,
    schema::{Accounts, Column, Guard, Kind},
};

impl Maker {
    /// A column whose texts say whose record they are from, where that is asked.
    pub(super) fn mark(&self, columns: &mut Vec<Column>) {
        let Some(accounts) = &self.world.accounts else { return };
        let mut mark = column("mark", Kind::Text, "text", Guard::Free);
        (mark.unique, mark.marked) = (true, true);
        columns.push(mark);
        if accounts.accounted {
            let texts = columns.iter_mut().filter(|column| {
                let fits = column.kind == Kind::Text && column.sql_type != "mood";
                fits && column.guard != Guard::Free && column.generated.is_none()
            });
            texts.for_each(|column| column.marked = true);
        }
    }
}

/// Whether the world of a seed is one whose ledger is compared with what came: each third is.
pub(super) fn is_of_accounts(seed: u64) -> bool {
    seed % 3 == 2
}

/// Who differs in such a world: a few, so that an entry that names them says something.
pub(super) fn accounts(dice: &mut Dice, seed: u64, key: Key, owners: &[Owner]) -> Option<Accounts> {
    let mut changed = BTreeSet::new();
    for person in 0..owners.len() {
        if dice.chance(12) {
            changed.insert(plain(&key.literal(person)));
        }
    }
    let accounted = (seed / 3) % 2 == 1;
    is_of_accounts(seed).then(|| Accounts { accounted, changed, ..Accounts::default() })
}

/// What a literal stands for.
pub(super) fn plain(literal: &str) -> String {
    literal.trim_matches('\'').to_owned()
}
