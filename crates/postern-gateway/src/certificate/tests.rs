use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::PrivateKeyDer;

use super::*;

/// 2026-11-26T00:00:00Z.
const NOW: Timestamp = Timestamp(1_795_651_200_000_000);

/// An authority that is made for a test.
pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate by it, with its key.
    pub(crate) fn issued(
        &self,
        params: &CertificateParams,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub(crate) fn certificates(
        &self,
        revoked: Vec<CertificateRevocationListDer<'static>>,
        (name, used): (CertificateName, CertificateUse),
    ) -> ClientCertificates {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientCertificates::new(roots, revoked, Arc::new(default_provider()), (name, used)).unwrap()
    }

    fn revoking(&self, serial: u64, next: i32) -> CertificateRevocationListDer<'static> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(next, 6, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().clone()
    }
}

/// A client's certificate for that name.
pub(crate) fn of(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    params
}

fn rules(authority: &Authority, name: CertificateName) -> ClientCertificates {
    authority.certificates(Vec::new(), (name, CertificateUse::Required))
}

#[test]
fn a_certificate_names_one_account() {
    let authority = Authority::new("people");
    let check = |params: &CertificateParams, kind, actor: &str, expected: Result<(), &str>| {
        let shown = [authority.issued(params).0];
        let checked = rules(&authority, kind).check(&shown, actor, NOW);
        assert_eq!(checked.map(|certified| assert_eq!(certified, Certified::Enough)), expected);
    };
    let other = Err("a certificate of another account");
    let nobody = Err("a certificate that names nobody, or several");
    let cn = CertificateName::CommonName;
    check(&of("ana"), cn, "ana", Ok(()));
    check(&of("åsa"), cn, "åsa", Ok(()));
    check(&of("ana"), cn, "Ana", other);
    check(&of("ana"), cn, "ben", other);
    check(&of("ana\0"), cn, "ana", other);
    let mut several = of("ana");
    several.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "ben");
    check(&several, cn, "ana", nobody);
    check(&several, cn, "ben", nobody);
    let mut alternative = of("ana");
    let email = SanType::Rfc822Name("ana@example.org".try_into().unwrap());
    let uri = SanType::URI("spiffe://example.org/ana".try_into().unwrap());
    let dns = SanType::DnsName("ana.example.org".try_into().unwrap());
    alternative.subject_alt_names = vec![email, uri, dns.clone()];
    check(&alternative, CertificateName::Email, "ana@example.org", Ok(()));
    check(&alternative, CertificateName::Uri, "spiffe://example.org/ana", Ok(()));
    check(&alternative, CertificateName::Dns, "ana.example.org", Ok(()));
    check(&alternative, CertificateName::Dns, "ana@example.org", other);
    check(&alternative, cn, "ana", Ok(()));
    check(&of("ana"), CertificateName::Email, "ana", nobody);
    alternative.subject_alt_names = vec![dns, SanType::DnsName("b.example".try_into().unwrap())];
    check(&alternative, CertificateName::Dns, "ana.example.org", nobody);
}

#[test]
fn a_certificate_that_does_not_count_is_refused_with_why() {
    let authority = Authority::new("people");
    let rules = rules(&authority, CertificateName::CommonName);
    let check = |by: &Authority, params: &CertificateParams| {
        rules.check(&[by.issued(params).0], "ana", NOW).unwrap_err()
    };
    let mut expired = of("ana");
    expired.not_after = date_time_ymd(2026, 11, 25);
    assert_eq!(check(&authority, &expired), "a certificate that has expired");
    let mut early = of("ana");
    early.not_before = date_time_ymd(2026, 11, 27);
    assert_eq!(check(&authority, &early), "a certificate that does not count yet");
    let untrusted = "a certificate of an authority that is not trusted";
    assert_eq!(check(&Authority::new("others"), &of("ana")), untrusted);
    assert_eq!(check(&Authority::new("people"), &of("ana")), untrusted, "of the same name");
    let mut server = of("ana");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(check(&authority, &server), "a certificate that is not for clients");
    let own = of("ana").self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    assert_eq!(rules.check(&[own], "ana", NOW), Err(untrusted));
    let junk = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    assert!(rules.check(&[junk], "ana", NOW).is_err());
    assert_eq!(rules.check(&[], "ana", NOW), Err("no certificate"));
    let offered = (CertificateName::CommonName, CertificateUse::Offered);
    let offered = authority.certificates(Vec::new(), offered);
    assert_eq!(offered.check(&[], "ana", NOW), Ok(Certified::Absent));
    assert!(offered.check(&[authority.issued(&of("ben")).0], "ana", NOW).is_err());
}

#[test]
fn a_revoked_certificate_is_refused() {
    let authority = Authority::new("people");
    let numbered = |serial: u64| {
        let mut params = of("ana");
        params.serial_number = Some(SerialNumber::from(serial));
        [authority.issued(&params).0]
    };
    let kind = (CertificateName::CommonName, CertificateUse::Beside);
    let listed = authority.certificates(vec![authority.revoking(7, 2036)], kind);
    assert_eq!(listed.check(&numbered(7), "ana", NOW), Err("a certificate that was revoked"));
    assert_eq!(listed.check(&numbered(8), "ana", NOW), Ok(Certified::Beside));
    let unknown = "a certificate of which no list that counts says whether it was revoked";
    let old = authority.certificates(vec![authority.revoking(7, 2026)], kind);
    assert_eq!(old.check(&numbered(8), "ana", NOW), Err(unknown));
    let others = authority.certificates(vec![Authority::new("others").revoking(7, 2036)], kind);
    assert_eq!(others.check(&numbered(8), "ana", NOW), Err(unknown));
}
