//! What a session has made, changed or dropped and nobody else sees yet, its search path, and the
//! ticket that it goes by.
//!
//! The snapshot of the catalogues shows what is committed, and no temporary tables. A session that
//! makes a table in a transaction, or a temporary one, names it in its next statement. Only what is
//! not protected can be made by a statement that is judged, so its name and its columns' names are
//! all that has to be known. What is said here of a name holds only as long as the snapshot has
//! under that name what it had: else the snapshot has the word. Where the server knows another
//! table than the one that stands here (one that goes with its transaction, a child of one that was
//! changed), it says that there is no such table or column: beside what is protected each column is
//! written by its name.

use std::{collections::BTreeMap, sync::Arc};

use crate::catalogue::{Column, Relation};

/// The schema by which each session calls its own temporary objects.
pub(crate) const TEMPORARY: &str = "pg_temp";

/// As many names are remembered.
const OWN_MAX: usize = 2_000;

/// So many columns of them all.
const COLUMNS_MAX: usize = 20_000;

/// So many paths, of which each may hold.
const PATHS_MAX: usize = 50;

/// The schemas that names without one are looked up in.
type Path = Arc<[String]>;

/// The name of a ticket, `None` if what was stated can't be one.
pub type Ticket = Option<Arc<str>>;

/// The tables and views of a session's own, and where it looks up names that have no schema.
#[derive(Debug, Clone, Default)]
pub struct OwnNames {
    /// The path that the session asked for when it began.
    start: Option<Path>,
    now: Meaning,
    /// What there was before the transaction's first change.
    before: Option<Meaning>,
    /// What there was at the savepoints since, with their names.
    saved: Vec<(String, Meaning)>,
    /// The paths that may hold, until it is heard that all that was sent is done.
    may_be: Vec<Path>,
    /// A transaction that changed the path was to be committed, and may not have been.
    uncertain: bool,
    /// What there was before the transaction that was to be committed.
    uncommitted: Option<Meaning>,
}

/// What names mean at one time.
#[derive(Debug, Clone, Default)]
struct Meaning {
    /// By schema and name.
    tables: BTreeMap<(String, String), Own>,
    /// The session's path; `None` for that of its beginning.
    path: Option<Path>,
    /// The transaction's, in its place.
    local: Option<Option<Path>>,
    /// The ticket that is stated for what follows; `None` for none.
    ticket: Option<Ticket>,
    /// The transaction's, in its place.
    local_ticket: Option<Option<Ticket>>,
}

impl Meaning {
    fn is_plain(&self) -> bool {
        self.tables.is_empty() && self.is_at_home()
    }

    fn is_at_home(&self) -> bool {
        self.path.is_none() && self.local.is_none()
    }
}

#[derive(Debug, Clone)]
enum Own {
    /// It is there, in the place of what the snapshot has under the name, if that is this.
    Made { relation: Arc<Relation>, over: Option<u32> },
    /// What the snapshot has under the name is gone, if it is this.
    Dropped(u32),
}

impl Own {
    fn columns(&self) -> usize {
        match self {
            Self::Made { relation, .. } => relation.columns.len(),
            Self::Dropped(_) => 0,
        }
    }
}

/// What a statement changes for the session's next statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnChange {
    /// A name means something else.
    Named(Named),
    /// Names without a schema are looked up in these, or where the session began to; `local` until
    /// the transaction ends.
    Path {
        schemas: Option<Arc<[String]>>,
        local: bool,
    },
    /// This ticket is stated for what follows, or none; `local` until the transaction ends.
    Ticket {
        ticket: Option<Ticket>,
        local: bool,
    },
    Savepoint(String),
    Release(String),
    /// What was defined since the savepoint is undone.
    BackTo(String),
    /// What was defined in the transaction is undone.
    Back,
    /// The transaction is committed.
    Commit,
}

/// A name that a definition gives another meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) becomes: Becomes,
}

/// The OID and kind of what a relation is known by to the snapshot, if it is: by these its
/// triggers, rules and foreign keys are found.
pub(crate) type Like = Option<(u32, char)>;

/// What a name stands for from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// A table with these columns, in the place of the snapshot's.
    Made { columns: Vec<String>, over: Option<u32>, like: Like },
    /// Nothing, in the place of the snapshot's if it has one.
    Dropped(Option<u32>),
}

/// What a session's own word on a name is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found<'a> {
    Made(&'a Relation),
    Dropped,
}

impl OwnNames {
    /// Of a session that begins with this path.
    pub fn beginning(path: Arc<[String]>) -> Self {
        Self { start: Some(path), ..Self::default() }
    }

    /// Whether the session has nothing of its own, nor had before its transaction.
    pub fn is_empty(&self) -> bool {
        let before = self.before.as_ref();
        self.start.is_none()
            && self.now.is_plain()
            && before.is_none_or(Meaning::is_plain)
            && self.may_be.is_empty()
    }

    /// Whether each path that may hold now, whatever becomes of what is on its way, is the
    /// beginning of this one.
    pub(crate) fn is_within(&self, path: &[String]) -> bool {
        let other = |may_be: &Path| !path.starts_with(may_be);
        self.may_be.len() < PATHS_MAX && !self.may_be.iter().any(other)
    }

    fn may_be(&mut self, path: Option<Path>) {
        let path = path.filter(|path| self.may_be.len() < PATHS_MAX && !self.may_be.contains(path));
        self.may_be.extend(path);
    }

    /// All that was sent is done, and no transaction is open; whether one of them was not
    /// committed.
    pub fn settle(&mut self, failed: bool) {
        self.uncertain &= failed;
        if !self.uncertain {
            self.may_be.clear();
        }
    }

    /// The path that the session began with; `None` for the gateway's.
    pub fn start(&self) -> Option<&[String]> {
        self.start.as_deref()
    }

    /// The path; `None` for the gateway's.
    pub fn path(&self) -> Option<&[String]> {
        let set = self.now.local.as_ref().unwrap_or(&self.now.path);
        set.as_deref().or_else(|| self.start())
    }

    /// The same, to be kept.
    pub fn shared_path(&self) -> Option<Arc<[String]>> {
        let set = self.now.local.as_ref().unwrap_or(&self.now.path);
        set.as_ref().or(self.start.as_ref()).cloned()
    }

    /// Whether the path is, and was before the transaction, what the session began with.
    pub(crate) fn is_at_home(&self) -> bool {
        self.now.is_at_home() && self.before.as_ref().is_none_or(Meaning::is_at_home)
    }

    /// The ticket that is stated for what follows; `None` for none.
    pub fn ticket(&self) -> Option<&Ticket> {
        self.now.local_ticket.as_ref().unwrap_or(&self.now.ticket).as_ref()
    }

    /// No ticket is stated any more, nor is one that was by what is undone.
    pub fn forget_tickets(&mut self) {
        let saved = self.saved.iter_mut().map(|(_, meaning)| meaning);
        let before = self.before.iter_mut().chain(&mut self.uncommitted);
        for meaning in saved.chain(before).chain([&mut self.now]) {
            (meaning.ticket, meaning.local_ticket) = (None, None);
        }
    }

    /// As the session began.
    pub fn discard(&mut self) {
        *self = Self { start: self.start.take(), ..Self::default() };
    }

    /// Takes note of a change; `false` if there are too many.
    pub fn apply(&mut self, change: &OwnChange) -> bool {
        let saved = self.saved.iter().map(|(_, meaning)| meaning.tables.len());
        let held = self.now.tables.len() + saved.sum::<usize>();
        // Where nothing was defined yet, every savepoint is where the transaction began.
        let defines = self.before.is_some();
        match change {
            OwnChange::Named(named) => {
                self.before.get_or_insert_with(|| self.now.clone());
                return self.name(named);
            }
            OwnChange::Path { schemas, local } => {
                self.before.get_or_insert_with(|| self.now.clone());
                // What there was may come back, and what LOCAL covers.
                self.may_be(self.shared_path());
                self.may_be(self.now.path.clone());
                if *local {
                    self.now.local = Some(schemas.clone());
                } else {
                    (self.now.path, self.now.local) = (schemas.clone(), None);
                }
                self.may_be(self.shared_path());
            }
            OwnChange::Ticket { ticket, local } => {
                self.before.get_or_insert_with(|| self.now.clone());
                if *local {
                    self.now.local_ticket = Some(ticket.clone());
                } else {
                    (self.now.ticket, self.now.local_ticket) = (ticket.clone(), None);
                }
            }
            OwnChange::Savepoint(name) if defines => {
                if self.saved.len() + held >= OWN_MAX {
                    return false;
                }
                self.saved.push((name.clone(), self.now.clone()));
            }
            OwnChange::Release(name) if defines => {
                if let Some(at) = self.saved.iter().rposition(|(saved, _)| saved == name) {
                    self.saved.truncate(at);
                }
            }
            OwnChange::BackTo(name) if defines => {
                if let Some(at) = self.saved.iter().rposition(|(saved, _)| saved == name) {
                    self.saved.truncate(at + 1);
                }
                let saved = self.saved.last().filter(|(saved, _)| saved == name);
                match (saved, &self.before) {
                    (Some((_, saved)), _) => self.now.clone_from(saved),
                    // It is older than the first definition.
                    (None, Some(before)) => self.now.clone_from(before),
                    (None, None) => {}
                }
            }
            OwnChange::Back => self.roll_back(),
            OwnChange::Commit => {
                (self.now.local, self.now.local_ticket) = (None, None);
                self.saved.clear();
                // What a later ROLLBACK comes back to, as `AND CHAIN` has it.
                self.uncommitted.clone_from(&self.before);
                if let Some(before) = &mut self.before {
                    self.uncertain |= before.path != self.now.path;
                    before.path.clone_from(&self.now.path);
                    before.ticket.clone_from(&self.now.ticket);
                    (before.local, before.local_ticket) = (None, None);
                }
            }
            OwnChange::Savepoint(_) | OwnChange::Release(_) | OwnChange::BackTo(_) => {}
        }
        true
    }

    fn name(&mut self, named: &Named) -> bool {
        let key = (named.schema.clone(), named.name.clone());
        let tables = &mut self.now.tables;
        match &named.becomes {
            Becomes::Made { columns, over, like } => {
                let held = tables.values().map(Own::columns).sum::<usize>() + columns.len();
                let is_new = !tables.contains_key(&key);
                if is_new && tables.len() >= OWN_MAX || held > COLUMNS_MAX {
                    // What it was before it is no more.
                    tables.remove(&key);
                    return false;
                }
                let relation = Arc::new(Relation::own(&named.schema, &named.name, columns, *like));
                tables.insert(key, Own::Made { relation, over: *over });
            }
            Becomes::Dropped(Some(oid)) => {
                tables.insert(key, Own::Dropped(*oid));
            }
            Becomes::Dropped(None) => {
                tables.remove(&key);
            }
        }
        true
    }

    /// It has turned out that the transaction was not committed.
    pub fn fail(&mut self) {
        if self.uncommitted.is_some() {
            self.before = self.uncommitted.take();
        }
        self.roll_back();
    }

    /// The transaction has ended without a commit.
    pub fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.now = before;
        }
        self.end_transaction();
    }

    /// The transaction has ended: what is not temporary is in the snapshot from now on, or gone.
    pub fn end_transaction(&mut self) {
        (self.before, self.uncommitted) = (None, None);
        self.saved.clear();
        (self.now.local, self.now.local_ticket) = (None, None);
        self.now.tables.retain(|(schema, _), _| schema == TEMPORARY);
    }

    /// What stands for a name under which the snapshot has this relation, or none.
    pub(crate) fn find(
        &self,
        schema: &str,
        name: &str,
        known: Option<&Relation>,
    ) -> Option<Found<'_>> {
        if self.now.tables.is_empty() {
            return None;
        }
        let known = known.map(|relation| relation.oid);
        match self.now.tables.get(&(schema.to_owned(), name.to_owned()))? {
            Own::Made { relation, over } if *over == known => Some(Found::Made(relation)),
            Own::Dropped(oid) if Some(*oid) == known => Some(Found::Dropped),
            Own::Made { .. } | Own::Dropped(_) => None,
        }
    }
}

impl Relation {
    /// A table of which nothing but its columns' names is known.
    fn own(schema: &str, name: &str, columns: &[String], like: Like) -> Self {
        let columns = (1..).zip(columns).map(|(number, name)| Column::own(number, name));
        let mut new = Self::plain_table(schema, name, columns.collect());
        (new.oid, new.kind) = like.unwrap_or((new.oid, new.kind));
        new
    }
}
