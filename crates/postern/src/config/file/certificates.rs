//! `[certificates]`, as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How people log in by a certificate of their own, as with PostgreSQL's `cert` and
/// `clientcert=verify-full`: `psql "sslcert=eva.pem sslkey=eva.key …"`. It names an account of
/// `people.toml`, which has to be the user name, and is taken over TLS only, so `[gateway]` needs a
/// certificate of its own. A session that has begun goes on when the certificate expires.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificatesFile {
    /// The authorities, as a PEM file, one of which has to have issued it, directly or through
    /// others that the client shows. They should issue nothing to anybody else.
    pub(crate) ca: String,
    /// A list of revoked certificates, as a PEM file, of each authority that issues them. One that
    /// is out of date lets nobody in. After a change of the file say `postern reload`.
    pub(crate) crl: Option<String>,
    /// Where the account's name stands in it: the subject's common name (`cn`), or the one `email`,
    /// `dns` name or `uri` of the subject's alternative names.
    #[serde(default)]
    pub(crate) name: CertificateNameFile,
    /// `required`: everybody shows one, in place of a password or token. `beside`: everybody shows
    /// one, and is asked for a password or token too. `offered`: who shows one needs no password,
    /// who shows none is asked for it.
    #[serde(default, rename = "use")]
    pub(crate) used: CertificateUseFile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CertificateNameFile {
    #[default]
    Cn,
    Email,
    Dns,
    Uri,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CertificateUseFile {
    #[default]
    Required,
    Beside,
    Offered,
}
