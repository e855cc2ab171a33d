//! The page for somebody who has to understand the evidence and is no engineer.

use postern_trace::{Scale, Verdict};

use super::{
    Case,
    document::{Block, Document},
};

/// What the evidence says, and what can and can't be checked of it.
pub(super) fn document(case: &Case, ledger: &str) -> Document {
    let trace = &case.trace;
    let mut page = Document::new("Where leaked records came from", verdict(trace.verdict));
    page.push(Block::Text(format!("{}.", trace.why)));
    page.push(Block::Text(NOT_A_PERSON.to_owned()));
    page.push(Block::Heading("Accounts"));
    let concerned = trace
        .suspects
        .iter()
        .filter(|suspect| case.accounts.iter().any(|(account, ..)| *account == suspect.actor));
    let rows = concerned.map(|suspect| {
        let ratio = suspect.log_likelihood_ratio;
        [
            suspect.actor.to_string(),
            format!(
                "{} (a likelihood ratio of 10^{:.1} against every other explanation)",
                Scale::of(ratio).as_str(),
                ratio / f64::ln(10.0)
            ),
            format!("{} of {}", suspect.matched, trace.rows.resolved),
        ]
    });
    let head = ["account", "support", "records of the list that it was shown"];
    page.push(Block::Table { head, rows: rows.collect() });
    if let Some((from, to)) = trace.window {
        page.push(Block::Text(format!("Most of them were shown between {from} and {to}.")));
    }
    page.push(Block::Heading("What can be checked, and how"));
    page.push(Block::Text(CHECKED.to_owned()));
    page.push(Block::Code("python3 verifier --evidence FILE.zip --key \"$(cat ledger.pub)\""));
    page.push(Block::Text(KEY.to_owned()));
    page.push(Block::Heading("What can not be checked with this file alone"));
    page.push(Block::List(&NOT_CHECKED));
    page.push(Block::Text(OTHERS.to_owned()));
    let since = case.since.map_or_else(|| "the beginning".to_owned(), |since| since.to_string());
    page.push(Block::Text(format!(
        "Ledger `{ledger}`, {} entries, from {since} to {}.",
        case.entries, case.until
    )));
    page
}

const NOT_A_PERSON: &str = "An account is named, never a person: somebody else may have used it, \
    and what it was shown may have been copied from it.";

const CHECKED: &str = "Everything that an account is shown is written into a ledger before it is \
    shown. The ledger can be added to, but nothing in it can be changed or removed without that \
    being seen. In the folder `proofs` are all entries of the accounts above in that time, with \
    the proof that none is missing. The program `verifier`, which was made independently of the \
    program that keeps the ledger, checks that proof, counts anew which records of the list the \
    account was shown, and computes the likelihood ratio of the account to \"from somewhere else\" \
    anew from the entries:";

const KEY: &str = "The key must be one that you had before, or have from somebody whom you trust: \
    the one in this file shows only that the file agrees with itself.";

const NOT_CHECKED: [&str; 3] = [
    "How many customers there are, how many accounts work with each customer of the list, and \
     which values they had when. They are in `analysis.json`, and the verifier takes them as they \
     stand there.",
    "The comparison with all other accounts and explanations, in `trace.json`: whoever has the \
     ledger can run the command in `analysis.json` again and must get the same.",
    "That nothing was shown past the ledger.",
];

const OTHERS: &str = "Customers who are not in the list are numbers in the proofs. `custody.jsonl` \
    says who did what with this evidence; `certification.txt` is a form for whoever testifies to \
    it; `case.jsonld` says the same to programs that exchange cases.";

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Attributed => "The records came through one account.",
        Verdict::Coalition => "The records came through several accounts together.",
        Verdict::Narrowed => "The records came through one of a few accounts; which is open.",
        Verdict::Outside => "The records came through no account that is recorded.",
        Verdict::CannotTell => "Where the records came from can't be told.",
    }
}
