use std::{fmt::Write, sync::LazyLock};

use postern_model::{Actor, FieldClass, Grade};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

/// Read once, for it takes longer than to decide.
fn default_policy() -> &'static Policy {
    static POLICY: LazyLock<Policy> =
        LazyLock::new(|| Policy::parse(Policy::default_text()).unwrap());
    &POLICY
}

fn reason(grade: Grade) -> Reason {
    Reason { name: "assigned_ticket".into(), grade }
}

/// A request to see the e-mail address of a customer for whom nothing holds.
fn see_email(actor: &Actor) -> Request<'_> {
    Request {
        actor,
        role: "agent",
        action: Action::SeeClear,
        table: "public.customers",
        column: Some("email"),
        class: Some(FieldClass::Email),
        reason: None,
    }
}

fn decision(permitted: bool, rules: &[&str]) -> Decision {
    Decision { permitted, rules: rules.iter().map(|rule| (*rule).to_owned()).collect() }
}

#[test]
fn the_default_policy_wants_a_reason_for_clear_values() {
    let (policy, eva) = (default_policy(), Actor::new("eva"));
    let (weak, strong) = (reason(Grade::Weak), reason(Grade::Strong));
    let check = |request: Request<'_>, expected| assert_eq!(policy.decide(&request), expected);
    let email = see_email(&eva);
    check(email, decision(false, &[]));
    let seen = decision(true, &["agents_see_with_a_reason"]);
    check(Request { reason: Some(&weak), ..email }, seen.clone());
    check(Request { reason: Some(&strong), ..email }, seen);
    check(Request { reason: Some(&strong), role: "administrator", ..email }, decision(false, &[]));
    check(Request { reason: Some(&strong), class: None, ..email }, decision(false, &[]));
    check(
        Request { reason: Some(&strong), class: Some(FieldClass::Secret), ..email },
        decision(false, &["secrets_stay_secret"]),
    );
}

#[test]
fn the_default_policy_lets_agents_work() {
    let (policy, eva) = (default_policy(), Actor::new("eva"));
    let (weak, strong) = (reason(Grade::Weak), reason(Grade::Strong));
    let check = |request: Request<'_>, expected| assert_eq!(policy.decide(&request), expected);
    let look_up = Request { action: Action::LookUp, ..see_email(&eva) };
    check(look_up, decision(true, &["agents_look_up"]));
    check(
        Request { class: Some(FieldClass::Secret), ..look_up },
        decision(false, &["secrets_stay_secret"]),
    );
    let open = Request {
        action: Action::OpenTicket,
        table: "public.tickets",
        column: None,
        class: None,
        ..look_up
    };
    check(open, decision(true, &["agents_open_tickets"]));
    check(Request { reason: Some(&weak), ..open }, decision(true, &["agents_open_tickets"]));
    check(Request { reason: Some(&strong), ..open }, decision(false, &[]));
    let connect = Request { action: Action::Connect, table: "", ..open };
    check(connect, decision(true, &["known_roles_connect"]));
    check(Request { role: "administrator", ..connect }, decision(true, &["known_roles_connect"]));
    check(Request { role: "guest", ..connect }, decision(false, &[]));
    check(Request { role: "", ..connect }, decision(false, &[]));
}

#[test]
fn an_incomplete_request_is_denied_whatever_the_rules_say() {
    let policy = Policy::parse("permit (principal, action, resource);").unwrap();
    let eva = Actor::new("eva");
    let email = see_email(&eva);
    assert_eq!(policy.decide(&email), decision(true, &["policy0"]));
    assert_eq!(policy.decide(&Request { column: None, ..email }), decision(false, &[]));
    let look_up = Request { action: Action::LookUp, column: None, ..email };
    assert_eq!(policy.decide(&look_up), decision(false, &[]));
}

#[test]
fn no_rules_permit_nothing() {
    let policy = Policy::parse("").unwrap();
    let eva = Actor::new("eva");
    for action in Action::ALL {
        let request = Request { action, ..see_email(&eva) };
        assert_eq!(policy.decide(&request), decision(false, &[]));
    }
}

#[test]
fn an_error_while_evaluating_denies_what_another_rule_permits() {
    // Overflow is the one error that the validator can't rule out; here it depends on the request.
    let policy = Policy::parse(
        r#"@id("all") permit (principal, action, resource);
           @id("broken") forbid (principal, action == Action::"see_clear", resource)
           when { resource.name == "email" && 9223372036854775807 + 1 == 0 };"#,
    );
    let (policy, eva) = (policy.unwrap(), Actor::new("eva"));
    let email = see_email(&eva);
    assert_eq!(policy.decide(&email), decision(false, &["broken"]));
    assert_eq!(policy.decide(&Request { column: Some("x"), ..email }), decision(true, &["all"]));
}

#[test]
fn rules_speak_of_actors_tables_columns_and_reasons_by_name() {
    let check = |rule: &str, expected: bool| {
        let policy = Policy::parse(rule).unwrap();
        let (eva, why) = (Actor::new("eva"), reason(Grade::Weak));
        let request = Request { reason: Some(&why), ..see_email(&eva) };
        assert_eq!(policy.decide(&request).permitted, expected, "{rule}");
    };
    let see = r#"action == Action::"see_clear""#;
    check(&format!(r#"permit (principal == Actor::"eva", {see}, resource);"#), true);
    check(&format!(r#"permit (principal == Actor::"bob", {see}, resource);"#), false);
    let on = |resource: &str| format!("permit (principal, {see}, resource {resource});");
    check(&on(r#"in Table::"public.customers""#), true);
    check(&on(r#"in Table::"public.tickets""#), false);
    check(&on(r#"== Column::"public.customers.email""#), true);
    check(&on(r#"== Column::"public.customers.phone""#), false);
    let when = |what: &str| format!("permit (principal, {see}, resource) when {{ {what} }};");
    check(&when(r#"resource.name == "email""#), true);
    check(&when(r#"context has reason && context.reason.name == "assigned_ticket""#), true);
    check(&when(r#"context has reason && context.reason.grade == Grade::"strong""#), false);
}

#[test]
fn no_two_columns_have_the_same_full_name() {
    let check = |name, expected: &str| assert_eq!(quoted(name), expected);
    check("email_2", "email_2");
    check("E-Mail", "\"E-Mail\"");
    check("a.b", "\"a.b\"");
    check("a\"b", "\"a\"\"b\"");
    check("", "\"\"");
    check("größe", "\"größe\"");
}

#[test]
fn mistakes_are_told_with_their_place() {
    let check = |text: &str, expected: &str| {
        let shown = Policy::parse(text).unwrap_err().to_string();
        assert!(shown.starts_with(expected), "{shown}");
    };
    check("permit (principal, action, resource)", "line 1, column 37: unexpected end of input");
    check("\n  allow (principal, action, resource);", "line 2, column 3: ");
    check(
        "permit (principal, action == Action::\"see_claer\", resource);",
        "line 1, column 30: for policy `policy0`, unrecognized action `Action::\"see_claer\"`",
    );
    check(
        "// größer\nforbid (principal, action == Action::\"see_clear\", resource)\n\
         when { resource.colour == 1 };",
        "line 3, column 8: for policy `policy0`, attribute `colour`",
    );
    check(
        "forbid (principal, action == Action::\"see_clear\", resource)\n\
         when { resource has class && resource.class == FieldClass::\"secert\" };",
        "line 2, column 48: for policy `policy0`: entity `FieldClass::\"secert\"` is of",
    );
    // An optional attribute must be asked for before it is used.
    check(
        "forbid (principal, action == Action::\"see_clear\", resource)\n\
         when { resource.class == FieldClass::\"secret\" };",
        "line 2, column 8: for policy `policy0`, unable to guarantee safety",
    );
    // Never true: no column is a gateway.
    check(
        "permit (principal, action == Action::\"see_clear\", resource == Gateway::\"postern\");",
        "line 1, column 1: for policy `policy0`, ",
    );
    check("permit (principal == ?principal, action, resource);", "rule `policy0` is a template");
    check(
        "@id(\"a\") permit (principal, action, resource);\n\
         @id(\"a\") forbid (principal, action, resource);",
        "two rules have the id `a`",
    );
}

/// The default policy, said once more without Cedar.
fn naive_default(request: &Request<'_>) -> bool {
    let agent = request.role == "agent";
    let administrator = request.role == "administrator";
    let secret = request.class == Some(FieldClass::Secret);
    let with_column = request.column.is_some();
    match request.action {
        Action::SeeClear => {
            agent && with_column && request.reason.is_some() && request.class.is_some() && !secret
        }
        Action::LookUp => agent && with_column && !secret,
        Action::OpenTicket => {
            administrator || agent && request.reason.is_none_or(|r| r.grade == Grade::Weak)
        }
        Action::Take => agent,
        Action::Update => with_column && (administrator || agent && request.reason.is_some()),
        Action::Delete => administrator,
        Action::Connect => agent || administrator,
    }
}

/// A request's parts, owned.
#[derive(Debug, Clone)]
struct Asked {
    actor: String,
    role: String,
    action: Action,
    table: String,
    column: Option<String>,
    class: Option<FieldClass>,
    reason: Option<(String, Grade)>,
}

impl Asked {
    fn with<T>(&self, ask: impl FnOnce(&Request<'_>) -> T) -> T {
        let actor = Actor::new(self.actor.as_str());
        let reason = self
            .reason
            .as_ref()
            .map(|(name, grade)| Reason { name: name.as_str().into(), grade: *grade });
        ask(&Request {
            actor: &actor,
            role: &self.role,
            action: self.action,
            table: &self.table,
            column: self.column.as_deref(),
            class: self.class,
            reason: reason.as_ref(),
        })
    }
}

fn roles() -> impl Strategy<Value = String> {
    let known = select(&["agent", "administrator", "Agent", "guest"][..]).prop_map(str::to_owned);
    prop_oneof![4 => known, 1 => any::<String>()]
}

fn grades() -> impl Strategy<Value = Grade> {
    select(&[Grade::Weak, Grade::Strong][..])
}

fn asked() -> impl Strategy<Value = Asked> {
    let words = || prop_oneof![Just("email".to_owned()), any::<String>()];
    (
        words(),
        roles(),
        select(&Action::ALL[..]),
        words(),
        option::weighted(0.9, words()),
        option::weighted(0.9, select(&FieldClass::ALL[..])),
        option::of((words(), grades())),
    )
        .prop_map(|(actor, role, action, table, column, class, reason)| Asked {
            actor,
            role,
            action,
            table,
            column,
            class,
            reason,
        })
}

/// A rule of a simple kind: conditions that are there must all hold.
#[derive(Debug, Clone)]
struct Rule {
    permits: bool,
    role: Option<&'static str>,
    action: Action,
    class: Option<FieldClass>,
    grade: Option<Grade>,
}

impl Rule {
    fn cedar(&self, id: usize) -> String {
        let effect = if self.permits { "permit" } else { "forbid" };
        let role = self.role.map(|role| format!(" in Role::\"{role}\"")).unwrap_or_default();
        let action = self.action.as_str();
        let mut text = format!(
            "@id(\"r{id}\") {effect} (principal{role}, action == Action::\"{action}\", resource)"
        );
        if let Some(class) = self.asks_class() {
            let class = class.as_str();
            let condition = format!("resource.class == FieldClass::\"{class}\"");
            write!(text, " when {{ resource has class && {condition} }}").unwrap();
        }
        if let Some(grade) = self.asks_grade() {
            let condition = format!("context.reason.grade == Grade::\"{}\"", grade.as_str());
            write!(text, " when {{ context has reason && {condition} }}").unwrap();
        }
        text + ";"
    }

    /// Only columns have a class.
    fn asks_class(&self) -> Option<FieldClass> {
        let on_column = is_on_column(self.action);
        self.class.filter(|_| on_column)
    }

    /// There is no reason for connecting.
    fn asks_grade(&self) -> Option<Grade> {
        self.grade.filter(|_| self.action != Action::Connect)
    }

    fn fits(&self, request: &Request<'_>) -> bool {
        self.action == request.action
            && self.role.is_none_or(|role| role == request.role)
            && self.asks_class().is_none_or(|class| Some(class) == request.class)
            && self.asks_grade().is_none_or(|grade| Some(grade) == request.reason.map(|r| r.grade))
    }
}

fn is_on_column(action: Action) -> bool {
    matches!(action, Action::SeeClear | Action::LookUp | Action::Update)
}

/// What those rules say to a request, without Cedar.
fn naive(rules: &[Rule], request: &Request<'_>) -> Decision {
    let on_column = is_on_column(request.action);
    let fitting = |permits: bool| -> Vec<String> {
        if on_column && request.column.is_none() {
            return Vec::new();
        }
        let rules = rules.iter().enumerate();
        rules
            .filter(|(_, rule)| rule.permits == permits && rule.fits(request))
            .map(|(id, _)| format!("r{id}"))
            .collect()
    };
    let (permits, forbids) = (fitting(true), fitting(false));
    if forbids.is_empty() {
        Decision { permitted: !permits.is_empty(), rules: permits }
    } else {
        Decision { permitted: false, rules: forbids }
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    (
        prop::bool::weighted(0.7),
        option::of(select(&["agent", "administrator"][..])),
        select(&Action::ALL[..]),
        option::of(select(&FieldClass::ALL[..])),
        option::of(grades()),
    )
        .prop_map(|(permits, role, action, class, grade)| Rule {
            permits,
            role,
            action,
            class,
            grade,
        })
}

#[test]
fn the_default_policy_is_what_its_naive_evaluator_says_for_all_it_looks_at() {
    let policy = default_policy();
    let classes = || FieldClass::ALL.into_iter().map(Some).chain([None]);
    let reasons = || [None, Some(Grade::Weak), Some(Grade::Strong)];
    let mut permitted = 0;
    for role in ["agent", "administrator", "guest"] {
        for action in Action::ALL {
            for (class, grade) in classes().flat_map(|c| reasons().map(|g| (c, g))) {
                for column in [None, Some("email".to_owned())] {
                    let asked = Asked {
                        actor: "eva".to_owned(),
                        role: role.to_owned(),
                        action,
                        table: "public.customers".to_owned(),
                        column,
                        class,
                        reason: grade.map(|grade| ("assigned_ticket".to_owned(), grade)),
                    };
                    let expected = asked.with(naive_default);
                    let decided = asked.with(|request| policy.decide(request));
                    assert_eq!(decided.permitted, expected, "{asked:?}");
                    permitted += usize::from(expected);
                }
            }
        }
    }
    // See: 7 classes x 2 reasons. Look up: 8 x 3. Open: 9 x 2 x 2, administrators 9 x 3 x 2.
    // Take: 9 x 3 x 2. Update, with a column: 9 x 2, administrators 9 x 3. Delete: 9 x 3 x 2.
    // Connect: 2 roles x 9 x 3 x 2.
    assert_eq!(permitted, 14 + 24 + 36 + 54 + 54 + 18 + 27 + 54 + 108);
}

proptest! {
    #[test]
    fn the_default_policy_is_what_its_naive_evaluator_says_whatever_the_names(asked in asked()) {
        let policy = default_policy();
        let decided = asked.with(|request| policy.decide(request));
        prop_assert_eq!(decided.permitted, asked.with(naive_default));
        prop_assert!(!decided.permitted || !decided.rules.is_empty());
    }

    #[test]
    fn random_rules_are_what_their_naive_evaluator_says(
        rules in vec(rule(), 0..9),
        questions in vec(asked(), 1..20),
    ) {
        let text: Vec<String> = rules.iter().enumerate().map(|(id, r)| r.cedar(id)).collect();
        let policy = Policy::parse(&text.join("\n")).unwrap();
        for asked in questions {
            let decided = asked.with(|request| policy.decide(request));
            prop_assert_eq!(decided, asked.with(|request| naive(&rules, request)));
        }
    }

    #[test]
    fn no_text_panics(text in "(permit|forbid|@id|[(){};=a-zé\"\n ]){0,30}") {
        let _ = Policy::parse(&text);
    }
}
