use super::*;
use crate::{Backend, Frame, Frontend};

const COLUMN: Column<'static> = Column {
    name: "email",
    table_oid: 0,
    attribute: 0,
    type_oid: 1_043,
    type_size: -1,
    type_modifier: -1,
    format: 0,
};

#[test]
fn a_row_description_loses_its_hidden_columns_and_regains_its_origins() {
    let key = Column { name: "_k", ..COLUMN };
    let origin = Origin { table_oid: 16_384, attribute: 3, type_modifier: 84 };
    let mut out = BytesMut::new();
    row_description(&mut out, &[COLUMN, COLUMN, key], 1, &[Some(origin), None]).unwrap();
    let frame = Frame::from_raw(out.freeze()).unwrap();
    let restored = Column { table_oid: 16_384, attribute: 3, type_modifier: 84, ..COLUMN };
    assert_eq!(Backend::parse(&frame), Ok(Backend::RowDescription(vec![restored, COLUMN])));
}

#[test]
fn a_description_that_does_not_fit_is_refused() {
    let mut out = BytesMut::new();
    assert_eq!(
        row_description(&mut out, &[COLUMN], 2, &[]),
        Err(RewriteError::Columns { columns: 1, hidden: 2 })
    );
    assert_eq!(
        row_description(&mut out, &[COLUMN, COLUMN], 1, &[None, None]),
        Err(RewriteError::Origins { origins: 2, columns: 1 })
    );
    assert_eq!(
        parameter_description(&mut out, &[23], 2),
        Err(RewriteError::Parameters { parameters: 1, hidden: 2 })
    );
    assert!(out.is_empty());
}

#[test]
fn a_parameter_description_loses_its_hidden_parameters() {
    let mut out = BytesMut::new();
    parameter_description(&mut out, &[23, 25, 1_016], 1).unwrap();
    let frame = Frame::from_raw(out.freeze()).unwrap();
    assert_eq!(Backend::parse(&frame), Ok(Backend::ParameterDescription(vec![23, 25])));
}

/// Binds two values and two visible columns with one set of keys and one hidden column.
fn bound(formats: &[i16], result_formats: &[i16]) -> Result<(Vec<i16>, Vec<i16>), RewriteError> {
    let client = Bind {
        portal: "p",
        statement: "s",
        formats: formats.to_vec(),
        parameters: vec![Some(b"\0\0\0\x01"), None],
        result_formats: result_formats.to_vec(),
    };
    let hidden = HiddenBind { parameters: &["{1,2}"], visible_columns: 2, hidden_columns: 1 };
    let mut out = BytesMut::new();
    bind(&mut out, &client, &hidden)?;
    let frame = Frame::from_raw(out.freeze()).unwrap();
    let Ok(Frontend::Bind(sent)) = Frontend::parse(&frame) else { panic!("not a bind") };
    assert_eq!((sent.portal, sent.statement), ("p", "s"));
    assert_eq!(sent.parameters, [Some(&b"\0\0\0\x01"[..]), None, Some(b"{1,2}")]);
    Ok((sent.formats, sent.result_formats))
}

#[test]
fn format_codes_are_expanded_so_that_what_is_hidden_is_text() {
    let check = |codes: &[i16], expected: &[i16]| {
        let both = Ok((expected.to_vec(), expected.to_vec()));
        assert_eq!(bound(codes, codes), both, "{codes:?}");
    };
    check(&[], &[]);
    check(&[0], &[0]);
    check(&[1], &[1, 1, 0]);
    check(&[1, 0], &[1, 0, 0]);
    check(&[0, 1], &[0, 1, 0]);
}

#[test]
fn format_codes_that_do_not_fit_are_refused() {
    assert_eq!(
        bound(&[0, 1, 1], &[]),
        Err(RewriteError::ParameterFormats { formats: 3, parameters: 2 })
    );
    assert_eq!(bound(&[], &[0, 1, 1]), Err(RewriteError::ResultFormats { formats: 3, columns: 2 }));
}

#[test]
fn a_bind_with_nothing_hidden_stays_as_it_is() {
    let client = Bind {
        portal: "",
        statement: "s",
        formats: vec![1],
        parameters: vec![],
        result_formats: vec![1],
    };
    let hidden = HiddenBind { parameters: &[], visible_columns: 0, hidden_columns: 0 };
    let (mut rewritten, mut plain) = (BytesMut::new(), BytesMut::new());
    bind(&mut rewritten, &client, &hidden).unwrap();
    encode::bind(&mut plain, &client).unwrap();
    assert_eq!(rewritten, plain);
}

#[test]
fn one_code_for_no_values_becomes_text_for_the_hidden_ones() {
    let client = Bind {
        portal: "",
        statement: "",
        formats: vec![1],
        parameters: vec![],
        result_formats: vec![],
    };
    let hidden = HiddenBind { parameters: &["{}", "{}"], visible_columns: 0, hidden_columns: 0 };
    let mut out = BytesMut::new();
    bind(&mut out, &client, &hidden).unwrap();
    let frame = Frame::from_raw(out.freeze()).unwrap();
    let Ok(Frontend::Bind(sent)) = Frontend::parse(&frame) else { panic!("not a bind") };
    assert_eq!(sent.formats, [0, 0]);
}
