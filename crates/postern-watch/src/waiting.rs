//! What waits to be judged: a masked look-up for the reason that usually follows, and every access
//! for late links.

use postern_model::{Text, Timestamp};

use crate::{reasons::Reason, signals::Trial};

/// An access to one customer.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) at: Timestamp,
    pub(crate) actor: u32,
    pub(crate) subject: u32,
    pub(crate) claimed: Option<Text>,
}

/// A masked look-up that waits for a reason.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) due: Timestamp,
    pub(crate) id: Text,
    pub(crate) opened: Opened,
    /// What spoke against it, whatever its reason turns out to be.
    pub(crate) facts: Trial,
}

/// An access that waits for late links.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) due: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) actor: u32,
    pub(crate) subject: u32,
    /// The access's id and the ticket that was claimed, where they may be asked for again: of most
    /// accesses, which days of work wait for, they are not.
    pub(crate) told: Option<Box<(Text, Option<Text>)>>,
    /// What explained it at once, if that can't become better or was checked by the gateway. It
    /// waits all the same, so that trials keep their order: what comes in clumps is held to have
    /// one cause.
    pub(crate) known: Option<Reason>,
}
