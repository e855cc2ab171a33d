//! Asking providers of identities: over TLS that trusts nobody but whom it is told to.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long a provider may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, follows nobody elsewhere, and trusts the authorities of this PEM text alone.
pub(crate) fn agent(trusted: &[u8]) -> anyhow::Result<ureq::Agent> {
    let mut roots = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(trusted) {
        let certificate = certificate.context("it holds something else than certificates")?;
        roots.push(Certificate::from_der(&certificate).to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(None)
        .user_agent("postern")
        .build();
    Ok(config.into())
}
