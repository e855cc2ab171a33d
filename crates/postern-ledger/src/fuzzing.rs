//! For the fuzz targets (`crates/postern-fuzz`): what reads bytes of a ledger, or of a connection
//! about one, that anybody may have written. Each takes any bytes, and panics where a promise is
//! broken.

use postern_merkle::VerifyingKey;

use crate::{
    bytes::Cursor,
    dictionary::{Rows, check_frame, decode_frame, decode_row},
    epoch::Keys,
    follow, frame, payload, range, set,
};

/// The payload of an entry's frame: it is looked at and read alike, and what it takes is bounded by
/// its length.
///
/// # Panics
/// If looking finds good what reading does not, or the other way round.
pub fn entry(bytes: &[u8]) {
    /// Of customers, names and texts, as many as no fuzzer's input needs more.
    const ROWS: [u32; 3] = [1000, 1000, 1000];
    let rows = Rows::counted(ROWS);
    let mut cursor = Cursor::new(bytes);
    let Ok(head) = payload::Head::decode(&mut cursor) else { return };
    let decoded = payload::decode(&head, cursor, &rows);
    if let Some(named) = payload::skim(bytes) {
        assert_eq!(named.are_in(ROWS), decoded.is_ok(), "{decoded:?}");
    }
    if decoded.is_ok() {
        assert!(payload::kind_name(head.open.kind).is_ok(), "an entry of a kind without a name");
    }
}

/// A set of record numbers: it ascends, is looked at and read alike, and written again it is no
/// longer, and the same set.
///
/// # Panics
/// If not.
pub fn numbers(bytes: &[u8]) {
    let (mut cursor, mut ahead) = (Cursor::new(bytes), Cursor::new(bytes));
    let decoded = set::decode(&mut cursor);
    let looked = set::skim(&mut ahead);
    let Ok(decoded) = decoded else { return assert!(looked.is_err(), "{looked:?}") };
    assert_eq!(looked.ok(), Some((decoded.len() as u64, decoded.last().copied())));
    assert!(decoded.is_sorted_by(|one, next| one < next), "{decoded:?}");
    let read = bytes.len() - cursor.rest().len();
    let mut out = Vec::new();
    set::encode(&decoded, &mut out);
    assert!(out.len() <= read, "{} bytes, written as {}", read, out.len());
    let again = set::decode(&mut Cursor::new(&out));
    assert_eq!(again.ok().as_ref(), Some(&decoded));
}

/// Frames of a segment, or rows of a dictionary, one after the other.
///
/// # Panics
/// If a row is checked otherwise than it is read, or more is read than there is.
pub fn frames(bytes: &[u8]) {
    let mut rest = bytes;
    while let frame::Found::Frame { payload, .. } = frame::look(rest) {
        entry(payload);
        rest = rest.get(frame::FRAME_BYTES + payload.len()..).unwrap_or_default();
    }
    let keys = Keys::default();
    let mut rest = bytes;
    loop {
        let (read, checked) = (decode_frame(rest, &keys), check_frame(rest, &keys));
        let length = read.map(|(_, length)| length);
        assert_eq!(length, checked.map(|(_, length)| length));
        let Some(length) = length else { break };
        assert!(length > 0 && length <= rest.len(), "{length} of {} bytes", rest.len());
        rest = rest.get(length..).unwrap_or_default();
    }
    // As it stands in a proof, without a checksum.
    let _ = decode_row(bytes, &keys);
}

/// A message between a ledger and its follower: what is read is written again as the same bytes.
///
/// # Panics
/// If not.
pub fn message(bytes: &[u8]) {
    if let Some(written) = follow::written_again(bytes) {
        assert_eq!(written, bytes);
    }
}

/// A proof of one entry or of a range, as somebody hands it over.
pub fn proof(text: &str, key: &VerifyingKey) {
    // Whatever they say: a proof that holds is as good as any.
    let _ = crate::check_proof(text, key);
    let _ = crate::check_range(text, key);
    let _ = range::named_in_range(text);
    if let Ok(redacted) = range::redact_range(text, &std::collections::BTreeSet::new()) {
        let named = range::named_in_range(&redacted);
        assert!(named.is_ok_and(|named| named.is_empty()), "a name is left");
    }
}
