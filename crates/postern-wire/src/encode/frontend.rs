//! Messages that a client sends.

use bytes::{BufMut, BytesMut};

use super::{EncodeError, bare, typed, untyped};
use crate::frontend::{Bind, Execute, Parse, Target};

type Done = Result<(), EncodeError>;

/// Begins a session in protocol 3.`minor`.
pub fn startup(buf: &mut BytesMut, minor: u16, parameters: &[(&str, &str)]) -> Done {
    untyped(buf, |body| {
        body.0.put_u16(3);
        body.0.put_u16(minor);
        for (name, value) in parameters {
            body.item(name, "start-up parameter name")?;
            body.string(value, "start-up parameter value")?;
        }
        body.0.put_u8(0);
        Ok(())
    })
}

/// Asks for TLS.
pub fn ssl_request(buf: &mut BytesMut) {
    request(buf, 5679);
}

/// Asks for GSSAPI encryption.
pub fn gssenc_request(buf: &mut BytesMut) {
    request(buf, 5680);
}

fn request(buf: &mut BytesMut, code: u16) {
    buf.put_i32(8);
    buf.put_u16(1234);
    buf.put_u16(code);
}

/// Cancels what runs under that process id, if the secret is right.
pub fn cancel_request(buf: &mut BytesMut, process_id: i32, secret: &[u8]) -> Done {
    untyped(buf, |body| {
        body.0.put_u16(1234);
        body.0.put_u16(5678);
        body.0.put_i32(process_id);
        body.0.put_slice(secret);
        Ok(())
    })
}

/// Simple query.
pub fn query(buf: &mut BytesMut, sql: &str) -> Done {
    typed(buf, b'Q', |body| body.string(sql, "query"))
}

/// Prepares a statement.
pub fn parse(buf: &mut BytesMut, message: &Parse<'_>) -> Done {
    typed(buf, b'P', |body| {
        body.string(message.name, "statement name")?;
        body.string(message.sql, "query")?;
        body.types(&message.types)
    })
}

/// Makes a portal.
pub fn bind(buf: &mut BytesMut, message: &Bind<'_>) -> Done {
    typed(buf, b'B', |body| {
        body.string(message.portal, "portal name")?;
        body.string(message.statement, "statement name")?;
        body.formats(&message.formats)?;
        body.count(message.parameters.len(), "parameters")?;
        for parameter in &message.parameters {
            body.value(*parameter)?;
        }
        body.formats(&message.result_formats)
    })
}

/// Asks what a statement or a portal takes and gives.
pub fn describe(buf: &mut BytesMut, target: Target<'_>) -> Done {
    named(buf, b'D', target)
}

/// Forgets a statement or a portal.
pub fn close(buf: &mut BytesMut, target: Target<'_>) -> Done {
    named(buf, b'C', target)
}

fn named(buf: &mut BytesMut, tag: u8, target: Target<'_>) -> Done {
    typed(buf, tag, |body| {
        let (kind, name, field) = match target {
            Target::Statement(name) => (b'S', name, "statement name"),
            Target::Portal(name) => (b'P', name, "portal name"),
        };
        body.0.put_u8(kind);
        body.string(name, field)
    })
}

/// Runs a portal.
pub fn execute(buf: &mut BytesMut, message: &Execute<'_>) -> Done {
    typed(buf, b'E', |body| {
        body.string(message.portal, "portal name")?;
        body.0.put_i32(message.max_rows);
        Ok(())
    })
}

/// Ends a series of extended-protocol messages.
pub fn sync(buf: &mut BytesMut) {
    bare(buf, b'S');
}

/// Asks for the answers so far.
pub fn flush(buf: &mut BytesMut) {
    bare(buf, b'H');
}

/// Ends the session.
pub fn terminate(buf: &mut BytesMut) {
    bare(buf, b'X');
}

/// A password: in clear, or hashed as MD5 authentication wants it.
pub fn password(buf: &mut BytesMut, password: &str) -> Done {
    typed(buf, b'p', |body| body.string(password, "password"))
}

/// Begins a SASL exchange.
pub fn sasl_initial_response(buf: &mut BytesMut, mechanism: &str, data: &[u8]) -> Done {
    typed(buf, b'p', |body| {
        body.string(mechanism, "sasl mechanism")?;
        body.value(Some(data))
    })
}

/// Goes on with a SASL exchange.
pub fn sasl_response(buf: &mut BytesMut, data: &[u8]) -> Done {
    typed(buf, b'p', |body| {
        body.0.put_slice(data);
        Ok(())
    })
}

/// Part of a copy's data; both sides send it.
pub fn copy_data(buf: &mut BytesMut, data: &[u8]) -> Done {
    typed(buf, b'd', |body| {
        body.0.put_slice(data);
        Ok(())
    })
}

/// The end of a copy's data; both sides send it.
pub fn copy_done(buf: &mut BytesMut) {
    bare(buf, b'c');
}

/// Gives a copy up.
pub fn copy_fail(buf: &mut BytesMut, why: &str) -> Done {
    typed(buf, b'f', |body| body.string(why, "reason of failure"))
}
