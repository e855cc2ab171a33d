//! What the server answers.

use bytes::BytesMut;
use postern_sql::{Local, LookupKind, OwnChange};
use postern_wire::{
    Backend, Cells, DataRow, Frame, ReportFields, TransactionStatus, encode, rewrite,
};

use crate::{
    Effect, Failure, Session,
    copy::CopyIn,
    expect::Expect,
    hold::{Held, HeldRow, LookupTouch},
    judge::{Planned, PlannedGuarded},
    moment::Part,
    portal::{Portal, Run},
    scrub::scrub,
    touched::Touched,
};

/// The server sent what can't be, or something that can't be passed on: the session ends.
pub(crate) struct Unexpected;

impl From<postern_wire::MessageError> for Unexpected {
    fn from(_: postern_wire::MessageError) -> Self {
        Self
    }
}

impl From<rewrite::RewriteError> for Unexpected {
    fn from(_: rewrite::RewriteError) -> Self {
        Self
    }
}

impl From<encode::EncodeError> for Unexpected {
    fn from(_: encode::EncodeError) -> Self {
        Self
    }
}

pub(crate) type Handled = Result<(), Unexpected>;

impl Session {
    pub(crate) fn server(&mut self, frame: &Frame, effects: &mut Vec<Effect>) {
        if self.answer(frame, effects).is_err() {
            self.close(&Failure::Upstream, effects);
        }
    }

    fn answer(&mut self, frame: &Frame, effects: &mut Vec<Effect>) -> Handled {
        let message = Backend::parse(frame)?;
        if let Backend::ParameterStatus { name, value } = &message {
            self.is_set(name, value);
        }
        match message {
            Backend::DataRow(row) if self.tells_moment() => self.moment(&row, effects),
            Backend::RowDescription(_) if self.tells_moment() => Ok(()),
            Backend::CommandComplete(_) if self.answers_moment(Part::Execute) => Ok(()),
            Backend::ParseComplete if self.answers_moment(Part::Parse) => Ok(()),
            Backend::BindComplete if self.answers_moment(Part::Bind) => Ok(()),
            Backend::CloseComplete if self.answers_moment(Part::Close) => Ok(()),
            Backend::ReadyForQuery(_) if self.answers_moment(Part::Ready) => Ok(()),
            Backend::DataRow(row) => self.row(frame, &row, effects),
            Backend::RowDescription(columns) => self.described(frame, &columns, effects),
            Backend::ParameterDescription(types) => self.parameters(frame, &types, effects),
            Backend::NoData => self.no_data(frame, effects),
            Backend::ParseComplete => {
                let parses = |expect: &Expect| matches!(expect, Expect::Parse { known: false, .. });
                self.expect_or_own(parses, frame, effects)
            }
            Backend::BindComplete => {
                // Notices of the planning don't wait for an execution that may never come.
                if !self.early.is_empty() {
                    self.gate(effects);
                }
                self.astray.answers();
                if let Some(Expect::Bind { planned, .. }) = self.expected.front_mut() {
                    self.planned.extend(planned.take().map(|portal| *portal));
                }
                self.expect_or_own(|expect| matches!(expect, Expect::Bind { .. }), frame, effects)
            }
            Backend::CloseComplete if self.has_already(effects) => Ok(()),
            Backend::CloseComplete => {
                let closes = |expect: &Expect| {
                    matches!(expect, Expect::CloseStatement(_) | Expect::ClosePortal(_))
                };
                self.expect_or_own(closes, frame, effects)
            }
            Backend::CommandComplete(tag) => self.complete(frame, tag, effects),
            Backend::EmptyQueryResponse => self.empty(frame, effects),
            Backend::PortalSuspended => self.suspended(frame, effects),
            Backend::ErrorResponse(fields) => self.failed(&fields, effects),
            Backend::NoticeResponse(fields) => self.noticed(&fields, effects),
            Backend::ReadyForQuery(status) => self.ready(frame, status, effects),
            // A setting that changes while protected data is read may hold some of it.
            Backend::ParameterStatus { .. }
                if self.run().is_ok_and(|run| run.portal.plan.is_guarded()) =>
            {
                Ok(())
            }
            Backend::ParameterStatus { .. } => self.pass(frame, effects),
            // LISTEN is refused; a notification that comes anyway is nobody's to see.
            Backend::NotificationResponse { .. } if !self.profile.lets_through() => Ok(()),
            Backend::NotificationResponse { .. } => self.pass(frame, effects),
            Backend::CopyInResponse(_) => self.copy_in_response(frame, effects),
            Backend::CopyOutResponse(formats) => self.copy_out_response(frame, &formats, effects),
            Backend::CopyData(data) => self.copy_data(frame, data, effects),
            Backend::CopyDone => self.copy_done(frame, effects),
            Backend::FunctionCallResponse(_) if self.is_let_through() => self.pass(frame, effects),
            Backend::Authentication(_)
            | Backend::BackendKeyData { .. }
            | Backend::CopyBothResponse(_)
            | Backend::FunctionCallResponse(_)
            | Backend::NegotiateProtocolVersion { .. } => Err(Unexpected),
        }
    }

    /// Takes the answer for a statement that the server did not have to prepare: whether it was.
    fn has_already(&mut self, effects: &mut Vec<Effect>) -> bool {
        let is = matches!(self.expected.front(), Some(Expect::Parse { known: true, .. }));
        if is {
            self.expected.pop_front();
            let mut bytes = BytesMut::new();
            encode::parse_complete(&mut bytes);
            self.outbox.bytes(&bytes, effects);
        }
        is
    }

    pub(crate) fn pass(&mut self, frame: &Frame, effects: &mut Vec<Effect>) -> Handled {
        self.outbox.bytes(frame.raw(), effects);
        Ok(())
    }

    pub(crate) fn expect(&mut self, is: impl FnOnce(&Expect) -> bool) -> Handled {
        match self.expected.front() {
            Some(expect) if is(expect) => {
                self.expected.pop_front();
                Ok(())
            }
            Some(_) | None => Err(Unexpected),
        }
    }

    /// As [`Session::expect`]; what the gateway itself has asked for is not passed on.
    fn expect_or_own(
        &mut self,
        is: impl FnOnce(&Expect) -> bool,
        frame: &Frame,
        effects: &mut Vec<Effect>,
    ) -> Handled {
        if matches!(self.expected.front(), Some(Expect::Own { .. })) {
            self.expected.pop_front();
            return Ok(());
        }
        self.expect(is)?;
        self.pass(frame, effects)
    }

    /// The execution that the server is answering.
    pub(crate) fn run(&mut self) -> Result<&mut Run, Unexpected> {
        self.running().ok_or(Unexpected)
    }

    fn row(&mut self, frame: &Frame, row: &DataRow<'_>, effects: &mut Vec<Effect>) -> Handled {
        self.gate(effects);
        let run = self.run()?;
        run.rows += 1;
        let plan = run.portal.plan.clone();
        let guarded = match &*plan {
            Planned::Plain(plain) if plain.silent => return Ok(()),
            Planned::Plain(_) => return self.pass(frame, effects),
            Planned::Guarded(plan) if !plan.is_held() => return self.pass(frame, effects),
            Planned::Guarded(plan) => plan,
            Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => return Err(Unexpected),
        };
        let hidden = guarded.guarded.keys.len();
        if row.cells().len() != guarded.guarded.visible_columns + hidden {
            // Which of them are keys can't be told.
            return Err(Unexpected);
        }
        let cells = Some(row.cells());
        self.hold(guarded, cells, effects, |out| Ok(row.split_trailing_into(hidden, out)?))
    }

    /// Holds a row that is written without its keys, which are given back. What it shows is told if
    /// its cells are given.
    pub(crate) fn hold<'k, I: Iterator<Item = Option<&'k [u8]>>>(
        &mut self,
        guarded: &PlannedGuarded,
        shown: Option<Cells<'_>>,
        effects: &mut Vec<Effect>,
        write: impl FnOnce(&mut BytesMut) -> Result<I, Unexpected>,
    ) -> Handled {
        if self.outbox.is_discarding() && !guarded.guarded.writes {
            return Ok(());
        }
        let portal = self.run()?.portal.clone();
        self.tell_asked_first(guarded);
        self.hold_row(guarded, Vec::new());
        let Some(held) = &mut self.filling else { return Err(Unexpected) };
        held.hold.claimed.clone_from(&portal.claimed);
        let before = held.hold.bytes.len();
        let cells = write(&mut held.hold.bytes)?;
        let passed = guarded.guarded.passed.is_some() && portal.searched.pass();
        let stays = passed || portal.moves();
        if stays || guarded.guarded.silent {
            held.hold.bytes.truncate(before);
        }
        let index = held.hold.rows.len();
        let touched = match self.touched(guarded, &portal, cells, (index, stays))? {
            Ok(touched) => touched,
            Err(failure) => {
                if matches!(failure, Failure::FoldsTooMany) {
                    // Somebody was found, and the row can't be recorded.
                    self.found_too_long();
                }
                self.close(&failure, effects);
                return Ok(());
            }
        };
        // A row tells of a hit only if a record of the searched table stands behind it.
        let hit = guarded.guarded.lookups.iter().all(|lookup| touched.finds(lookup.leaf));
        let run = self.run()?;
        run.masked += touched.masked;
        run.passed += u64::from(passed);
        for touch in &touched.touches {
            run.came(guarded, usize::from(touch.leaf), &touch.subject);
        }
        let rows = run.rows;
        let mut told = run.tell_lookups(guarded, hit);
        // What is folded comes of no record, too. Where it is all that comes, it tells that.
        let found = !touched.touches.is_empty();
        if found || guarded.guarded.keys.iter().any(|key| key.many) {
            told.extend(guarded.deciders(&portal.searched, found));
        }
        let is_small = rows <= self.profile.limits.value_rows_max;
        let lapsed = self.lapsed(guarded, &touched);
        let Some(held) = &mut self.filling else { return Err(Unexpected) };
        let bytes = held.hold.bytes.len() - before;
        held.take_values(guarded, &touched.touches, shown.filter(|_| bytes > 0), is_small);
        let Touched { touches, relied, masked, unknown, lapsed: _ } = touched;
        if let Some(observed) = &mut held.hold.observed {
            observed.masked += masked;
            observed.unknown |= unknown;
        }
        held.touches += touches.len();
        held.relied.extend(relied);
        held.hold.rows.push(HeldRow { bytes, touches, asks: false });
        held.hold.lookups.extend(told);
        if let Some(failure) = lapsed {
            // Nothing is committed before this is seen.
            self.cut_running(&failure, effects);
        }
        self.flush_if_full(effects);
        Ok(())
    }

    /// Makes room for a row among those that fill up.
    pub(crate) fn hold_row(&mut self, plan: &PlannedGuarded, lookups: Vec<LookupTouch>) {
        let holds = &mut self.holds;
        let held = self.filling.get_or_insert_with(|| {
            *holds += 1;
            Held::of(*holds, plan)
        });
        held.hold.done = plan.guarded.writes;
        held.hold.lookups.extend(lookups);
    }

    pub(crate) fn flush_if_full(&mut self, effects: &mut Vec<Effect>) {
        let limits = &self.profile.limits;
        let full = self.filling.as_ref().is_some_and(|held| {
            held.hold.rows.len() >= limits.rows_max
                || held.hold.bytes.len() >= limits.bytes_max
                || held.touches >= TOUCHES_MAX
        });
        if full {
            self.flush(effects);
        }
    }

    /// The execution is over: the rest of its rows goes for recording, and its lookups are told
    /// even where no row came.
    fn finish_rows(&mut self, effects: &mut Vec<Effect>) -> Result<Run, Unexpected> {
        let mut run = self.take_run()?;
        self.tell_misses(&run);
        self.tell_asked(&mut run);
        self.flush(effects);
        self.warn_masked(run.masked);
        Ok(run)
    }

    /// The execution that the server is answering is over.
    fn take_run(&mut self) -> Result<Run, Unexpected> {
        match self.expected.front_mut() {
            Some(Expect::Simple(runs)) => runs.pop_front().ok_or(Unexpected),
            Some(Expect::Execute(_)) => match self.expected.pop_front() {
                Some(Expect::Execute(run)) => Ok(run),
                Some(_) | None => Err(Unexpected),
            },
            Some(_) | None => Err(Unexpected),
        }
    }

    pub(crate) fn tell_misses(&mut self, run: &Run) {
        // What is only prepared or declared has searched for nothing yet.
        let plan = match &*run.portal.plan {
            Planned::Guarded(plan) => plan,
            Planned::Copy(copy) => &copy.query,
            Planned::Plain(_) | Planned::Local(_) | Planned::Named(_) => return,
        };
        if !run.lookups_told {
            self.tell(plan, &run.portal, false);
        }
        self.tell_lookups_of(plan, plan.deciders(&run.portal.searched, false));
    }

    pub(crate) fn tell(&mut self, plan: &PlannedGuarded, portal: &Portal, hit: bool) {
        if !plan.looks_up(LookupKind::Compared) {
            return;
        }
        self.tell_lookups_of(plan, plan.lookups(LookupKind::Compared, &portal.searched, hit));
        if let Some(held) = &mut self.filling {
            held.hold.claimed.clone_from(&portal.claimed);
        }
    }

    pub(crate) fn tell_lookups_of(&mut self, plan: &PlannedGuarded, lookups: Vec<LookupTouch>) {
        if lookups.is_empty() {
            return;
        }
        if self.outbox.is_discarding() {
            // The client does not see the answer, but may see what it led to.
            self.holds += 1;
            let mut held = Held::of(self.holds, plan);
            held.hold.lookups = lookups;
            self.untold.extend(held.searched());
        } else {
            self.hold_row(plan, lookups);
        }
    }

    /// The client is gone: what its statements searched for is told all the same, so that nobody
    /// asks for nothing by hanging up. No row leaves any more.
    pub fn abandon(&mut self, effects: &mut Vec<Effect>) {
        self.untold.extend(self.filling.take().and_then(|mut held| held.searched()));
        self.untold.extend(self.outbox.searched());
        self.tell_planned();
        for mut expect in std::mem::take(&mut self.expected) {
            if let Expect::Bind { planned, .. } = &mut expect {
                self.planned.extend(planned.take().map(|portal| *portal));
                self.tell_planned();
            }
            for run in expect.into_runs() {
                self.abandon_run(run);
            }
        }
        self.untold.extend(self.filling.take().and_then(|mut held| held.searched()));
        effects.extend(self.untold.drain(..).map(Effect::Tell));
    }

    /// The server has sent a row that is longer than a message may be, so that the connection ends:
    /// somebody was found.
    pub fn found_too_long(&mut self) {
        let Ok(mut run) = self.take_run() else { return };
        let plan = run.portal.plan.clone();
        let Some(plan) = plan.guarded() else { return };
        let mut told = run.tell_lookups(plan, true);
        told.extend(plan.deciders(&run.portal.searched, true));
        if !told.is_empty() {
            self.holds += 1;
            let mut held = Held::of(self.holds, plan);
            held.hold.lookups = told;
            self.untold.push(held.hold);
        }
        self.tell_misses(&run);
        self.tell_asked(&mut run);
        self.tell_failed(plan, "54000");
    }

    /// What was planned and never run: how long that takes hangs on values that ANALYZE has kept of
    /// the columns that decide.
    pub(crate) fn tell_planned(&mut self) {
        for portal in std::mem::take(&mut self.planned) {
            if let Some(plan) = portal.plan.guarded() {
                self.tell_lookups_of(plan, plan.deciders(&portal.searched, false));
            }
        }
    }

    fn abandon_run(&mut self, mut run: Run) {
        self.tell_misses(&run);
        self.tell_asked(&mut run);
        // When it ends, and that it does not, can hang on what it works with.
        if let Some(plan) = run.portal.plan.guarded().filter(|plan| plan.works()) {
            self.tell_failed(plan, postern_wire::SqlState::CONNECTION_FAILURE.as_str());
        }
        self.untold.extend(self.filling.take().and_then(|mut held| held.searched()));
    }

    fn complete(&mut self, frame: &Frame, tag: &str, effects: &mut Vec<Effect>) -> Handled {
        self.astray.answers();
        if self.is_let_through() {
            self.copy_in = CopyIn::No;
            if matches!(self.expected.front(), Some(Expect::Simple(_))) {
                // More statements may follow in the text; what ends it is the ReadyForQuery.
                return self.pass(frame, effects);
            }
        }
        self.gate(effects);
        let run = self.finish_rows(effects)?;
        self.trace_done(&run, tag);
        if tag == "DISCARD ALL" && run.portal.resets() {
            self.astray.discarded();
        }
        let writes = ["INSERT", "UPDATE", "DELETE", "MERGE"];
        if let Planned::Guarded(plan) = &*run.portal.plan
            && !plan.guarded.leaves.is_empty()
            && (plan.guarded.writes || writes.iter().any(|verb| tag.starts_with(verb)))
        {
            self.wrote = true;
            if plan.guarded.opens && run.rows > 0 {
                effects.push(Effect::Wrote(plan.shown.clone()));
            }
        }
        let declares = matches!(&*run.portal.plan, Planned::Named(_));
        if declares && run.portal.plan.guarded().is_some_and(PlannedGuarded::works) {
            self.planned.push(run.portal.clone());
        }
        // A COMMIT that could not be; what a ROLLBACK undoes is known since it was sent.
        let undoes = |change: &OwnChange| !matches!(change, OwnChange::Commit);
        let undone = matches!(&*run.portal.plan,
            Planned::Plain(plain) if plain.changes.iter().any(undoes));
        if tag == "ROLLBACK" {
            self.unsettle();
            if !undone {
                self.own.fails();
            }
        }
        if matches!(tag, "ROLLBACK" | "COMMIT") {
            self.portals.values_mut().for_each(|portal| portal.unsure = true);
        }
        let Some(tag) = own_tag(&run, tag)? else { return self.pass(frame, effects) };
        let mut bytes = BytesMut::new();
        encode::command_complete(&mut bytes, &tag)?;
        self.outbox.bytes(&bytes, effects);
        Ok(())
    }

    fn empty(&mut self, frame: &Frame, effects: &mut Vec<Effect>) -> Handled {
        self.gate(effects);
        let run = self.finish_rows(effects)?;
        let Planned::Local(local) = &*run.portal.plan else { return self.pass(frame, effects) };
        let mut bytes = BytesMut::new();
        match local {
            Local::Empty => return self.pass(frame, effects),
            Local::Tag(tag) => encode::command_complete(&mut bytes, tag)?,
        }
        self.outbox.bytes(&bytes, effects);
        Ok(())
    }

    fn suspended(&mut self, frame: &Frame, effects: &mut Vec<Effect>) -> Handled {
        if !matches!(self.expected.front(), Some(Expect::Execute(_))) {
            return Err(Unexpected);
        }
        self.gate(effects);
        self.finish_rows(effects)?;
        self.pass(frame, effects)
    }

    /// What the server says of protected data beside its rows stays here.
    fn noticed(&mut self, fields: &ReportFields<'_>, effects: &mut Vec<Effect>) -> Handled {
        let bound = matches!(
            self.expected.front(),
            Some(Expect::Bind { guarded: true, .. } | Expect::Own { guarded: true, .. })
        );
        // How many there are can tell how many rows there are, and no entry says so.
        let enforced = self.profile.enforcement.is_enforced();
        let guarded =
            bound || self.wrote || self.run().is_ok_and(|run| run.portal.plan.is_guarded());
        if guarded && enforced {
            return Ok(());
        }
        let said = self.running().is_some_and(|run| std::mem::replace(&mut run.said, true));
        if guarded && !said {
            let plan = self.running().map(|run| run.portal.plan.clone());
            let shown = plan.and_then(|plan| plan.guarded().map(|plan| plan.shown.clone()));
            self.tell_said(shown, effects);
        }
        let mut bytes = BytesMut::new();
        scrub(b'N', fields, false, &mut bytes)?;
        self.notice(&bytes, effects);
        Ok(())
    }

    /// A setting has changed, however that came about: the session finds it again.
    fn is_set(&mut self, name: &str, value: &str) {
        self.traces.kept = true;
        // Texts may be read in another way than they are judged.
        let reads = match name {
            "client_encoding" => value == "UTF8",
            "standard_conforming_strings" => value == "on",
            _ => true,
        };
        if !reads {
            self.astray.strays();
        }
    }

    fn ready(
        &mut self,
        frame: &Frame,
        status: TransactionStatus,
        effects: &mut Vec<Effect>,
    ) -> Handled {
        // Executions that never answered can't be: after an error they are dropped.
        let let_through = self.is_let_through();
        if let Some(Expect::Simple(runs)) = self.expected.front()
            && (runs.is_empty() || let_through)
        {
            self.expected.pop_front();
        }
        self.expect(Expect::is_ready)?;
        self.tell_planned();
        self.flush(effects);
        self.astray.answered();
        self.status = status;
        self.end_scope(status);
        if status == TransactionStatus::Idle {
            self.end_portals();
            let let_through = self.astray.ends();
            if self.own.ends(self.expected.is_empty()) || let_through {
                effects.push(Effect::Defined);
            }
            if std::mem::take(&mut self.wrote) || let_through {
                effects.push(Effect::ReadReasons);
            }
        }
        if self.expected.is_empty() {
            self.moments.rests();
            self.sent = false;
        }
        self.outbox.ready(frame.raw(), effects);
        Ok(())
    }
}

/// The tag that the client gets, if the server's is of another statement than the client's.
fn own_tag(run: &Run, tag: &str) -> Result<Option<String>, Unexpected> {
    // It stands for something else: `NOTHING_DONE`.
    if let Planned::Local(Local::Tag(tag)) = &*run.portal.plan {
        return Ok(Some((*tag).to_owned()));
    }
    if let Planned::Plain(plain) = &*run.portal.plan
        && let Some(tag) = plain.tag
    {
        return Ok(Some(tag.to_owned()));
    }
    if tag == "UNLISTEN" && matches!(&*run.portal.plan, Planned::Named(_)) {
        return Ok(Some("DEALLOCATE".to_owned()));
    }
    if let Some(count) = tag.strip_prefix("FETCH").filter(|_| run.portal.moves()) {
        return Ok(Some(format!("MOVE{count}")));
    }
    if run.passed == 0 {
        return Ok(None);
    }
    // Rows that were passed over are not counted.
    let (verb, count) = tag.rsplit_once(' ').ok_or(Unexpected)?;
    let count: u64 = count.parse().map_err(|_| Unexpected)?;
    Ok(Some(format!("{verb} {}", count.saturating_sub(run.passed))))
}

impl Session {
    /// Whether the server is answering a text that is sent as the client wrote it.
    pub(crate) fn is_let_through(&mut self) -> bool {
        self.running().is_some_and(|run| run.portal.plan.unaccounted().is_some())
    }
}

impl Run {
    /// What the ledger learns of the statement's lookups, once per execution.
    fn tell_lookups(&mut self, plan: &PlannedGuarded, hit: bool) -> Vec<LookupTouch> {
        if std::mem::replace(&mut self.lookups_told, true) {
            Vec::new()
        } else {
            plan.lookups(LookupKind::Compared, &self.portal.searched, hit)
        }
    }
}

/// A hold with more records than this is full.
const TOUCHES_MAX: usize = 16_384;
