//! Policies that are tried before they are in force.

use crate::{raw::Raw, served::Served, support::Support};

const CASES: &str = r#"
[[case]]
name = "an agent sees names of own customers"
actor = "ana"
table = "public.customers"
column = "name"
reason = "assigned_ticket"
expect = "permit"

[[case]]
role = "agent"
table = "public.customers"
column = "email"
expect = "deny"

[[case]]
role = "agent"
action = "connect"
expect = "permit"

[[case]]
actor = "ana"
sql = "SELECT id, name, plan FROM customers WHERE id = 4"
expect = "guarded"
clear = ["public.customers.name"]
masked = []

[[case]]
actor = "ana"
sql = "SELECT id FROM customers ORDER BY name; SELECT title FROM products"
expect = "plain"

[[case]]
role = "metered"
sql = "LOCK TABLE customers"
expect = "refused"
rule = "lock"
"#;

/// Policy by which only strong reasons show anything, and no e-mail address is shown.
const STRICTER: &str = r#"
permit (principal, action == Action::"connect", resource);
@id("strong_only")
permit (principal, action == Action::"see_clear", resource)
when {
    context has reason && context.reason.grade == Grade::"strong" &&
    resource has class && resource.class != FieldClass::"email"
};
"#;

#[test]
fn cases_are_compared_with_what_is_decided() {
    let support = Support::new();
    std::fs::write(support.bench.path("cases.toml"), CASES).unwrap();
    std::fs::write(support.bench.path("stricter.cedar"), STRICTER).unwrap();
    let found = support.bench.run("policy test cases.toml").yes();
    assert_eq!(found.trim(), "6 cases, all as expected");
    let found = support.bench.run("policy test cases.toml --policy stricter.cedar");
    assert_eq!(found.code, Some(1), "{found:?}");
    for line in [
        "differs  line 2: an agent sees names of own customers",
        "         - decision: permit",
        "         + decision: deny",
        "         no rule permits it",
        "6 cases, 1 otherwise than expected",
    ] {
        assert!(found.stdout.contains(line), "{line}: {}", found.stdout);
    }
    let wrong = CASES
        .replace("\"refused\"", "\"guarded\"")
        .replace("clear = [\"public.customers.name\"]", "clear = []");
    std::fs::write(support.bench.path("wrong.toml"), wrong).unwrap();
    let found = support.bench.run("policy test wrong.toml --json").ended(1);
    for part in [
        r#""differs":[["clear","nothing","public.customers.name"]]"#,
        r#""differs":[["decision","guarded","refused"]]"#,
        r#""line":21"#,
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }
}

#[test]
fn a_case_that_makes_no_sense_is_an_error_with_its_line() {
    let support = Support::new();
    let check = |case: &str, expected: &str| {
        std::fs::write(support.bench.path("cases.toml"), format!("\n[[case]]\n{case}\n")).unwrap();
        let found = support.bench.run("policy test cases.toml");
        assert_eq!(found.code, Some(2), "{case}: {found:?}");
        assert!(found.stderr.contains(expected), "{case}: {}", found.stderr);
    };
    let field = "table = \"public.customers\"\ncolumn = \"name\"\nexpect = \"permit\"";
    check(&format!("actor = \"nobody\"\n{field}"), "line 2 of `cases.toml`");
    check(&format!("actor = \"nobody\"\n{field}"), "there is no account `nobody`");
    check(&format!("role = \"boss\"\n{field}"), "the configuration has no role `boss`");
    check(field, "one of `actor` and `role`");
    check(&format!("role = \"agent\"\nreason = \"x\"\n{field}"), "has no reason `x`");
    check(&format!("role = \"agent\"\naction = \"steal\"\n{field}"), "`steal` is no action");
    check("role = \"agent\"\nsql = \"SELECT 1\"\nexpect = \"permit\"", "`expect` of SQL is one of");
    check("role = \"agent\"\nhue = 1\nexpect = \"permit\"", "unknown field `hue`");
}

#[test]
fn a_replay_says_what_another_policy_would_have_shown() {
    let support = Support::new();
    std::fs::write(support.bench.path("stricter.cedar"), STRICTER).unwrap();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    let answer = ana.query("SELECT id, name, email FROM customers WHERE id <= 8").unwrap();
    assert_eq!(answer.rows.len(), 8);
    // Ana has strong reasons for 4 and 8; the others are masked under both.
    let found = support.bench.run("policy replay stricter.cedar --days 1").ended(1);
    assert!(
        found.contains("masked    agent: public.customers.email for assigned_ticket (strong)"),
        "{found}"
    );
    assert!(found.contains("1 entries, 2 customers, 1 accounts"), "{found}");
    assert!(!found.contains("customers.name"), "{found}");
    let same = support.bench.run("policy replay policy.cedar").yes();
    assert!(same.contains("nothing would be otherwise"), "{same}");
    let nobody = support.bench.path("nobody.cedar");
    std::fs::write(nobody, "permit (principal, action == Action::\"look_up\", resource);").unwrap();
    let found = support.bench.run("policy replay nobody.cedar --json").ended(1);
    assert!(found.contains(r#""what":"kept out""#), "{found}");
    // Who looks is an entry.
    let shown = support.bench.run("ledger show").yes();
    assert!(shown.contains("asked the ledger for all entries"), "{shown}");
}
