//! Prepared indexes of the tracer as files.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use postern_trace::{Bytes, Prepared, PreparedError, TraceConfig, Tracer};

/// Bytes that are written at once.
const AT_ONCE: usize = 1 << 20;

/// A file of which parts are read.
#[derive(Debug)]
struct Parts(File);

impl Bytes for Parts {
    fn length(&self) -> io::Result<u64> {
        self.0.metadata().map(|of| of.len())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, at)
    }
}

/// Writes what the tracer knows into a file that must not be there yet, and that only its owner may
/// read: it holds names and values of customers. A crash leaves a file that is refused.
///
/// # Errors
/// If it is there already, or can't be written.
pub fn write_index(tracer: &mut Tracer, path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut buffered = BufWriter::with_capacity(AT_ONCE, file);
    tracer.prepare(&mut buffered)?;
    buffered.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Opens what [`write_index`] wrote.
///
/// # Errors
/// If it can't be read, or is no prepared index of this version.
pub fn open_index(path: &Path, config: TraceConfig) -> Result<Prepared, PreparedError> {
    Prepared::open(Box::new(Parts(File::open(path)?)), config)
}
