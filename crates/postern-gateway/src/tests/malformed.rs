//! Clients that break the protocol, before they are logged in and after: each gets an error or is
//! cut off, the gateway lives, and nothing shows that is not theirs.

use std::time::Duration;

use bytes::BytesMut;
use postern_fuzz::Mutator;
use postern_wire::{Bind, Execute, Parse, Target, encode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    malice::{assert_no_panic, extended, watch_for_panics},
    raw::Raw,
    world::World,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// As good as any; a finding names it with the number of the mutation.
const SEED: u64 = 11;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat()
}

fn first(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
}

fn startup() -> Vec<u8> {
    first(196_608, b"user\0ana\0database\0support\0\0")
}

/// All that the gateway says to whoever sends this and then nothing.
async fn said(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(world.handle().address()).await.unwrap();
    // It may have closed before all is sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut said = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "{} keeps a connection open", bytes.escape_ascii());
    said
}

#[tokio::test]
async fn first_messages_that_are_none_let_nobody_in() {
    watch_for_panics();
    let world = World::start(&[]);
    for bytes in [
        &b""[..],
        b"\0\0\0\0",
        b"\0\0\0\x03",
        b"\0\0\0\x07\0\0\0",
        b"\xff\xff\xff\xff\0\x03\0\0",
        b"\x80\0\0\0\0\x03\0\0",
        b"\x7f\xff\xff\xff\0\x03\0\0",
        b"\0\0\x28\0\0\x03\0\0",
        b"\0\0\0\x08\0\x02\0\0",
        b"\0\0\0\x08\0\x04\0\0",
        b"\0\0\0\x08\0\x03\0\0",
        &first(196_608, b"user"),
        &first(196_608, b"user\0ana"),
        &first(196_608, b"user\0ana\0"),
        &first(196_608, b"user\0ana\0\0more"),
        &first(196_608, b"user\0ana\0user\0dba\0\0"),
        &first(196_608, b"\0"),
        &first(196_608, b"database\0support\0\0"),
        &first(196_608, b"user\0\xff\xfe\0\0"),
        &first(196_608, b"user\0ana\0database\0other\0\0"),
        &first(196_608, b"user\0ana\0replication\0database\0\0"),
        &first(80_877_103, b"x"),
        &first(80_877_104, b"x"),
        &first(80_877_102, b""),
        &first(80_877_102, b"\0\0\0\x01"),
        &first(80_877_102, &[0; 300]),
        &[first(80_877_103, b""), first(80_877_103, b"")].concat(),
        &[first(80_877_104, b"").repeat(100), b"\0\0\0\0".to_vec()].concat(),
        b"GET / HTTP/1.1\r\nHost: postern\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    ] {
        let said = said(&world, bytes).await;
        let let_in = said.windows(9).any(|window| window == b"R\0\0\0\x08\0\0\0\0");
        assert!(!let_in, "{} is let in", bytes.escape_ascii());
    }
    world.raw("ana").await;
    assert_no_panic();
}

#[tokio::test]
async fn log_ins_that_are_malformed_or_out_of_order_let_nobody_in() {
    watch_for_panics();
    let world = World::start(&[]);
    let sasl = |mechanism: &[u8], length: i32, data: &[u8]| {
        message(b'p', &[mechanism, b"\0", &length.to_be_bytes(), data].concat())
    };
    let good = sasl(b"SCRAM-SHA-256", 16, b"n,,n=,r=abcdefgh");
    let cases: Vec<Vec<u8>> = [b"QSELECT 1\0".as_slice(), b"S", b"X", b"H", b"d", b"c", b"fno\0"]
        .iter()
        .map(|message_of| message(message_of[0], &message_of[1..]))
        .chain([
            message(b'p', b""),
            message(b'p', b"SCRAM-SHA-256"),
            message(b'p', b"SCRAM-SHA-256\0"),
            message(b'p', b"password\0"),
            sasl(b"SCRAM-SHA-256", -1, b""),
            sasl(b"SCRAM-SHA-256", -2, b""),
            sasl(b"SCRAM-SHA-256", i32::MAX, b"n,,n=,r=abcdefgh"),
            sasl(b"SCRAM-SHA-256", 3, b"n,,n=,r=abcdefgh"),
            sasl(b"SCRAM-SHA-256-PLUS", 16, b"n,,n=,r=abcdefgh"),
            sasl(b"PLAIN", 8, b"\0ana\0pw-"),
            sasl(b"SCRAM-SHA-256", 3, b"n,,"),
            sasl(b"SCRAM-SHA-256", 29, b"p=tls-server-end-point,,n=,r="),
            sasl(b"SCRAM-SHA-256", 4, b"\xff\xff\xff\xff"),
            [good.clone(), good.clone()].concat(),
            [good.clone(), message(b'p', b"")].concat(),
            [good.clone(), message(b'p', b"c=biws,r=abcdefgh,p=AAAA")].concat(),
            [good.clone(), message(b'Q', b"SELECT 1\0")].concat(),
            b"p\0\0\0\0".to_vec(),
            b"p\0\0\0\x03".to_vec(),
            b"p\xff\xff\xff\xff".to_vec(),
            b"p\x7f\xff\xff\xff".to_vec(),
            b"p\0\0\x80\0".to_vec(),
        ])
        .collect();
    for case in cases {
        let said = said(&world, &[startup(), case.clone()].concat()).await;
        let is_in = said.windows(9).any(|window| window == b"R\0\0\0\x08\0\0\0\0");
        assert!(!is_in, "{} is let in", case.escape_ascii());
        let rows = said.windows(5).any(|window| window == b"D\0\0\0\x0b");
        assert!(!rows, "{} is answered", case.escape_ascii());
    }
    world.raw("ana").await;
    assert_no_panic();
}

/// Well-formed messages of each kind, for whoever is logged in.
fn every_message() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut add = |write: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        write(&mut out);
        all.push(out.to_vec());
    };
    let (name, types) = ("s", vec![20]);
    add(&|out| encode::query(out, "SELECT id, name FROM customers WHERE id < 4").unwrap());
    let sql = "SELECT id, name FROM customers WHERE id = $1";
    add(&|out| encode::parse(out, &Parse { name, sql, types: types.clone() }).unwrap());
    let bind = Bind {
        portal: "p",
        statement: "s",
        formats: vec![0],
        parameters: vec![Some(b"2")],
        result_formats: vec![0, 0],
    };
    add(&|out| encode::bind(out, &bind).unwrap());
    add(&|out| encode::describe(out, Target::Statement("s")).unwrap());
    add(&|out| encode::describe(out, Target::Portal("p")).unwrap());
    add(&|out| encode::execute(out, &Execute { portal: "p", max_rows: 1 }).unwrap());
    add(&|out| encode::flush(out));
    add(&|out| encode::close(out, Target::Portal("p")).unwrap());
    add(&|out| encode::close(out, Target::Statement("s")).unwrap());
    add(&|out| encode::sync(out));
    add(&|out| encode::query(out, "COPY (SELECT id, name FROM customers) TO STDOUT").unwrap());
    add(&|out| encode::copy_data(out, b"1\tx\n").unwrap());
    add(&|out| encode::copy_done(out));
    add(&|out| encode::copy_fail(out, "no more").unwrap());
    all
}

#[tokio::test]
async fn cut_and_lengthened_messages_end_the_session() {
    watch_for_panics();
    let world = World::start(&[]);
    for whole in every_message() {
        let (tag, body) = (whole[0], &whole[5..]);
        let mut wrong = vec![
            [&[tag][..], &[0; 4]].concat(),
            [&[tag][..], &[0, 0, 0, 3]].concat(),
            [&[tag][..], &[0xff; 4]].concat(),
            [&[tag][..], &[0x80, 0, 0, 0]].concat(),
            [&[tag][..], &[0x7f, 0xff, 0xff, 0xff]].concat(),
            [&[tag][..], &[0, 0x20, 0, 0]].concat(),
        ];
        // Whatever is in copied data is data.
        if tag != b'd' {
            wrong.push(message(tag, &[body, b"\0more"].concat()));
            wrong.extend((!body.is_empty()).then(|| message(tag, &body[..body.len() - 1])));
        }
        for bytes in wrong {
            let mut ana = world.raw("ana").await;
            ana.send(&bytes).await;
            let answer = ana.answer().await;
            let case = bytes.escape_ascii().to_string();
            assert_eq!((answer.error.as_deref(), answer.status), (Some("08P01"), 0), "{case}");
            assert!(answer.rows.is_empty() && answer.copied.is_empty(), "{case}");
        }
    }
    for tag in [0, b'A', b'R', b'Z', b'T', b'W', b'p', 0xff] {
        let mut ana = world.raw("ana").await;
        ana.send(&message(tag, b"")).await;
        assert_eq!(ana.answer().await.error.as_deref(), Some("08P01"), "{tag}");
    }
    world.raw("ana").await;
    assert_no_panic();
}

#[tokio::test]
async fn messages_out_of_order_are_errors_and_the_session_goes_on() {
    watch_for_panics();
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    let all = every_message();
    let sync = message(b'S', b"");
    for (number, (tag, code)) in [
        (b'B', Some("26000")),
        (b'E', Some("34000")),
        (b'D', Some("26000")),
        (b'C', None),
        (b'd', None),
        (b'c', None),
        (b'f', None),
        (b'H', None),
        (b'F', Some("42501")),
    ]
    .into_iter()
    .enumerate()
    {
        let known = all.iter().find(|known| known[0] == tag).cloned();
        ana.send(&[known.unwrap_or_else(|| message(tag, b"\0\0")), sync.clone()].concat()).await;
        let mut answer = ana.answer().await;
        if tag == b'F' {
            // It ends by itself, as in the server; the Sync is another's.
            let refused = answer.error.take();
            answer = ana.answer().await;
            answer.error = refused;
        }
        assert_eq!((answer.error.as_deref(), answer.status), (code, b'I'), "{number}");
    }
    assert_eq!(ana.query("SELECT id, name FROM customers WHERE id = 2").await.rows, [["2", "***"]]);
    assert_no_panic();
}

/// A session as a driver leads it, in one piece.
fn conversation() -> Vec<u8> {
    let mut out = BytesMut::new();
    encode::query(&mut out, "SELECT id, name, email FROM customers WHERE id < 6").unwrap();
    extended(&mut out, "SELECT id, name FROM customers WHERE id < 6");
    out.extend_from_slice(&every_message().concat());
    encode::query(&mut out, "BEGIN").unwrap();
    encode::query(&mut out, "UPDATE customers SET name = 'x' WHERE id = 3").unwrap();
    encode::query(&mut out, "SELECT 1; SELECT email FROM customers; SELECT 2").unwrap();
    encode::query(&mut out, "ROLLBACK").unwrap();
    out.to_vec()
}

#[tokio::test]
async fn mutated_conversations_show_nobody_elses_data() {
    watch_for_panics();
    let limit = 32 * 1024;
    let world = World::start_as(&[], |settings| settings.limits.message_bytes_max = limit);
    let (whole, mut mutator) = (conversation(), Mutator::new(SEED));
    // A message whose length was changed ends in the zeros, and no message begins with one.
    let zeros = message(b'd', &[0; 16 * 1024]).repeat(3);
    let end = [zeros, message(b'S', b""), message(b'X', b"")].concat();
    let mut rows = 0;
    for number in 0..60 {
        let bytes = mutator.change(&whole, &whole);
        let mut ana = world.raw("ana").await;
        ana.send(&bytes).await;
        ana.send(&end).await;
        let seen = ana.all().await;
        for name in (2..=100).filter(|id| *id != 3).map(|id| format!("Name {id}")) {
            let shows = seen.windows(name.len() + 1).any(|window| {
                window.starts_with(name.as_bytes()) && !window[name.len()].is_ascii_digit()
            });
            let conversation = bytes.escape_ascii();
            assert!(!shows, "{name} shows: seed {SEED}, mutation {number}: {conversation}");
        }
        rows += usize::from(seen.windows(3).any(|window| window == b"***"));
    }
    assert!(rows > 10, "most conversations came to nothing: {rows}");
    world.wait_until("all are gone", |world| world.handle().sessions().is_empty()).await;
    assert_no_panic();
}

#[tokio::test]
async fn mutated_log_ins_let_nobody_in() {
    watch_for_panics();
    let world = World::start(&[]);
    // Who has come in before does so again, however much fails.
    world.raw("ben").await;
    let scram = [&b"SCRAM-SHA-256\0\0\0\0\x10"[..], b"n,,n=,r=abcdefgh"].concat();
    let whole = [
        startup(),
        message(b'p', &scram),
        message(b'p', b"c=biws,r=abcdefgh,p=AAAA"),
        message(b'Q', b"SELECT 1\0"),
    ]
    .concat();
    let other =
        [first(80_877_103, b""), first(80_877_104, b""), first(80_877_102, &[0; 8])].concat();
    let mut mutator = Mutator::new(SEED);
    for number in 0..1_000 {
        let bytes = mutator.change(&whole, &other);
        let said = said(&world, &bytes).await;
        let is_in = said.windows(9).any(|window| window == b"R\0\0\0\x08\0\0\0\0");
        assert!(!is_in, "seed {SEED}, mutation {number}: {}", bytes.escape_ascii());
    }
    world.raw("ben").await;
    assert_no_panic();
}

/// Who sends a huge message takes no more than may be sent, and only while it is there.
#[tokio::test]
async fn a_message_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
    let world = World::start(&[]);
    let limit = 1 << 20;
    let mut ana: Raw = world.raw("ana").await;
    let sql = format!("SELECT length('{}')", "x".repeat(limit - 100));
    assert_eq!(ana.query(&sql).await.rows, [[(limit - 100).to_string()]]);
    let sql = format!("SELECT 1 --{}", "x".repeat(limit - 16));
    assert_eq!(sql.len() + 5, limit, "with length and end");
    assert_eq!(ana.query(&sql).await.rows, [["1"]]);
    ana.send_query(&format!("{sql}x")).await;
    assert_eq!(ana.answer().await.error.as_deref(), Some("08P01"));
}
