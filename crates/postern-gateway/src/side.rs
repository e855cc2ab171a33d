//! One side of a connection, with what waits to be handled and to be sent.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::upstream::BoxedStream;

/// A buffer that a huge message has grown is dropped when it is empty.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// How much a read may bring.
const READ_BYTES: usize = 8 * 1024;

/// One side of a connection.
pub(crate) struct Side {
    pub(crate) stream: BoxedStream,
    pub(crate) input: BytesMut,
    pub(crate) output: BytesMut,
    /// What was written may still be in the stream: TLS takes more than the socket does.
    unflushed: bool,
}

impl Side {
    pub(crate) fn new(stream: BoxedStream, input: BytesMut) -> Self {
        Self { stream, input, output: BytesMut::new(), unflushed: false }
    }

    pub(crate) fn shrink(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() && buffer.capacity() > KEPT_BYTES_MAX {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Nothing will come or go for a while: no memory waits for it.
    pub(crate) fn rest(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Whether nothing is to be handled or sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.input.is_empty() && self.is_told()
    }

    /// Whether all that was to be sent is sent.
    pub(crate) fn is_told(&self) -> bool {
        self.output.is_empty() && !self.unflushed
    }

    /// Whether nothing is to be sent but what the stream has taken already.
    pub(crate) fn only_flushes(&self) -> bool {
        self.output.is_empty() && self.unflushed
    }

    /// Whether the other side has said nothing, nor closed.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte));
        self.input.is_empty() && matches!(read, Poll::Pending)
    }

    /// Reads what is there; 0 is the end.
    pub(crate) async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context)).await
    }

    /// As [`Side::read`]. The memory for it is taken when something has come: most connections wait
    /// most of the time.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { stream, input, .. } = self;
        if input.capacity() > input.len() {
            input.reserve(READ_BYTES);
            return pin!(stream.read_buf(input)).poll(context);
        }
        let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut read = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(stream).poll_read(context, &mut read))?;
        input.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Writes of what is to be sent as much as the other side takes. It is one piece: a write of
    /// several would cost the kernel more.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.output))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.output.advance(written);
        self.unflushed = true;
        if self.output.is_empty() {
            self.shrink();
            if let Poll::Ready(flushed) = self.poll_flush(context) {
                return Poll::Ready(flushed);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what the stream has taken and the other side has not.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Writes and flushes what is to be sent; gives up with the waiting for it.
    pub(crate) async fn send_all(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            poll_fn(|context| self.poll_write(context)).await?;
        }
        poll_fn(|context| self.poll_flush(context)).await
    }
}

/// Moves the bytes where nothing waits, otherwise appends them.
pub(crate) fn append(output: &mut BytesMut, bytes: BytesMut) {
    if output.is_empty() {
        *output = bytes;
    } else {
        output.extend_from_slice(&bytes);
    }
}
