//! First act: people do their work, and notice nothing.

use super::{Play, of_others};
use crate::{
    demo::person::{Person, said},
    ui::Progress,
};

/// How many of their own customers each agent opens.
const OPENED: usize = 12;

const AGENT: &str = "agent01";
const REASON: &str = "no clear value without a reason";

pub(in crate::demo) async fn play(play: &mut Play<'_>) -> anyhow::Result<()> {
    play.stage.act("An agent works")?;
    let agent = play.log_in(AGENT).await?;
    own_tickets(play, &agent).await?;
    own_and_other(play, &agent).await?;
    look_up(play, &agent).await?;
    play.remember(AGENT, &agent);
    everybody(play).await
}

async fn own_tickets(play: &mut Play<'_>, agent: &Person) -> anyhow::Result<()> {
    let sql = format!(
        "SELECT number, subject, customer_id FROM public.tickets \
         WHERE assignee = '{AGENT}' AND status IN ('open', 'pending') ORDER BY id"
    );
    let own = play.world.own_customers(AGENT);
    match agent.run(&sql).await {
        Ok(rows) => {
            let clear = rows.iter().filter(|row| {
                let number = row.first().cloned().flatten().unwrap_or_default();
                play.world.tickets.iter().any(|t| t.number == number && own.contains(&t.customer))
            });
            let (clear, all) = (clear.count(), rows.len());
            let result = format!("{all} tickets, {clear} with their numbers in clear");
            play.stage.check(REASON, "own tickets", clear == own.len() && all == clear, result)
        }
        Err(error) => play.stage.check(REASON, "own tickets", false, said(&error)),
    }
}

async fn own_and_other(play: &mut Play<'_>, agent: &Person) -> anyhow::Result<()> {
    let own = play.world.own_customers(AGENT);
    let sql = "SELECT name, email, phone FROM public.customers WHERE id = $1::text::bigint";
    let customer = play.world.customer(own[0]);
    let expected: Vec<Option<String>> =
        [&customer.name, &customer.email, &customer.phone].map(|text| Some(text.clone())).into();
    let (kept, result) = match agent.ask(sql, &customer.id.to_string()).await {
        Ok(rows) if rows == [expected] => (true, format!("sees {}", customer.name)),
        Ok(rows) => (false, format!("sees {rows:?}")),
        Err(error) => (false, said(&error)),
    };
    play.stage.check(REASON, "the agent opens a customer who wrote in", kept, result)?;

    let other = (1..).find(|id| !own.contains(id)).unwrap_or(1);
    let before = agent.received_len();
    let answer = agent.ask(sql, &other.to_string()).await;
    let leaked = of_others(&play.values, &agent.received_since(before), &own);
    let (kept, result) = match answer {
        Ok(rows) => {
            let shown: Vec<String> = rows.into_iter().flatten().flatten().collect();
            (leaked.is_empty() && shown.len() == 3, format!("sees {}", shown.join(" ")))
        }
        Err(error) => (false, said(&error)),
    };
    play.stage.check(REASON, "the agent opens somebody else's customer", kept, result)
}

async fn look_up(play: &mut Play<'_>, agent: &Person) -> anyhow::Result<()> {
    let own = play.world.own_customers(AGENT);
    let caller = play.world.customer(own[1]);
    let sql = "SELECT id::text, name FROM public.customers WHERE phone = $1";
    let expected = vec![Some(caller.id.to_string()), Some(caller.name.clone())];
    let (kept, result) = match agent.ask(sql, &caller.phone).await {
        Ok(rows) if rows == [expected] => (true, format!("finds {}", caller.name)),
        Ok(rows) => (false, format!("finds {rows:?}")),
        Err(error) => (false, said(&error)),
    };
    play.stage.check(REASON, "the agent looks a caller up by phone", kept, result)
}

/// The working day of all forty, so that the detectors know what is usual.
async fn everybody(play: &mut Play<'_>) -> anyhow::Result<()> {
    let agents = play.world.agents.clone();
    let all = u64::try_from(agents.len()).unwrap_or(0);
    let mut bar = Progress::new("agents");
    let mut opened = 0;
    for (done, agent) in (1..).zip(&agents) {
        let person = play.log_in(agent).await?;
        for id in play.world.own_customers(agent).into_iter().take(OPENED) {
            let sql =
                format!("SELECT name, email, phone, notes FROM public.customers WHERE id = {id}");
            person.run(&sql).await.map_err(|error| anyhow::anyhow!(said(&error)))?;
            opened += 1;
        }
        play.remember(agent, &person);
        bar.at(done, all);
    }
    bar.end();
    let agents = agents.len();
    play.stage.step(&format!("{agents} agents opened {opened} customers of theirs"))
}
