//! Follows what the guarded database tells of changed reasons ([`super::told`]), so that readings
//! are kept by reading what has changed.
//!
//! A transaction's changes are found by its number and two snapshots: those that the newer shows
//! and the older did not, whenever they began. So one that commits late is not missed, and none is
//! read twice. Each look is one statement, so it has one snapshot: that of the changes, of what is
//! forgotten, and of the objects that tell.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use postern_model::{Clock, Timestamp};
use postern_session::{Horizon, ReasonSettings};
use tokio_postgres::{Client, Error, Statement};

use super::{snapshot::Snapshot, told};

/// How many changes one look takes; if there are more, all is read anew instead.
const CHANGES_MAX: usize = 20_000;
/// How long after a failure it is tried again to follow changes.
const TRIED_EVERY: Duration = Duration::from_secs(10);
/// How often changes are forgotten that all have seen.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(10);

/// Follows changes, where it can.
pub(super) struct Watch {
    /// Of the objects that tell.
    objects: String,
    /// What that calls the tables that reasons are read from, in the order of [`told::sources`].
    tables: Vec<String>,
    /// Whether there is a reason that a change of its row alone can begin or end.
    wanted: bool,
    state: State,
}

enum State {
    /// Nothing is followed; tried again at that moment.
    Off(Timestamp),
    On(Following),
}

struct Following {
    look: Statement,
    /// The versions of the objects that tell.
    versions: String,
    /// The tables that reasons are read from, by OID, in the order of [`told::sources`].
    tables: Vec<u32>,
    /// The snapshot of the last look.
    last: Snapshot,
    /// Until when what is kept counts.
    horizon: Arc<Horizon>,
    /// All that ran when the objects were found as they should be has ended since, so that nothing
    /// has changed unseen by an earlier form of theirs.
    settled: bool,
    forget_at: Timestamp,
}

/// What has changed since the last look.
pub(super) enum Changed {
    /// Nothing is followed, so nothing is known, and what was kept is not any more.
    Unknown,
    /// These, by the table's number in [`told::sources`], with actor and subject.
    These(HashSet<(usize, String, String)>),
}

/// What a look finds.
struct Look {
    snapshot: Option<Snapshot>,
    forgotten: Option<Snapshot>,
    versions: Option<String>,
    changes: Vec<(u32, Option<String>, Option<String>)>,
}

impl Watch {
    pub(super) fn new(reasons: &[ReasonSettings], wanted: bool) -> Self {
        let objects = told::objects_sql(reasons);
        let tables = told::sources(reasons).iter().map(told::Source::object).collect();
        Self { objects, tables, wanted, state: State::Off(Timestamp(i64::MIN)) }
    }

    /// What readings count no longer than that are taken now and kept; `None` while none are.
    pub(super) fn horizon(&self) -> Option<&Arc<Horizon>> {
        match &self.state {
            State::On(following) if following.settled => Some(&following.horizon),
            State::On(_) | State::Off(_) => None,
        }
    }

    /// Looks at what has changed. Readings that have it all count up to the moment that
    /// [`Horizon::extend`] is told then.
    ///
    /// # Errors
    /// Of the connection. What the server refuses is no error: then nothing is followed.
    pub(super) async fn look(
        &mut self,
        client: &Client,
        clock: &dyn Clock,
    ) -> Result<Changed, Error> {
        let looked = match &mut self.state {
            State::Off(again) if !self.wanted || clock.now() < *again => {
                return Ok(Changed::Unknown);
            }
            State::Off(_) => {
                let begun =
                    Following::begin(client, (&self.objects, &self.tables), clock.now()).await;
                let begun = begun.map(|following| following.map(State::On));
                begun.map(|state| state.map(|state| (Changed::Unknown, Some(state))))
            }
            State::On(following) => {
                let followed = following.follow(client, clock.now()).await;
                followed.map(|changed| changed.map(|changed| (changed, None)))
            }
        };
        let why = match looked {
            Ok(Some((changed, state))) => {
                self.state = state.unwrap_or_else(|| {
                    std::mem::replace(&mut self.state, State::Off(Timestamp(i64::MIN)))
                });
                return Ok(changed);
            }
            Ok(None) => None,
            Err(error) if error.code().is_none() => return Err(error),
            Err(error) => Some(error),
        };
        if let State::On(_) = self.state {
            // The server's own words hold no value: they are of a query of names and numbers.
            let error = why.as_ref().map(|error| error as &dyn std::error::Error);
            tracing::warn!(error, "changes of reasons can't be followed; they are read whole");
        }
        self.state = State::Off(clock.now().after(TRIED_EVERY));
        Ok(Changed::Unknown)
    }
}

/// Nothing moves the horizon on any more.
impl Drop for Following {
    fn drop(&mut self) {
        self.horizon.end();
    }
}

impl Following {
    /// Begins where all objects are as they should be.
    async fn begin(
        client: &Client,
        (objects, names): (&str, &[String]),
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        // Before anything is named that may not be there.
        let found = client.query(objects, &[]).await?;
        let mut oids = BTreeMap::new();
        for row in &found {
            if !row.try_get::<_, bool>(2)? {
                return Ok(None);
            }
            if let Some(oid) = row.try_get::<_, Option<u32>>(3)? {
                oids.insert(row.try_get::<_, String>(0)?, oid);
            }
        }
        let tables: Option<Vec<u32>> = names.iter().map(|name| oids.get(name).copied()).collect();
        let Some(tables) = tables else { return Ok(None) };
        let look = client.prepare(&look_sql(objects)).await?;
        let nothing = Snapshot { xmin: 0, xmax: u64::MAX, running: Vec::new() };
        let seen = look_at(client, &look, &nothing).await?;
        let (Some(snapshot), Some(versions)) = (seen.snapshot, seen.versions) else {
            return Ok(None);
        };
        let (last, horizon) = (snapshot, Arc::new(Horizon::new()));
        let forget_at = now.after(FORGOTTEN_EVERY);
        Ok(Some(Self { look, versions, tables, last, horizon, settled: false, forget_at }))
    }

    /// `None` where nothing can be followed any more.
    async fn follow(&mut self, client: &Client, now: Timestamp) -> Result<Option<Changed>, Error> {
        if now >= self.forget_at {
            self.forget_at = now.after(FORGOTTEN_EVERY);
            client.execute("SELECT postern.forget_reason_changes()", &[]).await?;
        }
        let seen = look_at(client, &self.look, &self.last).await?;
        let (Some(snapshot), Some(forgotten)) = (seen.snapshot, seen.forgotten) else {
            return Ok(None);
        };
        if seen.versions.as_ref() != Some(&self.versions) {
            return Ok(None);
        }
        if !self.settled {
            self.settled = snapshot.has_ended(&self.last);
            if self.settled {
                self.last = snapshot;
            }
            return Ok(Some(Changed::Unknown));
        }
        // What has gone unseen is unknown, and so is what is too much.
        if !self.last.shows_all_of(&forgotten) || seen.changes.len() > CHANGES_MAX {
            return Ok(None);
        }
        self.last = snapshot;
        let mut these = HashSet::new();
        for (table, actor, subject) in seen.changes {
            let known = self.tables.iter().position(|oid| *oid == table);
            match (known, actor, subject) {
                (Some(table), Some(actor), Some(subject)) => {
                    these.insert((table, actor, subject));
                }
                // A whole table, or what is not understood.
                (Some(_), ..) => return Ok(None),
                // Another gateway's configuration reads it.
                (None, ..) => {}
            }
        }
        Ok(Some(Changed::These(these)))
    }
}

/// The look: one row. `$1` is the last snapshot's end, `$2` what ran in it.
fn look_sql(objects: &str) -> String {
    let limit = CHANGES_MAX + 1;
    format!(
        "WITH objects AS ({objects}), changes AS (
            SELECT c.relation, c.actor, c.subject FROM postern.reason_changes c
            WHERE c.xact OPERATOR(pg_catalog.>=) $1::pg_catalog.text::pg_catalog.xid8
            UNION ALL
            SELECT c.relation, c.actor, c.subject FROM postern.reason_changes c
            WHERE c.xact OPERATOR(pg_catalog.=)
                ANY ($2::pg_catalog.text[]::pg_catalog.xid8[])
            LIMIT {limit})
        SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery()
                THEN pg_catalog.pg_current_snapshot()::pg_catalog.text END,
            (SELECT m.forgotten::pg_catalog.text FROM postern.reason_marks m),
            (SELECT CASE WHEN pg_catalog.bool_and(o.fine) THEN
                pg_catalog.string_agg(o.version, ' ' ORDER BY o.object) END FROM objects o),
            c.relations, c.actors, c.subjects
        FROM (SELECT pg_catalog.array_agg(relation) AS relations,
                pg_catalog.array_agg(actor) AS actors, pg_catalog.array_agg(subject) AS subjects
            FROM changes) c"
    )
}

async fn look_at(client: &Client, look: &Statement, last: &Snapshot) -> Result<Look, Error> {
    let end = last.xmax.to_string();
    let running: Vec<String> = last.running.iter().map(u64::to_string).collect();
    let row = client.query_one(look, &[&end, &running]).await?;
    let snapshot = |column: usize| {
        let text = row.try_get::<_, Option<&str>>(column)?;
        Ok::<_, Error>(text.and_then(Snapshot::parse))
    };
    let relations: Vec<u32> = row.try_get::<_, Option<_>>(3)?.unwrap_or_default();
    let actors: Vec<Option<String>> = row.try_get::<_, Option<_>>(4)?.unwrap_or_default();
    let subjects: Vec<Option<String>> = row.try_get::<_, Option<_>>(5)?.unwrap_or_default();
    let named = relations.into_iter().zip(actors).zip(subjects);
    Ok(Look {
        snapshot: snapshot(0)?,
        forgotten: snapshot(1)?,
        versions: row.try_get(2)?,
        changes: named.map(|((relation, actor), subject)| (relation, actor, subject)).collect(),
    })
}
