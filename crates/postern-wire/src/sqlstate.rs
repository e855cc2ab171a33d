use std::fmt;

/// A condition's code, as in PostgreSQL documentation, appendix A "Error Codes": five digits and
/// capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    pub const WARNING: Self = Self(*b"01000");
    pub const CONNECTION_FAILURE: Self = Self(*b"08006");
    pub const PROTOCOL_VIOLATION: Self = Self(*b"08P01");
    pub const FEATURE_NOT_SUPPORTED: Self = Self(*b"0A000");
    pub const IN_FAILED_TRANSACTION: Self = Self(*b"25P02");
    pub const INVALID_STATEMENT_NAME: Self = Self(*b"26000");
    pub const INVALID_AUTHORIZATION: Self = Self(*b"28000");
    pub const INVALID_PASSWORD: Self = Self(*b"28P01");
    pub const INVALID_CURSOR_NAME: Self = Self(*b"34000");
    pub const INVALID_CATALOG_NAME: Self = Self(*b"3D000");
    pub const SERIALIZATION_FAILURE: Self = Self(*b"40001");
    pub const DUPLICATE_CURSOR: Self = Self(*b"42P03");
    pub const DUPLICATE_STATEMENT: Self = Self(*b"42P05");
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    pub const SYNTAX_ERROR: Self = Self(*b"42601");
    pub const DISK_FULL: Self = Self(*b"53100");
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");
    pub const CONFIGURATION_LIMIT_EXCEEDED: Self = Self(*b"53400");
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self(*b"54000");
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    pub const IDLE_SESSION_TIMEOUT: Self = Self(*b"57P05");
    pub const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    pub const IO_ERROR: Self = Self(*b"58030");
    pub const INTERNAL_ERROR: Self = Self(*b"XX000");

    /// The code of that text, if it has the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 5] = text.as_bytes().try_into().ok()?;
        code.iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()).then_some(Self(code))
    }

    /// The code's text.
    pub fn as_str(&self) -> &str {
        // INVARIANT: the bytes are ASCII, so that the text is always there.
        str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlState({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_five_digits_and_capitals_are_a_code() {
        let check = |text, expected| assert_eq!(SqlState::parse(text), expected, "{text}");
        check("28P01", Some(SqlState::INVALID_PASSWORD));
        check("42501", Some(SqlState::INSUFFICIENT_PRIVILEGE));
        check("", None);
        check("4250", None);
        check("425011", None);
        check("4250\0", None);
        check("28p01", None);
        check("4250é", None);
        assert_eq!(SqlState::DISK_FULL.to_string(), "53100");
    }
}
