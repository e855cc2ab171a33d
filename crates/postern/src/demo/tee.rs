//! A relay between a client and the gateway that keeps every byte that the client is sent, so that
//! what left is judged by what arrived, not by what some library made of it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A relay for one connection at a time.
#[derive(Debug)]
pub(super) struct Tee {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
    relay: JoinHandle<()>,
}

impl Tee {
    /// Listens on a free port and relays to the gateway.
    pub(super) async fn start(gateway: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        let relay = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection that breaks is what some acts are about.
                let _ = relay(client, gateway, &kept).await;
            }
        });
        Ok(Self { address, received, relay })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every byte so far from the gateway to the client.
    pub(super) fn received(&self) -> Vec<u8> {
        lock(&self.received).clone()
    }

    /// How many bytes that are.
    pub(super) fn len(&self) -> usize {
        lock(&self.received).len()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn relay(client: TcpStream, gateway: SocketAddr, kept: &Mutex<Vec<u8>>) -> io::Result<()> {
    let server = TcpStream::connect(gateway).await?;
    // Answers come in pieces; waiting for an acknowledgement of each would cost 40 ms a statement.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let down = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from_server.read(&mut buffer).await?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            // Kept before it is passed on: what the client has was seen.
            lock(kept).extend_from_slice(bytes);
            to_client.write_all(bytes).await?;
        }
        to_client.shutdown().await
    };
    tokio::try_join!(up, down).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_is_sent_is_kept_and_what_it_sends_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let tee = Tee::start(server.local_addr().unwrap()).await.unwrap();
            let mut client = TcpStream::connect(("127.0.0.1", tee.port())).await.unwrap();
            let (mut served, _) = server.accept().await.unwrap();
            client.write_all(b"question").await.unwrap();
            let mut asked = [0; 8];
            served.read_exact(&mut asked).await.unwrap();
            served.write_all(b"answer").await.unwrap();
            drop(served);
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            assert_eq!((&asked, answer.as_slice()), (b"question", b"answer".as_slice()));
            assert_eq!(tee.received(), b"answer");
            assert_eq!(tee.len(), 6);
        });
    }
}
