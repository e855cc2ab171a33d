use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc::sync_channel,
    },
};

use postern_ledger::{Draft, DraftLeaf, DraftRow, Ledger, Options, Touch};
use postern_model::{Actor, Clock, Grade, Reason, StatementFingerprint, Subject, Timestamp};

use crate::{bench::Bench, cli::GOOD};

/// A minute passes with every look.
#[derive(Debug)]
struct Minutes(AtomicI64);

impl Clock for Minutes {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(60_000_000, Ordering::Relaxed))
    }
}

fn disclosure(actor: &str, customer: usize, grade: Grade) -> Draft {
    let reason = Reason { name: "assigned_ticket".into(), grade };
    let subject = Subject::new(customer.to_string());
    let touch = Touch { leaf: 0, subject, reason: Some(reason) };
    Draft {
        actor: Actor::new(actor),
        connection: 7,
        hold: 1,
        fingerprint: StatementFingerprint(1),
        statement: "SELECT name, email FROM customers WHERE id = $1".into(),
        leaves: vec![DraftLeaf {
            relation: "public.customers".into(),
            clear: vec!["name".into(), "email".into()],
            shown: Vec::new(),
            masked: vec!["phone".into()],
        }],
        rows: vec![DraftRow { touches: vec![touch] }],
        lookups: Vec::new(),
        values: Vec::new(),
        claimed: None,
        observed: None,
        refused: None,
        done: false,
        limits: Arc::from([]),
    }
}

/// A ledger in which `agent13` was shown forty customers for a weak reason, among twenty accounts
/// that were shown thirty of their own each; what all customers' values are; and a list.
pub(crate) fn bench() -> Bench {
    let bench = Bench::new().file("postern.toml", GOOD);
    let folder = bench.path("postern-data/ledger");
    let options = Options::new("localhost/postern", Arc::new(Minutes(AtomicI64::new(0)))).small();
    fs::create_dir_all(bench.path("postern-data")).unwrap();
    Ledger::create(&folder, &options).unwrap();
    let ledger = Ledger::open(&folder, options, Arc::new(|_| {})).unwrap();
    let (sent, done) = sync_channel(1);
    let record = |draft| {
        let sent = sent.clone();
        ledger.record(draft, Box::new(move |result| sent.send(result.is_ok()).unwrap()));
        assert!(done.recv().unwrap());
    };
    for agent in 0..20 {
        for customer in 0..30 {
            let customer = 1_000 * (agent + 1) + customer;
            record(disclosure(&format!("agent{agent:02}"), customer, Grade::Strong));
        }
    }
    (50_000..50_040).for_each(|customer| record(disclosure("agent13", customer, Grade::Weak)));
    ledger.close().unwrap();
    let mut values = String::new();
    for customer in (1_000..1_030).chain(50_000..50_040).chain(60_000..62_000) {
        for (field, value) in [("name", " Ada Nr"), ("email", "ada@example.com")] {
            let _ = writeln!(
                values,
                r#"{{"ts":"1960-01-01T00:00:00Z","subject":"{customer}","field":"{field}","value":"{customer}{value}"}}"#
            );
        }
    }
    let rows = (50_000..50_036).map(|id| format!("{id} Ada Nr,{id}ada@example.com\n"));
    let list = "name,email\n".to_owned() + &rows.collect::<String>();
    bench.file("values.jsonl", &values).file("leak.csv", &list)
}

pub(crate) const EXPORT: &str =
    "evidence export --leak leak.csv --values values.jsonl --out case.zip";

/// An interpreter with the library that the verifier needs.
pub(crate) fn python() -> Option<&'static str> {
    let can = |name: &&str| {
        let run = Command::new(name).args(["-c", "import cryptography"]).output();
        run.is_ok_and(|output| output.status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(can);
    let needed = std::env::var_os("POSTERN_NEEDS_PYTHON").is_some();
    assert!(found.is_some() || !needed, "there is no python3 with the module `cryptography`");
    found
}

/// What a script with the verifier's modules at hand prints; `None` if there is no interpreter.
pub(crate) fn script(bench: &Bench, script: &str) -> Option<String> {
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../verifier");
    let output = Command::new(python()?)
        .args(["-c", &format!("import evidence, json, note, zipfile\n{script}")])
        .env("PYTHONPATH", verifier)
        .current_dir(bench.path("."))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(text(&output.stdout) + &text(&output.stderr))
}

/// Reads the file and the ledger's key.
pub(crate) const OPEN: &str = "
key = note.parse_key(open('postern-data/ledger/key.pub').read().strip())
def said(path, key=key):
    try:
        return json.dumps(evidence.check(path, key))
    except evidence.Refused as refused:
        return f'refused: {refused}'
def parts():
    with zipfile.ZipFile('case.zip') as archive:
        return {name: archive.read(name) for name in archive.namelist()}
def changed(parts):
    with zipfile.ZipFile('other.zip', 'w') as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return said('other.zip')
";

#[test]
fn evidence_is_checked_without_postern() {
    let bench = bench();
    let said = bench.run(EXPORT).yes();
    assert!(said.starts_with("`case.zip` holds what speaks for agent13: "), "{said}");
    let again = bench.run(EXPORT).ended(2);
    assert!(again.contains("`case.zip` exists"), "{again}");
    let asked = bench.run("ledger show --last 1").yes();
    assert!(asked.contains("asked the ledger what agent13 saw"), "{asked}");
    let Some(said) = script(&bench, &format!("{OPEN}print(said('case.zip'))")) else { return };
    assert!(said.contains(r#""verdict": "attributed""#), "{said}");
    assert!(said.contains(r#""account": "agent13", "entries": 70, "#), "{said}");
}

#[test]
fn changed_evidence_does_not_hold() {
    let bench = bench();
    bench.run(EXPORT).yes();
    let check = |what: &str, expected: &str| {
        let Some(said) = script(&bench, &format!("{OPEN}{what}")) else { return };
        assert!(said.starts_with(expected), "{said}");
    };
    check(
        "p = parts(); p['trace.json'] += b' '; print(changed(p))",
        "refused: part `trace.json` is not what was signed",
    );
    check(
        "p = parts(); del p['custody.jsonl']; print(changed(p))",
        "refused: the parts are not those that were signed",
    );
    check(
        "p = parts(); p['more'] = b''; print(changed(p))",
        "refused: the parts are not those that were signed",
    );
    check(
        "from cryptography.hazmat.primitives.asymmetric import ed25519\n\
         other = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()\n\
         print(said('case.zip', note.Key(key.name, other)))",
        "refused: the manifest is not signed by the key",
    );
}

/// The page, the form and the case say the same as the rest.
#[test]
fn what_is_for_people_and_other_programs_says_the_same() {
    let bench = bench();
    bench.run(EXPORT).yes();
    let look = "p = parts()\n\
                print(all(b'agent13' in p[n] for n in\n\
                \t['index.html', 'page.pdf', 'certification.txt', 'case.jsonld']))\n\
                print(p['page.pdf'][:8], b'The records came through one account.' in p['page.pdf'])\n\
                g = json.loads(p['case.jsonld'])['@graph']\n\
                of = lambda kind: [n for n in g if n['@type'] == kind]\n\
                files = {n['uco-core:hasFacet'][0]['uco-observable:fileName'] for n in of('uco-observable:File')}\n\
                print(sorted(set(p) - files))\n\
                print([n['uco-core:name'] for n in of('case-investigation:InvestigativeAction')])\n\
                print(len({n['@id'] for n in g}) == len(g))";
    let Some(said) = script(&bench, &format!("{OPEN}{look}")) else { return };
    let expected = "True\nb'%PDF-1.7' True\n['case.jsonld', 'manifest.dsse.json']\n\
                    ['read', 'read', 'asked the ledger about', 'exported']\nTrue\n";
    assert_eq!(said, expected);
    let check = |what: &str, expected: &str| {
        let tried = "try:\n    s = {'subject': [{'name': n, 'digest': {'sha256': evidence.hashlib.sha256(d).hexdigest()}}\n\
                     \tfor n, d in p.items()]}\n    \
                     evidence._check_case(p, s, json.loads(p['analysis.json'])); print('holds')\n\
                     except evidence.Refused as refused:\n    print(f'refused: {refused}')";
        let Some(said) = script(&bench, &format!("{OPEN}p = parts()\n{what}\n{tried}")) else {
            return;
        };
        assert!(said.starts_with(expected), "{said}");
    };
    check("", "holds");
    check(
        "p['leak.csv'] += b' '",
        "refused: the case and the manifest have other digests of `leak.csv`",
    );
    let other = "p['case.jsonld'] = p['case.jsonld'].replace(b'agent13', b'agent12')";
    check(other, "refused: the case leaves out an account");
}

/// Whoever has the ledger's key can sign anything; what the entries say they can't change.
#[test]
fn a_likelihood_that_the_entries_do_not_give_is_found() {
    let bench = bench();
    bench.run(EXPORT).yes();
    let check = |what: &str, expected: &str| {
        let account = "p = parts(); a = json.loads(p['analysis.json'])\n\
                       account = a['accounts'][0]; l = account['likelihood']";
        let tried = "try:\n    evidence._check_account(p, a, account, key); print('holds')\n\
                     except evidence.Refused as refused:\n    print(f'refused: {refused}')";
        let Some(said) = script(&bench, &format!("{OPEN}{account}\n{what}\n{tried}")) else {
            return;
        };
        assert!(said.starts_with(expected), "{said}");
    };
    check("", "holds");
    check("l['tracks'][1]['log_ratio'] += 1", "refused: agent13: 36 rows and ");
    check("l['tracks'][0]['matched'] += 1", "refused: agent13: 36 rows and ");
    check("l['rows'].pop()", "refused: agent13: 35 rows and ");
    check("l['graded'] = False", "refused: agent13: ");
    check("a['until'] -= 1", "refused: the proof of agent13 is of another account or time");
    check("account['account'] = 'agent12'", "refused: the proof of agent12 is of another");
}

#[test]
fn evidence_names_nobody_who_is_not_in_the_list() {
    let bench = bench();
    bench.run(EXPORT).yes();
    let shown = "print(sorted(s for e in evidence.ranges.check(parts()['proofs/0'].decode(), key)\n\
                 if e['kind'] == 'disclosed' for g in e['groups'] for s in g['subjects']))\n\
                 print(b'14007' in b''.join(parts().values()))";
    let Some(said) = script(&bench, &format!("{OPEN}{shown}")) else { return };
    assert!(said.contains("'50000', ") && said.contains("'subject "), "{said}");
    assert!(!said.contains("'14007'") && said.ends_with("False\n"), "{said}");
}

#[test]
fn a_list_that_names_nobody_needs_an_account() {
    let rows = (60_000..60_100).map(|id| format!("{id} Ada Nr,{id}ada@example.com\n"));
    let list = "name,email\n".to_owned() + &rows.collect::<String>();
    let bench = bench().file("leak.csv", &list);
    let run = bench.run(EXPORT);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("the trace names no account"), "{run:?}");
    bench.run(&format!("{EXPORT} --account agent02")).yes();
    let Some(said) = script(&bench, &format!("{OPEN}print(said('case.zip'))")) else { return };
    assert!(said.contains(r#""account": "agent02", "entries": 30, "#), "{said}");
}

#[test]
fn redacted_evidence_names_no_customer_and_still_proves() {
    let bench = bench();
    bench.run(EXPORT).yes();
    let said = bench.run("evidence redact case.zip --out redacted.zip").yes();
    assert!(said.contains("has 1 proofs without names"), "{said}");
    assert!(bench.run("evidence redact case.zip --out redacted.zip").ended(2).contains("exists"));
    bench.run("evidence redact case.zip --keep 50000 --out kept.zip").yes();
    let compare = "whole, less = evidence.check('case.zip', key), evidence.check('redacted.zip', key)\n\
                   print(less['redacted'], whole['accounts'] == less['accounts'], less['verdict'])\n\
                   data = lambda path: b''.join(zipfile.ZipFile(path).read(name)\n\
                   \tfor name in zipfile.ZipFile(path).namelist())\n\
                   named = lambda path: {s for e in evidence.ranges.check(\n\
                   \tzipfile.ZipFile(path).read('proofs/0').decode(), key) if e['kind'] == 'disclosed'\n\
                   \tfor g in e['groups'] for s in g['subjects'] if not s.startswith('subject ')}\n\
                   print(b'50000' in data('case.zip'), b'50000' in data('redacted.zip'))\n\
                   print(len(named('case.zip')), named('redacted.zip'), named('kept.zip'))\n\
                   print(evidence.check('kept.zip', key)['accounts'] == whole['accounts'])";
    let Some(said) = script(&bench, &format!("{OPEN}{compare}")) else { return };
    let expected = "['leak.csv', 'trace.json', 'proofs/0'] True attributed\n\
                    True False\n36 set() {'50000'}\nTrue\n";
    assert_eq!(said, expected);
}

#[test]
fn what_is_taken_out_beyond_names_is_found() {
    let bench = bench();
    bench.run(EXPORT).yes();
    bench.run("evidence redact case.zip --out case2.zip").yes();
    let check = |what: &str, expected: &str| {
        let open = "with zipfile.ZipFile('case2.zip') as archive:\n    \
                    p = {name: archive.read(name) for name in archive.namelist()}";
        let Some(said) = script(&bench, &format!("{OPEN}{open}\n{what}\nprint(changed(p))")) else {
            return;
        };
        assert!(said.starts_with(expected), "{said}");
    };
    check("", "{\"ledger\": ");
    check("del p['analysis.json']", "refused: the parts are not those that were signed");
    check("del p['proofs/0']", "refused: the parts are not those that were signed");
    let cut = "lines = p['proofs/0'].decode().split('\\n')\n\
               at = next(i for i, line in enumerate(lines) if line.startswith('open '))\n\
               del lines[at]; p['proofs/0'] = '\\n'.join(lines).encode()";
    check(cut, "refused: the proof of agent13: an entry is not opened");
    let older = "p['analysis.json'] = p['analysis.json'].replace(b'subject ', b'subject 1')";
    check(older, "refused: part `analysis.json` is not what was signed");
}
