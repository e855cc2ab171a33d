//! Makes a script that tells the two sides apart as short as it can.

use crate::{
    arena::Stage,
    campaign::Maker,
    compare::{Verdict, judge},
    script::Script,
};

/// How many scripts are tried at most.
const TRIES: usize = 1_500;

/// The shortest script found that still leaks, and what it shows.
pub(crate) fn shrink(
    stage: &mut Stage,
    maker: &Maker,
    drawn: Vec<u32>,
) -> anyhow::Result<(Script, String)> {
    let mut best = Candidate::of(maker, drawn);
    let mut why = String::new();
    let mut tries = 0;
    let mut progress = true;
    while progress && tries < TRIES {
        progress = false;
        for smaller in smaller(&best.drawn) {
            tries += 1;
            if tries > TRIES {
                break;
            }
            let candidate = Candidate::of(maker, smaller);
            if candidate.size() >= best.size() {
                continue;
            }
            if let Verdict::Leak(said) = judge(stage, &candidate.script)? {
                (best, why, progress) = (candidate, said, true);
                break;
            }
        }
    }
    if why.is_empty()
        && let Verdict::Leak(said) = judge(stage, &best.script)?
    {
        why = said;
    }
    Ok((best.script, why))
}

struct Candidate {
    drawn: Vec<u32>,
    script: Script,
}

impl Candidate {
    fn of(maker: &Maker, drawn: Vec<u32>) -> Self {
        let (script, drawn) = maker.replay(drawn);
        Self { drawn, script }
    }

    fn size(&self) -> (usize, u64) {
        (self.script.text().len(), self.drawn.iter().map(|n| u64::from(*n)).sum())
    }
}

/// Shorter lists of numbers: parts left out, then parts set to 0.
fn smaller(drawn: &[u32]) -> Vec<Vec<u32>> {
    let mut lists = Vec::new();
    let mut length = drawn.len() / 2;
    while length > 0 {
        for start in (0..drawn.len()).step_by(length) {
            let end = (start + length).min(drawn.len());
            let mut left_out = drawn[..start].to_vec();
            left_out.extend(&drawn[end..]);
            lists.push(left_out);
            if drawn[start..end].iter().any(|number| *number != 0) {
                let mut zeroed = drawn.to_vec();
                zeroed[start..end].fill(0);
                lists.push(zeroed);
            }
        }
        length /= 2;
    }
    lists
}
