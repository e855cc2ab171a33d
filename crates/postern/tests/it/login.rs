//! Logging in at an identity provider by the device flow.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{bench::Bench, served::Served, support::Support};

/// An identity provider that says what it is told to, one answer after the other.
#[derive(Clone)]
struct Provider {
    issuer: String,
    metadata: Arc<Mutex<Value>>,
    device: Arc<Mutex<Value>>,
    tokens: Arc<Mutex<VecDeque<(u16, Value)>>>,
    /// The forms that it was sent.
    asked: Arc<Mutex<Vec<String>>>,
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn unpadded(bytes: &[u8]) -> String {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({
            "issuer": issuer,
            "device_authorization_endpoint": format!("{issuer}/device"),
            "token_endpoint": format!("{issuer}/token"),
        });
        let device = json!({
            "device_code": "D-1", "user_code": "WDJB-MJHT", "expires_in": 60, "interval": 1,
            "verification_uri": format!("{issuer}/activate"),
        });
        let provider = Self {
            issuer,
            metadata: Arc::new(Mutex::new(metadata)),
            device: Arc::new(Mutex::new(device)),
            tokens: Arc::default(),
            asked: Arc::default(),
        };
        let serving = provider.clone();
        // Ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who hangs up is heard of no more.
                let _ = serving.answer(stream);
            }
        });
        provider
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (mut first, mut length) = (String::new(), 0);
        stream.read_line(&mut first)?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        if length > 0 {
            self.asked.lock().unwrap().push(String::from_utf8(body).unwrap());
        }
        let x = unpadded(key().verifying_key().as_bytes());
        let (status, said) = match first.split(' ').nth(1).unwrap_or_default() {
            "/.well-known/openid-configuration" => (200, self.metadata.lock().unwrap().clone()),
            "/keys" => (200, json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})),
            "/device" => (200, self.device.lock().unwrap().clone()),
            "/token" => self.tokens.lock().unwrap().pop_front().unwrap_or((500, Value::Null)),
            _ => (404, Value::Null),
        };
        let said = said.to_string();
        let mut answer = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
        write!(answer, "Content-Length: {}\r\n\r\n{said}", said.len()).unwrap();
        stream.get_mut().write_all(answer.as_bytes())
    }

    /// A token of somebody that counts from so many seconds ago to so many from now.
    fn token(&self, issuer: &str, account: &str, (since, until): (i64, i64)) -> String {
        let now = jsonwebtoken::get_current_timestamp().cast_signed();
        let claims = json!({"iss": issuer, "aud": "postern-cli", "sub": "7f3c", "name": account,
            "iat": now + since, "exp": now + until});
        let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        der.extend(key().to_bytes());
        let key = EncodingKey::from_ed_der(&der);
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key).unwrap()
    }

    fn good(&self, account: &str) -> String {
        self.token(&self.issuer, account, (0, 600))
    }

    /// What the token endpoint says from now on, one after the other.
    fn says(&self, answers: &[(u16, Value)]) {
        *self.tokens.lock().unwrap() = answers.iter().cloned().collect();
    }

    /// The command line of a log-in that leaves its files in the bench's folder.
    fn login(&self, port: u16) -> String {
        format!(
            "login --issuer {} --client-id postern-cli --account name --host 127.0.0.1 \
             --port {port} --dbname support --sslmode disable --service-file services \
             --passfile secrets/token",
            self.issuer
        )
    }
}

fn error(name: &str) -> (u16, Value) {
    (400, json!({"error": name}))
}

#[test]
fn a_log_in_leaves_a_credential_that_psql_uses() {
    let (support, provider) = (Support::new(), Provider::start());
    let section = format!(
        "[sign_in]\nissuer = \"{0}\"\naudience = \"postern-cli\"\nkeys = \"{0}/keys\"\n\
         account = \"name\"\n",
        provider.issuer
    );
    support.configure(&(support.configuration("") + &section));
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");

    let bench = Bench::new().file("services", "# mine\n[other]\nhost=elsewhere\n");
    let granted = (200, json!({"id_token": provider.good("ana"), "token_type": "Bearer"}));
    provider.says(&[error("authorization_pending"), error("slow_down"), granted]);
    let said = bench.run(&provider.login(served.address.port())).yes();
    let first = format!("open {}/activate and type the code WDJB-MJHT\n", provider.issuer);
    assert!(said.starts_with(&first), "{said}");
    assert!(said.contains("ana can log in until 20") && said.contains("psql service=postern"));
    let asked = provider.asked.lock().unwrap().clone();
    assert_eq!(asked[0], "client_id=postern-cli&scope=openid");
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
    assert_eq!(asked[1..], vec![format!("{grant}&device_code=D-1&client_id=postern-cli"); 3]);

    let mode = |name: &str| bench.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("secrets"), mode("secrets/token"), mode("services")), (0o700, 0o600, 0o600));
    let services = bench.read("services");
    assert!(services.starts_with("# mine\n[other]\nhost=elsewhere\n[postern]\n"), "{services}");
    assert!(!services.contains(&provider.good("ana")[..20]), "the token is in its own file");
    let psql = |sql: &str| {
        let mut psql = Command::new("psql");
        let psql = psql.env_clear().env("PATH", "/usr/bin:/bin");
        let psql = psql.env("PGSERVICEFILE", bench.path("services"));
        psql.args(["-X", "-w", "-At", "service=postern", "-c", sql]).output().unwrap()
    };
    let answer = psql("SELECT current_user");
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), "ana\n", "{:?}", answer.stderr);

    // The next one takes its place; a leaver's lets nobody in.
    provider.says(&[(200, json!({"id_token": provider.good("ben")}))]);
    bench.run(&provider.login(served.address.port())).yes();
    assert_eq!(psql("SELECT current_user").stdout, b"ben\n");
    assert_eq!(bench.read("services").matches("[postern]").count(), 1);
    support.bench.run("person end ben").yes();
    assert!(!psql("SELECT 1").status.success());
}

/// What a log-in that must leave nothing behind says.
#[track_caller]
fn refused(provider: &Provider, tokens: &[(u16, Value)]) -> String {
    provider.says(tokens);
    let bench = Bench::new();
    let said = bench.run(&provider.login(6432)).ended(2);
    let left = std::fs::read_dir(bench.path("")).unwrap().count();
    assert_eq!(left, 0, "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    said.replace(&provider.issuer, "ISSUER").lines().last().unwrap().to_owned()
}

#[test]
fn a_log_in_that_is_refused_leaves_nothing() {
    let provider = Provider::start();
    let said = refused(&provider, &[error("access_denied")]);
    insta::assert_snapshot!(said, @"error: the log-in was refused");
    let said = refused(&provider, &[error("authorization_pending"), error("expired_token")]);
    insta::assert_snapshot!(said, @"error: the code was not used in time; run it again");
    let said = refused(&provider, &[error("invalid_client")]);
    insta::assert_snapshot!(said, @"error: `ISSUER` gives no token: invalid_client");
    let said = refused(&provider, &[(500, json!("sorry"))]);
    insta::assert_snapshot!(said, @"error: `ISSUER` gives no token: it answers with 500");
    provider.device.lock().unwrap()["expires_in"] = json!(2);
    let said = refused(&provider, &[error("authorization_pending"), error("slow_down")]);
    insta::assert_snapshot!(said, @"error: the code was not used in time; run it again");
}

#[test]
fn a_provider_that_lies_gets_nothing_into_terminal_and_files() {
    let provider = Provider::start();
    let granted = |token: String| [(200, json!({"id_token": token}))];
    let (issuer, good) = (provider.issuer.clone(), provider.good("ana"));
    let said = refused(&provider, &granted(provider.token("https://e.example", "ana", (0, 60))));
    insta::assert_snapshot!(said, @"error: the token is by another issuer");
    let said = refused(&provider, &granted(provider.token(&issuer, "ana", (-60, -1))));
    insta::assert_snapshot!(said, @"error: the token has expired already");
    let said = refused(&provider, &granted(provider.good("ana\nhost=e.example")));
    insta::assert_snapshot!(said, @"error: `name` of the token can't stand in a service file");
    let said = refused(&provider, &granted(good.replacen('.', ":", 1)));
    insta::assert_snapshot!(said, @"error: the token is not a signed one (JWT)");
    let said = refused(&provider, &granted(format!("{good}\n*:*:*:*:x")));
    insta::assert_snapshot!(said, @"error: `ISSUER` grants no `id_token`");
    let said = refused(&provider, &[(200, json!({"access_token": good}))]);
    insta::assert_snapshot!(said, @"error: `ISSUER` grants no `id_token`");

    let device = provider.device.lock().unwrap().clone();
    let begins = |name: &str, value: Value| {
        provider.device.lock().unwrap()[name] = value;
        let said = refused(&provider, &granted(good.clone()));
        provider.device.lock().unwrap().clone_from(&device);
        said
    };
    let said = begins("user_code", json!("A\u{1b}[2J"));
    insta::assert_snapshot!(said, @"error: `ISSUER` names no usable `user_code`");
    let said = begins("verification_uri", json!("http://e.example/"));
    insta::assert_snapshot!(said, @"error: where the log-in is to be confirmed is not a safe address: `http://e.example/` is neither encrypted nor on this machine");
    let said = begins("device_code", json!("x".repeat(5_000)));
    insta::assert_snapshot!(said, @"error: `ISSUER` names no usable `device_code`");

    let metadata = provider.metadata.lock().unwrap().clone();
    let says = |name: &str, value: &str| {
        provider.metadata.lock().unwrap()[name] = json!(value);
        let said = refused(&provider, &[]);
        provider.metadata.lock().unwrap().clone_from(&metadata);
        said
    };
    let said = says("issuer", "https://e.example");
    insta::assert_snapshot!(said, @"error: `ISSUER/.well-known/openid-configuration` speaks for another issuer; what it says is not believed");
    let said = says("token_endpoint", "http://e.example/token");
    insta::assert_snapshot!(said, @"error: the `token_endpoint` of `ISSUER` is not used: `http://e.example/token` is neither encrypted nor on this machine");
    let said = says("token_endpoint", "http://127.0.0.1:1@e.example/token");
    insta::assert_snapshot!(said, @"error: the `token_endpoint` of `ISSUER` is not used: its host can't be told");
    let said = says("device_authorization_endpoint", "");
    insta::assert_snapshot!(said, @"error: `ISSUER` has no `device_authorization_endpoint`");
}
