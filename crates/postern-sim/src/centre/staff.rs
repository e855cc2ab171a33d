//! Who works in a world, and which customers it has.

use postern_model::{
    Actor, Event, Person, PersonEvent, Shift, Subject, SubjectChange, Text, Timestamp,
};

use crate::centre::{
    Chance, Plan, Style, Trouble,
    log::{Log, at},
};

pub(crate) const QUEUES: [&str; 6] = ["billing", "tech", "account", "sales", "abuse", "returns"];
pub(crate) const LANGUAGES: [&str; 4] = ["en", "de", "fr", "es"];

/// One account, and how its owner works.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) actor: Actor,
    pub(crate) role: &'static str,
    pub(crate) team: usize,
    pub(crate) queues: Vec<usize>,
    pub(crate) languages: Vec<usize>,
    pub(crate) device: Text,
    pub(crate) addr: Text,
    pub(crate) shift: f64,
    pub(crate) hours: f64,
    pub(crate) weekends: bool,
    /// Tickets on a usual day.
    pub(crate) pace: f64,
    /// Lookups that nothing explains, for each ticket.
    pub(crate) stray: f64,
    /// Share of tickets opened by the member's own hand without a customer's message.
    pub(crate) self_opened: f64,
    pub(crate) late_links: f64,
    pub(crate) looks_back: f64,
    pub(crate) hired: i64,
    pub(crate) left: i64,
    /// First and last day of a holiday.
    pub(crate) holiday: (i64, i64),
    /// Works in one team that shares devices.
    pub(crate) hot_desk: bool,
}

impl Member {
    pub(crate) fn works(&self, day: i64) -> bool {
        let weekend = day.rem_euclid(7) >= 5;
        let away = (self.holiday.0..=self.holiday.1).contains(&day);
        (self.hired..self.left).contains(&day) && !away && (!weekend || self.weekends)
    }
}

/// A customer.
#[derive(Debug, Clone)]
pub(crate) struct Customer {
    pub(crate) subject: Subject,
    pub(crate) queue: usize,
    pub(crate) language: usize,
}

pub(crate) fn hire(plan: &Plan, chance: &mut Chance) -> Vec<Member> {
    let others =
        [("lead", 8), ("qa", 3), ("fraud", 4), ("dsar", 2), ("analyst", 3), ("engineer", 2)];
    let mut staff = Vec::new();
    for number in 0..plan.agents {
        let hired = if chance.yes(0.1) { chance.below(40) as i64 } else { -100 };
        staff.push(member(plan, chance, number, ("agent", hired)));
    }
    for (role, count) in others.into_iter().chain([("service", 2)]) {
        for number in 0..(count * plan.agents).div_ceil(110).min(count) {
            let mut one = member(plan, chance, staff.len(), (role, -100));
            one.team = number;
            if role == "service" {
                one.left = i64::MAX;
            }
            staff.push(one);
        }
    }
    if plan.trouble.has(Trouble::Cohorts) {
        for day in [22, 45] {
            for _ in 0..8 {
                let mut one = member(plan, chance, staff.len(), ("agent", day));
                one.team = 0;
                staff.push(one);
            }
        }
    }
    staff
}

fn member(
    plan: &Plan,
    chance: &mut Chance,
    number: usize,
    (role, hired): (&'static str, i64),
) -> Member {
    let wide = if plan.trouble.has(Trouble::Sloppy) { 1.0 } else { 0.6 };
    let team = number / 12;
    let queue = team % QUEUES.len();
    let mut queues = vec![queue];
    if chance.yes(0.3) {
        queues.push((queue + 1) % QUEUES.len());
    }
    let mut languages = vec![0];
    if chance.yes(0.5) {
        languages.push(1 + chance.below(LANGUAGES.len() - 1));
    }
    let away = 10 + chance.below(60) as i64;
    let left = if chance.yes(0.04) { 50 + chance.below(25) as i64 } else { i64::MAX };
    let nights = plan.style == Style::Nights;
    let late = if plan.trouble.has(Trouble::Sloppy) { 0.15 } else { 0.05 };
    Member {
        actor: Actor::new(format!("u{number:03}")),
        role,
        team,
        queues,
        languages,
        device: format!("d{number:03}").into(),
        addr: format!("10.0.{team}.{}", number % 12).into(),
        shift: *chance.one_of(if nights {
            &[2.0, 10.0, 18.0, 22.0, 23.0]
        } else {
            &[7.0, 8.0, 8.0, 9.0, 13.0]
        }),
        hours: 8.0,
        weekends: chance.yes(if nights { 0.8 } else { 0.1 }),
        pace: chance.around(18.0, 0.35),
        stray: plan.stray * chance.around(0.02, wide),
        self_opened: chance.around(0.015, wide),
        late_links: chance.around(late, 0.5).min(0.5),
        looks_back: chance.around(0.03, wide),
        hired,
        left,
        holiday: if chance.yes(0.6) { (away, away + 4 + chance.below(10) as i64) } else { (1, 0) },
        hot_desk: team == 1,
    }
}

pub(crate) fn customers(plan: &Plan, chance: &mut Chance, log: &mut Log) -> Vec<Customer> {
    let sequential = !plan.seed.is_multiple_of(3);
    let start = at(-1, 0.0);
    (0..plan.customers)
        .map(|number| {
            let name = if sequential {
                format!("c{:06}", 100_000 + number)
            } else {
                format!("{:016x}", Chance::new(number as u64 * 77 + 5).below(usize::MAX))
            };
            let queue = chance.below(QUEUES.len());
            let language = if chance.yes(0.6) { 0 } else { chance.below(LANGUAGES.len()) };
            let mut tags = Vec::new();
            if chance.yes(0.005) {
                tags.push("vip".into());
            }
            if number % 1_000 == 999 {
                tags.push("canary".into());
            }
            if number < plan.agents / 4 {
                tags.push(format!("employee:u{number:03}").into());
            }
            let subject = Subject::new(name);
            log.put(Event::Subject(SubjectChange {
                ts: Timestamp(start),
                subject: subject.clone(),
                queue: Some(QUEUES[queue].into()),
                language: Some(LANGUAGES[language].into()),
                tags,
            }));
            Customer { subject, queue, language }
        })
        .collect()
}

/// What HR tells of everybody.
pub(crate) fn papers(plan: &Plan, staff: &[Member], chance: &mut Chance, log: &mut Log) {
    for member in staff {
        let hired = member.hired.max(-1);
        log.put(person(member, at(hired, 0.1), PersonEvent::Hired));
        let (from, to) = member.holiday;
        if from <= to && chance.yes(0.9) {
            log.put(person(member, at(from, 0.0), PersonEvent::Absent));
            // Some come back before anybody has written it down.
            let late = if chance.yes(0.15) { 20.0 } else { 0.0 };
            log.put(person(member, at(to + 1, late), PersonEvent::Returned));
        }
        if member.left < plan.days {
            log.put(person(member, at(member.left - 20, 9.0), PersonEvent::Notice));
            log.put(person(member, at(member.left, 0.0), PersonEvent::Left));
        }
    }
}

pub(crate) fn person(member: &Member, ts: i64, event: PersonEvent) -> Event {
    let named = matches!(event, PersonEvent::Hired | PersonEvent::Role);
    let clock = |hour: f64| format!("{:02}:00", hour as i64 % 24);
    Event::Person(Box::new(Person {
        ts: Timestamp(ts),
        seen: Timestamp(ts),
        actor: member.actor.clone(),
        event,
        role: named.then(|| member.role.into()),
        team: named.then(|| format!("t{}", member.team).into()),
        manager: None,
        employer: named.then(|| if member.team == 2 { "helpers" } else { "own" }.into()),
        queues: member.queues.iter().filter(|_| named).map(|q| QUEUES[*q].into()).collect(),
        languages: member
            .languages
            .iter()
            .filter(|_| named)
            .map(|l| LANGUAGES[*l].into())
            .collect(),
        shift: named.then(|| Shift {
            tz: "UTC".to_owned(),
            start: clock(member.shift),
            end: clock(member.shift + member.hours),
            days: ["mon", "tue", "wed", "thu", "fri"].map(str::to_owned).to_vec(),
        }),
    }))
}
