use std::num::NonZeroU32;

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use proptest::prelude::*;

use super::*;

const SALT: &[u8] = &[
    0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81,
];

/// RFC 7677, section 3.
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn pencil() -> Verifier {
    Verifier::derive("pencil", SALT, crate::DEFAULT_ITERATIONS)
}

/// The verifier of a password, hashed less often than one would, for speed.
fn quick(password: &str) -> Verifier {
    Verifier::derive(password, SALT, NonZeroU32::new(2).unwrap())
}

fn begun(verifier: Verifier) -> ScramServer {
    ScramServer::start(CLIENT_FIRST.as_bytes(), verifier, SERVER_NONCE).unwrap().1
}

#[test]
fn the_example_of_rfc_7677_succeeds() {
    let (server_first, server) =
        ScramServer::start(CLIENT_FIRST.as_bytes(), pencil(), SERVER_NONCE).unwrap();
    assert_eq!(server_first, SERVER_FIRST);
    assert_eq!(server.finish(CLIENT_FINAL.as_bytes()), Ok(SERVER_FINAL.to_owned()));
}

#[test]
fn first_messages_that_ask_for_what_is_not_offered_are_refused() {
    let check = |first: &[u8], expected| {
        let answer = ScramServer::start(first, quick("x"), SERVER_NONCE);
        assert_eq!(answer.map(|(text, _)| text), Err(expected), "{first:?}");
    };
    let malformed = |what| ScramError::Malformed { what };
    check(b"p=tls-server-end-point,,n=,r=abc", ScramError::ChannelBinding);
    check(b"p=,,n=,r=abc", ScramError::ChannelBinding);
    check(b"n,a=admin,n=,r=abc", ScramError::AuthorizationIdentity);
    check(b"n,,m=x,n=,r=abc", ScramError::Extension);
    check(b"", malformed("no channel binding flag"));
    check(b"x,,n=,r=abc", malformed("no channel binding flag"));
    check(b"N,,n=,r=abc", malformed("no channel binding flag"));
    check(b"n", malformed("no end of the header"));
    check(b"n,x,n=,r=abc", malformed("no end of the header"));
    check(b"n,", malformed("nothing after the header"));
    check(b"n,,", malformed("no name"));
    check(b"n,,r=abc", malformed("no name"));
    check(b"n,,n=", malformed("no nonce"));
    check(b"n,,n=,r=", malformed("no nonce"));
    check(b"n,,n=,r=a b", malformed("no nonce"));
    check("n,,n=,r=ä".as_bytes(), malformed("no nonce"));
    check(b"n,,n=,r=abc,", malformed("extension"));
    check(b"n,,n=,r=abc,r=def", malformed("extension"));
    check(b"n,,n=\0,r=abc", malformed("not a text"));
    check(b"n,,n=\xff,r=abc", malformed("not a text"));
}

#[test]
fn a_nonce_of_the_server_that_would_change_the_message_is_refused() {
    let check = |nonce| {
        let answer = ScramServer::start(b"n,,n=,r=abc", quick("x"), nonce);
        assert_eq!(answer.map(|(text, _)| text), Err(ScramError::ServerNonce));
    };
    check("");
    check("a,i=1");
    check("a\n");
    assert!(is_nonce(&ScramServer::nonce([0xff; 18])));
}

#[test]
fn final_messages_that_do_not_fit_the_first_are_refused() {
    let check = |from, to, expected| {
        let tampered = CLIENT_FINAL.replacen(from, to, 1);
        assert_ne!(tampered, CLIENT_FINAL);
        assert_eq!(begun(pencil()).finish(tampered.as_bytes()), Err(expected), "{tampered}");
    };
    let malformed = |what| ScramError::Malformed { what };
    check("biws", "eSws", ScramError::BindingMismatch);
    check("biws", "cD10bHMtc2VydmVyLWVuZC1wb2ludCws", ScramError::BindingMismatch);
    check("rOpr", "sOpr", ScramError::NonceMismatch);
    check("k0,", "k0x,", ScramError::NonceMismatch);
    check("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "", ScramError::NonceMismatch);
    check("c=", "d=", malformed("no channel binding"));
    check("r=", "q=", malformed("no nonce"));
    check(",p=", ",q=", malformed("no proof"));
    check(",p=", ",p=AAAA,p=", malformed("extension"));
    check(",p=", ",r=x,p=", malformed("extension"));
    check("VQ=", "VQ", malformed("proof"));
    check("VQ=", "VR=", malformed("proof"));
    check("VQ=", "VQ=AAAA", malformed("proof"));
    check("VQ=", "VQ=,x=1", malformed("proof"));
    check("dHzb", "dHzc", ScramError::Proof);
    // An extension that the client did not sign.
    check(",p=", ",x=1,p=", ScramError::Proof);
}

/// What a client of another make gets with that password against that verifier.
fn log_in(password: &str, binding: ChannelBinding, verifier: Verifier) -> Result<(), ScramError> {
    let mut client = ScramSha256::new(password.as_bytes(), binding);
    let (server_first, server) =
        ScramServer::start(client.message(), verifier, &ScramServer::nonce([7; 18]))?;
    client.update(server_first.as_bytes()).unwrap();
    let server_final = server.finish(client.message())?;
    client.finish(server_final.as_bytes()).unwrap();
    Ok(())
}

#[test]
fn a_client_of_another_make_logs_in_with_the_right_password_only() {
    let check = |password, expected| {
        assert_eq!(log_in(password, ChannelBinding::unsupported(), pencil()), expected);
    };
    check("pencil", Ok(()));
    check("Pencil", Err(ScramError::Proof));
    check("", Err(ScramError::Proof));
    assert_eq!(log_in("pencil", ChannelBinding::unrequested(), pencil()), Ok(()));
    let bound = ChannelBinding::tls_server_end_point(vec![1, 2, 3]);
    assert_eq!(log_in("pencil", bound, pencil()), Err(ScramError::ChannelBinding));
}

#[test]
fn a_mock_cannot_be_told_from_a_real_verifier_by_its_answers() {
    let mock = Verifier::mock(b"secret", "nobody");
    let first = |verifier| {
        let answer = ScramServer::start(CLIENT_FIRST.as_bytes(), verifier, SERVER_NONCE);
        answer.unwrap().0
    };
    let (real, mocked) = (first(pencil()), first(mock.clone()));
    assert_eq!(real.len(), mocked.len());
    assert_eq!(real.split_once(",s=").unwrap().0, mocked.split_once(",s=").unwrap().0);
    assert_eq!(real.rsplit_once(',').unwrap().1, mocked.rsplit_once(',').unwrap().1);
    let refused = |verifier| log_in("wrong", ChannelBinding::unsupported(), verifier);
    assert_eq!(refused(mock), refused(pencil()));
}

#[test]
fn a_mock_accepts_no_proof_not_even_one_made_from_its_own_keys() {
    // The same verifier, once as it would be if it were stored, and once as a mock.
    let genuine = Verifier::parse(&quick("x").to_string()).unwrap();
    assert_eq!(log_in("x", ChannelBinding::unsupported(), genuine), Ok(()));
    let mock = quick("x").into_mock();
    assert_eq!(log_in("x", ChannelBinding::unsupported(), mock), Err(ScramError::Proof));
}

proptest! {
    #[test]
    fn any_password_logs_in_and_any_other_does_not(
        password in any::<String>(),
        other in any::<String>(),
    ) {
        let try_with = |tried: &str| {
            log_in(tried, ChannelBinding::unsupported(), quick(&password))
        };
        prop_assert_eq!(try_with(&password), Ok(()));
        let expected = if quick(&password) == quick(&other) {
            Ok(())
        } else {
            Err(ScramError::Proof)
        };
        prop_assert_eq!(try_with(&other), expected);
    }

    #[test]
    fn no_changed_byte_of_a_message_is_overlooked(
        at in any::<prop::sample::Index>(),
        change in 1..=255u8,
        first in any::<bool>(),
    ) {
        let mut client_first = CLIENT_FIRST.as_bytes().to_vec();
        let mut client_final = CLIENT_FINAL.as_bytes().to_vec();
        let message = if first { &mut client_first } else { &mut client_final };
        let at = at.index(message.len());
        message[at] ^= change;
        let done = ScramServer::start(&client_first, pencil(), SERVER_NONCE)
            .and_then(|(_, server)| server.finish(&client_final));
        prop_assert!(done.is_err());
    }

    #[test]
    fn no_message_panics(first in "[nyp],,n=,r=[a-z,=]{0,9}", last in ".{0,20},p=[A-Za-z=]{0,9}") {
        if let Ok((_, server)) = ScramServer::start(first.as_bytes(), quick("x"), "abc") {
            prop_assert!(server.finish(last.as_bytes()).is_err());
        }
    }
}
