//! What a connection waits for, and what it does about it.

use std::{
    io,
    task::{Context, Poll},
};

use postern_session::Failure;

use super::{Connection, ConnectionError, WAITING_BYTES_MAX, turns};
use crate::{
    pool::{FitError, Server},
    registry::Command,
};

/// What a connection would do if it could.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wants {
    read_client: bool,
    read_server: bool,
    write_client: bool,
}

/// What has happened.
pub(super) enum Event {
    Command(Command),
    WroteClient(io::Result<()>),
    WroteServer(io::Result<()>),
    /// So many bytes have come; 0 is the end.
    ReadServer(io::Result<usize>),
    ReadClient(io::Result<usize>),
    /// The waiting for a connection to the server is over.
    Taken(Result<Box<Server>, FitError>),
    /// It is time to look whether the client says nothing.
    Silent,
    /// It is time to look whether a client that sends no more is there.
    Half,
}

impl Connection<'_> {
    pub(super) fn wants(&self) -> Wants {
        let takes = self.session.takes_client() && !self.is_waiting();
        Wants {
            read_client: !self.reading
                && !self.is_half
                && !self.is_alone()
                && self.session.wants_client()
                && (takes || self.client.input.len() < WAITING_BYTES_MAX)
                && !self.is_server_behind(),
            read_server: !self.reading
                && self.session.wants_server()
                && self.client.output.len() < WAITING_BYTES_MAX,
            write_client: !self.client.output.is_empty() && !self.holds_back(),
        }
    }

    /// The first of what can be done now: what was commanded, what goes out, what the server says,
    /// what the client says.
    pub(super) fn poll_event(&mut self, wants: &Wants, context: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(Some(command)) = self.commands.poll_recv(context) {
            return Poll::Ready(Event::Command(command));
        }
        // It may have been sent since it was wanted.
        if wants.write_client
            && !self.client.output.is_empty()
            && let Poll::Ready(written) = self.poll_write_client(context)
            && !(written.is_ok() && self.client.is_told() && self.waits_on(wants))
        {
            return Poll::Ready(Event::WroteClient(written));
        }
        if self.client.only_flushes()
            && let Poll::Ready(flushed) = self.client.poll_flush(context)
        {
            return Poll::Ready(Event::WroteClient(flushed));
        }
        let waits_on = self.waits_on(wants);
        if let Some(server) = &mut self.server {
            let side = &mut server.side;
            if !side.output.is_empty()
                && let Poll::Ready(written) = side.poll_write(context)
                && !(written.is_ok() && side.is_told() && waits_on)
            {
                return Poll::Ready(Event::WroteServer(written));
            }
            if side.only_flushes()
                && let Poll::Ready(flushed) = side.poll_flush(context)
            {
                return Poll::Ready(Event::WroteServer(flushed));
            }
            if wants.read_server
                && let Poll::Ready(read) = side.poll_read(context)
            {
                return Poll::Ready(Event::ReadServer(read));
            }
        }
        if let Poll::Ready(taken) = turns::poll_taken(&mut self.turns, context) {
            return Poll::Ready(Event::Taken(taken));
        }
        if wants.read_client {
            return self.client.poll_read(context).map(Event::ReadClient);
        }
        Poll::Pending
    }

    fn poll_write_client(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.client.output.len();
        let written = self.client.poll_write(context);
        self.counters.sent_bytes.add(before - self.client.output.len());
        written
    }

    /// Whether nothing has to be looked at, and nothing else is wanted, once all that waited for a
    /// side is sent.
    fn waits_on(&self, wants: &Wants) -> bool {
        let wants_all = wants.read_client && wants.read_server;
        wants_all && self.leaves.is_none() && !self.is_half && self.turns.is_none()
    }

    pub(super) async fn happened(&mut self, event: Event) -> Result<(), ConnectionError> {
        match event {
            Event::Command(command) => self.command(command).await?,
            Event::WroteClient(written) => written.map_err(ConnectionError::Client)?,
            Event::WroteServer(written) => written.map_err(ConnectionError::Server)?,
            Event::ReadServer(read) => {
                if read.map_err(ConnectionError::Server)? == 0 {
                    self.last_word(&Failure::UpstreamLost).await;
                }
            }
            Event::ReadClient(read) => {
                let read = read.map_err(ConnectionError::Client)?;
                self.counters.received_bytes.add(read);
                if read == 0 {
                    self.sends_no_more();
                }
            }
            Event::Taken(taken) => self.taken(taken).await?,
            Event::Silent => self.is_silent().await?,
            Event::Half => self.tell_nothing_new(),
        }
        Ok(())
    }
}
