//! Finds protected values in a stream of bytes, and whose they are.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use super::world::World;

/// Bytes of a value by which it is looked up; no value is shorter.
const KEY: usize = 8;

/// All protected values of a world, by where they begin.
#[derive(Debug)]
pub(super) struct Values<'a> {
    by_start: HashMap<&'a [u8], Vec<Value<'a>>>,
}

#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    customer: usize,
    field: &'static str,
    text: &'a [u8],
}

/// Which fields of which customers were found.
pub(super) type Found = BTreeMap<usize, BTreeSet<&'static str>>;

impl<'a> Values<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let mut by_start: HashMap<&[u8], Vec<Value<'_>>> = HashMap::new();
        let mut add = |customer, field, text: &'a str| {
            let text = text.as_bytes();
            if let Some(start) = text.get(..KEY) {
                by_start.entry(start).or_default().push(Value { customer, field, text });
            }
        };
        for customer in &world.customers {
            for (field, text) in customer.protected() {
                add(customer.id, field, text);
            }
        }
        for ticket in &world.tickets {
            add(ticket.customer, "ticket", &ticket.number);
            add(ticket.customer, "body", &ticket.body);
        }
        Self { by_start }
    }

    /// Every protected value that stands anywhere in the bytes, except inside a longer one:
    /// `1 Elm Road` is no value in `11 Elm Road`.
    pub(super) fn found_in(&self, bytes: &[u8]) -> Found {
        let mut places = Vec::new();
        for (at, start) in bytes.windows(KEY).enumerate() {
            let rest = bytes.get(at..).unwrap_or_default();
            let here = self.by_start.get(start).into_iter().flatten();
            let here = here.filter(|value| rest.starts_with(value.text));
            places.extend(here.map(|value| (at, Reverse(at + value.text.len()), *value)));
        }
        places.sort_by_key(|(start, end, _)| (*start, *end));
        let mut found = Found::new();
        let mut covered = 0;
        for (_, Reverse(end), value) in places {
            if end > covered {
                covered = end;
                found.entry(value.customer).or_default().insert(value.field);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use postern_model::Timestamp;

    use super::*;

    #[test]
    fn a_value_is_found_wherever_it_stands_and_is_its_owners() {
        let world = World::new(Timestamp(1_700_000_000_000_000));
        let values = Values::new(&world);
        let (ada, bob) = (world.customer(17), world.customer(19_999));
        let bytes = format!("D\0\0{}\0{{\"phone\":\"{}\"}}", ada.email, bob.phone);
        let found = values.found_in(bytes.as_bytes());
        let expected: Found =
            [(17, ["email"].into()), (19_999, ["phone"].into())].into_iter().collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_value_inside_a_longer_one_is_not_there() {
        let world = World::new(Timestamp(1_700_000_000_000_000));
        let values = Values::new(&world);
        let mut inside = 0;
        for customer in &world.customers {
            let found = values.found_in(customer.address.as_bytes());
            assert_eq!(found.keys().copied().collect::<Vec<_>>(), [customer.id]);
            inside += usize::from(customer.address.starts_with("11 "));
        }
        assert!(inside > 0, "nobody lives at an 11, so that this shows nothing");
    }

    #[test]
    fn masks_and_parts_of_values_are_no_values() {
        let world = World::new(Timestamp(1_700_000_000_000_000));
        let values = Values::new(&world);
        let name = &world.customer(3).name;
        let bytes = format!("*** {} +1 555 example.com T-1000000", &name[..name.len() - 1]);
        assert_eq!(values.found_in(bytes.as_bytes()), Found::new());
    }
}
