//! The feed of a company's directory: SCIM 2.0 (RFC 7643, RFC 7644) over HTTP.
//!
//! The directory says who works here and in which groups they are; groups give roles. What becomes
//! of that is a change of the people file, which somebody else keeps: see [`Keep`]. An answer of
//! success leaves only when the change is kept, so whoever left is out when the directory hears it.
//!
//! Start with [`Server::start`]. [`Directory`] is all that can be asked, without HTTP; `accounts`
//! is how what the directory says and what was done by hand become one account.
//!
//! This crate decides nothing about what an account may see, stores no password, and reads no
//! file: whoever composes it does. Attributes that it has no use for are not kept.

mod accounts;
mod directory;
mod error;
mod filter;
mod patch;
mod query;
mod resource;
mod schema;
mod server;
mod store;
mod token;

pub use self::{
    accounts::Rules,
    directory::{Directory, Edit, Keep},
    error::{Kind, ScimError},
    query::Query,
    resource::Resources,
    server::{Server, ServerSettings, StartError, Tokens},
    store::StoreError,
    token::TokenHash,
};
