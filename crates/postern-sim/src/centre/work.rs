//! A day of honest work, for each role.

use postern_model::{
    AccessDecision, AccessKind, Event, PersonEvent, SubjectChange, Text, Timestamp,
};

use crate::centre::{
    Style, Trouble,
    log::{Look, MINUTE, Seat, at},
    staff::{QUEUES, person},
    stage::Stage,
};

/// Customers in the list of the morning.
const WALL: usize = 1_000;

/// What there is to do today.
pub(crate) fn dawn(stage: &mut Stage, day: i64) {
    if stage.plan.style == Style::Movers {
        (0..stage.plan.agents).for_each(|index| promote(stage, index, day));
    }
    for queue in 0..QUEUES.len() {
        let wave = 1.0 + 0.15 * ((day as f64) / 9.0 + queue as f64).sin();
        stage.load[queue] = wave * if day.rem_euclid(7) == 0 { 1.2 } else { 1.0 };
        let peak = (day / 3 + queue as i64 * 5) % 17 == 0;
        if stage.plan.trouble.has(Trouble::Peaks) && peak {
            stage.load[queue] *= 2.0;
        }
    }
    if stage.plan.trouble.has(Trouble::Migration) && day == 30 {
        for index in 0..stage.customers.len() / 5 {
            let queue = (stage.customers[index].queue + 1) % QUEUES.len();
            let subject = stage.customers[index].subject.clone();
            stage.log.put(Event::Subject(SubjectChange {
                ts: Timestamp(at(day, 1.0)),
                subject,
                queue: Some(QUEUES[queue].into()),
                language: None,
                tags: Vec::new(),
            }));
        }
    }
}

/// Some get other work, one after the other; nobody who is on holiday or about to leave.
fn promote(stage: &mut Stage, index: usize, day: i64) {
    let role = ["qa", "lead", "fraud"][index % 3];
    let member = &mut stage.staff[index];
    let stays = member.role == "agent" && member.hired < 0 && member.left == i64::MAX;
    if index % 6 != 5 || day != 18 + index as i64 % 40 || !stays || stage.taken.contains(&index) {
        return;
    }
    member.role = role;
    let told = person(&stage.staff[index], at(day, 0.2), PersonEvent::Role);
    stage.log.put(told);
}

/// One member's day.
pub(crate) fn day(stage: &mut Stage, index: usize, day: i64) {
    let member = stage.staff[index].clone();
    if !member.works(day) && member.role != "service" {
        return;
    }
    let seat = stage.seat(index, day);
    if stage.plan.style == Style::Walls && member.role == "agent" {
        wall(stage, index, day, &seat);
    }
    match member.role {
        "lead" => lead(stage, index, day, &seat),
        "qa" => quality(stage, index, day, &seat),
        "fraud" => fraud(stage, index, day, &seat),
        "dsar" => access_requests(stage, index, day, &seat),
        "analyst" => {
            for _ in 0..stage.chance.count(3.0) {
                let time = stage.moment(index, day);
                let many = stage.chance.around(150.0, 0.8).min(3_000.0) as usize;
                let clear = if stage.chance.yes(0.1) { 2 } else { 0 };
                stage.report(time, &seat, (many, clear));
            }
        }
        "engineer" => engineer(stage, index, day, &seat),
        "service" => {
            let seat = Seat { app: "batch", ..seat };
            for hour in 0..6 {
                stage.report(at(day, 1.0 + f64::from(hour) * 0.2), &seat, (200, 4));
            }
        }
        _ => agent(stage, index, day, &seat),
    }
}

/// The list that everybody begins the day with.
fn wall(stage: &mut Stage, index: usize, day: i64, seat: &Seat) {
    let (time, from) = (stage.moment(index, day).min(at(day, 12.0)), stage.anybody());
    let all = stage.customers.len();
    let subjects = (from..from + WALL).map(|place| stage.subject(place % all).clone());
    let mut look = Look::search(subjects.collect(), None);
    (look.kind, look.statement, look.clear) = (AccessKind::List, "st-wall", 1);
    stage.log.access(time, seat, look);
}

fn agent(stage: &mut Stage, index: usize, day: i64, seat: &Seat) {
    let member = stage.staff[index].clone();
    let tenure = day - member.hired;
    let form = stage.chance.around(1.0, 0.2);
    let load = stage.load[member.queues[0]];
    let pace = if tenure < 10 { 0.4 * member.pace } else { member.pace };
    let tickets = stage.chance.count(pace * form * load);
    let bad_day = if stage.chance.yes(0.05) { 3.0 } else { 1.0 };
    let mut stray = member.stray * bad_day;
    if stage.plan.trouble.has(Trouble::Cohorts) && tenure < 12 {
        stray += 0.4 / (1.0 + tenure as f64 / 3.0);
    }
    let shared = if stage.plan.style == Style::Shared { 0.4 } else { 0.0 };
    for _ in 0..tickets {
        let time = stage.moment(index, day);
        let customer = stage.customer_for(index);
        stage.handle(index, time, seat, customer);
        if stage.chance.yes(shared) {
            help(stage, time + 10 * MINUTE, seat);
        }
        if stage.chance.yes(stray) {
            stray_look(stage, index, time + 12 * MINUTE, seat);
        }
        if stage.chance.yes(member.looks_back) {
            look_back(stage, index, time + 15 * MINUTE, seat);
        }
    }
    let cleaning = stage.plan.trouble.has(Trouble::Migration) && member.team == 3;
    if cleaning && (40..44).contains(&day) {
        for _ in 0..20 {
            let (time, customer) = (stage.moment(index, day), stage.anybody());
            stage.look(time, seat, customer, None);
        }
    }
    if stage.chance.yes(0.03) {
        let (time, customer) = (stage.moment(index, day), stage.customer_for(index));
        approved_look(stage, index, time, seat, customer);
    }
}

/// What honest people look at without a reason that any system knows.
fn stray_look(stage: &mut Stage, index: usize, time: i64, seat: &Seat) {
    let luck = stage.chance.share();
    let colleague = stage.chance.below(stage.staff.len());
    if luck < 0.5 && !stage.done[colleague].is_empty() {
        // A colleague asks for help.
        let recent = stage.done[colleague].len().saturating_sub(5);
        let theirs = stage.done[colleague][recent].clone();
        let claim = stage.chance.yes(0.5).then_some(theirs.ticket);
        stage.look(time, seat, theirs.customer, claim);
    } else {
        // A mistyped number, or somebody at the desk.
        let customer = if luck < 0.8 { stage.anybody() } else { stage.customer_for(index) };
        stage.look(time, seat, customer, None);
    }
}

/// Takes part in a colleague's ticket.
fn help(stage: &mut Stage, time: i64, seat: &Seat) {
    let colleague = stage.chance.below(stage.staff.len());
    let recent = stage.done[colleague].len().saturating_sub(1 + stage.chance.below(12));
    if let Some(theirs) = stage.done[colleague].get(recent).cloned() {
        let claim = stage.chance.yes(0.7).then_some(theirs.ticket);
        stage.look(time, seat, theirs.customer, claim);
    }
}

/// How did it go on with a customer of some days ago?
fn look_back(stage: &mut Stage, index: usize, time: i64, seat: &Seat) {
    let count = stage.done[index].len();
    if count > 60 {
        let earlier = count - 1 - stage.chance.below(count.min(400) - 1);
        let old = stage.done[index][earlier].clone();
        let claim = stage.chance.yes(0.5).then_some(old.ticket);
        stage.look(time, seat, old.customer, claim);
    }
}

fn approved_look(stage: &mut Stage, index: usize, time: i64, seat: &Seat, customer: usize) {
    let team = stage.staff[index].team;
    let leads: Vec<usize> =
        (0..stage.staff.len()).filter(|i| stage.staff[*i].role == "lead").collect();
    let by = if stage.chance.yes(0.8) {
        leads[team % leads.len()]
    } else {
        *stage.chance.one_of(&leads)
    };
    if by == index {
        return;
    }
    let (actor, by) = (stage.staff[index].actor.clone(), stage.staff[by].actor.clone());
    let subject = stage.subject(customer).clone();
    stage.log.approval(time - MINUTE, &actor, &by, &[subject]);
    stage.look(time, seat, customer, None);
}

/// Looks into the tickets of the team, and takes the difficult ones.
fn lead(stage: &mut Stage, index: usize, day: i64, seat: &Seat) {
    let team = stage.staff[index].team;
    let members: Vec<usize> = (0..stage.staff.len())
        .filter(|i| stage.staff[*i].team == team && !stage.done[*i].is_empty())
        .collect();
    for _ in 0..stage.chance.count(12.0) {
        let time = stage.moment(index, day);
        if stage.chance.yes(0.3) || members.is_empty() {
            let customer = stage.customer_for(index);
            stage.handle(index, time, seat, customer);
            continue;
        }
        let member = *stage.chance.one_of(&members);
        let back = 1 + stage.chance.below(stage.done[member].len().min(30));
        let theirs = stage.done[member][stage.done[member].len() - back].clone();
        let claim = stage.chance.yes(0.6).then_some(theirs.ticket);
        stage.look(time, seat, theirs.customer, claim);
    }
    if stage.chance.yes(0.1) {
        let (time, customer) = (stage.moment(index, day), stage.somebody());
        approved_look(stage, index, time, seat, customer);
    }
}

/// Reads a sample of what was closed.
fn quality(stage: &mut Stage, index: usize, day: i64, seat: &Seat) {
    for _ in 0..stage.chance.count(25.0) {
        let member = stage.chance.below(stage.staff.len());
        if stage.done[member].is_empty() {
            continue;
        }
        let back = 1 + stage.chance.below(stage.done[member].len().min(60));
        let theirs = stage.done[member][stage.done[member].len() - back].clone();
        let claim: Option<Text> = stage.chance.yes(0.7).then_some(theirs.ticket);
        let time = stage.moment(index, day);
        stage.look(time, seat, theirs.customer, claim);
    }
}

/// Follows rings of customers; nobody wrote.
fn fraud(stage: &mut Stage, index: usize, day: i64, seat: &Seat) {
    let rings = if stage.chance.yes(0.1) { 6.0 } else { 2.0 };
    for _ in 0..stage.chance.count(rings) {
        let start = stage.anybody();
        let begin = stage.moment(index, day);
        for step in 0..1 + stage.chance.count(6.0) {
            let customer = (start + step * 3) % stage.customers.len();
            stage.look(begin + step as i64 * 2 * MINUTE, seat, customer, None);
        }
    }
}

/// Customers ask what is stored about them.
fn access_requests(stage: &mut Stage, index: usize, day: i64, seat: &Seat) {
    for _ in 0..stage.chance.count(4.0) {
        let (time, customer) = (stage.moment(index, day), stage.somebody());
        stage.handle(index, time, seat, customer);
        let mut look = Look::lookup(&stage.subject(customer).clone(), None);
        (look.kind, look.statement) = (AccessKind::Export, "st-dsar");
        look.clear = 5;
        stage.log.access(time + 20 * MINUTE, seat, look);
    }
}

fn engineer(stage: &mut Stage, index: usize, day: i64, seat: &Seat) {
    for _ in 0..stage.chance.count(1.5) {
        let (time, customer) = (stage.moment(index, day), stage.somebody());
        approved_look(stage, index, time, seat, customer);
    }
    if stage.chance.yes(0.1) {
        let time = stage.moment(index, day);
        let subject = stage.anybody();
        let mut look = Look::lookup(&stage.subject(subject).clone(), None);
        (look.clear, look.decision) = (0, AccessDecision::Deny);
        look.subjects.clear();
        stage.log.access(time, seat, look);
    }
}
