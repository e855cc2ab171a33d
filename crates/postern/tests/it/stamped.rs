//! Evidence with a time-stamp by an authority that the test runs, with `openssl ts`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use crate::{
    bench::Bench,
    cli::GOOD,
    evidence::{EXPORT, OPEN, bench, script},
};

const SECTION: &str = "[tsa]\ndefault_tsa = it\n[it]\nserial = serial\nsigner_cert = tsa.pem\n\
    certs = tsa.pem\nsigner_key = tsa.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\n\
    digests = sha256\naccuracy = secs:1\nordering = no\ntsa_name = yes\ness_cert_id_chain = no\n";

fn openssl(folder: &Path, arguments: &str) -> bool {
    let run =
        Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output();
    run.is_ok_and(|output| output.status.success())
}

/// What an authority does to the requests that it gets.
#[derive(Clone, Copy)]
enum Authority {
    Honest,
    /// It answers every request with its first reply.
    Replays,
}

/// An authority with a certificate of a house's own; its address and its folder. `None` where there
/// is no openssl.
fn authority(bench: &Bench, conduct: Authority) -> Option<(String, PathBuf)> {
    let folder = bench.path("tsa");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("tsa.cnf"), SECTION).unwrap();
    fs::write(folder.join("serial"), "01\n").unwrap();
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    let made = [
        format!("{new} -keyout ca.key -out ca.pem -subj /CN=house"),
        format!(
            "{new} -keyout tsa.key -out tsa.pem -subj /CN=time -CA ca.pem -CAkey ca.key \
             -addext extendedKeyUsage=critical,timeStamping"
        ),
        format!("{new} -keyout other.key -out other.pem -subj /CN=stranger"),
    ];
    if !made.iter().all(|arguments| openssl(&folder, arguments)) {
        assert!(std::env::var_os("POSTERN_NEEDS_PYTHON").is_none(), "there is no openssl");
        return None;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/tsr", listener.local_addr().unwrap());
    let inside = folder.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let mut length = 0;
            for line in stream.by_ref().lines().map_while(Result::ok) {
                if let Some(text) = line.strip_prefix("Content-Length: ") {
                    length = text.parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let replayed = matches!(conduct, Authority::Replays) && inside.join("reply").exists();
            if !replayed {
                fs::write(inside.join("query"), &body).unwrap();
                assert!(openssl(&inside, "ts -reply -config tsa.cnf -queryfile query -out reply"));
            }
            let reply = fs::read(inside.join("reply")).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", reply.len());
            stream.get_mut().write_all(&[head.as_bytes(), &reply].concat()).unwrap();
        }
    });
    Some((address, folder))
}

fn with_authority(bench: Bench, address: &str) -> Bench {
    bench.file("postern.toml", &format!("{GOOD}\n[evidence]\ntsa = \"{address}\"\n"))
}

#[test]
fn a_time_stamp_is_checked_without_postern_and_without_the_authority() {
    let bench = bench();
    let Some((address, _)) = authority(&bench, Authority::Honest) else { return };
    let bench = with_authority(bench, &address);
    let run = bench.run(EXPORT);
    assert!(
        run.stderr.contains("a time-stamping authority says that it was there at 20"),
        "{run:?}"
    );
    let check = |what: &str, expected: &str| {
        let stamped = "import stamp\ndef stamped(path, pem):\n    try:\n        \
                       return evidence.check(path, key, stamp.load(pem))['stamped']\n    \
                       except evidence.Refused as refused:\n        return f'refused: {refused}'";
        let Some(said) = script(&bench, &format!("{OPEN}{stamped}\n{what}")) else { return };
        assert!(said.starts_with(expected), "{said}");
    };
    check("print(stamped('case.zip', 'tsa/ca.pem'))", "20");
    check("print(stamped('case.zip', 'tsa/tsa.pem'))", "20");
    check(
        "print(stamped('case.zip', 'tsa/other.pem'))",
        "refused: the time-stamp: it is signed by somebody whom nobody here trusts with time",
    );
    let without = "p = parts(); del p['manifest.tsr']; changed(p); ";
    check(
        &format!("{without}print(stamped('other.zip', 'tsa/ca.pem'))"),
        "refused: there is no time-stamp",
    );
    let turned = "p = parts(); t = bytearray(p['manifest.tsr']); t[AT] ^= 1\n\
                  p['manifest.tsr'] = bytes(t); changed(p); print(stamped('other.zip', 'tsa/ca.pem'))";
    // In the stated time, and in the signature.
    for at in ["t.index(b'Z') - 1", "-1"] {
        check(&turned.replace("AT", at), "refused: the time-stamp: ");
    }
    let others = "import hashlib\np = parts(); d = json.loads(p['manifest.dsse.json'])\n\
                  p['manifest.dsse.json'] = json.dumps(d).encode(); changed(p)\n\
                  print(stamped('other.zip', 'tsa/ca.pem'))";
    check(others, "refused: the time-stamp: it is for something else");
    // Nobody is asked for time: it holds with or without a token.
    check("print(said('case.zip'))", "{\"ledger\": ");
    check(&format!("{without}print(said('other.zip'))"), "{\"ledger\": ");
}

#[test]
fn a_redacted_file_keeps_its_time_stamp() {
    let bench = bench();
    let Some((address, _)) = authority(&bench, Authority::Honest) else { return };
    let bench = with_authority(bench, &address);
    bench.run(EXPORT).yes();
    bench.run("evidence redact case.zip --out redacted.zip").yes();
    let check =
        "import stamp\nprint(evidence.check('redacted.zip', key, stamp.load('tsa/ca.pem')))";
    let Some(said) = script(&bench, &format!("{OPEN}{check}")) else { return };
    assert!(said.contains("'stamped': '20") && said.contains("'log_ratios': ["), "{said}");
}

#[test]
fn without_an_answer_that_fits_nothing_is_exported() {
    let bench = bench();
    let Some((address, folder)) = authority(&bench, Authority::Replays) else { return };
    let bench = with_authority(bench, &address);
    bench.run(EXPORT).yes();
    let again = bench.run(&EXPORT.replace("case.zip", "again.zip")).ended(2);
    assert!(again.contains("the token is for something else"), "{again}");
    assert!(!bench.path("again.zip").exists());
    fs::write(folder.join("reply"), "nonsense").unwrap();
    let nonsense = bench.run(&EXPORT.replace("case.zip", "again.zip")).ended(2);
    assert!(nonsense.contains("it is no reply of RFC 3161"), "{nonsense}");
    let closed = with_authority(bench, "http://127.0.0.1:1/tsr");
    let away = closed.run(&EXPORT.replace("case.zip", "again.zip")).ended(2);
    assert!(away.contains("there is no time-stamp of `http://127.0.0.1:1/tsr`"), "{away}");
    let wrong = with_authority(closed, "https://tsa.example").run("check-config").ended(1);
    assert!(wrong.contains("is no address of a time-stamping authority"), "{wrong}");
}
