//! A session against a scripted client and server; the catalogue is that of three small tables,
//! `customers (id, name, email)`, `tickets (id, customer_id, assignee)` and `products (id, name)`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use postern_model::{Actor, FieldClass, Grade, Reason, Subject, Timestamp};
use postern_policy::Policy;
use postern_sql::Catalogue;
use postern_wire::{
    Backend, Bind, Column, Execute, Frame, FrameReader, Frontend, Parse, Target, TransactionStatus,
    encode,
};

use crate::{
    ColumnSettings, Effect, EndUser, Enforcement, Entitled, HoldLimits, Input, InsertRule, Judge,
    Kind, Profile, ReasonGrade, ReasonSet, ReasonSettings, Session, Stopped, TableSettings,
    TakeRule, Unrecorded, View, plan_rules,
};

mod asked;
mod copies;
mod cuts;
mod holds;
mod kept;
mod literals;
mod malice;
mod moments;
mod names;
mod passed_through;
mod proofs;
mod proven;
mod refusals;
mod sharing;
mod values;
mod weights;
mod writes;

/// One session with all around it.
struct Table {
    session: Session,
    judge: Judge,
    entitled: Arc<Entitled>,
    generation: u64,
    now: Timestamp,
    /// What the last inputs led to.
    effects: Vec<Effect>,
    /// Questions whether there is room for a search are answered by yes.
    answers: bool,
    /// The actor was stopped lately.
    asks: bool,
}

impl Table {
    /// A restricted actor with a reason for customers 1 and 3; the catalogue never changes.
    fn new() -> Self {
        Self::with_proofs(false)
    }

    fn with_proofs(proves: bool) -> Self {
        Self::of_kind(Kind::Restricted, proves)
    }

    fn of_kind(kind: Kind, proves: bool) -> Self {
        let (judge, key_sets) = judge(kind);
        let profile = Profile {
            end_user: EndUser::Own,
            actor: Actor::new("ana"),
            role: "agent".into(),
            kind,
            enforcement: Enforcement::Enforce,
            key_sets: Arc::<[ReasonSet]>::from(key_sets),
            proves,
            moments: false,
            limits: HoldLimits { rows_max: 3, ..HoldLimits::default() },
        };
        Self {
            session: Session::new(Arc::new(profile)),
            judge,
            entitled: Arc::new(entitled(&["1", "3"])),
            generation: 1,
            now: Timestamp(0),
            effects: Vec::new(),
            answers: true,
            asks: false,
        }
    }

    /// A session that may keep so many bytes by name.
    fn keeping(names_bytes_max: usize) -> Self {
        let mut table = Self::new();
        let mut profile = (*table.session.profile).clone();
        profile.limits.names_bytes_max = names_bytes_max;
        table.session = Session::new(Arc::new(profile));
        table
    }

    fn input(&mut self, input: Input) -> &mut Self {
        let (judge, entitled) = (&mut self.judge, &self.entitled);
        let (generation, now, asks) = (self.generation, self.now, self.asks);
        let mut view = View { judge, generation, entitled, now, asks };
        self.session.handle(input, &mut view, &mut self.effects);
        self.answer()
    }

    /// There is room for every search, unless a test says otherwise.
    fn answer(&mut self) -> &mut Self {
        let Some(at) = self.effects.iter().position(|e| matches!(e, Effect::Ask { .. })) else {
            return self;
        };
        if self.answers
            && let Effect::Ask { question, .. } = self.effects.remove(at)
        {
            self.input(Input::Asked { question, answer: Ok(None) });
        }
        self
    }

    fn client(&mut self, message: impl FnOnce(&mut BytesMut)) -> &mut Self {
        for frame in frames(message) {
            self.input(Input::Client(frame));
        }
        self
    }

    fn server(&mut self, message: impl FnOnce(&mut BytesMut)) -> &mut Self {
        for frame in frames(message) {
            self.input(Input::Server(frame));
        }
        self
    }

    fn query(&mut self, sql: &str) -> &mut Self {
        self.client(|out| encode::query(out, sql).unwrap())
    }

    /// The server's answer to a query: rows of text, the last cell the hidden key.
    fn rows(&mut self, rows: &[&[&str]]) -> &mut Self {
        self.server(|out| {
            for row in rows {
                let cells: Vec<_> = row.iter().map(|cell| Some(cell.as_bytes())).collect();
                encode::data_row(out, cells).unwrap();
            }
        })
    }

    fn described(&mut self, names: &[&str]) -> &mut Self {
        let columns: Vec<_> = names.iter().map(|name| text_column(name)).collect();
        self.server(|out| encode::row_description(out, &columns).unwrap())
    }

    fn completed(&mut self, tag: &str) -> &mut Self {
        self.server(|out| encode::command_complete(out, tag).unwrap())
    }

    fn ready(&mut self, status: TransactionStatus) -> &mut Self {
        self.server(|out| encode::ready_for_query(out, status))
    }

    fn recorded(&mut self, hold: u64, allowed: usize) -> &mut Self {
        self.input(Input::Recorded { hold, allowed, stopped: None })
    }

    /// The answer to a request for proof: the catalogue's present generation.
    fn proven(&mut self, proof: u64, generation: u64) -> &mut Self {
        self.input(Input::Proven { proof, generation: Some(generation) })
    }

    fn stopped(&mut self, hold: u64, allowed: usize) -> &mut Self {
        let stopped = Stopped { counter: "masked_subjects", max: 2, window: "1h".to_owned() };
        self.input(Input::Recorded { hold, allowed, stopped: Some(stopped) })
    }

    /// What the inputs since the last call led to, one line each.
    fn told(&mut self) -> Vec<String> {
        let effects = std::mem::take(&mut self.effects);
        effects.into_iter().flat_map(|effect| tell(&effect)).collect()
    }
}

fn judge(kind: Kind) -> (Judge, Vec<ReasonSet>) {
    let catalogue = Catalogue::from_json(include_str!("tests/catalogue.json")).unwrap();
    let policy = Policy::parse(Policy::default_text()).unwrap();
    let who = (&Actor::new("ana"), "agent", kind);
    let (rules, key_sets) = plan_rules(&tables(), &[reason()], &policy, who);
    let path: Arc<[String]> = Arc::from(["public".to_owned()]);
    let judge = Judge::new(Some(Arc::new(catalogue)), Arc::new(rules), path, "pk_".into());
    (judge, key_sets)
}

fn tables() -> Vec<TableSettings> {
    let column = |name: &str, class, lookup| ColumnSettings {
        name: name.to_owned(),
        class,
        lookup,
        mask: Some("***".to_owned()),
    };
    let table = |table: &str, subject: &str, clear: &[&str], columns| TableSettings {
        schema: "public".to_owned(),
        table: table.to_owned(),
        subject: subject.to_owned(),
        clear: clear.iter().map(ToString::to_string).collect(),
        columns,
        insert: if table == "tickets" { InsertRule::Allow } else { InsertRule::Refuse },
        update: if table == "tickets" {
            Vec::new()
        } else {
            vec!["name".to_owned(), "email".to_owned()]
        },
        update_own: Vec::new(),
        delete: false,
    };
    let columns =
        vec![column("name", FieldClass::Name, false), column("email", FieldClass::Email, true)];
    vec![
        table("customers", "id", &["id"], columns),
        table("tickets", "customer_id", &["id", "customer_id", "assignee"], Vec::new()),
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

fn entitled(subjects: &[&str]) -> Entitled {
    let reason = Reason { name: "ticket".into(), grade: Grade::Strong };
    let held = subjects.iter().map(|subject| (Subject::new(*subject), reason.clone()));
    Entitled::new(held, Timestamp(1_000_000))
}

fn text_column(name: &str) -> Column<'_> {
    Column {
        name,
        table_oid: 0,
        attribute: 0,
        type_oid: 25,
        type_size: -1,
        type_modifier: -1,
        format: 0,
    }
}

fn frames(message: impl FnOnce(&mut BytesMut)) -> Vec<Frame> {
    let mut bytes = BytesMut::new();
    message(&mut bytes);
    cut_frames(&bytes)
}

fn cut_frames(bytes: &[u8]) -> Vec<Frame> {
    let mut bytes = BytesMut::from(bytes);
    let reader = FrameReader::new(1 << 20);
    let frames = std::iter::from_fn(|| reader.next(&mut bytes).unwrap()).collect();
    assert!(bytes.is_empty(), "half a message");
    frames
}

fn tell(effect: &Effect) -> Vec<String> {
    match effect {
        Effect::ToClient(bytes) => {
            cut_frames(bytes).iter().map(|f| format!("client < {}", backend(f))).collect()
        }
        Effect::ToServer(bytes) => {
            cut_frames(bytes).iter().map(|f| format!("server < {}", frontend(f))).collect()
        }
        Effect::Hold(hold) => {
            let rows = hold.rows.iter().map(|row| {
                let touches = row.touches.iter().map(|touch| {
                    let how = if touch.reason.is_some() { "clear" } else { "masked" };
                    format!("{}:{how}", touch.subject)
                });
                touches.collect::<Vec<_>>().join("+")
            });
            let rows = rows.collect::<Vec<_>>().join(" ");
            let lookups = hold.lookups.iter().map(|l| if l.hit { " hit" } else { " miss" });
            vec![format!("hold {} [{rows}]{}", hold.id, lookups.collect::<String>())]
        }
        Effect::Tell(hold) => {
            let touches = hold.rows.iter().flat_map(|row| &row.touches);
            let asked = touches.map(|touch| touch.subject.to_string());
            let told = hold.lookups.iter().map(|l| if l.hit { "hit" } else { "miss" }.to_owned());
            vec![format!("tell {}", told.chain(asked).collect::<Vec<_>>().join(" "))]
        }
        Effect::Ask { searches, .. } => vec![format!("ask {searches}")],
        Effect::Moment { proof, moment } => {
            vec![format!("moment {proof}: {}", moment.as_deref().unwrap_or("none"))]
        }
        Effect::Prove { proof } => vec![format!("prove {proof}")],
        Effect::Defined => vec!["defined".to_owned()],
        Effect::Release { hold, rows } => vec![format!("release {hold}: {rows}")],
        Effect::Refused(refused) => vec![format!("refused by {}", refused.refusal.rule)],
        Effect::Wrote(shown) => vec![format!("wrote {}", shown.leaves[0].relation)],
        Effect::Name(_) => vec!["name".to_owned()],
        Effect::ReadReasons => vec!["read reasons".to_owned()],
        Effect::CancelUpstream => vec!["cancel".to_owned()],
        Effect::Close => vec!["close".to_owned()],
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest goes by its name")]
fn backend(frame: &Frame) -> String {
    match Backend::parse(frame).unwrap() {
        Backend::RowDescription(columns) => {
            let names: Vec<_> = columns.iter().map(|column| column.name).collect();
            format!("columns {}", names.join(", "))
        }
        Backend::DataRow(row) => {
            let text = |cell: Option<&[u8]>| {
                cell.map_or("NULL".into(), |c| String::from_utf8_lossy(c).into_owned())
            };
            format!("row {}", row.cells().map(text).collect::<Vec<_>>().join(", "))
        }
        Backend::CommandComplete(tag) => tag.to_owned(),
        Backend::ReadyForQuery(status) => format!("ready {}", char::from(status.as_byte())),
        Backend::ErrorResponse(fields) => {
            format!("error {} {}", fields.sqlstate().unwrap(), fields.message().unwrap_or_default())
        }
        Backend::ParameterDescription(types) => format!("parameters {}", types.len()),
        other => other.name().to_owned(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest goes by its letter")]
fn frontend(frame: &Frame) -> String {
    match Frontend::parse(frame).unwrap() {
        Frontend::Query(sql) => format!("query {sql}"),
        Frontend::Parse(Parse { name, sql, .. }) => format!("parse {name:?} {sql}"),
        Frontend::Bind(Bind { portal, statement, parameters, .. }) => {
            let last = parameters.last().copied().flatten().unwrap_or_default();
            let last = String::from_utf8_lossy(last);
            format!("bind {portal:?} {statement:?} {} parameters, last {last}", parameters.len())
        }
        Frontend::Describe(target) => format!("describe {target:?}"),
        Frontend::Execute(Execute { portal, .. }) => format!("execute {portal:?}"),
        Frontend::Close(target) => format!("close {target:?}"),
        Frontend::Sync => "sync".to_owned(),
        Frontend::Flush => "flush".to_owned(),
        _ => char::from(frame.tag()).to_string(),
    }
}

#[test]
fn what_is_not_protected_passes_as_it_comes() {
    let mut table = Table::new();
    table.query("SELECT name FROM products");
    assert_eq!(table.told(), ["server < query SELECT products.name FROM public.products"]);
    table.described(&["name"]).rows(&[&["pen"]]).completed("SELECT 1");
    table.ready(TransactionStatus::Idle);
    assert_eq!(
        table.told(),
        ["client < columns name", "client < row pen", "client < SELECT 1", "client < ready I"]
    );
}

#[test]
fn garbage_from_the_server_ends_the_session() {
    for tag in [b'D', b'1', b'C', b'G', b'R', b'Z'] {
        let mut table = Table::new();
        let raw = Bytes::from(vec![tag, 0, 0, 0, 4]);
        table.input(Input::Server(Frame::from_raw(raw).unwrap()));
        let told = table.told();
        assert_eq!(told.last().map(String::as_str), Some("close"), "{tag} {told:?}");
        assert!(told[0].starts_with("client < error 08006"), "{told:?}");
    }
}

#[test]
fn an_unsolicited_ready_ends_the_session() {
    let mut table = Table::new();
    table.ready(TransactionStatus::Idle);
    assert_eq!(table.told().last().map(String::as_str), Some("close"));
}

fn extended(table: &mut Table, sql: &str, parameters: &[&str]) {
    table.client(|out| {
        let types = Vec::new();
        encode::parse(out, &Parse { name: "s", sql, types }).unwrap();
        encode::describe(out, Target::Statement("s")).unwrap();
        let parameters = parameters.iter().map(|p| Some(p.as_bytes())).collect();
        let bind = Bind {
            portal: "",
            statement: "s",
            formats: Vec::new(),
            parameters,
            result_formats: Vec::new(),
        };
        encode::bind(out, &bind).unwrap();
        encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
        encode::sync(out);
    });
}
