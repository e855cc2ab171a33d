//! An application's shared account, and the end users whom it speaks for by their tokens.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::BytesMut;
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use postern_ledger::Note;
use postern_model::{Actor, Clock};
use postern_people::{TokenRules, Tokens};
use postern_session::{Enforcement, Kind};
use postern_wire::encode;
use serde_json::json;

use super::{
    code,
    raw::{Answer, Raw, run},
    rows,
    world::{SystemClock, World},
};
use crate::{Pooling, Role, Settings};

const SEED: [u8; 32] = [7; 32];

pub(super) fn tokens(settings: &mut Settings) {
    let key = SigningKey::from_bytes(&SEED).verifying_key();
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] });
    let rules = TokenRules {
        issuer: "login".to_owned(),
        audience: "postern".to_owned(),
        account: "sub".to_owned(),
        longest: Duration::from_secs(3_600),
        leeway: Duration::ZERO,
    };
    settings.tokens = Some(Arc::new(Tokens::new(rules, &keys.to_string()).unwrap()));
    let role = |pooling| Role {
        kind: Kind::Restricted,
        enforcement: Enforcement::Enforce,
        pooling,
        budgets: Vec::new().into(),
        more: Arc::default(),
        speaks_for: true,
    };
    settings.roles.insert("application".into(), role(Pooling::Session));
}

fn pooled(settings: &mut Settings) {
    tokens(settings);
    for role in settings.roles.values_mut() {
        role.pooling = Pooling::Transaction;
    }
}

/// Signed by that key, for so many seconds.
fn signed(seed: [u8; 32], actor: &str, seconds: i64) -> String {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(seed);
    let now = SystemClock.now().0 / 1_000_000;
    let said = json!({ "iss": "login", "aud": "postern", "sub": actor,
                       "iat": now, "exp": now + seconds });
    let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, &said, &EncodingKey::from_ed_der(&der)).unwrap()
}

fn token(actor: &str) -> String {
    signed(SEED, actor, 60)
}

pub(super) fn set(actor: &str) -> String {
    format!("SET postern.actor = '{}'", token(actor))
}

pub(super) fn set_local(actor: &str) -> String {
    format!("SET LOCAL postern.actor = '{}'", token(actor))
}

const EMAILS: &str = "SELECT email FROM customers WHERE id IN (1, 2) ORDER BY id";

fn refused(answer: &Answer) {
    assert_eq!(answer.error.as_deref(), Some("42501"), "{}", answer.said);
    assert!(answer.rows.is_empty());
}

async fn good(raw: &mut Raw, sql: &str) -> Vec<Vec<String>> {
    let answer = raw.query(sql).await;
    assert_eq!(answer.error, None, "{sql:.60}: {}", answer.said);
    answer.rows
}

/// Who is in the ledger as having seen customers.
fn seers(world: &World) -> BTreeSet<String> {
    world.disclosures().iter().map(|seen| seen.actor.to_string()).collect()
}

#[tokio::test]
async fn an_application_sees_what_its_end_user_may_see_and_they_are_recorded() {
    let world = World::start_as(&[], tokens);
    let mut web = world.raw("web").await;
    refused(&web.query(EMAILS).await);
    assert_eq!(good(&mut web, "SELECT 1, current_user").await, [["1", "web"]]);
    for (actor, first) in [("ana", "one@example.org"), ("ben", "***"), ("ana", "one@example.org")] {
        let answer = web.query(&set(actor)).await;
        assert_eq!((answer.error, &*answer.tags), (None, &["SET".to_owned()][..]));
        assert_eq!(good(&mut web, EMAILS).await, [[first], ["***"]], "{actor}");
    }
    assert_eq!(web.query("RESET postern.actor").await.tags, ["RESET"]);
    refused(&web.query(EMAILS).await);
    let seen = world.disclosures();
    let by = |actor: &str| seen.iter().filter(|one| one.actor == Actor::new(actor)).count();
    // The clear one and the masked one; two masked ones are one group.
    assert_eq!((by("ana"), by("ben"), by("web")), (4, 1, 0));
    let refusals = |world: &World| {
        let notes = world.notes().into_iter().filter(|note| {
            matches!(note, Note::Refused { actor, rule, .. }
                if *actor == Actor::new("web") && &**rule == "end_user")
        });
        notes.count() == 2
    };
    world.wait_until("the entries of what was refused", refusals).await;
}

#[tokio::test]
async fn what_is_named_for_a_transaction_ends_with_it() {
    let world = World::start_as(&[], tokens);
    let mut web = world.raw("web").await;
    for end in ["COMMIT", "ROLLBACK", "COMMIT AND CHAIN"] {
        good(&mut web, "BEGIN").await;
        good(&mut web, &set_local("ana")).await;
        assert_eq!(good(&mut web, EMAILS).await[0], ["one@example.org"]);
        // Another one in the same transaction, and none is come back to.
        good(&mut web, &set_local("ben")).await;
        assert_eq!(good(&mut web, EMAILS).await[0], ["***"]);
        good(&mut web, end).await;
        refused(&web.query(EMAILS).await);
        web.query("ROLLBACK").await;
    }
    // By an error, and by being alone.
    good(&mut web, "BEGIN").await;
    good(&mut web, &set_local("ana")).await;
    assert!(web.query("SELECT 1/0").await.error.is_some());
    web.query("COMMIT").await;
    refused(&web.query(EMAILS).await);
    good(&mut web, &set_local("ana")).await;
    refused(&web.query(EMAILS).await);
    // Who was named for the session before is so again.
    good(&mut web, &set("ana")).await;
    good(&mut web, "BEGIN").await;
    good(&mut web, &set_local("ben")).await;
    assert_eq!(good(&mut web, EMAILS).await[0], ["***"]);
    good(&mut web, "COMMIT").await;
    assert_eq!(good(&mut web, EMAILS).await[0], ["one@example.org"]);
}

#[tokio::test]
async fn a_token_that_is_refused_leaves_nobody() {
    let world = World::start_as(&[], tokens);
    let mut web = world.raw("web").await;
    let forged = signed([8; 32], "ana", 60);
    let nobody = [&*forged, &token("eve"), &token("web"), "ana", &signed(SEED, "ana", 7_200)];
    for bad in nobody {
        good(&mut web, &set("ana")).await;
        let answer = web.query(&format!("SET postern.actor = '{bad}'")).await;
        assert_eq!(answer.error.as_deref(), Some("28000"), "{}", answer.said);
        refused(&web.query(EMAILS).await);
        good(&mut web, "BEGIN").await;
        let answer = web.query(&format!("SET LOCAL postern.actor = '{bad}'")).await;
        assert_eq!(answer.error.as_deref(), Some("28000"), "{}", answer.said);
        good(&mut web, "ROLLBACK").await;
        refused(&web.query(EMAILS).await);
    }
    let noted = |world: &World| {
        let notes = world.notes().into_iter().filter(|note| {
            matches!(note, Note::Refused { rule, statement, .. }
                if &**rule == "end_user_token" && !statement.contains("eyJ"))
        });
        notes.count() == 2 * nobody.len()
    };
    world.wait_until("each is an entry", noted).await;
    // So does one that has expired, without being told.
    good(&mut web, &format!("SET postern.actor = '{}'", signed(SEED, "ana", 1))).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let answer = web.query(EMAILS).await;
        if answer.error.is_some() {
            refused(&answer);
            assert!(answer.said.contains("expired"), "{}", answer.said);
            break;
        }
        assert!(tokio::time::Instant::now() < until, "it does not expire");
    }
}

#[tokio::test]
async fn a_token_may_be_a_parameter_and_what_was_prepared_is_anybodys() {
    let world = World::start_as(&[], tokens);
    let web = world.client("web").await;
    let emails = web.prepare("SELECT email FROM customers WHERE id = $1").await.unwrap();
    assert_eq!(emails.columns()[0].type_().name(), "text");
    let named = web.prepare("SELECT set_config('postern.actor', $1, false)").await.unwrap();
    let nobody = web.query(&emails, &[&1_i64]).await.unwrap_err();
    assert_eq!(code(&nobody), "42501");
    for (actor, expected) in
        [("ana", "one@example.org"), ("ben", "***"), ("dba", "one@example.org")]
    {
        let told: String = web.query_one(&named, &[&token(actor)]).await.unwrap().get(0);
        assert_eq!(told, "", "the server has the token");
        let email: String = web.query_one(&emails, &[&1_i64]).await.unwrap().get(0);
        assert_eq!(email, expected, "{actor}");
    }
    assert_eq!(seers(&world), ["ana", "ben", "dba"].map(str::to_owned).into());
    let failed = web.query(&named, &[&"forged"]).await.unwrap_err();
    assert_eq!(code(&failed), "28000");
    assert_eq!(code(&web.query(&emails, &[&1_i64]).await.unwrap_err()), "42501");
}

#[tokio::test]
async fn in_a_pipeline_each_statement_is_for_whom_it_was_sent() {
    let world = World::start_as(&[], tokens);
    let mut web = world.raw("web").await;
    let mut out = BytesMut::new();
    run(&mut out, "BEGIN", None);
    for actor in ["ana", "ben", "dba", "ana"] {
        let named = "SELECT set_config('postern.actor', $1::text, true)";
        run(&mut out, named, Some(&token(actor)));
        run(&mut out, "SELECT email FROM customers WHERE id IN (1, 2) ORDER BY id", None);
    }
    run(&mut out, "COMMIT", None);
    encode::sync(&mut out);
    web.send(&out).await;
    let answer = web.answer().await;
    assert_eq!(answer.error, None, "{}", answer.said);
    let (one, two) = ("one@example.org", "two@example.org");
    let emails: Vec<&str> =
        answer.rows.iter().map(|row| &*row[0]).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(emails, [one, "***", "***", "***", one, two, one, "***"]);
    let seen: Vec<String> = world.disclosures().iter().map(|seen| seen.actor.to_string()).collect();
    assert_eq!(seen, ["ana", "ana", "ben", "dba", "ana", "ana"]);
    // Behind the end of the transaction they are for nobody.
    let mut out = BytesMut::new();
    run(&mut out, "BEGIN", None);
    run(&mut out, "SELECT set_config('postern.actor', $1, true)", Some(&token("ana")));
    run(&mut out, "COMMIT", None);
    run(&mut out, EMAILS, None);
    encode::sync(&mut out);
    web.send(&out).await;
    let answer = web.answer().await;
    assert_eq!(answer.error.as_deref(), Some("42501"), "{}", answer.said);
    assert_eq!(answer.rows, [[""]]);
    refused(&web.query(EMAILS).await);
}

#[tokio::test]
async fn who_was_named_by_what_is_taken_back_is_named_no_more() {
    let world = World::start_as(&[], tokens);
    let mut web = world.raw("web").await;
    let named = "SELECT set_config('postern.actor', $1, false)";
    for after in [&["SELECT 1 / 0"][..], &["SELECT no_such_column"], &["BEGIN", "ROLLBACK"]] {
        good(&mut web, &set("ben")).await;
        let mut out = BytesMut::new();
        run(&mut out, named, Some(&token("ana")));
        for sql in after {
            run(&mut out, sql, None);
        }
        encode::sync(&mut out);
        web.send(&out).await;
        assert_eq!(web.answer().await.status, b'I', "{after:?}");
        refused(&web.query(EMAILS).await);
    }
    // What stands is not forgotten by what fails later.
    let mut out = BytesMut::new();
    run(&mut out, named, Some(&token("ana")));
    encode::sync(&mut out);
    web.send(&out).await;
    assert_eq!(web.answer().await.error, None);
    assert_eq!(web.query("SELECT 1 / 0").await.error.as_deref(), Some("22012"));
    good(&mut web, "BEGIN").await;
    good(&mut web, "ROLLBACK").await;
    assert_eq!(good(&mut web, EMAILS).await, [["one@example.org"], ["***"]]);
}

/// Who is taken back has to wait for what is under way, and what the client has sent behind it waits
/// for that.
#[tokio::test]
async fn what_is_sent_behind_a_name_that_is_taken_back_is_answered() {
    let world = World::start_as(&[], tokens);
    let makes = "CREATE TABLE notes (id int NOT NULL, body text); INSERT INTO notes VALUES (1, 'a'); \
        GRANT ALL ON notes TO PUBLIC";
    world.dba().await.batch_execute(makes).await.unwrap();
    let mut web = world.raw("web").await;
    let named = "SELECT set_config('postern.actor', $1, false)";
    let fails = "UPDATE notes SET id = NULL";
    let writes = "UPDATE notes SET body = body";
    for (behind, error) in [
        (&[fails][..], "23502"),
        (&[writes, "SELECT 1 / 0"], "22012"),
        (&["BEGIN", writes, "SELECT 1 / 0"], "22012"),
    ] {
        let mut out = BytesMut::new();
        run(&mut out, named, Some(&token("ana")));
        for sql in behind {
            run(&mut out, sql, None);
        }
        encode::query(&mut out, "SELECT 'is dropped'").unwrap();
        encode::sync(&mut out);
        web.send(&out).await;
        let answer = web.answer().await;
        assert_eq!(answer.error.as_deref(), Some(error), "{behind:?}: {}", answer.said);
        assert!(!answer.rows.contains(&vec!["is dropped".to_owned()]), "{behind:?}");
        web.query("ROLLBACK").await;
        refused(&web.query(EMAILS).await);
    }
    // Another name behind it is heard.
    let mut out = BytesMut::new();
    run(&mut out, "BEGIN", None);
    run(&mut out, named, Some(&token("ben")));
    run(&mut out, "ROLLBACK", None);
    run(&mut out, named, Some(&token("ana")));
    run(&mut out, EMAILS, None);
    encode::sync(&mut out);
    web.send(&out).await;
    let answer = web.answer().await;
    assert_eq!(answer.error, None, "{}", answer.said);
    assert_eq!(answer.rows, [[""], [""], ["one@example.org"], ["***"]]);
    // Before a Query the name is taken back first.
    let mut out = BytesMut::new();
    run(&mut out, "BEGIN", None);
    run(&mut out, named, Some(&token("ben")));
    run(&mut out, "ROLLBACK", None);
    encode::query(&mut out, EMAILS).unwrap();
    web.send(&out).await;
    let answer = web.answer().await;
    assert_eq!(answer.error.as_deref(), Some("42501"), "{}", answer.said);
    assert_eq!(answer.rows, [[""]]);
}

#[tokio::test]
async fn a_suspended_end_user_is_out_wherever_an_application_speaks_for_them() {
    let world = World::start_as(&[], tokens);
    let mut sessions = Vec::new();
    for actor in ["ana", "ben", "ana"] {
        let mut web = world.raw("web").await;
        good(&mut web, &set(actor)).await;
        sessions.push(web);
    }
    let own = world.raw("ana").await;
    let cut = world.handle().suspend(&Actor::new("ana"), &Actor::new("lead"), "test").unwrap();
    assert_eq!(cut, 3);
    let mut kept = sessions.remove(1);
    for mut session in sessions.into_iter().chain([own]) {
        session.all().await;
    }
    assert_eq!(good(&mut kept, EMAILS).await[0], ["***"]);
    let answer = kept.query(&set("ana")).await;
    assert_eq!(answer.error.as_deref(), Some("28000"), "{}", answer.said);
    refused(&kept.query(EMAILS).await);
}

#[tokio::test]
async fn who_has_left_or_has_another_role_is_out_where_an_application_speaks_for_them() {
    let world = World::start_as(&[], tokens);
    let mut web = world.raw("web").await;
    good(&mut web, &set("ana")).await;
    assert_eq!(good(&mut web, EMAILS).await[0], ["one@example.org"]);
    let mut other = world.raw("web").await;
    good(&mut other, &set("dba")).await;
    world.change_people(|account| {
        if &*account.role == "agent" {
            account.ends = Some(postern_people::Date::constant(2020, 1, 1));
        }
    });
    web.all().await;
    assert_eq!(good(&mut other, EMAILS).await[1], ["two@example.org"]);
    let answer = other.query(&set("ana")).await;
    assert_eq!(answer.error.as_deref(), Some("28000"), "{}", answer.said);
}

#[tokio::test]
async fn what_resets_a_connection_drops_the_end_user() {
    let world = World::start_as(&[], tokens);
    let mut web = world.raw("web").await;
    let resets = [
        "DISCARD ALL",
        "RESET ALL",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL",
        "SET postern.actor TO DEFAULT",
        "SET postern.actor = ''",
        "SELECT set_config('postern.actor', '', false)",
        "SELECT set_config('postern.actor', NULL, false)",
    ];
    for reset in resets {
        good(&mut web, &set("ana")).await;
        assert_eq!(good(&mut web, EMAILS).await[0], ["one@example.org"]);
        good(&mut web, reset).await;
        refused(&web.query(EMAILS).await);
    }
}

#[tokio::test]
async fn who_was_named_behind_a_savepoint_is_dropped_with_it() {
    let world = World::start_as(&[], tokens);
    let mut web = world.raw("web").await;
    good(&mut web, "BEGIN").await;
    good(&mut web, &set_local("ana")).await;
    good(&mut web, "SAVEPOINT s").await;
    good(&mut web, "ROLLBACK TO s").await;
    assert_eq!(good(&mut web, EMAILS).await[0], ["one@example.org"]);
    good(&mut web, &set_local("dba")).await;
    assert_eq!(good(&mut web, EMAILS).await[1], ["two@example.org"]);
    good(&mut web, "ROLLBACK TO s").await;
    refused(&web.query(EMAILS).await);
}

#[tokio::test]
async fn what_one_has_opened_is_not_fetched_for_another() {
    let world = World::start_as(&[], tokens);
    let mut web = world.raw("web").await;
    good(&mut web, "BEGIN").await;
    good(&mut web, &set_local("dba")).await;
    good(&mut web, "DECLARE c CURSOR FOR SELECT email FROM customers").await;
    assert_eq!(good(&mut web, "FETCH 1 FROM c").await.len(), 1);
    good(&mut web, &set_local("ben")).await;
    let answer = web.query("FETCH 1 FROM c").await;
    assert_eq!(answer.error.as_deref(), Some("34000"), "{}", answer.said);
    assert!(answer.rows.is_empty());
}

#[tokio::test]
async fn who_speaks_for_themselves_names_nobody_and_nothing_else_does() {
    let world = World::start_as(&[], tokens);
    let mut ana = world.raw("ana").await;
    for sql in [set("ben"), set_local("ben"), "RESET postern.actor".to_owned()] {
        refused(&ana.query(&sql).await);
    }
    assert_eq!(good(&mut ana, EMAILS).await[0], ["one@example.org"]);
    let mut web = world.raw("web").await;
    let token = token("ana");
    let others = [
        format!("{}; {EMAILS}", set("ana")),
        format!("SELECT 1; {}", set_local("ana")),
        format!("SELECT set_config('postern.actor', '{token}', true), 1"),
        format!("SELECT set_config('postern.actor', '{token}', true) FROM customers"),
        format!("SELECT set_config('postern.actor', (SELECT '{token}'), true)"),
        format!("SELECT * FROM set_config('postern.actor', '{token}', true)"),
        format!("PREPARE p AS SELECT set_config('postern.actor', '{token}', true)"),
        format!("SET postern.actor = '{token}', 'x'"),
        "SET postern.actor = 7".to_owned(),
        "SHOW postern.actor".to_owned(),
    ];
    for sql in &others {
        refused(&web.query(sql).await);
        refused(&web.query(EMAILS).await);
    }
    good(&mut web, "BEGIN").await;
    refused(&web.query(&set("ana")).await);
    good(&mut web, "ROLLBACK").await;
    refused(&web.query(EMAILS).await);
}

/// Many requests of many end users over a few connections, each of which is a few connections to
/// the server again: no request is served as another's.
#[tokio::test]
async fn no_request_is_anothers() {
    let world = Arc::new(World::start_as(&[], pooled));
    let mut tasks = Vec::new();
    for connection in 0..6_usize {
        let world = world.clone();
        tasks.push(tokio::spawn(async move {
            let web = world.client("web").await;
            let emails = web.prepare("SELECT email FROM customers WHERE id = $1").await.unwrap();
            for request in 0..40_usize {
                let (actor, id) = [("ana", 1_i64), ("ben", 1), ("dba", 2), ("ana", 2)]
                    [(connection + request * 7) % 4];
                let named = "SELECT set_config('postern.actor', $1, true)";
                web.simple_query("BEGIN").await.unwrap();
                if (connection + request) % 5 == 0 {
                    let error = web.query(&emails, &[&id]).await.unwrap_err();
                    assert_eq!(code(&error), "42501", "nobody was named");
                    web.simple_query("ROLLBACK").await.unwrap();
                    continue;
                }
                web.query(named, &[&token(actor)]).await.unwrap();
                let email: String = web.query_one(&emails, &[&id]).await.unwrap().get(0);
                let expected = match (actor, id) {
                    ("ana", 1) => "one@example.org",
                    ("dba", 2) => "two@example.org",
                    _ => "***",
                };
                assert_eq!(email, expected, "{actor}, {id}");
                let end = if request % 3 == 0 { "ROLLBACK" } else { "COMMIT" };
                web.simple_query(end).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let seen = world.disclosures();
    assert!(seen.iter().all(|one| one.actor != Actor::new("web")), "somebody was nobody");
    assert_eq!(seers(&world), ["ana", "ben", "dba"].map(str::to_owned).into());
}

/// What the server keeps of a session's statements has no token in it.
#[tokio::test]
async fn the_server_learns_no_token() {
    let world = World::start_as(&[], |settings| {
        tokens(settings);
        settings.limits.spare_max = 0;
    });
    world.postgres.psql("ALTER SYSTEM SET log_min_duration_statement = 0").unwrap();
    world.postgres.psql("SELECT pg_reload_conf()").unwrap();
    let mut web = world.raw("web").await;
    good(&mut web, &set("ana")).await;
    good(&mut web, &format!("SELECT set_config('postern.actor', '{}', false)", token("ben"))).await;
    let client = world.client("web").await;
    let named = "SELECT set_config('postern.actor', $1, false)";
    client.query(named, &[&token("ana")]).await.unwrap();
    assert_eq!(rows(&client.simple_query("SELECT 'marked'").await.unwrap()), [["marked"]]);
    let log = std::fs::read_to_string(world.postgres.log()).unwrap();
    assert!(log.contains("'marked'"), "statements are not logged");
    assert!(!log.contains("eyJ"), "a token is in the server's log");
}
