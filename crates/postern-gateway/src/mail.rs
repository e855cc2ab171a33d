//! What the ledger tells the connections of one core.
//!
//! The ledger's writer answers a batch for many connections at once. Each answer that went to its
//! connection by itself would wake the core by a system call of its own; so they go to the core,
//! which is woken when all of the batch are there, and from there to the connections, on the core's
//! own thread. How many there can be is bounded by what connections have asked for: each waits for
//! one receipt and one answer at most.

use std::{
    cell::RefCell,
    collections::HashMap,
    future::poll_fn,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::sync::mpsc::UnboundedSender;

use crate::registry::Command;

/// What a core's connections are told, by the connection's number.
type Letter = (u64, Command);

/// A core's mail.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    post: Arc<Post>,
    boxes: RefCell<HashMap<u64, UnboundedSender<Command>>>,
}

/// What has come and was not handed on. Its mutex is held to add one letter or to take all.
#[derive(Debug, Default)]
struct Post(Mutex<Arrived>);

#[derive(Debug, Default)]
struct Arrived {
    letters: Vec<Letter>,
    /// Who takes them, while it waits for one.
    waiting: Option<Waker>,
}

impl Post {
    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        // Each change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts all letters into a list that is empty.
    fn poll_take(&self, letters: &mut Vec<Letter>, context: &Context<'_>) -> Poll<()> {
        let mut arrived = self.arrived();
        if arrived.letters.is_empty() {
            arrived.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut arrived.letters, letters);
        Poll::Ready(())
    }
}

impl Mail {
    /// Takes the letters to this connection from now on, as long as what it gives is there.
    pub(crate) fn open(
        self: &Rc<Self>,
        connection: u64,
        commands: UnboundedSender<Command>,
    ) -> Letterbox {
        self.boxes.borrow_mut().insert(connection, commands);
        Letterbox { mail: self.clone(), connection }
    }

    /// Hands the letters on for as long as the core lives.
    pub(crate) async fn deliver(self: Rc<Self>) {
        let mut letters = Vec::new();
        loop {
            poll_fn(|context| self.post.poll_take(&mut letters, context)).await;
            let boxes = self.boxes.borrow();
            for (connection, command) in letters.drain(..) {
                // A connection that has ended meanwhile releases nothing.
                if let Some(commands) = boxes.get(&connection) {
                    let _ = commands.send(command);
                }
            }
        }
    }
}

/// One connection's place in the mail of its core.
#[derive(Debug)]
pub(crate) struct Letterbox {
    mail: Rc<Mail>,
    connection: u64,
}

impl Letterbox {
    /// For another thread: tells the connection something.
    pub(crate) fn address(&self) -> Address {
        Address { post: self.mail.post.clone(), connection: self.connection }
    }
}

impl Drop for Letterbox {
    fn drop(&mut self) {
        self.mail.boxes.borrow_mut().remove(&self.connection);
    }
}

/// Where a connection's letters go.
#[derive(Debug)]
pub(crate) struct Address {
    post: Arc<Post>,
    connection: u64,
}

impl Address {
    /// Puts a letter there, and says whom to wake for it, sooner or later: nobody where somebody
    /// is to be woken for another already. A core that has ended releases nothing.
    #[must_use]
    pub(crate) fn put(&self, command: Command) -> Option<Waker> {
        let mut arrived = self.post.arrived();
        arrived.letters.push((self.connection, command));
        arrived.waiting.take()
    }

    pub(crate) fn tell(&self, command: Command) {
        if let Some(waker) = self.put(command) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
