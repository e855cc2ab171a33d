use ed25519_dalek::SigningKey;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn seconds() -> i64 {
    NOW.0 / 1_000_000
}

/// An Ed25519 key as its holder has it: PKCS #8 (RFC 8410).
fn signs(seed: u8) -> EncodingKey {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend([seed; 32]);
    EncodingKey::from_ed_der(&der)
}

fn public(seed: u8) -> String {
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
    URL_SAFE_NO_PAD.encode(key.as_bytes())
}

fn jwk(kid: &str, seed: u8) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig",
            "x": public(seed) })
}

fn rules() -> TokenRules {
    TokenRules {
        issuer: "https://login.example".to_owned(),
        audience: "postern".to_owned(),
        account: "sub".to_owned(),
        longest: 3_600 * SECOND,
        leeway: 5 * SECOND,
    }
}

fn tokens(keys: &[Value]) -> Tokens {
    Tokens::new(rules(), &json!({ "keys": keys }).to_string()).unwrap()
}

fn said() -> Value {
    json!({ "iss": "https://login.example", "aud": "postern", "sub": "maya",
            "iat": seconds(), "exp": seconds() + 300 })
}

fn with(name: &str, value: Value) -> Value {
    let mut said = said();
    said[name] = value;
    said
}

fn without(name: &str) -> Value {
    let mut said = said();
    said.as_object_mut().unwrap().remove(name);
    said
}

fn header(kid: Option<&str>) -> Header {
    Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) }
}

fn token(kid: Option<&str>, seed: u8, said: &Value) -> String {
    encode(&header(kid), said, &signs(seed)).unwrap()
}

#[test]
fn a_good_token_names_an_account_until_it_expires() {
    let tokens = tokens(&[jwk("one", 1), jwk("two", 2)]);
    let named = |kid, seed, said: &Value| tokens.check(&token(kid, seed, said), NOW);
    let expected = EndUser { account: "maya".to_owned(), until: NOW.after(305 * SECOND) };
    assert_eq!(named(Some("one"), 1, &said()), Ok(expected.clone()));
    assert_eq!(named(Some("two"), 2, &said()), Ok(expected.clone()));
    assert_eq!(named(None, 2, &said()), Ok(expected.clone()));
    assert_eq!(named(None, 2, &with("aud", json!(["a", "postern"]))), Ok(expected.clone()));
    assert_eq!(named(None, 2, &with("nbf", json!(seconds()))), Ok(expected));
}

#[test]
fn a_token_that_says_something_else_names_nobody() {
    let tokens = tokens(&[jwk("one", 1)]);
    let cases = [
        (with("iss", json!("https://other.example")), TokenError::Issuer),
        (without("iss"), TokenError::Issuer),
        (with("aud", json!("another")), TokenError::Audience),
        (with("aud", json!(["postern2", "x"])), TokenError::Audience),
        (without("aud"), TokenError::Audience),
        (without("sub"), TokenError::NoAccount),
        (with("sub", json!("")), TokenError::NoAccount),
        (with("sub", json!(7)), TokenError::NoAccount),
        (without("exp"), TokenError::Times),
        (without("iat"), TokenError::Times),
        (with("exp", json!(-1)), TokenError::Times),
        (with("exp", json!(1e300)), TokenError::Times),
        (with("nbf", json!(-1)), TokenError::Times),
        (with("exp", json!(seconds() + 3_601)), TokenError::TooLong),
        (with("iat", json!(seconds() + 6)), TokenError::NotYet),
        (with("nbf", json!(seconds() + 6)), TokenError::NotYet),
        (with("exp", json!(seconds() - 5)), TokenError::Expired),
        (json!({}), TokenError::Issuer),
    ];
    for (said, expected) in cases {
        assert_eq!(tokens.check(&token(Some("one"), 1, &said), NOW), Err(expected), "{said}");
    }
    for said in [with("iat", json!(seconds() + 5)), with("exp", json!(seconds() - 4))] {
        assert!(tokens.check(&token(Some("one"), 1, &said), NOW).is_ok(), "{said}");
    }
}

#[test]
fn a_signature_counts_by_a_key_that_is_known_and_meant() {
    let tokens = tokens(&[jwk("one", 1), jwk("two", 2)]);
    let check = |kid, seed| tokens.check(&token(kid, seed, &said()), NOW);
    assert_eq!(check(Some("one"), 2), Err(TokenError::Signature));
    assert_eq!(check(Some("one"), 3), Err(TokenError::Signature));
    assert_eq!(check(None, 3), Err(TokenError::Signature));
    assert_eq!(check(Some("three"), 1), Err(TokenError::UnknownKey));
}

#[test]
fn what_the_token_says_of_algorithms_and_keys_does_not_count() {
    let tokens = tokens(&[jwk("one", 1)]);
    let payload = URL_SAFE_NO_PAD.encode(said().to_string());
    let forged = |header: &Value, signature: &str| {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        tokens.check(&format!("{header}.{payload}.{signature}"), NOW)
    };
    let good = token(Some("one"), 1, &said());
    let signature = good.rsplit('.').next().unwrap();
    for alg in ["none", "None", "HS256", "ES256", "RS256", ""] {
        let refused = forged(&json!({ "alg": alg, "kid": "one" }), signature);
        assert!(refused.is_err(), "{alg}: {refused:?}");
        assert!(forged(&json!({ "alg": alg, "kid": "one" }), "").is_err());
    }
    // The public key is no secret: nobody may sign with it.
    let secret = EncodingKey::from_secret(public(1).as_bytes());
    let hmac = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
    let signed = encode(&hmac, &said(), &secret).unwrap();
    assert_eq!(tokens.check(&signed, NOW), Err(TokenError::Malformed));
    // A key that the token brings with it.
    let mut own = header(None);
    own.jwk = Some(serde_json::from_value(jwk("one", 3)).unwrap());
    let signed = encode(&own, &said(), &signs(3)).unwrap();
    assert_eq!(tokens.check(&signed, NOW), Err(TokenError::Signature));
}

#[test]
fn an_extension_that_must_be_understood_is_not() {
    let tokens = tokens(&[jwk("one", 1)]);
    let signed = |header: &Value| {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(said().to_string()));
        use ed25519_dalek::Signer;
        let signature = SigningKey::from_bytes(&[1; 32]).sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    };
    assert!(tokens.check(&signed(&json!({ "alg": "EdDSA", "kid": "one" })), NOW).is_ok());
    let critical = json!({ "alg": "EdDSA", "kid": "one", "crit": ["exp"] });
    assert_eq!(tokens.check(&signed(&critical), NOW), Err(TokenError::Malformed));
}

#[test]
fn garbage_names_nobody() {
    let tokens = tokens(&[jwk("one", 1)]);
    let good = token(Some("one"), 1, &said());
    let long = format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX));
    let cut = good.get(..good.len() - 3).unwrap();
    for text in ["", ".", "..", "a.b.c", "maya", cut, &long, &format!("{good}.x")] {
        assert!(tokens.check(text, NOW).is_err(), "{text:.40}");
    }
}

#[test]
fn a_key_set_has_a_key_for_signatures() {
    let set = |keys: Value| Tokens::new(rules(), &json!({ "keys": keys }).to_string());
    let error = |keys: Value| set(keys).unwrap_err().to_string();
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256" });
    let mut encrypts = jwk("e", 1);
    encrypts["use"] = json!("enc");
    assert!(error(json!([])).contains("none of its keys"));
    assert!(error(json!([secret.clone(), encrypts])).contains("none of its keys"));
    assert!(error(json!([jwk("one", 1), jwk("one", 2)])).contains("`one`"));
    let x = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![1; bytes]);
    for short in [
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x(31) }),
        json!({ "kty": "EC", "crv": "P-256", "x": x(32), "y": x(31) }),
        json!({ "kty": "EC", "crv": "P-384", "x": x(32), "y": x(32) }),
        json!({ "kty": "RSA", "n": x(128), "e": "AQAB" }),
    ] {
        let error = error(json!([jwk("one", 1), short]));
        assert_eq!(error, "key 2 can't be read", "{short}");
    }
    let other = json!({ "kty": "EC", "crv": "P-521", "x": x(66), "y": x(66) });
    assert!(error(json!([other])).contains("none of its keys"));
    let large = json!({ "kty": "RSA", "n": x(256), "e": "AQAB" });
    assert!(set(json!([large])).is_ok());
    assert!(Tokens::new(rules(), "not JSON").is_err());
    assert!(set(json!([secret, jwk("one", 1)])).is_ok());
}

fn fetched() -> Arc<FetchedKeys> {
    let url = "https://login.example/keys".to_owned();
    let (refresh, grace) = (60 * SECOND, 600 * SECOND);
    Arc::new(FetchedKeys::new(KeySource { url, trusted: Vec::new(), refresh, grace }))
}

#[test]
fn fetched_keys_count_for_a_time_and_are_wanted_when_one_is_unknown() {
    let keys = fetched();
    let tokens = Tokens::fetched(rules(), keys.clone());
    let check = |kid, seed, now| tokens.check(&token(Some(kid), seed, &said()), now);
    assert_eq!(check("one", 1, NOW), Err(TokenError::NoKeys));
    let set = |all: &[Value]| json!({ "keys": all }).to_string();
    keys.put(&set(&[jwk("one", 1)]), NOW).unwrap();
    let wants = keys.wants();
    assert!(check("one", 1, NOW).is_ok() && wants.try_recv().is_err());
    // The key is rotated: tokens by the new one are refused until it is known.
    for _ in 0..3 {
        assert_eq!(check("two", 2, NOW), Err(TokenError::UnknownKey));
    }
    assert!(wants.try_recv().is_ok() && wants.try_recv().is_err(), "it is wanted once");
    keys.put(&set(&[jwk("two", 2)]), NOW.after(60 * SECOND)).unwrap();
    assert!(check("two", 2, NOW).is_ok());
    assert_eq!(check("one", 1, NOW), Err(TokenError::UnknownKey), "the old one is gone");
    // The issuer is down: what is known goes on, then nothing is taken.
    keys.failed();
    assert!(keys.put("<html>", NOW).is_err());
    assert_eq!(keys.attempts(), 3);
    let late = |seconds: u32| {
        let said = json!({ "iss": "https://login.example", "aud": "postern", "sub": "maya",
            "iat": self::seconds() + i64::from(seconds), "exp": self::seconds() + 3_000 });
        tokens.check(&token(Some("two"), 2, &said), NOW.after(seconds * SECOND))
    };
    assert!(late(659).is_ok());
    assert_eq!(late(660), Err(TokenError::OldKeys));
    assert!(wants.try_recv().is_ok(), "one by the old key was tried");
    drop((tokens, keys));
    assert!(wants.recv().is_err(), "whoever fetches them hears that nobody uses them");
}

#[test]
fn who_takes_the_same_keys_takes_those_that_are_there() {
    let (running, own) = (fetched(), fetched());
    let adopted = Tokens::fetched(rules(), own.clone()).adopting(&running);
    assert!(Arc::ptr_eq(adopted.to_fetch().unwrap(), &running));
    let other = KeySource { url: "https://other.example".to_owned(), ..own.source().clone() };
    let other = Arc::new(FetchedKeys::new(other));
    let kept = Tokens::fetched(rules(), other.clone()).adopting(&running);
    assert!(Arc::ptr_eq(kept.to_fetch().unwrap(), &other));
}
