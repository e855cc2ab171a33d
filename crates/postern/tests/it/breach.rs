//! Who was affected, by the ledger in which `agent13` was shown forty customers, of whom
//! thirty-six are in the list.

use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt as _};

use crate::{
    bench::Bench,
    evidence::{bench, script},
};

/// Places of all forty, of one more whom nobody was shown, and of one whose place has no rules.
fn customers(bench: Bench) -> Bench {
    let mut rows = "subject,jurisdiction,locale,name\n".to_owned();
    for customer in 50_000..50_040 {
        let (place, locale) = if customer % 2 == 0 { ("DE", "de-DE") } else { ("US-CA", "en") };
        let _ = writeln!(rows, "{customer},{place},{locale},\"Ada, Nr. {customer}\"");
    }
    rows.push_str("70000,DE,de,Nobody\n");
    bench.file("customers.csv", &rows)
}

const OPEN: &str = "breach open --account agent13 --leak leak.csv --values values.jsonl \
                    --customers customers.csv --aware 2020-01-03T10:00:00Z --out case";

#[test]
fn who_was_affected_is_told_with_its_certainty() {
    let bench = customers(bench());
    let run = bench.run(OPEN);
    assert!(run.stderr.contains("with counsel"), "{run:?}");
    let said = run.yes();
    // The thirty of its ordinary work have no place, and are possible as well.
    let counts = "36 persons whose data was seen, 34 whose data may have been taken, 1 of whom";
    assert!(said.starts_with(counts), "{said}");

    let affected = bench.read("case/affected.csv");
    let line = |begin: &str| affected.lines().find(|line| line.starts_with(begin));
    assert_eq!(line("70000"), Some("70000,DE,unknown,,,,"));
    let seen = line("50001,US-CA,seen,email,1970-01-01T").unwrap_or_else(|| panic!("{affected}"));
    assert!(seen.ends_with(",1"), "{seen}");
    assert!(line("50039,US-CA,possible,name,").is_some(), "{affected}");
    assert!(!affected.contains(",phone,"), "it was masked");

    let letters = bench.read("case/letters.csv");
    let german = "50000,letter.de.txt,\"Ihre E-Mail-Adresse, Ihr Name\",Wir wissen das, ";
    let german = german.replace("Wir wissen das, ", "\"Wir wissen das, ");
    assert!(letters.contains(&german) && letters.contains(",\"Ada, Nr. 50000\"\n"), "{letters}");
    assert!(!letters.contains("70000"), "nothing tells that there is anything to say");
    let draft = bench.read("case/authority.md");
    for text in [
        "At least 36 persons, and at most 70 that are known, besides 1",
        "| DE | 18 | 20 | EU |",
        "| email | 36 | 34 |",
        "| not told | 0 | 30 | none known here |",
        "EU authority: 2020-01-06T10:00:00.000000Z",
        "What did not go through the gateway",
    ] {
        assert!(draft.contains(text), "no `{text}` in {draft}");
    }
    let mode = |path: &str| fs::metadata(bench.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("case"), mode("case/affected.csv")), (0o700, 0o600));
    assert!(bench.run("ledger show --last 1").yes().contains("agent13"), "the look is recorded");
    bench.run("ledger verify").yes();
    assert!(bench.run(OPEN).ended(2).contains("`case` exists"));
}

#[test]
fn places_without_rules_are_said() {
    let bench = bench().file("customers.csv", "subject,jurisdiction\n50000,XX\n");
    let run = bench.run("breach open --account agent13 --customers customers.csv --out case");
    assert!(run.stderr.contains("1 persons have `XX`, for which no rules"), "{run:?}");
    assert!(run.stderr.contains("69 persons have no place"), "{run:?}");
    assert!(run.yes().starts_with("0 persons whose data was seen, 70 "));
    assert_eq!(bench.run("breach open --out other").code, Some(64));
    let late = "breach open --account agent13 --aware 2990-01-01T00:00:00Z --out other";
    assert!(bench.run(late).ended(2).contains("which is to come"));
}

#[test]
fn what_is_done_is_noted_and_a_snapshot_is_signed() {
    let bench = customers(bench());
    bench.run(OPEN).yes();
    let late = bench.run("breach status case");
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(late.stdout.contains("EU authority: late, 2020-01-06T10:00"), "{late:?}");
    assert!(late.stdout.contains("EU persons, 0 of 20: open, no fixed time"), "{late:?}");
    let wrong = bench.run("breach done case authority XX").ended(2);
    assert!(wrong.contains("nobody is told by the rules `XX`"), "{wrong}");
    bench.run("breach done case authority EU --note 2026/117").yes();
    bench.run("breach done case persons EU --persons 20").yes();
    bench.run("breach done case persons US-CA --persons 3").yes();
    let status = bench.run("breach status case").stdout;
    for text in ["EU authority: done", "EU persons, 20 of 20: done", "US-CA persons, 3 of 20: late"]
    {
        assert!(status.contains(text), "{status}");
    }
    bench.run("breach snapshot case --out case.zip").yes();
    assert!(bench.run("breach snapshot case --out case.zip").code == Some(2));
    // By other code: the statement is signed with the ledger's key, and names every file.
    let key = bench.read("postern-data/ledger/key.pub").trim().to_owned();
    let Some(said) = script(
        &bench,
        &format!(
            "import base64, hashlib, zipfile\nz = zipfile.ZipFile('case.zip')\n\
             e = json.loads(z.read('manifest.dsse.json'))\n\
             p = base64.b64decode(e['payload'])\n\
             t = e['payloadType'].encode()\n\
             m = b'DSSEv1 %d %s %d ' % (len(t), t, len(p)) + p\n\
             from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey\n\
             k = base64.b64decode('{key}'.split('+', 2)[2])[1:]\n\
             Ed25519PublicKey.from_public_bytes(k).verify(\
             base64.b64decode(e['signatures'][0]['sig']), m)\n\
             s = json.loads(p)\n\
             for f in s['subject']:\n    \
             assert hashlib.sha256(z.read(f['name'])).hexdigest() == f['digest']['sha256']\n\
             print(s['predicateType'], len(s['subject']))"
        ),
    ) else {
        return;
    };
    assert_eq!(said.trim(), "urn:postern:breach:1 8");
}
