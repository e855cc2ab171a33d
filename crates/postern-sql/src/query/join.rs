//! Joins: which columns are compared and merged, and which side may be left out.

use std::collections::BTreeSet;

use pg_query::protobuf as pb;

use super::{
    Analysis,
    from::{Star, StarColumn, alias_columns, derived, rename},
    scope::{Item, Scope},
    select::{LIST_MAX, Place},
};
use crate::{
    ast,
    refusal::{Judged, not_understood, too_many},
    taint::{Column, Rows, Source, Taint},
};

impl Analysis<'_> {
    pub(super) fn join(
        &mut self,
        join: &mut pb::JoinExpr,
        scope: &mut Scope<'_>,
        place: Place,
        nullable: bool,
    ) -> Judged<Star> {
        use pb::JoinType::{JoinFull, JoinInner, JoinLeft, JoinRight};
        let kind = join.jointype();
        let (left_null, right_null) = match kind {
            JoinInner => (nullable, nullable),
            JoinLeft => (nullable, true),
            JoinRight => (true, nullable),
            JoinFull => (true, true),
            _ => return not_understood("this kind of join"),
        };
        let (Some(left), Some(right)) = (join.larg.as_mut(), join.rarg.as_mut()) else {
            return not_understood("half a join");
        };
        let first = scope.items.len();
        let left = self.read_from_item(left, scope, place, left_null)?;
        let middle = scope.items.len();
        let right = self.read_from_item(right, scope, place, right_null)?;
        let filtered = &self.filtered | &self.pinned;
        let using = self.merged_names(join, &left, &right)?;
        let hides = |items: &[Item]| items.iter().any(|item| item.hides);
        let (one, two) = scope.items.split_at(middle);
        if join.is_natural && one.get(first..).is_some_and(hides) && hides(two) {
            by_name(join, using.as_deref())?;
        }
        let covered = scope.items.iter().skip(first).filter(|item| !item.covers.is_empty());
        for item in covered {
            // With NATURAL and columns that aren't known, it may be compared as well.
            let names = using.as_ref();
            if names.is_none_or(|names| names.iter().any(|name| item.cover(name).is_some())) {
                return not_understood("a join by a catalogue column that is not shown");
            }
        }
        let mut star = self.merge(left, right, using, kind)?;
        let joined = match join.quals.as_mut() {
            Some(condition) => scope.within(first, |sides| self.condition(condition, sides))?,
            None => BTreeSet::new(),
        };
        let on = (join.quals.as_deref(), &joined);
        if matches!(kind, JoinLeft | JoinFull) {
            let items = middle..scope.items.len();
            self.may_be_absent(scope, (first, items), on, (&filtered, &mut star));
        }
        if matches!(kind, JoinRight | JoinFull) {
            self.may_be_absent(scope, (first, first..middle), on, (&filtered, &mut star));
        }
        match &join.alias {
            None => Ok(star),
            Some(alias) => self.aliased_join(alias, star, scope, first),
        }
    }

    /// The names of the columns that a join compares and merges; `None` if they aren't known.
    fn merged_names(
        &self,
        join: &pb::JoinExpr,
        left: &Star,
        right: &Star,
    ) -> Judged<Option<Vec<String>>> {
        if join.is_natural || !join.using_clause.is_empty() {
            self.charge_join(left, right)?;
        }
        let using = if join.is_natural {
            common_names(left, right)
        } else {
            let Some(names) = ast::names(&join.using_clause) else {
                return not_understood("this kind of USING");
            };
            Some(names.into_iter().map(str::to_owned).collect())
        };
        if using.as_ref().is_some_and(|names| names.len() > LIST_MAX) {
            return too_many("54011", "columns that a join compares", LIST_MAX);
        }
        Ok(using)
    }

    /// What `*` is over a join; columns that USING names are compared and merged.
    fn merge(
        &mut self,
        left: Star,
        right: Star,
        using: Option<Vec<String>>,
        kind: pb::JoinType,
    ) -> Judged<Star> {
        let Some(using) = using else {
            // NATURAL with columns that aren't known: any of them may be compared.
            let mut star = left;
            star.join(right);
            let mut open = star.open.unwrap_or_default();
            for column in &star.columns {
                open.add(&column.column.taint);
            }
            self.predicate(&open);
            return Ok(Star { open: Some(open), merges: true, ..Star::default() });
        };
        if using.is_empty() {
            let mut star = left;
            star.join(right);
            return Ok(star);
        }
        self.equality_by_name()?;
        let (ones, twos) = (left.by_name(), right.by_name());
        let mut merged = Vec::new();
        for name in &using {
            let (one, two) = (ones.get(name.as_str()).copied(), twos.get(name.as_str()).copied());
            let sources = one.and_then(|c| c.source).zip(two.and_then(|c| c.source));
            let mut taint = Taint::default();
            let flows = [one.map(|c| &c.taint), two.map(|c| &c.taint)];
            for flow in flows.into_iter().chain([left.open.as_ref(), right.open.as_ref()]) {
                taint.add(flow.unwrap_or(&Taint::default()));
            }
            self.charge_flow(&taint)?;
            let mut compared = taint.clone();
            if sources.is_some_and(|(one, two)| self.links_records(one, two)) {
                compared.identifiers.clear();
                compared.plain.clear();
                compared.windowed.clear();
            }
            self.predicate(&compared);
            let copied = [one, two].iter().all(|side| side.is_some_and(|c| c.copied));
            let kept = if kind == pb::JoinType::JoinRight { two } else { one };
            let kept = kept.filter(|_| kind != pb::JoinType::JoinFull);
            // Of another type than the other side's it may be cast to that.
            let alike = sources.is_some_and(|(one, two)| self.have_one_type(one, two));
            let column = Column {
                source: kept.and_then(|c| c.source).filter(|_| alike),
                origin: kept.and_then(|c| c.origin),
                copied,
                ..Column::computed(name, taint)
            };
            merged.push(StarColumn { alias: None, column });
        }
        let mut star = Star { columns: merged, merges: true, ..Star::default() };
        let using: BTreeSet<String> = using.into_iter().collect();
        for mut side in [left, right] {
            side.columns.retain(|column| !using.contains(&column.column.name));
            star.join(side);
        }
        Ok(star)
    }

    fn have_one_type(&self, one: Source, two: Source) -> bool {
        let type_of = |source: Source| {
            let leaf = self.leaves.get(source.leaf)?;
            leaf.column(source.attribute).map(|column| column.type_oid)
        };
        type_of(one).zip(type_of(two)).is_some_and(|(one, two)| one == two)
    }

    /// `(a JOIN b) AS j` hides a and b; a hidden column can't be named through it.
    fn aliased_join(
        &mut self,
        alias: &pb::Alias,
        star: Star,
        scope: &mut Scope<'_>,
        first: usize,
    ) -> Judged<Star> {
        let guarded = |item: &Item| item.leaf.is_some() || !item.rows.keys.is_empty();
        let covers = |item: &Item| !item.covers.is_empty();
        if scope.items.iter().skip(first).any(|item| guarded(item) || covers(item)) {
            return not_understood("an alias for a join with a protected table");
        }
        scope.items.truncate(first);
        let mut rows = Rows {
            columns: star.columns.into_iter().map(|c| c.column).collect(),
            open: star.open,
            names: star.names,
            ..Rows::default()
        };
        rename(&mut rows, &alias_columns(Some(alias))?, false)?;
        let item = derived(alias.aliasname.clone(), rows);
        let star = Star::of(&item);
        scope.items.push(item);
        Ok(star)
    }
}

/// Both sides of a natural join can have a hidden column of one name, where a common table is named
/// twice. The server is told the names that are compared.
fn by_name(join: &mut pb::JoinExpr, using: Option<&[String]>) -> Judged<()> {
    let Some(using) = using else {
        return not_understood("NATURAL between tables whose columns are not all known");
    };
    join.is_natural = false;
    join.using_clause = using.iter().map(|name| ast::string(name)).collect();
    if using.is_empty() {
        join.quals = Some(Box::new(ast::truth()));
    }
    Ok(())
}

fn common_names(left: &Star, right: &Star) -> Option<Vec<String>> {
    if left.open.is_some() || right.open.is_some() {
        return None;
    }
    let names: BTreeSet<&str> = right.columns.iter().map(|c| c.column.name.as_str()).collect();
    let shared = left.columns.iter().filter(|c| names.contains(c.column.name.as_str()));
    Some(shared.map(|c| c.column.name.clone()).collect())
}
