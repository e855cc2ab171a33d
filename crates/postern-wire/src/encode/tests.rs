use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    Authentication, Backend, Bind, Column, Execute, Frame, FrameReader, Frontend, Parse, Target,
    first_message,
};

/// What `encode` appends is one frame behind what was there.
fn framed(encode: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>) -> Frame {
    let mut buf = BytesMut::from("x");
    encode(&mut buf).unwrap();
    assert_eq!(buf.split_to(1), "x");
    let frame = FrameReader::new(1 << 20).next(&mut buf).unwrap().unwrap();
    assert!(buf.is_empty());
    frame
}

fn text() -> impl Strategy<Value = String> {
    "[^\\x00]{0,12}"
}

fn name() -> impl Strategy<Value = String> {
    "[^\\x00]{1,12}"
}

fn values() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
    vec(option::of(vec(any::<u8>(), 0..8)), 0..6)
}

fn borrowed(values: &[Option<Vec<u8>>]) -> Vec<Option<&[u8]>> {
    values.iter().map(Option::as_deref).collect()
}

proptest! {
    #[test]
    fn a_query_comes_back(sql in text()) {
        let frame = framed(|buf| query(buf, &sql));
        prop_assert_eq!(Frontend::parse(&frame), Ok(Frontend::Query(&sql)));
    }

    #[test]
    fn a_parse_comes_back(name in text(), sql in text(), types in vec(any::<u32>(), 0..9)) {
        let message = Parse { name: &name, sql: &sql, types };
        let frame = framed(|buf| parse(buf, &message));
        prop_assert_eq!(Frontend::parse(&frame), Ok(Frontend::Parse(message)));
    }

    #[test]
    fn a_bind_comes_back(
        (portal, statement) in (text(), text()),
        (values, kind, code) in (values(), 0..3, 0..2i16),
        result_formats in vec(0..2i16, 0..5),
    ) {
        let formats = match kind {
            0 => vec![],
            1 => vec![code],
            _ => vec![code; values.len()],
        };
        let message = Bind {
            portal: &portal,
            statement: &statement,
            formats,
            parameters: borrowed(&values),
            result_formats,
        };
        let frame = framed(|buf| bind(buf, &message));
        prop_assert_eq!(Frontend::parse(&frame), Ok(Frontend::Bind(message)));
    }

    #[test]
    fn an_execute_and_its_targets_come_back(portal in text(), max_rows in any::<i32>()) {
        let message = Execute { portal: &portal, max_rows };
        let frame = framed(|buf| execute(buf, &message));
        prop_assert_eq!(Frontend::parse(&frame), Ok(Frontend::Execute(message)));
        for target in [Target::Statement(&portal), Target::Portal(&portal)] {
            let frame = framed(|buf| describe(buf, target));
            prop_assert_eq!(Frontend::parse(&frame), Ok(Frontend::Describe(target)));
            let frame = framed(|buf| close(buf, target));
            prop_assert_eq!(Frontend::parse(&frame), Ok(Frontend::Close(target)));
        }
    }

    #[test]
    fn a_start_up_comes_back(
        minor in any::<u16>(),
        parameters in proptest::collection::btree_map(name(), text(), 0..5),
    ) {
        let given: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut buf = BytesMut::new();
        startup(&mut buf, minor, &given).unwrap();
        let parameters = parameters.into_iter().collect();
        let expected = crate::FirstMessage::Startup { minor, parameters };
        prop_assert_eq!(first_message(&mut buf), Ok(Some(expected)));
        prop_assert!(buf.is_empty());
    }

    #[test]
    fn a_row_comes_back_and_splits_as_its_cells_do(values in values(), cut in 0..7usize) {
        let cells = borrowed(&values);
        let frame = framed(|buf| data_row(buf, cells.iter().copied()));
        let Ok(Backend::DataRow(row)) = Backend::parse(&frame) else { panic!() };
        prop_assert_eq!(row.cells().collect::<Vec<_>>(), &cells[..]);
        let split = row.split_trailing(cut);
        if cut > cells.len() {
            prop_assert!(split.is_err());
        } else {
            let (visible, hidden) = split.unwrap();
            let at = cells.len() - cut;
            prop_assert_eq!(hidden, &cells[at..]);
            let expected = framed(|buf| data_row(buf, cells[..at].iter().copied()));
            prop_assert_eq!(&visible, expected.raw());
        }
    }

    #[test]
    fn a_row_description_comes_back(
        columns in vec(
            (text(), any::<(u32, i16, u32, i16, i32)>(), 0..2i16), 0..5,
        ),
    ) {
        let columns: Vec<Column<'_>> = columns
            .iter()
            .map(|(name, (table_oid, attribute, type_oid, type_size, type_modifier), format)| {
                Column {
                    name,
                    table_oid: *table_oid,
                    attribute: *attribute,
                    type_oid: *type_oid,
                    type_size: *type_size,
                    type_modifier: *type_modifier,
                    format: *format,
                }
            })
            .collect();
        let frame = framed(|buf| row_description(buf, &columns));
        prop_assert_eq!(Backend::parse(&frame), Ok(Backend::RowDescription(columns)));
    }

    #[test]
    fn an_own_report_comes_back_whatever_it_says(
        message in any::<String>(),
        detail in option::of(any::<String>()),
    ) {
        let report = Report {
            severity: Severity::Error,
            sqlstate: crate::SqlState::SYNTAX_ERROR,
            message: &message,
            detail: detail.as_deref(),
            hint: None,
            position: None,
        };
        let frame = framed(|buf| {
            error_response(buf, &report);
            Ok(())
        });
        let Ok(Backend::ErrorResponse(fields)) = Backend::parse(&frame) else { panic!() };
        let seen = |text: &str| text.replace('\0', " ");
        prop_assert_eq!(fields.message().map(str::to_owned), Some(seen(&message)));
        prop_assert_eq!(fields.field(b'D').map(str::to_owned), detail.as_deref().map(seen));
    }
}

#[test]
fn what_would_end_a_string_early_is_refused_and_leaves_no_trace() {
    let check = |expected, encode: &dyn Fn(&mut BytesMut) -> Result<(), EncodeError>| {
        let mut buf = BytesMut::from("before");
        assert_eq!(encode(&mut buf), Err(expected));
        assert_eq!(buf, "before");
    };
    let zero = |field| EncodeError::ZeroByte { field };
    let empty = |field| EncodeError::Empty { field };
    check(zero("query"), &|buf| query(buf, "SELECT 1\0; DROP"));
    check(zero("portal name"), &|buf| describe(buf, Target::Portal("\0")));
    check(zero("start-up parameter value"), &|buf| startup(buf, 0, &[("user", "a\0b")]));
    check(empty("start-up parameter name"), &|buf| startup(buf, 0, &[("", "x")]));
    check(empty("sasl mechanism"), &|buf| {
        authentication(buf, &Authentication::Sasl { mechanisms: vec![""] })
    });
    check(EncodeError::TooMany { field: "parameter types", count: 65_536 }, &|buf| {
        parameter_description(buf, &vec![0; 65_536])
    });
    check(zero("report field"), &|buf| {
        report_fields(buf, b'E', &crate::ReportFields(vec![(0, "x")]))
    });
}

#[test]
fn requests_before_the_start_up_are_read_back() {
    let check = |encode: &dyn Fn(&mut BytesMut), expected| {
        let mut buf = BytesMut::new();
        encode(&mut buf);
        assert_eq!(first_message(&mut buf), Ok(Some(expected)));
    };
    check(&ssl_request, crate::FirstMessage::Ssl);
    check(&gssenc_request, crate::FirstMessage::Gssenc);
    check(
        &|buf| cancel_request(buf, -7, b"12345678").unwrap(),
        crate::FirstMessage::Cancel {
            process_id: -7,
            secret: bytes::Bytes::from_static(b"12345678"),
        },
    );
}

#[test]
fn a_password_is_a_string() {
    let frame = framed(|buf| password(buf, "geheim"));
    assert_eq!(crate::password_text(frame.body()), Ok("geheim"));
}
