//! One case, with all that helps to judge it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use postern_cases::{Case, Comparison, Load, compare};
use postern_ledger::Reader;
use postern_model::{Access, Actor, Event, Grade, Timestamp};
use serde::Serialize;

use super::Files;
use crate::{
    cli::CaseShowArgs,
    events,
    ui::{self, Outcome},
};

/// How many accesses a person is shown; JSON has all.
const SHOWN: usize = 12;

/// `cases show --json`; version 1.
#[derive(Debug, Serialize)]
struct Shown {
    version: u32,
    case: u64,
    status: &'static str,
    severity: &'static str,
    accounts: Vec<String>,
    named: bool,
    judged_suspicious_by: Option<String>,
    from: String,
    to: String,
    causes: Vec<Cause>,
    /// Customers shown in clear from the first evidence to the last finding: the case's accounts
    /// beside their peers, and those of them that no strong reason explains.
    peers: Option<Peers>,
    evidence: Vec<Evidence>,
    history: Vec<Done>,
}

#[derive(Debug, Serialize)]
struct Cause {
    kind: String,
    findings: usize,
    severity: &'static str,
    score: f64,
    part: f64,
    subjects_at_risk: u64,
    unexplained: String,
    innocent: String,
    next: String,
}

#[derive(Debug, Serialize)]
struct Peers {
    accounts: usize,
    role: Option<String>,
    days: i64,
    clear: Numbers,
    unexplained: Numbers,
}

#[derive(Debug, Serialize)]
struct Numbers {
    own: usize,
    median: usize,
    nine_of_ten: usize,
}

#[derive(Debug, Serialize)]
struct Evidence {
    access: String,
    time: String,
    customers: usize,
    clear: Vec<String>,
    reason: Option<String>,
    grade: Option<&'static str>,
    ticket: Option<String>,
}

#[derive(Debug, Serialize)]
struct Done {
    time: String,
    by: String,
    act: &'static str,
    why: String,
}

pub(super) fn run(config: &Path, args: &CaseShowArgs) -> anyhow::Result<Outcome> {
    let files = Files::read(config)?;
    let Some(case) = files.cases.case(args.number) else {
        ui::failure(&anyhow::anyhow!("there is no case {}", args.number));
        return Ok(Outcome::No);
    };
    files.looked(config, format!("case {}", case.number))?;
    let seen = Seen::of(&files, case)?;
    let shown = shown(&files, case, &seen);
    if args.json {
        ui::json(&shown)?;
    } else {
        ui::result(text(&shown).trim_end())?;
    }
    Ok(Outcome::Yes)
}

/// What the ledger has of the time that a case is about.
#[derive(Debug, Default)]
struct Seen {
    evidence: Vec<Access>,
    loads: BTreeMap<Actor, Load>,
    days: BTreeSet<i64>,
}

impl Seen {
    /// Reads the evidence first, to know from when on the others' work is to be counted.
    fn of(files: &Files, case: &Case) -> anyhow::Result<Self> {
        let wanted: BTreeSet<&str> = case.evidence().iter().map(|id| &***id).collect();
        let (mut evidence, mut loads, mut days) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        let entry = |id: &str| id.split('.').next().and_then(|entry| entry.parse::<u64>().ok());
        let first = wanted.iter().filter_map(|id| entry(id)).min();
        let last = case.times().map_or(Timestamp(i64::MIN), |(_, last)| last);
        for entry in Reader::open(&files.settings.data.ledger())? {
            let entry = entry?;
            if entry.time > last || first.is_none() {
                break;
            }
            if Some(entry.sequence) < first {
                continue;
            }
            for event in events::of_entry(&entry) {
                let Event::Access(access) = event else { continue };
                if wanted.contains(access.id.as_str()) {
                    evidence.push(Access::clone(&access));
                }
                if access.clear.is_empty() {
                    continue;
                }
                days.insert(access.ts.day());
                let load: &mut Load = loads.entry(access.actor.clone()).or_default();
                if access.grade != Some(Grade::Strong) {
                    load.unexplained.extend(access.subjects.iter().cloned());
                }
                load.clear.extend(access.subjects);
            }
        }
        Ok(Self { evidence, loads, days })
    }

    fn peers(&self, files: &Files, case: &Case) -> Option<Peers> {
        let role = case.actors.iter().find_map(|actor| files.cases.role(actor));
        let is_peer = |actor: &Actor| {
            !case.actors.contains(actor) && (role.is_none() || files.cases.role(actor) == role)
        };
        let of = |count: fn(&Load) -> usize| {
            let own = case.actors.iter().filter_map(|actor| self.loads.get(actor));
            let peers = self.loads.iter().filter(|(actor, _)| is_peer(actor));
            compare(own.map(count), peers.map(|(actor, load)| (actor, count(load))))
        };
        let numbers =
            |Comparison { own, median, nine_of_ten, .. }| Numbers { own, median, nine_of_ten };
        let (clear, unexplained) =
            (of(|load| load.clear.len())?, of(|load| load.unexplained.len())?);
        let (first, last) = (self.days.first()?, self.days.last()?);
        Some(Peers {
            accounts: clear.peers,
            role: role.map(ToString::to_string),
            days: last - first + 1,
            clear: numbers(clear),
            unexplained: numbers(unexplained),
        })
    }
}

fn shown(files: &Files, case: &Case, seen: &Seen) -> Shown {
    let (from, to) = case.times().unwrap_or_default();
    Shown {
        version: 1,
        case: case.number,
        status: case.status.as_str(),
        severity: case.severity().as_str(),
        accounts: files.accounts(case),
        named: case.revealed.is_some(),
        judged_suspicious_by: case.suspicious.as_ref().map(ToString::to_string),
        from: from.to_string(),
        to: to.to_string(),
        causes: case.causes().iter().map(|one| cause(files, case, one)).collect(),
        peers: seen.peers(files, case),
        evidence: seen.evidence.iter().map(evidence).collect(),
        history: case.history.iter().map(history).collect(),
    }
}

fn history(done: &postern_cases::Done) -> Done {
    Done {
        time: done.time.to_string(),
        by: done.by.to_string(),
        act: done.act.as_str(),
        why: done.why.to_string(),
    }
}

fn evidence(access: &Access) -> Evidence {
    Evidence {
        access: access.id.clone().to_string(),
        time: access.ts.to_string(),
        customers: access.subjects.len(),
        clear: access.clear.iter().map(ToString::to_string).collect(),
        reason: access.reason.as_ref().map(ToString::to_string),
        grade: access.grade.map(Grade::as_str),
        ticket: access.ticket.as_ref().map(ToString::to_string),
    }
}

fn cause(files: &Files, case: &Case, cause: &postern_cases::Cause) -> Cause {
    let of = || case.findings.iter().filter(|one| one.kind == cause.kind);
    let last = of().next_back();
    let sentence = last.map(|one| one.why.to_string()).unwrap_or_default();
    let sentence = if case.revealed.is_some() {
        sentence
    } else {
        let all = files.cases.iter().flat_map(|case| &case.actors);
        files.names.within(&sentence, all.collect::<BTreeSet<_>>())
    };
    let said =
        sentence.split_once("innocent if there is ").map(|(_, innocent)| innocent.to_owned());
    let innocent = postern_watch::innocent(&cause.kind).map(ToOwned::to_owned).or(said);
    Cause {
        kind: cause.kind.to_string(),
        findings: cause.findings,
        severity: cause.severity.as_str(),
        score: cause.score,
        part: cause.part,
        subjects_at_risk: of().map(|one| one.subjects_at_risk).max().unwrap_or(0),
        unexplained: sentence,
        innocent: innocent.unwrap_or_else(|| "a reason that no connected system knows".to_owned()),
        next: postern_watch::next(&cause.kind).to_owned(),
    }
}

fn text(shown: &Shown) -> String {
    let Shown { case, status, severity, .. } = shown;
    let mut text = format!("case {case}, {status}, {severity}\n");
    let named = if shown.named { "" } else { " (pseudonyms)" };
    let _ = writeln!(text, "accounts     {}{named}", shown.accounts.join(", "));
    let _ = writeln!(text, "raised       {} to {}", shown.from, shown.to);
    let judged = shown.judged_suspicious_by.as_ref();
    let judged = judged.map_or_else(
        || "unexplained; nobody has judged it suspicious".to_owned(),
        |by| format!("judged suspicious by {by}"),
    );
    let _ = writeln!(text, "stands       {judged}");
    for cause in &shown.causes {
        let part = (cause.part * 100.0).round();
        let Cause { kind, findings, severity, score, .. } = cause;
        let _ = writeln!(
            text,
            "\n{kind}: {part:.0} % of it; {findings} findings, {severity}, score {score:.0}, {} \
             customers\n  unexplained  {}\n  innocent if  {}\n  next         {}",
            cause.subjects_at_risk, cause.unexplained, cause.innocent, cause.next
        );
    }
    text.push('\n');
    text.push_str(&beside(shown));
    if !shown.evidence.is_empty() {
        let _ = writeln!(text, "evidence     {} accesses", shown.evidence.len());
    }
    for one in shown.evidence.iter().take(SHOWN) {
        let reason = match (&one.reason, one.grade) {
            (Some(reason), Some(grade)) => format!("for {reason} ({grade})"),
            _ => "without a reason".to_owned(),
        };
        let _ = writeln!(
            text,
            "  {:>8}  {}  {} customers, clear {}, {reason}",
            one.access,
            one.time,
            one.customers,
            one.clear.join(" ")
        );
    }
    if shown.evidence.len() > SHOWN {
        let _ = writeln!(text, "  and {} more; --json has all", shown.evidence.len() - SHOWN);
    }
    for done in &shown.history {
        let Done { time, by, act, why } = done;
        let _ = writeln!(text, "history      {time}  {act} by {by}: {why}");
    }
    text
}

fn beside(shown: &Shown) -> String {
    let Some(peers) = &shown.peers else { return "peers        none to compare with\n".to_owned() };
    let role = peers.role.as_deref().unwrap_or("any");
    let line = |what: &str, numbers: &Numbers| {
        let Numbers { own, median, nine_of_ten } = numbers;
        format!(
            "{what:<12} {own} customers, where the middle peer has {median} and nine of ten at \
             most {nine_of_ten}\n"
        )
    };
    format!(
        "peers        {} accounts of the role {role}, over {} days\n{}{}",
        peers.accounts,
        peers.days,
        line("in clear", &peers.clear),
        line("unexplained", &peers.unexplained)
    )
}
