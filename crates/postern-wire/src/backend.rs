//! Messages from the server.

use crate::{
    cursor::{Cursor, MessageError},
    frame::Frame,
};

mod debug;
mod row;
#[cfg(test)]
mod tests;

pub use self::row::{Cells, Column, DataRow};

/// A message from the server, borrowed from its frame.
#[derive(Clone, PartialEq, Eq)]
pub enum Backend<'a> {
    Authentication(Authentication<'a>),
    ParameterStatus {
        name: &'a str,
        value: &'a str,
    },
    /// What a cancel request must present: 4 bytes of secret in protocol 3.0, up to 256 later.
    BackendKeyData {
        process_id: i32,
        secret: &'a [u8],
    },
    ReadyForQuery(TransactionStatus),
    RowDescription(Vec<Column<'a>>),
    DataRow(DataRow<'a>),
    /// The command's tag, e.g. `SELECT 3`.
    CommandComplete(&'a str),
    EmptyQueryResponse,
    ErrorResponse(ReportFields<'a>),
    NoticeResponse(ReportFields<'a>),
    ParseComplete,
    BindComplete,
    CloseComplete,
    NoData,
    PortalSuspended,
    /// Types of the parameters by OID.
    ParameterDescription(Vec<u32>),
    CopyInResponse(CopyFormats),
    CopyOutResponse(CopyFormats),
    CopyBothResponse(CopyFormats),
    CopyData(&'a [u8]),
    CopyDone,
    FunctionCallResponse(Option<&'a [u8]>),
    NotificationResponse {
        process_id: i32,
        channel: &'a str,
        payload: &'a str,
    },
    /// The newest protocol that the server speaks, as `major << 16 | minor`, and the start-up
    /// options that it does not know. Servers send the whole number although the documentation
    /// speaks of the minor version.
    NegotiateProtocolVersion {
        newest: i32,
        options: Vec<&'a str>,
    },
}

/// What the server wants of somebody who logs in.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication<'a> {
    Ok,
    CleartextPassword,
    Md5Password {
        salt: [u8; 4],
    },
    /// The mechanisms that the server offers, the preferred one first.
    Sasl {
        mechanisms: Vec<&'a str>,
    },
    SaslContinue(&'a [u8]),
    SaslFinal(&'a [u8]),
    /// A kind that is not spoken here (Kerberos, GSSAPI, SSPI), by its number.
    Other(i32),
}

/// Where a session stands with its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InTransaction,
    Failed,
}

impl TransactionStatus {
    /// The status's letter in ReadyForQuery.
    pub fn as_byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// The fields of an error or a notice, in the order in which they came.
#[derive(Clone, PartialEq, Eq)]
pub struct ReportFields<'a>(pub Vec<(u8, &'a str)>);

impl<'a> ReportFields<'a> {
    /// The field of that letter, as in the documentation's 53.8 "Error and Notice Message Fields".
    pub fn field(&self, code: u8) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
    }

    /// The severity that is never translated, from servers that send it (9.6 and later).
    pub fn severity(&self) -> Option<&'a str> {
        self.field(b'V')
    }

    /// The condition's code.
    pub fn sqlstate(&self) -> Option<crate::SqlState> {
        self.field(b'C').and_then(crate::SqlState::parse)
    }

    /// The primary message; it can quote values.
    pub fn message(&self) -> Option<&'a str> {
        self.field(b'M')
    }
}

/// The formats of a copy: of the whole, and of each column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFormats {
    /// 0 is text, 1 is binary.
    pub overall: u8,
    pub columns: Vec<i16>,
}

impl<'a> Backend<'a> {
    /// Reads a server's message.
    ///
    /// # Errors
    /// [`MessageError`] for an unknown type and for a body that is not exactly what its type says.
    pub fn parse(frame: &'a Frame) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(frame.body());
        let message = match frame.tag() {
            b'D' => Self::DataRow(DataRow::read(&mut cursor)?),
            b'T' => Self::RowDescription(row::columns(&mut cursor)?),
            b'C' => Self::CommandComplete(cursor.string("command tag")?),
            b'Z' => Self::ReadyForQuery(status(&mut cursor)?),
            b'E' => Self::ErrorResponse(report(&mut cursor)?),
            b'N' => Self::NoticeResponse(report(&mut cursor)?),
            b'1' => Self::ParseComplete,
            b'2' => Self::BindComplete,
            b'3' => Self::CloseComplete,
            b'n' => Self::NoData,
            b's' => Self::PortalSuspended,
            b'I' => Self::EmptyQueryResponse,
            b't' => Self::ParameterDescription(cursor.types()?),
            b'G' => Self::CopyInResponse(copy(&mut cursor)?),
            b'H' => Self::CopyOutResponse(copy(&mut cursor)?),
            b'W' => Self::CopyBothResponse(copy(&mut cursor)?),
            b'd' => Self::CopyData(cursor.rest()),
            b'c' => Self::CopyDone,
            b'V' => Self::FunctionCallResponse(cursor.value("function result")?),
            _ => Self::parse_rare(frame.tag(), &mut cursor)?,
        };
        cursor.finish()?;
        Ok(message)
    }

    /// The messages of the start of a session, and those that come by themselves.
    fn parse_rare(tag: u8, cursor: &mut Cursor<'a>) -> Result<Self, MessageError> {
        Ok(match tag {
            b'R' => Self::Authentication(authentication(cursor)?),
            b'S' => Self::ParameterStatus {
                name: cursor.string("parameter name")?,
                value: cursor.string("parameter value")?,
            },
            b'K' => key_data(cursor)?,
            b'A' => Self::NotificationResponse {
                process_id: cursor.i32("process id")?,
                channel: cursor.string("channel name")?,
                payload: cursor.string("payload")?,
            },
            b'v' => negotiation(cursor)?,
            tag => return Err(MessageError::UnknownType { tag }),
        })
    }
}

fn status(cursor: &mut Cursor<'_>) -> Result<TransactionStatus, MessageError> {
    match cursor.u8("transaction status")? {
        b'I' => Ok(TransactionStatus::Idle),
        b'T' => Ok(TransactionStatus::InTransaction),
        b'E' => Ok(TransactionStatus::Failed),
        other => Err(MessageError::Invalid { field: "transaction status", value: other.into() }),
    }
}

fn report<'a>(cursor: &mut Cursor<'a>) -> Result<ReportFields<'a>, MessageError> {
    let mut fields = Vec::new();
    loop {
        match cursor.u8("report field")? {
            0 => return Ok(ReportFields(fields)),
            code => fields.push((code, cursor.string("report field")?)),
        }
    }
}

fn copy(cursor: &mut Cursor<'_>) -> Result<CopyFormats, MessageError> {
    let overall = match cursor.u8("copy format")? {
        format @ (0 | 1) => format,
        other => return Err(MessageError::Invalid { field: "copy format", value: other.into() }),
    };
    Ok(CopyFormats { overall, columns: cursor.formats()? })
}

fn key_data<'a>(cursor: &mut Cursor<'a>) -> Result<Backend<'a>, MessageError> {
    let process_id = cursor.i32("process id")?;
    let length = cursor.remaining().clamp(4, 256);
    Ok(Backend::BackendKeyData { process_id, secret: cursor.bytes(length, "secret key")? })
}

fn negotiation<'a>(cursor: &mut Cursor<'a>) -> Result<Backend<'a>, MessageError> {
    let newest = cursor.i32("newest protocol")?;
    let count = cursor.i32("number of options")?;
    // Each option is a byte at least, so that the body bounds the number.
    let count = usize::try_from(count)
        .map_err(|_| MessageError::Invalid { field: "number of options", value: count.into() })?;
    if count > cursor.remaining() {
        return Err(MessageError::Truncated { field: "options" });
    }
    let options =
        (0..count).map(|_| cursor.string("option name")).collect::<Result<Vec<_>, _>>()?;
    Ok(Backend::NegotiateProtocolVersion { newest, options })
}

fn authentication<'a>(cursor: &mut Cursor<'a>) -> Result<Authentication<'a>, MessageError> {
    Ok(match cursor.i32("authentication kind")? {
        0 => Authentication::Ok,
        3 => Authentication::CleartextPassword,
        5 => Authentication::Md5Password { salt: cursor.four("salt")? },
        10 => {
            let mut mechanisms = Vec::new();
            loop {
                match cursor.string("sasl mechanism")? {
                    "" => break Authentication::Sasl { mechanisms },
                    mechanism => mechanisms.push(mechanism),
                }
            }
        }
        11 => Authentication::SaslContinue(cursor.rest()),
        12 => Authentication::SaslFinal(cursor.rest()),
        other => {
            cursor.rest();
            Authentication::Other(other)
        }
    })
}
