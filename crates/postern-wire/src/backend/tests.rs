use bytes::BytesMut;

use super::*;
use crate::{
    EncodeError, RewriteError, SqlState,
    encode::{self, Report, Severity},
    frame::tests::frame,
};

fn encoded(message: &Backend<'_>) -> Result<BytesMut, EncodeError> {
    let mut out = BytesMut::new();
    let buf = &mut out;
    match message {
        Backend::Authentication(kind) => encode::authentication(buf, kind)?,
        Backend::ParameterStatus { name, value } => encode::parameter_status(buf, name, value)?,
        Backend::BackendKeyData { process_id, secret } => {
            encode::backend_key_data(buf, *process_id, secret)?;
        }
        Backend::ReadyForQuery(status) => encode::ready_for_query(buf, *status),
        Backend::RowDescription(columns) => encode::row_description(buf, columns)?,
        Backend::DataRow(row) => encode::data_row(buf, row.cells())?,
        Backend::CommandComplete(tag) => encode::command_complete(buf, tag)?,
        Backend::EmptyQueryResponse => encode::empty_query_response(buf),
        Backend::ErrorResponse(fields) => encode::report_fields(buf, b'E', fields)?,
        Backend::NoticeResponse(fields) => encode::report_fields(buf, b'N', fields)?,
        Backend::ParseComplete => encode::parse_complete(buf),
        Backend::BindComplete => encode::bind_complete(buf),
        Backend::CloseComplete => encode::close_complete(buf),
        Backend::NoData => encode::no_data(buf),
        Backend::PortalSuspended => encode::portal_suspended(buf),
        Backend::ParameterDescription(types) => encode::parameter_description(buf, types)?,
        Backend::CopyInResponse(formats) => encode::copy_in_response(buf, formats)?,
        Backend::CopyOutResponse(formats) => encode::copy_out_response(buf, formats)?,
        Backend::CopyBothResponse(formats) => encode::copy_both_response(buf, formats)?,
        Backend::CopyData(data) => encode::copy_data(buf, data)?,
        Backend::CopyDone => encode::copy_done(buf),
        Backend::FunctionCallResponse(value) => encode::function_call_response(buf, *value)?,
        Backend::NotificationResponse { process_id, channel, payload } => {
            encode::notification_response(buf, *process_id, channel, payload)?;
        }
        Backend::NegotiateProtocolVersion { newest, options } => {
            encode::negotiate_protocol_version(buf, *newest as u16, options)?;
        }
    }
    Ok(out)
}

/// The body reads as the message and the message is written as the body.
fn check_open(tag: u8, body: &[u8], expected: &Backend<'_>) {
    let whole = frame(tag, body);
    assert_eq!(Backend::parse(&whole), Ok(expected.clone()));
    assert_eq!(encoded(expected).unwrap(), whole.raw());
}

/// As `check_open`, and neither a shorter nor a longer body is taken for such a message.
fn check(tag: u8, body: &[u8], expected: &Backend<'_>) {
    check_open(tag, body, expected);
    for end in 0..body.len() {
        let short = frame(tag, &body[..end]);
        assert!(Backend::parse(&short).is_err(), "{expected:?} cut at {end}");
    }
    let long = frame(tag, &[body, b"\0"].concat());
    assert_eq!(Backend::parse(&long), Err(MessageError::Trailing { bytes: 1 }));
}

#[test]
fn each_message_of_a_log_in_is_read_and_written() {
    let login = |body, kind| check(b'R', body, &Backend::Authentication(kind));
    let open = |body, kind| check_open(b'R', body, &Backend::Authentication(kind));
    login(b"\0\0\0\0", Authentication::Ok);
    login(b"\0\0\0\x03", Authentication::CleartextPassword);
    login(b"\0\0\0\x05salt", Authentication::Md5Password { salt: *b"salt" });
    login(
        b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0",
        Authentication::Sasl { mechanisms: vec!["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"] },
    );
    open(b"\0\0\0\x0br=1,s=2", Authentication::SaslContinue(b"r=1,s=2"));
    open(b"\0\0\0\x0cv=3", Authentication::SaslFinal(b"v=3"));
    open(b"\0\0\0\x07", Authentication::Other(7));
    check(b'S', b"TimeZone\0UTC\0", &Backend::ParameterStatus { name: "TimeZone", value: "UTC" });
    check_open(
        b'K',
        b"\0\0\0\x2a\x01\x02\x03\x04",
        &Backend::BackendKeyData { process_id: 42, secret: &[1, 2, 3, 4] },
    );
    check(b'Z', b"I", &Backend::ReadyForQuery(TransactionStatus::Idle));
    check(b'Z', b"T", &Backend::ReadyForQuery(TransactionStatus::InTransaction));
    check(b'Z', b"E", &Backend::ReadyForQuery(TransactionStatus::Failed));
    check(
        b'v',
        b"\0\x03\0\0\0\0\0\x01_pq_.x\0",
        &Backend::NegotiateProtocolVersion { newest: 196_608, options: vec!["_pq_.x"] },
    );
}

#[test]
fn each_message_of_a_query_is_read_and_written() {
    check(
        b'T',
        b"\0\x01id\0\0\0\x40\0\0\x02\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01",
        &Backend::RowDescription(vec![Column {
            name: "id",
            table_oid: 16_384,
            attribute: 2,
            type_oid: 23,
            type_size: 4,
            type_modifier: -1,
            format: 1,
        }]),
    );
    check(b'T', b"\0\0", &Backend::RowDescription(vec![]));
    check(b'C', b"SELECT 3\0", &Backend::CommandComplete("SELECT 3"));
    check(b'I', b"", &Backend::EmptyQueryResponse);
    check(b'1', b"", &Backend::ParseComplete);
    check(b'2', b"", &Backend::BindComplete);
    check(b'3', b"", &Backend::CloseComplete);
    check(b'n', b"", &Backend::NoData);
    check(b's', b"", &Backend::PortalSuspended);
    check(b't', b"\0\x02\0\0\0\x17\0\0\0\x19", &Backend::ParameterDescription(vec![23, 25]));
    check(
        b'A',
        b"\0\0\0\x07jobs\0new\0",
        &Backend::NotificationResponse { process_id: 7, channel: "jobs", payload: "new" },
    );
    check(b'V', b"\xff\xff\xff\xff", &Backend::FunctionCallResponse(None));
    check(b'V', b"\0\0\0\x01x", &Backend::FunctionCallResponse(Some(b"x")));
    let formats = |overall, columns| CopyFormats { overall, columns };
    check(b'G', b"\0\0\x01\0\0", &Backend::CopyInResponse(formats(0, vec![0])));
    check(b'H', b"\x01\0\x01\0\x01", &Backend::CopyOutResponse(formats(1, vec![1])));
    check(b'W', b"\0\0\0", &Backend::CopyBothResponse(formats(0, vec![])));
    check_open(b'd', b"1\tx\n", &Backend::CopyData(b"1\tx\n"));
    check(b'c', b"", &Backend::CopyDone);
    let fields = || ReportFields(vec![(b'S', "FEHLER"), (b'V', "ERROR"), (b'C', "42601")]);
    check(b'E', b"SFEHLER\0VERROR\0C42601\0\0", &Backend::ErrorResponse(fields()));
    check(b'N', b"SFEHLER\0VERROR\0C42601\0\0", &Backend::NoticeResponse(fields()));
    assert_eq!(fields().severity(), Some("ERROR"));
    assert_eq!(fields().sqlstate(), Some(SqlState::SYNTAX_ERROR));
    assert_eq!(fields().message(), None);
}

#[test]
fn malformed_messages_are_refused() {
    let refused = |tag, body: &[u8], expected| {
        assert_eq!(Backend::parse(&frame(tag, body)), Err(expected), "{body:?}");
    };
    refused(b'Q', b"\0", MessageError::UnknownType { tag: b'Q' });
    refused(b'Z', b"X", MessageError::Invalid { field: "transaction status", value: 88 });
    refused(b'T', b"\xff\xff", MessageError::Truncated { field: "columns" });
    refused(b'D', b"\xff\xff", MessageError::Truncated { field: "cells" });
    refused(b'D', b"\0\x01\0\0\0\x02x", MessageError::Truncated { field: "cell" });
    refused(
        b'D',
        b"\0\x01\x80\0\0\0",
        MessageError::Invalid { field: "cell", value: i32::MIN.into() },
    );
    refused(b'D', b"\0\0x", MessageError::Trailing { bytes: 1 });
    refused(b'G', b"\x02\0\0", MessageError::Invalid { field: "copy format", value: 2 });
    refused(b'K', b"\0\0\0\x01abc", MessageError::Truncated { field: "secret key" });
    refused(b'K', &[0; 4 + 257], MessageError::Trailing { bytes: 1 });
    refused(b'E', b"Mtext", MessageError::Unterminated { field: "report field" });
    refused(b'E', b"Mtext\0", MessageError::Truncated { field: "report field" });
    refused(b'v', b"\0\x03\0\0\x7f\xff\xff\xff\0", MessageError::Truncated { field: "options" });
    refused(
        b'v',
        b"\0\x03\0\0\xff\xff\xff\xff",
        MessageError::Invalid { field: "number of options", value: -1 },
    );
}

const ROW: &[u8] = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\x01k";

fn row(frame: &Frame) -> DataRow<'_> {
    match Backend::parse(frame) {
        Ok(Backend::DataRow(row)) => row,
        other => panic!("not a row: {other:?}"),
    }
}

#[test]
fn the_cells_of_a_row_are_cut_lazily() {
    check(b'D', ROW, &Backend::DataRow(row(&frame(b'D', ROW))));
    let whole = frame(b'D', ROW);
    let mut cells = row(&whole).cells();
    assert_eq!(cells.len(), 3);
    assert_eq!(cells.next(), Some(Some(&b"ab"[..])));
    assert_eq!(cells.next(), Some(None));
    assert_eq!(cells.len(), 1);
    assert_eq!(cells.next(), Some(Some(&b"k"[..])));
    assert_eq!(cells.next(), None);
    assert_eq!(cells.next(), None);
}

#[test]
fn a_row_is_split_into_what_is_shown_and_what_is_hidden() {
    let check = |hidden, visible: &[u8], cut: &[Option<&[u8]>]| {
        let whole = frame(b'D', ROW);
        let (message, cells) = row(&whole).split_trailing(hidden).unwrap();
        assert_eq!(&message, frame(b'D', visible).raw());
        assert_eq!(cells, cut);
    };
    check(0, ROW, &[]);
    check(1, b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff", &[Some(b"k")]);
    check(2, b"\0\x01\0\0\0\x02ab", &[None, Some(b"k")]);
    check(3, b"\0\0", &[Some(b"ab"), None, Some(b"k")]);

    let whole = frame(b'D', ROW);
    let mut out = BytesMut::from("before");
    let error = row(&whole).split_trailing_into(4, &mut out).unwrap_err();
    assert_eq!(error, RewriteError::Columns { columns: 3, hidden: 4 });
    assert_eq!(out, "before");
}

#[test]
fn a_row_does_not_print_its_values() {
    let whole = frame(b'D', ROW);
    assert_eq!(format!("{:?}", row(&whole)), "[Some(2), None, Some(1)]");
}

#[test]
fn an_own_report_always_goes_out() {
    let sent = |message: &str| {
        let mut out = BytesMut::new();
        encode::error_response(
            &mut out,
            &Report {
                severity: Severity::Fatal,
                sqlstate: SqlState::INSUFFICIENT_PRIVILEGE,
                message,
                detail: None,
                hint: Some("ask for it"),
                position: None,
            },
        );
        Frame::from_raw(out.freeze()).unwrap()
    };
    let plain = sent("permission denied");
    assert_eq!(plain.tag(), b'E');
    let expected = b"SFATAL\0VFATAL\0C42501\0Mpermission denied\0Hask for it\0\0";
    assert_eq!(plain.body(), expected);

    let zero = sent("forged\0C00000");
    let Ok(Backend::ErrorResponse(fields)) = Backend::parse(&zero) else { panic!() };
    assert_eq!(fields.message(), Some("forged C00000"));
    assert_eq!(fields.sqlstate(), Some(SqlState::INSUFFICIENT_PRIVILEGE));

    let long = sent(&"ä€".repeat(5_000));
    let Ok(Backend::ErrorResponse(fields)) = Backend::parse(&long) else { panic!() };
    assert!((8_189..=8_192).contains(&fields.message().unwrap().len()));
}

#[test]
fn debug_shows_neither_secrets_nor_values_nor_what_quotes_them() {
    let check = |tag, body: &[u8], expected: &str| {
        assert_eq!(format!("{:?}", Backend::parse(&frame(tag, body)).unwrap()), expected);
    };
    check(b'R', b"\0\0\0\x0bsecret", "Authentication(SaslContinue(…))");
    check(b'R', b"\0\0\0\x05salt", "Authentication(Md5Password(…))");
    check(b'K', b"\0\0\0\x07secret", "BackendKeyData(7)");
    check(
        b'E',
        b"VERROR\0C22P02\0Minvalid: Eva\0\0",
        "ErrorResponse(ReportFields { severity: Some(\"ERROR\"), \
         sqlstate: Some(SqlState(22P02)), .. })",
    );
    check(b'd', b"Eva", "CopyData(3)");
    check(b'V', b"\0\0\0\x03Eva", "FunctionCallResponse(Some(3))");
    check(b'A', b"\0\0\0\x07c\0Eva\0", "NotificationResponse(7, \"c\")");
}
