//! From a statement's text to a plan: analysis by `postern-sql`, remembered by text.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use postern_model::{Secret, StatementFingerprint};
use postern_sql::{
    Act, Catalogue, Context, CopyForm, Effect, Guarded, Hole, LeafTexts, Local, LookupKind,
    LookupValue, Named, OwnTables, Parameter, Plain, Refusal, Rules, Verdict, analyse,
};

use crate::{Failure, LookupTouch, Shown, hold::ShownLeaf, literal::Shape, weight::Searched};

/// Judges statements under one catalogue and one set of rules.
///
/// Plans depend on text, rules and catalogue, never on who asks: whoever has equal rules shares a
/// judge. A judge is thrown away when the catalogue or the policy changes.
#[derive(Debug)]
pub struct Judge {
    /// `None` while the server's catalogue can't be read: nothing may run then.
    catalogue: Option<Arc<Catalogue>>,
    rules: Arc<Rules>,
    search_path: Arc<[String]>,
    prefix: Arc<str>,
    identity: Identity,
    known: HashMap<Arc<str>, Arc<Judged>>,
    /// By the text without its literals; `None` where each text is judged by itself.
    pub(crate) shapes: HashMap<Box<str>, Option<Arc<Shape>>>,
    known_bytes: usize,
    /// Past this it forgets all that it remembers.
    known_bytes_max: usize,
    /// How many texts it analysed.
    analyses: u64,
    leaf_texts: LeafTexts,
    /// What a session has made and the catalogue does not show.
    own: Option<Arc<OwnTables>>,
}

/// Which judge made a plan: the same one makes the same plan of the same text, for it has one
/// catalogue and one set of rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity(Arc<()>);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        // What holds one keeps its place from being another's.
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What the text of one Parse or Query message comes to.
#[derive(Debug)]
pub enum Judged {
    /// May run, statement by statement.
    Statements(Vec<Arc<Planned>>),
    /// May not run; nothing of the text does.
    Refused(Refused),
}

/// A refusal and what the ledger says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What the client is told.
    pub refusal: Refusal,
    /// The statement's shape.
    pub fingerprint: StatementFingerprint,
    /// Its text without literals; empty where it could not be parsed.
    pub statement: Arc<str>,
}

/// One statement that may run.
#[derive(Debug)]
pub enum Planned {
    /// Nothing protected takes part; its text is sent as it stands.
    Plain(Plain),
    /// Protected relations take part.
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
    constants: Vec<Option<Secret<Arc<[u8]>>>>,
    /// The leaves whose subjects it asks about; what it shows has one more of each.
    pub(crate) asked_leaves: Vec<usize>,
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
        Self::Plain(Plain::new(String::new(), Effect::Query, 0))
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
                Act::Prepare { .. } | Act::Deallocate | Act::Close => false,
            },
            Self::Local(_) => false,
        }
    }

    /// Whether it can end a transaction.
    pub(crate) fn is_transaction(&self) -> bool {
        matches!(self, Self::Plain(plain) if plain.effect == Effect::Transaction)
    }

    /// Whether what it means depends on the catalogue.
    pub(crate) fn depends(&self) -> bool {
        match self {
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
                Act::Prepare { .. } | Act::Deallocate | Act::Close => false,
            },
            Self::Local(_) => false,
        }
    }

    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded().is_some()
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
                    Act::Declare { .. } | Act::Deallocate | Act::Close => 0,
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

    /// Whether its rows are for the ledger only.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Guarded(plan) if plan.guarded.silent)
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

/// The client's parameter that a look-up searches for; nothing if it is another value.
fn parameter<'p>(value: &LookupValue, parameters: &[Option<&'p [u8]>]) -> &'p [u8] {
    let index = match value {
        LookupValue::Constant(_) => None,
        LookupValue::Parameter(number) => number.checked_sub(1),
    };
    index.and_then(|index| parameters.get(index)).copied().flatten().unwrap_or(&[])
}

/// What a remembered analysis costs beside its texts; an estimate of the maps' and trees' share.
const JUDGED_BYTES: usize = 16 * 1024;
/// What a judge remembers, unless it is told to remember less.
const KNOWN_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A longer text is analysed each time.
const KNOWN_TEXT_BYTES_MAX: usize = 64 * 1024;

impl Judge {
    /// A judge that has seen no statement yet.
    ///
    /// `search_path` is what the server's is pinned to; `prefix` begins every name that a rewriting
    /// makes and must not be guessable.
    pub fn new(
        catalogue: Option<Arc<Catalogue>>,
        rules: Arc<Rules>,
        search_path: Arc<[String]>,
        prefix: Arc<str>,
    ) -> Self {
        Self {
            catalogue,
            rules,
            search_path,
            prefix,
            identity: Identity::default(),
            known: HashMap::new(),
            shapes: HashMap::new(),
            known_bytes: 0,
            known_bytes_max: KNOWN_BYTES_MAX,
            analyses: 0,
            own: None,
            leaf_texts: LeafTexts::default(),
        }
    }

    /// Another who judges as this one does, and knows of a session's own tables.
    pub(crate) fn with_own(&self, own: Arc<OwnTables>) -> Self {
        let (rules, path) = (self.rules.clone(), self.search_path.clone());
        let judge = Self::new(self.catalogue.clone(), rules, path, self.prefix.clone());
        Self { own: Some(own), ..judge }
    }

    pub(crate) fn knows_own(&self, own: &Arc<OwnTables>) -> bool {
        self.own.as_ref().is_some_and(|known| Arc::ptr_eq(known, own))
    }

    /// The plan of a text, from memory where it was seen before.
    pub fn judge(&mut self, sql: &str) -> Arc<Judged> {
        if let Some(known) = self.known.get(sql) {
            return known.clone();
        }
        let judged = Arc::new(self.analysed(sql, false));
        if self.makes_room(sql) {
            self.known.insert(sql.into(), judged.clone());
        }
        judged
    }

    /// Whether a text of this length may be remembered; what was, is forgotten where it must be.
    pub(crate) fn makes_room(&mut self, sql: &str) -> bool {
        let bytes = sql.len() * 8 + JUDGED_BYTES;
        if sql.len() > KNOWN_TEXT_BYTES_MAX || bytes > self.known_bytes_max {
            return false;
        }
        if self.known_bytes + bytes > self.known_bytes_max {
            self.forget();
        }
        self.known_bytes += bytes;
        true
    }

    /// Remembers no more than so many bytes from now on.
    pub fn remember(&mut self, bytes_max: usize) {
        self.known_bytes_max = bytes_max.min(KNOWN_BYTES_MAX);
        if self.known_bytes > self.known_bytes_max {
            self.forget();
        }
    }

    /// What it remembers takes so many bytes, about.
    pub fn remembered_bytes(&self) -> usize {
        self.known_bytes
    }

    /// How many texts it analysed, because it did not remember them.
    pub fn analyses(&self) -> u64 {
        self.analyses
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    fn forget(&mut self) {
        (self.known, self.shapes) = (HashMap::new(), HashMap::new());
        self.known_bytes = 0;
    }

    pub(crate) fn analysed(&mut self, sql: &str, is_shape: bool) -> Judged {
        self.analyses += 1;
        self.analyse(sql, is_shape)
    }

    fn analyse(&self, sql: &str, is_shape: bool) -> Judged {
        let Some(catalogue) = &self.catalogue else { return Judged::Refused(blind()) };
        let known = Context::new(&self.search_path, &self.prefix);
        let own = self.own.as_deref();
        let context = Context { leaf_texts: Some(&self.leaf_texts), is_shape, own, ..known };
        let statements = match analyse(sql, catalogue, &self.rules, context) {
            Ok(statements) => statements,
            Err(error) => {
                let refusal = Refusal {
                    sqlstate: error.sqlstate,
                    rule: "syntax",
                    message: error.message,
                    hint: String::new(),
                    position: error.position,
                };
                return Judged::Refused(Refused {
                    refusal,
                    fingerprint: StatementFingerprint::default(),
                    statement: "".into(),
                });
            }
        };
        let mut planned = Vec::with_capacity(statements.len());
        for statement in statements {
            let about = (statement.fingerprint, recorded_text(&statement.normalized));
            match plan(statement.verdict, &about) {
                Ok(plan) => planned.push(Arc::new(plan)),
                Err(refusal) => {
                    let (fingerprint, statement) = about;
                    return Judged::Refused(Refused { refusal, fingerprint, statement });
                }
            }
        }
        Judged::Statements(planned)
    }
}

/// The plan of a verdict on a statement of this shape and text.
fn plan(verdict: Verdict, about: &(StatementFingerprint, Arc<str>)) -> Result<Planned, Refusal> {
    Ok(match verdict {
        Verdict::Refused(refusal) => return Err(refusal),
        Verdict::Plain(plain) => Planned::Plain(plain),
        Verdict::Local(local) => Planned::Local(local),
        Verdict::Guarded(guarded) => Planned::Guarded(Box::new(planned(guarded, about))),
        Verdict::Copy(copy) => {
            let postern_sql::Copy { query, options, form } = copy;
            Planned::Copy(Box::new(PlannedCopy { query: planned(query, about), options, form }))
        }
        Verdict::Named(named) => {
            let query = match &named.act {
                Act::Prepare { query, .. } | Act::Declare { query, .. } => {
                    Some(Arc::new(plan((**query).clone(), about)?))
                }
                Act::Execute { .. } | Act::Deallocate | Act::Fetch { .. } | Act::Close => None,
            };
            Planned::Named(Box::new(PlannedNamed { named, query }))
        }
    })
}

fn planned(
    guarded: Guarded,
    (fingerprint, statement): &(StatementFingerprint, Arc<str>),
) -> PlannedGuarded {
    let mut leaves: Vec<ShownLeaf> = guarded.leaves.iter().map(ShownLeaf::of).collect();
    let asked = guarded.asked.iter().map(|asked| asked.leaf);
    let asked_leaves: Vec<usize> = asked.collect::<BTreeSet<usize>>().into_iter().collect();
    let asked = asked_leaves.iter().filter_map(|leaf| guarded.leaves.get(*leaf));
    leaves.extend(asked.map(ShownLeaf::asked));
    let shown = Arc::new(Shown { fingerprint: *fingerprint, statement: statement.clone(), leaves });
    let (sql, parameters) = guarded.sql.render_parameters(guarded.client_parameters);
    let constants = guarded.lookups.iter().map(|lookup| match &lookup.value {
        LookupValue::Constant(text) => Some(Secret::new(text.as_bytes().into())),
        LookupValue::Parameter(_) => None,
    });
    let constants = constants.collect();
    PlannedGuarded { guarded, sql, parameters, shown, constants, asked_leaves }
}

/// The ledger keeps each text for good, so that a long one is kept in part; the fingerprint is of
/// the whole.
fn recorded_text(normalized: &str) -> Arc<str> {
    const TEXT_BYTES_MAX: usize = 1_000;
    if normalized.len() <= TEXT_BYTES_MAX {
        return normalized.into();
    }
    let end = normalized.floor_char_boundary(TEXT_BYTES_MAX);
    format!("{}…", normalized.get(..end).unwrap_or_default()).into()
}

fn blind() -> Refused {
    Refused {
        refusal: Refusal {
            sqlstate: "57P03",
            rule: "no_catalogue",
            message: "the database's catalogue can't be read at the moment".to_owned(),
            hint: "try again soon".to_owned(),
            position: None,
        },
        fingerprint: StatementFingerprint::default(),
        statement: "".into(),
    }
}
