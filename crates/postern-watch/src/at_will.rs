//! Whether an account's customers look picked at will rather than by the work.
//!
//! A signal asks one thing of a trial and is blind to what else is odd about it. Here all that is
//! known of a customer counts at once: how the access is explained, and whether the customer is of
//! the account's own field. Both give a cell. How often which cell is usual is learned like any
//! share, and how often it would be if somebody picked customers at will is known: customers are
//! drawn from all that there are, and looked at with the account's eyes. The ratio of the two is
//! the evidence of a trial. For a part `e` of picked customers among all, it is
//! `1 - e + e * drawn / usual`.
//!
//! Fooled by whoever takes only customers who could be theirs by the work.

use crate::{
    account::Account,
    names::NONE,
    peers::{Group, Teams},
    reasons::Class,
    share::{History, Learning, NOTHING, Setting, Test},
    signals::{ALL, Trial},
    usual::{Count, Load, Peers},
};

/// The kind of its findings.
pub(crate) const NAME: &str = "picked_at_will";
/// What an access can be beside one that the work explains: five classes, and whose field it is.
pub(crate) const CELLS: usize = 10;
/// A usual share of a cell below this is not believed.
const LEAST: f64 = 0.002;
/// Customers that are drawn until the guess counts by half, and until older ones fade.
const GUESS: f64 = 20.0;
const DRAWN_CAP: f64 = 4_000.0;
/// What the guess is: somebody else's customers, own old ones, closed ones and those who never
/// wrote, of every field.
const GUESSED: [f64; CELLS] = [0.05, 0.05, 0.02, 0.02, 0.1, 0.3, 0.1, 0.2, 0.0, 0.0];
/// The part of the picked customers that are taken from the account's own field.
const OWN_FIELD: f64 = 0.5;
/// The part for which a ticket is claimed that is somebody else's, at most as often as claims are
/// told of at all.
const CLAIMED: f64 = 0.5;

/// The trial's cell, if the work doesn't explain it.
pub(crate) fn cell(trial: &Trial) -> Option<usize> {
    let class = match trial.reason.class {
        Class::Strong | Class::Approved | Class::Weak | Class::Dangling => return None,
        Class::Colleague => 0,
        Class::Past => 2,
        Class::Archive => 4,
        Class::Bare => 6,
        Class::Misclaimed => 8,
    };
    Some(class + usize::from(trial.foreign))
}

/// How customers who are drawn look to accounts of a role.
#[derive(Debug)]
pub(crate) struct Drawn {
    cells: [f64; CELLS],
    all: f64,
    /// How often they are in each cell, whatever is claimed.
    shares: [f64; CELLS],
    /// Accesses for which a ticket was claimed, and all of them.
    claims: (f64, f64),
}

impl Default for Drawn {
    fn default() -> Self {
        let cells = GUESSED.map(|share| share * GUESS);
        Self { cells, all: GUESS, shares: shares(&cells, GUESS), claims: (0.0, 1.0) }
    }
}

impl Drawn {
    pub(crate) fn add(&mut self, trial: &Trial) {
        if let Some(count) = cell(trial).and_then(|cell| self.cells.get_mut(cell)) {
            *count += 1.0;
        }
        self.all += 1.0;
        if self.all > DRAWN_CAP {
            self.cells.iter_mut().for_each(|count| *count *= 0.5);
            self.all *= 0.5;
        }
        self.shares = shares(&self.cells, self.all);
    }

    /// Notes an access, and whether a ticket was claimed for it.
    pub(crate) fn claim(&mut self, claimed: bool) {
        self.claims.0 += f64::from(u8::from(claimed));
        self.claims.1 += 1.0;
    }

    /// How often picked customers are in each cell.
    fn shares(&self) -> [f64; CELLS] {
        let claimed = CLAIMED.min(self.claims.0 / self.claims.1);
        let [.., archive, strange_archive, bare, strange_bare, _, _] = self.shares;
        let mut shares = self.shares;
        let [.., a, b, c, d, misclaimed, strange] = &mut shares;
        [a, b, c, d].into_iter().for_each(|share| *share *= 1.0 - claimed);
        *misclaimed = (archive + bare) * claimed;
        *strange = (strange_archive + strange_bare) * claimed;
        shares
    }
}

/// How often picked customers are in each cell, by those who were drawn.
fn shares(cells: &[f64; CELLS], all: f64) -> [f64; CELLS] {
    let own: f64 = cells.iter().step_by(2).sum();
    let rest = all - cells.iter().sum::<f64>();
    let mut cell = 0;
    cells.map(|count| {
        cell += 1;
        let field = if cell % 2 == 1 { count / (own + rest).max(1.0) } else { 0.0 };
        OWN_FIELD * field + (1.0 - OWN_FIELD) * count / all
    })
}

/// Puts the cell of a trial, at once or later, to the test for customers who are picked at will.
pub(crate) fn weigh(
    (account, group, teams): (&mut Account, &mut Group, &mut Teams),
    (hit, settled): (Option<usize>, bool),
    weight: f64,
    day: i64,
) {
    let (stage, team) = (usize::from(settled), account.team);
    let at_will = account.at_will.get_mut(stage);
    let (Some(at_will), Some(peers), Some(drawn)) =
        (at_will, group.cells.get_mut(stage), group.drawn.get(stage))
    else {
        return;
    };
    let places = ALL.len() + stage * CELLS..;
    let shown = if team == NONE {
        <&mut [Load]>::default()
    } else {
        teams.today((team, day)).get_mut(places).unwrap_or_default()
    };
    at_will.step(hit, weight, drawn, |cell, own, mean, count| {
        let Some(peers) = peers.get_mut(cell) else { return Default::default() };
        let role = peers.today(day);
        let (others, mut colleagues) = (role.without(own), Load::default());
        role.add(count, mean);
        if let Some(team) = shown.get_mut(cell) {
            colleagues = team.without(own);
            team.add(count, mean);
        }
        (others, colleagues)
    });
}

/// One account's test.
#[derive(Debug, Clone, Default)]
pub(crate) struct AtWill {
    pub(crate) test: Test,
    cells: [History; CELLS],
}

impl AtWill {
    /// One trial in a cell, or in none. `others` are what role and team show today of each cell.
    pub(crate) fn step(
        &mut self,
        hit: Option<usize>,
        weight: f64,
        drawn: &Drawn,
        mut others: impl FnMut(usize, Load, f64, Count) -> (Load, Load),
    ) {
        let (mut usual, mut picked) = (0.0, 0.0);
        let mut ratio = None;
        for ((cell, history), share) in self.cells.iter_mut().enumerate().zip(drawn.shares()) {
            let one = hit == Some(cell);
            let count = Count { ones: f64::from(u8::from(one)), trials: 1.0 };
            let (role, team) = others(cell, history.today(), history.mean(), count);
            let now = history.now(Setting { role, team, least: LEAST, weight });
            usual += now;
            picked += share;
            if one {
                ratio = Some(share / now);
            }
            history.add(one);
        }
        if self.usual() >= NOTHING {
            return;
        }
        let rest = (1.0 - picked).max(0.0) / (1.0 - usual).max(0.05);
        let ratio = ratio.unwrap_or(rest.min(1.0));
        self.test.step(weight, |part| 1.0 - part + part * ratio);
        if ratio > 1.0 {
            self.test.note();
        }
    }

    pub(crate) fn new_day(&mut self, old: &mut [Peers], learning: Learning, frozen: f64) {
        let high = self.test.is_high(frozen);
        let mut anew = false;
        for (history, peers) in self.cells.iter_mut().zip(old) {
            anew |= history.new_day(peers, learning, high);
        }
        if anew {
            self.test.reset();
        }
    }

    pub(crate) fn begin(&mut self, peers: &mut [Peers]) {
        for (history, peers) in self.cells.iter_mut().zip(peers) {
            history.begin(peers);
        }
        self.test.begin();
    }

    /// Whether the others of the team show today much more of a cell than usual that the account
    /// shows too.
    pub(crate) fn is_shared(&self, teams: &Teams, team: (u32, i64), stage: usize) -> bool {
        let place = |cell: usize| ALL.len() + stage * CELLS + cell;
        let mut cells = self.cells.iter().map(History::today).enumerate();
        cells.any(|(cell, own)| own.count.ones > 0.0 && teams.has_risen(team, place(cell), own))
    }

    /// The usual share of customers whom the work doesn't explain.
    pub(crate) fn usual(&self) -> f64 {
        self.cells.iter().map(History::usual).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days of 20 trials each, in cells as `hit` says.
    fn work(
        at_will: &mut AtWill,
        peers: &mut [Peers],
        days: usize,
        hit: fn(usize) -> Option<usize>,
    ) {
        let drawn = Drawn::default();
        for _ in 0..days {
            at_will.begin(peers);
            for trial in 0..20 {
                at_will.step(hit(trial), 1.0 / 20.0, &drawn, |_, _, _, _| Default::default());
            }
            at_will.new_day(peers, Learning::Usual, 30.0);
        }
    }

    /// One closed ticket of another's and four open ones of colleagues.
    fn usual(trial: usize) -> Option<usize> {
        if trial == 7 { Some(4) } else { trial.is_multiple_of(5).then_some(0) }
    }

    #[test]
    fn who_picks_customers_stands_out_and_who_helps_more_than_usual_does_not() {
        let mut peers: [Peers; CELLS] = Default::default();
        let mut at_will = AtWill::default();
        work(&mut at_will, &mut peers, 60, usual);
        assert!(at_will.test.evidence() < 10.0, "{}", at_will.test.evidence());
        let mut helping = at_will.clone();
        work(&mut helping, &mut peers, 4, |trial| trial.is_multiple_of(2).then_some(0));
        assert!(helping.test.evidence() < 10.0, "{}", helping.test.evidence());
        let mut picking = at_will;
        let picked = |trial| if trial % 8 == 1 { Some(5) } else { usual(trial) };
        work(&mut picking, &mut peers, 8, picked);
        assert!(picking.test.evidence() > 1e4, "{}", picking.test.evidence());
    }

    #[test]
    fn the_shares_of_the_drawn_add_up_and_none_is_claimed_where_nobody_claims() {
        let mut drawn = Drawn::default();
        let sum = |drawn: &Drawn| drawn.shares().iter().sum::<f64>();
        assert_eq!(drawn.shares()[8..], [0.0, 0.0]);
        let before = sum(&drawn);
        (0..50).for_each(|_| drawn.claim(true));
        let shares = drawn.shares();
        assert!(shares[8] > shares[4] && shares[9] > shares[5]);
        assert!((sum(&drawn) - before).abs() < 1e-9 && before <= 1.0, "{before}");
    }
}
