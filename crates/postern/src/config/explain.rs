//! What a configuration means, in words and for machines.

use std::fmt::Write as _;

use comfy_table::{Table as Grid, presets};
use postern_sql::Remark;
use serde::Serialize;

use super::{
    CertificateUse, Column, Loaded, Problem, Reason, Role, Settings, Strength, Table, UpstreamTls,
    settings::{Budget, Enforcement, Insert, Policy, RoleKind},
    units::{bytes_text, duration_text},
};

/// The whole configuration, for a person.
pub(crate) fn text(settings: &Settings) -> String {
    let mut page = String::new();
    let gateway = &settings.gateway;
    let encrypted = if gateway.tls.is_some() { "with TLS" } else { "without TLS" };
    let _ = writeln!(page, "clients   {}, {encrypted}", gateway.listen);
    let upstream = &settings.upstream;
    let encrypted = match upstream.tls {
        UpstreamTls::Disable => "without TLS",
        UpstreamTls::Require => "with TLS",
    };
    let _ = writeln!(
        page,
        "guards    database {} on {}:{}, as {}, {encrypted}",
        upstream.database, upstream.host, upstream.port, upstream.user
    );
    let data = &settings.data;
    let min_free = bytes_text(data.min_free_bytes);
    let _ = writeln!(page, "keeps     {}, {min_free} free at least", data.folder.display());
    let policy = match &settings.policy {
        Policy::Shipped => "the one that comes with Postern".to_owned(),
        Policy::File { path, .. } => path.display().to_string(),
    };
    let _ = writeln!(page, "policy    {policy}");
    let watch = &settings.watch;
    let suspends = match watch.suspend_on.as_slice() {
        [] => "nothing suspends an account by itself".to_owned(),
        kinds => format!("suspends on {}", kinds.join(", ")),
    };
    let rate = watch.alerts_per_100_agents_per_day;
    let _ = writeln!(page, "watch     {rate} alerts a day per 100 people; {suspends}");
    if let Some(rules) = &watch.rules {
        let count = rules.rules().map_or(0, |rules| rules.ids().count());
        let _ = writeln!(page, "rules     {count} of your own in {}", rules.folder.display());
    }
    if let Some(certificates) = &settings.certificates {
        let used = match certificates.used {
            CertificateUse::Required => "everybody shows a certificate, in place of a password",
            CertificateUse::Beside => "everybody shows a certificate, beside a password",
            CertificateUse::Offered => "a certificate stands in for a password",
        };
        let _ = writeln!(page, "log-ins   {used}");
    }
    if let Some(scim) = &settings.scim {
        let encrypted = if scim.tls.is_some() { "with TLS" } else { "without TLS" };
        let roles = match scim.rules.groups.len() {
            1 => "1 group gives a role".to_owned(),
            count => format!("{count} groups give roles"),
        };
        let _ = writeln!(page, "directory {}, {encrypted}; {roles}", scim.listen);
    }
    if let Some(metrics) = &settings.metrics {
        let _ = writeln!(page, "metrics   http://{metrics}/metrics");
    }
    for warning in settings.roles.iter().filter_map(Role::not_enforced) {
        let _ = writeln!(page, "WARNING   {warning}");
    }
    page.push_str(&section(["role", "kind", "budgets"], settings.roles.iter().map(role)));
    let contractors = Some(("contractors", &settings.contractors));
    let contractors = contractors.filter(|(_, budgets)| !budgets.is_empty());
    let people = settings.people.iter().map(|(actor, budgets)| (actor.as_str(), budgets));
    let more = contractors.into_iter().chain(people);
    let more: Vec<_> = more.map(|(of, own)| [of.to_owned(), budgets(own)]).collect();
    page.push_str(&section(["also limited", "budgets"], more.into_iter()));
    let header = ["table", "customer", "clear", "protected"];
    page.push_str(&section(header, settings.tables.iter().map(table)));
    let header = ["reason", "holds for a person and a customer", "grade"];
    page.push_str(&section(header, settings.reasons.iter().map(reason)));
    page
}

fn section<const N: usize>(
    header: [&str; N],
    rows: impl ExactSizeIterator<Item = [String; N]>,
) -> String {
    if rows.len() == 0 {
        return String::new();
    }
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING).set_header(header);
    grid.add_rows(rows);
    for column in grid.column_iter_mut() {
        column.set_padding((0, 3));
    }
    format!("\n{}\n", grid.trim_fmt())
}

fn role(role: &Role) -> [String; 3] {
    let kind = match role.kind {
        RoleKind::Restricted => "restricted",
        RoleKind::Accounted => "accounted",
        RoleKind::PassThrough => "pass-through",
        RoleKind::Application => "application",
    };
    let kind = match role.enforcement {
        Enforcement::Enforce => kind.to_owned(),
        Enforcement::Observe => format!("{kind}, NOT ENFORCED (observe)"),
        Enforcement::Warn => format!("{kind}, NOT ENFORCED (warn)"),
    };
    [role.name.to_string(), kind, budgets(&role.budgets)]
}

fn budgets(budgets: &[Budget]) -> String {
    let budget =
        |b: &Budget| format!("{} {} in {}", b.max, b.count.as_str(), duration_text(b.window));
    budgets.iter().map(budget).collect::<Vec<_>>().join("\n")
}

fn table(table: &Table) -> [String; 4] {
    let column = |column: &Column| {
        let lookup = if column.lookup { ", look-up" } else { "" };
        format!("{} ({}{lookup})", column.name, column.class.as_str())
    };
    let mut protected: Vec<String> = table.columns.iter().map(column).collect();
    protected.push("every other column".to_owned());
    let mut name = table.full_name();
    match (table.insert, &table.insert_columns) {
        (Insert::Refuse, _) => {}
        (Insert::Allow, None) => name.push_str("\n(may be inserted into)"),
        (Insert::Allow, Some(columns)) => {
            let _ = write!(name, "\n(may be inserted into: {})", columns.join(", "));
        }
    }
    for (what, columns) in
        [("may be changed", &table.update), ("may be changed in own rows", &table.update_own)]
    {
        if !columns.is_empty() {
            let _ = write!(name, "\n({what}: {})", columns.join(", "));
        }
    }
    if table.delete == Insert::Allow {
        name.push_str("\n(may be deleted from)");
    }
    [name, table.subject.clone(), table.clear.join("\n"), protected.join("\n")]
}

fn reason(reason: &Reason) -> [String; 3] {
    let mut holds = format!(
        "{}.{}: {} is the person, {} the customer",
        reason.schema, reason.table, reason.actor, reason.subject
    );
    if let Some(condition) = &reason.condition {
        let _ = write!(holds, "\nwhere {condition}");
    }
    if let Some(take) = &reason.take {
        let _ = write!(holds, "\ntaken from a queue by {}", take.order.join(", "));
    }
    let grade = match &reason.strength {
        Strength::Weak => "weak".to_owned(),
        Strength::Strong => "strong".to_owned(),
        Strength::StrongWhen(condition) => format!("strong when {condition}, else weak"),
    };
    [reason.name.to_string(), holds, grade]
}

/// What `check-config --json` prints; version 1.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: u32,
    usable: bool,
    problems: Vec<ReportedProblem>,
    warnings: Vec<ReportedProblem>,
    /// What the database says, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<Vec<ReportedRemark>>,
}

#[derive(Debug, Serialize)]
struct ReportedRemark {
    message: String,
    what_to_do: String,
}

#[derive(Debug, Serialize)]
struct ReportedProblem {
    line: usize,
    message: String,
    what_to_do: String,
}

impl Report {
    pub(crate) fn usable(loaded: &Loaded, remarks: Option<&[Remark]>) -> Self {
        let warnings = reported(&loaded.warnings);
        let remark = |remark: &Remark| ReportedRemark {
            message: remark.message.clone(),
            what_to_do: remark.help.clone(),
        };
        let database = remarks.map(|remarks| remarks.iter().map(remark).collect());
        Self { version: 1, usable: true, problems: Vec::new(), warnings, database }
    }

    pub(crate) fn unusable(problems: &[Problem]) -> Self {
        let problems = reported(problems);
        Self { version: 1, usable: false, problems, warnings: Vec::new(), database: None }
    }
}

fn reported(problems: &[Problem]) -> Vec<ReportedProblem> {
    let one = |problem: &Problem| ReportedProblem {
        line: problem.line(),
        message: problem.to_string(),
        what_to_do: problem.what_to_do().to_owned(),
    };
    problems.iter().map(one).collect()
}
