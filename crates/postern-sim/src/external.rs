//! Data that others made and labelled, and what is reached on it beside what was published.
//!
//! None of it is in the repository: the reader provides a folder with `schonlau/` (`User1` to
//! `User50`, `label.txt`) and `cert/` (the monthly logon records and `answers/insiders.csv`).
//! Neither is a support database. They show what the test of a share does on behaviour that nobody
//! here invented.
//!
//! Start with [`Schonlau::read`] and [`Cert::read`].

mod cert;
mod schonlau;

use std::path::PathBuf;

use thiserror::Error;

pub use self::{
    cert::{Asked, Cert, Logons},
    schonlau::{Method, Rates, Schonlau},
};

/// Why a data set can't be read.
#[derive(Debug, Error)]
pub enum ExternalError {
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{path}`, line {line}: {why}")]
    Line { path: PathBuf, line: usize, why: String },
    #[error("`{path}`: {why}")]
    Form { path: PathBuf, why: String },
}

fn text(path: PathBuf) -> Result<(PathBuf, String), ExternalError> {
    // What is not UTF-8 in a licence or a name is of no interest here.
    match std::fs::read(&path) {
        Ok(bytes) => Ok((path, String::from_utf8_lossy(&bytes).into_owned())),
        Err(source) => Err(ExternalError::Read { path, source }),
    }
}
