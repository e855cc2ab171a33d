//! `postern init`: looks at a database and writes what a first configuration could be.
//!
//! It only reads there, and it never overwrites a file here. What it proposes is a guess that says
//! how sure it is; the person who runs it decides.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use tokio_postgres::{Client, Config, NoTls, config::Host};

use self::{
    propose::{Personal, Proposal, Wish},
    write::Upstream,
};
use crate::{
    cli::InitArgs,
    config, files, ledger_options,
    ui::{self, Outcome},
};

mod guess;
mod propose;
mod scan;
mod write;

const CONFIGURATION: &str = "postern.toml";
const PASSWORD: &str = "upstream.password";

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<Outcome> {
    for name in [CONFIGURATION, PASSWORD, "postern-data"] {
        let path = args.dir.join(name);
        ensure!(
            !path.exists(),
            "`{}` is there already, and nothing is overwritten",
            path.display()
        );
    }
    let wish = args.protect.clone().zip(args.subject.clone());
    let wish = wish.map(|(table, subject)| Wish { table, subject });

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut upstream, password, tables, superuser) = runtime.block_on(look(&args.upstream))?;
    let proposal = propose::propose(&tables, wish.as_ref())?;
    upstream.password_file = password.is_some().then_some(PASSWORD);
    let text = write::configuration(&upstream, &proposal);

    write_files(&args.dir, &text, password.as_deref())?;
    ui::result(summary(&tables, &proposal))?;
    advise(&args.dir, &proposal, superuser.then_some(upstream.user.as_str()));
    Ok(Outcome::Yes)
}

type Seen = (Upstream, Option<String>, Vec<scan::Table>, bool);

/// Connects, and looks at everything.
async fn look(url: &str) -> anyhow::Result<Seen> {
    let mut config = parse(url)?;
    let upstream = upstream(&config)?;
    let client = connect(&mut config).await?;
    let row = client
        .query_one(
            "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = pg_catalog.current_user()",
            &[],
        )
        .await;
    let superuser = row.and_then(|row| row.try_get(0)).unwrap_or(false);
    let tables = scan::scan(&client).await?;
    let password = config.get_password().map(|p| String::from_utf8_lossy(p).into_owned());
    Ok((upstream, password, tables, superuser))
}

fn parse(url: &str) -> anyhow::Result<Config> {
    let mut config: Config = url
        .parse()
        .context("the upstream URL can't be read; it is postgres://USER@HOST/DATABASE")?;
    if config.get_password().is_none()
        && let Ok(password) = std::env::var("PGPASSWORD")
    {
        config.password(password);
    }
    Ok(config)
}

fn upstream(config: &Config) -> anyhow::Result<Upstream> {
    let host = match config.get_hosts() {
        [Host::Tcp(host)] => host.clone(),
        [Host::Unix(folder)] => folder.display().to_string(),
        [] => bail!("the upstream URL names no host"),
        _ => bail!("the upstream URL names several hosts; name the one to guard"),
    };
    let user = config.get_user().context("the upstream URL names no user")?;
    Ok(Upstream {
        host,
        port: config.get_ports().first().copied().unwrap_or(5432),
        database: config.get_dbname().unwrap_or(user).to_owned(),
        user: user.to_owned(),
        password_file: None,
    })
}

/// Connects to what a URL names.
pub(crate) async fn connect_to(url: &str) -> anyhow::Result<Client> {
    let mut config = parse(url)?;
    connect(&mut config).await
}

/// Connects; asks for a password if the server wants one and somebody is there to ask.
async fn connect(config: &mut Config) -> anyhow::Result<Client> {
    let mut connected = config.connect(NoTls).await;
    if connected.is_err() && config.get_password().is_none() && io::stdin().is_terminal() {
        let user = config.get_user().unwrap_or_default().to_owned();
        config.password(rpassword::prompt_password(format!("password of {user} upstream: "))?);
        connected = config.connect(NoTls).await;
    }
    let (client, connection) = connected.context("can't connect to the upstream database")?;
    tokio::spawn(connection);
    Ok(client)
}

fn write_files(folder: &Path, text: &str, password: Option<&str>) -> anyhow::Result<()> {
    let path = folder.join(CONFIGURATION);
    let written = |path: &Path| format!("can't write `{}`", path.display());
    files::private_folder(folder).with_context(|| written(folder))?;
    if let Some(password) = password {
        let path = folder.join(PASSWORD);
        files::create_private(&path, &format!("{password}\n")).with_context(|| written(&path))?;
    }
    let settings = config::parse(&path, text)
        .context("what init would write is no good configuration; please report this")?
        .settings;
    let data = &settings.data;
    files::private_folder(&data.folder).with_context(|| written(&data.folder))?;
    files::create_private(&data.people(), "").with_context(|| written(&data.people()))?;
    postern_ledger::Ledger::create(&data.ledger(), &ledger_options())
        .context("can't make the ledger")?;
    // The configuration comes last: with it there, everything else is.
    files::create_private(&path, text).with_context(|| written(&path))
}

fn summary(tables: &[scan::Table], proposal: &Proposal) -> String {
    let mut text = format!("looked at {}\n", count(tables.len(), "table"));
    for table in &proposal.tables {
        let rows =
            if table.rows < 0.0 { String::new() } else { format!(", about {} rows", table.rows) };
        let (name, subject, tie) = (&table.name, &table.subject, &table.tie);
        let _ = writeln!(text, "\nprotect {name}{rows}; the customer is {subject} ({tie})");
        for column in &table.columns {
            write_column(column, &mut text);
        }
        if !table.unsaid.is_empty() {
            let _ = writeln!(text, "  masked: {}", table.unsaid.join(", "));
        }
    }
    for table in &proposal.left_out {
        let _ = writeln!(text, "\nnot protected: {}, {}", table.table, table.why);
        for column in &table.columns {
            write_column(column, &mut text);
        }
    }
    for reason in &proposal.reasons {
        let (name, table, actor) = (&reason.name, &reason.table, &reason.actor);
        let grade = reason.strong_when.as_deref().map_or_else(
            || "weak".to_owned(),
            |condition| format!("strong when {condition}, else weak"),
        );
        let _ = writeln!(text, "\nreason {name}: {table} with {actor} as the person; {grade}");
        if let Some(condition) = &reason.condition {
            let _ = writeln!(text, "  where {condition}");
        }
    }
    if proposal.tables.is_empty() {
        text.push_str("\nno personal data found, so no table is protected yet\n");
    }
    text.trim_end().to_owned()
}

fn write_column(column: &Personal, text: &mut String) {
    let lookup = if column.lookup { ", look-up" } else { "" };
    let guess = &column.guess;
    let _ = writeln!(
        text,
        "  {:<16} {:<12} {:<9} {}{lookup}",
        column.name,
        guess.class.as_str(),
        guess.sure.as_str(),
        guess.evidence
    );
}

fn advise(folder: &Path, proposal: &Proposal, superuser: Option<&str>) {
    if let Some(user) = superuser {
        ui::warning(format!(
            "`{user}` is a superuser; make a role for the gateway that can only use the tables"
        ));
    }
    if !proposal.left_out.is_empty() {
        ui::warning(
            "some tables look personal and are not protected; see the comments in the file",
        );
    }
    let path = folder.join(CONFIGURATION);
    ui::hint(format!("read and correct `{}`", path.display()));
    if proposal.tables.is_empty() {
        ui::hint("protect a table with `--protect SCHEMA.TABLE --subject COLUMN`, or in the file");
    }
    let config =
        if folder == Path::new(".") { String::new() } else { format!(" -c {}", path.display()) };
    ui::hint(format!("then `postern person add NAME --role agent{config}`"));
    if !proposal.reasons.is_empty() {
        ui::hint(format!(
            "for hundreds of people at once, have the database tell which reasons change: \
             `postern reasons{config} | psql` as the tables' owner"
        ));
    }
    ui::hint(format!("then `postern serve{config}`"));
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
