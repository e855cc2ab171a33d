//! Throw-away PostgreSQL servers for tests and the demo.
//!
//! [`PostgresServer::start`] makes a cluster from the server binaries of this machine in a
//! temporary folder, on a free port of the loopback interface and a socket in that folder. It is
//! gone, folder included, when the value is dropped, and also when the process that started it is
//! killed.
//!
//! It never touches a cluster that exists, installs nothing, and gives up durability for speed:
//! nothing that must survive a power cut belongs into it.

mod account;
mod binaries;
mod server;
mod supervised;
mod wait;

pub use self::{
    account::AccountError,
    binaries::BinariesError,
    server::{Options, PostgresServer, QueryError, StartError, StopError},
    wait::{WaitError, wait_until},
};
