use super::*;

const RULES: ApprovalRules = ApprovalRules {
    longest: Duration::from_secs(3_600),
    break_glass: Duration::from_secs(600),
    review_within: Duration::from_secs(86_400),
};

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn who(name: &str) -> (Actor, Arc<str>) {
    (Actor::new(name), "a reason".into())
}

fn of(actor: &str, subject: &str) -> (Actor, Subject) {
    (Actor::new(actor), Subject::new(subject))
}

/// Asks for ten minutes; the number.
fn ask(approvals: &mut Approvals, of: (Actor, Subject), by: &str, now: i64) -> u64 {
    let deed = approvals.ask(of, who(by), Duration::from_secs(600), &RULES, at(now)).unwrap();
    approvals.apply(&deed, at(now));
    deed.number
}

fn decide(
    approvals: &mut Approvals,
    act: Act,
    number: u64,
    by: &str,
    now: i64,
) -> Result<bool, NotDone> {
    let result = approvals.iter().find(|one| one.number == number).and_then(|o| o.result.clone());
    let seen = result.map(|result| result.digest);
    let seen = (act, seen.as_deref());
    let deed = approvals.decide_having_seen(seen, number, who(by), at(now))?;
    let mutual = approvals.is_mutual(&deed);
    approvals.apply(&deed, at(now));
    Ok(mutual)
}

fn held(approvals: &Approvals, actor: &str, now: i64) -> Vec<String> {
    let actor = Actor::new(actor);
    let held = approvals.held(&actor, at(now)).map(|(subject, reason)| {
        format!("{subject} for {} ({})", reason.name, reason.grade.as_str())
    });
    held.collect()
}

#[test]
fn what_another_person_approves_holds_until_its_end() {
    let mut approvals = Approvals::default();
    let number = ask(&mut approvals, of("eva", "17"), "lea", 0);
    assert_eq!(held(&approvals, "eva", 1), [""; 0], "asking is not getting");
    for own in ["lea", "eva"] {
        let refused = decide(&mut approvals, Act::Approved, number, own, 1);
        assert_eq!(refused, Err(NotDone::Own), "{own}");
    }
    assert_eq!(decide(&mut approvals, Act::Approved, number, "max", 2), Ok(false));
    let twice = decide(&mut approvals, Act::Approved, number, "kim", 3);
    assert!(matches!(twice, Err(NotDone::Unknown { .. })), "used twice");
    assert_eq!(held(&approvals, "eva", 599), ["17 for approval (strong)"]);
    assert_eq!(held(&approvals, "ben", 599), [""; 0]);
    assert_eq!(held(&approvals, "eva", 600), [""; 0]);
    let late = ask(&mut approvals, of("eva", "18"), "lea", 700);
    let refused = decide(&mut approvals, Act::Approved, late, "max", 1_300);
    assert!(matches!(refused, Err(NotDone::Unknown { .. })), "it has ended");
    let too_long =
        approvals.ask(of("eva", "1"), who("lea"), Duration::from_secs(3_601), &RULES, at(0));
    assert_eq!(too_long, Err(NotDone::Length { longest_s: 3_600 }));
}

#[test]
fn what_is_revoked_is_over() {
    let mut approvals = Approvals::default();
    let number = ask(&mut approvals, of("eva", "17"), "lea", 0);
    decide(&mut approvals, Act::Approved, number, "max", 1).unwrap();
    decide(&mut approvals, Act::Revoked, number, "lea", 2).unwrap();
    assert_eq!(held(&approvals, "eva", 3), [""; 0]);
    for act in [Act::Revoked, Act::Approved, Act::Reviewed] {
        assert!(decide(&mut approvals, act, number, "kim", 3).is_err(), "{act:?}");
    }
}

#[test]
fn two_who_approve_for_each_other_are_noticed() {
    let mut approvals = Approvals::default();
    let first = ask(&mut approvals, of("eva", "17"), "eva", 0);
    assert_eq!(decide(&mut approvals, Act::Approved, first, "max", 1), Ok(false));
    let other = ask(&mut approvals, of("max", "18"), "max", 2);
    assert_eq!(decide(&mut approvals, Act::Approved, other, "kim", 3), Ok(false));
    let back = ask(&mut approvals, of("max", "19"), "max", 4);
    assert_eq!(decide(&mut approvals, Act::Approved, back, "eva", 5), Ok(true));
    // Long after, it is nothing any more.
    let day = 86_400;
    let much_later = ask(&mut approvals, of("eva", "20"), "eva", 60 * day);
    let approved = decide(&mut approvals, Act::Approved, much_later, "max", 60 * day + 1);
    assert_eq!(approved, Ok(false));
}

#[test]
fn broken_glass_is_weak_short_and_looked_at_by_somebody_else() {
    let mut approvals = Approvals::default();
    let deed = approvals.break_glass(of("eva", "17"), who("eva"), &RULES, at(0)).unwrap();
    approvals.apply(&deed, at(0));
    assert_eq!(held(&approvals, "eva", 1), ["17 for break_glass (weak)"]);
    assert_eq!(held(&approvals, "eva", 600), [""; 0]);
    let number = deed.number;
    let own = decide(&mut approvals, Act::Reviewed, number, "eva", 700);
    assert_eq!(own, Err(NotDone::Own));
    assert!(approvals.iter().all(Standing::needs_review));
    // It is not forgotten as long as nobody has looked at it.
    ask(&mut approvals, of("ben", "1"), "ben", 90 * 86_400);
    assert!(approvals.iter().any(Standing::needs_review));
    decide(&mut approvals, Act::Reviewed, number, "max", 90 * 86_400).unwrap();
    assert!(!approvals.iter().any(Standing::needs_review));
    assert!(decide(&mut approvals, Act::Reviewed, number, "kim", 90 * 86_400).is_err());
}

#[test]
fn acts_come_back_from_their_names() {
    for act in Act::ALL {
        assert_eq!(Act::parse(act.as_str()), Some(act));
    }
    assert_eq!(Act::parse("dance"), None);
}

/// Nobody's requests are in the way of others', nor of breaking the glass.
#[test]
fn one_person_asks_for_so_much_at_a_time() {
    let mut approvals = Approvals::default();
    for customer in 0..PERSON_MAX {
        ask(&mut approvals, of("eva", &customer.to_string()), "lea", 0);
    }
    let more = approvals.ask(of("eva", "x"), who("lea"), Duration::from_secs(9), &RULES, at(1));
    assert_eq!(more, Err(NotDone::TooManyOfOne { by: Actor::new("lea") }));
    approvals.break_glass(of("eva", "x"), who("max"), &RULES, at(1)).unwrap();
    // What nobody has approved is forgotten once it is over.
    let last = ask(&mut approvals, of("eva", "x"), "max", 601);
    assert_eq!(approvals.iter().map(|standing| standing.number).collect::<Vec<_>>(), [last]);
}

fn query(sql: &str) -> Arc<SavedQuery> {
    Arc::new(SavedQuery::new(sql, ["public.customers.email".to_owned()], 10).unwrap())
}

fn gives(rows: u64) -> Arc<str> {
    let mut digesting = Digesting::default();
    (0..rows).for_each(|_| digesting.add(b"a row\n"));
    digesting.ended(rows, rows).to_string().into()
}

/// Eva runs it.
fn ran(approvals: &mut Approvals, act: Act, number: u64, gave: &Arc<str>) -> Result<(), NotDone> {
    let eva = Actor::new("eva");
    let deed = approvals.ran(act, number, (&eva, gave.clone()), at(2))?;
    approvals.apply(&deed, at(2));
    Ok(())
}

fn asked_query(approvals: &mut Approvals, by: &str) -> u64 {
    let asks = (Actor::new("eva"), query("SELECT email FROM customers"));
    let lasts = Duration::from_secs(600);
    let deed = approvals.ask_query(asks, who(by), lasts, &RULES, at(0)).unwrap();
    approvals.apply(&deed, at(0));
    deed.number
}

#[test]
fn a_result_leaves_once_and_is_the_one_that_was_approved() {
    let mut approvals = Approvals::default();
    let number = asked_query(&mut approvals, "lea");
    let untried = decide(&mut approvals, Act::Approved, number, "max", 1);
    assert!(matches!(untried, Err(NotDone::NotTried { .. })), "{untried:?}");
    let nobody = approvals.runs(number, &Actor::new("ben"), at(1));
    assert!(matches!(nobody, Err(NotDone::Unknown { .. })), "it is Eva's");
    assert!(ran(&mut approvals, Act::Released, number, &gives(3)).is_err(), "not approved");
    ran(&mut approvals, Act::Tried, number, &gives(2)).unwrap();
    ran(&mut approvals, Act::Tried, number, &"it failed with 22012".into()).unwrap();
    let failed = decide(&mut approvals, Act::Approved, number, "max", 3);
    assert!(matches!(failed, Err(NotDone::NotTried { .. })), "{failed:?}");
    ran(&mut approvals, Act::Tried, number, &gives(3)).unwrap();
    for own in ["lea", "eva"] {
        assert_eq!(decide(&mut approvals, Act::Approved, number, own, 3), Err(NotDone::Own));
    }
    decide(&mut approvals, Act::Approved, number, "max", 3).unwrap();
    assert_eq!(held(&approvals, "eva", 4), [""; 0], "it is no reason for anything else");
    assert!(ran(&mut approvals, Act::Tried, number, &gives(3)).is_err(), "it is approved");
    assert!(ran(&mut approvals, Act::Released, number, &gives(4)).is_err(), "another result");
    ran(&mut approvals, Act::Withheld, number, &gives(4)).unwrap();
    ran(&mut approvals, Act::Released, number, &gives(3)).unwrap();
    let twice = ran(&mut approvals, Act::Released, number, &gives(3));
    assert_eq!(twice, Err(NotDone::Used { number }));
    assert!(decide(&mut approvals, Act::Revoked, number, "max", 5).is_err(), "it has left");
}

/// Who runs it can do so again after somebody has looked.
#[test]
fn what_is_approved_is_what_was_seen() {
    let mut approvals = Approvals::default();
    let number = asked_query(&mut approvals, "lea");
    ran(&mut approvals, Act::Tried, number, &gives(3)).unwrap();
    let seen = QueryResult::parse(&gives(3)).unwrap().digest;
    let approve = |approvals: &Approvals, seen: Option<&str>| {
        approvals.decide_having_seen((Act::Approved, seen), number, who("max"), at(2))
    };
    for nothing in [None, Some(""), Some(&seen[..11])] {
        assert_eq!(approve(&approvals, nothing), Err(NotDone::Unseen { number }));
    }
    assert!(approve(&approvals, Some(&seen[..12])).is_ok());
    ran(&mut approvals, Act::Tried, number, &gives(4)).unwrap();
    assert_eq!(approve(&approvals, Some(&seen)), Err(NotDone::OtherResult { number }));
}

#[test]
fn a_statement_is_over_in_time_and_not_approved_in_a_circle() {
    let mut approvals = Approvals::default();
    let number = asked_query(&mut approvals, "eva");
    ran(&mut approvals, Act::Tried, number, &gives(3)).unwrap();
    let over = approvals.runs(number, &Actor::new("eva"), at(600));
    assert_eq!(over, Err(NotDone::Ended { number, until: at(600) }));
    // Eva has approved for Max.
    let other = ask(&mut approvals, of("max", "17"), "max", 3);
    decide(&mut approvals, Act::Approved, other, "eva", 4).unwrap();
    let circular = decide(&mut approvals, Act::Approved, number, "max", 5);
    assert_eq!(circular, Err(NotDone::Circular { number }));
    decide(&mut approvals, Act::Approved, number, "kim", 5).unwrap();
    decide(&mut approvals, Act::Revoked, number, "kim", 6).unwrap();
    assert!(approvals.runs(number, &Actor::new("eva"), at(7)).is_err());
}

#[test]
fn a_statement_is_kept_under_its_hash() {
    let kept = query(" SELECT email FROM customers ;\n");
    assert_eq!(*kept, *query("SELECT email FROM customers"));
    assert!(kept.is("SELECT email FROM customers;") && !kept.is("SELECT name FROM customers"));
    let name = kept.name();
    assert_eq!(SavedQuery::kept(&kept.text(), &name).as_ref(), Ok(&*kept));
    let changed = kept.text().replace("email FROM", "email, name FROM");
    assert_eq!(SavedQuery::kept(&changed, &name), Err(QueryError::Kept));
    assert!(SavedQuery::hash_of(&name).is_some());
    for customer in ["17", "query:17", &name.as_str()[1..]] {
        assert_eq!(SavedQuery::hash_of(&Subject::new(customer)), None, "{customer}");
    }
    let refused = |sql: &str, field: &[&str], rows| {
        let fields = field.iter().map(|field| (*field).to_owned());
        SavedQuery::new(sql, fields, rows).unwrap_err()
    };
    assert_eq!(refused("DELETE FROM x", &["a.b.c"], 1), QueryError::Kind);
    assert_eq!(refused(" ; ", &["a.b.c"], 1), QueryError::Length);
    assert_eq!(refused("SELECT 1", &[], 1), QueryError::Fields);
    assert_eq!(refused("SELECT 1", &["a.b.c"], 0), QueryError::Rows);
    assert_eq!(refused("SELECT 1", &["a.b.c"], 100_001), QueryError::Rows);
    let gave = gives(3);
    assert_eq!(QueryResult::parse(&gave).unwrap().to_string(), *gave);
    assert_eq!(QueryResult::parse("it failed with 22012"), None);
}
