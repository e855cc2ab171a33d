//! What data flows into an expression.

use std::collections::BTreeSet;

use crate::Origin;

/// Which protected data an expression's value depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taint {
    /// Protected columns, as (leaf, column number).
    pub(crate) protected: BTreeSet<(usize, i16)>,
    /// Columns that policy shows clear for every record.
    pub(crate) shown: BTreeSet<(usize, i16)>,
    /// Leaves of which a column that tells records apart flows in: the subject, a unique column.
    pub(crate) identifiers: BTreeSet<usize>,
    /// Those of them of which nothing but a rank flows in that tells their records apart.
    pub(crate) ranked: BTreeSet<usize>,
    /// All leaves of which any column flows in.
    pub(crate) leaves: BTreeSet<usize>,
    /// Those of which a column that is clear for every record flows in, otherwise than by what a
    /// window function makes of it.
    pub(crate) plain: BTreeSet<usize>,
    /// Those of them that a window function below has put into an order: what leaves some of these
    /// rows out tells by the others' ranks how many lie between them.
    pub(crate) windowed: BTreeSet<usize>,
    /// Columns of recursive common tables that are being analysed, as (recursion, index).
    pub(crate) recursive: BTreeSet<(usize, usize)>,
    /// Leaves of whose rows a LIMIT or the like has left a few: any column tells those apart.
    pub(crate) few: BTreeSet<usize>,
    /// Sides of outer joins whose absence shows in the value.
    pub(crate) sides: BTreeSet<usize>,
    /// A column of the select that the expression stands in is used.
    pub(crate) local: bool,
    /// A column of an enclosing select is used.
    pub(crate) outer: bool,
    /// It holds a sub-select.
    pub(crate) sublink: bool,
}

impl Taint {
    pub(crate) fn add(&mut self, other: &Self) {
        self.protected.extend(&other.protected);
        self.shown.extend(&other.shown);
        let by_key = |taint: &Self, leaf: &usize| {
            taint.identifiers.contains(leaf) && !taint.ranked.contains(leaf)
        };
        let both = self.ranked.union(&other.ranked);
        let ranked = both.filter(|leaf| !by_key(self, leaf) && !by_key(other, leaf));
        self.ranked = ranked.copied().collect();
        self.identifiers.extend(&other.identifiers);
        self.leaves.extend(&other.leaves);
        self.plain.extend(&other.plain);
        self.windowed.extend(&other.windowed);
        self.recursive.extend(&other.recursive);
        self.few.extend(&other.few);
        self.sides.extend(&other.sides);
        self.local |= other.local;
        self.outer |= other.outer;
        self.sublink |= other.sublink;
    }

    /// Whether something of a leaf flows in whose rows must be told by their keys where it comes
    /// out.
    pub(crate) fn needs_key(&self, leaf: usize) -> bool {
        let of = |(owner, _): &(usize, i16)| *owner == leaf;
        self.identifiers.contains(&leaf)
            || self.protected.iter().any(of)
            || self.shown.iter().any(of)
    }

    /// What of it flows into another, too.
    pub(crate) fn among(&self, other: &Self) -> Self {
        fn both<T: Copy + Ord>(one: &BTreeSet<T>, two: &BTreeSet<T>) -> BTreeSet<T> {
            one.intersection(two).copied().collect()
        }
        Self {
            protected: both(&self.protected, &other.protected),
            shown: both(&self.shown, &other.shown),
            identifiers: both(&self.identifiers, &other.identifiers),
            ranked: both(&self.ranked, &other.identifiers),
            leaves: both(&self.leaves, &other.leaves),
            plain: both(&self.plain, &other.plain),
            windowed: both(&self.windowed, &other.windowed),
            recursive: both(&self.recursive, &other.recursive),
            few: both(&self.few, &other.few),
            sides: both(&self.sides, &other.sides),
            ..Self::default()
        }
    }

    /// Whether the expression names any column.
    pub(crate) fn names_columns(&self) -> bool {
        self.local || self.outer || self.sublink
    }

    /// Leaves of which a condition on the value leaves single records, told by more than their
    /// ranks.
    pub(crate) fn singling(&self) -> impl Iterator<Item = &usize> {
        self.identifiers.difference(&self.ranked).chain(&self.few)
    }
}

/// A leaf's column that a column is nothing but a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) leaf: usize,
    pub(crate) attribute: i16,
    /// It is the column that says whose record a row is.
    pub(crate) subject: bool,
    /// It tells records apart.
    pub(crate) identifier: bool,
}

/// A column as the select around it sees it.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) taint: Taint,
    pub(crate) source: Option<Source>,
    /// No key decides what it holds: nothing that tells records apart flows in, or it is a copy
    /// of such a column, in each arm of a UNION.
    pub(crate) copied: bool,
    /// What the result says of where it comes from, unless the server says it right.
    pub(crate) origin: Option<Origin>,
    /// The column of a recursive common table, as (recursion, index), that it is nothing but a copy
    /// of in that table's recursive arm.
    pub(crate) link: Option<(usize, usize)>,
    /// What it is a key of in each arm of a UNION ALL.
    pub(crate) kind: Option<KeyKind>,
    /// Leaves of those arms whose subject it is.
    pub(crate) whose: BTreeSet<usize>,
}

/// What a key is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// A customer.
    Subject,
    /// A record, by the table's OID and the column's number.
    Record(u32, i16),
}

impl Column {
    /// A column that is more than a copy of another.
    pub(crate) fn computed(name: &str, taint: Taint) -> Self {
        let copied = taint.identifiers.is_empty();
        let name = name.to_owned();
        let (source, origin, link, kind) = (None, None, None, None);
        Self { name, taint, source, copied, origin, link, kind, whose: BTreeSet::new() }
    }
}

/// A hidden column that carries a leaf's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) leaf: usize,
    pub(crate) column: String,
    /// It carries the keys of all records that are folded in the row, with commas.
    pub(crate) many: bool,
}

/// What a select, a common table or a FROM item gives to what is around it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// Its visible columns, in order; names are exact.
    pub(crate) columns: Vec<Column>,
    /// There are columns that are not known; this flows into them.
    pub(crate) open: Option<Taint>,
    /// Names that those not known have for certain.
    pub(crate) names: BTreeSet<String>,
    /// Hidden columns behind the visible ones.
    pub(crate) keys: Vec<Key>,
    /// Leaves whose rows are in it one by one, but whose keys are not carried.
    pub(crate) bare: BTreeSet<usize>,
    /// Leaves whose rows a LIMIT or the like picked, where all that becomes of them is a count.
    pub(crate) picked: BTreeSet<usize>,
    /// Leaves into which a condition on one of the columns can be moved without a change.
    pub(crate) searchable: BTreeSet<usize>,
    /// Leaves of which a record stands behind each row, and is told by a key in it.
    pub(crate) certain: BTreeSet<usize>,
    /// Leaves of which each row carries a key, the same in all rows.
    pub(crate) single: BTreeSet<usize>,
    /// The same, or the same in the rows that belong to one row of the selects around it.
    pub(crate) about: BTreeSet<usize>,
    /// Leaves whose keys are missing in the rows of an arm of a UNION ALL.
    pub(crate) padded: BTreeSet<usize>,
    /// Pairs of leaves that both carry their keys: where the second has a record in a row, so has
    /// the first, and it is of the same subject.
    pub(crate) joined: BTreeSet<(usize, usize)>,
    /// The column that decides whose a row is, of which all its keys are, in arms of which equal
    /// rows are left out.
    pub(crate) decided_by: Option<usize>,
    /// What flows in from selects around this one. It is in each column, for what decides in a
    /// select, or is aggregated in it, is in all that it gives.
    pub(crate) around: Taint,
    /// What of that decides which rows there are.
    pub(crate) decided: Taint,
}

impl Rows {
    /// All that flows into any of their columns.
    pub(crate) fn whole(&self) -> Taint {
        let mut whole = self.open.clone().unwrap_or_default();
        for column in &self.columns {
            whole.add(&column.taint);
        }
        whole
    }
}
