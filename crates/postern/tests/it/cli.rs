use crate::bench::Bench;

pub(crate) const GOOD: &str = r#"[upstream]
host = "db.example"
database = "support"
user = "postern"

[roles.agent]
kind = "restricted"
budgets = [
    { count = "masked_subjects", window = "1h", max = 500 },
    { count = "lookups", window = "1d", max = 200 },
]

[roles.dba]
kind = "accounted"

[[tables]]
name = "public.customers"
subject = "id"
clear = ["id", "plan"]
[tables.columns.email]
class = "email"
lookup = true
[tables.columns.name]
class = "name"

[[tables]]
name = "public.tickets"
subject = "customer_id"
clear = ["status"]
insert = "allow"

[[reasons]]
name = "assigned_ticket"
table = "public.tickets"
subject = "customer_id"
actor = "assignee"
where = "status IN ('open', 'pending')"
strong_when = "opened_by = 'customer'"

[watch]
suspend_on = ["unexplained_share"]
"#;

#[test]
fn check_config_explains_a_good_file() {
    let bench = Bench::new().file("postern.toml", GOOD);
    insta::assert_snapshot!(bench.run("check-config").yes(), @r#"
    clients   127.0.0.1:6432, without TLS
    guards    database support on db.example:5432, as postern, without TLS
    keeps     DIR/postern-data, 256MiB free at least
    policy    the one that comes with Postern
    watch     0.1 alerts a day per 100 people; suspends on unexplained_share

    role    kind         budgets
    agent   restricted   500 masked_subjects in 1h
                         200 lookups in 1d
    dba     accounted

    table                    customer      clear    protected
    public.customers         id            id       email (email, look-up)
                                           plan     name (name)
                                                    every other column
    public.tickets           customer_id   status   every other column
    (may be inserted into)

    reason            holds for a person and a customer                                  grade
    assigned_ticket   public.tickets: assignee is the person, customer_id the customer   strong when opened_by = 'customer', else weak
                      where status IN ('open', 'pending')
    "#);
    insta::assert_snapshot!(bench.run("check-config --json").yes(), @r#"
    {"version":1,"usable":true,"problems":[],"warnings":[]}
    "#);
}

#[test]
fn check_config_says_what_is_wrong_and_where() {
    let wrong = GOOD.replace("[\"id\", \"plan\"]", "[\"id\", \"email\"]").replace("1d", "daily");
    let bench = Bench::new().file("postern.toml", &wrong);
    insta::assert_snapshot!(bench.run("check-config").ended(1), @r#"
    error: `daily` is not a duration
      ╭─[postern.toml:10:35]
    9 │     { count = "masked_subjects", window = "1h", max = 500 },
     10 │     { count = "lookups", window = "daily", max = 200 },
      ·                                   ───┬───
      ·                                      ╰── here
     11 │ ]
      ╰────
    hint: write a whole number above 0 and one of ms, s, m, h, d, e.g. `1h`
    error: column `email` is both clear and protected
      ╭─[postern.toml:19:16]
     18 │ subject = "id"
     19 │ clear = ["id", "email"]
      ·                ───┬───
      ·                   ╰── here
     20 │ [tables.columns.email]
      ╰────
    hint: remove it from `clear`, or remove `[tables.columns.email]`
    error: `postern.toml` can't be used: 2 problems
    "#);
    insta::assert_snapshot!(bench.run("check-config --json").stdout, @r#"
    {"version":1,"usable":false,"problems":[{"line":10,"message":"`daily` is not a duration","what_to_do":"write a whole number above 0 and one of ms, s, m, h, d, e.g. `1h`"},{"line":19,"message":"column `email` is both clear and protected","what_to_do":"remove it from `clear`, or remove `[tables.columns.email]`"}],"warnings":[]}
    "#);
}

#[test]
fn an_unknown_key_is_pointed_at() {
    let wrong = GOOD.replace("lookup = true", "look_up = true");
    let bench = Bench::new().file("postern.toml", &wrong);
    insta::assert_snapshot!(bench.run("check-config").ended(1), @r#"
    error: unknown field `look_up`, expected one of `class`, `lookup`, `mask`
      ╭─[postern.toml:22:1]
     21 │ class = "email"
     22 │ look_up = true
      · ───┬───
      ·    ╰── here
     23 │ [tables.columns.name]
      ╰────
    hint: did you mean `lookup`?
    error: `postern.toml` can't be used: 1 problem
    "#);
}

#[test]
fn a_missing_configuration_is_a_failure_and_not_a_no() {
    insta::assert_snapshot!(Bench::new().run("check-config").ended(2), @"error: can't read the configuration `postern.toml`: No such file or directory (os error 2)");
    insta::assert_snapshot!(Bench::new().run("status -c other.toml").ended(2), @"error: can't read the configuration `other.toml`: No such file or directory (os error 2)");
}

#[test]
fn without_a_gateway_there_is_nobody_to_ask() {
    let bench = Bench::new().file("postern.toml", GOOD);
    insta::assert_snapshot!(bench.run("status").ended(2), @"error: no gateway answers on `DIR/postern-data/control.sock`: No such file or directory (os error 2)");
    insta::assert_snapshot!(bench.run("suspend agent13 --why leaver").ended(2), @"error: no gateway answers on `DIR/postern-data/control.sock`: No such file or directory (os error 2)");
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_64() {
    let bench = Bench::new();
    assert_eq!(bench.run("").code, Some(64));
    assert_eq!(bench.run("frobnicate").code, Some(64));
    assert_eq!(bench.run("suspend agent13").code, Some(64));
    assert_eq!(bench.run("--help").code, Some(0));
    assert_eq!(bench.run("--version").yes(), "postern 0.0.0\n");
}
