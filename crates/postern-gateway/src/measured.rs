//! A stream on which no message of the other side is longer than a limit.
//!
//! The keeper's driver reads a message as long as the server says it is. Here a longer one is an
//! error as soon as its header has come, so that a server can't fill the gateway's memory by one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the type and the length in front of each message.
const HEADER_BYTES: usize = 5;
/// Bytes of the length, which counts itself.
const LENGTH_BYTES: usize = 4;

/// Passes bytes on and counts them.
pub(crate) struct Measured<S> {
    stream: S,
    limit_bytes: usize,
    /// As much of the next header as has come.
    header: Vec<u8>,
    /// What is still to come of the message whose header has come.
    left_bytes: usize,
}

impl<S> Measured<S> {
    /// Lets messages of at most `limit_bytes` through, counted as the length field does.
    pub(crate) fn new(stream: S, limit_bytes: usize) -> Self {
        Self { stream, limit_bytes, header: Vec::with_capacity(HEADER_BYTES), left_bytes: 0 }
    }

    fn count(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let of_body = self.left_bytes.min(bytes.len());
            self.left_bytes -= of_body;
            let rest = bytes.get(of_body..).unwrap_or_default();
            let (of_header, rest) = rest.split_at(rest.len().min(HEADER_BYTES - self.header.len()));
            self.header.extend_from_slice(of_header);
            bytes = rest;
            if self.header.len() == HEADER_BYTES {
                self.left_bytes = self.announced()?;
                self.header.clear();
            }
        }
        Ok(())
    }

    /// How many bytes follow a header.
    fn announced(&self) -> io::Result<usize> {
        let length = self.header.last_chunk::<LENGTH_BYTES>().copied().map(i32::from_be_bytes);
        let length = length.and_then(|length| usize::try_from(length).ok());
        let fits = length.filter(|length| (LENGTH_BYTES..=self.limit_bytes).contains(length));
        fits.map(|length| length - LENGTH_BYTES).ok_or_else(|| {
            let what = format!("the server announces a message of more than {}", self.limit_bytes);
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Measured<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let counted = this.count(buffer.filled().get(before..).unwrap_or_default());
        if counted.is_err() {
            // An error brings no bytes.
            buffer.set_filled(before);
        }
        Poll::Ready(counted)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Measured<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What comes through of these bytes, in pieces of that size, and whether all does.
    async fn through(bytes: &[u8], piece: usize) -> (Vec<u8>, bool) {
        let (mut server, stream) = tokio::io::duplex(piece);
        let sent = bytes.to_vec();
        let sending = tokio::spawn(async move {
            let _ = server.write_all(&sent).await;
        });
        let mut measured = Measured::new(stream, 100);
        let mut came = Vec::new();
        let ended = measured.read_to_end(&mut came).await;
        drop(measured);
        sending.await.unwrap();
        (came, ended.is_ok())
    }

    #[tokio::test]
    async fn messages_within_the_limit_come_as_they_are() {
        let body = [7; 96];
        let messages = [&b"Z\0\0\0\x05I"[..], b"D\0\0\0\x64", &body, b"1\0\0\0\x04"].concat();
        for piece in [1, 2, 3, 5, 64, 1_000] {
            assert_eq!(through(&messages, piece).await, (messages.clone(), true), "{piece}");
        }
    }

    #[tokio::test]
    async fn a_message_beyond_it_ends_the_stream_with_its_header() {
        for header in [
            &b"D\0\0\0\x65"[..],
            b"D\x7f\xff\xff\xff",
            b"D\xff\xff\xff\xff",
            b"D\0\0\0\x03",
            b"D\0\0\0\0",
        ] {
            let bytes = [&b"Z\0\0\0\x05I"[..], header, &[0; 1_000_000]].concat();
            for piece in [1, 7, 4_096] {
                let (came, all) = through(&bytes, piece).await;
                assert!(!all && came.len() <= 4_096, "{header:?} {piece} {}", came.len());
            }
        }
    }
}
