use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::new("example.org/ledger", &[seed; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "example.org/ledger".into(), size: 7, root: Hash([9; 32]) }
}

#[test]
fn a_signed_checkpoint_is_a_c2sp_note() {
    let expected = "\
example.org/ledger
7
CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=

— example.org/ledger wYbiWKsvbhk5APPjpsAgd9xElEVy84NIihQTuJSEaCNPrhvbCPIFEaSFro494bq7AZpO2wkASW2cpfkgyA4Dkto9mQE=
";
    assert_eq!(checkpoint().sign(&key(1)).unwrap(), expected);
    let expected = "example.org/ledger+c186e258+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
    assert_eq!(key(1).verifying_key().as_str(), expected);
}

#[test]
fn a_signed_checkpoint_verifies_with_its_key_only() {
    let text = checkpoint().sign(&key(1)).unwrap();
    let verify = |key: &VerifyingKey| Checkpoint::verify(text.as_bytes(), key);
    assert_eq!(verify(&key(1).verifying_key()).unwrap(), checkpoint());
    assert!(matches!(verify(&key(2).verifying_key()), Err(CheckpointError::Signature { .. })));
    let other = SigningKey::new("example.org/other", &[1; 32]).unwrap();
    assert!(verify(&other.verifying_key()).is_err());
}

#[test]
fn a_key_does_not_speak_for_another_ledger() {
    let other = Checkpoint { origin: "example.org/other".into(), ..checkpoint() };
    let text = other.sign(&key(1)).unwrap();
    assert!(matches!(
        Checkpoint::verify(text.as_bytes(), &key(1).verifying_key()),
        Err(CheckpointError::Origin { .. })
    ));
}

#[test]
fn every_flipped_bit_of_a_checkpoint_is_noticed() {
    let text = checkpoint().sign(&key(1)).unwrap().into_bytes();
    let key = key(1).verifying_key();
    for bit in 0..text.len() * 8 {
        let mut changed = text.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Checkpoint::verify(&changed, &key).is_err(), "bit {bit} can be flipped");
    }
}

#[test]
fn a_verifying_key_is_read_back_and_names_are_checked() {
    let verifying = key(1).verifying_key();
    assert_eq!(VerifyingKey::parse(verifying.as_str()).unwrap(), verifying);
    let text = verifying.as_str().as_bytes();
    for bit in 0..text.len() * 8 {
        let mut changed = text.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let parsed = std::str::from_utf8(&changed).ok().map(VerifyingKey::parse);
        assert!(parsed.is_none_or(|parsed| parsed.is_err()), "bit {bit} can be flipped");
    }
    for name in ["", "a b", "a+b", "a\nb", "a\u{1}b"] {
        assert!(SigningKey::new(name, &[1; 32]).is_err(), "`{name}` is taken");
    }
}

#[test]
fn a_challenge_is_answered_by_the_key_only() {
    let (challenge, other) = ([7; 32], [8; 32]);
    let answer = key(1).answer(&challenge).unwrap();
    assert!(key(1).verifying_key().is_answer(&challenge, &answer));
    assert!(!key(2).verifying_key().is_answer(&challenge, &answer));
    assert!(!key(1).verifying_key().is_answer(&other, &answer));
    // It is no signature of a checkpoint.
    assert!(std::str::from_utf8(&answered(&challenge)).is_ok_and(|text| text.contains('\0')));
}
