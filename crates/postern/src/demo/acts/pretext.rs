//! Third act: slowly, one customer at a time, each with a ticket as a pretext.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::error::SqlState;

use super::Play;
use crate::{
    demo::{
        THIEF,
        person::{Person, said},
    },
    ui::Progress,
};

/// How many customers the thief would take.
const WANTED: usize = 120;

/// How long a reason may take to hold, and a suspension to be carried out.
const PATIENCE: Duration = Duration::from_secs(5);

pub(in crate::demo) async fn play(play: &mut Play<'_>) -> anyhow::Result<()> {
    play.stage.act("The thief is patient: a ticket of his own for each customer")?;
    let thief = play.log_in(THIEF).await?;
    let mut taken = 0;
    let mut bar = Progress::new("customers");
    for victim in victims(play) {
        match take(play, &thief, victim).await {
            Ok(true) => taken += 1,
            Ok(false) => {}
            // The last that a session hears may come before its end is noticed.
            Err(error) if error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN) => {
                break;
            }
            Err(error) => anyhow::bail!("the pretext failed: {}", said(&error)),
        }
        bar.at(u64::try_from(taken).unwrap_or(0), u64::try_from(WANTED).unwrap_or(0));
    }
    bar.end();
    wait_until_cut(&thief).await;
    play.remember(THIEF, &thief);
    let tried = format!("{taken} customers opened under tickets of his own");
    let cut = thief.is_cut() && taken > 0 && taken < WANTED;
    let result = if thief.is_cut() { "the session was cut" } else { "the session goes on" };
    play.stage.check("suspended means out", tried, cut, result)?;
    recorded(play, taken).await?;
    refused(play).await
}

/// Customers that the thief has nothing to do with; decoys are not among them, so that it is the
/// statistics that find him.
fn victims(play: &Play<'_>) -> Vec<usize> {
    let own = play.world.own_customers(THIEF);
    let free = |id: &usize| !own.contains(id) && !play.world.decoys.contains(id);
    (0..).map(|n| 1 + n * 163 % 19_997).filter(free).take(WANTED).collect()
}

/// Opens a ticket and reads the customer; whether it worked.
async fn take(
    play: &Play<'_>,
    thief: &Person,
    victim: usize,
) -> Result<bool, tokio_postgres::Error> {
    let ticket = format!(
        "INSERT INTO public.tickets (customer_id, subject, body, assignee, channel, opened_by) \
         VALUES ({victim}, 'Call back', 'Asked to be called', '{THIEF}', 'internal', '{THIEF}')"
    );
    thief.run(&ticket).await?;
    let sql = format!("SELECT name, email, phone FROM public.customers WHERE id = {victim}");
    let name = &play.world.customer(victim).name;
    let started = tokio::time::Instant::now();
    while started.elapsed() < PATIENCE {
        let rows = thief.run(&sql).await?;
        if rows.iter().flatten().flatten().any(|value| value == name) {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(false)
}

async fn wait_until_cut(thief: &Person) {
    let started = tokio::time::Instant::now();
    while !thief.is_cut() && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the ledger says of it. The account is suspended first, then the finding is recorded.
async fn recorded(play: &mut Play<'_>, taken: usize) -> anyhow::Result<()> {
    let started = tokio::time::Instant::now();
    let mut found = entry(play, "found", "self_opened")?;
    while found.is_none() && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
        found = entry(play, "found", "self_opened")?;
    }
    let tried = format!("a finding after {taken} customers");
    let result = found.clone().unwrap_or_else(|| "no finding".to_owned());
    play.stage.check("noticed while it happens", tried, found.is_some(), result)?;
    let suspended = entry(play, "suspended", "")?;
    let result = suspended.clone().unwrap_or_else(|| "not in the ledger".to_owned());
    play.stage.check(
        "the watchers are watched",
        "the suspension is an entry",
        suspended.is_some(),
        result,
    )
}

/// What the first entry of a kind about the thief says, if it contains the word.
fn entry(play: &Play<'_>, kind: &str, word: &str) -> anyhow::Result<Option<String>> {
    let output = play.setting.postern(&["ledger", "show", "--actor", THIEF, "--json"])?;
    let lines: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let of_kind = lines.iter().filter(|line| line["kind"] == kind);
    let mut said = of_kind.filter_map(|line| line["what"].as_str());
    Ok(said.find(|what| what.contains(word)).map(str::to_owned))
}

async fn refused(play: &mut Play<'_>) -> anyhow::Result<()> {
    let answer = Person::log_in(play.setting.address, THIEF).await?;
    let (kept, result) = match answer {
        Ok(_) => (false, "let in again".to_owned()),
        Err(error) => (error.as_db_error().is_some(), said(&error)),
    };
    play.stage.check("suspended means out", "the thief logs in again", kept, result)
}
