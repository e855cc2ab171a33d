//! The text of a range proof: lines of words, then an empty one, then the checkpoint.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postern_merkle::Hash;
use postern_model::Subject;

use super::{RangeError, RangeLeaf, RangeProof};
use crate::{
    dictionary::{self, Kind},
    epoch::Keys,
};

const FIRST_LINE: &str = "postern ledger range 1";

/// Whether a text is meant to be a range proof.
pub fn is_range_proof(text: &str) -> bool {
    text.lines().next() == Some(FIRST_LINE)
}

impl RangeProof {
    pub(crate) fn encode(&self) -> String {
        let bound = |bound: Option<i64>| bound.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let encoded = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let mut text = format!(
            "{FIRST_LINE}\naccount {}\nsince {}\nuntil {}\nrange {} {}\n",
            encoded(self.actor.as_bytes()),
            bound(self.since),
            bound(self.until),
            self.first,
            self.end
        );
        for leaf in &self.leaves {
            text += &format!("leaf {}\n", encoded(&leaf.content));
            if let Some(opened) = &leaf.opened {
                text += &format!("open {}\n", encoded(opened));
            }
            if !leaf.rows.is_empty() {
                text += &format!("rows {}\n", encoded(leaf.commitments.as_flattened()));
            }
            for row in &leaf.rows {
                text += &format!("row {}\n", encoded(row));
            }
        }
        for hash in &self.hashes {
            text += &format!("hash {}\n", encoded(&hash.0));
        }
        text + "\n" + &self.checkpoint
    }

    /// Reads the text; nothing is proved by that.
    pub(crate) fn parse(text: &str) -> Result<Self, RangeError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(RangeError::Malformed("no end"))?;
        let mut lines = Lines { lines: head.split('\n').peekable() };
        if lines.lines.next() != Some(FIRST_LINE) {
            return Err(RangeError::Malformed("another first line"));
        }
        let actor = lines.bytes("account")?;
        let actor = String::from_utf8(actor).map_err(|_| RangeError::Malformed("account"))?;
        let (since, until) = (lines.bound("since")?, lines.bound("until")?);
        let range = lines.word("range")?.split_once(' ');
        let (first, end) = range.ok_or(RangeError::Malformed("range"))?;
        let (first, end) = (number(first)?, number(end)?);
        let mut leaves = Vec::new();
        while lines.has("leaf") {
            leaves.push(lines.leaf()?);
        }
        let mut hashes = Vec::new();
        while lines.has("hash") {
            let hash = lines.bytes("hash")?.try_into();
            hashes.push(Hash(hash.map_err(|_| RangeError::Malformed("hash"))?));
        }
        if lines.lines.next().is_some() {
            return Err(RangeError::Malformed("a line that is none"));
        }
        let checkpoint = checkpoint.to_owned();
        Ok(Self { actor, since, until, first, end, leaves, hashes, checkpoint })
    }
}

struct Lines<'a> {
    lines: std::iter::Peekable<std::str::Split<'a, char>>,
}

impl<'a> Lines<'a> {
    fn has(&mut self, word: &str) -> bool {
        let rest = self.lines.peek().and_then(|line| line.strip_prefix(word));
        rest.is_some_and(|rest| rest.starts_with(' '))
    }

    /// What stands behind the word that the next line has to begin with.
    fn word(&mut self, word: &'static str) -> Result<&'a str, RangeError> {
        let rest = self.lines.next().and_then(|line| line.strip_prefix(word));
        rest.and_then(|rest| rest.strip_prefix(' ')).ok_or(RangeError::Malformed(word))
    }

    fn bytes(&mut self, word: &'static str) -> Result<Vec<u8>, RangeError> {
        BASE64_STANDARD.decode(self.word(word)?).map_err(|_| RangeError::Malformed(word))
    }

    fn bound(&mut self, word: &'static str) -> Result<Option<i64>, RangeError> {
        match self.word(word)? {
            "-" => Ok(None),
            text => number(text).map(Some),
        }
    }

    fn leaf(&mut self) -> Result<RangeLeaf, RangeError> {
        let mut leaf = RangeLeaf { content: self.bytes("leaf")?, ..RangeLeaf::default() };
        if self.has("open") {
            leaf.opened = Some(self.bytes("open")?);
        }
        if !self.has("rows") {
            return Ok(leaf);
        }
        let bytes = self.bytes("rows")?;
        let (commitments, []) = bytes.as_chunks::<32>() else {
            return Err(RangeError::Malformed("rows"));
        };
        leaf.commitments = commitments.to_vec();
        while self.has("row") {
            leaf.rows.push(self.bytes("row")?);
        }
        if leaf.rows.is_empty() {
            return Err(RangeError::Malformed("rows"));
        }
        Ok(leaf)
    }
}

/// A number in its one form.
fn number<T: std::str::FromStr + ToString>(text: &str) -> Result<T, RangeError> {
    let number = text.parse::<T>().ok().filter(|number| number.to_string() == text);
    number.ok_or(RangeError::Malformed("number"))
}

/// The customers whom a proof names, with the numbers that stand for them where they are not named.
/// Nothing is proved by that.
///
/// # Errors
/// [`RangeError::Malformed`].
pub fn named_in_range(text: &str) -> Result<Vec<(u32, Subject)>, RangeError> {
    let proof = RangeProof::parse(text)?;
    let rows = proof.leaves.iter().flat_map(|leaf| &leaf.rows);
    let mut named = Vec::new();
    for row in rows {
        if let Some((number, text)) = subject_row(row)? {
            named.push((number, Subject::new(text)));
        }
    }
    named.sort();
    named.dedup();
    Ok(named)
}

/// The proof with no names of customers but those that are to be kept. It still proves the same:
/// what is taken away are rows of the dictionary, of which the commitments stay. Whoever has a
/// proof can do so.
///
/// # Errors
/// [`RangeError::Malformed`].
pub fn redact_range(text: &str, keep: &BTreeSet<Subject>) -> Result<String, RangeError> {
    let mut proof = RangeProof::parse(text)?;
    for leaf in &mut proof.leaves {
        let mut kept = Vec::new();
        for row in leaf.rows.drain(..) {
            let stays = match subject_row(&row)? {
                None => true,
                Some((_, text)) => keep.contains(&Subject::new(text)),
            };
            if stays {
                kept.push(row);
            }
        }
        leaf.rows = kept;
        if leaf.rows.is_empty() {
            leaf.commitments.clear();
        }
    }
    Ok(proof.encode())
}

/// Number and name, if the row is a customer's.
fn subject_row(row: &[u8]) -> Result<Option<(u32, Arc<str>)>, RangeError> {
    let malformed = RangeError::Malformed("row");
    let row = dictionary::decode_row(row, &Keys::default()).ok_or(malformed)?;
    Ok(row.text.filter(|_| row.kind == Kind::Subject).map(|text| (row.number, text)))
}
