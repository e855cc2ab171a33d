//! What a text is judged as, over the catalogue of `fixture.sql`.

use postern_model::FieldClass;

use super::analyse;
use crate::{
    Act, AskedValue, Catalogue, ColumnRule, Context, Guarded, Hole, InsertRule, KeySet, LookupKind,
    LookupValue, Makes, Mode, Named, Passed, Reach, ReasonRule, Refusal, Rules, Show, Strong,
    TableRule, TakeRule, UpdateRule, Values, Verdict,
};

mod actor;
mod around;
mod asked;
mod changed;
mod definitions;
mod embedded;
mod folds;
mod guarded;
mod leaves;
mod limits;
mod links;
mod mutations;
mod named;
mod names;
mod order;
mod paths;
mod policies;
mod recursion;
mod refused;
mod saves;
mod settings;
mod shapes;
mod statements;
mod takes;

mod unions;
mod values;
mod views;
mod windows;
mod writes;

const PREFIX: &str = "pk_";

fn column(name: &str, class: FieldClass, show: Show, lookup: bool) -> ColumnRule {
    ColumnRule { name: name.to_owned(), class, show, lookup, mask: None }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn table(table: &str, subject: &str, clear: &[&str], columns: Vec<ColumnRule>) -> TableRule {
    TableRule {
        schema: "public".to_owned(),
        table: table.to_owned(),
        subject: subject.to_owned(),
        clear: names(clear),
        columns,
        insert: InsertRule::Refuse,
        update: Vec::new(),
        delete: Reach::Refuse,
        reasons: Vec::new(),
    }
}

fn updates(columns: &[&str], reach: Reach) -> impl Iterator<Item = UpdateRule> {
    let rule = move |column: &&str| UpdateRule { column: (*column).to_owned(), reach };
    columns.iter().map(rule).collect::<Vec<_>>().into_iter()
}

/// Tickets make reasons: strong ones if the customer opened them.
fn reason() -> ReasonRule {
    ReasonRule {
        subject: "customer_id".to_owned(),
        actor: "assignee".to_owned(),
        condition: "tickets.status IN ('open', 'pending')".to_owned(),
        strong: Strong::When("opened_by = 'customer'".to_owned()),
        insert: Makes::Weak,
        take: Some(TakeRule {
            pool: vec![Values { column: "status".to_owned(), values: names(&["open"]) }],
            order: names(&["number"]),
            sets: vec![Values { column: "status".to_owned(), values: names(&["pending"]) }],
        }),
    }
}

fn rules(mode: Mode) -> Rules {
    let own = Show::Keyed(KeySet(0));
    let customers = vec![
        column("name", FieldClass::Name, own, false),
        column("email", FieldClass::Email, own, true),
        column("phone", FieldClass::Phone, Show::Masked, true),
        column("nick", FieldClass::Name, Show::Clear, false),
    ];
    let tickets = vec![
        column("number", FieldClass::CaseNumber, own, true),
        column("body", FieldClass::FreeText, own, false),
    ];
    let clear = ["id", "status", "assignee", "opened_by"];
    let mut tickets = table("tickets", "customer_id", &clear, tickets);
    tickets.insert = InsertRule::Allow;
    let keyed = Reach::Keyed(KeySet(1));
    let mut customers = table("customers", "id", &["country", "created_at"], customers);
    customers.update.extend(updates(&["name", "email", "phone", "country"], keyed));
    // What a configuration must not say is refused here too.
    customers.update.extend(updates(&["id"], keyed));
    let fixed = ["status", "customer_id", "assignee", "opened_by"];
    tickets.update.extend(updates(&["number", "body"], keyed));
    tickets.update.extend(updates(&fixed, Reach::Own(KeySet(1))));
    tickets.delete = keyed;
    tickets.reasons.push(reason());
    if mode == Mode::Accounted {
        for table in [&mut customers, &mut tickets] {
            table.update.iter_mut().for_each(|rule| rule.reach = Reach::All);
            table.delete = Reach::All;
            // As the session asks for such a role.
            table.columns.iter_mut().for_each(|column| column.show = Show::Clear);
        }
    }
    Rules {
        mode,
        tables: vec![
            customers,
            tickets,
            table("accounts", "holder", &[], Vec::new()),
            table("staff", "id", &[], Vec::new()),
            table("people", "id", &["plan", "initial", "label", "bucket"], Vec::new()),
        ],
        functions: names(&["public.vouched"]),
        relations: Vec::new(),
        unprotected: None,
        reason_names: Vec::new(),
    }
}

fn catalogue() -> Catalogue {
    Catalogue::from_json(include_str!("fixture.json")).unwrap()
}

/// The verdicts on `sql`, one a line. Leaves are written `<schema.table b ...>`.
fn judged(sql: &str, mode: Mode) -> String {
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    match analyse(sql, &catalogue(), &rules(mode), context) {
        Err(error) => format!("error {}: {error}", error.sqlstate),
        Ok(statements) => {
            let lines = statements.iter().map(|statement| match &statement.verdict {
                Verdict::Refused(refusal) => format!("{} {}", refusal.sqlstate, refusal.rule),
                Verdict::Plain(plain) => format!("plain {}", plain.sql),
                Verdict::Local(local) => format!("{local:?}"),
                Verdict::Guarded(guarded) => written(guarded),
                Verdict::Copy(copy) => {
                    format!("copy{} {:?} of {}", copy.options, copy.form, written(&copy.query))
                }
                Verdict::Named(named) => written_named(named),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

fn written_named(named: &Named) -> String {
    let query = |query: &Verdict| match query {
        Verdict::Plain(plain) => format!("plain {}", plain.sql),
        Verdict::Guarded(guarded) => written(guarded),
        Verdict::Refused(_) | Verdict::Local(_) | Verdict::Named(_) | Verdict::Copy(_) => {
            panic!("{query:?}")
        }
    };
    let act = match &named.act {
        Act::Prepare { types, query: of, .. } => {
            format!("prepare ({}) as {}", types.join(", "), query(of))
        }
        Act::Execute(arguments) => format!("execute ({}) {:?}", arguments.sql, arguments.values),
        Act::Deallocate => "deallocate".to_owned(),
        Act::Declare { options, holds, query: of } => {
            let holds = if *holds { "holding " } else { "" };
            format!("declare {options}{holds}as {}", query(of))
        }
        Act::Fetch { what, moves, jumps } => {
            format!("fetch {what} moves {moves}{}", if *jumps { " jumps" } else { "" })
        }
        Act::Close => "close".to_owned(),
        Act::ShowTicket => "show ticket".to_owned(),
    };
    format!("{}: {act}", named.name)
}

fn written(guarded: &Guarded) -> String {
    let whole = guarded.sql.render_literal(|hole| match hole {
        Hole::Keys(set, _) => format!("{{set{}}}", set.0),
        Hole::Actor => "{actor}".to_owned(),
    });
    // The leaves, printed apart, stand where they would be if all had been printed at once.
    let read = pg_query::parse(&whole, 0).unwrap();
    assert_eq!(
        pg_query::deparse(&read.protobuf, pg_query::DeparseOptions::default()),
        Ok(whole.clone())
    );
    let sql = folded(&whole);
    let keys: Vec<String> = guarded.keys.iter().map(|key| key.leaf.to_string()).collect();
    let silent = if guarded.silent { ", silent" } else { "" };
    let visible = guarded.visible_columns;
    let mut text = format!("{sql}\n  {visible} columns, keys [{}]{silent}", keys.join(" "));
    for leaf in &guarded.leaves {
        let set = leaf.key_set.map(|set| format!(" set {}", set.0)).unwrap_or_default();
        text.push_str(&format!("\n  {}{set}", leaf.relation));
        for (what, columns) in
            [("clear", &leaf.clear), ("shown", &leaf.shown), ("masked", &leaf.masked)]
        {
            if !columns.is_empty() {
                text.push_str(&format!(" {what} {}", columns.join(" ")));
            }
        }
    }
    for lookup in &guarded.lookups {
        let value = match &lookup.value {
            LookupValue::Constant(text) => format!("{text:?}"),
            LookupValue::Parameter(number) => format!("${number}"),
        };
        let what = match lookup.kind {
            LookupKind::Compared => "lookup",
            LookupKind::Stored => "stored",
        };
        text.push_str(&format!("\n  {what} {}.{} = {value}", lookup.relation, lookup.column));
    }
    for decider in &guarded.decided_by {
        text.push_str(&format!("\n  decided by {}.{}", decider.relation, decider.column));
    }
    text
}

/// Whom a statement asks about by the key: of each the leaf and the value, and whether that is told
/// before its rows.
fn asks(sql: &str) -> String {
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
    let guarded = match &statements.first().unwrap().verdict {
        Verdict::Guarded(guarded) => guarded,
        verdict => panic!("{sql}: {verdict:?}"),
    };
    let asked = guarded.asked.iter().map(|asked| match &asked.value {
        AskedValue::Constant(key) => format!("{}: {key}", asked.leaf),
        AskedValue::Parameter(number) => format!("{}: ${number}", asked.leaf),
        AskedValue::Array(number) => format!("{}: ${number}[]", asked.leaf),
    });
    let asked: Vec<String> = asked.collect();
    let when = if guarded.asked_first && !asked.is_empty() { "first, " } else { "" };
    format!("{when}{}", asked.join(", "))
}

/// The text with each leaf's sub-select shortened to what it reads.
fn folded(sql: &str) -> String {
    let Some(start) = sql.find("(SELECT b.") else { return sql.to_owned() };
    let mut depth = 0;
    let mut end = sql.len();
    for (place, letter) in sql[start..].char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            end = start + place;
            break;
        }
    }
    let from = start + own_from(&sql[start..end]);
    let read = &sql[from..end];
    // How the actor's own records are told is not what most tests are about.
    let join = read.find(" CROSS JOIN LATERAL (SELECT b.");
    let after = |join: usize| read[join..].find(" WHERE ").map_or("", |at| &read[join + at..]);
    let read = join.map_or(read.to_owned(), |join| format!("{}{}", &read[..join], after(join)));
    // Nor where it is made.
    let (before, after) = (&sql[..start], &sql[end + 1..]);
    let outside = after.strip_prefix(" l ON true WHERE l.tableoid IS NOT NULL)");
    let (before, after) = match (before.rfind("(SELECT l."), outside) {
        (Some(begins), Some(after)) => (&before[..begins], after),
        _ => (before, after),
    };
    format!("{before}<{read}>{}", folded(after))
}

/// Where what a sub-select reads begins.
fn own_from(sql: &str) -> usize {
    let mut depth = 0;
    let found = sql.char_indices().find(|(place, letter)| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 1 && sql[*place..].starts_with(" FROM ")
    });
    found.map_or(0, |(place, _)| place + 6)
}

#[track_caller]
fn check(sql: &str, expected: &str) {
    assert_eq!(judged(sql, Mode::Restricted), expected, "{sql}");
}

#[track_caller]
fn check_accounted(sql: &str, expected: &str) {
    assert_eq!(judged(sql, Mode::Accounted), expected, "{sql}");
}

/// Each of the statements is refused by the rule.
#[track_caller]
fn refused(rule: &str, statements: &[&str]) {
    for sql in statements {
        assert_eq!(judged(sql, Mode::Restricted), format!("42501 {rule}"), "{sql}");
    }
}

/// What a person is told of a statement that is refused.
#[track_caller]
fn refusal_of(sql: &str) -> Refusal {
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
    match &statements.first().unwrap().verdict {
        Verdict::Refused(refusal) => refusal.clone(),
        verdict => panic!("{verdict:?}"),
    }
}
