use crate::*;

fn raised(entry: u64, actors: &[&str], kind: &str, severity: Severity, score: f64) -> Raised {
    Raised {
        entry,
        time: Timestamp(i64::try_from(entry).unwrap()),
        actors: actors.iter().map(|name| Actor::new(*name)).collect(),
        kind: kind.into(),
        severity,
        alert: severity > Severity::Low,
        score,
        subjects_at_risk: 1,
        evidence: vec![format!("{}", entry - 1).into(), "0".into()],
        why: "because".into(),
    }
}

fn high(entry: u64, actors: &[&str]) -> Raised {
    raised(entry, actors, "no_trace", Severity::High, 5_000.0)
}

fn cases(all: impl IntoIterator<Item = Raised>) -> Cases {
    let mut cases = Cases::default();
    cases.person(&Actor::new("ana"), Some("agent".into()));
    all.into_iter().for_each(|one| cases.raise(one));
    cases
}

fn does(cases: &mut Cases, act: Act, number: u64, by: &str) -> Result<Deed, NotDone> {
    let deed = cases.decide(act, number, (Actor::new(by), "a reason".into()))?;
    cases.apply(&deed, Timestamp(1_000));
    Ok(deed)
}

#[test]
fn findings_of_the_same_account_are_one_case_until_it_is_closed() {
    let mut cases = cases([high(5, &["ana"]), high(7, &["ben"]), high(9, &["ana"])]);
    let numbers = |cases: &Cases| cases.iter().map(|case| case.number).collect::<Vec<_>>();
    assert_eq!(numbers(&cases), [5, 7]);
    assert_eq!(cases.case(5).unwrap().findings.len(), 2);
    does(&mut cases, Act::Closed(Outcome::Benign), 5, "eve").unwrap();
    cases.raise(high(20, &["ana"]));
    assert_eq!(numbers(&cases), [5, 7, 20]);
    assert_eq!(cases.case(5).unwrap().status.as_str(), "closed, benign");
}

#[test]
fn a_finding_of_two_accounts_joins_the_older_case_and_brings_both() {
    let mut cases = cases([high(5, &["ana"]), high(7, &["ben"]), high(9, &["ben", "ana"])]);
    assert_eq!(cases.case(5).unwrap().actors.len(), 2);
    assert_eq!(cases.case(5).unwrap().findings.len(), 2);
    cases.raise(high(11, &["ben"]));
    assert_eq!(cases.case(7).unwrap().findings.len(), 2, "what was its own goes on");
    cases.raise(high(13, &[]));
    assert_eq!(cases.case(13).unwrap().actors.len(), 0);
}

#[test]
fn what_did_not_reach_the_bar_is_no_case_to_look_at_but_adds_to_one() {
    let low = |entry| raised(entry, &["ana"], "volume", Severity::Low, 9.0);
    let mut cases = cases([low(3)]);
    assert!(!cases.case(3).unwrap().is_shown());
    cases.raise(high(5, &["ana"]));
    let case = cases.case(3).unwrap();
    assert!(case.is_shown() && case.severity() == Severity::High);
    let causes = case.causes();
    let told: Vec<(&str, usize)> = causes.iter().map(|one| (&*one.kind, one.findings)).collect();
    assert_eq!(told, [("no_trace", 1), ("volume", 1)]);
    assert!((causes[0].part + causes[1].part - 1.0).abs() < 1e-9);
    assert!((causes[1].part - 1.0 / (1.0 + 5_001_f64.log10())).abs() < 1e-9);
    assert_eq!(case.evidence(), [&Arc::from("2"), &Arc::from("0"), &Arc::from("4")]);
}

#[test]
fn a_judgement_says_about_which_causes_of_which_roles_it_is() {
    let low = raised(4, &["ana"], "volume", Severity::Low, 9.0);
    let mut cases = cases([high(5, &["ana"]), low]);
    let deed = does(&mut cases, Act::Reviewed, 5, "eve").unwrap();
    assert!(deed.kinds.is_empty() && deed.roles.is_empty());
    let deed = does(&mut cases, Act::Closed(Outcome::Benign), 5, "eve").unwrap();
    assert_eq!((deed.kinds, deed.roles), (vec!["no_trace".into()], vec!["agent".into()]));
    let deed = does(&mut cases, Act::Reopened, 5, "eve").unwrap();
    assert!(deed.kinds.is_empty());
    let deed = does(&mut cases, Act::Closed(Outcome::Unclear), 5, "eve").unwrap();
    assert!(deed.kinds.is_empty(), "nothing was found out");
}

#[test]
fn accounts_are_named_when_two_persons_want_it() {
    let mut cases = cases([high(5, &["ana"])]);
    assert_eq!(does(&mut cases, Act::RevealAsked, 5, "ana"), Err(NotDone::Own));
    assert_eq!(does(&mut cases, Act::RevealAsked, 5, "eve").unwrap().act, Act::RevealAsked);
    let same = NotDone::SamePerson { by: Actor::new("eve") };
    for act in [Act::RevealAsked, Act::Revealed] {
        assert_eq!(does(&mut cases, act, 5, "eve"), Err(same.clone()));
    }
    assert_eq!(cases.case(5).unwrap().revealed, None);
    assert_eq!(does(&mut cases, Act::RevealAsked, 5, "fred").unwrap().act, Act::Revealed);
    let both = Some((Actor::new("eve"), Actor::new("fred")));
    assert_eq!(cases.case(5).unwrap().revealed, both);
    assert_eq!(does(&mut cases, Act::RevealAsked, 5, "eve"), Err(NotDone::Revealed { number: 5 }));
    does(&mut cases, Act::Closed(Outcome::Misuse), 5, "eve").unwrap();
    does(&mut cases, Act::Reopened, 5, "eve").unwrap();
    assert_eq!(cases.case(5).unwrap().revealed, None, "it is asked for again");
}

#[test]
fn a_ledger_that_says_that_one_person_was_two_names_nobody() {
    let mut cases = cases([high(5, &["ana"])]);
    for act in [Act::RevealAsked, Act::Revealed, Act::Revealed] {
        let (by, why) = (Actor::new("eve"), "alone".into());
        let (kinds, roles) = (Vec::new(), Vec::new());
        cases.apply(&Deed { number: 5, by, act, kinds, roles, why }, Timestamp(9));
    }
    assert_eq!(cases.case(5).unwrap().revealed, None);
}

#[test]
fn what_is_not_possible_is_not_done() {
    let mut cases = cases([high(5, &["ana"])]);
    assert_eq!(does(&mut cases, Act::Reviewed, 4, "eve"), Err(NotDone::Unknown { number: 4 }));
    assert_eq!(does(&mut cases, Act::Reopened, 5, "eve"), Err(NotDone::NotClosed { number: 5 }));
    let unsaid = cases.decide(Act::Closed(Outcome::Benign), 5, (Actor::new("eve"), " ".into()));
    assert_eq!(unsaid, Err(NotDone::NoWhy));
    assert_eq!(does(&mut cases, Act::Closed(Outcome::Benign), 5, "ana"), Err(NotDone::Own));
    does(&mut cases, Act::Closed(Outcome::Benign), 5, "eve").unwrap();
    for act in [Act::Reviewed, Act::Suspicious, Act::Closed(Outcome::Misuse), Act::RevealAsked] {
        assert_eq!(does(&mut cases, act, 5, "eve"), Err(NotDone::Closed { number: 5 }));
    }
}

#[test]
fn suspicious_is_said_by_people_only() {
    let mut cases = cases([high(5, &["ana"])]);
    assert_eq!(cases.case(5).unwrap().suspicious, None);
    does(&mut cases, Act::Suspicious, 5, "eve").unwrap();
    let case = cases.case(5).unwrap();
    assert_eq!(
        (case.suspicious.as_ref(), case.status),
        (Some(&Actor::new("eve")), Status::UnderReview)
    );
}

#[test]
fn every_act_has_its_word() {
    for act in ["reviewed", "suspicious", "benign", "misuse", "unclear", "reopened", "revealed"] {
        assert_eq!(Act::parse(act).unwrap().as_str(), act);
    }
    assert_eq!(Act::parse("forgiven"), None);
}

#[test]
fn an_account_is_compared_with_the_middle_and_the_upper_tenth() {
    let names: Vec<Actor> = (0..20).map(|n| Actor::new(format!("a{n}"))).collect();
    let peers = || names.iter().zip(1..);
    let compared = compare([7, 90].into_iter(), peers()).unwrap();
    assert_eq!(compared, Comparison { own: 90, peers: 20, median: 10, nine_of_ten: 18 });
    let one = compare([1].into_iter(), peers().take(1)).unwrap();
    assert_eq!((one.median, one.nine_of_ten), (1, 1));
    assert_eq!(compare([1].into_iter(), peers().take(0)), None);
}
