//! The head of a prepared index: where everything is, and the sums.

use std::{collections::BTreeMap, sync::Arc};

use postern_model::{Actor, Text};

use super::{
    BySubject, FOOTER, MAGIC, Place, PreparedError, Stored, StoredSizes,
    code::{Decoder, Encoder, READING, number},
    store::{Keyed, Numbered, Store, hash},
    write::{Said, Tables},
};
use crate::{
    TraceConfig, Tracer,
    background::Background,
    field::Field,
    index::{Accounts, Everything, Index},
    innocent::Readers,
    source::{Sizes, SourceSet, Windows},
    tracks::Excluded,
};

pub(super) fn encode(tables: &Tables, said: &Said<'_>) -> Vec<u8> {
    let mut head = Encoder::default();
    for table in [
        tables.subjects,
        tables.numbers.0,
        tables.accesses,
        tables.claims,
        tables.values.0,
        tables.near.0,
        tables.versions.0,
        tables.sets,
        tables.sizes,
        tables.by_subject,
    ] {
        head.number(table.offsets);
        head.number(table.count);
    }
    head.number(tables.strata);
    head.number(tables.readers);
    let valued = said.tracer.valued();
    for (field, _) in Field::ALL {
        head.count(valued.get(&field).copied().unwrap_or(0));
    }
    head.byte(u8::from(said.reasons));
    head.byte(u8::from(said.tracer.graded));
    encode_background(said.background, &mut head);
    encode_accounts(said, &mut head);
    let everything = &said.everything;
    let mut sizes = Vec::new();
    everything.sizes.iter().for_each(|one| one.encode(&mut sizes));
    head.bytes(&sizes);
    let excluded = everything.one_account.iter();
    head.numbers(excluded.clone().map(|(kind, _)| *kind as u64).collect::<Vec<_>>().into_iter());
    head.numbers(excluded.map(|(_, window)| *window as u64).collect::<Vec<_>>().into_iter());
    head.count(said.pools.len());
    for (name, number) in &said.pools {
        head.bytes(name.as_bytes());
        head.number(u64::from(*number));
    }
    head.0
}

fn encode_background(background: &Background, head: &mut Encoder) {
    let (from, length, levels) = background.windows.parts();
    head.number(from.cast_unsigned());
    head.number(length.cast_unsigned());
    head.number(u64::from(levels));
    head.count(background.strata);
    head.floats(&background.sizes);
    head.floats(&background.readings);
    head.floats(&background.squares);
}

fn encode_accounts(said: &Said<'_>, head: &mut Encoder) {
    let (tracer, accounts) = (said.tracer, &said.accounts);
    head.count(tracer.accounts.names.len());
    for name in &tracer.accounts.names {
        head.bytes(name.as_str().as_bytes());
        head.byte(u8::from(tracer.is_shared(name)));
    }
    head.floats(&accounts.unexplained);
    head.floats(&accounts.shown);
    head.float(accounts.usually_unexplained);
    for (masses, worked) in accounts.masses.iter().zip(&accounts.worked) {
        head.floats(masses);
        head.numbers(worked.iter().map(|count| u64::from(*count)));
    }
}

/// Reads a head, and makes the tracer that it describes.
pub(super) fn open(store: Store, config: TraceConfig) -> Result<Tracer, PreparedError> {
    let store = Arc::new(store);
    let head = read(&store);
    let opened = head.as_deref().and_then(|head| tracer(&store, &mut Decoder(head), config));
    match (store.failed(), opened) {
        (Some(error), _) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error.into()),
        (Some(_), _) | (None, None) => Err(PreparedError::Damaged),
        (None, Some(tracer)) => Ok(tracer),
    }
}

fn read(store: &Store) -> Option<Vec<u8>> {
    let footer = store.read(store.length().checked_sub(FOOTER)?, FOOTER);
    let mut parts = Decoder(&footer);
    let (at, length, expected) = (parts.number()?, parts.number()?, parts.number()?);
    let is_whole = parts.0 == MAGIC && store.read(0, MAGIC.len() as u64) == MAGIC;
    let head = is_whole.then(|| store.read(at, length))?;
    (hash(&head) == expected).then_some(head)
}

fn tracer(store: &Arc<Store>, head: &mut Decoder<'_>, config: TraceConfig) -> Option<Tracer> {
    let mut table = || Some(Numbered { offsets: head.number()?, count: head.number()? });
    let (subjects, numbers, accesses, claims) = (table()?, Keyed(table()?), table()?, table()?);
    let (values, near, versions) = (Keyed(table()?), Keyed(table()?), Keyed(table()?));
    let (sets, of_sets, by_subject) = (table()?, table()?, table()?);
    let (strata, readers) = (head.number()?, head.number()?);
    let mut valued = BTreeMap::new();
    for (field, _) in Field::ALL {
        valued.insert(field, head.count()?);
    }
    valued.retain(|_, count| *count > 0);
    let (reasons, graded) = (head.byte()? != 0, head.byte()? != 0);
    let mut tracer = Tracer::new(config);
    tracer.graded = graded;
    let of_customers = (store.as_ref(), strata, readers, subjects.count);
    let background = background(head, of_customers, &tracer.config)?;
    let accounts = accounts(head, &mut tracer)?;
    let many = u32::try_from(tracer.accounts.names.len()).ok()?;
    let sizes = Sizes::decode(head.bytes()?, background.windows, background.strata);
    let count = |numbers: Vec<u64>| -> Vec<usize> {
        numbers.into_iter().filter_map(|number| usize::try_from(number).ok()).collect()
    };
    let (kinds, windows) = (count(head.numbers()?), count(head.numbers()?));
    let one_account: Excluded = kinds.into_iter().zip(windows).collect();
    let mut pools = Vec::new();
    for _ in 0..head.count()? {
        let name = Text::from(head.text()?);
        pools.push((name, u32::try_from(head.number()?).ok()?));
    }
    let stored_sizes = StoredSizes { store: Arc::clone(store), table: of_sets };
    let of_pools =
        pools.iter().map(|(name, number)| (name.clone(), stored_sizes.of(*number, &background)));
    let of_pools = of_pools.collect();
    let mut all = source_sets(store, sets)?;
    let pool_sets = all.split_off(all.len().min(usize::try_from(many).ok()?));
    tracer.seen = all;
    let postings = BySubject::new(Arc::clone(store), by_subject, many);
    let sums = (accounts, Everything { sizes, one_account });
    let readers = Readers::stored(postings);
    tracer.keep(Index::stored(background, readers, sums, stored_sizes, of_pools));
    let store = Arc::clone(store);
    tracer.stored = Some(Stored {
        store,
        subjects,
        numbers,
        accesses,
        claims,
        values,
        near,
        versions,
        valued,
        pools,
        pool_sets,
        reasons,
    });
    Some(tracer)
}

fn background(
    head: &mut Decoder<'_>,
    (store, strata_at, readers_at, customers): (&Store, u64, u64, u64),
    config: &TraceConfig,
) -> Option<Background> {
    let (from, length) = (head.number()?.cast_signed(), head.number()?.cast_signed());
    let windows = Windows::of_parts((from, length, u32::try_from(head.number()?).ok()?));
    let strata = head.count()?;
    let sums = [head.floats()?, head.floats()?, head.floats()?];
    let pairs = store.read(strata_at, customers.checked_mul(2)?);
    let pairs = pairs.chunks_exact(2).filter_map(|two| two.try_into().ok());
    let stratum_of = pairs.map(u16::from_le_bytes).collect();
    let fours = store.read(readers_at, customers.checked_mul(4)?);
    let fours = fours.chunks_exact(4).filter_map(|four| four.try_into().ok());
    let readers = fours.map(u32::from_le_bytes).collect();
    Some(Background::known(windows, (strata, stratum_of), readers, sums, config))
}

/// The accounts, which are made known to the tracer, and what was counted of them.
fn accounts(head: &mut Decoder<'_>, tracer: &mut Tracer) -> Option<Accounts> {
    let many = head.count()?;
    for _ in 0..many {
        let name = Actor::new(head.text()?);
        tracer.accounts.number(&name);
        if head.byte()? != 0 {
            tracer.config.shared_accounts.insert(name);
        }
    }
    let (unexplained, shown) = (head.floats()?, head.floats()?);
    let usually_unexplained = head.float()?;
    let (mut masses, mut worked) = (Vec::new(), Vec::new());
    for _ in 0..many {
        masses.push(head.floats()?);
        let counts = head.numbers()?.into_iter();
        worked.push(counts.map(|count| u32::try_from(count).unwrap_or(u32::MAX)).collect());
    }
    Some(Accounts { masses, unexplained, usually_unexplained, shown, worked })
}

/// Where each source's readings are.
fn source_sets(store: &Arc<Store>, table: Numbered) -> Option<Vec<SourceSet>> {
    let offsets = store.read(table.offsets, table.count.checked_add(1)?.checked_mul(8)?);
    let offsets: Vec<u64> = offsets.chunks_exact(8).map(number).collect();
    let place = |both: &[u64]| {
        let [from, until] = both else { return None };
        let count = until.checked_sub(*from)? / READING as u64;
        Some(SourceSet::stored(Place { store: Arc::clone(store), at: *from, count }))
    };
    offsets.windows(2).map(place).collect()
}
