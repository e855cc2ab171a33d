//! Whether entries that come continue those that are there, before anything of them is written.

use postern_merkle::Edge;
use postern_model::Timestamp;

use crate::{
    bytes::Cursor,
    dictionary::{self, NotNext, Rows},
    epoch::{KeyTrouble, Keys, Stage, Turn},
    frame::{self, FRAME_BYTES},
    leaf::{Leaf, SegmentSalt},
    payload::{self, Account, Head},
};

/// The end of what is there.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) edge: Edge,
    pub(super) time: Timestamp,
    /// How many rows there are of each kind.
    pub(super) rows: [u32; 3],
    pub(super) stage: Stage,
}

/// What was found in a piece.
#[derive(Debug)]
pub(super) struct Continued {
    pub(super) chain: Chain,
    /// Where in the frames each batch begins.
    pub(super) batches: Vec<usize>,
    /// The subjects whose names are erased by it.
    pub(super) erased: Vec<u32>,
    /// What they say of epochs.
    pub(super) turns: Vec<Turn>,
}

impl Chain {
    /// Looks at frames and the rows that they bring as verifying does. The error says what does not
    /// hold.
    pub(super) fn continued_by(
        &self,
        salt: Option<SegmentSalt>,
        (frames, mut rows): (&[u8], &[u8]),
        keys: &mut Keys,
    ) -> Result<Continued, &'static str> {
        let mut chain = self.clone();
        let mut counted = Rows::counted(self.rows);
        let (mut batches, mut erased, mut turns) = (Vec::new(), Vec::new(), Vec::new());
        let (mut offset, mut place_next) = (0, 0);
        while let Some(rest) = frames.get(offset..).filter(|rest| !rest.is_empty()) {
            let (place, payload) = frame::frame(rest).ok_or("a frame is damaged")?;
            // The first may go on with a batch of which a crash has left the start.
            if place == 0 || offset == 0 {
                batches.push(offset);
            } else if place != place_next {
                return Err("a batch is not whole");
            }
            place_next = place.wrapping_add(1);
            let mut cursor = Cursor::new(payload);
            let head = Head::decode(&mut cursor).map_err(|_| "an entry does not decode")?;
            // Each segment has the entries of its own version.
            if (head.open.account == Account::InBody) != salt.is_none() {
                return Err("an entry is of another version than its segment");
            }
            if head.sequence != chain.edge.size() || head.time < chain.time {
                return Err("an entry stands in another's place");
            }
            let leaf = Leaf::new(payload, &salt.unwrap_or_default());
            let binding = take_rows(&head, &mut counted, &mut rows, (keys, chain.stage.current))?;
            if !counted.has_account_of(&head) {
                return Err("an account's name is not kept for ever");
            }
            let decoded = payload::decode(&head, cursor, &counted);
            let decoded = decoded.map_err(|_| "an entry does not decode")?;
            erased.extend(decoded.erased);
            if let Some(turn) = decoded.turn {
                chain.turn(turn, &counted, keys)?;
                turns.push(turn);
            }
            chain.edge.append(leaf.finish(payload, binding.as_ref()));
            chain.time = head.time;
            offset += FRAME_BYTES + payload.len();
        }
        if !rows.is_empty() {
            return Err("rows that no entry uses");
        }
        chain.rows = counted.counts();
        Ok(Continued { chain, batches, erased, turns })
    }

    /// Takes what an entry says of epochs.
    fn turn(&mut self, turn: Turn, rows: &Rows, keys: &mut Keys) -> Result<(), &'static str> {
        let [subjects, ..] = rows.counts();
        self.stage.take(turn, subjects).map_err(|_| "an epoch is out of order")?;
        if let Turn::Begun { epoch, commitment } = turn {
            keys.commit(epoch, commitment);
            // That of an epoch which the ledger has forgotten since is nowhere: of its rows come
            // the commitments only. A row that is sealed and has no key is refused where it comes.
            if matches!(keys.key(epoch), Err(KeyTrouble::Other)) {
                return Err("an epoch's key is another than it began with");
            }
        }
        Ok(())
    }
}

/// Takes the rows that an entry brings, if they are those that it commits to.
fn take_rows(
    head: &Head,
    counted: &mut Rows,
    rows: &mut &[u8],
    (keys, epoch): (&Keys, u16),
) -> Result<Option<postern_merkle::Hash>, &'static str> {
    let Some(expected) = head.binding else { return Ok(None) };
    let mut commitments = Vec::new();
    for _ in 0..head.rows {
        let (row, length) =
            dictionary::decode_frame(rows, keys).ok_or("a row is missing or damaged")?;
        if row.epoch.is_some_and(|of_row| of_row != epoch) {
            return Err("a row is another epoch's");
        }
        if row.trouble.is_some() {
            return Err("an epoch's key is not here");
        }
        *rows = rows.get(length..).unwrap_or_default();
        commitments.push(row.commitment);
        counted.push(row).map_err(|not_next| match not_next {
            NotNext::Number => "a row is out of order",
            NotNext::Twice => "a name has two rows",
        })?;
    }
    let found = dictionary::binding(&commitments);
    if expected.fits(&found) { Ok(Some(found)) } else { Err("rows are not those of their entry") }
}
