//! What is asked of every script: both sides say the same, and neither says a canary.

use std::fmt::Write as _;

use postern_wire::Frame;

use crate::{
    accounts::account,
    arena::Stage,
    client::{Outcome, Transcript},
    schema::CANARY,
    script::{Script, Step},
};

/// How often a difference must show again, each time with new connections. What comes from a
/// machine that is too slow for a moment (a reading of reasons that ran out, a time-out) does not;
/// what comes from data does.
const AGAIN: usize = 3;

/// What became of a script on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Both said the same.
    Same { outcome: Outcome, rows: usize },
    /// They differed once and then no more.
    Unsteady(String),
    /// They differ, or show what nobody may see.
    Leak(String),
}

/// Plays a script and judges what came.
pub fn judge(stage: &mut Stage, script: &Script) -> anyhow::Result<Verdict> {
    let order = Order::of(script, stage);
    let (one, comparison) = play(stage, script, order)?;
    let first = match comparison {
        Comparison::Same => {
            let rows = one.rows();
            return Ok(Verdict::Same { outcome: one.outcome(), rows });
        }
        Comparison::Unknown => {
            return Ok(Verdict::Unsteady("one side took longer than allowed".to_owned()));
        }
        Comparison::Differ(first) => first,
    };
    for _ in 0..AGAIN {
        stage.reconnect();
        let (_, comparison) = play(stage, script, order)?;
        if !matches!(comparison, Comparison::Differ(_)) {
            return Ok(Verdict::Unsteady(first));
        }
    }
    stage.reconnect();
    Ok(Verdict::Leak(first))
}

/// What came on the first side, and what is to be said of both.
fn play(
    stage: &mut Stage,
    script: &Script,
    order: Order,
) -> anyhow::Result<(Transcript, Comparison)> {
    let Some(accounts) = stage.accounts.clone() else {
        let [one, two] = stage.play(script)?;
        let comparison = compare(&one, &two, order);
        return Ok((one, comparison));
    };
    stage.told()?;
    let [one, two] = stage.play(script)?;
    let [told_one, told_two] = stage.told()?;
    let comparison = account(&accounts, [(&one, &told_one), (&two, &told_two)], order);
    Ok((one, comparison))
}

/// Whether the order of rows is compared.
///
/// Where a script asks for none, rows come as they stand in the pages, and where a changed row
/// goes depends on the room that its neighbours leave: on the lengths of their values. So do rows
/// that an order does not tell apart: it is compared where the lengths are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Asked,
    Any,
    /// Rows are taken or reckoned with by their order, among others that may change it.
    Chosen,
}

/// What takes rows by their order, or reckons with it. The generator writes it in small letters
/// where the rows are of unprotected tables only.
const CHOOSING: [&str; 6] =
    [" LIMIT ", " OFFSET ", "FETCH ", "DISTINCT ON", "OVER (", "WITH ORDINALITY"];

impl Order {
    fn of(script: &Script, stage: &Stage) -> Self {
        let text = script.text();
        if stage.accounts.is_some() {
            let slices = |step: &Step| match step {
                Step::Simple(_) => false,
                Step::Extended(extended) => extended.slices.len() > 1,
            };
            let words = CHOOSING.iter().any(|word| text.contains(word));
            let chosen = words || script.steps.iter().any(slices);
            return if chosen { Self::Chosen } else { Self::Any };
        }
        let asked = stage.level && text.to_ascii_uppercase().contains("ORDER BY");
        if asked { Self::Asked } else { Self::Any }
    }
}

/// What came of one play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Comparison {
    Same,
    /// One side took longer than allowed; a machine that is busy may have done that.
    Unknown,
    /// What a client could tell the two databases apart by.
    Differ(String),
}

/// Compares the two answers of a script, in which nothing may stand that nobody may see.
pub(crate) fn compare(one: &Transcript, two: &Transcript, order: Order) -> Comparison {
    for side in [one, two] {
        if side.contains(CANARY.as_bytes()) {
            return Comparison::Differ("a value that nobody may see was shown".to_owned());
        }
    }
    difference(one, two, order)
}

/// Compares the two answers of a script.
pub(crate) fn difference(one: &Transcript, two: &Transcript, order: Order) -> Comparison {
    match [one, two].map(|side| side.outcome() == Outcome::TimedOut) {
        // Where in its answer a side is stopped hangs on the moment.
        [true, true] => return Comparison::Same,
        [true, false] | [false, true] => return Comparison::Unknown,
        [false, false] => {}
    }
    let [first, second] = [one, two].map(|side| match order {
        Order::Asked => side.frames.clone(),
        Order::Any | Order::Chosen => sorted_rows(&side.frames),
    });
    if one.closed == two.closed && first == second {
        return Comparison::Same;
    }
    let pairs = first.iter().zip(&second);
    let at = pairs.take_while(|(one, two)| one == two).count();
    let mut text = format!("message {at} differs:");
    for (name, side) in [("first", &first), ("second", &second)] {
        let shown = side.get(at).map_or_else(|| "nothing".to_owned(), readable);
        let _ = write!(text, "\n  {name}: {shown}");
    }
    Comparison::Differ(text)
}

/// The messages with their rows in one order: also those of several results, and those between
/// which a portal was suspended.
fn sorted_rows(frames: &[Frame]) -> Vec<Frame> {
    let is_row = |frame: &&Frame| matches!(frame.tag(), b'D' | b'd');
    let mut rows: Vec<Frame> = frames.iter().filter(is_row).cloned().collect();
    rows.sort_by(|one, two| one.raw().cmp(two.raw()));
    let mut rows = rows.into_iter();
    let placed = frames.iter().map(|frame| match is_row(&frame) {
        true => rows.next().unwrap_or_else(|| frame.clone()),
        false => frame.clone(),
    });
    placed.collect()
}

/// A message's bytes, as far as a person can read them.
pub(crate) fn readable(frame: &Frame) -> String {
    let body = &frame.body()[..frame.body().len().min(300)];
    format!("{} {}", char::from(frame.tag()), body.escape_ascii())
}
