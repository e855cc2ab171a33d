//! What another policy would have shown and masked of what is in the ledger.
//!
//! The ledger has columns, reasons and grades, and no SQL that could be judged again. So it is
//! asked of each protected column of each record that left whether the two policies differ about
//! it, for the account's role as it is today. What they would have refused, or what somebody would
//! have asked instead, is not told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    time::Duration,
};

use postern_ledger::{Body, Disclosed, Group, LookedUp, Reader};
use postern_model::{Actor, Clock as _, FAILED, NOT_ENFORCED, Reason};
use postern_policy::{Action, Policy, Request};
use postern_session::Kind;
use serde::Serialize;

use super::{super::ledger::recorded, class_of, read};
use crate::{
    cli::PolicyReplayArgs,
    clock::SystemClock,
    config,
    control::Asked,
    serve::{self, Basis},
    ui::{self, Outcome},
};

/// What `policy replay --json` prints; version 1.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    days: u32,
    /// Entries of disclosures that were looked at.
    entries: u64,
    /// Entries by accounts that are not there any more, whose role is not known.
    without_account: u64,
    changes: Vec<Changed>,
}

/// What would have been otherwise.
#[derive(Debug, Serialize)]
struct Changed {
    role: String,
    /// `masked` for what was clear, `clear` for what was masked, `refused` for look-ups that would
    /// not have been, and `kept out` for what somebody did who could not have logged in.
    what: &'static str,
    /// As `schema.table.column`, or nothing.
    column: String,
    /// The reason that held, or nothing.
    reason: String,
    entries: u64,
    /// Different customers.
    subjects: usize,
    /// Different accounts.
    actors: usize,
}

/// Of one kind of change: who, whom, and in how many entries.
#[derive(Debug, Default)]
struct Sum {
    entries: u64,
    subjects: BTreeSet<String>,
    actors: BTreeSet<Actor>,
}

/// Role, what, column, reason.
type Kinds = BTreeMap<(String, &'static str, String, String), Sum>;

pub(super) fn run(config: &Path, args: &PolicyReplayArgs) -> anyhow::Result<Outcome> {
    let settings = config::load(config)?.settings;
    let other = read(&args.policy)?;
    let basis = serve::basis(&settings)?;
    let given = args.ledger.is_some();
    let folder = args.ledger.clone().unwrap_or_else(|| settings.data.ledger());
    let days = Duration::from_secs(86_400).saturating_mul(args.days);
    let since = SystemClock.now().before(days);
    let asked = Asked { since: Some(since.0), ..Asked::about(None, None) };
    let asked = recorded::record(config, &folder, given, asked)?;
    let mut comparing = Comparing { basis: &basis, other: &other, kinds: Kinds::new() };
    let (mut entries, mut without_account) = (0, 0);
    for entry in Reader::open(&folder)? {
        let entry = entry?;
        // Up to the question.
        if asked.is_some_and(|asked| entry.sequence >= asked) {
            break;
        }
        let Body::Disclosed(disclosed) = &entry.body else { continue };
        if entry.time < since {
            continue;
        }
        entries += 1;
        without_account += u64::from(!comparing.entry(disclosed));
    }
    let changes = comparing.kinds.into_iter().map(|((role, what, column, reason), sum)| Changed {
        role,
        what,
        column,
        reason,
        entries: sum.entries,
        subjects: sum.subjects.len(),
        actors: sum.actors.len(),
    });
    let changes: Vec<Changed> = changes.collect();
    let same = changes.is_empty();
    let report = Report { version: 1, days: args.days, entries, without_account, changes };
    if args.json {
        ui::json(&report)?
    } else {
        ui::result(report.text().trim_end())?
    }
    Ok(if same { Outcome::Yes } else { Outcome::No })
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for changed in &self.changes {
            let Changed { role, what, column, reason, entries, subjects, actors } = changed;
            let _ = write!(text, "{what:<9} {role}");
            if !column.is_empty() {
                let _ = write!(text, ": {column}");
            }
            if !reason.is_empty() {
                let _ = write!(text, " for {reason}");
            }
            let _ = writeln!(
                text,
                "\n          {entries} entries, {subjects} customers, {actors} accounts"
            );
        }
        let Self { days, entries, without_account, .. } = self;
        let differ = if self.changes.is_empty() { "nothing would be otherwise" } else { "" };
        let _ = writeln!(text, "{entries} entries of {days} days; {differ}");
        if *without_account > 0 {
            let _ = writeln!(
                text,
                "{without_account} of them are by accounts that are not there any more, of which \
                 nothing is said"
            );
        }
        text.replace("; \n", "\n")
    }
}

struct Comparing<'b> {
    basis: &'b Basis,
    other: &'b Policy,
    kinds: Kinds,
}

/// Whose entry it is.
struct By<'d> {
    actor: &'d Actor,
    role: &'d str,
}

impl Comparing<'_> {
    /// Compares what an entry says; whether the account is there.
    fn entry(&mut self, disclosed: &Disclosed) -> bool {
        let people = &self.basis.people;
        let Some(account) = people.account(disclosed.actor.as_str()) else { return false };
        let role = account.role.clone();
        let by = By { actor: &disclosed.actor, role: &role };
        let connects = |policy: &Policy| permits(policy, &by, (Action::Connect, "", None), None);
        if connects(&self.basis.policy) && !connects(self.other) {
            let subjects = disclosed.groups.iter().flat_map(|group| &group.subjects);
            let subjects = subjects.map(ToString::to_string).collect();
            self.add(&by, ("kept out", String::new(), None), subjects);
            return true;
        }
        // What an accounted role sees policy is not asked about.
        let kind = self.basis.gateway.roles.get(&role).map(|role| role.kind);
        if kind == Some(Kind::Restricted) {
            disclosed.groups.iter().for_each(|group| self.group(&by, group));
        }
        disclosed.lookups.iter().for_each(|lookup| self.lookup(&by, lookup));
        true
    }

    fn group(&mut self, by: &By<'_>, group: &Group) {
        let reason = group.reason.as_ref().filter(|reason| &*reason.name != NOT_ENFORCED);
        let subjects: BTreeSet<String> = group.subjects.iter().map(ToString::to_string).collect();
        for column in group.clear.iter().chain(&group.masked) {
            let about = (Action::SeeClear, &*group.relation, Some(&**column));
            let shows = |policy: &Policy| self.shows(policy, by, about, reason);
            let what = match (shows(&self.basis.policy), shows(self.other)) {
                (true, false) => "masked",
                (false, true) => "clear",
                (true, true) | (false, false) => continue,
            };
            // What was masked for the way in which it was used stays so.
            if what == "clear" && group.clear.contains(column) {
                continue;
            }
            let column = format!("{}.{column}", group.relation);
            self.add(by, (what, column, reason), subjects.clone());
        }
    }

    /// A column that is shown without a reason is shown with one.
    fn shows(
        &self,
        policy: &Policy,
        by: &By<'_>,
        (action, table, column): (Action, &str, Option<&str>),
        reason: Option<&Reason>,
    ) -> bool {
        let class = column.and_then(|column| class_of(&self.basis.gateway.tables, table, column));
        let asks = |reason| {
            let request =
                Request { actor: by.actor, role: by.role, action, table, column, class, reason };
            policy.decide(&request).permitted
        };
        asks(None) || reason.is_some() && asks(reason)
    }

    fn lookup(&mut self, by: &By<'_>, lookup: &LookedUp) {
        if lookup.column.starts_with(FAILED) {
            return;
        }
        let about = (Action::LookUp, &*lookup.relation, Some(&*lookup.column));
        let permitted = |policy: &Policy| self.shows(policy, by, about, None);
        if permitted(&self.basis.policy) && !permitted(self.other) {
            let column = format!("{}.{}", lookup.relation, lookup.column);
            self.add(by, ("refused", column, None), BTreeSet::new());
        }
    }

    fn add(
        &mut self,
        by: &By<'_>,
        (what, column, reason): (&'static str, String, Option<&Reason>),
        subjects: BTreeSet<String>,
    ) {
        let reason = reason.map_or_else(String::new, |reason| {
            format!("{} ({})", reason.name, reason.grade.as_str())
        });
        let sum = self.kinds.entry((by.role.to_owned(), what, column, reason)).or_default();
        sum.entries += 1;
        sum.subjects.extend(subjects);
        sum.actors.insert(by.actor.clone());
    }
}

fn permits(
    policy: &Policy,
    by: &By<'_>,
    (action, table, column): (Action, &str, Option<&str>),
    reason: Option<&Reason>,
) -> bool {
    let class = None;
    let request = Request { actor: by.actor, role: by.role, action, table, column, class, reason };
    policy.decide(&request).permitted
}
