use proptest::prelude::*;

use super::*;

/// RFC 7677's example: password `pencil`. The keys were computed with Python's hashlib.
const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

const SALT: &[u8] = &[
    0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81,
];

#[test]
fn a_verifier_is_the_one_that_others_derive() {
    assert_eq!(Verifier::derive("pencil", SALT, DEFAULT_ITERATIONS).to_string(), PENCIL);
}

#[test]
fn a_verifier_comes_back_from_its_text() {
    let verifier = Verifier::parse(PENCIL).unwrap();
    assert_eq!(verifier, Verifier::derive("pencil", SALT, DEFAULT_ITERATIONS));
    assert_eq!(verifier.to_string(), PENCIL);
    assert_eq!(verifier.salt(), SALT);
}

#[test]
fn texts_that_are_not_verifiers_are_refused() {
    let check = |from, to, expected| {
        let text = PENCIL.replacen(from, to, 1);
        assert_ne!(text, PENCIL);
        assert_eq!(Verifier::parse(&text), Err(expected), "{text}");
    };
    let field = |field| VerifierError::Field { field };
    check(PENCIL, "", VerifierError::Form);
    check(PENCIL, "md5d41d8cd98f00b204e9800998ecf8427e", VerifierError::Form);
    check("256$", "1$", VerifierError::Form);
    check("4096:", "4096", VerifierError::Form);
    check("=:", "=", VerifierError::Form);
    check("==$", "==$$", VerifierError::Form);
    check("4096", "0", field("number of iterations"));
    check("4096", "+4096", field("number of iterations"));
    check("4096", "2147483648", field("number of iterations"));
    check("W22ZaJ0SNY7soEsUEjb6gQ==", "", field("salt"));
    check("gQ==", "gQ", field("salt"));
    check("4qY=", "4qY", field("stored key"));
    check("2dU=", "2dU=AAAA", field("server key"));
    check("2dU=", "2dU= ", field("server key"));
    check("2dU=", "2d==", field("server key"));
}

#[test]
fn a_password_is_prepared_as_rfc_4013_says() {
    let same = |one: &str, other: &str| {
        let derive = |password| Verifier::derive(password, SALT, NonZeroU32::MIN);
        derive(one) == derive(other)
    };
    // RFC 4013, section 3: a soft hyphen is nothing, roman nine is `IX`, no case is folded.
    assert!(same("I\u{ad}X", "IX"));
    assert!(same("\u{2168}", "IX"));
    assert!(same("\u{aa}", "a"));
    assert!(!same("user", "USER"));
    // Prohibited (a control character; text in both directions): taken as it stands.
    assert!(!same("\u{7}\u{ad}", "\u{7}"));
    assert!(!same("\u{627}1\u{ad}", "\u{627}1"));
}

#[test]
fn a_mock_is_stable_and_has_the_shape_of_a_real_one() {
    let mock = Verifier::mock(b"secret", "eva");
    assert_eq!(mock, Verifier::mock(b"secret", "eva"));
    assert_ne!(mock.salt(), Verifier::mock(b"secret", "bob").salt());
    assert_ne!(mock.salt(), Verifier::mock(b"other", "eva").salt());
    let real = Verifier::derive("x", &[1; SALT_BYTES], DEFAULT_ITERATIONS);
    assert_eq!(mock.shape(), real.shape());
    assert_eq!(mock.to_string().len(), real.to_string().len());
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", Verifier::parse(PENCIL).unwrap());
    assert_eq!(shown, "Verifier(SCRAM-SHA-256$4096:…)");
}

proptest! {
    #[test]
    fn any_verifier_comes_back_from_its_text(
        password in any::<String>(),
        salt in prop::collection::vec(any::<u8>(), 1..40),
        iterations in 1..20u32,
    ) {
        let iterations = NonZeroU32::new(iterations).unwrap();
        let verifier = Verifier::derive(&password, &salt, iterations);
        prop_assert_eq!(Verifier::parse(&verifier.to_string()), Ok(verifier));
    }

    #[test]
    fn no_text_panics(text in "(SCRAM-SHA-256)?[$:=A-Za-z0-9]{0,80}") {
        let _ = Verifier::parse(&text);
    }
}
