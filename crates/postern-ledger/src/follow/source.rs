//! A ledger by the piece, as a follower takes it: read from the disk, also while it is written to.

use std::{collections::VecDeque, io, sync::Arc};

use super::message::Piece;
use crate::{
    Damage,
    disk::Disk,
    frame::{HEADER_BYTES, LedgerId, segment_name},
    identity::unreadable,
    scan::{Mark, Scan},
};

/// Where pieces come from.
pub(crate) struct Source {
    disk: Arc<dyn Disk>,
    id: LedgerId,
}

impl Source {
    pub(crate) fn new(disk: Arc<dyn Disk>, id: LedgerId) -> Self {
        Self { disk, id }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The place behind so many entries, from a place that is not behind it; an earlier one if
    /// there are fewer.
    pub(crate) fn find(&self, from: Mark, size: u64) -> Result<Mark, Damage> {
        if from.edge.size() == size {
            return Ok(from);
        }
        let mut scan = Scan::resume(self.disk.clone(), self.id, from)?;
        while scan.edge().size() < size && scan.next()?.is_some() {}
        Ok(scan.mark())
    }

    /// The entries from a place on, up to so many in all, by the piece, for who has so many
    /// segments. Both ends are ends of batches if `until` is.
    pub(crate) fn pieces(&self, from: &Mark, segments: u64, until: u64) -> Result<Pieces, Damage> {
        let disk = self.disk.clone();
        let scan = Scan::resume(disk.clone(), self.id, from.clone())?;
        let (end, ready) = (from.clone(), VecDeque::new());
        Ok(Pieces { disk, scan, segments, until, end, begun: None, ready })
    }
}

/// One pass, by the piece.
pub(crate) struct Pieces {
    disk: Arc<dyn Disk>,
    scan: Scan,
    /// How many segments have been told of.
    segments: u64,
    until: u64,
    /// The place behind the last entry.
    end: Mark,
    begun: Option<Piece>,
    ready: VecDeque<(Piece, Mark)>,
}

impl Pieces {
    /// How many segments there are with those of the last piece.
    pub(crate) fn segments(&self) -> u64 {
        self.segments
    }

    /// The next entries of one segment, and the place behind them; `None` if there are no more.
    /// Of a segment without entries, as a crash can leave one, there is a piece without entries.
    pub(crate) fn next(&mut self) -> Result<Option<(Piece, Mark)>, Damage> {
        while self.ready.is_empty() && self.scan.edge().size() < self.until {
            if self.scan.next()?.is_none() {
                break;
            }
            let (ordinal, _) = self.scan.frame_at();
            if self.begun.is_none() || ordinal >= self.segments {
                self.finish();
                self.skip_to(ordinal)?;
                let header = (ordinal >= self.segments).then(|| self.scan.header().to_vec());
                self.segments = self.segments.max(ordinal + 1);
                self.begun = Some(self.empty(header));
            }
            if let Some(piece) = &mut self.begun {
                piece.rows.extend_from_slice(self.scan.brought_frames());
                piece.frames.extend_from_slice(self.scan.frame());
            }
            self.end = self.scan.mark();
        }
        if self.ready.is_empty() {
            self.finish();
            // What follows is not asked for; only which segments are left behind.
            let ended = self.scan.next()?.is_none();
            tracing::trace!(ended, "the last piece");
            self.skip_to(self.scan.position().segment)?;
        }
        Ok(self.ready.pop_front())
    }

    /// A piece without entries, at the end.
    fn empty(&self, header: Option<Vec<u8>>) -> Piece {
        let (size, root) = (self.end.edge.size(), self.end.edge.root());
        Piece { header, first: size, size, root, rows: Vec::new(), frames: Vec::new() }
    }

    fn finish(&mut self) {
        if let Some(piece) = self.begun.take() {
            let (size, root) = (self.end.edge.size(), self.end.edge.root());
            self.ready.push_back((Piece { size, root, ..piece }, self.end.clone()));
        }
    }

    /// Tells of segments before that one which have no entries.
    fn skip_to(&mut self, ordinal: u64) -> Result<(), Damage> {
        while self.segments < ordinal {
            let name = segment_name(self.segments);
            let header = header(&*self.disk, self.segments);
            let header = header.map_err(|error| unreadable(&*self.disk, &name, error))?;
            self.ready.push_back((self.empty(Some(header)), self.end.clone()));
            self.segments += 1;
        }
        Ok(())
    }
}

fn header(disk: &dyn Disk, ordinal: u64) -> io::Result<Vec<u8>> {
    let mut header = vec![0; HEADER_BYTES];
    disk.open_read(&segment_name(ordinal))?.read_at(&mut header, 0)?;
    Ok(header)
}
