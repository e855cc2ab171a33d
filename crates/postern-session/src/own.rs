//! What the session has defined and the catalogue does not show: tables of its open transaction,
//! and temporary ones; and where it looks for names that have no schema.
//!
//! What comes after a definition is judged as if it had done what it says; if it fails, that is put
//! back. So is what was made in a transaction, or since a savepoint, that is rolled back.

use std::sync::Arc;

use postern_sql::{OwnChange, OwnNames, Ticket};

use crate::judge::{Identity, Judge};

/// What an own judge remembers.
const KNOWN_BYTES_MAX: usize = 1 << 20;

/// What a statement does that changes what names mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    Defines,
    /// It looks for names elsewhere.
    Searches,
    /// It begins, ends or subdivides a transaction.
    Transacts,
}

/// A session's own definitions, and who judges by them.
#[derive(Debug, Default)]
pub(crate) struct Own {
    names: Arc<OwnNames>,
    /// Since the transaction began the meaning of a name was changed.
    changed: bool,
    /// The same, by a definition.
    defined: bool,
    /// The transaction does not commit.
    failed: bool,
    judge: Option<(Identity, Arc<OwnNames>, Box<Judge>)>,
}

impl Own {
    /// The judge who knows what names mean to the session beside what `shared` knows; `None` where
    /// there are none.
    pub(crate) fn take_judge(&mut self, shared: &Judge) -> Option<Box<Judge>> {
        if self.names.is_empty() {
            self.judge = None;
            return None;
        }
        let known = self.judge.take().filter(|(base, names, _)| {
            base == shared.identity() && Arc::ptr_eq(names, &self.names)
        });
        let judge = known.map(|(_, _, judge)| judge);
        Some(judge.unwrap_or_else(|| {
            let mut judge = shared.with_own(self.names.clone());
            judge.remember(KNOWN_BYTES_MAX);
            Box::new(judge)
        }))
    }

    /// Gives a judge back, for as long as nothing else is defined.
    pub(crate) fn keep_judge(&mut self, shared: &Judge, judge: Box<Judge>) {
        if judge.knows_own(&self.names) {
            self.judge = Some((shared.identity().clone(), self.names.clone(), judge));
        }
    }

    /// The session begins with this search path.
    pub(crate) fn begin(&mut self, path: Arc<[String]>) {
        self.names = Arc::new(OwnNames::beginning(path));
    }

    /// What a statement that is being sent changes; what there was before, to be put back if it
    /// fails.
    pub(crate) fn change(&mut self, changes: &[OwnChange], does: Changes) -> Arc<OwnNames> {
        let was = self.names.clone();
        // Nothing is undone, or kept, where nothing was changed.
        if does != Changes::Transacts || self.changed {
            self.changed = true;
            self.defined |= does == Changes::Defines;
            let mut names = (*was).clone();
            for change in changes {
                names.apply(change);
            }
            self.names = Arc::new(names);
        }
        was
    }

    /// The ticket that is stated for what follows; `None` for none.
    pub(crate) fn ticket(&self) -> Option<&Ticket> {
        self.names.ticket()
    }

    /// What was stated was so for somebody else.
    pub(crate) fn forget_tickets(&mut self) {
        Arc::make_mut(&mut self.names).forget_tickets();
    }

    pub(crate) fn put_back(&mut self, names: Arc<OwnNames>) {
        self.names = names;
    }

    /// The session is as it began; what there was before, to be put back if it is not.
    pub(crate) fn discard(&mut self) -> Arc<OwnNames> {
        let was = self.names.clone();
        let mut names = (*was).clone();
        names.discard();
        self.names = Arc::new(names);
        was
    }

    /// The transaction, if there is one, ends without a commit.
    pub(crate) fn fails(&mut self) {
        self.failed = true;
    }

    /// What names are looked up in now.
    pub(crate) fn path(&self) -> Option<Arc<[String]>> {
        self.names.shared_path()
    }

    /// No transaction is open any more, nor is anything on its way if it is `all`; whether one with
    /// definitions has ended.
    pub(crate) fn ends(&mut self, all: bool) -> bool {
        let failed = std::mem::take(&mut self.failed);
        let defined = std::mem::take(&mut self.defined);
        if std::mem::take(&mut self.changed) {
            let mut names = (*self.names).clone();
            if failed {
                names.fail();
            } else {
                names.end_transaction();
            }
            if all {
                names.settle(failed);
            }
            self.changed = !all;
            self.names = Arc::new(names);
        }
        defined
    }
}
