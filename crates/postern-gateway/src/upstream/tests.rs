//! Servers that misbehave before they are ready. Each ends in an error, soon and in little memory.

use postern_wire::TransactionStatus;
use tokio::net::TcpListener;

use super::*;

const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a server does next, whatever the gateway says.
enum Does {
    Says(BytesMut),
    /// Reads the first SCRAM message and answers with this, in which `NONCE` is the client's nonce.
    Challenges(String),
    /// Says such messages as long as somebody listens.
    Repeats(Box<dyn FnMut(usize) -> BytesMut + Send>),
}

fn says(message: impl FnOnce(&mut BytesMut)) -> Does {
    let mut out = BytesMut::new();
    message(&mut out);
    Does::Says(out)
}

fn raw(bytes: &[u8]) -> Does {
    Does::Says(BytesMut::from(bytes))
}

fn authentication(kind: Authentication<'_>) -> Does {
    says(|out| encode::authentication(out, &kind).unwrap())
}

fn asks_for_scram() -> Does {
    authentication(Authentication::Sasl { mechanisms: vec![SCRAM_SHA_256] })
}

fn challenges(text: &str) -> Does {
    Does::Challenges(text.to_owned())
}

fn is_ready() -> Does {
    says(|out| encode::ready_for_query(out, TransactionStatus::Idle))
}

/// The error with which the gateway gives such a server up.
async fn given_up(script: Vec<Does>) -> ConnectError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        play(Box::new(stream), script).await
    });
    let upstream = Upstream {
        host: UpstreamHost::Tcp { host: "127.0.0.1".to_owned(), port },
        database: "support".to_owned(),
        user: "gate".to_owned(),
        password: Some(Secret::new("secret".to_owned())),
        tls: None,
        search_path: Vec::new(),
        unprotected: None,
        functions: Vec::new(),
        relations: Vec::new(),
    };
    let error = connect(&upstream, &[], MESSAGE_BYTES_MAX).await.err();
    // Whether it could say all that it had to is the server's own affair, but it must have ended.
    let _ = server.await.unwrap();
    error.expect("such a server is given up")
}

async fn play(mut stream: BoxedStream, script: Vec<Does>) -> io::Result<()> {
    let mut heard = BytesMut::new();
    // The start-up message.
    fill(&mut stream, &mut heard).await?;
    heard.clear();
    for does in script {
        match does {
            Does::Says(bytes) => stream.write_all(&bytes).await?,
            Does::Challenges(text) => {
                fill(&mut stream, &mut heard).await?;
                let first = String::from_utf8_lossy(&heard).into_owned();
                let nonce = first.split_once(",r=").expect("a nonce").1;
                let text = text.replace("NONCE", nonce);
                let mut out = BytesMut::new();
                let kind = Authentication::SaslContinue(text.as_bytes());
                encode::authentication(&mut out, &kind).unwrap();
                stream.write_all(&out).await?;
            }
            Does::Repeats(mut message) => {
                for number in 0.. {
                    stream.write_all(&message(number)).await?;
                }
            }
        }
    }
    stream.shutdown().await
}

/// As [`given_up`], by the error's name.
async fn check(script: Vec<Does>, expected: &str) {
    let error = given_up(script).await;
    let name = format!("{error:?}");
    assert!(name.starts_with(expected), "{name}, not {expected}");
}

#[tokio::test]
async fn a_scram_challenge_that_would_keep_the_core_busy_is_not_computed() {
    for iterations in ["4294967295", "2147483647", "100001", "4294967296", "-1", "", "1e3"] {
        let challenge = format!("r=NONCEmore,s=c2FsdA==,i={iterations}");
        check(vec![asks_for_scram(), challenges(&challenge)], "Scram(").await;
    }
}

#[tokio::test]
async fn scram_messages_that_are_malformed_or_overlong_are_refused() {
    let long = "x".repeat(START_BYTES_MAX);
    for challenge in [
        "",
        "r=",
        "r=NONCE",
        "r=other,s=c2FsdA==,i=4096",
        "r=NONCEmore,s=not base64,i=4096",
        "r=NONCEmore,s=c2FsdA==,i=4096,more=x\0",
        "m=ext,r=NONCEmore,s=c2FsdA==,i=4096",
        "\u{0}\u{0}",
    ] {
        check(vec![asks_for_scram(), challenges(challenge)], "Scram(").await;
    }
    let long = format!("r=NONCE{long},s=c2FsdA==,i=1");
    check(vec![asks_for_scram(), challenges(&long)], "Frame(TooLong").await;
    let finals = ["", "v=", "v=AAAA", "e=other-error", "v=not base64", "x"];
    for last in finals {
        let script = vec![
            asks_for_scram(),
            challenges("r=NONCEmore,s=c2FsdA==,i=1"),
            authentication(Authentication::SaslFinal(last.as_bytes())),
        ];
        check(script, "Scram(").await;
    }
}

/// Otherwise whoever does not know the password is talked to as if they did, or is told it.
#[tokio::test]
async fn a_server_that_does_not_end_its_proof_is_given_up() {
    let challenge = || challenges("r=NONCEmore,s=c2FsdA==,i=1");
    for left_out in [
        authentication(Authentication::Ok),
        authentication(Authentication::CleartextPassword),
        authentication(Authentication::Md5Password { salt: [1; 4] }),
        asks_for_scram(),
    ] {
        check(vec![asks_for_scram(), challenge(), left_out, is_ready()], "Unproven").await;
    }
    let script = vec![asks_for_scram(), authentication(Authentication::Ok), is_ready()];
    check(script, "Unproven").await;
    for out_of_place in
        [Authentication::SaslContinue(b"r=x,s=,i=1"), Authentication::SaslFinal(b"v=AAAA")]
    {
        check(vec![authentication(out_of_place), is_ready()], "Unexpected").await;
    }
    let twice = vec![asks_for_scram(), challenge(), challenge()];
    check(twice, "Scram(").await;
}

#[tokio::test]
async fn an_unknown_authentication_is_not_tried() {
    for kind in [2, 6, 7, 8, 9, -1, i32::MAX] {
        check(vec![authentication(Authentication::Other(kind)), is_ready()], "Authentication")
            .await;
    }
    let plus = Authentication::Sasl { mechanisms: vec!["SCRAM-SHA-256-PLUS"] };
    check(vec![authentication(plus)], "Authentication").await;
    check(vec![is_ready()], "Authentication").await;
    let row = says(|out| encode::data_row(out, [Some(&b"x"[..])]).unwrap());
    check(vec![row], "Authentication").await;
}

#[tokio::test]
async fn errors_without_their_fields_are_errors_all_the_same() {
    for (bytes, expected) in [
        (&b"E\0\0\0\x05\0"[..], "Refused { sqlstate: SqlState(XX000), message: \"no message\""),
        (b"E\0\0\0\x0bMwhy?\0\0", "Refused { sqlstate: SqlState(XX000), message: \"why?\""),
        (b"E\0\0\0\x0bC12\0M?\0\0", "Message("),
        (b"E\0\0\0\x09Cabc\0", "Message("),
        (b"E\0\0\0\x04", "Message("),
        (b"E\0\0\0\x0cCwrong\0\0", "Refused { sqlstate: SqlState(XX000)"),
    ] {
        check(vec![raw(bytes)], expected).await;
        check(vec![authentication(Authentication::Ok), raw(bytes)], expected).await;
    }
}

#[tokio::test]
async fn wrong_lengths_end_the_connection_before_they_are_believed() {
    for (header, expected) in [
        (&b"R\0\0\0\0"[..], "Frame(Length"),
        (b"R\0\0\0\x03", "Frame(Length"),
        (b"R\xff\xff\xff\xff", "Frame(Length"),
        (b"R\x80\0\0\0", "Frame(Length"),
        (b"R\x7f\xff\xff\xff", "Frame(TooLong"),
        (b"S\x01\0\0\0", "Frame(TooLong"),
        (b"R\0\0\0\x04", "Message("),
        (b"R\0\0\0\x07\0\0\0", "Message("),
        (b"R\0\0\0\x09\0\0\0\0\0", "Message("),
        (b"R\0\0\0\x08\0\0", "Io("),
        (b"R\0", "Io("),
        (b"", "Io("),
        (b"?\0\0\0\x04", "Message("),
    ] {
        check(vec![raw(header)], expected).await;
    }
    let ok = || authentication(Authentication::Ok);
    for (message, expected) in [
        (&b"S\0\0\0\x0aname\0x"[..], "Message("),
        (b"S\0\0\0\x09name\0", "Message("),
        (b"K\0\0\0\x08\0\0\0\x01", "Message("),
        (b"Z\0\0\0\x05?", "Message("),
        (b"Z\0\0\0\x04", "Message("),
        (b"v\0\0\0\x0c\0\x03\0\0\x7f\xff\xff\xff", "Message("),
        (b"D\0\0\0\x06\0\0", "Unexpected"),
        (b"G\0\0\0\x07\0\0\0", "Unexpected"),
    ] {
        check(vec![ok(), raw(message)], expected).await;
    }
}

/// The server can't grow the gateway by what it says of itself, nor keep a log-in waiting by it.
#[tokio::test]
async fn floods_before_the_server_is_ready_are_heard_up_to_a_limit() {
    let ok = || authentication(Authentication::Ok);
    let settings = |number: usize| {
        let mut out = BytesMut::new();
        let value = "x".repeat(10_000);
        encode::parameter_status(&mut out, &format!("setting{number}"), &value).unwrap();
        out
    };
    let notices = |_| BytesMut::from(&b"N\0\0\0\x0bMhear\0\0"[..]);
    for (before, flood) in [
        (vec![ok()], Does::Repeats(Box::new(settings))),
        (vec![ok()], Does::Repeats(Box::new(notices))),
        (vec![], Does::Repeats(Box::new(notices))),
    ] {
        let script = before.into_iter().chain([flood]).collect();
        let error = given_up(script).await;
        assert!(matches!(error, ConnectError::TooMuch), "{error:?}");
    }
}
