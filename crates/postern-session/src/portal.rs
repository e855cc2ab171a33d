//! The client's prepared statements and portals, and their executions.

use std::sync::Arc;

use postern_model::{Secret, Timestamp};
use postern_sql::Ticket;

use crate::{
    Entitled, View,
    entitled::ReasonSet,
    expect::Described,
    judge::{Identity, Planned},
    named::{About, Undo},
    proof::Judgement,
    weight::{KeptPlan, Searched},
};

/// A prepared statement of the client.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// Its name on the server.
    pub(crate) upstream: UpstreamName,
    /// As the client wrote it, but for the ticket that it states.
    pub(crate) sql: Arc<str>,
    /// The ticket, `None` in its place if it can't be read.
    pub(crate) stated: Option<Option<Arc<str>>>,
    /// Weighed with its texts.
    pub(crate) plan: KeptPlan,
    /// Who judged it last.
    pub(crate) judge: Identity,
    /// How many parameters of the client it has.
    pub(crate) parameters: usize,
    /// Their types, as far as the client declared them by the protocol.
    pub(crate) types: Vec<u32>,
    /// It was prepared in SQL, on this connection to the server only.
    pub(crate) by_sql: bool,
    /// It was told in this round that it is not known what it shows, and it was not bound since.
    pub(crate) told_in: Option<u64>,
    /// What it came to when it was parsed, where that is found out anew at each Bind.
    pub(crate) resolved: Option<Box<Portal>>,
}

impl Prepared {
    pub(crate) fn described(&self) -> Described {
        if let Some(portal) = &self.resolved {
            let (plan, moves) = (portal.plan.clone(), portal.moves());
            return Described { plan, hidden_parameters: 0, moves };
        }
        let hidden_parameters = match &*self.plan {
            Planned::Guarded(plan) => plan.parameters.len(),
            Planned::Plain(_) | Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => 0,
        };
        Described { plan: self.plan.clone(), hidden_parameters, moves: false }
    }
}

/// How long the server has a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// Until its transaction ends.
    Transaction,
    /// Longer, if that is committed.
    BeyondCommit,
    /// It was committed: until it is closed.
    Session,
}

/// A portal of the client: a statement with the entitlements that were bound with it.
#[derive(Debug, Clone)]
pub(crate) struct Portal {
    /// Its name on the server.
    pub(crate) upstream: UpstreamName,
    pub(crate) plan: KeptPlan,
    pub(crate) bound: Arc<Entitled>,
    pub(crate) bound_at: Timestamp,
    pub(crate) judged: Arc<Judgement>,
    /// What its lookups search for.
    pub(crate) searched: Arc<Searched>,
    /// What it has to do with things that are kept by name.
    pub(crate) about: Option<Arc<About>>,
    /// A savepoint may have been rolled back since, and the portal with it.
    pub(crate) unsure: bool,
    pub(crate) lasts: Lasts,
    /// The token that names an end user, where it is a parameter.
    pub(crate) token: Option<Secret<Arc<str>>>,
    /// The ticket that it states for what follows; `None` for none.
    pub(crate) states: Option<Box<Ticket>>,
    /// The ticket that it goes by.
    pub(crate) claimed: Option<Arc<str>>,
    /// It is told that it is not known what its next execution shows.
    pub(crate) told: bool,
    /// As the client wrote it, where that may have to be told.
    pub(crate) text: Option<Arc<str>>,
}

impl Portal {
    pub(crate) fn new(
        upstream: UpstreamName,
        plan: KeptPlan,
        searched: Arc<Searched>,
        (path, view): (Option<Arc<[String]>>, &View<'_>),
    ) -> Self {
        Self {
            upstream,
            plan,
            bound: view.entitled.clone(),
            bound_at: view.now,
            judged: Judgement::new(view.generation, path),
            searched,
            about: None,
            unsure: false,
            lasts: Lasts::Transaction,
            token: None,
            states: None,
            claimed: None,
            told: false,
            text: None,
        }
    }

    /// The reason under which the server showed this subject's columns, by what was bound with the
    /// portal; whether it still holds is asked when the row leaves.
    pub(crate) fn clear_under(
        &self,
        set: Option<&ReasonSet>,
        subject: &str,
    ) -> Option<postern_model::Reason> {
        self.bound.reason(subject, set?, self.bound_at).cloned()
    }

    /// Whether its rows are counted and do not leave.
    pub(crate) fn moves(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.moves)
    }
}

/// The server's name of a statement or portal: numbered, because the server takes names that are
/// equal in their first 63 bytes for one, and because no name may come to mean another object than
/// the one that was judged. `None` is the unnamed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpstreamName(pub(crate) Option<u64>);

impl UpstreamName {
    pub(crate) fn statement(self) -> String {
        self.0.map_or_else(String::new, |number| format!("postern_s_{number}"))
    }

    pub(crate) fn portal(self) -> String {
        self.0.map_or_else(String::new, |number| format!("postern_p_{number}"))
    }
}

/// Names no statement and no portal; names are counted from 1.
pub(crate) const NOTHING: UpstreamName = UpstreamName(Some(0));

/// One execution whose answer is awaited.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) portal: Portal,
    pub(crate) rows: u64,
    pub(crate) lookups_told: bool,
    /// How many of the rows were passed over.
    pub(crate) passed: u64,
    /// Who was asked about is told.
    pub(crate) asked_told: bool,
    /// Which of them came in rows of their own, in the order of the portal's.
    pub(crate) came: Vec<bool>,
    /// A gate stands before its answer.
    pub(crate) gated: bool,
    /// The server has said that it copies rows to the client.
    pub(crate) copies_out: bool,
    /// Some of them have come.
    pub(crate) copy_began: bool,
    /// What is put back if it fails.
    pub(crate) undo: Undo,
    /// How many values have come that enforcement would have masked.
    pub(crate) masked: u64,
    /// It is told that something the server said of it left whole.
    pub(crate) said: bool,
}

impl Run {
    pub(crate) fn new(portal: Portal, undo: Undo) -> Self {
        Self {
            portal,
            rows: 0,
            lookups_told: false,
            passed: 0,
            asked_told: false,
            came: Vec::new(),
            gated: false,
            copies_out: false,
            copy_began: false,
            undo,
            masked: 0,
            said: false,
        }
    }
}
