use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::*;
use crate::https::PATIENCE;

const CA: &[u8] = include_bytes!("../../../tests/it/tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../../tests/it/tls/follower.pem");
const KEY: &[u8] = include_bytes!("../../../tests/it/tls/follower.key.pem");
const STRANGER: &[u8] = include_bytes!("../../../tests/it/tls/stranger.pem");

/// Keys as an issuer publishes them (RFC 8037, appendix A.2), under that name.
fn key_set(kid: &str) -> String {
    format!(
        "{{\"keys\": [{{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"kid\": \"{kid}\", \
         \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}}]}}"
    )
}

/// An issuer that answers each connection with what it has by then, and counts them.
struct Issuer {
    address: SocketAddr,
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicU64>,
}

impl Issuer {
    fn start(encrypted: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU64::new(0)));
        let (answers, counts) = (answer.clone(), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                counts.fetch_add(1, Ordering::Relaxed);
                let answer: Option<String> = answers.lock().unwrap().clone();
                let Ok(stream) = stream else { return };
                if encrypted {
                    let tls = ServerConnection::new(server()).unwrap();
                    reply(StreamOwned::new(tls, stream), answer);
                } else {
                    reply(stream, answer);
                }
            }
        });
        Self { address, answer, asked }
    }

    /// `None` hangs up.
    fn answers(&self, answer: Option<&str>) {
        *self.answer.lock().unwrap() = answer.map(str::to_owned);
    }

    fn keys(&self, scheme: &str, host: &str) -> FetchedKeys {
        let url = format!("{scheme}://{host}:{}/jwks.json", self.address.port());
        let trusted = if scheme == "https" { CA.to_vec() } else { Vec::new() };
        let (refresh, grace) = (Duration::from_secs(600), Duration::from_secs(3_600));
        FetchedKeys::new(KeySource { url, trusted, refresh, grace })
    }
}

fn server() -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(CERTIFICATE).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key);
    Arc::new(tls.unwrap())
}

fn reply(stream: impl Read + Write, answer: Option<String>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    // Up to the empty line that ends the request; a client may turn away.
    while stream.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
        line.clear();
    }
    if let Some(answer) = answer {
        let _ = stream.get_mut().write_all(answer.as_bytes());
        let _ = stream.get_mut().flush();
    }
}

fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn keys_are_fetched_by_tls_from_whom_is_trusted() {
    let issuer = Issuer::start(true);
    issuer.answers(Some(&ok("Cache-Control: public, max-age=120\r\n", &key_set("a"))));
    let keys = issuer.keys("https", "localhost");
    assert_eq!(fetch(&keys), Duration::from_secs(120));
    assert!(keys.fetched_at().is_some());
    // By another authority, under another name, and without encryption.
    let other = KeySource { trusted: STRANGER.to_vec(), ..keys.source().clone() };
    let other = FetchedKeys::new(other);
    fetch(&other);
    assert_eq!((other.fetched_at(), other.attempts()), (None, 1));
    for (scheme, host) in [("https", "127.0.0.2"), ("http", "localhost")] {
        let keys = issuer.keys(scheme, host);
        fetch(&keys);
        assert_eq!((keys.fetched_at(), keys.attempts()), (None, 1), "{scheme}://{host}");
    }
}

#[test]
fn what_was_fetched_stays_while_the_issuer_fails() {
    let issuer = Issuer::start(false);
    issuer.answers(Some(&ok("", &key_set("a"))));
    let keys = issuer.keys("http", "127.0.0.1");
    assert_eq!(fetch(&keys), Duration::from_secs(600), "nothing is said of how long they hold");
    let at = keys.fetched_at().unwrap();
    let long = format!("{}{}", key_set("a"), " ".repeat(300 << 10));
    for answer in [
        None,
        Some("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned()),
        Some(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        Some(ok("", "<html>")),
        Some(ok("", "{\"keys\": []}")),
        Some(ok("", &long)),
        Some(ok("", &key_set("a")).replace("Content-Length: ", "Content-Length: 9")),
        Some("garbage".to_owned()),
    ] {
        issuer.answers(answer.as_deref());
        let before = keys.attempts();
        assert_eq!(fetch(&keys), AGAIN_AFTER, "{answer:?}");
        assert_eq!((keys.fetched_at(), keys.attempts()), (Some(at), before + 1), "{answer:?}");
    }
    let asked = issuer.asked.load(Ordering::Relaxed);
    issuer.answers(Some(&ok("Cache-Control: no-store\r\n", &key_set("b"))));
    assert_eq!(fetch(&keys), FETCH_EVERY_MIN);
    assert!(keys.fetched_at().unwrap() > at);
    assert_eq!(issuer.asked.load(Ordering::Relaxed), asked + 1);
}

#[test]
fn an_issuer_that_says_nothing_is_not_waited_for() {
    // It takes connections, and answers none.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let (refresh, grace) = (Duration::from_secs(600), Duration::from_secs(3_600));
    let keys = FetchedKeys::new(KeySource { url, trusted: Vec::new(), refresh, grace });
    let since = Instant::now();
    fetch(&keys);
    assert!(since.elapsed() < 2 * PATIENCE && keys.attempts() == 1);
    drop::<(TcpListener, Option<TcpStream>)>((listener, None));
}

#[test]
fn how_long_an_answer_holds_is_read() {
    let age = |field| max_age(field);
    assert_eq!(age("max-age=60"), Some(Duration::from_secs(60)));
    assert_eq!(age("public, Max-Age=5, must-revalidate"), Some(Duration::from_secs(5)));
    assert_eq!(age("max-age=60, no-store"), Some(Duration::ZERO));
    assert_eq!(age("max-age=soon"), None);
    assert_eq!(age("public"), None);
}
