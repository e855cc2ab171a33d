//! Who somebody is by a certificate of their own.
//!
//! The TLS handshake takes whatever certificate a client shows, and proves that the client has its
//! key. Whether it is one of a trusted authority, counts now and names the account is looked at
//! when the log-in knows the account: so each refusal is recorded with whom it was about, and every
//! client is told the same.
//!
//! INVARIANT: nobody is let in by a certificate but through [`ClientCertificates::check`].

use std::{sync::Arc, time::Duration};

use postern_model::Timestamp;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use x509_cert::{
    Certificate,
    attr::AttributeTypeAndValue,
    der::{
        Decode as _,
        asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef},
    },
    ext::pkix::{SubjectAltName, name::GeneralName},
};

#[cfg(test)]
pub(crate) mod tests;

/// `commonName` (RFC 4519, 2.3).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Where in a certificate the account's name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateName {
    /// The subject's common name.
    CommonName,
    /// Of the subject's alternative names, the e-mail address.
    Email,
    /// Of these, the DNS name.
    Dns,
    /// Of these, the URI.
    Uri,
}

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateUse {
    /// Whoever shows one needs no password; who shows none is asked for it.
    Offered,
    /// In place of a password; without one nobody comes in.
    Required,
    /// Beside a password or a token.
    Beside,
}

/// How people log in by certificates.
#[derive(Debug, Clone)]
pub struct ClientCertificates {
    verifier: Arc<dyn ClientCertVerifier>,
    name: CertificateName,
    used: CertificateUse,
}

/// What a certificate has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certified {
    /// There is none, and need not be.
    Absent,
    /// It is the account's, and that is enough.
    Enough,
    /// It is the account's, and more is asked for.
    Beside,
}

impl ClientCertificates {
    /// Certificates that descend from one of those and are on none of the lists of revoked ones.
    /// With a list, there must be one of each authority that has issued a client's certificate, and
    /// a list that is out of date counts as none.
    ///
    /// # Errors
    /// If there is no authority, or a list can't be used.
    pub fn new(
        roots: RootCertStore,
        revoked: Vec<CertificateRevocationListDer<'static>>,
        provider: Arc<CryptoProvider>,
        (name, used): (CertificateName, CertificateUse),
    ) -> Result<Self, VerifierBuilderError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(revoked)
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration()
            .build()?;
        Ok(Self { verifier, name, used })
    }

    /// Has a TLS server ask for certificates, and take what is shown for [`Self::check`] to judge.
    pub fn asking(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Asking(self.verifier.clone()))
    }

    /// Whether what a client has shown is good for that account at that moment; else why not.
    pub(crate) fn check(
        &self,
        shown: &[CertificateDer<'static>],
        actor: &str,
        now: Timestamp,
    ) -> Result<Certified, &'static str> {
        let Some((own, above)) = shown.split_first() else {
            return match self.used {
                CertificateUse::Offered => Ok(Certified::Absent),
                CertificateUse::Required | CertificateUse::Beside => Err("no certificate"),
            };
        };
        let since = Duration::from_micros(u64::try_from(now.0).unwrap_or(0));
        let now = UnixTime::since_unix_epoch(since);
        self.verifier.verify_client_cert(own, above, now).map_err(|error| why(&error))?;
        let named = named(own, self.name).ok_or("a certificate that names nobody, or several")?;
        if named != actor {
            return Err("a certificate of another account");
        }
        Ok(match self.used {
            CertificateUse::Offered | CertificateUse::Required => Certified::Enough,
            CertificateUse::Beside => Certified::Beside,
        })
    }
}

/// What is recorded of a certificate that does not count.
fn why(error: &Error) -> &'static str {
    let Error::InvalidCertificate(error) = error else { return "a certificate that can't be used" };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum grows, and the rest is one")]
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "a certificate that has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "a certificate that does not count yet"
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "a certificate of an authority that is not trusted"
        }
        CertificateError::Revoked => "a certificate that was revoked",
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            "a certificate of which no list that counts says whether it was revoked"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "a certificate that is not for clients"
        }
        _ => "a certificate that can't be used",
    }
}

/// The one name of that kind in a certificate; `None` if there is none, or several.
fn named(certificate: &CertificateDer<'_>, kind: CertificateName) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
    let mut names: Vec<String> = match kind {
        CertificateName::CommonName => {
            let all = certificate.subject.0.iter().flat_map(|part| part.0.iter());
            let names = all.filter(|attribute| attribute.oid == COMMON_NAME).map(text);
            names.collect::<Option<_>>()?
        }
        CertificateName::Email | CertificateName::Dns | CertificateName::Uri => {
            let (_, all) = certificate.get::<SubjectAltName>().ok()??;
            let names = all.0.iter().filter_map(|name| match (kind, name) {
                (CertificateName::Email, GeneralName::Rfc822Name(name))
                | (CertificateName::Dns, GeneralName::DnsName(name))
                | (CertificateName::Uri, GeneralName::UniformResourceIdentifier(name)) => {
                    Some(name.to_string())
                }
                (_, _) => None,
            });
            names.collect()
        }
    };
    let only = names.pop()?;
    names.is_empty().then_some(only)
}

/// The text of an attribute, in the encodings that are in use.
fn text(attribute: &AttributeTypeAndValue) -> Option<String> {
    let value = &attribute.value;
    let utf8 = value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.to_string());
    let ascii = || value.decode_as::<PrintableStringRef<'_>>().ok().map(|text| text.to_string());
    let ia5 = || value.decode_as::<Ia5StringRef<'_>>().ok().map(|text| text.to_string());
    utf8.or_else(ascii).or_else(ia5)
}

/// Takes every certificate whose key the client proves to have; see the module.
#[derive(Debug)]
struct Asking(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Asking {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
