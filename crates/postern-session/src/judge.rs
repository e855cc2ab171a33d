//! From a statement's text to a plan: analysis by `postern-sql`, remembered by text.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use postern_model::{Secret, StatementFingerprint};
use postern_sql::{
    Act, Catalogue, Context, Guarded, LeafTexts, LookupValue, OwnNames, Refusal, Rules, Verdict,
    analyse, governs, governs_refusal, may_remain,
};

use crate::{
    ClientFacing, Shown,
    hold::ShownLeaf,
    literal::Shape,
    values::values_at,
    would::{PlannedPlain, ToldPlain, Would},
};

mod planned;

pub use self::planned::{Planned, PlannedCopy, PlannedGuarded, PlannedNamed};

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
    own: Option<Arc<OwnNames>>,
    /// Judges by the role's own rules, where these are not enforced.
    observing: Option<Box<Observing>>,
}

/// Who says what enforcement would do.
#[derive(Debug)]
struct Observing {
    own_rules: Judge,
    /// What can't be accounted is planned to be sent as the client wrote it.
    lets_through: bool,
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

impl Judged {
    /// What keeping it takes beside the text it was made of, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Refused(_) => 0,
            Self::Statements(planned) => planned.iter().map(|plan| plan.kept_bytes()).sum(),
        }
    }

    /// Whether an end user's token is in it: a secret, and another one for each request.
    fn holds_token(&self) -> bool {
        let Self::Statements(planned) = self else { return false };
        planned.iter().any(|plan| {
            matches!(&**plan, Planned::Plain(plain) if plain.end_user.as_ref().is_some_and(
                |naming| matches!(naming.token, Some(LookupValue::Constant(_)))))
        })
    }
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
            observing: None,
        }
    }

    /// The same for actors for whom these rules of their role's own are not enforced. With
    /// `lets_through` what can't be accounted is planned to be sent as the client wrote it.
    #[must_use]
    pub fn observing(self, own_rules: Arc<Rules>, lets_through: bool) -> Self {
        let (path, prefix) = (self.search_path.clone(), self.prefix.clone());
        let own_rules = Self::new(self.catalogue.clone(), own_rules, path, prefix);
        Self { observing: Some(Box::new(Observing { own_rules, lets_through })), ..self }
    }

    /// Another who judges as this one does, and knows of a session's own tables.
    pub(crate) fn with_own(&self, own: Arc<OwnNames>) -> Self {
        let (rules, path) = (self.rules.clone(), self.search_path.clone());
        let judge = Self::new(self.catalogue.clone(), rules, path, self.prefix.clone());
        let observing = self.observing.as_ref().map(|observing| {
            let own_rules = observing.own_rules.with_own(own.clone());
            Box::new(Observing { own_rules, lets_through: observing.lets_through })
        });
        Self { own: Some(own), observing, ..judge }
    }

    pub(crate) fn knows_own(&self, own: &Arc<OwnNames>) -> bool {
        self.own.as_ref().is_some_and(|known| Arc::ptr_eq(known, own))
    }

    /// The plan of a text, from memory where it was seen before.
    pub fn judge(&mut self, sql: &str) -> Arc<Judged> {
        if let Some(known) = self.known.get(sql) {
            return known.clone();
        }
        let judged = Arc::new(self.analysed(sql, false));
        if !judged.holds_token() && self.makes_room_for(sql, judged.bytes()) {
            self.known.insert(sql.into(), judged.clone());
        }
        judged
    }

    /// Whether a text of this length may be remembered; what was, is forgotten where it must be.
    pub(crate) fn makes_room(&mut self, sql: &str) -> bool {
        self.makes_room_for(sql, 0)
    }

    /// The same with so many bytes of what it came to.
    fn makes_room_for(&mut self, sql: &str, with: usize) -> bool {
        let bytes = (sql.len() * 8 + JUDGED_BYTES).saturating_add(with);
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
        let Some(observing) = &self.observing else { return self.by_rules(sql, is_shape, None) };
        let would = observing.own_rules.by_rules(sql, is_shape, None);
        if is_shape && matches!(would, Judged::Refused(_)) {
            // Which of the texts would be is said of each.
            return would;
        }
        let judged = self.by_rules(sql, is_shape, Some(&would));
        if let Judged::Refused(refused) = &judged
            && observing.lets_through
            && !is_shape
        {
            if governs(sql) {
                return Judged::Refused(Refused { refusal: governs_refusal(), ..refused.clone() });
            }
            let remains = self.may_remain(sql);
            return Judged::Statements(vec![unaccounted(sql, refused, &would, remains)]);
        }
        judged
    }

    /// The plan of a text that is sent as the client wrote it, since it can't be accounted for this
    /// reason.
    pub(crate) fn let_through(&self, sql: &str, why: &dyn ClientFacing) -> Option<Arc<Planned>> {
        let observing = self.observing.as_ref().filter(|observing| observing.lets_through)?;
        if governs(sql) {
            return None;
        }
        let would = observing.own_rules.by_rules(sql, false, None);
        let about = match self.by_rules(sql, false, None) {
            Judged::Refused(refused) => refused,
            Judged::Statements(planned) => {
                drop(planned);
                let (fingerprint, statement) = self.named(sql);
                let refusal = Refusal {
                    sqlstate: "42501",
                    rule: "unaccounted",
                    message: why.message().into_owned(),
                    hint: String::new(),
                    position: None,
                };
                Refused { refusal, fingerprint, statement }
            }
        };
        Some(unaccounted(sql, &about, &would, self.may_remain(sql)))
    }

    /// What is told of a text of which it is not known what it shows, because of what was let
    /// through before it.
    pub(crate) fn unsure(&self, sql: &str) -> Arc<ToldPlain> {
        let (fingerprint, statement) = self.named(sql);
        let unread = || UNREAD.into();
        let statement = if statement.is_empty() { unread() } else { statement };
        ToldPlain::unsure(fingerprint, &statement)
    }

    /// A text's first fingerprint, and all its statements without literals; empty where it can't be
    /// parsed.
    fn named(&self, sql: &str) -> (StatementFingerprint, Arc<str>) {
        let Some(catalogue) = &self.catalogue else { return Default::default() };
        let context = Context::new(&self.search_path, &self.prefix);
        let statements = analyse(sql, catalogue, &self.rules, context).unwrap_or_default();
        let first = statements.first().map(|first| first.fingerprint);
        let texts: Vec<&str> = statements.iter().map(|one| one.normalized.as_str()).collect();
        (first.unwrap_or_default(), recorded_text(&texts.join("; ")))
    }

    fn may_remain(&self, sql: &str) -> bool {
        self.catalogue.as_ref().is_none_or(|known| may_remain(sql, known))
    }

    /// The plan of a function call by the protocol's own message, which is sent as it is.
    pub(crate) fn function_call(refusal: &Refusal) -> Arc<Planned> {
        let statement = "a function call by the protocol's own message".into();
        let fingerprint = StatementFingerprint::default();
        let refused = Refused { refusal: refusal.clone(), fingerprint, statement };
        unaccounted("", &refused, &Judged::Refused(refused.clone()), true)
    }

    /// By this judge's rules; with what others would say.
    fn by_rules(&self, sql: &str, is_shape: bool, would: Option<&Judged>) -> Judged {
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
        let would = would.map(|would| Would::of(would, statements.len()));
        let mut planned = Vec::with_capacity(statements.len());
        for (index, statement) in statements.into_iter().enumerate() {
            let about = (statement.fingerprint, recorded_text(&statement.normalized));
            let would = would.as_ref().and_then(|would| would.get(index));
            match plan(statement.verdict, &about, would) {
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

const UNREAD: &str = "a text that Postern can't read";

/// A text that is sent as the client wrote it, because the rules that account for it refuse it.
fn unaccounted(sql: &str, refused: &Refused, would: &Judged, remains: bool) -> Arc<Planned> {
    let would = match Would::of(would, 1).into_iter().next() {
        Some(would) if would.refusal.is_some() => would,
        // Masked it can be shown, and in clear not be accounted.
        Some(_) | None => Arc::default(),
    };
    let statement: Arc<str> =
        if refused.statement.is_empty() { UNREAD.into() } else { refused.statement.clone() };
    let about = (refused.fingerprint, &statement);
    let plain = PlannedPlain::unaccounted(sql, about, (would, remains));
    Arc::new(Planned::Plain(plain))
}

/// The plan of a verdict on a statement of this shape and text.
fn plan(
    verdict: Verdict,
    about: &(StatementFingerprint, Arc<str>),
    would: Option<&Arc<Would>>,
) -> Result<Planned, Refusal> {
    Ok(match verdict {
        Verdict::Refused(refusal) => return Err(refusal),
        Verdict::Plain(plain) => Planned::Plain(PlannedPlain::from(plain).with(would, about)),
        Verdict::Local(local) => Planned::Local(local),
        Verdict::Guarded(guarded) => Planned::Guarded(Box::new(planned(guarded, about, would))),
        Verdict::Copy(copy) => {
            let postern_sql::Copy { query, options, form } = copy;
            Planned::Copy(Box::new(PlannedCopy {
                query: planned(query, about, would),
                options,
                form,
            }))
        }
        Verdict::Named(named) => {
            let query = match &named.act {
                Act::Prepare { query, .. } | Act::Declare { query, .. } => {
                    Some(Arc::new(plan((**query).clone(), about, would)?))
                }
                Act::Execute { .. }
                | Act::Deallocate
                | Act::Fetch { .. }
                | Act::Close
                | Act::ShowTicket => None,
            };
            Planned::Named(Box::new(PlannedNamed { named, query }))
        }
    })
}

fn planned(
    guarded: Guarded,
    (fingerprint, statement): &(StatementFingerprint, Arc<str>),
    would: Option<&Arc<Would>>,
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
    let (values, would) = (values_at(&guarded), would.cloned());
    PlannedGuarded { guarded, sql, parameters, shown, constants, asked_leaves, values, would }
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
