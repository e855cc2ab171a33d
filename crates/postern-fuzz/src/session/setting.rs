//! The catalogue, policy and judge of all scripts: three small tables, of which two are protected.

use std::{cell::RefCell, sync::Arc};

use postern_model::{Actor, FieldClass, Grade};
use postern_policy::Policy;
use postern_session::{
    ColumnSettings, InsertRule, Judge, Kind, ReasonGrade, ReasonSet, ReasonSettings, TableSettings,
    TakeRule, plan_rules,
};
use postern_sql::Catalogue;

/// `customers (id, name, email)`, `tickets (id, customer_id, assignee)`, `products (id, name)`.
const CATALOGUE: &str = include_str!("../../../postern-session/src/tests/catalogue.json");

pub(super) struct Setting {
    /// Remembers what it has judged from script to script, as a core does.
    pub(super) judge: Judge,
    pub(super) key_sets: Arc<[ReasonSet]>,
}

thread_local! {
    static SETTING: RefCell<Option<Setting>> = const { RefCell::new(None) };
}

pub(super) fn with<T>(run: impl FnOnce(&mut Setting) -> T) -> T {
    SETTING.with_borrow_mut(|setting| run(setting.get_or_insert_with(Setting::new)))
}

impl Setting {
    fn new() -> Self {
        let catalogue = Catalogue::from_json(CATALOGUE);
        let Ok(catalogue) = catalogue else { panic!("the catalogue is not read") };
        let policy = Policy::parse(Policy::default_text());
        let Ok(policy) = policy else { panic!("the policy is not read") };
        let who = (&Actor::new("ana"), "agent", Kind::Restricted);
        let (rules, key_sets) = plan_rules(&tables(), &[reason()], &policy, who);
        let path: Arc<[String]> = Arc::from(["public".to_owned()]);
        let judge = Judge::new(Some(Arc::new(catalogue)), Arc::new(rules), path, "pk_".into());
        Self { judge, key_sets: key_sets.into() }
    }
}

fn tables() -> Vec<TableSettings> {
    let column = |name: &str, class, lookup| ColumnSettings {
        name: name.to_owned(),
        class,
        lookup,
        mask: Some("***".to_owned()),
    };
    let table =
        |table: &str, subject: &str, clear: &[&str], columns, update: &[&str]| TableSettings {
            schema: "public".to_owned(),
            table: table.to_owned(),
            subject: subject.to_owned(),
            clear: clear.iter().map(ToString::to_string).collect(),
            columns,
            insert: if table == "tickets" { InsertRule::Allow } else { InsertRule::Refuse },
            update: update.iter().map(ToString::to_string).collect(),
            update_own: Vec::new(),
            delete: false,
        };
    let columns =
        vec![column("name", FieldClass::Name, false), column("email", FieldClass::Email, true)];
    let clear = ["id", "customer_id", "assignee"];
    vec![
        table("customers", "id", &["id"], columns, &["name", "email"]),
        table("tickets", "customer_id", &clear, Vec::new(), &[]),
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
        grade: ReasonGrade::Always(Grade::Weak),
        take: Some(TakeRule { pool: Vec::new(), order: Vec::new(), sets: Vec::new() }),
    }
}
