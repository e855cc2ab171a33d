//! Account-days as numbers, for methods that come from libraries of other languages, and what
//! those made of them (`scripts/baselines`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use postern_model::{Access, Actor, Event, Finding, Severity, Subject, Timestamp};

use crate::centre::{Seen, log::DAY};

/// How long an assignment explains looks at its customer.
const EXPLAINS: i64 = 3 * DAY;
const HOUR: i64 = 3_600_000_000;

#[derive(Debug, Default)]
struct Day {
    day: i64,
    last: i64,
    statements: usize,
    most: usize,
    night: usize,
    customers: BTreeSet<Subject>,
    unexplained: usize,
}

/// The first line.
pub const HEADER: &str = "world,actor,time,customers,unexplained,statements,most,night";

/// The account-days of a world in the order in which they ended, a line each: when the last
/// statement came, in microseconds; customers shown in clear, those of them whom no ticket assigned
/// to the account in the three days before; statements, the most customers of one, and those before
/// seven or from nineteen o'clock on.
pub fn lines(world: usize, events: &[Seen]) -> String {
    let mut subjects: BTreeMap<String, Subject> = BTreeMap::new();
    let mut assigned: BTreeMap<(Actor, Subject), Timestamp> = BTreeMap::new();
    let mut days: BTreeMap<Actor, Day> = BTreeMap::new();
    let mut ended: Vec<(i64, String)> = Vec::new();
    for seen in events {
        if let Event::Ticket(ticket) = &seen.event {
            if let Some(subject) = &ticket.subject {
                subjects.insert(ticket.ticket.to_string(), subject.clone());
            }
            if let (Some(actor), Some(subject)) = (&ticket.assignee, subjects.get(&*ticket.ticket))
            {
                assigned.insert((actor.clone(), subject.clone()), ticket.ts);
            }
        }
        let Event::Access(access) = &seen.event else { continue };
        let day = days.entry(access.actor.clone()).or_default();
        if day.day < seen.seen.day() {
            ended.extend(line(world, &access.actor, day));
            *day = Day { day: seen.seen.day(), ..Day::default() };
        }
        look(day, seen.seen, access, &assigned);
    }
    ended.extend(days.iter().filter_map(|(actor, day)| line(world, actor, day)));
    ended.sort();
    ended.into_iter().map(|(_, line)| line).collect()
}

fn look(
    day: &mut Day,
    seen: Timestamp,
    access: &Access,
    assigned: &BTreeMap<(Actor, Subject), Timestamp>,
) {
    day.last = seen.0;
    day.statements += 1;
    day.most = day.most.max(access.subjects.len());
    day.night += usize::from(!(7..19).contains(&(access.ts.0.rem_euclid(DAY) / HOUR)));
    for subject in access.subjects.iter().filter(|_| !access.clear.is_empty()) {
        if day.customers.insert(subject.clone()) {
            let reason = assigned.get(&(access.actor.clone(), subject.clone()));
            day.unexplained += usize::from(reason.is_none_or(|at| access.ts.0 - at.0 > EXPLAINS));
        }
    }
}

fn line(world: usize, actor: &Actor, day: &Day) -> Option<(i64, String)> {
    let mut line = String::new();
    let (last, customers, unexplained) = (day.last, day.customers.len(), day.unexplained);
    let (statements, most, night) = (day.statements, day.most, day.night);
    writeln!(line, "{world},{actor},{last},{customers},{unexplained},{statements},{most},{night}")
        .ok()?;
    (statements > 0).then_some((last, line))
}

/// What a method said of account-days: lines of `method,world,actor,time,score`. The world's
/// number, the method and the finding.
///
/// # Errors
/// The line that is not of that form.
pub fn scores(text: &str) -> Result<Vec<(String, usize, Finding)>, String> {
    text.lines().skip(1).map(|line| score(line).ok_or_else(|| line.to_owned())).collect()
}

fn score(line: &str) -> Option<(String, usize, Finding)> {
    let cells: Vec<&str> = line.split(',').collect();
    let [method, world, actor, time, score] = cells.as_slice() else { return None };
    let finding = Finding {
        time: Timestamp(time.parse().ok()?),
        actors: vec![Actor::new(*actor)],
        kind: (*method).to_owned().into(),
        severity: Severity::Low,
        alert: false,
        score: score.parse().ok()?,
        subjects_at_risk: 0,
        evidence: Vec::new(),
        why: String::new(),
    };
    Some(((*method).to_owned(), world.parse().ok()?, finding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::centre::{Kind, Plan, Trouble, World};

    #[test]
    fn a_day_of_an_account_is_a_line_and_a_thief_has_more_without_a_reason() {
        let mut plan = Plan::usual(5, Trouble::Calm);
        (plan.agents, plan.customers, plan.days) = (8, 600, 40);
        plan.attacks = vec![Kind::Enumeration];
        let world = World::make(&plan);
        let thief = world.attacks[0].actors[0].as_str();
        let lines = lines(3, &world.events);
        let (mut most, mut times) = ([0, 0], Vec::new());
        for line in lines.lines() {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!((cells[0], cells.len()), ("3", HEADER.split(',').count()));
            times.push(cells[2].parse::<i64>().unwrap());
            let agent = world.roles[&Actor::new(cells[1])] == "agent";
            let place = &mut most[usize::from(cells[1] == thief)];
            *place = (*place).max(if agent { cells[4].parse::<usize>().unwrap() } else { 0 });
        }
        assert!(times.is_sorted());
        assert!(most[1] > most[0], "{most:?}");
    }

    #[test]
    fn scores_are_read_and_other_lines_are_told() {
        let told = scores("method,world,actor,time,score\nforest,1,u7,86400000000,0.61\n").unwrap();
        assert_eq!((told[0].0.as_str(), told[0].1, told[0].2.score), ("forest", 1, 0.61));
        assert_eq!(told[0].2.time.day(), 1);
        assert_eq!(scores("method\nx,y\n"), Err("x,y".to_owned()));
    }
}
