use std::{
    io::{Read as _, Write as _},
    net::TcpStream as Socket,
};

use serde_json::json;

use super::*;
use crate::directory::tests::{Memory, directory};

const TOKEN: &str = "the-token";

#[derive(Default)]
struct Guard(Mutex<Vec<String>>);

impl Tokens for Guard {
    fn known(&self) -> Vec<TokenHash> {
        vec![TokenHash::of("an older one"), TokenHash::of(TOKEN)]
    }

    fn refused(&self, _: IpAddr, why: &str) {
        self.0.lock().unwrap().push(why.to_owned());
    }
}

struct World {
    server: Server,
    keep: Arc<Memory>,
    guard: Arc<Guard>,
}

impl World {
    fn new() -> Self {
        let (keep, guard) = (Arc::new(Memory::default()), Arc::new(Guard::default()));
        let settings = ServerSettings { listen: ([127, 0, 0, 1], 0).into(), tls: None };
        let server = Server::start(settings, directory(&keep), guard.clone()).unwrap();
        Self { server, keep, guard }
    }

    /// What comes back for these bytes, behind which nothing comes.
    fn ended(&self, bytes: &[u8]) -> String {
        self.raw(bytes, true)
    }

    /// What comes back for these bytes until the server has closed the connection.
    fn raw(&self, bytes: &[u8], ends: bool) -> String {
        let mut socket = Socket::connect(self.server.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // It may answer, and close, before it has read all.
        let _ = socket.write_all(bytes);
        if ends {
            let _ = socket.shutdown(std::net::Shutdown::Write);
        }
        let mut answer = Vec::new();
        // What a reset cuts off is not looked at.
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Status and body of an answer.
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, "application/scim+json", body.as_bytes())
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Authorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = self.raw(&[head.as_bytes(), body].concat(), false);
        let status = answer.get(9..12).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.unwrap_or(0), serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

#[test]
fn whoever_has_the_token_is_served() {
    let world = World::new();
    let user = json!({"userName": "eva"});
    let (status, made) = world.ask("POST", "/scim/v2/Users", &user);
    assert_eq!(status, 201);
    let path = format!("/scim/v2/Users/{}", made["id"].as_str().unwrap());
    assert_eq!(world.ask("GET", &path, &Value::Null).1["userName"], "eva");
    let group = json!({"displayName": "Agents", "members": [{"value": made["id"]}]});
    assert_eq!(world.ask("POST", "/scim/v2/Groups/", &group).0, 201);
    assert!(world.keep.account("eva").unwrap().active);
    let out = json!({"Operations": [{"op": "replace", "value": {"active": false}}]});
    assert_eq!(world.ask("PATCH", &path, &out).0, 200);
    assert!(!world.keep.account("eva").unwrap().active);
    let search = json!({"filter": "userName eq \"eva\"", "startIndex": 1, "count": 10});
    let found = world.ask("POST", "/scim/v2/.search", &search).1;
    assert_eq!(found["totalResults"], 1);
    assert_eq!(world.ask("DELETE", &path, &Value::Null).0, 204);
    assert_eq!(world.ask("DELETE", &path, &Value::Null).0, 404);
    for name in ["ServiceProviderConfig", "ResourceTypes", "Schemas", "ResourceTypes/User"] {
        assert_eq!(world.ask("GET", &format!("/scim/v2/{name}"), &Value::Null).0, 200, "{name}");
    }
    assert_eq!(world.guard.0.lock().unwrap().len(), 0);
}

#[test]
fn without_the_token_nothing_is_told() {
    let world = World::new();
    for (field, why) in [
        ("X: y", "no token"),
        ("Authorization: Basic dGhlLXRva2Vu", "no bearer token"),
        ("Authorization: Bearer", "no bearer token"),
        ("Authorization: Bearer the-toke", "a wrong token"),
        ("Authorization: Bearer the-token-", "a wrong token"),
        ("Authorization: Bearer \u{fffd}", "no bearer token"),
    ] {
        for path in ["/scim/v2/Users", "/nowhere"] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{field}\r\n\r\n");
            let answer = world.raw(request.as_bytes(), false);
            assert!(answer.starts_with("HTTP/1.1 401 "), "{field}: {answer}");
            assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
            assert_eq!(world.guard.0.lock().unwrap().pop().as_deref(), Some(why), "{field}");
        }
    }
}

#[test]
fn garbage_is_refused_and_the_next_one_served() {
    let world = World::new();
    let ask = |method: &str, path: &str, body: &Value| world.ask(method, path, body).0;
    let users = "/scim/v2/Users";
    for (body, expected) in [
        (&b""[..], 400),
        (b"{", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"{\"userName\": 7}", 400),
        (b"{\"userName\": \"a\", \"active\": \"maybe\"}", 400),
        (b"{\"userName\": \"\xff\"}", 400),
        (&b"[".repeat(100_000), 400),
        (&vec![b' '; BODY_BYTES_MAX + 1], 413),
    ] {
        assert_eq!(world.send("POST", users, "application/json", body).0, expected);
    }
    assert_eq!(world.send("POST", users, "text/plain", b"{}").0, 415);
    assert_eq!(world.send("POST", users, "application/json; charset=utf-8", b"{}").0, 400);
    for (method, path, expected) in [
        ("GET", "/", 404),
        ("GET", "/scim/v2", 404),
        ("GET", "/scim/v2/Users/a/b", 404),
        ("GET", "/scim/v2/Users/../../etc", 404),
        ("GET", "/scim/v2/Users?filter=x", 400),
        ("GET", "/scim/v2/Users?filter=userName%20eq%20%22%ff%22", 400),
        ("GET", "/scim/v2/Schemas/none", 404),
        ("GET", "/scim/v2/Me", 501),
        ("DELETE", "/scim/v2/Users", 405),
        ("TRACE", "/scim/v2/Users", 405),
        ("DELETE", "/scim/v2/Schemas", 405),
        ("PATCH", "/scim/v2/ServiceProviderConfig", 405),
        ("PUT", "/scim/v2/Groups", 405),
    ] {
        let body = json!({});
        assert_eq!(ask(method, path, &body), expected, "{method} {path}");
        if expected != 400 {
            assert_eq!(ask(method, path, &Value::Null), expected, "{method} {path}, no body");
        }
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    let fields = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500));
    let smuggled = "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nx";
    for bytes in ["\0\u{1}\u{2}", "hello\r\n\r\n", "GET", "", &long, &fields, smuggled] {
        let answer = world.ended(bytes.as_bytes());
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{answer}");
    }
    assert_eq!(ask("POST", users, &json!({"userName": "eva"})), 201);
}

/// Whoever reaches the port can't keep the directory out.
#[test]
fn strangers_make_room() {
    let world = World::new();
    let address = world.server.address();
    let silent: Vec<Socket> = (0..100).map(|_| Socket::connect(address).unwrap()).collect();
    let strangers: Vec<Socket> = (0..100)
        .map(|_| {
            let mut socket = Socket::connect(address).unwrap();
            // It may be put out already.
            let _ = socket.write_all(b"GET /scim/v2/Users HTTP/1.1\r\nHost: h\r\n\r\n");
            socket
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(world.ask("GET", "/scim/v2/Users", &Value::Null).0, 200);
    }
    // Without a token none is kept.
    let ended = strangers.into_iter().map(|mut socket| {
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = Vec::new();
        // A reset is an end, too.
        match socket.read_to_end(&mut answer) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    });
    assert_eq!(ended.filter(|ended| *ended).count(), 100);
    drop(silent);
}
