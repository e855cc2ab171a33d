//! Pages of keys: `id IN (SELECT id FROM … ORDER BY … LIMIT 10)`.
//!
//! Where each key comes once, this is the join with them, whose rows carry their keys.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis, grouping::gives_its_rows, names::figure, scalar::own_column, window::is_star,
};
use crate::{ast, catalogue::Column};

impl Analysis<'_> {
    /// Whether a sub-select gives a page of keys, each once: of groups by what it gives, or of one
    /// table's records. So ORMs find the records of a page before they join others to them.
    pub(super) fn picks_each_once(&self, query: &pb::SelectStmt) -> bool {
        let [one @ Node { node: Some(NodeEnum::ResTarget(target)) }] = query.target_list.as_slice()
        else {
            return false;
        };
        let rows = pb::SelectStmt {
            group_clause: Vec::new(),
            having_clause: None,
            limit_count: None,
            limit_offset: None,
            limit_option: pb::LimitOption::Default as i32,
            ..query.clone()
        };
        let plain = gives_its_rows(&rows)
            && query.with_clause.is_none()
            && query.window_clause.is_empty()
            && query.limit_option() != pb::LimitOption::WithTies
            && !is_star(one);
        let Some(value @ Node { node: Some(NodeEnum::ColumnRef(reference)) }) =
            target.val.as_deref().filter(|_| plain)
        else {
            return false;
        };
        let limited = query.limit_count.is_some();
        if let [group] = query.group_clause.as_slice() {
            return group == value && (limited || !query.sort_clause.is_empty());
        }
        if !query.group_clause.is_empty() || query.having_clause.is_some() {
            return false;
        }
        if let Some((alias, relation)) = self.only_protected(query) {
            let name = own_column(value, alias);
            let mut columns = relation.columns.iter();
            let key =
                |column: &Column| column.primary && column.alone && Some(&*column.name) == name;
            return limited && self.is_whole(relation) && columns.any(key);
        }
        let [Node { node: Some(NodeEnum::RangeSubselect(range)) }] = query.from_clause.as_slice()
        else {
            return false;
        };
        // All that it gives is one column, so that this is the one that is named.
        let inner = range.subquery.as_ref().and_then(|query| query.node.as_ref());
        let Some(NodeEnum::SelectStmt(inner)) = inner else { return false };
        let inner_name = match inner.target_list.as_slice() {
            [Node { node: Some(NodeEnum::ResTarget(only)) }] => match only.name.as_str() {
                "" => only.val.as_deref().map(figure),
                name => Some(name.to_owned()),
            },
            _ => None,
        };
        let alias = range.alias.as_ref().filter(|alias| alias.colnames.is_empty());
        let named = alias.zip(inner_name).is_some_and(|(alias, inner)| {
            let names = ast::names(&reference.fields);
            match names.as_deref() {
                Some([name]) => *name == inner,
                Some([owner, name]) => *owner == alias.aliasname && *name == inner,
                _ => false,
            }
        });
        named && self.picks_each_once(inner)
    }
}
