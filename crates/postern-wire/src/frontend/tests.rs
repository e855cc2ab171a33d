use bytes::BytesMut;

use super::*;
use crate::{EncodeError, encode, frame::tests::frame};

fn encoded(message: &Frontend<'_>) -> Result<BytesMut, EncodeError> {
    let mut out = BytesMut::new();
    match message {
        Frontend::Query(sql) => encode::query(&mut out, sql)?,
        Frontend::Parse(parse) => encode::parse(&mut out, parse)?,
        Frontend::Bind(bind) => encode::bind(&mut out, bind)?,
        Frontend::Describe(target) => encode::describe(&mut out, *target)?,
        Frontend::Execute(execute) => encode::execute(&mut out, execute)?,
        Frontend::Close(target) => encode::close(&mut out, *target)?,
        Frontend::Sync => encode::sync(&mut out),
        Frontend::Flush => encode::flush(&mut out),
        Frontend::Terminate => encode::terminate(&mut out),
        Frontend::Password(data) => encode::sasl_response(&mut out, data)?,
        Frontend::CopyData(data) => encode::copy_data(&mut out, data)?,
        Frontend::CopyDone => encode::copy_done(&mut out),
        Frontend::CopyFail(why) => encode::copy_fail(&mut out, why)?,
        Frontend::FunctionCall => panic!("nobody sends function calls here"),
    }
    Ok(out)
}

/// The body reads as the message, the message is written as the body, and neither a shorter nor a
/// longer body is taken for one.
fn check(tag: u8, body: &[u8], expected: Frontend<'_>) {
    let whole = frame(tag, body);
    assert_eq!(Frontend::parse(&whole), Ok(expected.clone()));
    assert_eq!(encoded(&expected).unwrap(), whole.raw());
    for end in 0..body.len() {
        let short = frame(tag, &body[..end]);
        assert!(Frontend::parse(&short).is_err(), "{expected:?} cut at {end}");
    }
    let long = frame(tag, &[body, b"\0"].concat());
    assert_eq!(Frontend::parse(&long), Err(MessageError::Trailing { bytes: 1 }));
}

#[test]
fn each_message_of_the_documentation_is_read_and_written() {
    check(b'Q', b"SELECT 1\0", Frontend::Query("SELECT 1"));
    check(b'Q', b"\0", Frontend::Query(""));
    check(
        b'P',
        b"s1\0SELECT $1\0\0\x02\0\0\0\x17\0\0\0\0",
        Frontend::Parse(Parse { name: "s1", sql: "SELECT $1", types: vec![23, 0] }),
    );
    check(
        b'B',
        b"p\0s1\0\0\x02\0\0\0\x01\0\x02\0\0\0\x03abc\xff\xff\xff\xff\0\x01\0\x01",
        Frontend::Bind(Bind {
            portal: "p",
            statement: "s1",
            formats: vec![0, 1],
            parameters: vec![Some(b"abc"), None],
            result_formats: vec![1],
        }),
    );
    check(
        b'B',
        b"\0\0\0\0\0\x01\0\0\0\0\0\0",
        Frontend::Bind(Bind {
            portal: "",
            statement: "",
            formats: vec![],
            parameters: vec![Some(b"")],
            result_formats: vec![],
        }),
    );
    check(b'D', b"Ss1\0", Frontend::Describe(Target::Statement("s1")));
    check(b'D', b"P\0", Frontend::Describe(Target::Portal("")));
    check(b'C', b"Pp\0", Frontend::Close(Target::Portal("p")));
    check(b'C', b"S\0", Frontend::Close(Target::Statement("")));
    check(b'E', b"p\0\0\0\0\x64", Frontend::Execute(Execute { portal: "p", max_rows: 100 }));
    check(b'S', b"", Frontend::Sync);
    check(b'H', b"", Frontend::Flush);
    check(b'X', b"", Frontend::Terminate);
    check(b'c', b"", Frontend::CopyDone);
    check(b'f', "zu spät\0".as_bytes(), Frontend::CopyFail("zu spät"));
}

#[test]
fn opaque_bodies_are_taken_whole() {
    let opaque = |tag, expected| {
        let whole = frame(tag, b"\0\xff\0");
        assert_eq!(Frontend::parse(&whole), Ok(expected));
    };
    opaque(b'p', Frontend::Password(b"\0\xff\0"));
    opaque(b'd', Frontend::CopyData(b"\0\xff\0"));
    opaque(b'F', Frontend::FunctionCall);
}

#[test]
fn malformed_messages_are_refused() {
    let refused = |tag, body: &[u8], expected| {
        assert_eq!(Frontend::parse(&frame(tag, body)), Err(expected), "{body:?}");
    };
    refused(b'y', b"", MessageError::UnknownType { tag: b'y' });
    refused(b'T', b"\0\0", MessageError::UnknownType { tag: b'T' });
    refused(b'Q', b"SELECT 1", MessageError::Unterminated { field: "query" });
    refused(b'Q', b"SELECT 1\0; DROP\0", MessageError::Trailing { bytes: 7 });
    refused(b'D', b"X\0", MessageError::Invalid { field: "kind of target", value: 88 });
    // Numbers of items that the message can't hold.
    refused(b'P', b"\0\0\xff\xff", MessageError::Truncated { field: "parameter types" });
    refused(b'B', b"\0\0\xff\xff\0\0\0\0", MessageError::Truncated { field: "format codes" });
    refused(b'B', b"\0\0\0\0\xff\xff\0\0", MessageError::Truncated { field: "parameters" });
    // A value longer than the message, and one of a negative length that is not NULL.
    refused(
        b'B',
        b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0",
        MessageError::Truncated { field: "parameter" },
    );
    refused(
        b'B',
        b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0",
        MessageError::Invalid { field: "parameter", value: -2 },
    );
    refused(
        b'B',
        b"\0\0\0\x01\0\x02\0\0\0\0",
        MessageError::Invalid { field: "format code", value: 2 },
    );
    refused(
        b'B',
        b"\0\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0",
        MessageError::ParameterFormats { formats: 2, parameters: 1 },
    );
    assert!(matches!(
        Frontend::parse(&frame(b'Q', b"SELECT '\xe4'\0")),
        Err(MessageError::Utf8 { field: "query", .. })
    ));
}

#[test]
fn the_kinds_of_password_messages_are_told_apart_by_the_caller() {
    assert_eq!(password_text(b"secret\0"), Ok("secret"));
    assert_eq!(password_text(b"se\0cret\0"), Err(MessageError::Trailing { bytes: 5 }));
    assert_eq!(password_text(b"secret"), Err(MessageError::Unterminated { field: "password" }));

    let mut out = BytesMut::new();
    encode::sasl_initial_response(&mut out, "SCRAM-SHA-256", b"n,,n=,r=x").unwrap();
    let initial = Frame::from_raw(out.freeze()).unwrap();
    assert_eq!(
        SaslInitial::parse(initial.body()),
        Ok(SaslInitial { mechanism: "SCRAM-SHA-256", data: Some(b"n,,n=,r=x") })
    );
    assert_eq!(
        SaslInitial::parse(b"X\0\xff\xff\xff\xff"),
        Ok(SaslInitial { mechanism: "X", data: None })
    );
    assert_eq!(
        SaslInitial::parse(b"X\0\0\0\0\x05abcd"),
        Err(MessageError::Truncated { field: "sasl data" })
    );
}

#[test]
fn debug_shows_neither_passwords_nor_sql_nor_values() {
    let check = |tag, body: &[u8], expected: &str| {
        let whole = frame(tag, body);
        assert_eq!(format!("{:?}", Frontend::parse(&whole).unwrap()), expected);
        assert_eq!(
            format!("{whole:?}"),
            format!("Frame(`{}`, {} bytes)", tag as char, 5 + body.len())
        );
    };
    check(b'p', b"geheim\0", "Password(…)");
    check(b'Q', b"SELECT 'Eva'\0", "Query(12 bytes)");
    check(b'P', b"\0SELECT 'Eva'\0\0\0", r#"Parse { name: "", sql_bytes: 12, types: [] }"#);
    check(
        b'B',
        b"\0s\0\0\0\0\x01\0\0\0\x03Eva\0\0",
        "Bind { portal: \"\", statement: \"s\", formats: [], \
         parameter_bytes: [Some(3)], result_formats: [] }",
    );
    check(b'd', b"Eva", "CopyData(3 bytes)");
    let initial = SaslInitial { mechanism: "X", data: Some(b"Eva") };
    assert_eq!(format!("{initial:?}"), r#"SaslInitial { mechanism: "X", data_bytes: Some(3) }"#);
}
