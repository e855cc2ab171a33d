//! A second copy of a ledger, on another machine: what a follower keeps, and how it is told.
//!
//! A follower's folder has the format of a ledger without its `key`: segments and dictionary are
//! the same bytes, so that everything that reads a ledger reads the copy. Nothing is written there
//! that does not continue what it has, entry by entry, up to a root that the ledger's side says;
//! nothing is acknowledged before it is on stable storage. It never serves, and nothing is elected.
//! See "The second copy" in `docs/design/ledger.md`.
//!
//! Where to start: [`Follower::serve`] for the protocol, `store` for what is written, `source` for
//! how a ledger is read by the piece, `link` for the ledger's side.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use postern_merkle::VerifyingKey;
use rand::RngExt as _;

use self::{
    message::{Message, read, write},
    store::Store,
};
use crate::{OpenError, disk::Folder};

mod chain;
pub(crate) mod link;
mod message;
pub(crate) mod source;
pub(crate) mod store;
#[cfg(test)]
mod tests;

pub use self::link::{Channel, Connect, Copied, Copying, PeerOptions, WhenLost};
pub(crate) use self::message::{Piece, Shipped, written_again};

/// Why a connection to a follower ended.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// What was said is not the protocol, or not the ledger's side of it.
    #[error("the other side says something else than the protocol has")]
    Protocol,
    /// Another ledger wants to be followed.
    #[error("another ledger than the one that is followed asks")]
    Stranger,
    /// Who asks does not have the ledger's key.
    #[error("who asks does not have the ledger's key")]
    Unproven,
    /// The copy can't be written: nothing more is taken until it is opened again.
    #[error("the copy is out of use since writing to it failed")]
    Poisoned(#[source] Arc<io::Error>),
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
}

/// A second copy at work. Shared between threads by reference: connections take turns.
pub struct Follower {
    key: VerifyingKey,
    store: Mutex<Store>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("ledger", &self.key.name()).finish_non_exhaustive()
    }
}

impl Follower {
    /// Opens the copy in a folder, of the ledger with that key; makes an empty one if there is
    /// none. All of it is checked first.
    pub fn open(folder: &Path, key: VerifyingKey) -> Result<Self, OpenError> {
        let mut make = fs::DirBuilder::new();
        make.mode(0o700).recursive(true).create(folder.join("segments"))?;
        let store = Mutex::new(Store::open_on(Arc::new(Folder::new(folder)), &key)?);
        Ok(Self { key, store })
    }

    /// How many entries the copy has.
    pub fn entries(&self) -> u64 {
        self.store().standing().0
    }

    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the ledger at the other end of a connection until it ends. The connection has to
    /// keep others from reading it, and has to break off when nothing comes for long.
    pub fn serve(&self, channel: &mut dyn Channel) -> Result<(), FollowError> {
        let mut conversation = Conversation { key: &self.key, stage: Stage::Hello };
        loop {
            let message = match read(channel) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                message => message?,
            };
            let (reply, end) = conversation.reply(&mut self.store(), &message);
            write(channel, &reply)?;
            if let Some(end) = end {
                return Err(end);
            }
        }
    }
}

/// What was said so far on one connection.
struct Conversation<'a> {
    key: &'a VerifyingKey,
    stage: Stage,
}

enum Stage {
    Hello,
    Asked { challenge: [u8; 32] },
    Following,
}

impl Conversation<'_> {
    /// The answer to a message, and why nothing more is listened to behind it.
    fn reply(&mut self, store: &mut Store, message: &Message) -> (Message, Option<FollowError>) {
        match self.answer(store, message) {
            Ok(reply) => (reply, store.poison().map(FollowError::Poisoned)),
            Err(error) => (Message::Refused { why: error.to_string() }, Some(error)),
        }
    }

    fn answer(&mut self, store: &mut Store, message: &Message) -> Result<Message, FollowError> {
        let (size, root) = store.standing();
        match (&self.stage, message) {
            (Stage::Hello, Message::Hello { key }) if key == self.key.as_str() => {
                let challenge: [u8; 32] = rand::rng().random();
                self.stage = Stage::Asked { challenge };
                Ok(Message::Standing { challenge, size, root, segments: store.segments() })
            }
            (Stage::Hello, Message::Hello { .. }) => Err(FollowError::Stranger),
            (Stage::Asked { challenge }, Message::Proof { answer }) => {
                if !self.key.is_answer(challenge, answer) {
                    return Err(FollowError::Unproven);
                }
                self.stage = Stage::Following;
                Ok(Message::Durable { size })
            }
            (Stage::Following, message) => Ok(store.handle(message)),
            (Stage::Hello | Stage::Asked { .. }, _) => Err(FollowError::Protocol),
        }
    }
}
