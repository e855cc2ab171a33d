//! `postern explain-policy`: what would happen to somebody's SQL, and why. It judges by the
//! configuration, people, policy and catalogue as a log-in at this moment would; it sends nothing
//! of the SQL anywhere and reads no row. Start with [`run`]; what is found is a [`Report`].

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use anyhow::Context as _;
use postern_gateway::{Role, read_catalogue};
use postern_ledger::Counter;
use postern_model::{Actor, Clock as _, Grade, Reason};
use postern_policy::{Action, Request};
use postern_session::{Kind, ReasonSet, plan_rules};
use postern_sql::{
    Act, Catalogue, Context, Guarded, Hole, Leaf, Rules, Show, Verdict, aims, analyse,
};

use crate::{
    cli::ExplainPolicyArgs,
    clock::SystemClock,
    config,
    serve::{self, Basis},
    ui::{self, Outcome},
};

mod report;
mod writes;

use report::{Budget, Column, Lookup, Refusal, Report, Statement, Table};
use writes::Writes;

/// Begins the names that the rewriting makes; here nobody can make use of knowing them.
const PREFIX: &str = "postern_";

pub(crate) fn run(path: &Path, args: &ExplainPolicyArgs) -> anyhow::Result<Outcome> {
    let settings = config::load(path)?.settings;
    let sql = match args.sql.as_str() {
        "-" => io::read_to_string(io::stdin()).context("can't read the standard input")?,
        text => text.to_owned(),
    };
    let report = explain(&serve::basis(&settings)?, &args.actor, &sql)?;
    if args.json {
        ui::json(&report)?;
    } else {
        ui::result(report.text(args.rewritten).trim_end())?;
    }
    Ok(if report.allowed { Outcome::Yes } else { Outcome::No })
}

fn explain(basis: &Basis, name: &str, sql: &str) -> anyhow::Result<Report> {
    let account =
        basis.people.account(name).with_context(|| format!("there is no account `{name}`"))?;
    let actor: Actor = Actor::new(name);
    let role_name = account.role.clone();
    let mut report = Report::new(name, &role_name);
    let request = Request {
        actor: &actor,
        role: &role_name,
        action: Action::Connect,
        table: "",
        column: None,
        class: None,
        reason: None,
    };
    let role = basis.gateway.roles.get(&role_name);
    let connects = basis.policy.decide(&request).permitted;
    let (Some(role), true, true) = (role, connects, account.works_at(SystemClock.now())) else {
        let why = if connects { "the account has ended" } else { "the role may not connect" };
        report.no_entry(why);
        return Ok(report);
    };
    if role.kind == Kind::PassThrough {
        report.statements.push(Statement::new("forwarded"));
        return Ok(report);
    }
    if let Some(warning) = not_enforced(role, &role_name) {
        ui::warning(&warning);
    }
    let catalogue = catalogue(basis)?;
    let budgets = role.limits(&actor, account.is_contractor());
    let role = &Role { budgets, ..role.clone() };
    report.statements = statements(basis, (&actor, &role_name, role), sql, &catalogue);
    // One that is refused refuses the whole text.
    report.allowed = report.statements.iter().all(|statement| statement.refusal.is_none());
    Ok(report)
}

/// What is explained is what enforcement would do.
fn not_enforced(role: &Role, name: &str) -> Option<String> {
    let mode = role.enforcement.as_str();
    let is = !role.enforcement.is_enforced();
    is.then(|| {
        format!("policy is NOT ENFORCED for the role `{name}` ({mode}): this is what it would do")
    })
}

/// The catalogue of the guarded database.
pub(super) fn catalogue(basis: &Basis) -> anyhow::Result<Catalogue> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(read_catalogue(&basis.gateway.upstream))?)
}

/// What would happen to each statement of a text, sent by an account of this role.
fn statements(
    basis: &Basis,
    (actor, role_name, role): (&Actor, &str, &Role),
    sql: &str,
    catalogue: &Catalogue,
) -> Vec<Statement> {
    if role.kind == Kind::PassThrough {
        return vec![Statement::new("forwarded")];
    }
    let who = (actor, role_name, role.kind);
    let (mut rules, key_sets) =
        plan_rules(&basis.gateway.tables, &basis.gateway.reasons, &basis.policy, who);
    basis.gateway.upstream.vouch(&mut rules);
    let context = Context::new(&basis.gateway.upstream.search_path, PREFIX);
    let found = match analyse(sql, catalogue, &rules, context) {
        Ok(found) => found,
        Err(error) => {
            let refusal = Some(Refusal {
                sqlstate: error.sqlstate.to_owned(),
                rule: "syntax".to_owned(),
                message: error.message,
                hint: String::new(),
            });
            return vec![Statement { refusal, ..Statement::new("refused") }];
        }
    };
    let judged = Judged { role, rules: &rules, key_sets: &key_sets };
    let mut statements: Vec<Statement> =
        found.iter().map(|statement| judged.statement(&statement.verdict)).collect();
    let aims = aims(sql, catalogue, &rules, context);
    for (statement, aim) in statements.iter_mut().zip(aims) {
        let Some((rule, aim)) = aim else { continue };
        let configured = basis
            .gateway
            .tables
            .iter()
            .find(|table| table.schema == rule.schema && table.table == rule.table);
        let writes = Writes { rule, configured, key_sets: &key_sets, role };
        statement.write = Some(writes.report(aim));
    }
    statements
}

/// What a text comes to, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InShort {
    /// The verdict on the statement that was refused, else on the last one.
    pub(super) verdict: &'static str,
    /// The rule of the refusal.
    pub(super) rule: Option<String>,
    /// Protected columns in the results that are clear where a reason holds, or for all, and those
    /// that are masked, as `schema.table.column`.
    pub(super) clear: BTreeSet<String>,
    pub(super) masked: BTreeSet<String>,
}

/// What a text comes to that an account of this role sends. One statement that is refused refuses
/// the whole text.
pub(super) fn in_short(
    basis: &Basis,
    who: (&Actor, &str, &Role),
    sql: &str,
    catalogue: &Catalogue,
) -> InShort {
    let statements = statements(basis, who, sql, catalogue);
    let refused = statements.iter().find(|statement| statement.refusal.is_some());
    let told = refused.or(statements.last());
    let columns = |shown: &str| {
        let tables = statements.iter().flat_map(|statement| &statement.tables);
        let columns = tables.flat_map(|table| {
            let shown = table.columns.iter().filter(move |column| column.shown == shown);
            shown.map(|column| format!("{}.{}", table.table, column.column))
        });
        columns.collect()
    };
    InShort {
        verdict: told.map_or("plain", |statement| statement.verdict),
        rule: refused.and_then(|s| s.refusal.as_ref()).map(|refusal| refusal.rule.clone()),
        clear: columns("clear"),
        masked: columns("masked"),
    }
}

/// What a statement was judged by.
struct Judged<'a> {
    role: &'a Role,
    rules: &'a Rules,
    key_sets: &'a [ReasonSet],
}

impl Judged<'_> {
    fn statement(&self, verdict: &Verdict) -> Statement {
        match verdict {
            Verdict::Refused(refusal) => Statement {
                refusal: Some(Refusal {
                    sqlstate: refusal.sqlstate.to_owned(),
                    rule: refusal.rule.to_owned(),
                    message: refusal.message.clone(),
                    hint: refusal.hint.clone(),
                }),
                ..Statement::new("refused")
            },
            Verdict::Plain(plain) => {
                Statement { sql: Some(plain.sql.clone()), ..Statement::new("plain") }
            }
            Verdict::Local(_) => Statement::new("answered"),
            Verdict::Guarded(guarded) => self.guarded(guarded),
            Verdict::Copy(copy) => self.guarded(&copy.query),
            Verdict::Named(named) => match &named.act {
                Act::Prepare { query, .. } | Act::Declare { query, .. } => self.statement(query),
                Act::Execute { .. }
                | Act::Deallocate
                | Act::Fetch { .. }
                | Act::Close
                | Act::ShowTicket => Statement::new("kept"),
            },
        }
    }

    fn guarded(&self, guarded: &Guarded) -> Statement {
        let tables = guarded.leaves.iter().enumerate().map(|(index, leaf)| Table {
            table: leaf.relation.to_string(),
            recorded: guarded.keys.iter().any(|key| key.leaf == index),
            columns: self.columns(leaf),
        });
        let lookups = guarded.lookups.iter().map(|lookup| Lookup {
            table: lookup.relation.to_string(),
            column: lookup.column.to_string(),
        });
        let fill = |hole: Hole| match hole {
            Hole::Keys(set, _) => format!("{{keys of set {}}}", set.0),
            Hole::Actor => "{actor}".to_owned(),
        };
        Statement {
            sql: Some(guarded.sql.render_literal(fill)),
            tables: tables.collect(),
            lookups: lookups.collect(),
            budgets: self.budgets(guarded),
            ..Statement::new("guarded")
        }
    }

    fn columns(&self, leaf: &Leaf) -> Vec<Column> {
        let named = |shown: &'static str, why: &str, name: &Arc<str>| Column {
            column: name.to_string(),
            shown,
            reasons: Vec::new(),
            why: why.to_owned(),
        };
        let clear = leaf.clear.iter().map(|name| {
            let reasons = self.reasons(leaf);
            if reasons.is_empty() {
                return named("clear", "everything is clear to an accounted role", name);
            }
            Column { reasons, ..named("clear", "for whom a reason holds now", name) }
        });
        let shown = leaf.shown.iter().map(|name| {
            named("clear", "policy shows it of every customer, without a reason", name)
        });
        let masked =
            leaf.masked.iter().map(|name| named("masked", self.why_masked(leaf, name), name));
        clear.chain(shown).chain(masked).collect()
    }

    fn reasons(&self, leaf: &Leaf) -> Vec<report::Reason> {
        let set = leaf.key_set.and_then(|set| self.key_sets.get(usize::from(set.0)));
        let reason = |reason: &Reason| report::Reason {
            name: reason.name.to_string(),
            grade: reason.grade.as_str(),
        };
        set.map(|set| set.0.iter().map(reason).collect()).unwrap_or_default()
    }

    fn why_masked(&self, leaf: &Leaf, column: &str) -> &'static str {
        let table = self.rules.tables.iter().find(|rule| {
            leaf.relation.split_once('.') == Some((rule.schema.as_str(), rule.table.as_str()))
        });
        let rule = table.and_then(|t| t.columns.iter().find(|rule| rule.name == column));
        match (rule.map(|rule| rule.show), leaf.key_set) {
            (None, _) => "the configuration does not name the column",
            (Some(Show::Masked), _) => "no rule of the policy shows it to this account",
            (Some(Show::Keyed(own)), Some(first)) if own != first => {
                "other reasons show it than those that show the table's first columns"
            }
            (Some(Show::Keyed(_) | Show::Clear), _) => {
                "it is used where no row accounts for it: in a condition, an order, a group, an \
                 aggregate, a window, a set operation or a sub-select"
            }
        }
    }

    /// The budgets that the statement's rows and look-ups count in.
    fn budgets(&self, guarded: &Guarded) -> Vec<Budget> {
        let clear = guarded.leaves.iter().any(|leaf| !leaf.clear.is_empty());
        let weak = guarded.leaves.iter().filter(|leaf| !leaf.clear.is_empty()).any(|leaf| {
            self.reasons(leaf).iter().any(|reason| reason.grade == Grade::Weak.as_str())
        });
        let counts = |counter: &Counter| match counter {
            Counter::ClearSubjects => clear,
            Counter::WeakSubjects => weak,
            Counter::MaskedSubjects => !guarded.keys.is_empty(),
            Counter::Lookups | Counter::LookupMisses => !guarded.lookups.is_empty(),
            Counter::Stops => true,
        };
        let budgets = self.role.budgets.iter().filter(|budget| counts(&budget.counter));
        budgets
            .map(|budget| Budget {
                count: budget.counter.as_str(),
                max: budget.max,
                window_seconds: budget.window.as_secs(),
            })
            .collect()
    }
}
