//! `[scim]`, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// Where a company's directory (an identity provider, an HR system) says who works here: SCIM 2.0
/// (RFC 7643, RFC 7644), below `/scim/v2` of this address. Whom it puts out is out when it is
/// answered: log-ins, tokens and open sessions. Its requests carry a token that
/// `postern scim token` makes. docs/scim.md says how it is set up. Without this section nothing
/// listens. A change needs a restart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScimFile {
    /// The address and port that the directory connects to. Anything but a loopback address needs
    /// `tls_certificate` and `tls_key`.
    #[serde(default = "listen_default")]
    pub(crate) listen: String,
    /// The certificate chain that the directory is shown, as a PEM file.
    pub(crate) tls_certificate: Option<String>,
    /// The certificate's private key, as a PEM file.
    pub(crate) tls_key: Option<String>,
    /// The role of people who are in none of the groups. Without it they have no account.
    pub(crate) role: Option<String>,
    /// The employer of people of whom the directory says none.
    #[serde(default = "employer_default")]
    pub(crate) employer: String,
    #[serde(default)]
    pub(crate) groups: Vec<ScimGroupFile>,
}

/// A group of the directory's that gives a role. Of somebody who is in several, the first in this
/// list counts. Whoever leaves the last of them may not work any more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScimGroupFile {
    /// The group's name (`displayName`) in the directory.
    pub(crate) name: String,
    /// The role that it gives, one of `[roles.NAME]`.
    pub(crate) role: String,
}

fn listen_default() -> String {
    "127.0.0.1:6480".to_owned()
}

fn employer_default() -> String {
    "own".to_owned()
}
