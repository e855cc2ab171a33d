//! What the server will answer next: a session's list of what it has asked.

use std::{collections::VecDeque, sync::Arc};

use bytes::BytesMut;

use crate::{
    moment::Part,
    portal::{Portal, Prepared, Run, UpstreamName},
    proof::Judgement,
    weight::KeptPlan,
};

/// What the server will answer next.
#[derive(Debug)]
pub(crate) enum Expect {
    Parse {
        name: String,
        guarded: bool,
        upstream: UpstreamName,
        /// The server had it already: it is asked to close nothing instead.
        known: bool,
    },
    Bind {
        portal: String,
        /// What is bound, if the server can meet protected values while it plans it.
        planned: Option<Box<Portal>>,
        guarded: bool,
        /// What must be proven before its error may leave.
        open: Option<Arc<Judgement>>,
    },
    /// A Parse, Bind or Close of the gateway's own; its answer is not passed on.
    Own {
        guarded: bool,
        /// What must be proven before its error may leave.
        open: Option<Arc<Judgement>>,
        does: OwnDoes,
    },
    /// A Describe of the gateway's own, for a statement that came in a Query message: the client
    /// is told of columns and of nothing else.
    DescribeOwn(Portal),
    DescribeStatement(Described),
    DescribePortal(Portal),
    Execute(Run),
    /// With what is forgotten by it.
    CloseStatement(Option<(String, Prepared)>),
    ClosePortal(Option<(String, Portal)>),
    /// Statements of one Query message.
    Simple(VecDeque<Run>),
    /// An error that the server is made to raise; the client gets this one instead.
    Refusal {
        error: BytesMut,
        /// By a Query message.
        query: bool,
    },
    /// A part of the question for the moment; no answer to it is passed on.
    Moment(Part),
    /// What ends a Query message.
    QueryReady,
    /// What answers a Sync message.
    SyncReady,
}

/// What a message of the gateway's own changes of what a connection remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnDoes {
    /// The server has this statement from then on.
    Parses(UpstreamName),
    /// The server has it no more.
    Closes(u64),
    Else,
}

/// What a described statement gives.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    /// Whose rows.
    pub(crate) plan: KeptPlan,
    pub(crate) hidden_parameters: usize,
    /// They do not leave.
    pub(crate) moves: bool,
}

impl Expect {
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self, Self::QueryReady | Self::SyncReady)
    }

    /// The executions in it, in the order of their answers.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        let (one, several) = match self {
            Self::Execute(run) => (Some(run), None),
            Self::Simple(runs) => (None, Some(runs)),
            Self::Parse { .. }
            | Self::Bind { .. }
            | Self::Own { .. }
            | Self::DescribeStatement(_)
            | Self::DescribePortal(_)
            | Self::DescribeOwn(_)
            | Self::CloseStatement(_)
            | Self::ClosePortal(_)
            | Self::Refusal { .. }
            | Self::Moment(_)
            | Self::QueryReady
            | Self::SyncReady => (None, None),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }

    /// Those that are not told of yet, to be told of now.
    pub(crate) fn into_runs(self) -> Vec<Run> {
        if let Self::Execute(run) = self {
            vec![run]
        } else if let Self::Simple(runs) = self {
            runs.into()
        } else {
            Vec::new()
        }
    }

    /// The one whose answer comes first.
    pub(crate) fn run_mut(&mut self) -> Option<&mut Run> {
        if let Self::Execute(run) = self {
            Some(run)
        } else if let Self::Simple(runs) = self {
            runs.front_mut()
        } else {
            None
        }
    }

    /// The plan that it describes.
    fn plan(&self) -> Option<&KeptPlan> {
        if let Self::DescribeStatement(described) = self {
            Some(&described.plan)
        } else if let Self::DescribePortal(portal) | Self::DescribeOwn(portal) = self {
            Some(&portal.plan)
        } else {
            None
        }
    }

    /// Whether its answer can tell of protected data.
    pub(crate) fn is_guarded(&self) -> bool {
        // The server plans statement by statement, so the failing one is the first. A Bind
        // evaluates what the planner folds.
        self.runs().any(|run| run.portal.plan.is_guarded())
            || self.plan().is_some_and(|plan| plan.is_guarded())
            || matches!(
                self,
                Self::Parse { guarded: true, .. }
                    | Self::Bind { guarded: true, .. }
                    | Self::Own { guarded: true, .. }
            )
    }
}
