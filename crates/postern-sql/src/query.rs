//! The analysis of one statement that reads or writes rows.
//!
//! It runs twice over the same tree. The first run finds out which protected columns are used
//! anywhere but in a result row that carries their record's key, and which equality searches are
//! lookups; the second builds the leaves with that knowledge. What the second run finds must be
//! what the first one found.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    mem,
};

use pg_query::{Node, protobuf as pb};

use crate::{
    Hole, LookupValue, MaskCheck, Mode,
    catalogue::{Column, Relation},
    check::Checks,
    passed::Passed,
    print::LeafSelect,
    refusal::{Judged, not_understood, refuse},
    resolve::Resolver,
    taint::{Rows, Taint},
};

mod alone;
mod around;
mod asked;
mod call;
mod carry;
mod condition;
mod defines;
mod definition;
pub(crate) mod expression;
mod field;
mod from;
mod grouping;
mod join;
mod leaf;
mod links;
mod lock;
mod lookup;
mod merge;
mod names;
mod optional;
mod page;
mod pick;
mod recursion;
mod same_rows;
mod scalar;
mod scope;
mod select;
mod set_operation;
mod sets;
mod settings;
mod sort;
mod sorted_page;
mod switch;
mod target;
mod union;
mod view;
mod window;
mod work;
mod write;

pub(crate) use condition::parse_condition;
pub(crate) use grouping::unaccounted;
pub(crate) use leaf::{LeafBuild, Shown, shown};
pub(crate) use lookup::searched_value;
pub(crate) use pick::skipped;

/// What the first run finds and the second needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    /// Protected columns that must be masked for all keys, as (leaf, column number).
    pub(crate) spoiled: BTreeSet<(usize, i16)>,
    /// The lookups, by leaf.
    pub(crate) lookups: BTreeMap<usize, FoundLookup>,
    /// Protected columns that flow into the result, as (leaf, column number).
    pub(crate) result: BTreeSet<(usize, i16)>,
    /// Leaves of which a predicate leaves a few records, told by what tells records apart. Only
    /// the cost hangs on it, as on the next.
    pub(crate) points: BTreeSet<usize>,
    /// Leaves whose rows are locked: nothing else may be read in them.
    pub(crate) locked: BTreeSet<usize>,
    /// Rows can be held above the leaves: sorted in part, joined, grouped or passed on.
    pub(crate) held: bool,
    /// Leaves of common tables that are named more than once: one number for the rows of several
    /// places.
    pub(crate) shared: BTreeSet<usize>,
    /// Parameters that say whom the statement asks about, and something else too.
    pub(crate) repeated: BTreeSet<usize>,
    /// A system catalogue is read, in which the roles are those that the server knows.
    pub(crate) catalogue: bool,
    /// The session's user is named where the actor's account is meant.
    pub(crate) actor: bool,
}

/// `column = constant` on a lookup column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundLookup {
    pub(crate) attribute: i16,
    pub(crate) constant: Node,
    pub(crate) value: LookupValue,
}

/// A common table in scope.
#[derive(Debug, Clone)]
struct CommonTable {
    name: String,
    /// The columns' names as far as the query says them before its text.
    names: Vec<String>,
    /// Those of them that it gives in parentheses.
    renamed: Vec<String>,
    /// It has been named.
    named: bool,
    state: CommonState,
}

#[derive(Debug, Clone)]
enum CommonState {
    Known(Box<Rows>),
    /// Its first arm is being analysed.
    Begun,
    /// Its recursive arm is being analysed: a reference gives what the first arm gives.
    Itself(Box<Rows>),
    /// It comes later in the same `WITH RECURSIVE`.
    Later,
}

/// What a statement does besides reading.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acts {
    locks_rows: bool,
    /// These are of protected tables that the outermost select names: how many it names of all.
    locks_named: Option<usize>,
    /// A setting is changed.
    switches: bool,
    /// The state of a random number generator is changed: what it gives can be foretold from what
    /// it gave, and so how often it was asked.
    draws: bool,
    /// It waits for a time.
    sleeps: bool,
    /// It takes numbers of a sequence.
    counts: bool,
    /// It tells the time at which it comes to a row.
    clocks: bool,
    writes: bool,
    /// A function that is not PostgreSQL's own is called: it can do anything.
    calls_listed: Cell<bool>,
    /// Something is read in whose place the server puts its definition.
    opens_definition: bool,
}

/// The analysis of one statement, in one run.
#[derive(Debug)]
pub(crate) struct Analysis<'a> {
    pub(crate) resolver: Resolver<'a>,
    known: Facts,
    /// It is the first run, and knows nothing.
    scouting: bool,
    /// It is the second, of a statement in which a protected table takes part.
    beside: bool,
    /// What is judged is told to a function that asks the server about the role of that name.
    asks_of_role: bool,
    pub(crate) facts: Facts,
    pub(crate) leaves: Vec<LeafBuild<'a>>,
    /// The texts-to-be of those leaves that are named in a FROM clause, in the second run.
    pub(crate) selects: Vec<LeafSelect>,
    pub(crate) holes: Vec<Hole>,
    pub(crate) parameters: usize,
    /// How often each parameter is used.
    parameter_uses: BTreeMap<usize, usize>,
    /// What decides in the select that is being analysed.
    decisions: Taint,
    /// Protected columns of which something is computed: whether that fails hangs on them.
    pub(crate) worked: BTreeSet<(usize, i16)>,
    /// The protected table that is written.
    pub(crate) target: write::Target,
    pub(crate) checks: Checks,
    pub(crate) mask_checks: Vec<MaskCheck>,
    /// A reason's condition over the rows of this alias is being analysed.
    conditions_on: Option<String>,
    /// Leaves that a predicate narrows down by what tells records apart.
    pinned: BTreeSet<usize>,
    /// Those of them that it narrows down by more than their ranks, and those that an order of what
    /// is computed of keys brings to the front.
    singled: BTreeSet<usize>,
    /// Leaves of which a condition decides by any column, other than that of a link of records.
    filtered: BTreeSet<usize>,
    /// Leaves whose rows, other than those of one subject, a window function puts into an order.
    windowed: BTreeSet<usize>,
    /// Leaves whose rows of one subject, or of one record, a condition puts together.
    linked: BTreeSet<(usize, usize)>,
    pub(crate) questions: asked::Questions,
    /// Leaves of which only the records of those who are asked about can be in a row.
    pub(crate) bounded: BTreeSet<usize>,
    /// Leaves by whose columns something is computed that sorts the select's rows.
    computed: BTreeSet<usize>,
    /// Protected columns of which functions make rows in the select that is being analysed, where
    /// these may be told by what comes.
    sets: Option<BTreeSet<(usize, i16)>>,
    /// Rows are passed over, or read by a window function.
    passes: bool,
    /// Leaves whose rows are folded without carrying their keys.
    folded: BTreeSet<usize>,
    /// Leaves of which a pick leaves a few rows, or, where nothing is masked, of which a protected
    /// column is used where no row accounts for it: it counts where they are folded.
    narrowed: BTreeSet<usize>,
    /// Where nothing is masked, the protected columns, by leaf, that are used where no row accounts
    /// for them.
    pub(crate) deciding: BTreeSet<(usize, i16)>,
    /// The sides of outer joins that may be left out: the leaves that are then absent.
    sides: Vec<BTreeSet<usize>>,
    /// Those whose absence decides what comes.
    tested: BTreeSet<usize>,
    /// A row of the result that is passed over would tell something.
    pub(crate) sequential: bool,
    /// The rows that the gateway passes over.
    pub(crate) passed: Option<Passed>,
    commons: Vec<CommonTable>,
    /// A view is being defined: nothing can stand for what it calls where it is read.
    defines_view: bool,
    views: view::Views,
    recursions: usize,
    /// How many sub-selects were joined for their values.
    values_joined: usize,
    /// References to recursive common tables in their own recursive arms.
    references: usize,
    /// The next select is in FROM of one that only counts its rows.
    counted: bool,
    /// The common table whose first set operation comes next.
    pending: Option<usize>,
    arm: recursion::Arm,
    /// Leaves that such a comparison narrows down, unless the column holds keys in both arms.
    link_pins: BTreeMap<(usize, usize), Vec<recursion::LinkPin>>,
    aggregates: Vec<grouping::Aggregate>,
    windows: window::Windows,
    /// The argument of `pg_get_expr` is being analysed.
    prints_expression: bool,
    acts: Acts,
    names: usize,
    /// What was spent of the bound on a statement's cost.
    steps: Cell<usize>,
}

impl<'a> Analysis<'a> {
    /// The first run: it finds the facts, and its tree is not to be sent.
    pub(crate) fn scout(resolver: Resolver<'a>) -> Self {
        Self::new(resolver, Facts::default(), true)
    }

    /// The first run once more, where it found leaves in several places.
    pub(crate) fn scout_knowing(resolver: Resolver<'a>, shared: BTreeSet<usize>) -> Self {
        Self::new(resolver, Facts { shared, ..Facts::default() }, true)
    }

    /// The second run, with what the first one found.
    pub(crate) fn knowing(resolver: Resolver<'a>, known: Facts, beside: bool) -> Self {
        Self { beside, ..Self::new(resolver, known, false) }
    }

    /// Whether the statement, in which no protected table takes part, is to be sent with the
    /// actor's name in it.
    pub(crate) fn names_actor(&self) -> bool {
        self.facts.actor && !self.facts.catalogue && !self.acts.switches
    }

    fn new(resolver: Resolver<'a>, known: Facts, scouting: bool) -> Self {
        Self {
            resolver,
            known,
            scouting,
            beside: false,
            asks_of_role: false,
            facts: Facts::default(),
            leaves: Vec::new(),
            selects: Vec::new(),
            holes: Vec::new(),
            parameters: 0,
            parameter_uses: BTreeMap::new(),
            decisions: Taint::default(),
            worked: BTreeSet::new(),
            target: write::Target::default(),
            checks: Checks::default(),
            mask_checks: Vec::new(),
            conditions_on: None,
            pinned: BTreeSet::new(),
            singled: BTreeSet::new(),
            filtered: BTreeSet::new(),
            windowed: BTreeSet::new(),
            linked: BTreeSet::new(),
            questions: asked::Questions::default(),
            computed: BTreeSet::new(),
            sets: None,
            passes: false,
            folded: BTreeSet::new(),
            narrowed: BTreeSet::new(),
            bounded: BTreeSet::new(),
            deciding: BTreeSet::new(),
            sides: Vec::new(),
            tested: BTreeSet::new(),
            sequential: false,
            passed: None,
            commons: Vec::new(),
            defines_view: false,
            views: view::Views::default(),
            recursions: 0,
            values_joined: 0,
            references: 0,
            counted: false,
            pending: None,
            arm: recursion::Arm::default(),
            link_pins: BTreeMap::new(),
            aggregates: Vec::new(),
            windows: window::Windows::default(),
            prints_expression: false,
            acts: Acts::default(),
            names: 0,
            steps: Cell::new(0),
        }
    }

    /// Judges a part of the statement with a value of its own in a field, and puts back what was
    /// there, whether the part is refused or not; the part's value is given too.
    ///
    /// INVARIANT: what holds for a part only is never left behind for what is around it.
    fn lent<S, T>(
        &mut self,
        field: fn(&mut Self) -> &mut S,
        value: S,
        judge: impl FnOnce(&mut Self) -> T,
    ) -> (T, S) {
        let outer = mem::replace(field(self), value);
        let judged = judge(self);
        (judged, mem::replace(field(self), outer))
    }

    /// Judges a part of the statement whose common tables nothing else can name.
    fn with_own_commons<T>(&mut self, judge: impl FnOnce(&mut Self) -> T) -> T {
        let mark = self.commons.len();
        let judged = judge(self);
        self.commons.truncate(mark);
        judged
    }

    /// Whether the statement may do more than read.
    pub(crate) fn changes(&self) -> bool {
        self.acts.writes || self.acts.calls_listed.get()
    }

    /// Whether a generator of numbers goes on from elsewhere afterwards.
    pub(crate) fn draws(&self) -> bool {
        self.acts.draws || self.acts.counts
    }

    /// Whether a definition that is not the client's can stand in the statement's plan.
    pub(crate) fn opens_definition(&self) -> bool {
        self.acts.opens_definition || self.acts.calls_listed.get()
    }

    /// Views, and columns that are computed when they are read, are their definitions in a plan.
    fn opens(&mut self, relation: &Relation) {
        let is_virtual = |column: &Column| column.generated == "v";
        self.acts.opens_definition |=
            relation.kind == 'v' || relation.columns.iter().any(is_virtual);
    }

    /// Analyses and rewrites a whole `SELECT`.
    pub(crate) fn whole_select(&mut self, select: &mut pb::SelectStmt) -> Judged<Rows> {
        self.tells_changed(select);
        let rows = self.select(select, None, select::Place::Top)?;
        self.close_changed(&rows)?;
        self.close(&rows)?;
        Ok(rows)
    }

    /// What only the whole statement can tell.
    pub(crate) fn close(&mut self, rows: &Rows) -> Judged<()> {
        self.close_questions();
        let pinned = |leaf: &usize| self.pinned.contains(leaf) || self.narrowed.contains(leaf);
        if self.folded.iter().any(pinned) {
            return refuse(
                "folded_lookup",
                "an aggregate, sub-select or set operation that is narrowed down to single \
                 records is not allowed for this role",
                "name customers by their own keys, as whole numbers or UUIDs (WHERE key = value), \
                 select the records themselves, or count without picking any",
            );
        }
        self.close_windows()?;
        self.close_sides()?;
        if !rows.bare.is_empty() {
            return not_understood("a result whose records can't be told");
        }
        let carried: BTreeSet<usize> = rows.keys.iter().map(|key| key.leaf).collect();
        if self.facts.lookups.keys().any(|leaf| !carried.contains(leaf)) {
            return refuse(
                "lookup",
                "a search for one record must return that record",
                "select from the table directly, without aggregate or sub-select",
            );
        }
        self.close_traces(rows)?;
        if self.facts.lookups.len() + self.target.stored.len() > 1 {
            return refuse(
                "lookup",
                "a statement may search for one value only, or store one where it must be unique",
                "send one statement for each value",
            );
        }
        self.close_checks()?;
        self.close_locks()?;
        let may_be_read = usize::from(self.target.leaf.is_some()) + self.target.filters;
        if self.acts.writes && self.leaves.len() > may_be_read {
            return refuse(
                "write",
                "a statement that writes can read a protected table in a condition of what it \
                 changes only",
                "read and write in two statements, without copying protected values",
            );
        }
        for column in &rows.columns {
            self.facts.result.extend(&column.taint.protected);
            let lost: BTreeSet<(usize, i16)> = column
                .taint
                .protected
                .iter()
                .copied()
                .filter(|(leaf, _)| !carried.contains(leaf))
                .collect();
            self.spoil(&Taint { protected: lost, ..Taint::default() });
        }
        Ok(())
    }

    /// Whether a search found somebody must be told by its rows and by nothing else: a row comes
    /// only with the record that was searched for. No statement leaves anything behind that says
    /// how often an expression was worked out.
    fn close_traces(&self, rows: &Rows) -> Judged<()> {
        // One row that is folded of all that was found says so by the list of their keys.
        let listed: BTreeSet<usize> =
            rows.keys.iter().filter(|key| key.many).map(|key| key.leaf).collect();
        let told = |leaf: &usize| rows.certain.contains(leaf) || listed.contains(leaf);
        if !self.facts.lookups.keys().all(told) {
            return refuse(
                "lookup",
                "a search for one record must return rows of that record only",
                "join other tables to it by JOIN, or by LEFT JOIN from it, without UNION",
            );
        }
        if self.acts.draws && !self.leaves.is_empty() {
            return refuse(
                "random",
                "a statement on a protected table can't draw from a generator whose numbers tell \
                 how often it was asked",
                "use random() without arguments and not in a view, or draw in a statement of its \
                 own",
            );
        }
        if self.acts.sleeps && !self.leaves.is_empty() {
            return refuse(
                "sleep",
                "a statement on a protected table can't wait: how long it takes would tell of its \
                 rows",
                "send pg_sleep() in a statement of its own",
            );
        }
        if self.acts.counts && !self.leaves.is_empty() {
            return refuse(
                "sequence",
                "a statement on a protected table can't take numbers of a sequence or of \
                 transactions: how many it took would tell of its rows",
                "take the number in a statement of its own",
            );
        }
        if self.acts.clocks && !self.acts.writes && !self.leaves.is_empty() {
            return refuse(
                "clock",
                "a statement on a protected table can't tell the time while it runs: how long each \
                 row takes would tell of others",
                "use now() or statement_timestamp()",
            );
        }
        let beside = self.acts.writes || !self.leaves.is_empty() || self.facts.actor;
        if self.acts.switches && beside {
            return refuse(
                "setting",
                "a statement on a protected table, or that names the session's user, can't change \
                 a setting",
                "send set_config() in a statement of its own",
            );
        }
        Ok(())
    }

    /// A value that is looked at before it is stored must be known by that look.
    fn close_checks(&self) -> Judged<()> {
        let uses = |number: &usize| self.parameter_uses.get(number).copied().unwrap_or_default();
        if self.checks.text_parameters().iter().any(|number| uses(number) != 1) {
            return refuse(
                "write",
                "a parameter that decides what a reason reads is used more than once",
                "give the value a parameter of its own",
            );
        }
        Ok(())
    }

    /// The protected columns of `taint` are used where no row accounts for them: from now on they
    /// are masked, or, where nothing is masked, narrow their records down.
    fn spoil(&mut self, taint: &Taint) {
        self.arm.uses.extend(&taint.recursive);
        match self.resolver.rules.mode {
            Mode::Restricted => self.facts.spoiled.extend(&taint.protected),
            Mode::Accounted => {
                self.narrowed.extend(taint.protected.iter().map(|(leaf, _)| *leaf));
                self.deciding.extend(&taint.protected);
            }
        }
    }

    /// The value of an expression decides which rows there are.
    fn predicate(&mut self, taint: &Taint) {
        self.decisions.add(taint);
        self.spoil(taint);
        self.pinned.extend(&taint.identifiers);
        self.pinned.extend(&taint.few);
        self.singled.extend(taint.singling());
        self.singled.extend(&taint.windowed);
        self.filtered.extend(&taint.plain);
        if self.resolver.rules.mode == Mode::Accounted {
            self.pinned.extend(taint.protected.iter().map(|(leaf, _)| *leaf));
        }
        self.arm.filtered.extend(&taint.leaves);
        self.tested.extend(&taint.sides);
    }

    fn name(&mut self, kind: char) -> String {
        self.names += 1;
        format!("{}{kind}{}", self.resolver.context.prefix, self.names)
    }
}

#[cfg(test)]
mod tests;
