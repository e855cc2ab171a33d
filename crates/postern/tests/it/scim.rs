//! A company's directory says who works here, while a gateway runs.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use postern_ledger::{Body, Note, Reader};
use serde_json::{Value, json};

use crate::{
    raw::{End, Raw},
    served::{PATIENCE, Served},
    support::Support,
};

const SECTION: &str = r#"
[scim]
listen = "127.0.0.1:0"
[[scim.groups]]
name = "Support Leads"
role = "metered"
[[scim.groups]]
name = "Support Agents"
role = "agent"
"#;

/// The directory, as the gateway knows it.
struct Directory {
    address: SocketAddr,
    token: String,
}

impl Directory {
    fn of(served: &Served, token: &str) -> Self {
        Self { address: served.said("scim=").parse().unwrap(), token: token.to_owned() }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (token, length) = (&self.token, body.len());
        let request = format!(
            "{method} /scim/v2/{path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\
             Content-Type: application/scim+json\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Adds somebody; their id.
    fn add(&self, name: &str) -> String {
        let (status, made) = self.ask("POST", "Users", &json!({"userName": name}));
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    fn group(&self, name: &str, members: &[&str]) {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let group = json!({"displayName": name, "members": members});
        let (status, made) = self.ask("POST", "Groups", &group);
        assert_eq!(status, 201, "{made}");
    }

    fn set_active(&self, id: &str, active: bool) -> u16 {
        let operation = json!({"op": "Replace", "path": "active", "value": active});
        self.ask("PATCH", &format!("Users/{id}"), &json!({"Operations": [operation]})).0
    }
}

fn support() -> (Support, String) {
    let support = Support::new();
    support.configure(&(support.configuration("") + SECTION));
    let token = support.bench.run("scim token").yes().trim().to_owned();
    (support, token)
}

/// What the ledger says that the directory has changed: whose account, and what it is now.
fn recorded(support: &Support) -> Vec<(String, String)> {
    let entries = Reader::open(&support.ledger()).unwrap().map(Result::unwrap);
    let notes = entries.filter_map(|entry| match entry.body {
        Body::Noted(Note::Person { actor, by, now, .. }) if by.as_str() == "directory (scim)" => {
            Some((actor.to_string(), now.to_string()))
        }
        _ => None,
    });
    notes.collect()
}

#[test]
fn who_leaves_the_company_is_out_when_the_directory_is_answered() {
    let (support, token) = support();
    let mut served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let directory = Directory::of(&served, &token);
    let (ana, ben) = (directory.add("ana"), directory.add("ben"));
    directory.group("support agents", &[&ana, &ben]);
    assert_eq!(recorded(&support), [], "nothing has changed for them");
    let mut session = Raw::connect(served.address, "ana").unwrap();
    let mut other = Raw::connect(served.address, "ben").unwrap();
    assert!(session.query("SELECT 1").is_some());

    let asked = Instant::now();
    assert_eq!(directory.set_active(&ana, false), 200);
    assert_eq!(session.query("SELECT 1"), None);
    assert!(matches!(Raw::connect(served.address, "ana"), Err(End::Refused(_))));
    let out = asked.elapsed();
    assert!(out < Duration::from_secs(1), "{out:?}");
    assert!(other.query("SELECT 1").is_some());

    // What it was answered is there after a crash.
    served.kill();
    let told = recorded(&support);
    let [(actor, now)] = &told[..] else { panic!("{told:?}") };
    assert!(actor == "ana" && now.contains(", not active, password "), "{told:?}");
    let served = Served::start(&support.bench);
    served.wait_until_open("ben");
    assert!(matches!(Raw::connect(served.address, "ana"), Err(End::Refused(_))));
    let directory = Directory::of(&served, &token);
    assert_eq!(directory.set_active(&ana, true), 200);
    Raw::connect(served.address, "ana").unwrap();

    // Another group gives another role, and that ends the session too.
    let mut session = Raw::connect(served.address, "ben").unwrap();
    directory.group("Support Leads", &[&ben]);
    assert_eq!(session.query("SELECT 1"), None);
    assert_eq!(directory.ask("DELETE", &format!("Users/{ana}"), &Value::Null).0, 204);
    assert!(matches!(Raw::connect(served.address, "ana"), Err(End::Refused(_))));
    let last = recorded(&support).split_off(1);
    assert_eq!(last.len(), 3, "{last:?}");
    assert_eq!(last[2], ("ana".to_owned(), String::new()));
}

#[test]
fn what_is_changed_by_hand_and_by_the_directory_at_once_is_all_there() {
    let (support, token) = support();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let directory = Directory::of(&served, &token);
    let ana = directory.add("ana");
    directory.group("Support Agents", &[&ana]);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..20 {
                assert_eq!(directory.set_active(&ana, round % 2 == 1), 200);
            }
            assert_eq!(directory.set_active(&ana, false), 200);
        });
        for actor in ["ben", "cleo", "dan"] {
            let bench = &support.bench;
            scope.spawn(move || {
                for role in ["metered", "agent", "metered"] {
                    bench.run(&format!("person role {actor} {role}")).yes();
                }
            });
        }
    });
    let people = support.bench.read("postern-data/people.toml");
    assert_eq!(people.matches("role = \"metered\"").count(), 4, "mia has it too: {people}");
    assert_eq!(people.matches("active = false").count(), 1, "{people}");
    let others = recorded(&support).into_iter().filter(|(actor, _)| actor != "ana").count();
    assert_eq!(others, 0, "what was done by hand is nobody else's");
}

#[test]
fn only_a_token_that_counts_is_taken() {
    let (support, token) = support();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let mut directory = Directory::of(&served, &token);
    assert_eq!(directory.ask("GET", "Users", &Value::Null).0, 200);
    let second = support.bench.run("scim token --replace").yes();
    assert_eq!(directory.ask("GET", "Users", &Value::Null).0, 401);
    directory.token = second.trim().to_owned();
    assert_eq!(directory.ask("GET", "Users", &Value::Null).0, 200);
    let stored = support.bench.read("postern-data/scim.tokens");
    assert!(!stored.contains(second.trim()) && stored.lines().count() == 1, "{stored}");
    let refused = || {
        let entries = Reader::open(&support.ledger()).unwrap().map(Result::unwrap);
        let bodies = entries.map(|entry| entry.body);
        bodies.filter(|body| matches!(body, Body::Noted(Note::LoginRefused { .. }))).count()
    };
    postern_testkit::wait_until(PATIENCE, "the entry", || refused() == 1).unwrap();
}
