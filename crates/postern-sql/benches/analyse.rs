//! What the analysis of a statement costs that no judge has seen yet.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use postern_sql::{Catalogue, Context, LeafTexts, analyse};

#[path = "shared/cpu.rs"]
mod cpu;
#[path = "shared/rules.rs"]
mod rules;

/// That of the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As an object-relational mapper writes it: every column by its full name, with an alias.
const JOIN: &str = "SELECT \"tickets\".\"id\" AS \"t0_c0\", \"tickets\".\"customer_id\" AS \
    \"t0_c1\", \"tickets\".\"number\" AS \"t0_c2\", \"tickets\".\"body\" AS \"t0_c3\", \
    \"tickets\".\"status\" AS \"t0_c4\", \"tickets\".\"assignee\" AS \"t0_c5\", \
    \"customers\".\"id\" AS \"t1_c0\", \"customers\".\"name\" AS \"t1_c1\", \
    \"customers\".\"email\" AS \"t1_c2\", \"customers\".\"phone\" AS \"t1_c3\", \
    \"customers\".\"country\" AS \"t1_c4\", \"customers\".\"created_at\" AS \"t1_c5\" \
    FROM \"tickets\" INNER JOIN \"customers\" ON \"customers\".\"id\" = \
    \"tickets\".\"customer_id\" WHERE \"tickets\".\"status\" = 'open' AND \
    \"tickets\".\"assignee\" = $1 ORDER BY \"tickets\".\"id\" LIMIT 50";

const STATEMENTS: [(&str, &str); 4] = [
    ("unprotected", "SELECT id, name, price FROM products WHERE id = $1"),
    ("by_key", "SELECT id, name, email FROM customers WHERE id = $1"),
    ("orm_join", JOIN),
    ("refused", "SELECT pg_read_file('/etc/passwd') FROM customers"),
];

fn uncached(criterion: &mut Criterion<cpu::CpuTime>) {
    let snapshot = include_str!("../src/analyse/fixture.json");
    let Ok(catalogue) = Catalogue::from_json(snapshot) else { return };
    let (rules, path) = (rules::rules(), ["public".to_owned()]);
    let first = Context::new(&path, "pk_");
    let texts = LeafTexts::default();
    // As in the gateway: the text is new, its tables are not.
    let later = Context { leaf_texts: Some(&texts), ..first };
    let mut group = criterion.benchmark_group("analyse");
    group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    for (name, sql) in STATEMENTS {
        for (seen, context) in [("", later), ("_first", first)] {
            let judge = |bencher: &mut criterion::Bencher<'_, cpu::CpuTime>| {
                bencher.iter(|| analyse(black_box(sql), &catalogue, &rules, context));
            };
            group.bench_function(format!("{name}{seen}"), judge);
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(cpu::CpuTime);
    targets = uncached
}
criterion_main!(benches);
