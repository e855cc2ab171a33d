use postern_model::Actor;

use crate::{Other, OtherSource, Rows, Scale, Suspect, Trace, Verdict, resolve::Resolved};

/// The outcome when there is nothing to compare.
pub(super) fn nothing_known(list: &Resolved) -> Trace {
    let why = if list.rows.len() + list.strangers == 0 {
        "no row of the list can be compared with what is known of customers"
    } else {
        "no access to any customer is known, so nothing can be compared"
    };
    Trace {
        verdict: Verdict::CannotTell,
        actors: Vec::new(),
        suspects: Vec::new(),
        others: Vec::new(),
        rows: Rows { list: list.list, resolved: list.rows.len(), matched: 0 },
        window: None,
        evidence: Vec::new(),
        why: why.to_owned(),
        details: None,
        decide: vec![
            "a list with values that can be compared, and the accesses of that time".into(),
        ],
    }
}

/// The sentence.
pub(super) fn why(
    verdict: Verdict,
    first: Option<&Suspect>,
    narrowed: &[Actor],
    others: &[Other],
    rows: Rows,
) -> String {
    let Rows { list, resolved, matched } = rows;
    let names = narrowed.iter().map(|actor| format!("`{actor}`")).collect::<Vec<_>>().join(", ");
    let found = format!("of {list} rows {resolved} are customers");
    match (verdict, first) {
        (Verdict::Attributed, Some(suspect)) => format!(
            "{found}, and the account {names} had been shown {matched} of them: {} against every \
             other source, a likelihood ratio of at least 10^{:.0}",
            Scale::of(suspect.log_likelihood_ratio).as_str(),
            (suspect.log_likelihood_ratio / f64::ln(10.0)).floor(),
        ),
        (Verdict::Coalition, Some(_)) => format!(
            "{found}, and the accounts {names} gave different parts of the list: each with strong \
             support against every explanation without it"
        ),
        (Verdict::Narrowed, _) => format!(
            "{found}, and they came in all probability through {names}; the evidence does not \
             suffice to name one account"
        ),
        (Verdict::Outside, _) => format!(
            "{found}, and they fit no account and no shared source better than chance: no logged \
             access is where they came from"
        ),
        (Verdict::CannotTell | Verdict::Attributed | Verdict::Coalition, _) => {
            let probable = others.first().filter(|other| other.probability > 0.5);
            let shared = match probable.map(|other| &other.source) {
                Some(source @ (OtherSource::Pool(_) | OtherSource::Unlogged)) => {
                    format!("; the most probable source, {source}, is not one person's")
                }
                _ => String::new(),
            };
            format!(
                "{found}, and several sources remain possible{shared}; more rows, or the \
                     values that fields had over time, would help"
            )
        }
    }
}
