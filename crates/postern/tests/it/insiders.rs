//! Six ways in which an insider tries it, each played to its end on the real binary and a real
//! server: nobody gets what they have no reason for, the ledger names the account, and who is out
//! is out.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use postern_ledger::{Body, Entry, Note, Reader};
use postern_model::Grade;
use postern_testkit::wait_until;
use serde_json::json;

use crate::{
    bench::Run,
    raw::{Answer, End, Raw, Report},
    served::{PATIENCE, Served},
    support::Support,
};

/// The four agents may open tickets, and see two customers an hour by those that they made.
const AGENTS: &str = r#"[roles.agent]
kind = "restricted"
budgets = [
    { count = "weak_subjects", window = "1h", max = 2 },
    { count = "stops", window = "1h", max = 1000 },
]

[roles.application]
kind = "application"
pool = "transaction"
"#;

const TICKETS: &str = r#"name = "public.tickets"
insert = "allow"
insert_columns = ["customer_id", "assignee", "opened_by", "status"]
"#;

const TOKENS: &str = r#"
[approvals]

[sign_in]
issuer = "https://login.example"
audience = "postern"
keys = "keys.json"

[end_users]
issuer = "https://login.example"
audience = "web"
keys = "keys.json"
"#;

const OPEN_TICKET: &str = "permit (principal in Role::\"agent\", action == Action::\"open_ticket\", resource)\n\
     unless { context has reason && context.reason.grade == Grade::\"strong\" };\n";

/// A support centre with its gateway.
struct Centre {
    support: Support,
    served: Served,
}

impl Centre {
    fn open() -> Self {
        let support = Support::new();
        let bench = &support.bench;
        let policy = bench.read("policy.cedar") + OPEN_TICKET;
        std::fs::write(bench.path("policy.cedar"), policy).unwrap();
        std::fs::write(bench.path("keys.json"), keys()).unwrap();
        let agent = "[roles.agent]\nkind = \"restricted\"\n";
        let configuration = support.configuration("").replace(agent, AGENTS);
        let configuration = configuration.replace("name = \"public.tickets\"\n", TICKETS);
        let one_server = configuration.replace("[upstream]", "server_max = 1\n[upstream]");
        let one_core = one_server.replace("workers = 2", "workers = 1");
        support.configure(&(one_core + TOKENS));
        let web = "person add web --role application --password-stdin";
        bench.run_with(web, "password of web").yes();
        let served = Served::start(bench);
        served.wait_until_open("ana");
        Self { support, served }
    }

    fn run(&self, arguments: &str) -> Run {
        self.support.bench.run(arguments)
    }

    fn log_in(&self, actor: &str) -> Raw {
        Raw::connect(self.served.address, actor).unwrap()
    }

    fn entries(&self) -> Vec<Entry> {
        Reader::open(&self.support.ledger()).unwrap().map(Result::unwrap).collect()
    }

    fn notes(&self) -> Vec<Note> {
        let noted = self.entries().into_iter().filter_map(|entry| match entry.body {
            Body::Noted(note) => Some(note),
            Body::Disclosed(_) => None,
        });
        noted.collect()
    }

    /// Waits for that many entries of a kind: what is only told is in the ledger a moment later.
    #[track_caller]
    fn told(&self, count: usize, what: impl Fn(&Note) -> bool) {
        let there = || self.notes().iter().filter(|note| what(note)).count() == count;
        let waited = wait_until(PATIENCE, "the entries", there);
        assert!(waited.is_ok(), "{:#?}", self.notes());
    }
}

fn keys() -> String {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let x = BASE64_URL_SAFE_NO_PAD.encode(key().verifying_key().as_bytes());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] }).to_string()
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// What the company's identity provider signs: who somebody is, for ten minutes.
fn token(audience: &str, actor: &str) -> String {
    let now = jsonwebtoken::get_current_timestamp();
    let said = json!({ "iss": "https://login.example", "aud": audience, "sub": actor,
                       "iat": now, "exp": now + 600 });
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(key().to_bytes());
    let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, &said, &EncodingKey::from_ed_der(&der)).unwrap()
}

#[track_caller]
fn ask(raw: &mut Raw, sql: &str) -> Answer {
    raw.query(sql).unwrap_or_else(|| panic!("the session has ended at `{sql}`"))
}

#[track_caller]
fn refused(session: Result<Raw, End>) -> Report {
    match session {
        Err(End::Refused(report)) => report,
        other => panic!("{other:?}"),
    }
}

fn name_of(customer: i64) -> String {
    format!("SELECT name FROM customers WHERE id = {customer}")
}

/// Ana makes up tickets of customers who never called. They are weak, each entry says so, and
/// their budget is small.
#[test]
fn a_pretext_by_an_own_ticket_is_weak_and_soon_spent() {
    let centre = Centre::open();
    let mut ana = centre.log_in("ana");
    let ticket = |customer: i64, assignee: &str, opener: &str| {
        format!(
            "INSERT INTO tickets (customer_id, assignee, opened_by, status) \
             VALUES ({customer}, '{assignee}', '{opener}', 'open')"
        )
    };
    assert_eq!(ask(&mut ana, &name_of(1)).rows, [["***"]]);
    for (assignee, opener) in [("ana", "customer"), ("ben", "ana")] {
        let forged = ask(&mut ana, &ticket(1, assignee, opener));
        assert_eq!(forged.sqlstate(), "42501", "{forged:?}");
    }
    for customer in [1, 2] {
        assert_eq!(ask(&mut ana, &ticket(customer, "ana", "ana")).error, None);
        let expected = [[format!("Name {customer}")]];
        assert_eq!(ask(&mut ana, &name_of(customer)).rows, expected);
    }
    assert_eq!(ask(&mut ana, &ticket(3, "ana", "ana")).sqlstate(), "53400", "it is spent");
    assert_eq!(ask(&mut ana, &name_of(3)).rows, [["***"]]);
    // Whom she has a reason for that the customer made she still sees.
    assert_eq!(ask(&mut ana, &name_of(4)).rows, [["Name 4"]]);

    let mut clear = Vec::new();
    for seen in centre.entries().iter().flat_map(Entry::disclosures) {
        if let Some(reason) = seen.reason.filter(|_| !seen.clear.is_empty()) {
            let subjects = seen.subjects.iter().map(ToString::to_string).collect::<Vec<_>>();
            clear.push((subjects.join(" "), reason.grade));
        }
    }
    let expected = [("1", Grade::Weak), ("2", Grade::Weak), ("4", Grade::Strong)];
    assert_eq!(clear, expected.map(|(subject, grade)| (subject.to_owned(), grade)));
    centre.told(2, |note| matches!(note, Note::Opened { actor, .. } if actor.as_str() == "ana"));
}

/// Somebody else has Ana's token, and Ben has her name.
#[test]
fn a_borrowed_credential_opens_nothing_and_is_recorded() {
    let centre = Centre::open();
    let (here, elsewhere) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
    let address: SocketAddr = centre.served.address;
    let anas = token("postern", "ana");
    let mut ana = Raw::connect_from((address, here), "ana", &anas).unwrap();
    let thief = refused(Raw::connect_from((address, elsewhere), "ana", &anas));
    assert!(thief.message.contains("from another address"), "{thief:?}");
    // In Ben's hands it makes nobody Ben, and his own makes nobody Ana; nor does one for the web.
    for (actor, token) in
        [("ben", &anas), ("ana", &token("postern", "ben")), ("ana", &token("web", "ana"))]
    {
        let wrong = refused(Raw::connect_from((address, here), actor, token));
        assert_eq!(wrong.sqlstate, "28000", "{wrong:?}");
    }
    assert_eq!(ask(&mut ana, &name_of(4)).rows, [["Name 4"]], "she works on");
    let of = |name: &'static str| move |note: &Note| matches!(note, Note::LoginRefused { actor, .. } if actor.as_str() == name);
    centre.told(3, of("ana"));
    centre.told(1, of("ben"));
}

/// Ana leaves while she is connected: by a password in the middle of a statement, by a token, and
/// by an application that speaks for her.
#[test]
fn a_leaver_is_out_within_a_second_with_all_that_is_open() {
    let centre = Centre::open();
    let address = (centre.served.address, Ipv4Addr::LOCALHOST);
    let anas = token("postern", "ana");
    let (mut sleeps, mut idle) =
        (centre.log_in("ana"), Raw::connect_from(address, "ana", &anas).unwrap());
    let mut web = centre.log_in("web");
    assert_eq!(ask(&mut web, "BEGIN").error, None);
    let set = format!("SET LOCAL postern.actor = '{}'", token("web", "ana"));
    assert_eq!(ask(&mut web, &set).error, None);
    assert_eq!(ask(&mut web, &name_of(4)).rows, [["Name 4"]]);
    let runs = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' \
                AND pid <> pg_backend_pid()";
    sleeps.send_query("SELECT pg_sleep(60)").unwrap();
    let count = || centre.support.postgres.psql(runs).unwrap().trim().to_owned();
    wait_until(PATIENCE, "the statement runs", || count() == "1").unwrap();

    let since = Instant::now();
    centre.run("person end ana").yes();
    for session in [&mut sleeps, &mut idle, &mut web] {
        session.end();
    }
    let took = since.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}, with the start of the command");
    wait_until(PATIENCE, "nothing of hers runs", || count() == "0").unwrap();

    let by_password = refused(Raw::connect(centre.served.address, "ana"));
    assert_eq!(by_password.sqlstate, "28P01");
    // The same words, though the token is good.
    assert_eq!(refused(Raw::connect_from(address, "ana", &token("postern", "ana"))), by_password);
    let mut web = centre.log_in("web");
    assert_eq!(ask(&mut web, "BEGIN").error, None);
    assert_eq!(ask(&mut web, &set).sqlstate(), "28000", "nor does an application speak for her");
}

/// A contractor comes back after the last day.
#[test]
fn a_contractor_past_the_end_date_is_told_what_strangers_are_told() {
    let centre = Centre::open();
    let add = "person add tom --role agent --employer Temps --ends 2999-12-31 --password-stdin";
    centre.support.bench.run_with(add, "password of tom").yes();
    centre.served.wait_until_open("tom");
    let mut open = centre.log_in("tom");
    centre.run("person end tom --on 2020-12-31").yes();
    open.end();
    let told = |name: &str| {
        let report = refused(Raw::connect(centre.served.address, name));
        (report.sqlstate.clone(), report.message.replace(name, "NAME"), report.hint)
    };
    assert_eq!(told("tom"), told("tim"), "there is no Tim");
    assert_eq!(told("tom").0, "28P01");
    let why = "the account has ended";
    centre.told(2, |note| matches!(note, Note::LoginRefused { why: said, .. } if &**said == why));
}

/// Who runs a command as somebody else on the gateway's machine; only root can.
pub(crate) fn other_person(folder: &Path, arguments: &str) -> Option<Run> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let other = ["--reuid=65534", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"];
    let output = Command::new("setpriv")
        .args(other)
        .arg(env!("CARGO_BIN_EXE_postern"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Some(Run { code: output.status.code(), stdout, stderr })
}

/// Two colleagues let each other in. That two work on the gateway's machine needs root here;
/// without it only one is played, and `played.rs` of the gateway plays both.
#[test]
fn mutual_approval_is_a_finding_and_nobody_approves_their_own() {
    let centre = Centre::open();
    let bench = centre.support.bench.path("");
    centre.run("ask ana 1 --why callback").yes();
    let own = centre.run("approve 1").ended(1);
    assert!(own.contains("nobody approves or reviews what they asked for"), "{own}");
    let Some(approved) = other_person(&bench, "approve 1") else { return };
    assert_eq!(approved.yes(), "number 1 is approved\n");
    let twice = other_person(&bench, "approve 1").unwrap().ended(1);
    assert!(twice.contains("no request or access of the number 1"), "{twice}");
    let sees = || ask(&mut centre.log_in("ana"), &name_of(1)).rows == [["Name 1"]];
    wait_until(PATIENCE, "ana sees her", sees).unwrap();
    // And now the other way round.
    other_person(&bench, "ask ben 2 --why callback").unwrap().yes();
    centre.run("approve 2").yes();
    let mutual =
        |note: &Note| matches!(note, Note::Found(found) if &*found.kind == "mutual_approval");
    centre.told(1, mutual);
}

/// A web application with one connection to the server is given the token of another user.
#[test]
fn a_token_of_another_user_in_a_pooled_connection_is_that_users_alone() {
    let centre = Centre::open();
    let (mut one, mut two) = (centre.log_in("web"), centre.log_in("web"));
    for _ in 0..10 {
        for (web, actor, expected) in [(&mut one, "ana", "Name 4"), (&mut two, "ben", "***")] {
            let set = format!("SET LOCAL postern.actor = '{}'", token("web", actor));
            assert_eq!(ask(web, "BEGIN").error, None);
            assert_eq!(ask(web, &set).error, None);
            assert_eq!(ask(web, &name_of(4)).rows, [[expected]], "{actor}");
            // A token that is refused leaves nobody, not the one before.
            let forged = set.replace('.', "x").replacen("posternx", "postern.", 1);
            assert_eq!(ask(web, &forged).sqlstate(), "28000");
            let nobody = ask(web, &name_of(4));
            assert!(nobody.rows.is_empty() && nobody.error.is_some(), "{nobody:?}");
            ask(web, "ROLLBACK");
            assert_eq!(ask(web, &name_of(4)).sqlstate(), "42501");
        }
    }
    let mut seen = 0;
    for shown in centre.entries().iter().flat_map(Entry::disclosures) {
        seen += 1;
        assert!(["ana", "ben"].contains(&shown.actor.as_str()), "{shown:?}");
        assert_eq!(shown.clear.contains(&"name".into()), shown.actor.as_str() == "ana");
    }
    assert_eq!(seen, 20);
    let pools = centre.run("show pools").yes();
    let started = pools.lines().nth(1).and_then(|line| line.split_whitespace().nth(8));
    assert_eq!(started, Some("1"), "{pools}");
}
