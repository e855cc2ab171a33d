//! What enforcement would do, for actors for whom policy is not enforced.
//!
//! A judge that observes judges each text by two sets of rules: by one under which everything is
//! clear and accounted, of which the plans come, and by the role's own, of which only the outcome
//! is kept here. A text that can't be accounted is planned to be sent as the client wrote it.

use std::{ops::Deref, sync::Arc};

use bytes::BytesMut;
use postern_model::{Grade, NOT_ENFORCED, Reason, StatementFingerprint, Subject};
use postern_sql::{Effect as Does, Guarded, KeySet, Plain, Refusal};
use postern_wire::{
    SqlState,
    encode::{self, Report, Severity},
};

use crate::{
    Enforcement, Session, Shown,
    hold::{Held, Observed},
    judge::{Judged, Planned},
    portal::Portal,
};

/// What the role's own rules come to for one statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Would {
    /// The refusal of the text, if it is refused.
    pub(crate) refusal: Option<Refusal>,
    /// What is shown of each reference to a protected relation.
    leaves: Vec<WouldLeaf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct WouldLeaf {
    relation: Arc<str>,
    /// How many columns of the result are in clear where a reason of the set holds.
    keyed: u64,
    /// How many are masked whatever holds.
    masked: u64,
    set: Option<KeySet>,
}

impl Would {
    /// For each statement of a text, of which there are so many.
    pub(crate) fn of(judged: &Judged, statements: usize) -> Vec<Arc<Self>> {
        match judged {
            Judged::Refused(refused) => {
                let would = Self { refusal: Some(refused.refusal.clone()), leaves: Vec::new() };
                std::iter::repeat_n(Arc::new(would), statements).collect()
            }
            Judged::Statements(planned) => planned
                .iter()
                .map(|plan| {
                    let leaves = plan.guarded().map(|plan| leaves(&plan.guarded));
                    let leaves = leaves.unwrap_or_default();
                    Arc::new(Self { refusal: None, leaves })
                })
                .collect(),
        }
    }

    pub(crate) fn rule(&self) -> Option<&'static str> {
        self.refusal.as_ref().map(|refusal| refusal.rule)
    }

    /// The same reference as the accounted plan's of that number; by its relation where the two
    /// plans don't have the same references.
    fn leaf(&self, index: usize, relation: &str) -> Option<&WouldLeaf> {
        let same = self.leaves.get(index).filter(|leaf| &*leaf.relation == relation);
        same.or_else(|| self.leaves.iter().find(|leaf| &*leaf.relation == relation))
    }
}

fn leaves(guarded: &Guarded) -> Vec<WouldLeaf> {
    let count = |columns: &[Arc<str>]| columns.len() as u64;
    let leaves = guarded.leaves.iter().map(|leaf| WouldLeaf {
        relation: leaf.relation.clone(),
        keyed: count(&leaf.clear),
        masked: count(&leaf.masked),
        set: leaf.key_set,
    });
    leaves.collect()
}

/// A statement that touches nothing protected, or that is sent as the client wrote it.
#[derive(Debug, PartialEq, Eq)]
pub struct PlannedPlain {
    plain: Plain,
    /// What is told of it where policy is not enforced and would have refused it, or where it is
    /// not known what it shows.
    pub(crate) told: Option<Arc<ToldPlain>>,
}

/// What the ledger learns of a statement of which no record is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ToldPlain {
    pub(crate) would: Arc<Would>,
    pub(crate) shown: Arc<Shown>,
    /// It is not known what it shows.
    pub(crate) unknown: bool,
    /// Something of the session's own may be left behind that outlives its transaction.
    pub(crate) remains: bool,
}

impl Deref for PlannedPlain {
    type Target = Plain;

    fn deref(&self) -> &Plain {
        &self.plain
    }
}

impl From<Plain> for PlannedPlain {
    fn from(plain: Plain) -> Self {
        Self { plain, told: None }
    }
}

impl PlannedPlain {
    /// With what enforcement would have done.
    pub(crate) fn with(
        self,
        would: Option<&Arc<Would>>,
        (fingerprint, statement): &(StatementFingerprint, Arc<str>),
    ) -> Self {
        let Some(would) = would.filter(|would| would.refusal.is_some()) else { return self };
        let shown = shown(*fingerprint, statement);
        let told = ToldPlain { would: would.clone(), shown, unknown: false, remains: false };
        Self { told: Some(Arc::new(told)), ..self }
    }

    /// A text that is sent as it is. How many parameters it has only the server knows.
    pub(crate) fn unaccounted(
        sql: &str,
        (fingerprint, statement): (StatementFingerprint, &Arc<str>),
        (would, remains): (Arc<Would>, bool),
    ) -> Self {
        let does = if copies_in(statement) { Does::CopyIn } else { Does::Query };
        let shown = shown(fingerprint, statement);
        let told = ToldPlain { would, shown, unknown: true, remains };
        Self { plain: Plain::new(sql.to_owned(), does, 0), told: Some(Arc::new(told)) }
    }

    /// Whether it is sent as the client wrote it.
    pub(crate) fn is_unaccounted(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.unknown)
    }
}

fn shown(fingerprint: StatementFingerprint, statement: &Arc<str>) -> Arc<Shown> {
    Arc::new(Shown { fingerprint, statement: statement.clone(), leaves: Vec::new() })
}

/// Whether the client is asked for rows after it: what it sends next depends on the answer.
fn copies_in(statement: &str) -> bool {
    let words: Vec<String> =
        statement.split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
    let is_in = |pair: &[String]| matches!(pair, [a, b] if a == "from" && b == "stdin");
    words.first().is_some_and(|word| word == "copy") && words.windows(2).any(is_in)
}

impl ToldPlain {
    /// Of a text that is judged where nothing that is known of the session need be so.
    pub(crate) fn unsure(fingerprint: StatementFingerprint, statement: &Arc<str>) -> Arc<Self> {
        let (would, shown) = (Arc::default(), shown(fingerprint, statement));
        Arc::new(Self { would, shown, unknown: true, remains: false })
    }

    /// As a hold without rows.
    pub(crate) fn held(&self, id: u64) -> Held {
        let mut held = Held::new(id, self.shown.clone());
        let (rule, unknown) = (self.would.rule(), self.unknown);
        held.hold.observed = Some(Box::new(Observed { rule, masked: 0, unknown }));
        held
    }
}

impl Planned {
    /// What is told before it is sent as the client wrote it.
    pub(crate) fn unaccounted(&self) -> Option<&Arc<ToldPlain>> {
        let Self::Plain(plain) = self else { return None };
        plain.told.as_ref().filter(|told| told.unknown)
    }
}

impl Session {
    /// Why a record that an accounted plan shows is shown, and how many of its values enforcement
    /// would have masked; `None` where it is enforced.
    pub(crate) fn observed(
        &self,
        (would, portal): (&Would, &Portal),
        (leaf, relation): (usize, &str),
        (clear, subject): (usize, &Subject),
    ) -> (Option<Reason>, u64) {
        let (entitled, now) = &self.present;
        let own = || entitled.best(subject.as_str(), *now).cloned();
        if clear == 0 {
            return (own(), 0);
        }
        let not_enforced = || Reason { name: NOT_ENFORCED.into(), grade: Grade::Weak };
        let Some(leaf) = would.leaf(leaf, relation) else {
            return (Some(own().unwrap_or_else(not_enforced)), 0);
        };
        let set = leaf.set.and_then(|set| self.profile.key_sets.get(usize::from(set.0)));
        let reason = match set {
            Some(set) => portal.clear_under(Some(set), subject.as_str()),
            // Policy shows it to everybody, or to nobody.
            None if leaf.masked == 0 => return (own(), 0),
            None => None,
        };
        let masked = leaf.masked + if reason.is_some() { 0 } else { leaf.keyed };
        (Some(reason.unwrap_or_else(not_enforced)), masked)
    }

    /// Tells of an execution that is being sent what enforcement would have done with it, where it
    /// would have been refused.
    pub(crate) fn tell_unenforced(&mut self, portal: &Portal) {
        let found = match &*portal.plan {
            Planned::Plain(plain) => plain.told.as_ref().map(|told| (&told.would, &told.shown)),
            Planned::Guarded(_) | Planned::Copy(_) | Planned::Named(_) | Planned::Local(_) => {
                let guarded = portal.plan.guarded();
                guarded.and_then(|plan| Some((plan.would.as_ref()?, &plan.shown)))
            }
        };
        let Some((would, shown)) = found else { return };
        let Some(refusal) = would.refusal.clone() else {
            self.warn_unaccounted(portal);
            return;
        };
        if portal.plan.unaccounted().is_none() {
            self.holds += 1;
            let mut held = Held::new(self.holds, shown.clone());
            let (rule, masked, unknown) = (would.rule(), 0, false);
            held.hold.observed = Some(Box::new(Observed { rule, masked, unknown }));
            self.untold.push(held.hold);
        }
        let message =
            format!("Postern will refuse this when policy is enforced: {}", refusal.message);
        self.warn(&message, &refusal.hint);
    }

    fn warn_unaccounted(&mut self, portal: &Portal) {
        if portal.plan.unaccounted().is_some() {
            let message = "Postern can't tell whose data this shows";
            self.warn(message, "when policy is enforced it is answered without protected values");
        }
    }

    /// Tells the client how many of the values that it got it would not have got.
    pub(crate) fn warn_masked(&mut self, masked: u64) {
        if masked > 0 {
            let message =
                format!("Postern will mask {masked} of these values when policy is enforced");
            self.warn(&message, "there is no reason for these customers now");
        }
    }

    fn warn(&mut self, message: &str, hint: &str) {
        if self.profile.enforcement != Enforcement::Warn {
            return;
        }
        let report = Report {
            severity: Severity::Notice,
            sqlstate: SqlState::WARNING,
            message,
            detail: None,
            hint: (!hint.is_empty()).then_some(hint),
            position: None,
        };
        let mut notice = BytesMut::new();
        encode::notice_response(&mut notice, &report);
        self.outbox.tell(&notice);
    }
}
