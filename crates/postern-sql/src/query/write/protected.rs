//! UPDATE and DELETE of a protected table.
//!
//! The target is never joined to a leaf; each reference to one of its protected columns is
//! replaced by the mask where it stands. Every row that is touched returns its key to the gateway,
//! so that the ledger has it before the client learns how many there were.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Change, once,
    reach::{Needs, gives_back, shows_in},
    take::is_take,
    value::{Stored, stored_value},
};
use crate::{
    LookupValue, Mode, ReasonRule, TableRule, ast,
    catalogue::{Column, Relation},
    mask::mask,
    query::{
        Analysis,
        from::{Star, derived},
        leaf::{LEAVES_MAX, LeafBuild, Shown, leaf_rows, shown},
        lookup::{conjunction, conjuncts},
        scope::{Item, Scope},
        select::Place,
        target::{expanded, starred},
    },
    refusal::{Judged, not_understood, refuse, too_many},
    taint::{Key, Rows, Taint},
};

impl<'a> Analysis<'a> {
    pub(super) fn update_protected(
        &mut self,
        update: &mut pb::UpdateStmt,
        relation: &'a Relation,
        rule: &'a TableRule,
    ) -> Judged<Rows> {
        one_by_one(&mut update.target_list);
        let columns = assigned(&update.target_list, relation)?;
        let targets: Vec<_> = update.target_list.iter().zip(columns.iter().copied()).collect();
        let needs = self.reach_of_update(relation, rule, &targets);
        let kept = |number| needs.as_ref().is_ok_and(|needs| needs.fixed.contains_key(&number));
        self.may_set(relation, &|name| columns.iter().any(|c| c.name == name && !kept(c.number)))?;
        if let Some(taken) = self.taken(rule, &columns).filter(|reason| !gives(reason, &targets))
            && (needs.is_err() || is_take(update))
        {
            return self.take(update, relation, (rule, taken), &columns);
        }
        let needs = needs?;
        self.chooses_in_place(update, relation.oid);
        self.joins_in_place(update, relation);
        self.with(update.with_clause.as_mut(), None)?;
        let Some(range) = update.relation.as_mut() else { return not_understood("no table") };
        let (item, leaf) = self.protected_target(range, relation, rule, Change::Update)?;
        let alias = item.alias.clone();
        let mut star = Star::of(&item);
        let mut scope = Scope::new(None);
        scope.items.push(item);
        star.join(self.read_from_clause(&mut update.from_clause, &mut scope, Place::Bare)?);
        let mut no_masks = Vec::new();
        let mut computed = false;
        for (node, column) in update.target_list.iter_mut().zip(&columns) {
            if let Some(refusal) = needs.fixed.get(&column.number) {
                self.assigned_same(node, (leaf, column), (rule, refusal), &alias)?;
                continue;
            }
            let kept = needs.holds_of_own(rule, column).then_some(column.number);
            let judge = |own: &mut Self| own.assigned_value(node, (leaf, column), rule, &scope);
            let taint = self.lent(|own| &mut own.target.kept, kept, judge).0?;
            computed |= taint.names_columns();
            if !taint.protected.is_empty() {
                // It is computed of the value, which only the actor's own rows may show: a
                // condition would be asked of others as well.
                self.target.computed.push(column.number);
                continue;
            }
            if let Some(NodeEnum::ResTarget(target)) = &node.node
                && let Some(value) = target.val.as_deref()
            {
                no_masks.extend(self.no_mask(value, column, rule)?);
            }
        }
        self.stores_beside(given(&update.target_list, &columns, &needs), relation, rule);
        let chosen = self.choices(&mut update.where_clause, &scope, (leaf, &needs))?;
        self.where_clause(&mut update.where_clause, &scope)?;
        if computed && scope.items.len() > 1 && !self.deciding.is_empty() {
            return set_from_joined();
        }
        self.narrow(&mut update.where_clause, &alias, (leaf, &needs))?;
        no_masks.extend(chosen);
        and(&mut update.where_clause, no_masks);
        self.returning_own(&mut update.returning_clause, &star, &scope, (leaf, &needs))
    }

    pub(super) fn delete_protected(
        &mut self,
        delete: &mut pb::DeleteStmt,
        relation: &'a Relation,
        rule: &'a TableRule,
    ) -> Judged<Rows> {
        let needs: Needs = self.reach_of_delete(relation, rule)?;
        self.with(delete.with_clause.as_mut(), None)?;
        let Some(range) = delete.relation.as_mut() else { return not_understood("no table") };
        let (item, leaf) = self.protected_target(range, relation, rule, Change::Delete)?;
        let alias = item.alias.clone();
        let mut star = Star::of(&item);
        let mut scope = Scope::new(None);
        scope.items.push(item);
        star.join(self.read_from_clause(&mut delete.using_clause, &mut scope, Place::Bare)?);
        let chosen = self.choices(&mut delete.where_clause, &scope, (leaf, &needs))?;
        self.where_clause(&mut delete.where_clause, &scope)?;
        self.narrow(&mut delete.where_clause, &alias, (leaf, &needs))?;
        and(&mut delete.where_clause, chosen);
        self.returning_own(&mut delete.returning_clause, &star, &scope, (leaf, &needs))
    }

    fn where_clause(&mut self, condition: &mut Option<Box<Node>>, scope: &Scope<'_>) -> Judged<()> {
        self.take_lookups(condition, scope)?;
        let before = self.leaves.len();
        let taint = self.all(condition.as_deref_mut(), scope)?;
        // What is read there says which rows are meant, as in a SELECT, and is copied nowhere.
        self.target.filters += self.leaves.len() - before;
        // How many rows it meets tells of those that it does not meet, too.
        self.spoil(&taint);
        Ok(())
    }

    /// The target as an item of the scope, and its place among the leaves.
    pub(super) fn protected_target(
        &mut self,
        range: &mut pb::RangeVar,
        relation: &'a Relation,
        rule: &'a TableRule,
        change: Change,
    ) -> Judged<(Item, usize)> {
        self.acts.writes = true;
        self.writable(relation, change)?;
        let leaf = self.leaves.len();
        if leaf >= LEAVES_MAX {
            return too_many("54001", "references to protected tables", LEAVES_MAX);
        }
        let key_type = self.resolver.key_type(relation, rule)?;
        let build = LeafBuild { relation, rule, key_type, key_set: None };
        let rows = leaf_rows(leaf, &build, &self.referring(relation), self.resolver.rules.mode);
        if rows.keys.is_empty() {
            return not_understood("a table without its subject column");
        }
        self.leaves.push(build);
        self.target.leaf = Some(leaf);
        let alias = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname).clone();
        let schema = range.alias.is_none().then(|| relation.schema.clone());
        if range.alias.as_ref().is_some_and(|alias| !alias.colnames.is_empty()) {
            return not_understood("an alias with columns");
        }
        range.schemaname.clone_from(&relation.schema);
        range.catalogname.clear();
        let item = Item { schema, leaf: Some(leaf), hides: true, ..derived(alias, rows) };
        Ok((item, leaf))
    }

    /// Puts the mask where a protected column of the target is named.
    pub(in crate::query) fn mask_in_place(&self, node: &mut Node, taint: &Taint) -> Judged<()> {
        let Some(target) = self.target.leaf else { return Ok(()) };
        let hits = |place: &&(usize, i16)| place.0 == target;
        let Some((_, attribute)) = taint.protected.iter().find(hits) else { return Ok(()) };
        if self.resolver.rules.mode == Mode::Accounted || self.target.kept == Some(*attribute) {
            return Ok(());
        }
        let build = self.leaves.get(target);
        let column = build.and_then(|build| build.column(*attribute));
        let (Some(build), Some(column), 1) = (build, column, taint.protected.len()) else {
            return not_understood("a name that could mean several columns");
        };
        if self.target.shows_own && self.is_own(target, build, column) {
            return Ok(());
        }
        let rule = build.rule.columns.iter().find(|rule| rule.name == column.name);
        *node = mask(self.resolver.catalogue, column, rule)?;
        Ok(())
    }

    /// `column = value` of a SET clause; what flows into the value.
    fn assigned_value(
        &mut self,
        node: &mut Node,
        (leaf, column): (usize, &Column),
        rule: &TableRule,
        scope: &Scope<'_>,
    ) -> Judged<Taint> {
        let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else {
            return not_understood("this kind of assignment");
        };
        let Some(value) = target.val.as_deref_mut() else {
            return not_understood("an assignment of nothing");
        };
        self.stores(value, column, rule)?;
        let taint = self.expression(value, scope)?;
        // A clear value may be changed where it stands, by those who see all in clear.
        let own = |place: &(usize, i16)| *place == (leaf, column.number);
        let moves = match self.resolver.rules.mode {
            Mode::Restricted => {
                let kept = |place: &(usize, i16)| own(place) && self.target.kept == Some(place.1);
                !taint.protected.iter().all(kept)
            }
            Mode::Accounted => !taint.protected.iter().chain(&taint.shown).all(own),
        };
        if moves {
            return refuse(
                "masked_write",
                format!("column `{}` can't be set from protected columns", column.name),
                "they are masked here: write out the new value",
            );
        }
        Ok(taint)
    }

    /// A value goes into a column: it may be a search, and it must not be the mask.
    pub(super) fn stores(&mut self, value: &Node, column: &Column, rule: &TableRule) -> Judged<()> {
        if is_free(rule, column) {
            return Ok(());
        }
        if column.collides {
            match stored_value(value) {
                Stored::Value(found) => self.target.stored.push((column.number, found)),
                Stored::Nothing => {}
                Stored::Computed => {
                    return refuse(
                        "lookup",
                        format!("column `{}` is unique and takes one given value", column.name),
                        "write a constant or a parameter",
                    );
                }
            }
        }
        self.no_known_mask(value, column, rule);
        Ok(())
    }

    /// What is stored beside protected values can be a search, too: of those that the row has, if
    /// no two rows may have both.
    pub(super) fn stores_beside<'v>(
        &mut self,
        set: impl Iterator<Item = (&'v Node, &'v Column)>,
        relation: &Relation,
        rule: &TableRule,
    ) {
        let mut set = set.filter(|(_, column)| self.conflicts(relation, rule, column));
        if self.target.stored.is_empty()
            && let Some((value, column)) = set.next()
        {
            let value = match stored_value(value) {
                Stored::Value(value) => value,
                Stored::Nothing | Stored::Computed => LookupValue::Constant(String::new()),
            };
            drop(set);
            self.target.stored.push((column.number, value));
        }
    }

    /// Whether a value in the column can be in conflict with a row of another subject for what that
    /// has in a protected one.
    fn conflicts(&self, relation: &Relation, rule: &TableRule, column: &Column) -> bool {
        let family = self.resolver.family(relation.oid);
        let mut all = family.iter().flat_map(|one| one.distinct.iter().map(|d| (*one, d)));
        all.any(|(one, distinct)| {
            let shows = |name: &String| shows_in(one, &column.name, name);
            let free = |name: &String| {
                let own = one.columns.iter().find(|other| other.name == *name);
                own.is_some_and(|own| is_free(rule, own))
            };
            // A collation can take the keys of two subjects for equal.
            let exact = |key: &&Column| key.collation == 0 || key.compares_bytes();
            let subject = one.columns.iter().find(|other| other.name == rule.subject);
            let same = distinct.keys.contains(&rule.subject) && subject.filter(exact).is_some();
            distinct.columns.iter().any(shows) && !same && !distinct.columns.iter().all(free)
        })
    }

    /// The same where all rows that are touched are of those whose records the actor sees in
    /// clear, for the condition asks it of each: what they show is shown, as by a leaf of theirs.
    fn returning_own(
        &mut self,
        returning: &mut Option<pb::ReturningClause>,
        star: &Star,
        scope: &Scope<'_>,
        (leaf, needs): (usize, &Needs),
    ) -> Judged<Rows> {
        if let Some(build) = self.leaves.get_mut(leaf) {
            let mut sets = build.relation.columns.iter().filter_map(|column| {
                match shown(build.rule, column) {
                    Shown::Keyed(set, _) if needs.holds_of_own(build.rule, column) => Some(set),
                    Shown::Keyed(..) | Shown::Free | Shown::Always | Shown::Masked(_) => None,
                }
            });
            build.key_set = sets.next();
        }
        let judge = |own: &mut Self| own.returning_keys(returning, star, scope);
        self.lent(|own| &mut own.target.shows_own, true, judge).0
    }

    /// RETURNING what the client asks for, masked, and the key of each row behind it.
    pub(super) fn returning_keys(
        &mut self,
        returning: &mut Option<pb::ReturningClause>,
        star: &Star,
        scope: &Scope<'_>,
    ) -> Judged<Rows> {
        self.target.silent = returning.is_none();
        let asked = returning.take().map(|returning| returning.exprs).unwrap_or_default();
        let mut targets = Vec::with_capacity(asked.len() + 1);
        for node in asked {
            let value = match &node.node {
                Some(NodeEnum::ResTarget(target)) => target.val.as_deref(),
                _ => None,
            };
            match value.map(|value| starred(value, star, scope)).transpose()?.flatten() {
                Some((_, columns)) => targets.extend(expanded(&columns, scope)?),
                None => targets.push(node),
            }
        }
        let outputs = self.targets(&mut targets, star, scope, Place::Top)?;
        let mut keys = Vec::new();
        let mut certain = BTreeSet::new();
        for item in scope.items.iter().take(1) {
            certain.clone_from(&item.rows.certain);
            for key in &item.rows.keys {
                let name = self.name('k');
                targets.push(ast::target(&name, ast::column(&[&item.alias, &key.column])));
                keys.push(Key { leaf: key.leaf, column: name, many: false });
            }
        }
        *returning = Some(pb::ReturningClause { options: Vec::new(), exprs: targets });
        Ok(Rows {
            columns: outputs.columns.into_iter().map(|output| output.column).collect(),
            open: outputs.open,
            keys,
            certain,
            ..Rows::default()
        })
    }
}

/// Adds conditions to a WHERE clause.
fn and(condition: &mut Option<Box<Node>>, more: Vec<Node>) {
    if !more.is_empty() {
        let all = condition.take().map(|node| conjuncts(*node)).unwrap_or_default();
        *condition = conjunction(all.into_iter().chain(more).collect());
    }
}

/// Whether a column is shown to everybody.
pub(super) fn is_free(rule: &TableRule, column: &Column) -> bool {
    matches!(shown(rule, column), Shown::Free | Shown::Always)
}

/// Writes `(a, b) = (x, y)` and `(a, b) = ROW (x, y)` as `a = x, b = y`, which it stands for.
fn one_by_one(targets: &mut [Node]) {
    for node in targets {
        let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else { continue };
        let Some(Node { node: Some(NodeEnum::MultiAssignRef(assign)) }) = target.val.as_deref()
        else {
            continue;
        };
        let Some(NodeEnum::RowExpr(row)) = assign.source.as_deref().and_then(|s| s.node.as_ref())
        else {
            continue;
        };
        let (count, place) = (usize::try_from(assign.ncolumns), usize::try_from(assign.colno));
        let value = place.ok().and_then(|place| row.args.get(place.checked_sub(1)?));
        // A star in it would be several values.
        let plain = !row.args.iter().any(is_several) && count == Ok(row.args.len());
        if let Some(value) = value.filter(|_| plain).cloned() {
            target.val = Some(Box::new(value));
        }
    }
}

/// `t.*` or `(expression).*`, which stands for several values.
fn is_several(node: &Node) -> bool {
    let last = match &node.node {
        Some(NodeEnum::ColumnRef(reference)) => reference.fields.last(),
        Some(NodeEnum::AIndirection(indirection)) => indirection.indirection.last(),
        _ => None,
    };
    matches!(last, Some(Node { node: Some(NodeEnum::AStar(_)) }))
}

/// What a SET clause gives to columns that can be changed.
fn given<'v>(
    targets: &'v [Node],
    columns: &'v [&'v Column],
    needs: &'v Needs,
) -> impl Iterator<Item = (&'v Node, &'v Column)> {
    targets.iter().zip(columns).filter_map(|(node, column)| {
        let Some(NodeEnum::ResTarget(target)) = &node.node else { return None };
        let changed = !needs.fixed.contains_key(&column.number);
        Some((target.val.as_deref().filter(|_| changed)?, *column))
    })
}

/// The columns that a SET clause assigns, each by its plain name and once.
fn assigned<'r>(targets: &[Node], relation: &'r Relation) -> Judged<Vec<&'r Column>> {
    let mut columns: Vec<&Column> = Vec::new();
    for node in targets {
        let Some(NodeEnum::ResTarget(target)) = &node.node else {
            return not_understood("this kind of assignment");
        };
        let value = target.val.as_deref().and_then(|value| value.node.as_ref());
        if !target.indirection.is_empty() || matches!(value, Some(NodeEnum::MultiAssignRef(_))) {
            return not_understood("an assignment of several columns at once or to a part of one");
        }
        match relation.columns.iter().find(|column| column.name == target.name) {
            Some(column) => once(&mut columns, column)?,
            None => return not_understood("an assignment to an unknown column"),
        }
    }
    Ok(columns)
}

/// Whether an UPDATE gives back what a reason gives: it takes its row's actor away.
fn gives(reason: &ReasonRule, targets: &[(&Node, &Column)]) -> bool {
    targets.iter().any(|(node, column)| column.name == reason.actor && gives_back(node))
}

/// What is joined by a protected value is a copy of it.
fn set_from_joined<T>() -> Judged<T> {
    refuse(
        "masked_write",
        "a row can't be set from what is joined to it by protected columns",
        "write out the new value, or join by other columns",
    )
}
