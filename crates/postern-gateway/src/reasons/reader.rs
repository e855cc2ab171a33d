//! Reads reasons over one connection: whole for whoever is not kept, and of those who are what has
//! changed.
//!
//! INVARIANT: a set with the present horizon has all that its settled reasons say at the last look,
//! or at a later moment. Whatever is read by this connection is read after the look before it, and
//! what has changed after that is found by the next one, which the horizon waits for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, PoisonError},
};

use postern_model::{Actor, Clock, Grade, Reason, Subject, Timestamp};
use postern_people::{APPROVAL, BREAK_GLASS};
use postern_session::{Entitled, Held, ReasonGrade, ReasonSettings, Ticket};
use postern_sql::quote::identifier;
use tokio_postgres::{Client, Row, Statement};

use super::{
    READING_LASTS, Reasons, Request, told,
    watch::{Changed, Watch},
};
use crate::catalogue::KeepError;

/// Reads reasons over one connection.
pub(crate) struct Reader<'a> {
    client: &'a Client,
    queries: Vec<Query>,
    clock: &'a dyn Clock,
    watch: Watch,
    /// Whom approvals let in, and to what, when it was looked at last.
    approved: BTreeMap<Actor, Vec<Held>>,
}

/// The queries of a reason.
struct Query {
    reason: Arc<str>,
    /// For all of some actors.
    whole: Statement,
    /// For some pairs of actor and subject of the table of that number; only for a reason that
    /// nothing but a change of its row begins or ends.
    changed: Option<(usize, Statement)>,
}

/// What was read of one actor.
#[derive(Default)]
struct Read {
    held: Vec<Held>,
    tickets: Vec<Ticket>,
}

impl<'a> Reader<'a> {
    /// Prepares the queries of each declared reason.
    ///
    /// # Errors
    /// What the server says of a query, e.g. that a column does not exist; with the reason's name.
    pub(crate) async fn prepare(
        client: &'a Client,
        settings: &[ReasonSettings],
        clock: &'a dyn Clock,
    ) -> Result<Self, KeepError> {
        let sources = told::sources(settings);
        let mut queries = Vec::new();
        // A reason of no table is an approval's.
        for settings in settings.iter().filter(|settings| !settings.table.is_empty()) {
            let reason = settings.name.clone();
            let prepared = client.prepare(&whole_sql(settings)).await;
            let whole =
                prepared.map_err(|source| KeepError::Reason { reason: reason.clone(), source })?;
            let of = |source: &told::Source| source.is_of(settings);
            let changed = match sources.iter().position(of) {
                Some(source) if hangs_on_its_row(client, settings).await? => {
                    let prepared = client.prepare(&changed_sql(settings)).await;
                    // A column may have a name of the query's own.
                    prepared.ok().map(|statement| (source, statement))
                }
                _ => None,
            };
            queries.push(Query { reason, whole, changed });
        }
        let wanted = queries.iter().any(|query| query.changed.is_some());
        let watch = Watch::new(settings, wanted);
        Ok(Self { client, queries, clock, watch, approved: BTreeMap::new() })
    }

    /// Reads for nobody: fails where a reading would, as far as that does not hang on what is read.
    pub(crate) async fn try_all(&self) -> Result<(), KeepError> {
        for query in &self.queries {
            let tried = self.client.query(&query.whole, &[&Vec::<&str>::new()]).await;
            tried.map_err(|error| unreadable(&query.reason, &error))?;
        }
        Ok(())
    }

    /// Has all readings up to date that are kept, and those of whoever has asked for something of
    /// late.
    pub(crate) async fn read_all(&mut self, reasons: &Reasons) -> Result<(), KeepError> {
        self.follow(reasons).await?;
        let now = self.clock.now();
        self.read(reasons, &reasons.actors(now)).await?;
        self.read_whole(reasons, &reasons.overdue(now)).await
    }

    /// Reads the actors that somebody waits for, then tells them.
    pub(crate) async fn read_asked(
        &mut self,
        reasons: &Reasons,
        asked: Vec<Request>,
    ) -> Result<(), KeepError> {
        self.follow(reasons).await?;
        // Each once, however many of its sessions ask: a reading is given to one.
        let actors: BTreeSet<Actor> = asked.iter().map(|request| request.actor.clone()).collect();
        self.read(reasons, &Vec::from_iter(actors.iter().cloned())).await?;
        reasons.are_used(&actors, self.clock.now());
        for request in asked {
            // Whoever does not wait any more needs no answer.
            let _ = request.done.send(());
        }
        Ok(())
    }

    /// Brings what is kept up to date, and has it count from now on.
    async fn follow(&mut self, reasons: &Reasons) -> Result<(), KeepError> {
        // What the look shows is as old as its beginning.
        let until = self.clock.now().after(READING_LASTS);
        let changed = match self.watch.look(self.client, self.clock).await? {
            Changed::These(changed) => changed,
            Changed::Unknown => return Ok(()),
        };
        let Some(horizon) = self.watch.horizon().cloned() else { return Ok(()) };
        let mut stale = Stale::new();
        for (source, actor, subject) in changed {
            let actor = Actor::new(actor);
            if reasons.kept(&actor, &horizon).is_some() {
                stale.entry(actor).or_default().insert((source, Subject::new(subject)));
            }
        }
        for actor in self.newly_approved(reasons) {
            stale.entry(actor).or_default();
        }
        let mut read = self.read_changed(&stale).await?;
        for (actor, gone) in &stale {
            let Some(before) = reasons.kept(actor, &horizon) else { continue };
            let left = before.without(|subject, reason| {
                is_approval(reason)
                    || self
                        .source_of(reason)
                        .is_some_and(|source| gone.contains(&(source, subject.clone())))
            });
            let read = read.remove(actor.as_str()).unwrap_or_default().with(left);
            let entitled = self.entitled(reasons, actor, read, before.until());
            reasons.store(actor, entitled.kept_by(horizon.clone()));
        }
        horizon.extend(until);
        Ok(())
    }

    /// The pairs that have changed, as they are now.
    async fn read_changed(&self, stale: &Stale) -> Result<HashMap<String, Read>, KeepError> {
        let mut read = HashMap::new();
        for query in &self.queries {
            let Some((source, statement)) = &query.changed else { continue };
            let pairs = stale.iter().flat_map(|(actor, gone)| {
                let of_it = gone.iter().filter(|(of, _)| of == source);
                of_it.map(|(_, subject)| (actor.as_str(), subject.as_str()))
            });
            let (actors, subjects): (Vec<&str>, Vec<&str>) = pairs.unzip();
            if actors.is_empty() {
                continue;
            }
            let rows = self.client.query(statement, &[&actors, &subjects]).await;
            add(
                &query.reason,
                &rows.map_err(|error| unreadable(&query.reason, &error))?,
                &mut read,
            )?;
        }
        Ok(read)
    }

    /// Reads actors: of those who are kept only what is not kept of them.
    async fn read(&self, reasons: &Reasons, actors: &[Actor]) -> Result<(), KeepError> {
        let horizon = self.watch.horizon();
        let kept = |actor: &Actor| horizon.and_then(|horizon| reasons.kept(actor, horizon));
        let wanted = actors.iter().map(|actor| (actor, kept(actor)));
        // Of whoever is kept as a whole nothing is left to be read.
        let lasting = self.is_lasting();
        let wanted = wanted.filter(|(_, kept)| !lasting || kept.is_none()).collect();
        self.read_beside(reasons, wanted).await
    }

    /// Reads actors whole, whatever is kept of them.
    async fn read_whole(&self, reasons: &Reasons, actors: &[Actor]) -> Result<(), KeepError> {
        self.read_beside(reasons, actors.iter().map(|actor| (actor, None)).collect()).await
    }

    /// Whether nothing of who is kept has to be read again.
    fn is_lasting(&self) -> bool {
        self.watch.horizon().is_some() && self.queries.iter().all(|q| q.changed.is_some())
    }

    /// Reads actors, but for what is kept of them.
    async fn read_beside(
        &self,
        reasons: &Reasons,
        wanted: Vec<(&Actor, Option<Arc<Entitled>>)>,
    ) -> Result<(), KeepError> {
        // The reading is as old as its beginning.
        let now = self.clock.now();
        let horizon = self.watch.horizon();
        let mut read = HashMap::new();
        for query in &self.queries {
            let is_read = |kept: &Option<_>| kept.is_none() || query.changed.is_none();
            let names = wanted.iter().filter(|(_, kept)| is_read(kept));
            let names: Vec<&str> = names.map(|(actor, _)| actor.as_str()).collect();
            if names.is_empty() {
                continue;
            }
            let rows = self.client.query(&query.whole, &[&names]).await;
            add(
                &query.reason,
                &rows.map_err(|error| unreadable(&query.reason, &error))?,
                &mut read,
            )?;
        }
        let until = if self.is_lasting() { Timestamp(i64::MAX) } else { now.after(READING_LASTS) };
        for (actor, kept) in wanted {
            let whole = kept.is_none();
            let mut theirs = read.remove(actor.as_str()).unwrap_or_default();
            if let Some(kept) = kept {
                let is_read = |reason: &Reason| self.source_of(reason).is_none();
                theirs = theirs.with(kept.without(|_, reason| is_read(reason)));
            }
            let mut entitled = self.entitled(reasons, actor, theirs, until);
            if let Some(horizon) = horizon {
                entitled = entitled.kept_by(horizon.clone());
            }
            match whole {
                true => reasons.store_whole(actor, entitled, now),
                false => reasons.store(actor, entitled),
            }
        }
        Ok(())
    }

    /// What was read, with what approvals say.
    fn entitled(&self, reasons: &Reasons, actor: &Actor, read: Read, until: Timestamp) -> Entitled {
        let mut held = read.held;
        if let Some(approvals) = &reasons.approvals {
            let approvals = approvals.lock().unwrap_or_else(PoisonError::into_inner);
            held.extend(approvals.held(actor, self.clock.now()));
        }
        Entitled::new(held, until).with_tickets(read.tickets)
    }

    /// For whom approvals say something else than at the last look.
    fn newly_approved(&mut self, reasons: &Reasons) -> BTreeSet<Actor> {
        let Some(approvals) = &reasons.approvals else { return BTreeSet::new() };
        let now = self.clock.now();
        let approved: BTreeMap<Actor, Vec<Held>> = {
            let approvals = approvals.lock().unwrap_or_else(PoisonError::into_inner);
            let holding = approvals.iter().filter(|one| one.holds(now));
            let actors: BTreeSet<&Actor> = holding.map(|one| &one.actor).collect();
            let held = actors
                .into_iter()
                .map(|actor| (actor.clone(), approvals.held(actor, now).collect::<Vec<_>>()));
            held.filter(|(_, held)| !held.is_empty()).collect()
        };
        let before = std::mem::replace(&mut self.approved, approved);
        let actors = before.keys().chain(self.approved.keys());
        let other = actors.filter(|actor| before.get(*actor) != self.approved.get(*actor));
        other.cloned().collect()
    }

    /// The table that a reason is read from, by its number, if the reason is kept by its changes.
    fn source_of(&self, reason: &Reason) -> Option<usize> {
        let query = self.queries.iter().find(|query| query.reason == reason.name)?;
        query.changed.as_ref().map(|(source, _)| *source)
    }
}

/// Whose reasons have changed, by the number of the table that they are read from and subject.
type Stale = BTreeMap<Actor, HashSet<(usize, Subject)>>;

impl Read {
    fn with(mut self, (held, tickets): (Vec<Held>, Vec<Ticket>)) -> Self {
        self.held.extend(held);
        self.tickets.extend(tickets);
        self
    }
}

fn is_approval(reason: &Reason) -> bool {
    [APPROVAL, BREAK_GLASS].contains(&&*reason.name)
}

/// Adds the rows of a reason's query to what was read of their actors.
fn add(name: &Arc<str>, rows: &[Row], read: &mut HashMap<String, Read>) -> Result<(), KeepError> {
    for row in rows {
        let (actor, subject, grade, ticket) =
            entitlement(row).map_err(|error| unreadable(name, &error))?;
        let (subject, reason) = (Subject::new(subject), Reason { name: name.clone(), grade });
        if !read.contains_key(actor) {
            read.insert(actor.to_owned(), Read::default());
        }
        let Some(theirs) = read.get_mut(actor) else { continue };
        if let Some(ticket) = ticket {
            theirs.tickets.push((ticket.into(), subject.clone(), reason.clone()));
        }
        theirs.held.push((subject, reason));
    }
    Ok(())
}

/// Whether a reason begins and ends with changes of its row only, in the judgement of the server:
/// its condition may not hang on the time, on settings, on other rows or on functions of others.
async fn hangs_on_its_row(client: &Client, reason: &ReasonSettings) -> Result<bool, KeepError> {
    let [table, index] = told::trial_sql(reason);
    client.batch_execute("BEGIN").await?;
    let mut hangs = true;
    for sql in [&table, &index] {
        // Also where the server lets nobody make a temporary table, as a standby does.
        hangs = hangs && refused(client.execute(sql, &[]).await)?.is_some();
    }
    if hangs {
        let row = refused(client.query_one(told::HANGS_ON_SQL, &[]).await)?;
        hangs = match row {
            Some(row) => !row.try_get::<_, bool>(0)?,
            None => false,
        };
    }
    client.batch_execute("ROLLBACK").await?;
    Ok(hangs)
}

/// `None` for what the server refuses.
fn refused<T>(
    answer: Result<T, tokio_postgres::Error>,
) -> Result<Option<T>, tokio_postgres::Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Actor, subject, grade and ticket.
type Entitlement<'r> = (&'r str, &'r str, Grade, Option<&'r str>);

fn entitlement(row: &Row) -> Result<Entitlement<'_>, tokio_postgres::Error> {
    let grade = if row.try_get(2)? { Grade::Strong } else { Grade::Weak };
    Ok((row.try_get(0)?, row.try_get(1)?, grade, row.try_get(3)?))
}

fn unreadable(reason: &Arc<str>, error: &tokio_postgres::Error) -> KeepError {
    let what = match error.code() {
        Some(code) => format!("SQLSTATE {}", code.code()),
        None if error.is_closed() => "the connection is closed".to_owned(),
        None => "the answer can't be read".to_owned(),
    };
    KeepError::Reading { reason: reason.clone(), what }
}

/// The SQL of a reason: actor, subject, whether it is strong, and the ticket if it has one, for the
/// actors in `$1`.
fn whole_sql(reason: &ReasonSettings) -> String {
    let actor = identifier(&reason.actor);
    let of = format!(
        "WHERE {actor}::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])"
    );
    select_sql(reason, &of)
}

/// The same for the pairs of actors in `$1` and subjects in `$2`.
fn changed_sql(reason: &ReasonSettings) -> String {
    let (actor, subject) = (identifier(&reason.actor), identifier(&reason.subject));
    let of = format!(
        "JOIN (SELECT * FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), \
         pg_catalog.unnest($2::pg_catalog.text[])) AS c (postern_actor, postern_subject)) c \
         ON {actor}::pg_catalog.text OPERATOR(pg_catalog.=) postern_actor \
         AND {subject}::pg_catalog.text OPERATOR(pg_catalog.=) postern_subject WHERE true"
    );
    select_sql(reason, &of)
}

fn select_sql(reason: &ReasonSettings, of: &str) -> String {
    let strong = match &reason.grade {
        ReasonGrade::Always(Grade::Strong) => "true".to_owned(),
        ReasonGrade::Always(Grade::Weak) => "false".to_owned(),
        ReasonGrade::StrongWhen(condition) => format!("coalesce(({condition}), false)"),
    };
    let ticket = reason.ticket.as_deref().map_or_else(|| "NULL".to_owned(), identifier);
    format!(
        "SELECT {actor}::pg_catalog.text, {subject}::pg_catalog.text, {strong}, \
         {ticket}::pg_catalog.text \
         FROM {schema}.{table} {of} AND {subject} IS NOT NULL AND ({condition})",
        actor = identifier(&reason.actor),
        subject = identifier(&reason.subject),
        schema = identifier(&reason.schema),
        table = identifier(&reason.table),
        condition = reason.condition,
    )
}
