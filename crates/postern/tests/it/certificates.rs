//! People who log in by certificates of their own, with psql.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::{served::Served, support::Support};

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Writes files for the gateway and for one client, and a list that revokes the client's.
fn files(support: &Support) -> String {
    let mut authority = params("people");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let write = |name: &str, text: &str| {
        let path = support.bench.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("ca.pem", &ca);
    for (name, usage) in [
        ("gateway", ExtendedKeyUsagePurpose::ServerAuth),
        ("ana", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut params = params(name);
        params.extended_key_usages = vec![usage];
        params.serial_number = Some(SerialNumber::from(name.len() as u64));
        let key = KeyPair::generate().unwrap();
        write(&format!("{name}.pem"), &params.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{name}.key"), &key.serialize_pem());
    }
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(3),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(4000, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).unwrap().pem().unwrap()
}

/// What psql prints of who it is, or complains about.
fn who(support: &Support, port: u16, user: &str, certificate: Option<&str>) -> String {
    let path = |name: &str| support.bench.path(name).display().to_string();
    let mut target = format!(
        "host=127.0.0.1 port={port} dbname=support user={user} sslmode=verify-full sslrootcert={}",
        path("ca.pem")
    );
    if let Some(name) = certificate {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        target += &format!(" sslcert={} sslkey={}", path(&certificate), path(&key));
    }
    let mut psql = Command::new("psql");
    psql.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", path(""));
    let done = psql.args(["-X", "-w", "-At", "-c", "SELECT current_user", &target]).output();
    let done = done.unwrap();
    String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap()
}

#[test]
fn psql_logs_in_by_a_certificate_until_it_is_revoked() {
    let support = Support::new();
    let revoked = files(&support);
    let gateway = "[gateway]\ntls_certificate = \"gateway.pem\"\ntls_key = \"gateway.key\"";
    let configuration = support.configuration("").replace("[gateway]", gateway);
    let section = "[certificates]\nca = \"ca.pem\"\n";
    support.configure(&(configuration.clone() + section));
    assert!(support.bench.run("check-config").yes().contains("everybody shows a certificate"));
    let served = Served::start(&support.bench);
    served.wait_for("ready for log-ins");
    let port = served.address.port();
    assert_eq!(who(&support, port, "ana", Some("ana")), "ana\n");
    for (user, certificate) in [("ben", Some("ana")), ("ana", Some("gateway")), ("ana", None)] {
        let said = who(&support, port, user, certificate);
        let expected = format!("certificate authentication failed for user \"{user}\"\n");
        assert!(said.ends_with(&expected), "{said}");
    }
    fs::write(support.bench.path("revoked.pem"), revoked).unwrap();
    support.configure(&(configuration + section + "crl = \"revoked.pem\"\n"));
    support.bench.run("reload").yes();
    let said = who(&support, port, "ana", Some("ana"));
    assert!(said.ends_with("certificate authentication failed for user \"ana\"\n"), "{said}");
}
