use postern_model::Event;
use postern_trace::{Prepared, TraceConfig, Verdict};

use super::*;
use crate::{
    chance::Chance,
    world::{Setting, Style},
};

fn small(seed: u64) -> World {
    of_style(seed, Style::Usual)
}

fn of_style(seed: u64, style: Style) -> World {
    let setting = Setting {
        customers: 3_000,
        agents: 16,
        days: 21,
        queues: 2,
        languages: 1,
        tickets: 5.0,
        activity: 1.0,
        graded: true,
        fields: true,
        moving: 0.1,
        curious: 0.03,
        style,
    };
    World::with(setting, Chance::new(seed))
}

#[test]
fn a_seed_gives_the_same_lists_for_ever() {
    let told = || {
        let mut world = small(1);
        let samples = leaks(&mut world, 4);
        samples.into_iter().map(|sample| (sample.sources, sample.leak)).collect::<Vec<_>>()
    };
    assert_eq!(told(), told());
}

#[test]
fn lists_are_as_long_as_they_say_and_of_every_kind() {
    let samples = leaks(&mut small(2), 4);
    for kind in Kind::ALL {
        assert!(samples.iter().any(|sample| sample.kind == kind), "{kind}");
    }
    for sample in samples.iter().filter(|sample| sample.length == 10) {
        assert!((8..=12).contains(&sample.leak.rows.len()), "{:?}", sample.kind);
        assert_eq!(sample.kind.is_guilty(), !sample.sources.is_empty());
    }
}

#[test]
fn thieves_are_named_and_nobody_else() {
    let mut world = small(3);
    let samples = leaks(&mut world, 16);
    let config = TraceConfig { customers: Some(3_000), ..TraceConfig::default() };
    let mut tracer = world.tracer(config);
    let mut named = 0;
    for sample in samples.iter().filter(|sample| sample.length <= 100) {
        let trace = tracer.trace(&sample.leak);
        for actor in &trace.actors {
            assert!(sample.sources.iter().any(|s| s == actor.as_str()), "{sample:?} {trace:?}");
        }
        if !sample.kind.is_guilty() {
            assert!(
                !matches!(trace.verdict, Verdict::Attributed | Verdict::Coalition),
                "{:?}",
                trace.why
            );
        }
        named += usize::from(!trace.actors.is_empty());
    }
    assert!(named >= 8, "only {named} lists were attributed");
}

#[test]
fn a_style_changes_what_is_told_and_lists_are_made_in_each() {
    for style in Style::ALL {
        let mut setting = small(4).setting;
        style.set(&mut setting);
        setting.agents = setting.agents.min(30);
        setting.days = setting.days.min(60);
        let mut world = World::with(setting, Chance::new(4));
        let samples = leaks(&mut world, 4);
        assert!(samples.iter().all(|sample| !sample.leak.rows.is_empty()), "{style}");
        let other = world.told_events().filter(|e| !matches!(e, Event::Access(_))).count();
        assert_eq!(other == 0, style == Style::Bare, "{style}");
        assert_eq!(world.told_values().is_empty(), style == Style::Keys, "{style}");
        let keyed = |sample: &Sample| sample.leak.rows.iter().any(|row| row.subject.is_some());
        if style == Style::Column || style == Style::Typos {
            assert!(!samples.iter().any(keyed), "{style}");
        }
    }
}

#[test]
fn a_measurement_of_scale_traces_what_it_says() {
    let measured = crate::scale::measure(100_000, 500, 1).unwrap();
    assert_eq!(measured.first.as_deref(), Some("agent7"));
    assert_eq!((measured.disclosures, measured.customers, measured.rows), (100_000, 10_000, 500));
}

#[test]
fn a_prepared_index_says_of_every_list_what_the_whole_feed_says() {
    for (seed, style) in [(7, Style::Usual), (8, Style::Desks), (9, Style::Unsorted)] {
        let mut world = of_style(seed, style);
        let samples = leaks(&mut world, 8);
        let mut tracer =
            world.tracer(TraceConfig { innocent_leaks: 100, ..TraceConfig::default() });
        let expected: Vec<_> = samples.iter().map(|sample| tracer.trace(&sample.leak)).collect();
        let next = tracer.next_called(&samples[0].leak);
        let mut bytes = Vec::new();
        tracer.prepare(&mut bytes).unwrap();
        let config = TraceConfig { innocent_leaks: 100, ..TraceConfig::default() };
        let mut prepared = Prepared::open(Box::new(bytes), config).unwrap();
        for (sample, expected) in samples.iter().zip(expected) {
            assert_eq!(prepared.trace(&sample.leak).unwrap(), expected, "{style} {sample:?}");
        }
        assert_eq!(prepared.next_called(&samples[0].leak).unwrap(), next);
    }
}
