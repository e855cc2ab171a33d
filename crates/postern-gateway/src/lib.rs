//! Sockets, upstream connections and the hold buffer: what drives sessions.
//!
//! A gateway runs one single-threaded runtime per core; a connection stays on the core that
//! accepted it. Log-in is one straight function ([`login`]), then a [`postern_session::Session`]
//! says what to do and [`connection`] does it. Rows of a protected statement reach a client only
//! through [`hold::HoldBuffer::release`], which takes the ledger's receipt.
//!
//! A thread of its own keeps what all cores read: the catalogue, and whom each active actor may
//! see ([`reasons`]). It also proves, after a statement has run and before anything of it leaves,
//! that the catalogue is still the one by which it was judged ([`freshness`]). Start with
//! [`Gateway::build`].

mod approvals;
mod breaker;
mod busy;
mod catalogue;
mod certificate;
mod connection;
mod draft;
mod figures;
mod freshness;
mod hold;
mod judges;
mod listen;
mod login;
mod mail;
mod measured;
mod observing;
mod pool;
mod reasons;
mod reconfigure;
mod refusals;
mod regime;
mod registry;
mod searches;
mod settings;
mod shared;
mod show;
mod side;
mod spare;
mod stops;
#[cfg(test)]
mod tests;
mod upstream;

pub use self::{
    approvals::{ApprovalError, approval_reasons},
    catalogue::{AskError, ReadCatalogueError, ask, read_catalogue},
    certificate::{CertificateName, CertificateUse, ClientCertificates},
    figures::CoreStats,
    listen::{BuildError, Gateway, Handle, ResumeError},
    observing::{NotEnforced, ObservedCounts},
    pool::PoolInfo,
    reasons::{ChangesObject, changes_objects, changes_sql},
    reconfigure::{FirstReadError, ReconfigureError, Reconfigured},
    registry::SessionInfo,
    settings::{Limits, MoreBudgets, Pooling, Role, Settings, SignIn, Upstream, UpstreamHost},
    shared::{Parts, Suspension},
    show::DATABASE as SHOW_DATABASE,
};
