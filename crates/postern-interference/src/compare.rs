//! What is asked of every script: both sides say the same, and neither says a canary.

use std::fmt::Write as _;

use postern_wire::Frame;

use crate::{
    arena::Stage,
    client::{Outcome, Transcript},
    schema::CANARY,
    script::Script,
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
    let [one, two] = stage.play(script)?;
    let Some(first) = difference(&one, &two) else {
        let rows = one.rows();
        return Ok(Verdict::Same { outcome: one.outcome(), rows });
    };
    for _ in 0..AGAIN {
        stage.reconnect();
        let [one, two] = stage.play(script)?;
        if difference(&one, &two).is_none() {
            return Ok(Verdict::Unsteady(first));
        }
    }
    stage.reconnect();
    Ok(Verdict::Leak(first))
}

/// What a client could tell the two databases apart by.
fn difference(one: &Transcript, two: &Transcript) -> Option<String> {
    let timed_out = [one, two].iter().any(|side| side.outcome() == Outcome::TimedOut);
    if timed_out {
        return None;
    }
    for side in [one, two] {
        if side.contains(CANARY.as_bytes()) {
            return Some("a value that nobody may see was shown".to_owned());
        }
    }
    if one == two {
        return None;
    }
    let pairs = one.frames.iter().zip(&two.frames);
    let at = pairs.take_while(|(one, two)| one == two).count();
    let mut text = format!("message {at} differs:");
    for (name, side) in [("first", one), ("second", two)] {
        let shown = side.frames.get(at).map_or_else(|| "nothing".to_owned(), readable);
        let _ = write!(text, "\n  {name}: {shown}");
    }
    Some(text)
}

/// A message's bytes, as far as a person can read them.
pub(crate) fn readable(frame: &Frame) -> String {
    let body = &frame.body()[..frame.body().len().min(300)];
    format!("{} {}", char::from(frame.tag()), body.escape_ascii())
}
