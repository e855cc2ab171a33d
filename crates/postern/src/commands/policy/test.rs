//! Examples in a file, each with what is expected of it.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    fs,
    path::Path,
};

use anyhow::Context as _;
use postern_gateway::Role;
use postern_model::{Actor, Clock as _, Grade, Reason};
use postern_policy::{Action, Request};
use postern_sql::Catalogue;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{super::explain_policy, by, class_of, read};
use crate::{
    cli::PolicyTestArgs,
    clock::SystemClock,
    config,
    serve::{self, Basis},
    ui::{self, Outcome},
};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Spanned<Case>>,
}

/// One example: somebody, a statement or an action, and what is expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    /// An account of `people.toml`.
    actor: Option<String>,
    /// A role, for whoever has it.
    role: Option<String>,
    /// SQL, judged by the guarded database's catalogue. Nothing of it runs.
    sql: Option<String>,
    /// What is done with a table; `see_clear` if nothing is said.
    action: Option<String>,
    /// As `schema.table`.
    table: Option<String>,
    column: Option<String>,
    /// The reason that holds for the customer, if one does.
    reason: Option<String>,
    /// Of the reason; `weak` if nothing is said.
    grade: Option<String>,
    /// `permit` or `deny`; of SQL `plain`, `guarded`, `answered`, `kept` or `refused`.
    expect: String,
    /// The rule that refuses the SQL.
    rule: Option<String>,
    /// The protected columns in the SQL's results that are clear, and those that are masked, as
    /// `schema.table.column`; all of them.
    clear: Option<BTreeSet<String>>,
    masked: Option<BTreeSet<String>>,
}

/// What `policy test --json` prints; version 1.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    cases: usize,
    differences: Vec<Difference>,
}

/// A case that came out otherwise.
#[derive(Debug, Serialize)]
struct Difference {
    line: usize,
    name: String,
    /// Each thing that differs: what, expected, found.
    differs: Vec<[String; 3]>,
    /// What decided.
    why: String,
}

pub(super) fn run(config: &Path, args: &PolicyTestArgs) -> anyhow::Result<Outcome> {
    let settings = config::load(config)?.settings;
    let mut basis = serve::basis(&settings)?;
    if let Some(path) = &args.policy {
        basis.policy = read(path)?;
    }
    let shown = args.file.display();
    let text = fs::read_to_string(&args.file).with_context(|| format!("can't read `{shown}`"))?;
    let cases: Cases = toml::from_str(&text)
        .with_context(|| format!("`{shown}` has no cases that can be read"))?;
    let mut tried = Trying { basis: &basis, catalogue: None };
    let mut differences = Vec::new();
    for case in &cases.case {
        let line =
            text.get(..case.span().start).map_or(1, |before| before.matches('\n').count() + 1);
        let (case, place) = (case.get_ref(), format!("line {line} of `{shown}`"));
        let (differs, why) = tried.case(case).with_context(|| place)?;
        if !differs.is_empty() {
            let name = case.name.clone().unwrap_or_else(|| case.to_string());
            differences.push(Difference { line, name, differs, why });
        }
    }
    let (cases, same) = (cases.case.len(), differences.is_empty());
    let report = Report { version: 1, cases, differences };
    if args.json {
        ui::json(&report)?
    } else {
        ui::result(report.text().trim_end())?
    }
    Ok(if same { Outcome::Yes } else { Outcome::No })
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for Difference { line, name, differs, why } in &self.differences {
            let _ = writeln!(text, "differs  line {line}: {name}");
            for [what, expected, found] in differs {
                let _ = writeln!(text, "         - {what}: {expected}");
                let _ = writeln!(text, "         + {what}: {found}");
            }
            let _ = writeln!(text, "         {why}");
        }
        let (all, differ) = (self.cases, self.differences.len());
        let cases = if all == 1 { "case" } else { "cases" };
        let _ = match differ {
            0 => writeln!(text, "{all} {cases}, all as expected"),
            _ => writeln!(text, "{all} {cases}, {differ} otherwise than expected"),
        };
        text
    }
}

/// How a case without a name is called.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.actor.as_ref().or(self.role.as_ref()).map_or("?", String::as_str);
        match &self.sql {
            Some(sql) => write!(f, "{who}: {sql}"),
            None => {
                let table = self.table.as_deref().unwrap_or_default();
                let action = self.action.as_deref().unwrap_or("see_clear");
                write!(f, "{who}: {action} {table}")?;
                self.column.iter().try_for_each(|column| write!(f, ".{column}"))
            }
        }
    }
}

struct Trying<'b> {
    basis: &'b Basis,
    /// Read when the first SQL is tried.
    catalogue: Option<Catalogue>,
}

/// What differs, and what decided.
type Tried = (Vec<[String; 3]>, String);

impl Trying<'_> {
    fn case(&mut self, case: &Case) -> anyhow::Result<Tried> {
        let (actor, role_name, role) = who(self.basis, case)?;
        match &case.sql {
            Some(sql) => self.sql(case, (&actor, &role_name, &role), sql),
            None => action(self.basis, case, (&actor, &role_name)),
        }
    }

    fn sql(&mut self, case: &Case, who: (&Actor, &str, &Role), sql: &str) -> anyhow::Result<Tried> {
        let other = [&case.action, &case.table, &case.column, &case.reason, &case.grade];
        anyhow::ensure!(
            other.iter().all(|key| key.is_none()),
            "a case with `sql` has no `action`, `table`, `column`, `reason` and `grade`"
        );
        let verdicts = ["plain", "guarded", "answered", "kept", "forwarded", "refused"];
        anyhow::ensure!(
            verdicts.contains(&case.expect.as_str()),
            "`expect` of SQL is one of {}",
            verdicts.join(", ")
        );
        if self.catalogue.is_none() {
            self.catalogue = Some(explain_policy::catalogue(self.basis)?);
        }
        let Some(catalogue) = &self.catalogue else { anyhow::bail!("there is no catalogue") };
        let found = explain_policy::in_short(self.basis, who, sql, catalogue);
        let mut differs = Vec::new();
        let mut compare = |what: &str, expected: String, found: String| {
            if expected != found {
                differs.push([what.to_owned(), expected, found]);
            }
        };
        compare("decision", case.expect.clone(), found.verdict.to_owned());
        if let Some(rule) = &case.rule {
            compare("rule", rule.clone(), found.rule.clone().unwrap_or_default());
        }
        for (what, expected, found) in
            [("clear", &case.clear, &found.clear), ("masked", &case.masked, &found.masked)]
        {
            if let Some(expected) = expected {
                compare(what, listed(expected), listed(found));
            }
        }
        let why = match &found.rule {
            Some(rule) => format!("refused by {rule}"),
            None => "postern explain-policy says why".to_owned(),
        };
        Ok((differs, why))
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Whose example it is.
fn who(basis: &Basis, case: &Case) -> anyhow::Result<(Actor, String, Role)> {
    let (actor, role) = match (&case.actor, &case.role) {
        (Some(actor), None) => {
            let account = basis.people.account(actor);
            let account = account.with_context(|| format!("there is no account `{actor}`"))?;
            let works = account.works_at(SystemClock.now());
            anyhow::ensure!(works, "the account `{actor}` has ended");
            (Actor::new(actor.as_str()), account.role.to_string())
        }
        (None, Some(role)) => (Actor::new("somebody"), role.clone()),
        (Some(_), Some(_)) | (None, None) => {
            anyhow::bail!("a case has one of `actor` and `role`")
        }
    };
    let known = basis.gateway.roles.get(role.as_str());
    let known = known.with_context(|| format!("the configuration has no role `{role}`"))?;
    Ok((actor, role, known.clone()))
}

fn action(basis: &Basis, case: &Case, (actor, role): (&Actor, &str)) -> anyhow::Result<Tried> {
    let sql_only = case.rule.is_none() && case.clear.is_none() && case.masked.is_none();
    anyhow::ensure!(sql_only, "`rule`, `clear` and `masked` are for cases with `sql`");
    let named = case.action.as_deref().unwrap_or("see_clear");
    let action = Action::ALL.into_iter().find(|action| action.as_str() == named);
    let action = action.with_context(|| {
        let all: Vec<&str> = Action::ALL.into_iter().map(Action::as_str).collect();
        format!("`{named}` is no action; write one of {}", all.join(", "))
    })?;
    let (table, column) = (case.table.as_deref().unwrap_or_default(), case.column.as_deref());
    if action != Action::Connect {
        let mut tables = basis.gateway.tables.iter();
        let known = tables.any(|t| table.split_once('.') == Some((&*t.schema, &*t.table)));
        anyhow::ensure!(known, "`{table}` is no protected table; write it as `schema.table`");
    }
    let grade = match case.grade.as_deref() {
        None | Some("weak") => Grade::Weak,
        Some("strong") => Grade::Strong,
        Some(other) => anyhow::bail!("`{other}` is no grade; write `weak` or `strong`"),
    };
    let reason = case.reason.as_ref().map(|name| Reason { name: name.as_str().into(), grade });
    if let Some(reason) = &reason {
        let known = basis.gateway.reasons.iter().any(|known| known.name == reason.name);
        anyhow::ensure!(known, "the configuration has no reason `{}`", reason.name);
    }
    let class = column.and_then(|column| class_of(&basis.gateway.tables, table, column));
    let request = Request { actor, role, action, table, column, class, reason: reason.as_ref() };
    let decision = basis.policy.decide(&request);
    let found = if decision.permitted { "permit" } else { "deny" };
    anyhow::ensure!(
        ["permit", "deny"].contains(&case.expect.as_str()),
        "`expect` is `permit` or `deny`"
    );
    let differs = match case.expect == found {
        true => Vec::new(),
        false => vec![["decision".to_owned(), case.expect.clone(), found.to_owned()]],
    };
    Ok((differs, by(&decision.rules).to_string()))
}
