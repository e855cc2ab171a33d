//! Whether the ledger's disk gets full: said before disclosures stop.

use std::{io, path::PathBuf, sync::mpsc, thread, time::Duration};

use crate::config::Data;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// The disk that the data folder is on.
#[derive(Debug, Clone)]
pub(super) struct Space {
    folder: PathBuf,
    warn_bytes: u64,
    min_bytes: u64,
}

/// The thread that looks; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Looking {
    _stop: mpsc::Sender<()>,
}

impl Space {
    pub(super) fn of(data: &Data) -> Self {
        let (folder, min_bytes) = (data.folder.clone(), data.min_free_bytes);
        Self { folder, warn_bytes: data.warn_free_bytes, min_bytes }
    }

    /// What there is to warn of, if there is.
    pub(super) fn warning(&self) -> Option<String> {
        let free = match self.free() {
            Ok(free) => free,
            Err(error) => return Some(format!("can't be looked at: {error}")),
        };
        let mib = |bytes: u64| bytes >> 20;
        (free < self.warn_bytes.max(self.min_bytes)).then(|| {
            format!("{} MiB free; disclosures stop below {} MiB", mib(free), mib(self.min_bytes))
        })
    }

    /// How many bytes are free.
    pub(super) fn free(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Warns in the log when space gets short, once, and says when there is enough again.
    pub(super) fn look(self) -> io::Result<Looking> {
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new().name("postern-space".to_owned()).spawn(move || {
            let mut was_short = false;
            loop {
                let warning = self.warning();
                match &warning {
                    Some(warning) if !was_short => {
                        tracing::warn!("space for the ledger gets short: {warning}");
                    }
                    None if was_short => tracing::info!("there is space for the ledger again"),
                    Some(_) | None => {}
                }
                was_short = warning.is_some();
                if !matches!(stopped.recv_timeout(EVERY), Err(mpsc::RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        })?;
        Ok(Looking { _stop: stop })
    }
}
