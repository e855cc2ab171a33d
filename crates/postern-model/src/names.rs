use std::{borrow::Borrow, fmt};

/// A short text that is copied rather than shared: up to 23 bytes stand in the value itself. Names
/// are that short mostly, so that they need no memory of their own and can be compared where they
/// are, on whichever core.
pub type Text = smol_str::SmolStr;

/// The account of a person or a service, as the ledger knows it.
///
/// Never a person: a credential can be borrowed, so what is suspected or named is the account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(Text);

/// A customer whose data it is, by the text of the subject column of the protected tables.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Text);

macro_rules! name {
    ($type:ident) => {
        impl $type {
            /// Takes the name as it stands; it is compared byte by byte.
            pub fn new(name: impl Into<Text>) -> Self {
                Self(name.into())
            }

            /// The name's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($type), self.0)
            }
        }
    };
}

name!(Actor);
name!(Subject);

/// What kind of personal data a protected column holds; masks and policy speak of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldClass {
    Name,
    Email,
    Phone,
    Address,
    Identifier,
    CaseNumber,
    FreeText,
    Secret,
}

impl FieldClass {
    /// Every class, in the order in which documents list them.
    pub const ALL: [Self; 8] = [
        Self::Name,
        Self::Email,
        Self::Phone,
        Self::Address,
        Self::Identifier,
        Self::CaseNumber,
        Self::FreeText,
        Self::Secret,
    ];

    /// The class's name in configuration, policy and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Address => "address",
            Self::Identifier => "identifier",
            Self::CaseNumber => "case_number",
            Self::FreeText => "free_text",
            Self::Secret => "secret",
        }
    }

    /// The class of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}
