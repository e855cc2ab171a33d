//! What the session has defined and the catalogue does not show: tables of its open transaction,
//! and temporary ones.
//!
//! What comes after a definition is judged as if it had done what it says; if it fails, that is put
//! back. So is what was made in a transaction, or since a savepoint, that is rolled back.

use std::sync::Arc;

use postern_sql::{OwnChange, OwnTables};

use crate::judge::{Identity, Judge};

/// What an own judge remembers.
const KNOWN_BYTES_MAX: usize = 1 << 20;

/// A session's own definitions, and who judges by them.
#[derive(Debug, Default)]
pub(crate) struct Own {
    tables: Arc<OwnTables>,
    /// Since the transaction began something was defined.
    defined: bool,
    /// The transaction does not commit.
    failed: bool,
    judge: Option<(Identity, Arc<OwnTables>, Box<Judge>)>,
}

impl Own {
    /// The judge who knows of the session's own tables beside what `shared` knows; `None` where
    /// there are none.
    pub(crate) fn take_judge(&mut self, shared: &Judge) -> Option<Box<Judge>> {
        if self.tables.is_empty() {
            self.judge = None;
            return None;
        }
        let known = self.judge.take().filter(|(base, tables, _)| {
            base == shared.identity() && Arc::ptr_eq(tables, &self.tables)
        });
        let judge = known.map(|(_, _, judge)| judge);
        Some(judge.unwrap_or_else(|| {
            let mut judge = shared.with_own(self.tables.clone());
            judge.remember(KNOWN_BYTES_MAX);
            Box::new(judge)
        }))
    }

    /// Gives a judge back, for as long as nothing else is defined.
    pub(crate) fn keep_judge(&mut self, shared: &Judge, judge: Box<Judge>) {
        if judge.knows_own(&self.tables) {
            self.judge = Some((shared.identity().clone(), self.tables.clone(), judge));
        }
    }

    /// What a statement that is being sent changes; what there was before, to be put back if it
    /// fails.
    pub(crate) fn change(&mut self, changes: &[OwnChange], defines: bool) -> Arc<OwnTables> {
        let was = self.tables.clone();
        // Nothing is undone, or kept, where nothing was defined.
        if defines || self.defined {
            self.defined = true;
            let mut tables = (*was).clone();
            for change in changes {
                tables.apply(change);
            }
            self.tables = Arc::new(tables);
        }
        was
    }

    pub(crate) fn put_back(&mut self, tables: Arc<OwnTables>) {
        self.tables = tables;
    }

    /// The session has nothing any more.
    pub(crate) fn discard(&mut self) {
        self.tables = Arc::default();
    }

    /// The transaction, if there is one, ends without a commit.
    pub(crate) fn fails(&mut self) {
        self.failed = true;
    }

    /// No transaction is open any more; whether one with definitions has ended.
    pub(crate) fn ends(&mut self) -> bool {
        let failed = std::mem::take(&mut self.failed);
        if !std::mem::take(&mut self.defined) {
            return false;
        }
        let mut tables = (*self.tables).clone();
        if failed {
            tables.roll_back();
        } else {
            tables.end_transaction();
        }
        self.tables = Arc::new(tables);
        true
    }
}
