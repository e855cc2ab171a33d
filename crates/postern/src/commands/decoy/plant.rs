//! Plants a plan: its decoys become rows of the customers' table.
//!
//! In order: the plan's hash is in the ledger; no decoy's mailbox or number is a customer's; the
//! rows are put in; their keys are written where the detectors find them, and an entry says so;
//! then the transaction commits. So nobody can see a decoy of which the detectors do not know. What
//! a crash leaves are keys of rows that never came to be, which harm nobody.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use postern_sql::quote::{identifier, literal};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{committed, is_committed};
use crate::{
    cli::DecoyPlantArgs,
    config::{Settings, Table},
    decoys::{self, Decoy, Plan},
    files, init,
    ui::{self, Outcome},
};

pub(super) fn run(
    config: &Path,
    settings: &Settings,
    args: &DecoyPlantArgs,
) -> anyhow::Result<Outcome> {
    let mut plan = Plan::read(&args.plan)?;
    is_committed(settings, &plan)?;
    ensure!(plan.decoys.iter().all(|decoy| decoy.key.is_none()), "this plan is planted already");
    let columns = Columns::of(settings, args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = init::connect_to(&args.admin).await?;
        let begin = "BEGIN; SET LOCAL search_path = pg_catalog; \
                     SET LOCAL standard_conforming_strings = on";
        client.batch_execute(begin).await?;
        columns.check(&client, &plan).await?;
        for decoy in &mut plan.decoys {
            decoy.key = Some(columns.insert(&client, decoy).await?);
        }
        if let Some(view) = &args.view {
            columns.view(&client, view, &plan).await?;
        }
        let keys = plan.decoys.iter().filter_map(|decoy| decoy.key.clone());
        decoys::add_keys(&settings.data.folder, keys)?;
        committed(config, settings, &plan)?;
        client.batch_execute("COMMIT").await.context("the database did not take them")
    })?;
    files::replace_private(&args.plan, &plan.text()?)
        .with_context(|| format!("can't write the keys to `{}`", args.plan.display()))?;
    ui::result(format!("{} decoys are planted; who opens one is a finding", plan.decoys.len()))?;
    Ok(Outcome::Yes)
}

/// Where what is made up goes.
struct Columns<'a> {
    table: &'a Table,
    args: &'a DecoyPlantArgs,
    others: Vec<(&'a str, &'a str)>,
}

impl<'a> Columns<'a> {
    fn of(settings: &'a Settings, args: &'a DecoyPlantArgs) -> anyhow::Result<Self> {
        let table = settings.tables.iter().find(|table| table.full_name() == args.table);
        let table = table.with_context(|| {
            format!("`{}` is not one of the protected tables; write SCHEMA.TABLE", args.table)
        })?;
        let pair = |text: &'a String| {
            text.split_once('=').with_context(|| format!("`{text}` is not COLUMN=VALUE"))
        };
        let others = args.set.iter().map(pair).collect::<anyhow::Result<_>>()?;
        let columns = [&args.name, &args.email, &args.phone];
        ensure!(columns.iter().any(|column| column.is_some()), "name the columns to fill");
        Ok(Self { table, args, others })
    }

    fn table(&self) -> String {
        format!("{}.{}", identifier(&self.table.schema), identifier(&self.table.table))
    }

    /// The columns of a decoy with its values.
    fn values<'d>(&'d self, decoy: &'d Decoy) -> Vec<(&'d str, &'d str)> {
        let DecoyPlantArgs { name, email, phone, .. } = self.args;
        let made = [(name, &decoy.name), (email, &decoy.email), (phone, &decoy.phone)];
        let made =
            made.into_iter().filter_map(|(column, value)| Some((&**column.as_ref()?, &**value)));
        made.chain(self.others.iter().copied()).collect()
    }

    /// That no customer has a decoy's mailbox or number.
    async fn check(&self, client: &Client, plan: &Plan) -> anyhow::Result<()> {
        let DecoyPlantArgs { email, phone, .. } = self.args;
        let emails = plan.decoys.iter().map(|decoy| literal(&decoy.email)).collect::<Vec<_>>();
        let phones = plan.decoys.iter().map(|decoy| literal(&decoy.phone)).collect::<Vec<_>>();
        for (column, values) in [(email, emails), (phone, phones)] {
            let Some(column) = column else { continue };
            let sql = format!(
                "SELECT 1 FROM {} WHERE {}::text IN ({}) LIMIT 1",
                self.table(),
                identifier(column),
                values.join(", ")
            );
            if first(client, &sql).await?.is_some() {
                bail!("a customer has the `{column}` of a decoy; make another plan");
            }
        }
        Ok(())
    }

    async fn insert(&self, client: &Client, decoy: &Decoy) -> anyhow::Result<String> {
        let values = self.values(decoy);
        let columns: Vec<String> = values.iter().map(|(column, _)| identifier(column)).collect();
        let values: Vec<String> = values.iter().map(|(_, value)| literal(value)).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({}) RETURNING {}::text",
            self.table(),
            columns.join(", "),
            values.join(", "),
            identifier(&self.table.subject)
        );
        let key = first(client, &sql).await.context("a decoy can't be put into the table")?;
        key.context("the database did not say which key it gave")
    }

    /// The customers without the decoys, for the company's own mailings: a view that nobody may
    /// read until it is granted, over a table of the keys that nobody else may read.
    async fn view(&self, client: &Client, view: &str, plan: &Plan) -> anyhow::Result<()> {
        let (schema, name) = view.split_once('.').context("write the view as SCHEMA.NAME")?;
        let view = format!("{}.{}", identifier(schema), identifier(name));
        let left_out =
            format!("{}.{}", identifier(schema), identifier(&format!("{name}_left_out")));
        let keys = plan.decoys.iter().filter_map(|decoy| decoy.key.as_deref());
        let keys: Vec<String> = keys.map(|key| format!("({})", literal(key))).collect();
        let (table, subject) = (self.table(), identifier(&self.table.subject));
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {left_out} (subject text PRIMARY KEY);
             REVOKE ALL ON {left_out} FROM PUBLIC;
             INSERT INTO {left_out} VALUES {};
             CREATE OR REPLACE VIEW {view} AS SELECT * FROM {table} AS c
                 WHERE NOT EXISTS (SELECT FROM {left_out} d WHERE d.subject = c.{subject}::text);
             REVOKE ALL ON {view} FROM PUBLIC;",
            keys.join(", ")
        );
        client.batch_execute(&sql).await.context("the view for mailings can't be made")
    }
}

/// The first value of the first row.
async fn first(client: &Client, sql: &str) -> anyhow::Result<Option<String>> {
    for message in client.simple_query(sql).await? {
        if let SimpleQueryMessage::Row(row) = message {
            return Ok(row.get(0).map(ToOwned::to_owned));
        }
    }
    Ok(None)
}
