//! What turns up outside: lists of records, and customers who were called.

use std::fmt::Write as _;

use super::{
    World,
    words::{DOMAINS, FIRST_NAMES, LAST_NAMES},
};
use crate::demo::chance::Chance;

/// How many people the list from elsewhere has, and how many of them happen to be customers.
pub(in crate::demo) const FOREIGN_ROWS: usize = 400;
pub(in crate::demo) const FOREIGN_CUSTOMERS: usize = 60;

const HEADER: &str = "name,email,phone\n";

impl World {
    /// The list of these customers as a buyer would get it: most of the records, formatted by
    /// somebody else's hand, with a few that never were anybody's.
    pub(in crate::demo) fn leaked(&self, taken: &[usize]) -> String {
        let mut chance = Chance::new(68_000);
        let mut csv = HEADER.to_owned();
        for id in chance.some_of(taken, taken.len() - taken.len() / 10) {
            let customer = self.customer(id);
            let phone: String = customer.phone.chars().filter(|c| *c != ' ').collect();
            let name = customer.name.to_uppercase();
            let _ = writeln!(csv, "{name},{},{phone}", customer.email);
        }
        for _ in 0..taken.len() / 20 {
            stranger(&mut chance, &mut csv);
        }
        csv
    }

    /// A list that was stolen somewhere else: people of whom a few are customers too, under the
    /// same address as here.
    pub(in crate::demo) fn foreign(&self) -> String {
        let mut chance = Chance::new(3_141);
        let ids: Vec<usize> = self.customers.iter().map(|customer| customer.id).collect();
        let mut csv = HEADER.to_owned();
        for id in chance.some_of(&ids, FOREIGN_CUSTOMERS) {
            let customer = self.customer(id);
            let _ = writeln!(csv, "{},{},", customer.name, customer.email);
        }
        for _ in FOREIGN_CUSTOMERS..FOREIGN_ROWS {
            stranger(&mut chance, &mut csv);
        }
        csv
    }

    /// The few of these customers who noticed a call and wrote in about it.
    pub(in crate::demo) fn complaining(&self, taken: &[usize]) -> Vec<usize> {
        Chance::new(2_020).some_of(taken, 8)
    }
}

/// Somebody who is no customer: none of them has a double name or the `b2` domain.
fn stranger(chance: &mut Chance, csv: &mut String) {
    let first = chance.one_of(&FIRST_NAMES);
    let last = format!("{}-{}", chance.one_of(&LAST_NAMES), chance.one_of(&LAST_NAMES));
    let (number, domain) = (chance.below(100_000), chance.one_of(&DOMAINS));
    let (low, high) = (first.to_lowercase(), last.to_lowercase());
    let _ = writeln!(
        csv,
        "{first} {last},{low}{number}.{high}@b2.{domain},+1 900 555 {:04}",
        number % 10_000
    );
}
