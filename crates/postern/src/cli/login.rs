//! How a person gets a credential for a while, as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Who gives the token: the address that its `iss` says.
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: String,
    /// This program's client ID at the issuer, one that may use the device flow.
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: String,
    /// What the token is to be for.
    #[arg(long, default_value = "openid")]
    pub(crate) scope: String,
    /// Which of the issuer's tokens the gateway takes.
    #[arg(long, value_enum, default_value = "id")]
    pub(crate) token: TokenKind,
    /// The claim of the token that is the account's name, as the gateway has it.
    #[arg(long, default_value = "sub")]
    pub(crate) account: String,
    /// The authorities by which the issuer's certificate is trusted, as a PEM file.
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub(crate) ca: PathBuf,
    /// The gateway's host.
    #[arg(long)]
    pub(crate) host: String,
    /// The gateway's port.
    #[arg(long, default_value_t = 6432)]
    pub(crate) port: u16,
    /// The database.
    #[arg(long)]
    pub(crate) dbname: String,
    /// How the gateway's certificate is checked, as libpq has it: `verify-full`, `disable`, …
    #[arg(long, default_value = "verify-full")]
    pub(crate) sslmode: String,
    /// The authorities by which the gateway's certificate is trusted, as a PEM file.
    #[arg(long, value_name = "FILE")]
    pub(crate) sslrootcert: Option<PathBuf>,
    /// What the service is called that clients name: `psql service=postern`.
    #[arg(long, default_value = "postern")]
    pub(crate) service: String,
    /// The service file, instead of the one that libpq reads (`PGSERVICEFILE`, or
    /// `~/.pg_service.conf`).
    #[arg(long, value_name = "FILE")]
    pub(crate) service_file: Option<PathBuf>,
    /// Where the token is kept, instead of `~/.postern/SERVICE.pgpass`.
    #[arg(long, value_name = "FILE")]
    pub(crate) passfile: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenKind {
    Id,
    Access,
}
