//! Proofs, byte for byte, with and without cosignatures, and those that were made before proofs had
//! any.

use postern_merkle::VerifyingKey;

use super::*;
use crate::{
    Basis, CheckError, Naming, Quorum, RangeQuestion, check_proof, check_range,
    check_witnessed_proof, check_witnessed_range, is_range_proof, prove::prove_on,
    range::prove_range_on, witness::tests as witnessing,
};

const NAME: &str = "2-proofs";

fn key() -> VerifyingKey {
    postern_merkle::SigningKey::new("test.example/ledger", &[1; 32]).unwrap().verifying_key()
}

/// Proofs in a ledger of which witnesses have seen the first three entries of five.
fn made() -> BTreeMap<String, Vec<u8>> {
    let ledger = witnessing::ledger();
    let (one, two) = (witnessing::witness(1), witnessing::witness(2));
    witnessing::grow(&ledger, 3, "c");
    witnessing::cosign(&ledger, &[&one, &two]);
    witnessing::grow(&ledger, 2, "d");
    let disk: Arc<dyn crate::disk::Disk> = Arc::new(ledger);
    let entry = |sequence, basis| prove_on(disk.clone(), sequence, basis, &mut |_, _| {}).unwrap();
    let question = RangeQuestion {
        actor: Actor::new("ana"),
        since: None,
        until: None,
        subjects: Naming::Texts,
    };
    let range = |basis| prove_range_on(&disk, &question, basis, &mut |_, _| {}).unwrap();
    let files = [
        ("cosigned.tlog-proof", entry(1, Basis::Covering)),
        ("newest.tlog-proof", entry(1, Basis::Newest)),
        ("cosigned.range", range(Basis::Witnessed)),
        ("newest.range", range(Basis::Covering)),
        ("key.pub", format!("{}\n", key().as_str())),
        ("witness-1.pub", format!("{}\n", one.key().to_text())),
        ("witness-2.pub", format!("{}\n", two.key().to_text())),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(vectors(NAME).join(name)).unwrap()
}

fn quorum(enough: usize) -> Quorum {
    let key = |name| crate::CosignerKey::parse(read(name).trim_end()).unwrap();
    Quorum::new(vec![key("witness-1.pub"), key("witness-2.pub")], enough).unwrap()
}

/// Whether a proof holds, for both verifiers.
fn holds(name: &str, quorum: Option<&Quorum>) -> bool {
    let (text, key) = (read(name), VerifyingKey::parse(read("key.pub").trim_end()).unwrap());
    let ours = match (is_range_proof(&text), quorum) {
        (true, None) => check_range(&text, &key).is_ok(),
        (true, Some(quorum)) => check_witnessed_range(&text, &key, quorum).is_ok(),
        (false, None) => check_proof(&text, &key).is_ok(),
        (false, Some(quorum)) => check_witnessed_proof(&text, &key, quorum).is_ok(),
    };
    let Some(python) = python::interpreter() else { return ours };
    let mut command = Command::new(python);
    let kind = if is_range_proof(&text) { "--range" } else { "--proof" };
    command.arg(python::script("")).arg(kind).arg(vectors(NAME).join(name));
    command.args(["--key", key.as_str()]);
    if let Some(quorum) = quorum {
        for key in quorum.witnesses() {
            command.args(["--witness", &key.to_text()]);
        }
        command.args(["--enough", &quorum.enough().to_string()]);
    }
    let output = command.output().unwrap();
    let theirs = output.status.code().unwrap();
    assert_eq!(theirs, i32::from(!ours), "{}", String::from_utf8_lossy(&output.stderr));
    ours
}

#[test]
fn proofs_are_those_of_the_vectors_and_both_verifiers_count_who_cosigned_them() {
    if bless() {
        std::fs::create_dir_all(vectors(NAME)).unwrap();
        made().iter().for_each(|(name, bytes)| {
            std::fs::write(vectors(NAME).join(name), bytes).unwrap();
        });
    }
    for (name, bytes) in made() {
        assert!(read(&name).into_bytes() == bytes, "{name} is another");
    }
    for name in ["cosigned.tlog-proof", "cosigned.range"] {
        assert!(holds(name, None), "{name}");
        assert!(holds(name, Some(&quorum(1))), "{name}");
        assert!(holds(name, Some(&quorum(2))), "{name}");
    }
    for name in ["newest.tlog-proof", "newest.range"] {
        assert!(holds(name, None), "{name}");
        assert!(!holds(name, Some(&quorum(1))), "{name}");
    }
}

/// Those of the fuzzer's corpus, each behind the key of its ledger.
#[test]
fn proofs_of_before_cosignatures_are_still_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/proof");
    let mut held = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let (key, proof) = text.split_once('\n').unwrap();
        let key = VerifyingKey::parse(key).unwrap();
        if is_range_proof(proof) {
            check_range(proof, &key).unwrap();
        } else {
            check_proof(proof, &key).unwrap();
            let asked = check_witnessed_proof(proof, &key, &quorum(1));
            assert!(matches!(asked, Err(CheckError::Witnesses(_))));
        }
        held += 1;
    }
    assert!(held >= 10, "{held}");
}
