//! LOCK TABLE: of what may be read, against its being dropped or rewritten, as any SELECT locks it
//! (pg_dump does so first); of what is not protected, for accounted roles, in any other way.
//!
//! Others are kept waiting by the other ways. A statement's own locks tell nobody of rows.

use pg_query::{NodeEnum, protobuf as pb};

use crate::{
    Effect, Mode, Plain, Verdict,
    quote::identifier,
    refusal::{Judged, not_understood, refuse},
    resolve::{Resolved, Resolver},
};

/// The modes in the order of their numbers, from 1 (src/include/storage/lockdefs.h).
const MODES: [&str; 8] = [
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
];

pub(crate) fn judge(lock: &pb::LockStmt, resolver: Resolver<'_>) -> Judged<Verdict> {
    let pb::LockStmt { relations, mode, nowait } = lock;
    let number = usize::try_from(*mode).ok().and_then(|mode| mode.checked_sub(1));
    let Some(mode) = number.and_then(|number| MODES.get(number)) else {
        return not_understood("this kind of LOCK");
    };
    let (reads, others) = (number == Some(0), resolver.rules.mode == Mode::Accounted);
    let mut tables = Vec::with_capacity(relations.len());
    for node in relations {
        let Some(NodeEnum::RangeVar(range)) = &node.node else {
            return not_understood("LOCK of this");
        };
        let relation = match resolver.relation(range)? {
            Resolved::Protected(relation, _) if reads => relation,
            Resolved::Plain(relation) if reads || others => relation,
            Resolved::Protected(..) | Resolved::Plain(_) => return in_that_mode(),
            Resolved::View(_) | Resolved::Catalogue { .. } => {
                return not_understood("LOCK of a view or of a system catalogue");
            }
        };
        if !matches!(relation.kind, 'r' | 'p') {
            return not_understood("LOCK of what is no table");
        }
        let only = if range.inh { "" } else { "ONLY " };
        let (schema, name) = (identifier(&relation.schema), identifier(&relation.name));
        tables.push(format!("{only}{schema}.{name}"));
    }
    let wait = if *nowait { " NOWAIT" } else { "" };
    let sql = format!("LOCK TABLE {} IN {mode} MODE{wait}", tables.join(", "));
    Ok(Verdict::Plain(Plain::new(sql, Effect::Setting, 0)))
}

fn in_that_mode<T>() -> Judged<T> {
    refuse(
        "lock",
        "this role can't lock this table so that others wait for it",
        "LOCK TABLE … IN ACCESS SHARE MODE keeps a table from being changed in its form",
    )
}
