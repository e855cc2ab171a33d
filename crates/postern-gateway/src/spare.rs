//! Server connections that wait for another session of the same account.
//!
//! To start one takes the server a process and the gateway a log-in. So the connection of a session
//! that has left nothing behind is made as new (`DISCARD ALL`) and kept for a while, for a session
//! that asks for the same with its start-up: of the same account only, so that whatever a server
//! remembers all the same (what its generator of random numbers gives next) is nobody else's. One
//! that was ever told to cancel is not kept: the request may come late and hit another's statement.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    pin::Pin,
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use postern_model::Actor;
use postern_wire::{Backend, FrameReader, TransactionStatus, encode};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::{
    Limits,
    shared::Shared,
    upstream::{self, BoxedStream, ConnectError, Connected},
};

/// Whose connection it is, with what it was started with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) actor: Actor,
    pub(crate) settings: Vec<(String, String)>,
}

/// How long the server may take to make it as new.
const RESET_MAX: Duration = Duration::from_secs(1);
/// How often those that were not used are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

struct Spare {
    server: Connected,
    since: Instant,
}

/// Those of one core.
pub(crate) struct Spares {
    shared: Arc<Shared>,
    limits: Limits,
    kept: RefCell<HashMap<Owner, Vec<Spare>>>,
    count: Cell<usize>,
    /// Others have come in their place: none is kept any more.
    ends: Cell<bool>,
}

impl Spares {
    pub(crate) fn new(shared: &Arc<Shared>, limits: Limits) -> Rc<Self> {
        let (kept, count, ends) = (RefCell::default(), Cell::new(0), Cell::new(false));
        let spares = Rc::new(Self { shared: shared.clone(), limits, kept, count, ends });
        if limits.spare_max > 0 {
            tokio::task::spawn_local(sweep(Rc::downgrade(&spares)));
        }
        spares
    }

    fn has_room(&self) -> bool {
        !self.ends.get() && self.count.get() < self.limits.spare_max
    }

    fn came(&self) {
        self.count.set(self.count.get() + 1);
        self.shared.spares.fetch_add(1, Ordering::Relaxed);
    }

    fn went(&self, count: usize) {
        self.count.set(self.count.get() - count);
        self.shared.spares.fetch_sub(count, Ordering::Relaxed);
    }

    /// One that is there, is as new, and has not been closed by the server.
    pub(crate) fn take(&self, owner: &Owner) -> Option<Connected> {
        loop {
            let mut kept = self.kept.borrow_mut();
            let theirs = kept.get_mut(owner)?;
            let spare = theirs.pop();
            if theirs.is_empty() {
                kept.remove(owner);
            }
            let mut spare = spare?;
            self.went(1);
            if is_quiet(&mut spare.server.stream) {
                return Some(spare.server);
            }
        }
    }

    /// Makes it as new and keeps it, where there is room.
    pub(crate) async fn keep(&self, owner: Owner, mut server: Connected) {
        let is_new = self.has_room() && {
            let message_bytes_max = self.limits.message_bytes_max;
            let reset = reset(&mut server, message_bytes_max);
            matches!(tokio::time::timeout(RESET_MAX, reset).await, Ok(Ok(())))
        };
        // Others may have come meanwhile.
        if !is_new || !self.has_room() {
            return end(server).await;
        }
        self.came();
        let spare = Spare { server, since: Instant::now() };
        self.kept.borrow_mut().entry(owner).or_default().push(spare);
    }

    /// Lets go of all, now and from now on.
    pub(crate) fn retire(self: Rc<Self>) {
        self.ends.set(true);
        tokio::task::spawn_local(async move { self.end_all().await });
    }

    /// Ends all that are there; how many there were.
    pub(crate) async fn end_all(&self) -> usize {
        let all = self.older_than(Duration::ZERO);
        let count = all.len();
        for server in all {
            end(server).await;
        }
        count
    }

    /// Takes out those that nobody has taken for so long.
    fn older_than(&self, time: Duration) -> Vec<Connected> {
        let mut kept = self.kept.borrow_mut();
        let is_old = |spare: &mut Spare| spare.since.elapsed() >= time;
        let old: Vec<Spare> =
            kept.values_mut().flat_map(|theirs| theirs.extract_if(.., is_old)).collect();
        kept.retain(|_, theirs| !theirs.is_empty());
        self.went(old.len());
        old.into_iter().map(|spare| spare.server).collect()
    }
}

async fn sweep(spares: Weak<Spares>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(spares) = spares.upgrade() else { return };
        for server in spares.older_than(spares.limits.spare_time) {
            end(server).await;
        }
    }
}

/// Tells the server that the connection is over.
pub(crate) async fn end(mut server: Connected) {
    let mut out = BytesMut::new();
    encode::terminate(&mut out);
    let last = async {
        server.stream.write_all(&out).await?;
        server.stream.shutdown().await
    };
    // It is over either way.
    let _ = tokio::time::timeout(RESET_MAX, last).await;
}

/// As after its start, but for what `parameters` say now.
async fn reset(server: &mut Connected, message_bytes_max: usize) -> Result<(), ConnectError> {
    let mut out = BytesMut::new();
    encode::query(&mut out, "DISCARD ALL")?;
    server.stream.write_all(&out).await?;
    let reader = FrameReader::new(message_bytes_max);
    let mut is_done = false;
    loop {
        let frame =
            upstream::frame::<ConnectError>(&mut server.stream, &mut server.buffer, &reader)
                .await?;
        let message = Backend::parse(&frame)?;
        if let Backend::ParameterStatus { name, value } = message {
            let known = server.parameters.iter_mut().find(|(known, _)| known == name);
            if let Some((_, known)) = known {
                value.clone_into(known);
            }
        } else if let Backend::ReadyForQuery(TransactionStatus::Idle) = message {
            // One that was said before is no answer to this.
            let is_all = is_done && server.buffer.is_empty();
            return if is_all { Ok(()) } else { Err(ConnectError::Unexpected) };
        } else if let Backend::CommandComplete("DISCARD ALL") = message {
            is_done = true;
        } else if !matches!(
            message,
            Backend::NoticeResponse(_) | Backend::NotificationResponse { .. }
        ) {
            return Err(ConnectError::Unexpected);
        }
    }
}

/// Whether the server has said nothing, nor closed.
fn is_quiet(stream: &mut BoxedStream) -> bool {
    let mut byte = [0];
    let mut context = Context::from_waker(Waker::noop());
    let read = Pin::new(stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte));
    matches!(read, Poll::Pending)
}
