//! The five acts. Each plays over real connections and checks what came of it.

use super::{
    Play,
    person::Person,
    values::{Found, Values},
};

pub(super) mod grab;
pub(super) mod ledger;
pub(super) mod pretext;
pub(super) mod traced;
pub(super) mod work;

impl Play<'_> {
    /// Logs in somebody who must be let in.
    async fn log_in(&self, actor: &str) -> anyhow::Result<Person> {
        let answer = Person::log_in(self.setting.address, actor).await?;
        answer.map_err(|error| {
            anyhow::anyhow!("`{actor}` is not let in: {}", super::person::said(&error))
        })
    }

    /// Notes what an account's client was sent.
    fn remember(&mut self, actor: &str, person: &Person) {
        let found = self.values.found_in(&person.received_since(0));
        let shown = self.shown.entry(actor.to_owned()).or_default();
        for (customer, fields) in found {
            shown.entry(customer).or_default().extend(fields);
        }
    }
}

/// What stands in the bytes of customers other than these.
fn of_others(values: &Values<'_>, bytes: &[u8], own: &[usize]) -> Found {
    let mut found = values.found_in(bytes);
    found.retain(|customer, _| !own.contains(customer));
    found
}

/// How many rows there are in the bytes that a client was sent.
fn rows_in(mut bytes: &[u8]) -> usize {
    let mut rows = 0;
    while let [tag, a, b, c, d, ..] = *bytes {
        rows += usize::from(tag == b'D');
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let Some(rest) = bytes.get(length.saturating_add(1)..) else { break };
        bytes = rest;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_and_a_cut_stream_ends_the_count() {
        assert_eq!(rows_in(b"D\0\0\0\x06\0\0D\0\0\0\x06\0\0Z\0\0\0\x05I"), 2);
        assert_eq!(rows_in(b"D\0\0\0\x06\0\0D\0\0"), 1);
        assert_eq!(rows_in(b""), 0);
    }
}
