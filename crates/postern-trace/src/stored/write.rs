//! A tracer to a prepared index.

use std::io::{self, Write};

use postern_model::Text;

use super::{
    FOOTER, MAGIC,
    code::{Encoder, reading},
    head,
    known::{near_key, value_key, version_key},
    store::{Keyed, Numbered, Sink, hash},
};
use crate::{
    Tracer,
    background::{Background, at},
    index::{self, Accounts, Counting, Everything},
    reasons,
    source::{Sizes, SourceSet},
    tracks::sizes,
};

/// Where the tables are.
pub(super) struct Tables {
    pub(super) subjects: Numbered,
    pub(super) numbers: Keyed,
    pub(super) accesses: Numbered,
    pub(super) claims: Numbered,
    pub(super) values: Keyed,
    pub(super) near: Keyed,
    pub(super) versions: Keyed,
    /// By source: the readings, and the sizes of its windows.
    pub(super) sets: Numbered,
    pub(super) sizes: Numbered,
    /// By customer: the readings of all sources.
    pub(super) by_subject: Numbered,
    /// By customer: the stratum as two bytes, and the readers as four.
    pub(super) strata: u64,
    pub(super) readers: u64,
}

/// What the head says besides.
pub(super) struct Said<'t> {
    pub(super) tracer: &'t Tracer,
    pub(super) background: &'t Background,
    pub(super) accounts: Accounts,
    pub(super) everything: Everything,
    pub(super) pools: Vec<(Text, u32)>,
    pub(super) reasons: bool,
}

impl Tracer {
    /// Writes all that traces need, for [`Prepared`](super::Prepared). Nothing is read back, so
    /// what is written to need not be a file.
    ///
    /// # Errors
    ///
    /// If it can't be written.
    pub fn prepare(&mut self, to: &mut dyn Write) -> io::Result<()> {
        self.order();
        // That of the readings as they were before is of no use now.
        let tracer: &Self = self;
        let mut sink = Sink::new(to);
        sink.put(MAGIC)?;
        let background = Background::of(tracer);
        let (pools, own) = sources(tracer);
        let sets: Vec<&SourceSet> = tracer.seen.iter().chain(own).collect();
        let (written, counting, of_sets) = readings(tracer, &background, &sets, &mut sink)?;
        let (by_subject, everything) = subjects(&sets, tracer.seen.len(), &background, &mut sink)?;
        let tables = names(tracer, &mut sink)?;
        let (strata, readers) = customers(&background, &mut sink)?;
        let tables =
            Tables { sets: written, sizes: of_sets, by_subject, strata, readers, ..tables };
        let (accounts, everything) = counting.done(everything);
        let reasons = reasons::are_known(tracer);
        let said = Said { tracer, background: &background, accounts, everything, pools, reasons };
        let head = head::encode(&tables, &said);
        let mut footer = Encoder::default();
        footer.number(sink.at);
        footer.count(head.len());
        footer.number(hash(&head));
        sink.put(&head)?;
        footer.0.extend(MAGIC);
        debug_assert_eq!(footer.0.len() as u64, FOOTER);
        sink.put(&footer.0)?;
        sink.flush()
    }
}

/// The pools with the numbers of their sources, and those of which the source is no account.
fn sources(tracer: &Tracer) -> (Vec<(Text, u32)>, Vec<&SourceSet>) {
    let mut own: Vec<&SourceSet> = Vec::new();
    let mut pools = Vec::new();
    for (name, set) in tracer.pools() {
        let account = tracer.seen.iter().position(|account| std::ptr::eq(account, set));
        let number = account.unwrap_or_else(|| {
            own.push(set);
            tracer.seen.len() + own.len() - 1
        });
        pools.push((name, u32::try_from(number).unwrap_or(u32::MAX)));
    }
    (pools, own)
}

/// What each source had, and the sizes of its windows.
fn readings<'b>(
    tracer: &Tracer,
    background: &'b Background,
    sets: &[&SourceSet],
    sink: &mut Sink<'_>,
) -> io::Result<(Numbered, Counting<'b>, Numbered)> {
    let mut counting = Counting::new(background);
    let mut of_sets = Vec::new();
    let bytes = sets.iter().enumerate().map(|(number, set)| {
        let is_account = number < tracer.seen.len();
        let sizes = if is_account { counting.add(set) } else { sizes(set, background) };
        let mut encoded = Vec::new();
        sizes.iter().for_each(|sizes| sizes.encode(&mut encoded));
        of_sets.push(encoded);
        set.all().iter().flat_map(|seen| reading(seen.subject, seen)).collect::<Vec<u8>>()
    });
    let written = Numbered::write(sink, bytes)?;
    let of_sets = Numbered::write(sink, of_sets.iter())?;
    Ok((written, counting, of_sets))
}

/// What there is on each customer, and the sizes of what is everybody's.
fn subjects(
    sets: &[&SourceSet],
    accounts: usize,
    background: &Background,
    sink: &mut Sink<'_>,
) -> io::Result<(Numbered, [Sizes; 2])> {
    let mut everything = <[Sizes; 2]>::default();
    let mut offsets = vec![sink.at];
    index::by_subject(sets, background.stratum_of.len(), |postings, until| {
        let mut rest = postings;
        while offsets.len() <= at(until) {
            let subject = u32::try_from(offsets.len()).unwrap_or(u32::MAX) - 1;
            let many = rest.partition_point(|(_, seen)| seen.subject <= subject);
            let (of_subject, behind) = rest.split_at_checked(many).unwrap_or_default();
            let bytes = of_subject.iter().flat_map(|(source, seen)| reading(*source, seen));
            sink.put(&bytes.collect::<Vec<u8>>())?;
            offsets.push(sink.at);
            rest = behind;
        }
        let of_accounts = postings.iter().filter(|(source, _)| at(*source) < accounts);
        let of_accounts: Vec<_> = of_accounts.copied().collect();
        index::add_everything(&mut everything, &of_accounts, background);
        Ok::<(), io::Error>(())
    })?;
    let count = offsets.len() as u64 - 1;
    Ok((Numbered { offsets: sink.offsets(&offsets)?, count }, everything))
}

/// What is known of names and values.
fn names(tracer: &Tracer, sink: &mut Sink<'_>) -> io::Result<Tables> {
    let names = &tracer.subjects.names;
    let numbers = |all: &mut dyn Iterator<Item = u32>| -> Vec<u8> {
        all.flat_map(u32::to_le_bytes).collect()
    };
    let subjects = Numbered::write(sink, names.iter().map(|name| name.as_str()))?;
    let by_name = Keyed::write(sink, names.len(), |place| {
        let name = names.get(place).map_or("", |name| name.as_str());
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        (name.as_bytes().to_vec(), number.to_le_bytes().to_vec())
    })?;
    let accesses = Numbered::write(sink, tracer.accesses.iter())?;
    let claim =
        |claim: &Option<Text>| claim.as_ref().map(|claim| format!("={claim}")).unwrap_or_default();
    let claims = Numbered::write(sink, tracer.claims.iter().map(claim))?;
    let all: Vec<_> = tracer.by_value.iter().collect();
    let values = Keyed::write(sink, all.len(), |place| {
        all.get(place).map_or_else(Default::default, |((field, key), of)| {
            (value_key(*field, key), numbers(&mut of.iter().copied()))
        })
    })?;
    let all: Vec<_> = tracer.near.iter().collect();
    let near = Keyed::write(sink, all.len(), |place| {
        all.get(place).map_or_else(Default::default, |((field, at_start, key), of)| {
            (near_key(*field, *at_start, key), numbers(&mut of.iter().copied()))
        })
    })?;
    let all: Vec<_> = tracer.versions.iter().collect();
    let versions = Keyed::write(sink, all.len(), |place| {
        all.get(place).map_or_else(Default::default, |((subject, field), versions)| {
            let mut bytes = Encoder::default();
            for (time, text) in *versions {
                bytes.number(time.0.cast_unsigned());
                bytes.bytes(text.as_bytes());
            }
            (version_key(*subject, *field), bytes.0)
        })
    })?;
    let none = Numbered { offsets: 0, count: 0 };
    Ok(Tables {
        subjects,
        numbers: by_name,
        accesses,
        claims,
        values,
        near,
        versions,
        sets: none,
        sizes: none,
        by_subject: none,
        strata: 0,
        readers: 0,
    })
}

/// What is known of each customer apart from who took them; says where strata and readers are.
fn customers(background: &Background, sink: &mut Sink<'_>) -> io::Result<(u64, u64)> {
    let strata = sink.at;
    background.stratum_of.iter().try_for_each(|stratum| sink.put(&stratum.to_le_bytes()))?;
    let readers = sink.at;
    background.readers.iter().try_for_each(|readers| sink.put(&readers.to_le_bytes()))?;
    Ok((strata, readers))
}
