//! `key = constant` and its relatives: a comparison that names the subjects that it singles out.
//!
//! Wherever it stands, whatever comes of it is about those subjects and, so to speak, all others;
//! and they are recorded, rows or not. So it does not count as a predicate that tells records
//! apart: what it narrows down may be counted, tested for absence or passed over.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, scope::Scope};
use crate::{
    Asked, AskedValue, KeyType, Refusal,
    asked::{ASKED_MAX, text_array, too_many, written},
    ast,
    refusal::{Judged, refusal},
    taint::Rows,
};

/// What a comparison with constants asks.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) leaf: usize,
    values: Vec<AskedValue>,
    /// It holds of rows of these subjects only.
    pub(super) holds_of_them: bool,
}

/// Whom the statement asks about.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    pub(crate) asked: Vec<Asked>,
    known: BTreeSet<(usize, AskedValue)>,
    /// How often a parameter says whom.
    uses: BTreeMap<usize, usize>,
    /// How often it is asked whether one is given at all, which says nothing of its type.
    given: BTreeMap<usize, usize>,
}

impl Questions {
    pub(super) fn leaves(&self) -> impl Iterator<Item = usize> {
        self.asked.iter().map(|asked| asked.leaf)
    }

    /// `$1 IS NULL`, as in `$1 IS NULL OR customer_id = $1`.
    pub(super) fn is_given(&mut self, node: &Node) {
        let parameter = match &node.node {
            Some(NodeEnum::TypeCast(cast)) if is_key_cast(KeyType::Int, cast, 0) => {
                cast.arg.as_deref().and_then(|arg| arg.node.as_ref())
            }
            other => other.as_ref(),
        };
        if let Some(NodeEnum::ParamRef(parameter)) = parameter
            && let Ok(number) = usize::try_from(parameter.number)
        {
            *self.given.entry(number).or_default() += 1;
        }
    }

    fn add(&mut self, leaf: usize, value: AskedValue) {
        let asked = Asked { leaf, value };
        if let Some((number, _)) = asked.parameter() {
            *self.uses.entry(number).or_default() += 1;
        }
        if self.known.insert((leaf, asked.value.clone())) {
            self.asked.push(asked);
        }
    }
}

/// As many constants as a list may have; a longer one tells records apart like any other predicate.
const LIST_MAX: usize = 1_000;

impl Analysis<'_> {
    /// Whom a comparison asks about, if it says so: one of a subject's column with constants.
    pub(super) fn question(&self, comparison: &pb::AExpr, scope: &Scope<'_>) -> Option<Question> {
        use pb::AExprKind::{AexprIn, AexprOp, AexprOpAll, AexprOpAny};
        if self.conditions_on.is_some() {
            return None;
        }
        let equal = match ast::names(&comparison.name)?.as_slice() {
            [.., "="] => true,
            [.., "<>"] => false,
            _ => return None,
        };
        let (left, right) = (comparison.lexpr.as_deref()?, comparison.rexpr.as_deref()?);
        let found = |column: &Node| self.asked_column(column, scope);
        let (leaf, values) = match comparison.kind() {
            AexprOp => {
                let (found, constant) = match found(left) {
                    Some(found) => (found, right),
                    None => (found(right)?, left),
                };
                (found.0, value(found.1, constant)?)
            }
            AexprIn => {
                let Some(NodeEnum::List(list)) = &right.node else { return None };
                let (leaf, key_type) = found(left)?;
                (leaf, list_of(key_type, &list.items)?)
            }
            AexprOpAny | AexprOpAll => {
                let (leaf, key_type) = found(left)?;
                (leaf, elements(key_type, right)?)
            }
            _ => return None,
        };
        let known = |value: &AskedValue| match value {
            AskedValue::Constant(_) => true,
            AskedValue::Parameter(number) | AskedValue::Array(number) => {
                !self.known.repeated.contains(number)
            }
        };
        let some = equal && !matches!(comparison.kind(), AexprOpAll);
        values.iter().all(known).then_some(Question { leaf, values, holds_of_them: some })
    }

    /// The leaf whose subject's column a column is a copy of.
    fn asked_column(&self, column: &Node, scope: &Scope<'_>) -> Option<(usize, KeyType)> {
        let column = scope.copied(column)?;
        let source = column.source.filter(|source| source.subject)?;
        // Where the column is masked it tells nothing apart.
        let clear = column.taint.identifiers.contains(&source.leaf);
        let key_type = self.leaves.get(source.leaf)?.key_type;
        (clear && key_type != KeyType::Text).then_some((source.leaf, key_type))
    }

    /// It is asked.
    pub(super) fn ask(&mut self, question: Question) -> Judged<()> {
        for value in question.values {
            self.questions.add(question.leaf, value);
        }
        if self.questions.asked.len() > ASKED_MAX { Err(too_many()) } else { Ok(()) }
    }

    /// Whether what comes tells of them before a row with their key does.
    pub(crate) fn asks_first(&self, rows: &Rows) -> bool {
        let carried: BTreeSet<usize> = rows.keys.iter().map(|key| key.leaf).collect();
        let folds = !self.folded.is_empty() || !self.tested.is_empty();
        let reads = self.passes || !self.windowed.is_empty() || !self.sides.is_empty();
        folds || reads || self.questions.leaves().any(|leaf| !carried.contains(&leaf))
    }

    /// A window function shows what other rows there are. Where single records are picked
    /// from among its rows, above it or below, they tell by it what lies between them.
    pub(super) fn close_windows(&self) -> Judged<()> {
        let mut told: BTreeSet<usize> = self.singled.clone();
        told.extend(self.questions.leaves());
        // What is not windowed itself is joined above the window.
        told.extend(self.filtered.difference(&self.windowed));
        let mut links = self.linked.clone();
        loop {
            let all = links.len();
            links.retain(|(one, two)| match (told.contains(one), told.contains(two)) {
                (false, false) => true,
                _ => {
                    told.extend([one, two]);
                    false
                }
            });
            if links.len() == all {
                break;
            }
        }
        if self.windowed.is_disjoint(&told) { Ok(()) } else { Err(beside_windows()) }
    }

    /// A parameter that says whom, and something else too, may be of another type than the key's.
    pub(super) fn close_questions(&mut self) {
        let uses = |number: &usize| self.parameter_uses.get(number).copied().unwrap_or_default();
        let given = |number: &usize| self.questions.given.get(number).copied().unwrap_or_default();
        let other = |number: &usize, asked: usize| uses(number) != asked + given(number);
        let asked = self.questions.uses.iter().filter(|(number, count)| other(number, **count));
        let repeated: BTreeSet<usize> = asked.map(|(number, _)| *number).collect();
        self.facts.repeated = &self.known.repeated | &repeated;
    }
}

pub(super) fn beside_windows() -> Refusal {
    refusal(
        "folded_lookup",
        "a window function over rows that are narrowed down to single records, or compared by \
         protected columns, can't be accounted",
        "leave the window function out, partition it by the customer's key, or narrow down to \
         customers (WHERE key IN (…)) in the same SELECT",
    )
}

fn list_of(key_type: KeyType, nodes: &[Node]) -> Option<Vec<AskedValue>> {
    if nodes.len() > LIST_MAX {
        return None;
    }
    let values = nodes.iter().map(|node| value(key_type, node));
    values.collect::<Option<Vec<_>>>().map(|values| values.into_iter().flatten().collect())
}

/// The elements of what `ANY` or `ALL` takes.
fn elements(key_type: KeyType, node: &Node) -> Option<Vec<AskedValue>> {
    match node.node.as_ref()? {
        NodeEnum::AArrayExpr(array) => list_of(key_type, &array.elements),
        NodeEnum::ParamRef(parameter) => {
            let number = usize::try_from(parameter.number).ok()?;
            Some(vec![AskedValue::Array(number)])
        }
        NodeEnum::AConst(pb::AConst { val: Some(pb::a_const::Val::Sval(text)), .. }) => {
            let all = text_array(key_type, text.sval.as_bytes())?;
            let few = all.len() <= LIST_MAX;
            few.then(|| all.into_iter().map(AskedValue::Constant).collect())
        }
        NodeEnum::TypeCast(cast) if is_key_cast(key_type, cast, 1) => {
            elements(key_type, cast.arg.as_deref()?)
        }
        _ => None,
    }
}

/// The key that a constant or a parameter is; NULL is none.
fn value(key_type: KeyType, node: &Node) -> Option<Vec<AskedValue>> {
    use pb::a_const::Val;
    let text = match node.node.as_ref()? {
        NodeEnum::ParamRef(parameter) => {
            let number = usize::try_from(parameter.number).ok()?;
            return Some(vec![AskedValue::Parameter(number)]);
        }
        NodeEnum::TypeCast(cast) if is_key_cast(key_type, cast, 0) => {
            return value(key_type, cast.arg.as_deref()?);
        }
        NodeEnum::AConst(constant) if constant.isnull => return Some(Vec::new()),
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            Val::Sval(text) => text.sval.clone(),
            Val::Ival(number) => number.ival.to_string(),
            // A number of more than 31 bits; one with a point is not read.
            Val::Fval(number) => number.fval.clone(),
            Val::Boolval(_) | Val::Bsval(_) => return None,
        },
        _ => return None,
    };
    written(key_type, &text).map(|key| vec![AskedValue::Constant(key)])
}

/// A cast to a type of keys, or to an array of so many dimensions of them.
fn is_key_cast(key_type: KeyType, cast: &pb::TypeCast, dimensions: usize) -> bool {
    let Some(name) = cast.type_name.as_ref() else { return false };
    let names = ast::names(&name.names).unwrap_or_default();
    let named = match names.as_slice() {
        ["pg_catalog", name] | [name] => match key_type {
            KeyType::Int => matches!(*name, "int2" | "int4" | "int8"),
            KeyType::Uuid => *name == "uuid",
            KeyType::Text => false,
        },
        _ => false,
    };
    named && name.typmods.is_empty() && name.array_bounds.len() == dimensions
}
