//! Clients that come by TLS. The certificate is for these tests alone.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use postern_wire::encode;
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{raw::Raw, world::World};

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("tls/certificate.pem")).unwrap()
}

pub(super) fn server() -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key);
    Arc::new(server.unwrap())
}

pub(super) fn client() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(client)
}

/// Asks for TLS; the gateway's answer.
async fn asked(world: &World) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(world.handle().address()).await.unwrap();
    let mut out = BytesMut::new();
    encode::ssl_request(&mut out);
    stream.write_all(&out).await.unwrap();
    let answer = stream.read_u8().await.unwrap();
    (stream, answer)
}

#[tokio::test]
async fn a_client_that_asks_for_tls_gets_it() {
    let world = World::start_with(&[], Some(server()));
    let (stream, answer) = asked(&world).await;
    assert_eq!(answer, b'S');
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(client()).connect(name, stream).await.unwrap();
    let mut ana = Raw::log_in(Box::new(stream), "ana", "pw-ana", "support").await;
    let sql = "SELECT email FROM customers WHERE id IN (1, 2) ORDER BY id";
    assert_eq!(ana.query(sql).await.rows, [["one@example.org"], ["***"]]);
}

/// TLS takes more than the socket does: what it holds when the last was written goes out, too.
#[tokio::test]
async fn a_slow_reader_gets_the_end_of_an_answer() {
    let world = World::start_with(&[], Some(server()));
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let mut stream = socket.connect(world.handle().address()).await.unwrap();
    let mut out = BytesMut::new();
    encode::ssl_request(&mut out);
    stream.write_all(&out).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'S');
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(client()).connect(name, stream).await.unwrap();
    let mut ana = Raw::log_in(Box::new(stream), "ana", "pw-ana", "support").await;
    // Some end where less than TLS takes is left when the kernel's buffers are full.
    for rows in (3_000..4_000).step_by(50) {
        ana.send_query(&format!("SELECT repeat('x', 1000) FROM generate_series(1, {rows})")).await;
        // The server has said all, or can't say more.
        let written = |world: &World| {
            let writes = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE \
                          '%repeat%' AND wait_event IS DISTINCT FROM 'ClientWrite' AND pid <> \
                          pg_backend_pid()";
            world.postgres.psql_in("support", writes).unwrap().trim() == "0"
        };
        world.wait_until("all is written that can be", written).await;
        let answer = tokio::time::timeout(Duration::from_secs(20), ana.answer()).await;
        assert_eq!(answer.expect("all of the answer comes").rows.len(), rows);
    }
}

#[tokio::test]
async fn without_a_certificate_the_answer_is_no_and_the_log_in_goes_on() {
    let world = World::start(&[]);
    let (stream, answer) = asked(&world).await;
    assert_eq!(answer, b'N');
    let mut ana = Raw::log_in(Box::new(stream), "ana", "pw-ana", "support").await;
    assert_eq!(ana.query("SELECT 1").await.rows, [["1"]]);
}

#[tokio::test]
async fn bytes_before_the_handshake_are_refused() {
    let world = World::start_with(&[], Some(server()));
    let mut bytes = BytesMut::new();
    encode::ssl_request(&mut bytes);
    encode::startup(&mut bytes, 0, &[("user", "ana"), ("database", "support")]).unwrap();
    let mut stream = TcpStream::connect(world.handle().address()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"S"), "{answer:?}");
}
