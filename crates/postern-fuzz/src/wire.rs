//! The wire codec, both directions: no panic, nothing read past a message, and what is understood
//! is written again as the same bytes.

use bytes::BytesMut;
use postern_wire::{
    Authentication, Backend, DataRow, EncodeError, FirstMessage, Frame, FrameReader, Frontend,
    SaslInitial, copy, encode, first_message, password_text,
};

const MESSAGE_BYTES_MAX: usize = 1 << 16;

/// What a client sends after its first message.
pub fn frontend(bytes: &[u8]) {
    for frame in frames(bytes) {
        let body = frame.body();
        // The state of a log-in tells what it is: any of them must be harmless.
        let _ = (password_text(body), SaslInitial::parse(body));
        if let Ok(message) = Frontend::parse(&frame) {
            let mut out = BytesMut::new();
            if let Some(written) = write_frontend(&mut out, &message) {
                assert_eq!(written, Ok(()), "what was read can't be written: {message:?}");
                assert_eq!(&out[..], &frame.raw()[..], "written otherwise: {message:?}");
            }
        }
    }
}

/// What a server sends.
pub fn backend(bytes: &[u8]) {
    for frame in frames(bytes) {
        if let Ok(message) = Backend::parse(&frame) {
            let mut out = BytesMut::new();
            if let Some(written) = write_backend(&mut out, &message) {
                assert_eq!(written, Ok(()), "what was read can't be written: {message:?}");
                assert_eq!(&out[..], &frame.raw()[..], "written otherwise: {message:?}");
            }
            if let Backend::DataRow(row) = message {
                cut_row(&row);
            }
        }
        cut_copy(frame.body());
    }
}

/// What a client sends first.
pub fn first(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    let before = buffer.len();
    while let Ok(Some(message)) = first_message(&mut buffer) {
        assert!(buffer.len() < before, "a message of no bytes");
        if let FirstMessage::Startup { minor, parameters } = message {
            let borrowed: Vec<(&str, &str)> =
                parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let mut out = BytesMut::new();
            let written = encode::startup(&mut out, minor, &borrowed);
            assert_eq!(written, Ok(()), "a start-up message can't be written");
            let again = first_message(&mut out);
            assert!(matches!(again, Ok(Some(FirstMessage::Startup { .. }))), "{again:?}");
        }
    }
}

/// The messages in a stream, up to the first that is none.
pub(crate) fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut buffer = BytesMut::from(bytes);
    let reader = FrameReader::new(MESSAGE_BYTES_MAX);
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = reader.next(&mut buffer) {
        frames.push(frame);
    }
    let taken: usize = frames.iter().map(|frame| frame.raw().len()).sum();
    assert_eq!(taken + buffer.len(), bytes.len(), "bytes are lost between messages");
    frames
}

/// However many cells are hidden, the others are a message of their own, and none is lost.
fn cut_row(row: &DataRow<'_>) {
    let count = row.cells().len();
    assert_eq!(row.cells().count(), count, "a row has other cells than it says");
    for hidden in [0, 1, 2, count, count + 1] {
        let mut out = BytesMut::new();
        match row.split_trailing_into(hidden, &mut out) {
            Ok(cells) => {
                assert_eq!(cells.count(), hidden, "cells are lost");
                let kept = frames(&out);
                let [frame] = kept.as_slice() else { panic!("a row became no message") };
                let Ok(Backend::DataRow(kept)) = Backend::parse(frame) else {
                    panic!("a row became another message")
                };
                assert_eq!(kept.cells().len(), count - hidden, "a hidden cell shows");
            }
            Err(_) => assert!(hidden > count && out.is_empty(), "a row can't be cut"),
        }
    }
}

fn cut_copy(data: &[u8]) {
    for (visible, hidden) in [(0, 1), (1, 1), (2, 1), (1, 0)] {
        let width = copy::CopyWidth { visible, hidden };
        let csv = copy::Csv { delimiter: b',', quote: b'"', escape: b'"', null: b"" };
        let rows = [copy::text_row(data, (b'\t', b"\\N"), width), copy::csv_row(data, csv, width)];
        for row in rows.into_iter().flatten() {
            assert!(row.visible <= data.len(), "more is visible than was sent");
            assert_eq!(row.hidden.len(), hidden, "a hidden value is lost");
        }
        let _ = copy::binary_piece(data, width);
    }
}

/// `None` for what only the log-in can read, and for what is never read.
fn write_frontend(out: &mut BytesMut, message: &Frontend<'_>) -> Option<Result<(), EncodeError>> {
    match message {
        Frontend::Query(sql) => Some(encode::query(out, sql)),
        Frontend::Parse(parse) => Some(encode::parse(out, parse)),
        Frontend::Bind(bind) => Some(encode::bind(out, bind)),
        Frontend::Describe(target) => Some(encode::describe(out, *target)),
        Frontend::Execute(execute) => Some(encode::execute(out, execute)),
        Frontend::Close(target) => Some(encode::close(out, *target)),
        Frontend::Sync => always(|| encode::sync(out)),
        Frontend::Flush => always(|| encode::flush(out)),
        Frontend::Terminate => always(|| encode::terminate(out)),
        Frontend::CopyData(data) => Some(encode::copy_data(out, data)),
        Frontend::CopyDone => always(|| encode::copy_done(out)),
        Frontend::CopyFail(why) => Some(encode::copy_fail(out, why)),
        Frontend::Password(_) | Frontend::FunctionCall => None,
    }
}

/// `None` for what the gateway writes in its own form only.
fn write_backend(out: &mut BytesMut, message: &Backend<'_>) -> Option<Result<(), EncodeError>> {
    match message {
        Backend::Authentication(Authentication::Other(_))
        | Backend::NegotiateProtocolVersion { .. } => None,
        Backend::Authentication(kind) => Some(encode::authentication(out, kind)),
        Backend::ParameterStatus { name, value } => {
            Some(encode::parameter_status(out, name, value))
        }
        Backend::BackendKeyData { process_id, secret } => {
            Some(encode::backend_key_data(out, *process_id, secret))
        }
        Backend::ReadyForQuery(status) => always(|| encode::ready_for_query(out, *status)),
        Backend::RowDescription(columns) => Some(encode::row_description(out, columns)),
        Backend::DataRow(row) => Some(encode::data_row(out, row.cells().collect::<Vec<_>>())),
        Backend::CommandComplete(tag) => Some(encode::command_complete(out, tag)),
        Backend::EmptyQueryResponse => always(|| encode::empty_query_response(out)),
        Backend::ErrorResponse(fields) => Some(encode::report_fields(out, b'E', fields)),
        Backend::NoticeResponse(fields) => Some(encode::report_fields(out, b'N', fields)),
        Backend::ParseComplete => always(|| encode::parse_complete(out)),
        Backend::BindComplete => always(|| encode::bind_complete(out)),
        Backend::CloseComplete => always(|| encode::close_complete(out)),
        Backend::NoData => always(|| encode::no_data(out)),
        Backend::PortalSuspended => always(|| encode::portal_suspended(out)),
        Backend::ParameterDescription(types) => Some(encode::parameter_description(out, types)),
        Backend::CopyInResponse(formats) => Some(encode::copy_in_response(out, formats)),
        Backend::CopyOutResponse(formats) => Some(encode::copy_out_response(out, formats)),
        Backend::CopyBothResponse(formats) => Some(encode::copy_both_response(out, formats)),
        Backend::CopyData(data) => Some(encode::copy_data(out, data)),
        Backend::CopyDone => always(|| encode::copy_done(out)),
        Backend::FunctionCallResponse(value) => Some(encode::function_call_response(out, *value)),
        Backend::NotificationResponse { process_id, channel, payload } => {
            Some(encode::notification_response(out, *process_id, channel, payload))
        }
    }
}

fn always(write: impl FnOnce()) -> Option<Result<(), EncodeError>> {
    write();
    Some(Ok(()))
}
