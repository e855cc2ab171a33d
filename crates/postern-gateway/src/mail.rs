//! What the ledger tells the connections of one core.
//!
//! The ledger's writer answers a batch for many connections at once. Each answer that went to its
//! connection by itself would wake the core by a system call of its own; so they go to the core,
//! which is woken by the first, and from there to the connections, on the core's own thread.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::registry::Command;

/// What a core's connections are told, by the connection's number.
type Letter = (u64, Command);

/// How many are handed on before the core turns to something else.
const LETTERS_MAX: usize = 256;

/// A core's mail.
#[derive(Debug)]
pub(crate) struct Mail {
    sender: UnboundedSender<Letter>,
    boxes: RefCell<HashMap<u64, UnboundedSender<Command>>>,
}

impl Mail {
    /// With what [`Mail::deliver`] takes.
    pub(crate) fn new() -> (Rc<Self>, UnboundedReceiver<Letter>) {
        let (sender, letters) = mpsc::unbounded_channel();
        (Rc::new(Self { sender, boxes: RefCell::default() }), letters)
    }

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
    pub(crate) async fn deliver(self: Rc<Self>, mut letters: UnboundedReceiver<Letter>) {
        let mut some = Vec::with_capacity(LETTERS_MAX);
        while letters.recv_many(&mut some, LETTERS_MAX).await > 0 {
            let boxes = self.boxes.borrow();
            for (connection, command) in some.drain(..) {
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
        Address { sender: self.mail.sender.clone(), connection: self.connection }
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
    sender: UnboundedSender<Letter>,
    connection: u64,
}

impl Address {
    pub(crate) fn tell(&self, command: Command) {
        // A core that has ended releases nothing.
        let _ = self.sender.send((self.connection, command));
    }
}
