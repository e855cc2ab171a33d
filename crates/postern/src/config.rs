//! The configuration: one TOML file, read in two steps.
//!
//! [`file`] is the file as it is written, key by key; its comments are the reference in
//! `docs/config.md`. [`check`] turns it into [`Settings`], in which every value is typed, every
//! path absolute and every contradiction refused. Nothing else in Postern reads a configuration
//! file or the environment. Whatever is wrong is reported with the place in the file and with what
//! to do about it, all of it at once where the file can be parsed at all.

use std::{fs, path::Path};

use postern_watch::WatchConfig;

pub(crate) use self::{
    error::{ConfigError, Problem},
    settings::{
        Ask, Budget, CONTROL_SOCKET, CertificateName, CertificateUse, Certificates, Column, Count,
        Data, Enforcement, Gateway, Insert, PeerSettings, Policy, Pool, Reason, Role, RoleKind,
        ServerTls, Settings, Strength, Table, Take, Upstream, UpstreamTls, Watch, WatchRules,
        WhenLost, Witnessing,
    },
    units::duration,
};

mod check;
mod error;
pub(crate) mod explain;
pub(crate) mod file;
pub(crate) mod place;
pub(crate) mod reference;
mod settings;
mod units;

/// What a configuration file says, and what in it is allowed but looks like a mistake.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) warnings: Vec<Problem>,
}

/// Reads a configuration file and everything that it names: the policy and the password.
pub(crate) fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// As [`load`], for text that is at hand; `path` is where it lies or will lie.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Loaded, ConfigError> {
    let source = error::Source::new(path, text);
    let file: file::File =
        toml::from_str(text).map_err(|error| ConfigError::syntax(&source, &error))?;
    check::check(file, path, &source)
}

/// What a configuration file says of the detectors. A replay needs nothing else of it, so the rest
/// may be missing, and is not looked at.
pub(crate) fn watch_of(path: &Path) -> Result<(WatchConfig, Option<WatchRules>), ConfigError> {
    #[derive(serde::Deserialize)]
    struct Part {
        #[serde(default)]
        watch: file::WatchFile,
    }
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let source = error::Source::new(path, &text);
    let part: Part = toml::from_str(&text).map_err(|error| ConfigError::syntax(&source, &error))?;
    check::watch(part.watch, path, &source)
}

/// Where a configuration file says that the data lies. Orders to a running gateway need nothing
/// else of it, so the rest may be wrong: it may be about to be changed.
pub(crate) fn data_of(path: &Path) -> Result<Data, ConfigError> {
    #[derive(serde::Deserialize)]
    struct Part {
        #[serde(default)]
        data: file::DataFile,
    }
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let source = error::Source::new(path, &text);
    let part: Part = toml::from_str(&text).map_err(|error| ConfigError::syntax(&source, &error))?;
    check::data(part.data, path, &source)
}

#[cfg(test)]
mod tests;
