//! What happens to a session, and what it has done about it.

use std::sync::Arc;

use bytes::BytesMut;
use postern_model::Timestamp;
use postern_wire::Frame;

use crate::{Entitled, Failure, Hold, Judge, Naming, Profile, Shown, judge::Refused};

/// What happened to a session.
#[derive(Debug)]
pub enum Input {
    /// The client sent a message.
    Client(Frame),
    /// The server sent a message.
    Server(Frame),
    /// The ledger has recorded the rows of a hold; the first `allowed` of them may leave.
    Recorded { hold: u64, allowed: usize, stopped: Option<Stopped> },
    /// The ledger could not record them.
    NotRecorded { hold: u64, why: Unrecorded },
    /// The answer to a request for proof: the generation of the catalogue that was the present one
    /// at some moment after the request; `None` if that could not be found out.
    Proven { proof: u64, generation: Option<u64> },
    /// The ledger's answer to a question: the budget that leaves no room for what is asked for.
    Asked { question: u64, answer: Result<Option<Stopped>, Unrecorded> },
    /// The answer to a naming: what is known of whom the next statements are for, and why the one
    /// who was named is not them.
    Named { profile: Arc<Profile>, failure: Option<Failure> },
    /// The cancel request that an effect asked for has been delivered.
    Cancelled,
}

/// Why the ledger could not record a hold, as far as it concerns a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrecorded {
    /// There is no room; it goes on by itself when there is.
    Full,
    /// Nothing is released without the second copy, which is away; it goes on by itself when that
    /// is back.
    NoCopy,
    /// So much is released only when a witness has seen it, and none did in time.
    Unwitnessed,
    /// Anything else.
    Failed,
}

impl Unrecorded {
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Full => Failure::LedgerFull,
            Self::NoCopy => Failure::NoCopy,
            Self::Unwitnessed => Failure::Unwitnessed,
            Self::Failed => Failure::NotRecorded,
        }
    }
}

/// The budget that cut a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// What is counted, in words.
    pub counter: &'static str,
    /// How many there may be.
    pub max: u64,
    /// In which time, in words.
    pub window: String,
}

impl Stopped {
    pub(crate) fn failure(&self) -> Failure {
        let Self { counter, max, window } = self.clone();
        Failure::BudgetSpent { counter, max, window }
    }
}

/// What has to be done now, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send these bytes to the server.
    ToServer(BytesMut),
    /// Send these bytes to the client; no record's data is in them.
    ToClient(BytesMut),
    /// Record these rows and come back with [`Input::Recorded`].
    Hold(Hold),
    /// Record what was searched for; nothing of it leaves and nobody waits for it.
    Tell(Hold),
    /// Find out whether the budgets leave room for so many searches more than are under way, and
    /// come back with [`Input::Asked`]. They are under way until the session is at rest. For what
    /// writes none of the budgets of customers may be spent.
    Ask { question: u64, searches: usize, writes: bool },
    /// Find out, from now on, which generation of the catalogue is the present one, and come back
    /// with [`Input::Proven`].
    Prove { proof: u64 },
    /// The server told behind all gates up to this one at which moment it was (`None`: this says
    /// nothing). Where it is a moment at which the catalogue was seen, come back with
    /// [`Input::Proven`]; else find out.
    Moment { proof: u64, moment: Option<Arc<str>> },
    /// The first rows of the hold that was recorded go to the client, by its receipt.
    Release { hold: u64, rows: usize },
    /// Tell the ledger that a statement was refused.
    Refused(Refused),
    /// Rows that can make reasons were inserted or taken; tell the ledger.
    Wrote(Arc<Shown>),
    /// The transaction of such a write has ended: read the actor's reasons again.
    ReadReasons,
    /// Find out whom the next statements are for, judge them by that, and come back with
    /// [`Input::Named`].
    Name(Naming),
    /// A transaction with definitions has ended: look at the catalogue before the next statement.
    Defined,
    /// Cancel what the server is doing for this session, then [`Input::Cancelled`].
    CancelUpstream,
    /// The session is over, once the bytes before this are sent.
    Close,
}

/// What a session looks at while it handles an input.
#[derive(Debug)]
pub struct View<'a> {
    /// Judges statements under the present catalogue and policy.
    pub judge: &'a mut Judge,
    /// The generation of that catalogue.
    pub generation: u64,
    /// Whom the actor may see now.
    pub entitled: &'a Arc<Entitled>,
    /// The present moment.
    pub now: Timestamp,
    /// Each statement on protected tables is to be asked for before it is sent.
    pub asks: bool,
}

/// How much there is for the server.
pub(crate) fn for_server(effects: &[Effect]) -> usize {
    let bytes = effects.iter().map(|effect| match effect {
        Effect::ToServer(bytes) => bytes.len(),
        Effect::ToClient(_)
        | Effect::Hold(_)
        | Effect::Tell(_)
        | Effect::Ask { .. }
        | Effect::Prove { .. }
        | Effect::Moment { .. }
        | Effect::Release { .. }
        | Effect::Refused(_)
        | Effect::Wrote(_)
        | Effect::Defined
        | Effect::ReadReasons
        | Effect::Name(_)
        | Effect::CancelUpstream
        | Effect::Close => 0,
    });
    bytes.sum()
}
