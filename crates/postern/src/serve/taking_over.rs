//! One gateway takes the place of another without turning a client away.
//!
//! The old one hands over the socket on which it listens, by the control socket, and takes no more
//! connections. It is the same socket, not another one on the same port: whoever connects meanwhile
//! waits in its queue, and nobody's connection is lost with the queue of the old. Nor need the port
//! be open to other processes, as it would with SO_REUSEPORT.
//!
//! A ledger has one writer. So the new gateway opens it when the old one has ended: when the last
//! of its sessions is over, or `drain` is. Until then those who connect wait.
//!
//! If the new one dies while it waits, the old one ends all the same, and whoever watches over the
//! process has to start one. What is wrong with the configuration is found before.

use std::{
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::control::{Reply, Request, encode};

/// How long the old gateway may take to say yes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest reply.
const REPLY_BYTES_MAX: usize = 4096;

/// Says that the socket is handed over, together with it.
pub(super) fn hand_over(stream: &mut UnixStream, listener: &TcpListener) -> io::Result<()> {
    let line = encode(&Reply::HandedOver {}).map_err(io::Error::other)?;
    let sockets = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("no room for the socket"));
    }
    let sent =
        sendmsg(&*stream, &[IoSlice::new(line.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    stream.write_all(line.as_bytes().get(sent..).unwrap_or_default())
}

/// Asks the gateway that runs for its socket, and waits until it has ended.
pub(super) fn take_over(control: &Path, listen: &str) -> anyhow::Result<TcpListener> {
    let mut stream = UnixStream::connect(control).with_context(|| {
        format!(
            "no gateway answers on `{}`, so that there is none to take over from",
            control.display()
        )
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = encode(&Request::HandOver { listen: listen.to_owned() })?;
    stream.write_all(request.as_bytes())?;
    let (reply, socket) = reply(&mut stream)?;
    match (reply, socket) {
        (Reply::HandedOver {}, Some(socket)) => {
            tracing::info!("the gateway that ran takes no more connections; waiting for its end");
            // It takes as long as its sessions do; what they may take it knows itself.
            stream.set_read_timeout(None)?;
            // Whatever comes is its end, also if it is killed.
            let _ = stream.read_to_end(&mut Vec::new());
            Ok(socket.into())
        }
        (Reply::Refused { why }, _) => anyhow::bail!("the gateway that runs refuses: {why}"),
        _ => anyhow::bail!("the gateway that runs does not know how to hand over; restart it"),
    }
}

/// A reply, with the socket that comes with it.
fn reply(stream: &mut UnixStream) -> anyhow::Result<(Reply, Option<OwnedFd>)> {
    let (mut line, mut socket) = (Vec::new(), None);
    while !line.ends_with(b"\n") {
        let mut bytes = [0; REPLY_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(&*stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut sockets) = message {
                socket = sockets.next().or(socket);
            }
        }
        anyhow::ensure!(received.bytes > 0, "the gateway that runs says nothing");
        line.extend_from_slice(bytes.get(..received.bytes).unwrap_or_default());
        anyhow::ensure!(line.len() <= REPLY_BYTES_MAX, "the gateway that runs says too much");
    }
    Ok((serde_json::from_slice(&line)?, socket))
}
