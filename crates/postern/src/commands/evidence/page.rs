//! The page for somebody who has to understand the evidence and is no engineer.

use std::fmt::Write as _;

use postern_trace::{Scale, Verdict};

use super::Case;

/// One page without scripts, and without anything that it loads.
pub(super) fn html(case: &Case, ledger: &str) -> String {
    let trace = &case.trace;
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Evidence</title>\n\
         <style>body{font:1rem/1.5 sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}\
         td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}</style>\n\
         <h1>Where leaked records came from</h1>\n",
    );
    let _ = writeln!(html, "<p><strong>{}</strong></p>", verdict(trace.verdict));
    let _ = writeln!(html, "<p>{}.</p>", escaped(&trace.why));
    html.push_str(
        "<p>An account is named, never a person: somebody else may have used it, and what it was \
         shown may have been copied from it.</p>\n<h2>Accounts</h2>\n<table><tr><th>account\
         <th>support<th>records of the list that it was shown</tr>\n",
    );
    for suspect in &trace.suspects {
        if case.accounts.iter().any(|(account, ..)| *account == suspect.actor) {
            let _ = writeln!(
                html,
                "<tr><td>{}<td>{} (a likelihood ratio of 10^{:.1} against every other \
                 explanation)<td>{} of {}</tr>",
                escaped(suspect.actor.as_str()),
                Scale::of(suspect.log_likelihood_ratio).as_str(),
                suspect.log_likelihood_ratio / f64::ln(10.0),
                suspect.matched,
                trace.rows.resolved
            );
        }
    }
    html.push_str("</table>\n");
    if let Some((from, to)) = trace.window {
        let _ = writeln!(html, "<p>Most of them were shown between {from} and {to}.</p>");
    }
    html.push_str(BODY);
    let since = case.since.map_or_else(|| "the beginning".to_owned(), |since| since.to_string());
    let _ = writeln!(
        html,
        "<p>Ledger <code>{}</code>, {} entries, from {since} to {}.</p>\n</html>",
        escaped(ledger),
        case.entries,
        case.until
    );
    html
}

const BODY: &str = "<h2>What can be checked, and how</h2>\n<p>Everything that an account is shown \
    is written into a ledger before it is shown. The ledger can be added to, but nothing in it can \
    be changed or removed without that being seen. In the folder <code>proofs</code> are all \
    entries of the accounts above in that time, with the proof that none is missing. The program \
    <code>verifier</code>, which was made independently of the program that keeps the ledger, \
    checks that proof, counts anew which records of the list the account was shown, and computes \
    the likelihood ratio of the account to &ldquo;from somewhere else&rdquo; anew from the entries:\
    </p>\n<pre>python3 verifier --evidence FILE.zip --key \"$(cat ledger.pub)\"</pre>\n<p>The key \
    must be one that you had before, or have from somebody whom you trust: the one in this file \
    shows only that the file agrees with itself.</p>\n<h2>What can not be checked with this file \
    alone</h2>\n<ul><li>How many customers there are, how many accounts work with each customer of \
    the list, and which values they had when. They are in <code>analysis.json</code>, and the \
    verifier takes them as they stand there.<li>The comparison with all other accounts and \
    explanations, in <code>trace.json</code>: whoever has the ledger can run the command in \
    <code>analysis.json</code> again and must get the same.<li>That nothing was shown past the \
    ledger.</ul>\n<p>Customers who are not in the list are numbers in the proofs. \
    <code>custody.jsonl</code> says who did what with this evidence.</p>\n";

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Attributed => "The records came through one account.",
        Verdict::Coalition => "The records came through several accounts together.",
        Verdict::Narrowed => "The records came through one of a few accounts; which is open.",
        Verdict::Outside => "The records came through no account that is recorded.",
        Verdict::CannotTell => "Where the records came from can't be told.",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
