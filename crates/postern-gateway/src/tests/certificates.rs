//! People who come by certificates of their own.

use std::sync::Arc;

use bytes::BytesMut;
use postern_wire::encode;
use rcgen::CertificateParams;
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{raw::Raw, sign_in::reasons, world::World};
use crate::{
    CertificateName, CertificateUse,
    certificate::tests::{Authority, of},
};

type Shown = Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>;

fn own() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("tls/certificate.pem")).unwrap()
}

fn world(authority: &Authority, used: CertificateUse) -> World {
    let certificates = authority.certificates(Vec::new(), (CertificateName::CommonName, used));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(certificates.asking())
        .with_single_cert(vec![own()], key);
    World::start_as(&[], |settings| {
        settings.tls = Some(Arc::new(tls.unwrap()));
        settings.certificates = Some(certificates);
    })
}

fn client(shown: Shown) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(own()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match shown {
        None => client.with_no_client_auth(),
        Some((certificate, key)) => client.with_client_auth_cert(vec![certificate], key).unwrap(),
    }
}

/// A log-in by that certificate; what is said if it fails.
async fn log_in(world: &World, shown: Shown, actor: &str, password: &str) -> Result<Raw, String> {
    let mut stream = TcpStream::connect(world.handle().address()).await.unwrap();
    let mut out = BytesMut::new();
    encode::ssl_request(&mut out);
    stream.write_all(&out).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'S');
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client(shown)));
    let stream = connector.connect(name, stream).await.unwrap();
    Raw::try_log_in(Box::new(stream), actor, password, "support").await
}

async fn refused(world: &World, shown: Shown, actor: &str, password: &str) -> String {
    match log_in(world, shown, actor, password).await {
        Ok(_) => panic!("{actor} was let in"),
        Err(said) => said,
    }
}

#[tokio::test]
async fn a_certificate_lets_in_whom_it_names_and_nobody_else() {
    let authority = Authority::new("people");
    let world = world(&authority, CertificateUse::Required);
    let by = |authority: &Authority, params: &CertificateParams| Some(authority.issued(params));
    // No password is asked for: a wrong one is not noticed.
    let mut ana = log_in(&world, by(&authority, &of("ana")), "ana", "wrong").await.unwrap();
    let sql = "SELECT current_user, email FROM customers WHERE id IN (1, 2) ORDER BY id";
    assert_eq!(ana.query(sql).await.rows, [["ana", "one@example.org"], ["ana", "***"]]);

    let mut expired = of("ana");
    expired.not_after = rcgen::date_time_ymd(2026, 2, 1);
    let stranger = Authority::new("people");
    let mut said = Vec::new();
    for (shown, actor) in [
        (by(&authority, &of("ana")), "ben"),
        (by(&authority, &of("nobody")), "nobody"),
        (by(&authority, &expired), "ana"),
        (by(&stranger, &of("ana")), "ana"),
        (None, "ana"),
    ] {
        said.push(refused(&world, shown, actor, "pw-ana").await.replace(actor, "NAME"));
    }
    assert!(said[0].contains("28000"), "{said:?}");
    assert!(said[0].contains("certificate authentication failed for user"), "{said:?}");
    assert!(said.iter().all(|one| *one == said[0]), "one message: {said:?}");
    // Without TLS there is no certificate, and a password is none.
    assert_eq!(world.login_error("ana", "pw-ana").await, "28000");
    world.wait_until("they are recorded", |world| reasons(world).len() == 6).await;
    assert_eq!(
        reasons(&world),
        [
            "a certificate of another account",
            "unknown name",
            "a certificate that has expired",
            "a certificate of an authority that is not trusted",
            "no certificate",
            "no certificate",
        ]
    );
}

#[tokio::test]
async fn who_is_out_is_so_with_a_certificate_too() {
    let authority = Authority::new("people");
    let world = world(&authority, CertificateUse::Required);
    let shown = || Some(authority.issued(&of("ana")));
    let mut ana = log_in(&world, shown(), "ana", "").await.unwrap();
    let no_password = |account: &mut postern_people::Account| account.verifier = None;
    world.change_people(no_password);
    assert!(ana.query("SELECT 1").await.error.is_none());
    log_in(&world, shown(), "ana", "").await.unwrap();
    world.change_people(|account| account.active = false);
    assert_eq!(ana.query("SELECT 1").await.status, 0);
    let said = refused(&world, shown(), "ana", "").await;
    assert!(said.contains("certificate authentication failed"), "{said}");
}

#[tokio::test]
async fn an_offered_certificate_stands_in_for_a_password() {
    let authority = Authority::new("people");
    let world = world(&authority, CertificateUse::Offered);
    log_in(&world, Some(authority.issued(&of("ana"))), "ana", "wrong").await.unwrap();
    log_in(&world, None, "ana", "pw-ana").await.unwrap();
    world.client("ana").await;
    assert!(refused(&world, None, "ana", "wrong").await.contains("28P01"));
    // Whoever shows a wrong one is not asked for a password instead.
    let ben = Some(authority.issued(&of("ben")));
    assert!(refused(&world, ben, "ana", "pw-ana").await.contains("28000"));
}

#[tokio::test]
async fn a_certificate_and_a_password_take_both() {
    let authority = Authority::new("people");
    let world = world(&authority, CertificateUse::Beside);
    let shown = || Some(authority.issued(&of("ana")));
    log_in(&world, shown(), "ana", "pw-ana").await.unwrap();
    assert!(refused(&world, shown(), "ana", "wrong").await.contains("28P01"));
    assert!(refused(&world, None, "ana", "pw-ana").await.contains("28000"));
    assert!(refused(&world, shown(), "ben", "pw-ben").await.contains("28000"));
}

/// A certificate is no secret: whoever has seen one has not its key.
#[tokio::test]
async fn a_certificate_without_its_key_is_none() {
    let authority = Authority::new("people");
    let world = world(&authority, CertificateUse::Offered);
    let (certificate, _) = authority.issued(&of("ana"));
    let (_, key) = authority.issued(&of("ben"));
    // A client of ours would refuse to show it, so it is told that they belong together.
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    let mut config = client(None);
    config.client_auth_cert_resolver = resolver;
    let mut stream = TcpStream::connect(world.handle().address()).await.unwrap();
    let mut out = BytesMut::new();
    encode::ssl_request(&mut out);
    stream.write_all(&out).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'S');
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let Ok(mut stream) = connector.connect(name, stream).await else { return };
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest).await;
    assert!(end.is_err() && rest.is_empty(), "{end:?}");
}
