//! What the directory is told when something can't be done (RFC 7644, 3.12).

use serde_json::{Value, json};
use thiserror::Error;

/// What kind of mistake it is, with the HTTP status and the `scimType` of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The body or the request's line is not what the protocol wants.
    Syntax,
    /// A filter can't be understood.
    Filter,
    /// The path of a PATCH can't be understood.
    Path,
    /// The path of a PATCH leads to nothing that can be changed.
    NoTarget,
    /// An attribute has a value that it can't have.
    Value,
    /// An attribute can't be changed.
    Mutability,
    /// Something of that name is there already.
    Uniqueness,
    /// More than can be held, or sent.
    TooMany,
    Unauthorized,
    NotFound,
    Method,
    MediaType,
    TooLong,
    NotImplemented,
    /// It could not be kept.
    Server,
}

impl Kind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.row().0
    }

    fn row(self) -> (u16, Option<&'static str>) {
        match self {
            Self::Syntax => (400, Some("invalidSyntax")),
            Self::Filter => (400, Some("invalidFilter")),
            Self::Path => (400, Some("invalidPath")),
            Self::NoTarget => (400, Some("noTarget")),
            Self::Value => (400, Some("invalidValue")),
            Self::Mutability => (400, Some("mutability")),
            Self::Uniqueness => (409, Some("uniqueness")),
            Self::TooMany => (400, Some("tooMany")),
            Self::Unauthorized => (401, None),
            Self::NotFound => (404, None),
            Self::Method => (405, None),
            Self::MediaType => (415, None),
            Self::TooLong => (413, None),
            Self::NotImplemented => (501, None),
            Self::Server => (500, None),
        }
    }
}

/// Why something was not done. The text goes to the directory.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct ScimError {
    pub kind: Kind,
    pub detail: String,
}

impl ScimError {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// The body of the answer.
    pub fn to_json(&self) -> Value {
        let (status, scim_type) = self.kind.row();
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": status.to_string(),
            "detail": self.detail,
        });
        if let (Some(scim_type), Some(body)) = (scim_type, body.as_object_mut()) {
            body.insert("scimType".to_owned(), scim_type.into());
        }
        body
    }
}
