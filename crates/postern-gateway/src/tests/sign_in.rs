//! People who log in by a token of their own in place of a password.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use postern_ledger::Note;
use postern_model::{Actor, Clock, Timestamp};
use postern_people::{FetchedKeys, KeySource, TokenRules, Tokens};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio_postgres::{Client, NoTls};

use super::world::{SystemClock, World};
use crate::SignIn;

const HOUR: Duration = Duration::from_secs(3_600);

fn now() -> i64 {
    SystemClock.now().0 / 1_000_000
}

fn key_set(seeds: &[u8]) -> String {
    let keys = seeds.iter().map(|seed| {
        let key = SigningKey::from_bytes(&[*seed; 32]).verifying_key();
        let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": format!("k{seed}"), "x": x })
    });
    json!({ "keys": keys.collect::<Vec<Value>>() }).to_string()
}

/// What an issuer says of somebody, from so many seconds ago and for so many more.
fn said(actor: &str, (since, lasts): (i64, i64)) -> Value {
    json!({ "iss": "https://login.example", "aud": "postern", "preferred_username": actor,
            "sub": "7f3c", "iat": now() - since, "exp": now() + lasts })
}

fn signed(seed: u8, said: &Value) -> String {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend([seed; 32]);
    let header = Header { kid: Some(format!("k{seed}")), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, said, &EncodingKey::from_ed_der(&der)).unwrap()
}

pub(super) fn good(actor: &str) -> String {
    signed(1, &said(actor, (0, 60)))
}

/// Keys that somebody fetches: the first one.
pub(super) fn fetched() -> Arc<FetchedKeys> {
    let url = "https://login.example/keys".to_owned();
    let source = KeySource { url, trusted: Vec::new(), refresh: HOUR, grace: HOUR };
    let keys = Arc::new(FetchedKeys::new(source));
    keys.put(&key_set(&[1]), SystemClock.now()).unwrap();
    keys
}

pub(super) fn world(keys: &Arc<FetchedKeys>, by_default: bool) -> World {
    let rules = TokenRules {
        issuer: "https://login.example".to_owned(),
        audience: "postern".to_owned(),
        account: "preferred_username".to_owned(),
        longest: HOUR,
        leeway: Duration::from_secs(5),
    };
    let tokens = Arc::new(Tokens::fetched(rules, keys.clone()));
    World::start_as(&[], |settings| settings.sign_in = Some(SignIn { tokens, by_default }))
}

/// Logs in by a token, from an address of this machine.
pub(super) async fn log_in_from(
    world: &World,
    (place, actor): (&str, &str),
    token: &str,
) -> Result<Client, String> {
    let mut config = world.config(actor, token);
    config.options("-c postern.sign_in=token -c jit=off");
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{place}:0").parse().unwrap()).unwrap();
    let stream = socket.connect(world.handle().address()).await.unwrap();
    match config.connect_raw(stream, NoTls).await {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            Ok(client)
        }
        Err(error) => {
            let error = error.as_db_error().unwrap();
            Err(format!("{} {}", error.code().code(), error.message()))
        }
    }
}

async fn log_in(world: &World, actor: &str, token: &str) -> Result<Client, String> {
    log_in_from(world, ("127.0.0.1", actor), token).await
}

async fn refused(world: &World, actor: &str, token: &str) -> String {
    match log_in(world, actor, token).await {
        Ok(_) => panic!("{actor} was let in"),
        Err(error) => error,
    }
}

/// Why log-ins were refused, by the ledger.
pub(super) fn reasons(world: &World) -> Vec<String> {
    let notes = world.notes().into_iter().filter_map(|note| {
        let Note::LoginRefused { why, .. } = note else { return None };
        Some(why.to_string())
    });
    notes.collect()
}

#[tokio::test]
async fn a_token_lets_the_account_in_that_it_names() {
    let world = world(&fetched(), false);
    let ana = log_in(&world, "ana", &good("ana")).await.unwrap();
    let sql = "SELECT current_user::text, email FROM customers WHERE id = 1";
    let row = ana.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("ana", "one@example.org"));
    // A password is one still, and a token is none where a password is asked for.
    world.client("ana").await;
    assert_eq!(world.login_error("ana", &good("ana")).await, "28P01");
}

#[tokio::test]
async fn who_is_asked_for_a_token_by_default_says_that_they_have_a_password() {
    let world = world(&fetched(), true);
    let (ana, connection) = world.config("ana", &good("ana")).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    assert!(ana.simple_query("SELECT 1").await.is_ok());
    assert_eq!(world.login_error("ana", "pw-ana").await, "28000");
    let mut config = world.config("ana", "pw-ana");
    config.options("-c postern.sign_in=password");
    assert!(config.connect(NoTls).await.is_ok());
}

#[tokio::test]
async fn a_token_that_does_not_hold_lets_nobody_in_and_is_recorded() {
    let claims = |name: &str, value: Value| {
        let mut said = said("ana", (0, 60));
        said[name] = value;
        signed(1, &said)
    };
    let payload = good("ana").split('.').nth(1).unwrap().to_owned();
    let header = |alg: &str| URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "kid": "k1" }).to_string());
    let secret = EncodingKey::from_secret(b"a guess");
    let hmac = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
    let mut forged = good("ana");
    forged.truncate(forged.len() - 8);
    let cases = [
        (signed(1, &said("ana", (120, -30))), "it has expired"),
        (signed(1, &said("ana", (-30, 90))), "it does not count yet"),
        (signed(1, &said("ana", (0, 3_700))), "it counts for longer than tokens may"),
        (claims("iss", json!("https://other.example")), "it is by another issuer"),
        (claims("aud", json!("shop")), "it is for another audience"),
        (format!("{}.{payload}.", header("none")), "it is no signed token of a kind that is taken"),
        (format!("{}.{payload}", header("EdDSA")), "it is no signed token of a kind that is taken"),
        (jsonwebtoken::encode(&hmac, &said("ana", (0, 60)), &secret).unwrap(), "it is no signed"),
        (format!("{forged}AAAAAAAA"), "its signature is wrong"),
        (signed(1, &json!({})), "it is by another issuer"),
        (good("ben"), "it names another account than the user name"),
        ("pw-ana".to_owned(), "it is no signed token"),
        (String::new(), "it is no signed token"),
    ];
    for cases in cases.chunks(7) {
        // More in one would be throttled.
        let world = self::world(&fetched(), false);
        for (token, why) in cases {
            let error = refused(&world, "ana", token).await;
            assert!(error.starts_with("28000 the token is not accepted: "), "{error}");
            assert!(error.contains(why), "{why}: {error}");
        }
        world.wait_until("the entries", |world| reasons(world).len() == cases.len()).await;
        for ((_, why), reason) in cases.iter().zip(reasons(&world)) {
            let own = why.contains("another account");
            assert!(own || reason.starts_with(&format!("a token: {why}")), "{why}: {reason}");
        }
    }
    // Times within what clocks may be off.
    let world = self::world(&fetched(), false);
    for times in [(60, -4), (-4, 60)] {
        log_in(&world, "ana", &signed(1, &said("ana", times))).await.unwrap();
    }
}

#[tokio::test]
async fn who_may_not_come_in_does_not_by_a_token_and_is_told_nothing() {
    let world = world(&fetched(), false);
    world.handle().suspend(&Actor::new("ana"), &Actor::new("boss"), "calls").unwrap();
    let neutral =
        |actor: &str| format!("28P01 password authentication failed for user \"{actor}\"");
    assert_eq!(refused(&world, "ana", &good("ana")).await, neutral("ana"));
    assert_eq!(refused(&world, "nobody", &good("nobody")).await, neutral("nobody"));
    let guessed = (0..30).map(|_| signed(2, &said("ben", (0, 60))));
    for token in guessed {
        refused(&world, "ben", &token).await;
    }
    assert_eq!(refused(&world, "ben", &good("ben")).await, neutral("ben"), "it is throttled");
}

#[tokio::test]
async fn a_token_that_was_used_is_not_taken_from_elsewhere() {
    let world = world(&fetched(), false);
    let token = good("ana");
    for _ in 0..2 {
        log_in_from(&world, ("127.0.0.1", "ana"), &token).await.unwrap();
    }
    let error = log_in_from(&world, ("127.0.0.2", "ana"), &token).await.unwrap_err();
    assert!(error.contains("it has let somebody in from another address"), "{error}");
    let other = signed(1, &said("ana", (1, 61)));
    log_in_from(&world, ("127.0.0.2", "ana"), &other).await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_rotated_is_fetched_while_the_log_in_waits() {
    let keys = fetched();
    let world = world(&keys, false);
    let wants = keys.wants();
    let issuer = keys.clone();
    let rotates = std::thread::spawn(move || {
        wants.recv().unwrap();
        issuer.put(&key_set(&[2]), SystemClock.now()).unwrap();
    });
    log_in(&world, "ana", &signed(2, &said("ana", (0, 60)))).await.unwrap();
    rotates.join().unwrap();
    let error = refused(&world, "ana", &good("ana")).await;
    assert!(error.contains("its signature is by no key that is known"), "{error}");
}

#[tokio::test]
async fn without_the_issuers_keys_nobody_comes_in_and_it_is_said() {
    let keys = fetched();
    let world = world(&keys, false);
    let earlier = |seconds: i64| Timestamp(SystemClock.now().0 - seconds * 1_000_000);
    keys.put(&key_set(&[1]), earlier(3_590)).unwrap();
    keys.failed();
    log_in(&world, "ana", &good("ana")).await.unwrap();
    keys.put(&key_set(&[1]), earlier(3_601)).unwrap();
    for _ in 0..30 {
        let error = refused(&world, "ana", &good("ana")).await;
        assert!(error.contains("keys could not be fetched for too long"), "{error}");
    }
    // Nobody is locked out by that.
    keys.put(&key_set(&[1]), SystemClock.now()).unwrap();
    log_in(&world, "ana", &good("ana")).await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_takes_no_tokens_says_so() {
    let world = World::start(&[]);
    let error = refused(&world, "ana", &good("ana")).await;
    assert_eq!(error, "28000 the token is not accepted: this gateway takes none");
    let mut config = world.config("ana", "pw-ana");
    let error = config.options("-c postern.sign_in=maybe").connect(NoTls).await.err().unwrap();
    assert_eq!(super::code(&error), "42501");
}
