//! Second act: tricks, and then everything at once.

use super::{Play, of_others, rows_in};
use crate::demo::{
    COLLEAGUE,
    person::{Person, said},
};

/// What the configuration allows in an hour.
const MASKED_MAX: usize = 500;

const REASON: &str = "no clear value without a reason";

/// A name, what is sent before, and what should bring a value out.
struct Trick {
    name: &'static str,
    sql: String,
}

pub(in crate::demo) async fn play(play: &mut Play<'_>) -> anyhow::Result<()> {
    play.stage.act("A colleague of the thief's wants everything")?;
    let colleague = play.log_in(COLLEAGUE).await?;
    for trick in tricks(play) {
        try_out(play, &colleague, &trick).await?;
    }
    oracle(play, &colleague).await?;
    // Last, because it spends the budget of what else would be shown masked.
    grab(play, &colleague).await?;
    play.remember(COLLEAGUE, &colleague);
    Ok(())
}

async fn grab(play: &mut Play<'_>, thief: &Person) -> anyhow::Result<()> {
    let own = play.world.own_customers(COLLEAGUE);
    let before = thief.received_len();
    let answer = thief.run("SELECT * FROM public.customers").await;
    let bytes = thief.received_since(before);
    let leaked = of_others(&play.values, &bytes, &own);
    let rows = rows_in(&bytes);
    let tried = "SELECT * FROM customers";
    let result = format!("{} values of others in {} bytes", leaked.len(), bytes.len());
    play.stage.check(REASON, tried, leaked.is_empty() && rows > 0, result)?;
    let stopped = answer.err().map(|error| said(&error));
    let kept = stopped.is_some() && (1..=MASKED_MAX + own.len()).contains(&rows);
    let said = stopped.unwrap_or_else(|| "no error".to_owned());
    play.stage.check(
        "a spent budget is spent",
        tried,
        kept,
        format!("{rows} of 20000 rows, then: {said}"),
    )
}

fn tricks(play: &Play<'_>) -> Vec<Trick> {
    let own = play.world.own_customers(COLLEAGUE);
    let victim = (500..).find(|id| !own.contains(id)).unwrap_or(500);
    let trick = |name, sql: String| Trick { name, sql };
    let from = format!("FROM public.customers c WHERE id BETWEEN {victim} AND {}", victim + 5);
    vec![
        trick("row_to_json", format!("SELECT row_to_json(c) {from}")),
        trick("a cast of the whole row", format!("SELECT c::text {from}")),
        trick("string_agg", format!("SELECT string_agg(email, ',') {from}")),
        trick("a function over the value", format!("SELECT reverse(reverse(phone)) {from}")),
        trick("COPY to a file", "COPY public.customers TO '/tmp/customers'".to_owned()),
        trick("COPY of a query", format!("COPY (SELECT * {from}) TO STDOUT")),
        trick(
            "a cursor",
            format!("BEGIN; DECLARE x CURSOR FOR SELECT * {from}; FETCH ALL FROM x; COMMIT"),
        ),
        trick("an error that quotes the value", format!("SELECT email::int {from}")),
        trick("a division by zero", format!("SELECT 1 / (length(email) - length(email)) {from}")),
        trick("an upper-case copy", format!("CREATE TEMP TABLE x AS SELECT * {from}")),
        trick("statistics", "SELECT most_common_vals FROM pg_stats".to_owned()),
        trick("EXPLAIN", format!("EXPLAIN (ANALYZE, VERBOSE) SELECT email {from}")),
        trick("a block of code", "DO $$ BEGIN RAISE NOTICE '%', 1; END $$".to_owned()),
    ]
}

async fn try_out(play: &mut Play<'_>, thief: &Person, trick: &Trick) -> anyhow::Result<()> {
    let own = play.world.own_customers(COLLEAGUE);
    let before = thief.received_len();
    let answer = thief.run(&trick.sql).await;
    if answer.is_err() {
        // A failed transaction would make all that follows fail for the wrong reason.
        let _ = thief.run("ROLLBACK").await;
    }
    let leaked = of_others(&play.values, &thief.received_since(before), &own);
    let result = match answer {
        Ok(rows) => format!("{} rows, {} values of others", rows.len(), leaked.len()),
        Err(error) => said(&error),
    };
    play.stage.check(REASON, trick.name, leaked.is_empty() && !thief.is_cut(), result)
}

/// Asks whether a value begins so, in ways that would answer yes and no.
async fn oracle(play: &mut Play<'_>, thief: &Person) -> anyhow::Result<()> {
    let own = play.world.own_customers(COLLEAGUE);
    let victim = (700..).find(|id| !own.contains(id)).unwrap_or(700);
    let right: String = play.world.customer(victim).email.chars().take(4).collect();
    let mut answers = Vec::new();
    for guess in [right.as_str(), "zzzz"] {
        let sql = format!(
            "SELECT count(*) FROM public.customers WHERE id = {victim} AND email LIKE '{guess}%'"
        );
        answers.push(thief.run(&sql).await.map_err(|error| said(&error)));
    }
    let same = answers.first() == answers.last();
    let result = match answers.first() {
        Some(Ok(rows)) if same => format!("the same answer to right and wrong: {rows:?}"),
        Some(Err(said)) if same => said.clone(),
        _ => format!("the answers differ: {answers:?}"),
    };
    play.stage.check(REASON, "a yes-or-no question about a value", same, result)
}
