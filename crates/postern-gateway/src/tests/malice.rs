//! A server that breaks the protocol in the middle of a session, through the whole gateway: the
//! client gets an error or is cut off, the gateway lives, and all that left is recorded.

use std::{
    collections::BTreeSet,
    panic,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bytes::BytesMut;
use postern_wire::{Bind, Execute, Parse, Target, encode};

use super::{
    meddling::{Alter, Meddler, Then},
    raw::{Answer, Raw},
    world::World,
};

const ONE: &str = "SELECT id, name FROM customers WHERE id = 2";
const ALL: &str = "SELECT id, name FROM customers ORDER BY id";
const COPY: &str = "COPY (SELECT id, name FROM customers ORDER BY id) TO STDOUT";
const PLAIN: &str = "SELECT n, n::text FROM generate_series(1, 30) n";

/// Panics of the gateway's own threads; a connection's would otherwise pass for its end.
static PANICS: AtomicUsize = AtomicUsize::new(0);
static WATCHED: Once = Once::new();

pub(super) fn watch_for_panics() {
    WATCHED.call_once(|| {
        let known = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name().is_some_and(|name| name.starts_with("postern-")) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            known(info);
        }));
    });
}

pub(super) fn assert_no_panic() {
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "the gateway has panicked");
}

struct Between {
    world: World,
    meddler: Meddler,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Simple,
    Extended,
}

impl Between {
    fn start() -> Self {
        watch_for_panics();
        let meddler = Meddler::new();
        let world = World::start_as(&[], |settings| {
            meddler.stand_before(&mut settings.upstream.host);
            // What is altered is an answer to the client, not to the gateway's own DISCARD ALL.
            settings.limits.spare_max = 0;
        });
        Self { world, meddler }
    }

    /// A session that asks for moments behind its statements from now on.
    async fn session(&self) -> Raw {
        let mut ana = self.world.raw("ana").await;
        assert_eq!(ana.query("SELECT id FROM customers WHERE id = 1").await.rows, [["1"]]);
        ana
    }

    /// What a client gets to hear if the server says this.
    async fn heard(&self, sql: &str, protocol: Protocol, alter: Alter) -> Answer {
        let mut ana = self.session().await;
        self.meddler.alter(alter);
        send(&mut ana, sql, protocol).await;
        let answer = ana.answer().await;
        assert!(self.meddler.has_altered(), "{sql} was answered without that message");
        answer
    }

    /// All that the client saw of customers is in the ledger, and the gateway serves on.
    async fn is_sound(&self, answer: &Answer) {
        let recorded: BTreeSet<String> = self
            .world
            .disclosures()
            .iter()
            .flat_map(|disclosure| &disclosure.subjects)
            .map(ToString::to_string)
            .collect();
        for row in &answer.rows {
            assert!(recorded.contains(&row[0]), "{row:?} is not recorded");
        }
        for copied in &answer.copied {
            let line = String::from_utf8_lossy(copied).into_owned();
            let subject = line.split('\t').next().unwrap();
            assert!(recorded.contains(subject), "{line:?} is not recorded");
        }
        assert_no_panic();
    }
}

async fn send(raw: &mut Raw, sql: &str, protocol: Protocol) {
    let mut out = BytesMut::new();
    match protocol {
        Protocol::Simple => encode::query(&mut out, sql).unwrap(),
        Protocol::Extended => extended(&mut out, sql),
    }
    raw.send(&out).await;
}

pub(super) fn extended(out: &mut BytesMut, sql: &str) {
    encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
    let bind = Bind {
        portal: "",
        statement: "",
        formats: Vec::new(),
        parameters: Vec::new(),
        result_formats: Vec::new(),
    };
    encode::bind(out, &bind).unwrap();
    encode::describe(out, Target::Portal("")).unwrap();
    encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
    encode::sync(out);
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    message.extend_from_slice(body);
    message
}

fn row(cells: &[&str]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode::data_row(&mut out, cells.iter().map(|cell| Some(cell.as_bytes()))).unwrap();
    out.to_vec()
}

const BOTH: [Protocol; 2] = [Protocol::Simple, Protocol::Extended];

/// The session ends with 08006, by that message and in both protocols.
async fn ends(between: &Between, sql: &str, what: &str, alter: impl Fn() -> Alter) {
    for protocol in BOTH {
        let answer = between.heard(sql, protocol, alter()).await;
        assert_eq!(answer.status, 0, "{what} {protocol:?}: {answer:?}");
        assert_eq!(answer.error.as_deref(), Some("08006"), "{what} {protocol:?}: {answer:?}");
        between.is_sound(&answer).await;
    }
}

#[tokio::test]
async fn wrong_lengths_and_cut_messages_of_the_server_end_the_session() {
    let between = Between::start();
    for header in [
        &b"D\0\0\0\0"[..],
        b"D\0\0\0\x03",
        b"D\xff\xff\xff\xff",
        b"D\x80\0\0\0",
        b"D\x7f\xff\xff\xff",
        b"D\0\x20\0\0",
        b"D\0\0\0\x04",
        b"D\0\0\0\x06\xff\xff",
        b"D\0\0\0\x0b\0\x01\0\0\0\x09x",
        b"D\0\0\0\x0a\0\x01\x7f\xff\xff\xff",
        b"?\0\0\0\x04",
        b"\0\0\0\0\x04",
    ] {
        ends(&between, ALL, &format!("{header:?}"), || Alter::next(b'D', header).after(3)).await;
    }
    for cut in [&b""[..], b"D", b"D\0\0", b"D\0\0\0\x20\0\x03\0\0"] {
        let alter = || Alter::next(b'D', cut).after(15).then(Then::Closes);
        ends(&between, ALL, &format!("{cut:?} and the end"), alter).await;
        let alter = || Alter::next(b'D', cut).after(15).then(Then::HalfCloses);
        ends(&between, ALL, &format!("{cut:?} and half of the end"), alter).await;
    }
    between.world.client("ben").await.simple_query(PLAIN).await.unwrap();
}

#[tokio::test]
async fn messages_out_of_place_end_the_session() {
    let between = Between::start();
    let mut ready = BytesMut::new();
    encode::ready_for_query(&mut ready, postern_wire::TransactionStatus::Idle);
    let twice = [&row(&["2", "***", "2"])[..], &message(b'C', b"SELECT 1\0")].concat();
    let cases: [(&str, u8, Vec<u8>); 17] = [
        ("a row of one cell", b'D', row(&["2"])),
        ("a row of a cell more", b'D', row(&["2", "***", "2", "2"])),
        ("a row without cells", b'D', message(b'D', b"\0\0")),
        ("copied data", b'D', message(b'd', b"2\tName 2\t2\n")),
        ("the end of a copy", b'D', message(b'c', b"")),
        ("an offer to copy both ways", b'D', message(b'W', b"\0\0\0")),
        ("an offer to take data", b'D', message(b'G', b"\0\0\0")),
        ("a greeting", b'D', message(b'R', b"\0\0\0\0")),
        ("a wish for a password", b'D', message(b'R', b"\0\0\0\x03")),
        ("a key", b'D', message(b'K', b"\0\0\0\x01\0\0\0\x01")),
        ("another protocol", b'D', message(b'v', b"\0\x03\0\0\0\0\0\0")),
        ("the result of a function", b'D', message(b'V', b"\xff\xff\xff\xff")),
        ("a string without an end", b'C', message(b'C', b"SELECT 1")),
        ("an error without an end", b'C', message(b'E', b"SERROR\0C42601\0")),
        ("a state that is none", b'Z', message(b'Z', b"?")),
        ("two answers", b'C', [message(b'C', b"SELECT 1\0"), twice].concat()),
        ("columns that were not asked for", b'T', message(b'T', b"\0\0")),
    ];
    for (what, tag, with) in cases {
        ends(&between, ONE, what, || Alter::next(tag, &with)).await;
    }
    // Nobody has asked: the session ends when the client is told of nothing.
    for protocol in BOTH {
        let alter = Alter::next(b'Z', &[&ready[..], &ready].concat());
        let mut ana = between.session().await;
        between.meddler.alter(alter);
        send(&mut ana, ONE, protocol).await;
        let answer = ana.answer().await;
        // What still waits for the ledger then does not leave any more.
        let last = if answer.status == 0 { answer.error.clone() } else { ana.answer().await.error };
        assert_eq!(last.as_deref(), Some("08006"), "{protocol:?}");
        assert!(ana.is_closed().await, "{protocol:?}");
        between.is_sound(&answer).await;
    }
    // Before the portal is bound.
    let early = Alter::before(b'2', &row(&["2", "Name 2", "2"]));
    let answer = between.heard(ONE, Protocol::Extended, early).await;
    assert_eq!((answer.rows.len(), answer.error.as_deref()), (0, Some("08006")), "{answer:?}");
    for line in [&b"2\n"[..], b"2\tName 2\t2", b"2\tName 2\n", b"2\tName 2\t2\n3\tName 3\t3\n", b""]
    {
        let copied = Alter::next(b'd', &message(b'd', line)).after(1);
        let answer = between.heard(COPY, Protocol::Simple, copied).await;
        assert_eq!(answer.error.as_deref(), Some("08006"), "{answer:?}");
        between.is_sound(&answer).await;
    }
    between.world.client("ben").await.simple_query(PLAIN).await.unwrap();
}

#[tokio::test]
async fn an_error_without_a_code_is_an_error_for_clients() {
    let between = Between::start();
    for body in [&b"\0"[..], b"MName 2\0\0", b"CName 2\0MName 2\0\0", b"SERROR\0\0"] {
        for protocol in BOTH {
            let alter = Alter::next(b'C', &message(b'E', body)).then(Then::SkipsToReady);
            let answer = between.heard(ONE, protocol, alter).await;
            assert_eq!(answer.error.as_deref(), Some("XX000"), "{body:?} {answer:?}");
            assert!(!answer.said.contains("Name"), "{answer:?}");
            between.is_sound(&answer).await;
        }
    }
    let notes = format!("{:?}", between.world.entries());
    assert!(!notes.contains("Name 2"), "what is no code is in no entry");
}

#[tokio::test]
async fn floods_of_what_nobody_asked_for_pass_and_the_answer_comes() {
    let between = Between::start();
    let settings: Vec<u8> = (0..20_000)
        .flat_map(|number| {
            message(b'S', format!("setting{number}\0{}\0", "x".repeat(100)).as_bytes())
        })
        .collect();
    let notice = message(b'N', b"SNOTICE\0VNOTICE\0C00000\0MName 2\0\0");
    let notices = notice.repeat(20_000);
    let tells = message(b'A', b"\0\0\0\x01channel\0Name 2\0").repeat(20_000);
    for flood in [settings, notices, tells] {
        for sql in [ONE, PLAIN] {
            for protocol in BOTH {
                let answer = between.heard(sql, protocol, Alter::before(b'D', &flood)).await;
                let rows = if sql == ONE { 1 } else { 30 };
                assert_eq!((answer.rows.len(), answer.status), (rows, b'I'), "{sql}");
                if sql == ONE {
                    between.is_sound(&answer).await;
                }
            }
        }
    }
}

/// The gateway's own question behind a statement: its row is the second one.
#[tokio::test]
async fn a_moment_that_is_told_wrongly_shows_nothing_unrecorded() {
    let between = Between::start();
    let moment = |with: &[u8]| Alter::next(b'D', with).after(1);
    for (what, with) in [
        ("of no cell", message(b'D', b"\0\0")),
        ("of two cells", row(&["7:7:", "7:7:"])),
        ("in another encoding", message(b'D', b"\0\x01\0\0\0\x01\xff")),
        ("as copied data", message(b'd', b"7:7:\n")),
    ] {
        ends(&between, ONE, what, || moment(&with)).await;
    }
    // What the client has asked for is whole; only the proof comes by another way.
    for (what, with) in [
        ("that never was", row(&["1:1:"])),
        ("that is none", message(b'D', b"\0\x01\xff\xff\xff\xff")),
        ("of any text", row(&["Name 2"])),
        ("twice", [row(&["1:1:"]), row(&["2:2:"])].concat()),
        ("not at all", Vec::new()),
        ("without end", row(&["1:1:"]).repeat(10_000)),
    ] {
        for protocol in BOTH {
            let answer = between.heard(ONE, protocol, moment(&with)).await;
            assert_eq!((answer.error.as_deref(), answer.status), (None, b'I'), "{what} {answer:?}");
            assert_eq!(answer.rows, [["2", "***"]], "{what}");
            between.is_sound(&answer).await;
        }
    }
    let failed = message(b'E', b"SERROR\0VERROR\0C22012\0MName 2\0\0");
    for protocol in BOTH {
        let alter = moment(&failed).then(Then::SkipsToReady);
        let answer = between.heard(ONE, protocol, alter).await;
        assert_eq!((answer.error.as_deref(), answer.status), (Some("22012"), b'I'), "{answer:?}");
        assert!(!answer.said.contains("Name"), "{answer:?}");
        between.is_sound(&answer).await;
    }
}

#[tokio::test]
async fn a_moment_that_is_never_told_keeps_nothing_from_being_proven() {
    let between = Between::start();
    for protocol in BOTH {
        let mut ana = between.session().await;
        between.meddler.alter(Alter::next(b'D', b"").after(1).then(Then::IsSilent));
        send(&mut ana, ONE, protocol).await;
        let row = ana.first_row().await;
        assert_eq!(row.rows, [["2", "***"]], "{protocol:?}");
        between.is_sound(&row).await;
        drop(ana);
        between.world.wait_until("its end", |world| world.handle().sessions().is_empty()).await;
    }
}

/// A ReadyForQuery that is none of its answer's must not pass for it: what comes then would be the
/// next session's.
#[tokio::test]
async fn a_connection_that_is_not_made_as_new_is_not_used_again() {
    watch_for_panics();
    let meddler = Meddler::new();
    let world = World::start_as(&[], |settings| {
        meddler.stand_before(&mut settings.upstream.host);
        settings.workers = 1;
    });
    for (tag, with) in [
        (b'C', Vec::new()),
        (b'C', message(b'C', b"SELECT 1\0")),
        (b'C', message(b'E', b"SERROR\0C25001\0MName 2\0\0")),
        (b'Z', message(b'Z', b"T")),
        (b'Z', [message(b'Z', b"I"), message(b'Z', b"I")].concat()),
    ] {
        let mut ana = world.raw("ana").await;
        let pid = ana.query("SELECT pg_backend_pid()").await.rows[0][0].clone();
        meddler.alter(Alter::next(tag, &with));
        drop(ana);
        world.wait_until("the answer to DISCARD ALL", |_| meddler.has_altered()).await;
        let is_gone = |world: &World| {
            let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
            world.postgres.psql_in("support", &sql).unwrap().trim() == "0"
        };
        world.wait_until("the end of its process", is_gone).await;
        assert_eq!(world.handle().spares(), 0);
    }
    assert_no_panic();
}
