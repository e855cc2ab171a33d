//! A plan: what a statement came to, and what can be asked of it.

use std::{collections::BTreeSet, sync::Arc};

use postern_model::Secret;
use postern_sql::{
    Act, CopyForm, Effect, Guarded, Hole, Local, LookupKind, LookupValue, Named, Parameter, Plain,
    Refusal,
};

use super::Refused;
use crate::{
    Failure, LookupTouch, Shown,
    values::ValueAt,
    weight::Searched,
    would::{PlannedPlain, Would},
};

/// One statement that may run.
#[derive(Debug)]
pub enum Planned {
    /// Nothing protected takes part, or nobody looks into it; its text is sent as it stands.
    Plain(PlannedPlain),
    /// Protected relations take part, or it names the actor.
    Guarded(Box<PlannedGuarded>),
    /// Answered here, never sent.
    Local(Local),
    /// About a prepared statement or a cursor; its text is made when it is sent.
    Named(Box<PlannedNamed>),
    /// Protected rows are copied to the client.
    Copy(Box<PlannedCopy>),
}

/// A statement about a prepared statement or a cursor.
#[derive(Debug)]
pub struct PlannedNamed {
    /// What it is about, and what is done.
    pub named: Named,
    /// The plan of what is prepared or declared.
    pub query: Option<Arc<Planned>>,
}

/// A COPY of protected rows to the client.
#[derive(Debug)]
pub struct PlannedCopy {
    /// What is copied.
    pub query: PlannedGuarded,
    /// The options, as they are sent.
    pub options: String,
    /// How the rows are written.
    pub form: CopyForm,
}

/// A rewritten statement with what it shows.
#[derive(Debug)]
pub struct PlannedGuarded {
    /// The rewriting.
    pub guarded: Guarded,
    /// Its text for the extended protocol.
    pub sql: String,
    /// What goes with it as hidden parameters, in order.
    pub parameters: Vec<Hole>,
    /// What each row that it returns discloses.
    pub shown: Arc<Shown>,
    /// What each of its look-ups searches for, where that is a constant.
    pub(super) constants: Vec<Option<Secret<Arc<[u8]>>>>,
    /// The leaves whose subjects it asks about; what it shows has one more of each.
    pub(crate) asked_leaves: Vec<usize>,
    /// Visible columns whose values the ledger can be told of.
    pub(crate) values: Vec<ValueAt>,
    /// What enforcement would do; `None` where it does.
    pub(crate) would: Option<Arc<Would>>,
}

impl PlannedGuarded {
    /// Whether its rows must be recorded before they leave.
    pub(crate) fn is_held(&self) -> bool {
        !self.guarded.keys.is_empty()
            || !self.guarded.lookups.is_empty()
            || !self.guarded.asked.is_empty()
            || !self.guarded.decided_by.is_empty()
    }

    /// Whether something is computed of protected columns in clear.
    pub(crate) fn works(&self) -> bool {
        !self.guarded.worked.is_empty()
    }

    /// What the ledger learns of the protected columns that decide, if any does. They are told as
    /// look-ups: what is asked of them is in the statement.
    pub(crate) fn deciders(&self, searched: &Searched, hit: bool) -> Vec<LookupTouch> {
        let Some(value) = searched.decides() else { return Vec::new() };
        self.decide(&value, hit)
    }

    /// The same of a statement that is not sent.
    pub(crate) fn would_decide(&self, searched: &Searched) -> Vec<LookupTouch> {
        searched.to_decide().map(|value| self.decide(&value, false)).unwrap_or_default()
    }

    fn decide(&self, value: &Secret<Arc<[u8]>>, hit: bool) -> Vec<LookupTouch> {
        let deciders = self.guarded.decided_by.iter().map(|decider| LookupTouch {
            relation: decider.relation.clone(),
            column: decider.column.clone(),
            hit,
            value: value.clone(),
        });
        deciders.collect()
    }

    /// What tells one such statement from another: its text and what it is given.
    pub(crate) fn decides(&self, parameters: &[Option<&[u8]>]) -> Option<Secret<Arc<[u8]>>> {
        if self.guarded.decided_by.is_empty() {
            return None;
        }
        let mut value = Vec::with_capacity(self.decides_bytes(parameters));
        value.extend_from_slice(self.sql.as_bytes());
        for parameter in parameters {
            value.push(0);
            value.extend_from_slice(parameter.unwrap_or_default());
        }
        Some(Secret::new(value.into()))
    }

    /// How many bytes that takes.
    pub(crate) fn decides_bytes(&self, parameters: &[Option<&[u8]>]) -> usize {
        if self.guarded.decided_by.is_empty() {
            return 0;
        }
        let parameters = parameters.iter().map(|value| value.map_or(0, <[u8]>::len) + 1);
        self.sql.len() + parameters.sum::<usize>()
    }

    /// What the ledger learns of its lookups of a kind.
    pub(crate) fn lookups(
        &self,
        kind: LookupKind,
        searched: &[Secret<Arc<[u8]>>],
        hit: bool,
    ) -> Vec<LookupTouch> {
        let lookups = self.guarded.lookups.iter().zip(searched);
        lookups
            .filter(|(lookup, _)| lookup.kind == kind)
            .map(|(lookup, value)| LookupTouch {
                relation: lookup.relation.clone(),
                column: lookup.column.clone(),
                hit,
                value: value.clone(),
            })
            .collect()
    }

    pub(crate) fn looks_up(&self, kind: LookupKind) -> bool {
        self.guarded.lookups.iter().any(|lookup| lookup.kind == kind)
    }

    /// Whether the values that it stores may be stored by this actor.
    pub(crate) fn checked(&self, actor: &str, parameters: &[Option<&[u8]>]) -> Result<(), Refused> {
        let parameters: Vec<Parameter<'_>> =
            parameters.iter().map(|value| Parameter { value: *value }).collect();
        let checked = self.guarded.checks.run(actor, &parameters);
        checked.map_err(|refusal| self.refused(refusal))
    }

    /// Whether values that are looked at come as the texts that they are looked at as.
    pub(crate) fn takes_types(&self, types: &[u32]) -> Result<(), Refused> {
        const UNSAID: u32 = 0;
        const TEXT: u32 = 25;
        const VARCHAR: u32 = 1043;
        let is_text = |number: &usize| {
            let declared = number.checked_sub(1).and_then(|index| types.get(index));
            declared.is_none_or(|oid| matches!(*oid, UNSAID | TEXT | VARCHAR))
        };
        if self.guarded.checks.text_parameters().iter().all(is_text) {
            return Ok(());
        }
        Err(self.refused(Refusal {
            sqlstate: "42501",
            rule: "parameter_type",
            message: "a parameter that decides what a reason reads must be a text".to_owned(),
            hint: "declare it as text, or leave its type open".to_owned(),
            position: None,
        }))
    }

    /// What the client is told instead of the server's message, if it says that a mask would have
    /// been stored.
    pub(crate) fn stores_mask(&self, message: &str) -> Option<Refused> {
        let mut checks = self.guarded.mask_checks.iter();
        let check = checks.find(|check| message.contains(&format!("\"{}\"", check.name)))?;
        Some(self.refused(check.refusal.clone()))
    }

    /// What can't be read of the parameters.
    pub(crate) fn unreadable(&self, refusal: Refusal) -> Failure {
        Failure::Unreadable(Box::new(self.refused(refusal)))
    }

    fn refused(&self, refusal: Refusal) -> Refused {
        Refused {
            refusal,
            fingerprint: self.shown.fingerprint,
            statement: self.shown.statement.clone(),
        }
    }

    /// What its lookups search for, given the client's parameters.
    pub(crate) fn searched(&self, parameters: &[Option<&[u8]>]) -> Vec<Secret<Arc<[u8]>>> {
        let values = self.guarded.lookups.iter().zip(&self.constants);
        let values = values.map(|(lookup, constant)| match constant {
            Some(constant) => constant.clone(),
            None => Secret::new(parameter(&lookup.value, parameters).into()),
        });
        values.collect()
    }

    /// How many bytes that takes, beside those of constants, which are the plan's own.
    pub(crate) fn searched_bytes(&self, parameters: &[Option<&[u8]>]) -> usize {
        let lookups = self.guarded.lookups.iter();
        lookups.map(|lookup| parameter(&lookup.value, parameters).len()).sum()
    }

    /// What it takes to keep it: the template, the text made of it, and the constants that are
    /// searched for and looked at are each no longer than the text.
    fn bytes(&self) -> usize {
        self.sql.len() * 4
    }
}

impl Planned {
    /// Nothing to do: an empty text.
    pub(crate) fn empty() -> Self {
        Self::Plain(Plain::new(String::new(), Effect::Query, 0).into())
    }

    /// Whether it may do more than read. A copy from the client is not counted: it is proven before
    /// its first row comes.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::Plain(plain) => matches!(plain.effect, Effect::Write | Effect::Define),
            Self::Guarded(plan) => plan.guarded.changes,
            Self::Copy(copy) => copy.query.guarded.changes,
            Self::Named(named) => match named.named.act {
                Act::Declare { .. } => named.query.as_ref().is_some_and(|query| query.writes()),
                // What they run is the plan of their portal.
                Act::Execute { .. } | Act::Fetch { .. } => false,
                Act::Prepare { .. } | Act::Deallocate | Act::Close | Act::ShowTicket => false,
            },
            Self::Local(_) => false,
        }
    }

    /// Whether it writes a protected table.
    pub(crate) fn writes_guarded(&self) -> bool {
        matches!(self, Self::Guarded(plan) if plan.guarded.writes)
    }

    /// Whether it can end a transaction.
    pub(crate) fn is_transaction(&self) -> bool {
        matches!(self, Self::Plain(plain) if plain.effect == Effect::Transaction)
    }

    /// Whether what it means depends on the catalogue.
    pub(crate) fn depends(&self) -> bool {
        match self {
            Self::Plain(plain) if plain.is_unaccounted() => false,
            Self::Plain(plain) => match plain.effect {
                Effect::Query | Effect::Write | Effect::CopyIn | Effect::Define => {
                    !plain.sql.is_empty()
                }
                Effect::Transaction
                | Effect::Setting
                | Effect::Deallocate
                | Effect::CloseAll
                | Effect::Discard => false,
            },
            Self::Guarded(_) | Self::Copy(_) => true,
            Self::Named(named) => match named.named.act {
                Act::Declare { .. } | Act::Fetch { .. } | Act::Execute { .. } => true,
                // What is prepared is judged again, and proven, when it is executed.
                Act::Prepare { .. } | Act::Deallocate | Act::Close | Act::ShowTicket => false,
            },
            Self::Local(_) => false,
        }
    }

    /// Whether protected tables take part.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded().is_some_and(|plan| !plan.guarded.leaves.is_empty())
    }

    /// The query on protected tables in it.
    pub(crate) fn guarded(&self) -> Option<&PlannedGuarded> {
        match self {
            Self::Guarded(plan) => Some(plan),
            Self::Copy(copy) => Some(&copy.query),
            Self::Named(named) => named.query.as_deref().and_then(Self::guarded),
            Self::Plain(_) | Self::Local(_) => None,
        }
    }

    /// The protected columns, as `schema.table.column`, of which what it gives can tell: it shows
    /// them, or they decide, or something is computed of them.
    pub fn tells(&self) -> BTreeSet<String> {
        let Some(PlannedGuarded { guarded, .. }) = self.guarded() else { return BTreeSet::new() };
        let shown = guarded.leaves.iter().flat_map(|leaf| {
            let columns = leaf.clear.iter().chain(&leaf.shown);
            columns.map(|column| format!("{}.{column}", leaf.relation))
        });
        let used = guarded.decided_by.iter().chain(&guarded.worked);
        shown.chain(used.map(|used| format!("{}.{}", used.relation, used.column))).collect()
    }

    /// What it takes to keep it with all that was found out about it.
    pub(crate) fn kept_bytes(&self) -> usize {
        let found = self.guarded().map_or(0, |plan| {
            let leaves = plan.guarded.leaves.iter();
            let leaves = leaves.map(|leaf| {
                let named = [&leaf.clear, &leaf.shown, &leaf.masked];
                LEAF_BYTES + NAME_BYTES * named.map(Vec::len).iter().sum::<usize>()
            });
            let columns = plan.guarded.origins.len() + plan.guarded.keys.len();
            let columns = NAME_BYTES * (columns + plan.values.len());
            2 * leaves.sum::<usize>() + columns
        });
        self.bytes() + found
    }

    /// What it takes to keep it, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.sql.len(),
            Self::Guarded(plan) => plan.bytes(),
            Self::Local(_) => 0,
            Self::Copy(copy) => copy.query.bytes(),
            Self::Named(named) => {
                let act = match &named.named.act {
                    Act::Prepare { source, .. } => source.len(),
                    // The values are parts of the texts.
                    Act::Execute(arguments) => 2 * arguments.sql.len(),
                    Act::Fetch { what, .. } => what.len(),
                    Act::Declare { .. } | Act::Deallocate | Act::Close | Act::ShowTicket => 0,
                };
                // The verdict of which the query's plan was made is there too.
                let query = named.query.as_ref().map_or(0, |query| 2 * query.bytes());
                named.named.name.len() + act + query
            }
        }
    }

    /// Whether its text is made anew each time that it is sent.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, Self::Named(_) | Self::Copy(_))
    }

    /// Whether its rows are for the ledger only, or for nobody.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Guarded(plan) => plan.guarded.silent,
            Self::Plain(plain) => plain.silent,
            Self::Local(_) | Self::Named(_) | Self::Copy(_) => false,
        }
    }

    /// Whether another plan sends the same and shows the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        match (self, other) {
            (Self::Plain(a), Self::Plain(b)) => a == b,
            (Self::Local(a), Self::Local(b)) => a == b,
            (Self::Guarded(a), Self::Guarded(b)) => a.guarded == b.guarded && a.shown == b.shown,
            (Self::Copy(a), Self::Copy(b)) => {
                a.query.guarded == b.query.guarded
                    && a.query.shown == b.query.shown
                    && (&a.options, &a.form) == (&b.options, &b.form)
            }
            (Self::Named(a), Self::Named(b)) => {
                a.named == b.named
                    && match (&a.query, &b.query) {
                        (Some(a), Some(b)) => a.is_same(b),
                        (None, None) => true,
                        (Some(_), None) | (None, Some(_)) => false,
                    }
            }
            (
                Self::Plain(_) | Self::Local(_) | Self::Guarded(_) | Self::Copy(_) | Self::Named(_),
                _,
            ) => false,
        }
    }
}

/// What a leaf takes, and a column's name or origin in it or in the result, about.
const LEAF_BYTES: usize = 512;
const NAME_BYTES: usize = 32;

/// The client's parameter that a look-up searches for; nothing if it is another value.
fn parameter<'p>(value: &LookupValue, parameters: &[Option<&'p [u8]>]) -> &'p [u8] {
    let index = match value {
        LookupValue::Constant(_) => None,
        LookupValue::Parameter(number) => number.checked_sub(1),
    };
    index.and_then(|index| parameters.get(index)).copied().flatten().unwrap_or(&[])
}
