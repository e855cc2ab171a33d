//! Having what the next events need fetched from memory.
//!
//! In a large company's feed each event is about another customer and another ticket, of millions,
//! and to judge it is mostly to wait for memory, one place after the other. A processor fetches
//! many places at once where none has to be known for the next one. So the places of all events of
//! a batch are gone through in steps, before the first of them is judged. Nothing is changed by
//! that, and what is fetched in vain costs time and nothing else.

use postern_model::Timestamp;

/// What the next events will need, as far as it can be told before they are judged.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The last moment of these events.
    pub(crate) until: Timestamp,
    /// Tags of tickets' names.
    pub(crate) tags: Vec<u32>,
    pub(crate) actors: Vec<u32>,
    pub(crate) subjects: Vec<u32>,
}

/// Has what `look` reads of each be fetched: the compiler must not find out that nobody uses it.
pub(crate) fn fetch<T>(of: impl Iterator<Item = T>, look: impl Fn(T) -> Option<u32>) {
    let sum = of.filter_map(look).fold(0_u32, u32::wrapping_add);
    std::hint::black_box(sum);
}
