//! The files of a feed: which there are, and their lines, whatever they are packed with.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
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

/// The lines of one file, numbered from 1, each shorter than [`Lines::MAX`] bytes. They are handed
/// out where they were read to.
pub(crate) struct Lines {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// What of the buffer is read from the file and not handed out yet.
    unread: Range<usize>,
    ended: bool,
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
    /// Bytes from which on a line is malformed; it is never held as a whole.
    pub(crate) const MAX: usize = 16 << 20;
    const BUFFER: usize = 1 << 17;

    /// Opens a file; `read` counts the bytes that are read of it, as they are stored.
    pub(crate) fn open(path: &Path, read: Arc<AtomicU64>) -> io::Result<Self> {
        let file = Counted { file: File::open(path)?, read };
        let reader: Box<dyn Read + Send> = match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Box::new(MultiGzDecoder::new(file)),
            Some("zst") => Box::new(zstd::Decoder::new(file)?),
            _ => Box::new(file),
        };
        Ok(Self::of(reader))
    }

    fn of(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, buffer: vec![0; Self::BUFFER], unread: 0..0, ended: false, number: 0 }
    }

    /// The next line and its number; empty lines are passed over, as JSON Lines allows.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        loop {
            let Some(place) = self.whole()? else { return Ok(None) };
            self.number += 1;
            let Some(place) = place else { return Ok(Some((self.number, Line::TooLong))) };
            let filled = !self.text(&place).is_empty();
            if filled {
                let line = std::str::from_utf8(self.text(&place));
                return Ok(Some((self.number, line.map_or(Line::NotUtf8, Line::Text))));
            }
        }
    }

    fn text(&self, place: &Range<usize>) -> &[u8] {
        self.buffer.get(place.clone()).unwrap_or_default().trim_ascii()
    }

    /// Where the next line is in the buffer, without its end; `Some(None)` if it is too long.
    fn whole(&mut self) -> io::Result<Option<Option<Range<usize>>>> {
        let (mut searched, mut skipped) = (0, false);
        loop {
            let unread = self.buffer.get(self.unread.clone()).unwrap_or_default();
            let fresh = unread.get(searched..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', fresh) {
                let (start, end) = (self.unread.start, self.unread.start + searched + end);
                self.unread.start = end + 1;
                return Ok(Some((!skipped).then_some(start..end)));
            }
            searched = unread.len();
            if searched >= Self::MAX {
                // What is left of it is passed over as it comes.
                (self.unread, searched, skipped) = (0..0, 0, true);
            }
            if self.ended {
                let rest = std::mem::take(&mut self.unread);
                let line = (!skipped).then_some(rest.clone());
                return Ok((skipped || !rest.is_empty()).then_some(line));
            }
            self.fill()?;
        }
    }

    /// Reads more behind what is unread.
    fn fill(&mut self) -> io::Result<()> {
        if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        if self.unread.end == self.buffer.len() {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        let free = self.buffer.get_mut(self.unread.end..).unwrap_or_default();
        let bytes = loop {
            match self.reader.read(free) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.unread.end += bytes;
        self.ended = bytes == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives what it has in pieces of so many bytes.
    struct Pieces(io::Cursor<Vec<u8>>, usize);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let many = self.1.min(buffer.len());
            self.0.read(&mut buffer[..many])
        }
    }

    fn lines(text: &[u8], piece: usize) -> Vec<(u64, String)> {
        let mut lines = Lines::of(Box::new(Pieces(io::Cursor::new(text.to_vec()), piece)));
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            let told = match line {
                Line::Text(text) if text.len() > 100 => format!("{} bytes", text.len()),
                Line::Text(text) => text.to_owned(),
                Line::TooLong => "too long".to_owned(),
                Line::NotUtf8 => "not UTF-8".to_owned(),
            };
            all.push((number, told));
        }
        all
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = b"one\n\n  two \r\n\xff\n\nlast";
        let told = |all: &[(u64, &str)]| -> Vec<(u64, String)> {
            all.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
        };
        for piece in [1, 2, 5, 1_000] {
            let expected = told(&[(1, "one"), (3, "two"), (4, "not UTF-8"), (6, "last")]);
            assert_eq!(lines(text, piece), expected, "{piece}");
        }
        assert_eq!(lines(b"", 8), told(&[]));
    }

    #[test]
    fn a_line_that_is_too_long_is_one_bad_line() {
        let mut text = vec![b'x'; Lines::MAX - 1];
        text.push(b'\n');
        text.extend(vec![b'y'; 2 * Lines::MAX + 5]);
        text.extend(b"\nnext\n");
        let long = format!("{} bytes", Lines::MAX - 1);
        let expected = [(1, long.as_str()), (2, "too long"), (3, "next")];
        let told: Vec<(u64, String)> =
            expected.map(|(number, text)| (number, text.to_owned())).to_vec();
        for piece in [1 << 14, 1 << 20] {
            assert_eq!(lines(&text, piece), told);
        }
        assert_eq!(lines(&vec![b'z'; Lines::MAX], 1 << 20).len(), 1);
    }
}
