//! The leaf: the sub-select that stands in a statement where a protected table was named.
//!
//! Protected columns are masked in it, so that nothing above it in the statement can reach a clear
//! value. A column is clear only for the keys of a set that the gateway fills in, and only if the
//! first run of the analysis found no use of it that would carry the value away from its key; in
//! doubt it is masked. Where to start: `leaf` builds the sub-select, [`shown`] decides a column,
//! and [`LeafBuild::describe`] says what the ledger must record.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, lookup::conjunction};
use crate::{
    ColumnRule, Hole, KeySet, KeyType, Leaf, LookupValue, Mode, Origin, Show, TableRule, ast,
    catalogue::{Column, Relation},
    mask::mask,
    print::LeafSelect,
    refusal::{Judged, too_many},
    taint::{self, Key, Rows, Source, Taint},
};

pub(super) mod keys;
mod order;

use keys::Own;

/// A reference to a protected table, as the analysis knows it.
#[derive(Debug, Clone)]
pub(crate) struct LeafBuild<'a> {
    pub(crate) relation: &'a Relation,
    pub(crate) rule: &'a TableRule,
    pub(crate) key_type: KeyType,
    pub(super) key_set: Option<KeySet>,
}

/// Each becomes a sub-select over all columns of its table.
pub(super) const LEAVES_MAX: usize = 100;

/// How a column of a protected table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// It is not protected.
    Free,
    /// Policy shows it for every record.
    Always,
    Keyed(KeySet, &'a ColumnRule),
    Masked(Option<&'a ColumnRule>),
}

pub(crate) fn shown<'a>(rule: &'a TableRule, column: &Column) -> Shown<'a> {
    if column.kept {
        return Shown::Masked(None);
    }
    if column.name == rule.subject {
        return Shown::Free;
    }
    let Some(found) = rule.columns.iter().find(|found| found.name == column.name) else {
        let free = |name: &String| rule.clear.contains(name) || *name == rule.subject;
        // What a generated column is computed from shows in it.
        let free = free(&column.name) && column.reads.iter().all(free);
        return if free { Shown::Free } else { Shown::Masked(None) };
    };
    match found.show {
        Show::Clear => Shown::Always,
        Show::Keyed(set) => Shown::Keyed(set, found),
        Show::Masked => Shown::Masked(Some(found)),
    }
}

impl LeafBuild<'_> {
    /// What the ledger needs to know of the leaf, given the columns in the result.
    pub(crate) fn describe(
        &self,
        index: usize,
        used: &Taint,
        spoiled: &BTreeSet<(usize, i16)>,
        mode: Mode,
    ) -> Leaf {
        let mut leaf = Leaf {
            relation: self.full_name(),
            clear: Vec::new(),
            shown: Vec::new(),
            masked: Vec::new(),
            key_set: self.key_set.filter(|_| mode == Mode::Restricted),
            key_type: self.key_type,
        };
        for column in &self.relation.columns {
            let place = (index, column.number);
            let name: Arc<str> = column.name.as_str().into();
            if used.shown.contains(&place) {
                leaf.shown.push(name);
            } else if used.protected.contains(&place) {
                let clear = match shown(self.rule, column) {
                    _ if mode == Mode::Accounted => true,
                    Shown::Keyed(set, _) => Some(set) == self.key_set && !spoiled.contains(&place),
                    Shown::Free | Shown::Always | Shown::Masked(_) => false,
                };
                if clear { leaf.clear.push(name) } else { leaf.masked.push(name) }
            }
        }
        if leaf.clear.is_empty() {
            leaf.key_set = None;
        }
        leaf
    }

    /// The same where columns of the target are set from their old values: whether and how that is
    /// done tells of them.
    pub(crate) fn with_computed(&self, mut leaf: Leaf, computed: &[i16], mode: Mode) -> Leaf {
        for column in computed.iter().filter_map(|number| self.column(*number)) {
            let name: Arc<str> = column.name.as_str().into();
            leaf.masked.retain(|masked| *masked != name);
            if !leaf.clear.contains(&name) {
                leaf.clear.push(name);
            }
            if let (Shown::Keyed(set, _), Mode::Restricted) = (shown(self.rule, column), mode) {
                leaf.key_set = Some(set);
            }
        }
        leaf
    }

    pub(crate) fn full_name(&self) -> Arc<str> {
        format!("{}.{}", self.relation.schema, self.relation.name).into()
    }

    pub(crate) fn column(&self, attribute: i16) -> Option<&Column> {
        self.relation.columns.iter().find(|column| column.number == attribute)
    }

    pub(super) fn subject(&self) -> Option<&Column> {
        self.relation.columns.iter().find(|column| column.name == self.rule.subject)
    }
}

impl<'a> Analysis<'a> {
    /// Whether no two values of a leaf's column that are equal look different, as `1.0` and `1.00`
    /// do.
    pub(super) fn is_same_where_equal(&self, source: Source) -> bool {
        let leaf = self.leaves.get(source.leaf);
        let Some(column) = leaf.and_then(|leaf| leaf.column(source.attribute)) else {
            return false;
        };
        let Some(own) = self.resolver.catalogue.type_by_oid(column.type_oid) else { return false };
        match (&*own.schema, &*own.name) {
            ("pg_catalog", "text" | "varchar") => column.compares_bytes(),
            (
                "pg_catalog",
                "bool" | "int2" | "int4" | "int8" | "date" | "timestamp" | "timestamptz" | "uuid",
            ) => true,
            _ => own.kind == 'e',
        }
    }

    /// The name of the sub-select that stands for a reference to a protected table, and what it
    /// gives; the sub-select is put in the place of its name when the statement is printed.
    pub(super) fn leaf(
        &mut self,
        range: pb::RangeVar,
        sample: Option<Box<pb::RangeTableSample>>,
        relation: &'a Relation,
        rule: &'a TableRule,
    ) -> Judged<(Node, Rows, usize)> {
        let index = self.leaves.len();
        if index >= LEAVES_MAX {
            return too_many("54001", "references to protected tables", LEAVES_MAX);
        }
        let build = LeafBuild {
            relation,
            rule,
            key_type: self.resolver.key_type(relation, rule)?,
            key_set: relation.columns.iter().find_map(|column| match shown(rule, column) {
                Shown::Keyed(set, _) => Some(set),
                Shown::Free | Shown::Always | Shown::Masked(_) => None,
            }),
        };
        let alias = range.alias.clone().unwrap_or_else(|| pb::Alias {
            aliasname: range.relname.clone(),
            colnames: Vec::new(),
        });
        let name = format!("{}{index}_", self.leaf_names());
        let standing_for_it = ast::node(NodeEnum::RangeVar(pb::RangeVar {
            relname: name.clone(),
            inh: true,
            relpersistence: "p".to_owned(),
            alias: Some(alias),
            ..pb::RangeVar::default()
        }));
        if !self.scouting {
            let select = self.leaf_select(index, &build, range, sample)?;
            let lookup = self.known.lookups.get(&index);
            let particular =
                lookup.is_some_and(|lookup| matches!(lookup.value, LookupValue::Constant(_)));
            self.selects.push(LeafSelect { name, table: relation.oid, select, particular });
        }
        if self.target.chooses.is_some() {
            self.target.chosen.insert(index);
        }
        let rows = leaf_rows(index, &build, &self.referring(relation), self.resolver.rules.mode);
        self.leaves.push(build);
        Ok((standing_for_it, rows, index))
    }

    /// What the names of leaves begin with, and nothing else.
    pub(crate) fn leaf_names(&self) -> String {
        format!("{}l", self.resolver.context.prefix)
    }

    /// The sub-select over all columns of the table.
    fn leaf_select(
        &mut self,
        index: usize,
        build: &LeafBuild<'a>,
        range: pb::RangeVar,
        sample: Option<Box<pb::RangeTableSample>>,
    ) -> Judged<Node> {
        let order = self.leaf_order(index, build);
        let held = self.is_held(index, &order);
        let own = self.own(index, build, held || !order.is_empty());
        let mut targets = Vec::new();
        for column in &build.relation.columns {
            let value = self.leaf_column(index, build, column, own)?;
            targets.push(ast::target(&column.name, value));
        }
        // Nothing is looked up in what is locked: there is no other condition.
        let condition = match self.lockable(index, build) {
            None => self.leaf_condition(index, build),
            Some(sets) => {
                let own = sets.into_iter().map(|set| self.among_keys("b", build, set));
                Some(ast::any(own.collect()))
            }
        };
        let condition = match self.target.chooses.clone() {
            None => condition,
            Some(needs) => {
                let needed = self.needed("b", build, &needs)?;
                conjunction(condition.into_iter().chain(needed).collect()).map(|all| *all)
            }
        };
        let mut base = base_table(range, sample, build.relation);
        if let Some(Own { set, test }) = own {
            let subject = keys::subject("b", &build.rule.subject, build.key_type);
            base = keys::beside(test, base, subject, || self.keys_of(set, build.key_type));
        }
        let select = order::sorted(ast::select(targets, vec![base], condition), order);
        if held && own.is_some() {
            return Ok(order::made_where_read(select, &build.relation.columns));
        }
        Ok(select)
    }

    /// How the leaf shows the actor's own records, if any column of it hangs on that.
    /// Where its rows are `held` above it, it shows them as it reads them.
    fn own(&self, index: usize, build: &LeafBuild<'a>, held: bool) -> Option<Own> {
        let set = build.key_set.filter(|_| self.resolver.rules.mode == Mode::Restricted)?;
        let columns = build.relation.columns.iter();
        let columns = columns.filter(|column| self.is_own(index, build, column)).count();
        (columns > 0).then(|| Own { set, test: self.own_test(index, columns, held) })
    }

    /// Whether the column is clear for the actor's own records. Only a column that the first run
    /// saw in the result is: in any other place a mask does as well.
    pub(super) fn is_own(&self, index: usize, build: &LeafBuild<'_>, column: &Column) -> bool {
        let place = (index, column.number);
        matches!(shown(build.rule, column), Shown::Keyed(set, _) if Some(set) == build.key_set)
            && self.known.result.contains(&place)
            && !self.known.spoiled.contains(&place)
    }

    fn leaf_column(
        &mut self,
        index: usize,
        build: &LeafBuild<'a>,
        column: &Column,
        own: Option<Own>,
    ) -> Judged<Node> {
        let base = ast::column(&["b", &column.name]);
        if self.resolver.rules.mode == Mode::Accounted {
            return Ok(base);
        }
        let rule = match shown(build.rule, column) {
            Shown::Free | Shown::Always => return Ok(base),
            Shown::Keyed(_, rule) => Some(rule),
            Shown::Masked(rule) => rule,
        };
        let mask = mask(self.resolver.catalogue, column, rule)?;
        let Some(Own { set, test }) = own.filter(|_| self.is_own(index, build, column)) else {
            return Ok(mask);
        };
        let subject = keys::subject("b", &build.rule.subject, build.key_type);
        let condition = keys::condition(test, &subject, || self.keys_of(set, build.key_type));
        Ok(ast::case(condition, base, mask))
    }

    /// Whether a row's subject is among the keys of a set.
    pub(super) fn among_keys(&mut self, alias: &str, build: &LeafBuild<'_>, set: KeySet) -> Node {
        let subject = keys::subject(alias, &build.rule.subject, build.key_type);
        self.is_in_set(subject, set, build.key_type)
    }

    /// Whether a key is in a set.
    pub(super) fn is_in_set(&mut self, key: Node, set: KeySet, key_type: KeyType) -> Node {
        let keys = self.keys_of(set, key_type);
        ast::equal(pb::AExprKind::AexprOpAny, key, keys)
    }

    /// The array of a set's keys, to be filled in.
    fn keys_of(&mut self, set: KeySet, key_type: KeyType) -> Node {
        let array = ast::type_name("pg_catalog", key_type.name(), &[], true);
        ast::cast(self.hole(Hole::Keys(set, key_type)), array)
    }

    /// A placeholder for what the gateway fills in.
    pub(super) fn hole(&mut self, hole: Hole) -> Node {
        let marker = format!("{}h{}", self.resolver.context.prefix, self.holes.len());
        self.holes.push(hole);
        ast::constant(&marker)
    }

    fn leaf_condition(&self, index: usize, build: &LeafBuild<'_>) -> Option<Node> {
        let lookup = self.known.lookups.get(&index)?;
        let column = build.column(lookup.attribute)?;
        Some(ast::equal(
            pb::AExprKind::AexprOp,
            ast::column(&["b", &column.name]),
            lookup.constant.clone(),
        ))
    }
}

impl KeyType {
    /// Whether keys can be written as a list with commas, as they hold none.
    pub(crate) fn is_listed(self) -> bool {
        match self {
            Self::Int | Self::Uuid => true,
            Self::Text => false,
        }
    }

    /// The type that keys are compared as.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Int => "int8",
            Self::Text => "text",
            Self::Uuid => "uuid",
        }
    }
}

fn base_table(
    mut range: pb::RangeVar,
    sample: Option<Box<pb::RangeTableSample>>,
    relation: &Relation,
) -> Node {
    range.catalogname.clear();
    range.schemaname.clone_from(&relation.schema);
    range.alias = Some(pb::Alias { aliasname: "b".to_owned(), colnames: Vec::new() });
    with_sample(range, sample)
}

pub(super) fn with_sample(range: pb::RangeVar, sample: Option<Box<pb::RangeTableSample>>) -> Node {
    let range = ast::node(NodeEnum::RangeVar(range));
    match sample {
        None => range,
        Some(mut sample) => {
            sample.relation = Some(Box::new(range));
            ast::node(NodeEnum::RangeTableSample(sample))
        }
    }
}

impl Analysis<'_> {
    /// The columns of a table that refer to records of protected tables: whoever names one of
    /// those, names whose it is.
    pub(super) fn referring(&self, relation: &Relation) -> BTreeSet<i16> {
        let keys = self.resolver.catalogue.foreign_keys().iter();
        keys.filter(|key| key.from == relation.oid && self.resolver.is_protected(key.to))
            .flat_map(|key| key.columns.iter().copied())
            .collect()
    }
}

/// What flows in by a leaf's column, which may tell records apart.
fn column_taint(place: (usize, i16), shown: &Shown, identifier: bool, mode: Mode) -> Taint {
    let (index, _) = place;
    let mut taint = Taint::default();
    taint.leaves.insert(index);
    // What an accounted role sees of everybody is protected all the same: each use of it is to be
    // accounted, and it tells records apart, for nothing masks it.
    let accounted = mode == Mode::Accounted;
    let (protected, tells) = match shown {
        Shown::Free => (false, identifier),
        Shown::Always => (accounted, identifier || accounted),
        Shown::Keyed(..) | Shown::Masked(_) => (true, accounted),
    };
    if protected {
        taint.protected.insert(place);
    } else {
        taint.plain.insert(index);
        if matches!(shown, Shown::Always) {
            taint.shown.insert(place);
        }
    }
    if tells {
        taint.identifiers.insert(index);
    }
    taint
}

/// The columns and the key of a leaf; `referring` columns tell records apart, too.
pub(super) fn leaf_rows(
    index: usize,
    build: &LeafBuild<'_>,
    referring: &BTreeSet<i16>,
    mode: Mode,
) -> Rows {
    let columns = build.relation.columns.iter().map(|column| {
        let place = (index, column.number);
        let subject = column.name == build.rule.subject;
        let tells = |name: &String| {
            let read = build.relation.columns.iter().find(|other| other.name == *name);
            *name == build.rule.subject || read.is_some_and(|read| read.unique)
        };
        let own = subject || column.unique || column.reads.iter().any(tells);
        let identifier = own || referring.contains(&column.number);
        let taint = column_taint(place, &shown(build.rule, column), identifier, mode);
        let source = Source { leaf: index, attribute: column.number, subject, identifier: own };
        let origin = Origin {
            table_oid: build.relation.oid,
            attribute: column.number,
            type_modifier: column.modifier,
        };
        taint::Column {
            name: column.name.clone(),
            taint,
            source: Some(source),
            copied: true,
            origin: Some(origin),
            link: None,
            kind: None,
            whose: BTreeSet::new(),
        }
    });
    let keys = build.subject().map(|subject| Key {
        leaf: index,
        column: subject.name.clone(),
        many: false,
    });
    Rows {
        columns: columns.collect(),
        open: None,
        names: BTreeSet::new(),
        keys: keys.into_iter().collect(),
        bare: BTreeSet::new(),
        picked: BTreeSet::new(),
        searchable: BTreeSet::from([index]),
        certain: BTreeSet::from([index]),
        single: BTreeSet::new(),
        ..Rows::default()
    }
}
