//! Which protected tables statements mean to write, whether they may or not.

use pg_query::{NodeEnum, protobuf as pb};

use crate::{
    Catalogue, Context, Rules, TableRule, nesting,
    resolve::{Resolved, Resolver},
};

/// How a statement would write a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE, which writes no protected table.
    Merge,
}

/// For each statement of `sql` that writes a protected table: the table's rule, and how it would.
/// It is for explanations; nothing is judged by it.
pub fn aims<'a>(
    sql: &str,
    catalogue: &Catalogue,
    rules: &'a Rules,
    context: Context<'_>,
) -> Vec<Option<(&'a TableRule, Aim)>> {
    let shallow = pg_query::scan_tokens(sql)
        .is_ok_and(|tokens| nesting::depth(&tokens).is_ok_and(|d| d <= nesting::DEPTH_SHALLOW));
    let parsed = pg_query::parse(sql, 0).ok().filter(|_| shallow);
    let statements = parsed.map(|parsed| parsed.protobuf.stmts).unwrap_or_default();
    let aim = |raw: pb::RawStmt| {
        let (range, aim) = target(raw.stmt?.node?)?;
        let resolver = Resolver { catalogue, rules, context };
        match resolver.relation(&range).ok()? {
            Resolved::Protected(_, rule) => {
                let place = rules.tables.iter().find(|table| *table == rule)?;
                Some((place, aim))
            }
            Resolved::Plain(_) | Resolved::View(_) | Resolved::Catalogue { .. } => None,
        }
    };
    statements.into_iter().map(aim).collect()
}

fn target(statement: NodeEnum) -> Option<(pb::RangeVar, Aim)> {
    match statement {
        NodeEnum::InsertStmt(insert) => Some((insert.relation?, Aim::Insert)),
        NodeEnum::UpdateStmt(update) => Some((update.relation?, Aim::Update)),
        NodeEnum::DeleteStmt(delete) => Some((delete.relation?, Aim::Delete)),
        NodeEnum::MergeStmt(merge) => Some((merge.relation?, Aim::Merge)),
        NodeEnum::PrepareStmt(prepare) => target(prepare.query?.node?),
        _ => None,
    }
}
