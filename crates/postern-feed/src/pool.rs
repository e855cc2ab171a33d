//! Texts that come again and again, each held once.
//!
//! A feed says the same few actors, sessions, fields and customers over and over. Whoever reads it
//! keeps what was read last, so that most texts need no memory of their own. The pool has a fixed
//! size: a text that is not there costs what it would cost without it.

use std::sync::Arc;

/// Texts that are kept, a power of two.
const SLOTS: usize = 1 << 16;

/// The texts that were read last.
#[derive(Debug)]
pub(crate) struct Pool(Vec<Option<Arc<str>>>);

impl Default for Pool {
    fn default() -> Self {
        Self(vec![None; SLOTS])
    }
}

impl Pool {
    /// The text, shared with whoever has it already.
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        let slot = usize::try_from(mark(text) >> 32).unwrap_or(0) % SLOTS;
        match self.0.get_mut(slot) {
            Some(Some(known)) if **known == *text => Arc::clone(known),
            Some(slot) => Arc::clone(slot.insert(text.into())),
            None => text.into(),
        }
    }
}

/// A text as a number (FNV-1a, eight bytes at a time).
pub(crate) fn mark(text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let last = (!rest.is_empty()).then_some(last);
    words.iter().copied().chain(last).fold(0xcbf2_9ce4_8422_2325, |mark, word| {
        (mark ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3).rotate_left(29)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_it_was_and_held_once_while_it_is_kept() {
        let mut pool = Pool::default();
        for round in 0..3 {
            for number in 0..200_000 {
                let text = format!("c{number}");
                assert_eq!(&*pool.text(&text), text, "round {round}");
            }
        }
        let first = pool.text("name");
        assert!(Arc::ptr_eq(&first, &pool.text("name")));
    }
}
