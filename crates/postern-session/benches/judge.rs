//! What a statement costs that was judged before: its plan from memory, and the actor's keys.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use postern_model::{Actor, FieldClass, Grade, Reason, Subject, Timestamp};
use postern_policy::Policy;
use postern_session::{
    ColumnSettings, Entitled, InsertRule, Judge, Judged, Kind, ReasonGrade, ReasonSet,
    ReasonSettings, TableSettings, plan_rules,
};
use postern_sql::{Catalogue, KeyType};

#[path = "../../postern-sql/benches/shared/cpu.rs"]
mod cpu;

const BY_KEY: &str = "SELECT id, name, email FROM customers WHERE id = $1";
const JOIN: &str = "SELECT \"tickets\".\"id\" AS \"t0_c0\", \"tickets\".\"customer_id\" AS \
    \"t0_c1\", \"tickets\".\"assignee\" AS \"t0_c2\", \"customers\".\"id\" AS \"t1_c0\", \
    \"customers\".\"name\" AS \"t1_c1\", \"customers\".\"email\" AS \"t1_c2\" FROM \"tickets\" \
    INNER JOIN \"customers\" ON \"customers\".\"id\" = \"tickets\".\"customer_id\" WHERE \
    \"tickets\".\"assignee\" = $1 AND \"tickets\".\"id\" > $2 AND \"customers\".\"id\" < $3 ORDER \
    BY \"tickets\".\"id\", \"tickets\".\"customer_id\", \"tickets\".\"assignee\" LIMIT 50";

const KEYS: usize = 1_000;

fn tables() -> Vec<TableSettings> {
    let column = |name: &str, class| ColumnSettings {
        name: name.to_owned(),
        class,
        lookup: false,
        mask: None,
    };
    let table = |table: &str, subject: &str, clear: &[&str], columns| TableSettings {
        schema: "public".to_owned(),
        table: table.to_owned(),
        subject: subject.to_owned(),
        clear: clear.iter().map(ToString::to_string).collect(),
        columns,
        insert: InsertRule::Refuse,
        update: Vec::new(),
        update_own: Vec::new(),
        delete: false,
    };
    let columns = vec![column("name", FieldClass::Name), column("email", FieldClass::Email)];
    vec![
        table("customers", "id", &[], columns),
        table("tickets", "customer_id", &["id", "assignee"], Vec::new()),
    ]
}

fn reason() -> ReasonSettings {
    ReasonSettings {
        name: "ticket".into(),
        schema: "public".to_owned(),
        table: "tickets".to_owned(),
        subject: "customer_id".to_owned(),
        actor: "assignee".to_owned(),
        ticket: None,
        condition: "true".to_owned(),
        grade: ReasonGrade::Always(Grade::Strong),
        take: None,
    }
}

fn known(criterion: &mut Criterion<cpu::CpuTime>) {
    let snapshot = include_str!("../src/tests/catalogue.json");
    let Ok(catalogue) = Catalogue::from_json(snapshot) else { return };
    let Ok(policy) = Policy::parse(Policy::default_text()) else { return };
    let who = (&Actor::new("ana"), "agent", Kind::Restricted);
    let (rules, sets) = plan_rules(&tables(), &[reason()], &policy, who);
    let path: Arc<[String]> = Arc::from(["public".to_owned()]);
    let mut judge = Judge::new(Some(Arc::new(catalogue)), Arc::new(rules), path, "pk_".into());
    let mut group = criterion.benchmark_group("judge");
    group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    for (name, sql) in [("known_by_key", BY_KEY), ("known_orm_join", JOIN)] {
        assert!(matches!(&*judge.judge(sql), Judged::Statements(_)), "{sql}");
        group.bench_function(name, |bencher| bencher.iter(|| judge.judge(black_box(sql))));
    }
    let reason = Reason { name: "ticket".into(), grade: Grade::Strong };
    let read = (0..KEYS).map(|key| (Subject::new(key.to_string()), reason.clone()));
    let read: Vec<_> = read.collect();
    let entitled = Entitled::new(read.clone(), Timestamp(1));
    let set = sets.first().cloned().unwrap_or_else(|| ReasonSet(vec![reason]));
    group.bench_function("keys_known", |bencher| {
        bencher.iter(|| entitled.array((black_box(&set), KeyType::Int), Timestamp(0)));
    });
    group.bench_function("keys_of_a_new_reading", |bencher| {
        let fresh = || Entitled::new(read.clone(), Timestamp(1));
        let write =
            |entitled: Entitled| entitled.array((black_box(&set), KeyType::Int), Timestamp(0));
        bencher.iter_batched(fresh, write, criterion::BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(cpu::CpuTime);
    targets = known
}
criterion_main!(benches);
