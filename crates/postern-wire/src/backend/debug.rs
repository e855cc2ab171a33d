//! What of a server's message may be printed: never a value, a secret or a text that can quote one.

use std::fmt;

use super::{Authentication, Backend, ReportFields};

impl fmt::Debug for Backend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_tuple(self.name());
        match self {
            Self::Authentication(kind) => shown.field(kind),
            Self::ParameterStatus { name, value } => shown.field(name).field(value),
            Self::BackendKeyData { process_id, .. } => shown.field(process_id),
            Self::ReadyForQuery(status) => shown.field(status),
            Self::RowDescription(columns) => shown.field(columns),
            Self::DataRow(row) => shown.field(row),
            Self::CommandComplete(tag) => shown.field(tag),
            Self::ErrorResponse(fields) | Self::NoticeResponse(fields) => shown.field(fields),
            Self::ParameterDescription(types) => shown.field(types),
            Self::CopyInResponse(formats)
            | Self::CopyOutResponse(formats)
            | Self::CopyBothResponse(formats) => shown.field(formats),
            Self::CopyData(data) => shown.field(&data.len()),
            Self::FunctionCallResponse(value) => shown.field(&value.map(<[u8]>::len)),
            Self::NotificationResponse { process_id, channel, .. } => {
                shown.field(process_id).field(channel)
            }
            Self::NegotiateProtocolVersion { newest, options } => {
                shown.field(newest).field(options)
            }
            Self::EmptyQueryResponse
            | Self::ParseComplete
            | Self::BindComplete
            | Self::CloseComplete
            | Self::NoData
            | Self::PortalSuspended
            | Self::CopyDone => &mut shown,
        };
        shown.finish()
    }
}

impl Backend<'_> {
    /// The message's name in the documentation.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Authentication(_) => "Authentication",
            Self::ParameterStatus { .. } => "ParameterStatus",
            Self::BackendKeyData { .. } => "BackendKeyData",
            Self::ReadyForQuery(_) => "ReadyForQuery",
            Self::RowDescription(_) => "RowDescription",
            Self::DataRow(_) => "DataRow",
            Self::CommandComplete(_) => "CommandComplete",
            Self::EmptyQueryResponse => "EmptyQueryResponse",
            Self::ErrorResponse(_) => "ErrorResponse",
            Self::NoticeResponse(_) => "NoticeResponse",
            Self::ParseComplete => "ParseComplete",
            Self::BindComplete => "BindComplete",
            Self::CloseComplete => "CloseComplete",
            Self::NoData => "NoData",
            Self::PortalSuspended => "PortalSuspended",
            Self::ParameterDescription(_) => "ParameterDescription",
            Self::CopyInResponse(_) => "CopyInResponse",
            Self::CopyOutResponse(_) => "CopyOutResponse",
            Self::CopyBothResponse(_) => "CopyBothResponse",
            Self::CopyData(_) => "CopyData",
            Self::CopyDone => "CopyDone",
            Self::FunctionCallResponse(_) => "FunctionCallResponse",
            Self::NotificationResponse { .. } => "NotificationResponse",
            Self::NegotiateProtocolVersion { .. } => "NegotiateProtocolVersion",
        }
    }
}

impl fmt::Debug for Authentication<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("Ok"),
            Self::CleartextPassword => f.write_str("CleartextPassword"),
            Self::Md5Password { .. } => f.write_str("Md5Password(…)"),
            Self::Sasl { mechanisms } => f.debug_tuple("Sasl").field(mechanisms).finish(),
            Self::SaslContinue(_) => f.write_str("SaslContinue(…)"),
            Self::SaslFinal(_) => f.write_str("SaslFinal(…)"),
            Self::Other(kind) => f.debug_tuple("Other").field(kind).finish(),
        }
    }
}

/// Severity and code; messages, details and the like quote values.
impl fmt::Debug for ReportFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportFields")
            .field("severity", &self.severity())
            .field("sqlstate", &self.sqlstate())
            .finish_non_exhaustive()
    }
}
