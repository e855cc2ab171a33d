//! Messages that a server sends.

use bytes::{BufMut, BytesMut};

use super::{Body, EncodeError, bare, typed};
use crate::{
    backend::{Authentication, Column, CopyFormats, ReportFields, TransactionStatus},
    sqlstate::SqlState,
};

type Done = Result<(), EncodeError>;

/// The most bytes of one field of an error or a notice that are sent.
const REPORT_FIELD_BYTES_MAX: usize = 8_192;

/// A request or an answer of the log-in.
pub fn authentication(buf: &mut BytesMut, message: &Authentication<'_>) -> Done {
    typed(buf, b'R', |body| {
        match message {
            Authentication::Ok => body.0.put_i32(0),
            Authentication::CleartextPassword => body.0.put_i32(3),
            Authentication::Md5Password { salt } => {
                body.0.put_i32(5);
                body.0.put_slice(salt);
            }
            Authentication::Sasl { mechanisms } => {
                body.0.put_i32(10);
                for mechanism in mechanisms {
                    body.item(mechanism, "sasl mechanism")?;
                }
                body.0.put_u8(0);
            }
            Authentication::SaslContinue(data) => {
                body.0.put_i32(11);
                body.0.put_slice(data);
            }
            Authentication::SaslFinal(data) => {
                body.0.put_i32(12);
                body.0.put_slice(data);
            }
            Authentication::Other(kind) => body.0.put_i32(*kind),
        }
        Ok(())
    })
}

/// A setting that the client is told of.
pub fn parameter_status(buf: &mut BytesMut, name: &str, value: &str) -> Done {
    typed(buf, b'S', |body| {
        body.string(name, "parameter name")?;
        body.string(value, "parameter value")
    })
}

/// What a cancel request must present.
pub fn backend_key_data(buf: &mut BytesMut, process_id: i32, secret: &[u8]) -> Done {
    typed(buf, b'K', |body| {
        body.0.put_i32(process_id);
        body.0.put_slice(secret);
        Ok(())
    })
}

/// The session waits for the next command.
pub fn ready_for_query(buf: &mut BytesMut, status: TransactionStatus) {
    buf.put_u8(b'Z');
    buf.put_i32(5);
    buf.put_u8(status.as_byte());
}

/// The columns of the rows that follow.
pub fn row_description(buf: &mut BytesMut, columns: &[Column<'_>]) -> Done {
    typed(buf, b'T', |body| {
        body.count(columns.len(), "columns")?;
        for column in columns {
            body.string(column.name, "column name")?;
            body.0.put_u32(column.table_oid);
            body.0.put_i16(column.attribute);
            body.0.put_u32(column.type_oid);
            body.0.put_i16(column.type_size);
            body.0.put_i32(column.type_modifier);
            body.0.put_i16(column.format);
        }
        Ok(())
    })
}

/// One row; `None` is NULL.
pub fn data_row<'a>(
    buf: &mut BytesMut,
    cells: impl IntoIterator<Item = Option<&'a [u8]>, IntoIter: ExactSizeIterator>,
) -> Done {
    let cells = cells.into_iter();
    typed(buf, b'D', |body| {
        body.count(cells.len(), "cells")?;
        for cell in cells {
            body.value(cell)?;
        }
        Ok(())
    })
}

/// A statement has ended; `tag` as in `SELECT 3`.
pub fn command_complete(buf: &mut BytesMut, tag: &str) -> Done {
    typed(buf, b'C', |body| body.string(tag, "command tag"))
}

/// The statement was empty.
pub fn empty_query_response(buf: &mut BytesMut) {
    bare(buf, b'I');
}

/// Parse has succeeded.
pub fn parse_complete(buf: &mut BytesMut) {
    bare(buf, b'1');
}

/// Bind has succeeded.
pub fn bind_complete(buf: &mut BytesMut) {
    bare(buf, b'2');
}

/// Close has succeeded.
pub fn close_complete(buf: &mut BytesMut) {
    bare(buf, b'3');
}

/// What was described gives no rows.
pub fn no_data(buf: &mut BytesMut) {
    bare(buf, b'n');
}

/// The portal has more rows than were asked for.
pub fn portal_suspended(buf: &mut BytesMut) {
    bare(buf, b's');
}

/// The types of a statement's parameters by OID.
pub fn parameter_description(buf: &mut BytesMut, types: &[u32]) -> Done {
    typed(buf, b't', |body| body.types(types))
}

/// The server waits for a copy's data.
pub fn copy_in_response(buf: &mut BytesMut, formats: &CopyFormats) -> Done {
    copy_response(buf, b'G', formats)
}

/// A copy's data follows.
pub fn copy_out_response(buf: &mut BytesMut, formats: &CopyFormats) -> Done {
    copy_response(buf, b'H', formats)
}

/// A copy's data goes both ways (replication).
pub fn copy_both_response(buf: &mut BytesMut, formats: &CopyFormats) -> Done {
    copy_response(buf, b'W', formats)
}

fn copy_response(buf: &mut BytesMut, tag: u8, formats: &CopyFormats) -> Done {
    typed(buf, tag, |body| {
        body.0.put_u8(formats.overall);
        body.formats(&formats.columns)
    })
}

/// The result of a function call; `None` is NULL.
pub fn function_call_response(buf: &mut BytesMut, value: Option<&[u8]>) -> Done {
    typed(buf, b'V', |body| body.value(value))
}

/// Something was notified on a channel that the client listens to.
pub fn notification_response(
    buf: &mut BytesMut,
    process_id: i32,
    channel: &str,
    payload: &str,
) -> Done {
    typed(buf, b'A', |body| {
        body.0.put_i32(process_id);
        body.string(channel, "channel name")?;
        body.string(payload, "payload")
    })
}

/// The client asked for more than protocol 3.`minor`, or for options that nobody knows.
pub fn negotiate_protocol_version(buf: &mut BytesMut, minor: u16, options: &[&str]) -> Done {
    typed(buf, b'v', |body| {
        body.0.put_u16(3);
        body.0.put_u16(minor);
        let count = options.len();
        let number =
            i32::try_from(count).map_err(|_| EncodeError::TooMany { field: "options", count })?;
        body.0.put_i32(number);
        for option in options {
            body.string(option, "option name")?;
        }
        Ok(())
    })
}

/// How bad an error or a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Ends the statement.
    Error,
    /// Ends the session.
    Fatal,
    Warning,
    Notice,
    Info,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
            Self::Info => "INFO",
        }
    }
}

/// What an error or a notice of the gateway's own says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    pub severity: Severity,
    pub sqlstate: SqlState,
    pub message: &'a str,
    pub detail: Option<&'a str>,
    pub hint: Option<&'a str>,
    /// Where in the statement's text, in characters counted from 1.
    pub position: Option<usize>,
}

/// An error. It always goes out: zero bytes are replaced and long fields cut.
pub fn error_response(buf: &mut BytesMut, report: &Report<'_>) {
    own_report(buf, b'E', report);
}

/// A notice. It always goes out: zero bytes are replaced and long fields cut.
pub fn notice_response(buf: &mut BytesMut, report: &Report<'_>) {
    own_report(buf, b'N', report);
}

fn own_report(buf: &mut BytesMut, tag: u8, report: &Report<'_>) {
    let severity = report.severity.as_str();
    let position = report.position.map(|position| position.to_string());
    let fields = [
        (b'S', Some(severity)),
        (b'V', Some(severity)),
        (b'C', Some(report.sqlstate.as_str())),
        (b'M', Some(report.message)),
        (b'D', report.detail),
        (b'H', report.hint),
        (b'P', position.as_deref()),
    ];
    let start = buf.len();
    // Seven fields of bounded size always fit, so that nothing is ever taken back.
    let done = typed(buf, tag, |body| {
        for (code, text) in fields {
            let Some(text) = text else { continue };
            body.0.put_u8(code);
            report_text(body, text);
        }
        body.0.put_u8(0);
        Ok(())
    });
    debug_assert!(done.is_ok() && buf.len() > start);
}

fn report_text(body: &mut Body<'_>, text: &str) {
    let mut end = text.len().min(REPORT_FIELD_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text.as_bytes().get(..end).unwrap_or_default();
    body.0.extend(kept.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }));
    body.0.put_u8(0);
}

/// An error (`b'E'`) or a notice (`b'N'`) of these fields, e.g. a server's with some left out.
pub fn report_fields(buf: &mut BytesMut, tag: u8, fields: &ReportFields<'_>) -> Done {
    typed(buf, tag, |body| {
        for (code, text) in &fields.0 {
            if *code == 0 {
                return Err(EncodeError::ZeroByte { field: "report field" });
            }
            body.0.put_u8(*code);
            body.string(text, "report field")?;
        }
        body.0.put_u8(0);
        Ok(())
    })
}
