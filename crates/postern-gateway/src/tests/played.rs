//! Six ways in which an insider tries it, each played to its end: what an account is not entitled to
//! it does not get, what is left in the ledger names it, and who is out is out.

use std::{sync::Arc, time::Duration};

use postern_ledger::{Counter, Limit, Note};
use postern_model::{Actor, Grade, Subject};
use postern_people::{Act, ApprovalRules, NotDone};

use super::{end_users, sign_in, world::World};
use crate::{ApprovalError, Pooling, approval_reasons};

const HOUR: Duration = Duration::from_secs(3_600);

/// Ben makes up tickets. They are weak, each entry says so, and their budget is small.
#[tokio::test]
async fn a_pretext_by_an_own_ticket_is_a_weak_reason_with_a_small_budget() {
    let limit = Limit { counter: Counter::WeakSubjects, window: HOUR, max: 2 };
    let world = World::start(&[limit]);
    let mut ben = world.raw("ben").await;
    let ticket = |customer: u32, opener: &str| {
        format!(
            "INSERT INTO tickets (customer_id, assignee, opened_by, status) \
             VALUES ({customer}, 'ben', '{opener}', 'open')"
        )
    };
    // He can't have the customer open it, nor open it for somebody else.
    let forged = ben.query(&ticket(60, "customer")).await;
    assert_eq!(forged.error.as_deref(), Some("42501"), "{}", forged.said);
    let other = ben.query(&ticket(60, "ben").replace("'ben', 'ben'", "'ana', 'ben'")).await;
    assert_eq!(other.error.as_deref(), Some("42501"), "{}", other.said);
    for customer in 60..62 {
        assert_eq!(ben.query(&ticket(customer, "ben")).await.tags, ["INSERT 0 1"]);
        let sql = format!("SELECT name FROM customers WHERE id = {customer}");
        assert_eq!(ben.query(&sql).await.rows, [[format!("Name {customer}")]]);
    }
    // The budget is spent: no more tickets, and no more customers by those that there are.
    assert_eq!(ben.query(&ticket(62, "ben")).await.error.as_deref(), Some("53400"));
    let dba = world.dba().await;
    dba.batch_execute(&ticket(62, "ben")).await.unwrap();
    let sql = "SELECT name FROM customers WHERE id = 62";
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while ben.query(sql).await.error.as_deref() != Some("53400") {
        assert!(tokio::time::Instant::now() < until, "the ticket of another day counts");
    }
    let shown = world.disclosures();
    let shown = shown.iter().filter(|one| !one.clear.is_empty()).collect::<Vec<_>>();
    assert_eq!(shown.len(), 2);
    assert!(shown.iter().all(|one| one.reason.as_ref().unwrap().grade == Grade::Weak));
    let opened =
        |note: &Note| matches!(note, Note::Opened { actor, .. } if actor.as_str() == "ben");
    let two = |world: &World| world.notes().iter().filter(|note| opened(note)).count() == 2;
    world.wait_until("the entries of what he has opened", two).await;
}

/// Somebody else has Ana's credential: her token is of use from where she used it only.
#[tokio::test]
async fn a_borrowed_credential_is_refused_and_recorded() {
    let world = sign_in::world(&sign_in::fetched(), false);
    let token = sign_in::good("ana");
    let ana = sign_in::log_in_from(&world, ("127.0.0.1", "ana"), &token).await.unwrap();
    let thief = sign_in::log_in_from(&world, ("127.0.0.2", "ana"), &token).await;
    assert!(thief.unwrap_err().contains("from another address"));
    // In Ben's hands it makes nobody Ben, and Ben nobody Ana.
    for actor in ["ben", "dba"] {
        let error = sign_in::log_in_from(&world, ("127.0.0.1", actor), &token).await.unwrap_err();
        assert!(error.contains("it names another account"), "{error}");
    }
    assert!(ana.simple_query("SELECT 1").await.is_ok(), "she works on");
    let told = |world: &World| sign_in::reasons(world).len() == 3;
    world.wait_until("the entries", told).await;
}

/// Ana leaves while she is connected, by a password and by a token.
#[tokio::test]
async fn a_leaver_is_out_within_a_second_sessions_and_credentials_alike() {
    let world = sign_in::world(&sign_in::fetched(), false);
    let token = sign_in::good("ana");
    let mut by_password = world.raw("ana").await;
    let by_token = sign_in::log_in_from(&world, ("127.0.0.1", "ana"), &token).await.unwrap();
    let running = by_token.simple_query("SELECT pg_sleep(60)");
    let gone = async {
        let since = tokio::time::Instant::now();
        // As `postern person end` does it.
        world.change_people(|account| account.ends = Some("2020-12-31".parse().unwrap()));
        world.handle().enforce_people();
        // The last word, and then nothing.
        assert_eq!(by_password.answer().await.status, 0);
        since.elapsed()
    };
    let (ended, took) = tokio::join!(running, gone);
    assert!(ended.is_err() && took < Duration::from_secs(1), "{took:?}");
    assert_eq!(world.login_error("ana", "pw-ana").await, "28P01");
    let error = sign_in::log_in_from(&world, ("127.0.0.1", "ana"), &token).await.unwrap_err();
    assert!(error.starts_with("28P01 password authentication failed"), "{error}");
}

/// A contractor comes back after the last day.
#[tokio::test]
async fn a_contractor_past_the_end_date_is_told_what_strangers_are_told() {
    let world = sign_in::world(&sign_in::fetched(), false);
    let mut open = world.raw("ben").await;
    world.change_people(|account| {
        account.employer = "Temps Ltd".into();
        account.ends = Some("2020-12-31".parse().unwrap());
    });
    world.handle().enforce_people();
    assert_eq!(open.answer().await.status, 0, "the last day ends open sessions too");
    let neutral = |answer: String, name: &str| answer.replace(name, "NAME");
    let ended = neutral(world.login_answer("ben", "pw-ben").await, "ben");
    assert_eq!(ended, neutral(world.login_answer("bob", "pw-bob").await, "bob"));
    let error = sign_in::log_in_from(&world, ("127.0.0.1", "ben"), &sign_in::good("ben")).await;
    assert!(error.unwrap_err().starts_with("28P01 password authentication failed"));
    let why = |world: &World| {
        sign_in::reasons(world).iter().filter(|why| *why == "the account has ended").count() == 2
    };
    world.wait_until("the entries say why", why).await;
}

/// Two colleagues let each other in.
#[tokio::test]
async fn mutual_approval_is_a_finding_and_nobody_approves_their_own() {
    let world = World::start_as(&[], |settings| {
        settings.reasons.extend(approval_reasons());
        let (longest, break_glass, review_within) = (HOUR, HOUR, HOUR);
        settings.approvals = Some(ApprovalRules { longest, break_glass, review_within });
    });
    let handle = world.handle();
    let by = |name: &str| (Actor::new(name), Arc::<str>::from("a call"));
    let ask = |actor: &str, subject: &str| {
        let whom = (Actor::new(actor), Subject::new(subject));
        handle.ask_access(whom, by(actor), Duration::from_secs(600)).unwrap().number
    };
    let first = ask("ana", "50");
    let own = handle.decide_access(Act::Approved, first, by("ana"));
    assert!(matches!(own, Err(ApprovalError::NotDone(NotDone::Own))));
    handle.decide_access(Act::Approved, first, by("ben")).unwrap();
    let twice = handle.decide_access(Act::Approved, first, by("dba"));
    assert!(twice.is_err(), "what is approved is not approved again");
    let second = ask("ben", "51");
    handle.decide_access(Act::Approved, second, by("ana")).unwrap();
    let found = |world: &World| {
        let found = world.notes().into_iter().filter_map(|note| {
            let Note::Found(found) = note else { return None };
            Some((found.kind.to_string(), found.actors.len()))
        });
        found.collect::<Vec<_>>() == [("mutual_approval".to_owned(), 2)]
    };
    world.wait_until("the finding", found).await;
}

/// A web application with one pool of connections is given the token of another user.
#[tokio::test]
async fn a_token_of_another_user_in_a_pooled_connection_is_that_users_alone() {
    let world = World::start_as(&[], |settings| {
        end_users::tokens(settings);
        settings.limits.server_max = 1;
        settings.workers = 1;
        for role in settings.roles.values_mut() {
            role.pooling = Pooling::Transaction;
        }
    });
    let emails = "SELECT email FROM customers WHERE id = 1";
    let (mut one, mut two) = (world.raw("web").await, world.raw("web").await);
    for _ in 0..20 {
        for (raw, actor, expected) in
            [(&mut one, "ana", "one@example.org"), (&mut two, "ben", "***")]
        {
            let set = end_users::set_local(actor);
            let answer = raw.query("BEGIN").await;
            assert_eq!(answer.error, None, "{}", answer.said);
            assert_eq!(raw.query(&set).await.error, None);
            assert_eq!(raw.query(emails).await.rows, [[expected]], "{actor}");
            // A token that is refused leaves nobody, not the one before.
            let forged = format!("{}x'", set.trim_end_matches('\''));
            assert_eq!(raw.query(&forged).await.error.as_deref(), Some("28000"));
            assert!(raw.query(emails).await.rows.is_empty());
            raw.query("ROLLBACK").await;
            let nobody = raw.query(emails).await;
            assert_eq!((nobody.rows.len(), nobody.error.as_deref()), (0, Some("42501")));
        }
    }
    for seen in world.disclosures() {
        assert_eq!(seen.clear.is_empty(), seen.actor.as_str() == "ben", "{seen:?}");
        assert!(["ana", "ben"].contains(&seen.actor.as_str()));
    }
    let started = world.handle().pools().iter().map(|pool| pool.started).sum::<u64>();
    assert_eq!(started, 1, "all went by one connection to the server");
}
