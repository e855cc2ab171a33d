//! The files of a feed: which there are, and their lines, whatever they are packed with.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::read::MultiGzDecoder;

/// One of the files that a feed is made of. The order is the order in which events of the same
/// moment are delivered: what gives a reason comes before the access that needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    People,
    Subjects,
    Tickets,
    Calls,
    Approvals,
    Access,
    Complaints,
}

impl Source {
    /// Every source, in the order of delivery.
    pub const ALL: [Self; 7] = [
        Self::People,
        Self::Subjects,
        Self::Tickets,
        Self::Calls,
        Self::Approvals,
        Self::Access,
        Self::Complaints,
    ];

    /// The file's name without its ending.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Subjects => "subjects",
            Self::Tickets => "tickets",
            Self::Calls => "calls",
            Self::Approvals => "approvals",
            Self::Access => "access",
            Self::Complaints => "complaints",
        }
    }
}

/// The file of that name in the folder, whichever of the three endings it has; more than one of
/// them is an error, because nobody could say which was meant.
pub(crate) fn find(folder: &Path, name: &str) -> io::Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for ending in ["jsonl", "jsonl.gz", "jsonl.zst"] {
        let path = folder.join(format!("{name}.{ending}"));
        if path.try_exists()? {
            found.push(path);
        }
    }
    match found.len() {
        0 => Ok(None),
        1 => Ok(found.pop()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{name}` is there with more than one ending"),
        )),
    }
}

/// The lines of one file, numbered from 1, each at most [`Lines::MAX`] bytes.
pub(crate) struct Lines {
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    number: u64,
}

/// A file of which the bytes that are read are counted.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

/// A line, or what is wrong with it.
pub(crate) enum Line<'a> {
    Text(&'a str),
    TooLong,
    NotUtf8,
}

impl Lines {
    /// Longest line that is read, in bytes; a longer one is malformed and is never held.
    pub(crate) const MAX: u64 = 16 << 20;

    /// Opens a file; `read` counts the bytes that are read of it, as they are stored.
    pub(crate) fn open(path: &Path, read: Arc<AtomicU64>) -> io::Result<Self> {
        let file = Counted { file: File::open(path)?, read };
        let reader: Box<dyn BufRead + Send> = match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Box::new(BufReader::with_capacity(1 << 17, MultiGzDecoder::new(file))),
            Some("zst") => Box::new(BufReader::with_capacity(1 << 17, zstd::Decoder::new(file)?)),
            _ => Box::new(BufReader::with_capacity(1 << 17, file)),
        };
        Ok(Self { reader, buffer: Vec::new(), number: 0 })
    }

    /// The next line and its number; empty lines are passed over, as JSON Lines allows.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        loop {
            self.buffer.clear();
            let mut limited = (&mut self.reader).take(Self::MAX);
            if limited.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.buffer.last() != Some(&b'\n') && self.buffer.len() as u64 == Self::MAX {
                self.reader.skip_until(b'\n')?;
                return Ok(Some((self.number, Line::TooLong)));
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let line = std::str::from_utf8(self.buffer.trim_ascii()).map_or(Line::NotUtf8, Line::Text);
        Ok(Some((self.number, line)))
    }
}
