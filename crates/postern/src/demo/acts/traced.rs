//! Fourth act: records turn up, customers complain, and another list turns up that came from
//! elsewhere.

use std::{fmt::Write as _, fs};

use postern_model::Clock as _;
use serde_json::Value;

use super::Play;
use crate::{clock::SystemClock, demo::THIEF};

const INNOCENT: &str = "never name an innocent";

pub(in crate::demo) fn play(play: &mut Play<'_>) -> anyhow::Result<()> {
    play.stage.act("Records turn up outside")?;
    let taken = taken(play);
    fs::write(play.setting.path("leak.csv"), play.world.leaked(&taken))?;
    fs::write(play.setting.path("foreign.csv"), play.world.foreign())?;
    fs::write(play.setting.path("values.jsonl"), values(play))?;
    fs::write(play.setting.path("complaints.jsonl"), complaints(play, &taken))?;

    let complaining = play.world.complaining(&taken).len();
    let trace = trace(play, "leak.csv", true)?;
    let named = trace["verdict"] == "attributed" && trace["actors"] == serde_json::json!([THIEF]);
    let records = taken.len() - taken.len() / 10;
    let tried = format!("a list of {records} records, {complaining} complaints");
    play.stage.check("the account is named", tried, named, told(&trace))?;
    evidence(play)?;

    let trace = self::trace(play, "foreign.csv", false)?;
    let outside = trace["verdict"] == "outside" && trace["actors"] == serde_json::json!([]);
    play.stage.check(INNOCENT, "a list that came from elsewhere", outside, told(&trace))
}

/// Makes one file of what the trace rests on, and has it checked by whoever has no Postern, the
/// likelihoods computed anew.
fn evidence(play: &mut Play<'_>) -> anyhow::Result<()> {
    let Some(auditor) = play.setting.auditor()? else {
        return play.stage.step("evidence is not checked: that needs Python with `cryptography`");
    };
    let [list, values, file] =
        ["leak.csv", "values.jsonl", "evidence.zip"].map(|name| play.setting.text(name));
    let export = ["evidence", "export", "--leak", &list, "--values", &values, "--out", &file];
    let output = play.setting.postern(&[&export[..], &["--account", THIEF]].concat())?;
    anyhow::ensure!(
        output.status.success(),
        "no evidence: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let key = play.setting.ledger_key()?;
    let judged = auditor.check_evidence(&play.setting.path("evidence.zip"), &key)?;
    let concerned = &judged.summary["accounts"][0];
    let holds = judged.holds && concerned["account"] == THIEF;
    let result = if judged.holds {
        format!("it holds: all {} entries of {}", concerned["entries"], concerned["account"])
    } else {
        judged.why
    };
    let tried = "the evidence, by a program that shares no code";
    play.stage.check("evidence that others can check", tried, holds, result)
}

/// The customers that the thief's client was sent in clear and that were not his.
fn taken(play: &Play<'_>) -> Vec<usize> {
    let own = play.world.own_customers(THIEF);
    let shown = play.shown.get(THIEF).cloned().unwrap_or_default();
    shown.into_keys().filter(|customer| !own.contains(customer)).collect()
}

fn trace(play: &Play<'_>, list: &str, complaints: bool) -> anyhow::Result<Value> {
    let path = |name: &str| play.setting.path(name).display().to_string();
    let (list, values, complaining) = (path(list), path("values.jsonl"), path("complaints.jsonl"));
    let mut arguments = vec!["trace", "--leak", &list, "--values", &values, "--json"];
    if complaints {
        arguments.extend(["--complaints", &complaining]);
    }
    let output = play.setting.postern(&arguments)?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        anyhow::anyhow!("trace failed: {}", String::from_utf8_lossy(&output.stderr).trim())
    })
}

fn told(trace: &Value) -> String {
    let verdict = trace["verdict"].as_str().unwrap_or("nothing");
    format!("{verdict}: {}", trace["why"].as_str().unwrap_or("no reason given"))
}

/// The values that the fields had, which is what they have: nothing changes in the demo.
fn values(play: &Play<'_>) -> String {
    let mut lines = String::new();
    let mut line = |ts: &dyn std::fmt::Display, subject: usize, field: &str, value: &str| {
        let (ts, subject) = (ts.to_string(), subject.to_string());
        let object =
            serde_json::json!({ "ts": ts, "subject": subject, "field": field, "value": value });
        let _ = writeln!(lines, "{object}");
    };
    for customer in &play.world.customers {
        for (field, value) in
            [("name", &customer.name), ("email", &customer.email), ("phone", &customer.phone)]
        {
            line(&customer.created, customer.id, field, value);
        }
    }
    for ticket in &play.world.tickets {
        line(&ticket.created, ticket.customer, "ticket", &ticket.number);
    }
    lines
}

/// The complaints, as a feed has them.
fn complaints(play: &Play<'_>, taken: &[usize]) -> String {
    let now = SystemClock.now().to_string();
    let line = |id: usize| {
        let object = serde_json::json!({
            "ts": now, "subject": id.to_string(), "kind": "scam_call", "fields": ["name", "phone"],
        });
        format!("{object}\n")
    };
    play.world.complaining(taken).into_iter().map(line).collect()
}
