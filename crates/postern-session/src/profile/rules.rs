//! Policy's answers for one actor, written down as the rules by which statements are judged.

use std::sync::Arc;

use postern_model::{Actor, FieldClass, Grade, Reason};
use postern_policy::{Action, Policy, Request};
use postern_sql::{
    ColumnRule, InsertRule, KeySet, Makes, Mode, Reach, ReasonRule, Rules, Show, Strong, TableRule,
    UpdateRule, condition_reads,
};

use super::{ColumnSettings, Kind, ReasonGrade, ReasonSettings, TableSettings};
use crate::ReasonSet;

/// The rules by which all that leaves is accounted and nothing is refused to an actor for whom
/// policy is not enforced: everything is clear, every column may be written.
pub fn observing_rules(tables: &[TableSettings]) -> Rules {
    let tables = tables.iter().map(|table| {
        let column = |column: &ColumnSettings| ColumnRule {
            name: column.name.clone(),
            class: column.class,
            show: Show::Clear,
            lookup: column.lookup,
            mask: column.mask.clone(),
        };
        let protected = table.columns.iter().map(|column| &column.name);
        let known = table.clear.iter().chain(protected).chain([&table.subject]);
        let update = known.map(|name| UpdateRule { column: name.clone(), reach: Reach::All });
        TableRule {
            schema: table.schema.clone(),
            table: table.table.clone(),
            subject: table.subject.clone(),
            clear: table.clear.clone(),
            columns: table.columns.iter().map(column).collect(),
            insert: InsertRule::Allow,
            update: update.collect(),
            delete: Reach::All,
            reasons: Vec::new(),
        }
    });
    Rules {
        mode: Mode::Accounted,
        tables: tables.collect(),
        functions: Vec::new(),
        relations: Vec::new(),
        unprotected: None,
        reason_names: Vec::new(),
    }
}

/// Asks policy about every protected column and reason, and writes the answers down as the rules
/// by which this actor's statements are judged. The sets name, by key set, the reasons under which
/// its columns are clear or may be changed.
pub fn plan_rules(
    tables: &[TableSettings],
    reasons: &[ReasonSettings],
    policy: &Policy,
    (actor, role, kind): (&Actor, &str, Kind),
) -> (Rules, Vec<ReasonSet>) {
    let mut sets: Vec<ReasonSet> = Vec::new();
    let ask = Ask { policy, actor, role, kind, reasons };
    let tables = tables.iter().map(|table| ask.table(table, &mut sets)).collect();
    let mode = match kind {
        Kind::Accounted => Mode::Accounted,
        Kind::Restricted | Kind::PassThrough => Mode::Restricted,
    };
    let read = reasons.iter().flat_map(|reason| {
        let strong = match &reason.grade {
            ReasonGrade::Always(_) => None,
            ReasonGrade::StrongWhen(condition) => Some(condition),
        };
        [Some(&reason.condition), strong].into_iter().flatten()
    });
    let read = read.filter_map(|condition| condition_reads(condition).ok());
    let reason_names = read.filter(|reads| reads.selects).flat_map(|reads| reads.names).collect();
    let (functions, relations) = (Vec::new(), Vec::new());
    (Rules { mode, tables, functions, relations, unprotected: None, reason_names }, sets)
}

struct Ask<'a> {
    policy: &'a Policy,
    actor: &'a Actor,
    role: &'a str,
    kind: Kind,
    reasons: &'a [ReasonSettings],
}

/// A question about a table or one of its columns.
#[derive(Clone, Copy)]
struct About<'q> {
    action: Action,
    table: &'q TableSettings,
    column: Option<&'q str>,
}

impl Ask<'_> {
    fn table(&self, table: &TableSettings, sets: &mut Vec<ReasonSet>) -> TableRule {
        let reasons: Vec<ReasonRule> = self
            .reasons
            .iter()
            .filter(|reason| reason.schema == table.schema && reason.table == table.table)
            .map(|reason| self.reason(table, reason))
            .collect();
        TableRule {
            schema: table.schema.clone(),
            table: table.table.clone(),
            subject: table.subject.clone(),
            clear: table.clear.clone(),
            columns: table.columns.iter().map(|c| self.column(table, c, sets)).collect(),
            insert: self.insert(table, &reasons),
            update: match self.kind {
                Kind::Accounted => self.accounted_updates(table),
                Kind::Restricted | Kind::PassThrough => self.updates(table, sets),
            },
            delete: self.delete(table, sets),
            reasons,
        }
    }

    fn permitted(&self, about: About<'_>, reason: Option<&Reason>) -> bool {
        let About { action, table, column } = about;
        let class = column.and_then(|name| class_of(table, name));
        let name = format!("{}.{}", table.schema, table.table);
        let request = Request {
            actor: self.actor,
            role: self.role,
            action,
            table: &name,
            column,
            class,
            reason,
        };
        self.policy.decide(&request).permitted
    }

    /// The keys of those for whom a reason holds by which it is permitted; `None` without any.
    fn keys(&self, about: About<'_>, sets: &mut Vec<ReasonSet>) -> Option<KeySet> {
        let set: Vec<Reason> =
            self.possible().filter(|reason| self.permitted(about, Some(reason))).collect();
        if set.is_empty() { None } else { intern(ReasonSet(set), sets) }
    }

    fn column(
        &self,
        table: &TableSettings,
        column: &ColumnSettings,
        sets: &mut Vec<ReasonSet>,
    ) -> ColumnRule {
        let about = |action| About { action, table, column: Some(&column.name) };
        let show = if self.kind == Kind::Accounted || self.permitted(about(Action::SeeClear), None)
        {
            Show::Clear
        } else {
            self.keys(about(Action::SeeClear), sets).map_or(Show::Masked, Show::Keyed)
        };
        ColumnRule {
            name: column.name.clone(),
            class: column.class,
            show,
            lookup: column.lookup && self.permitted(about(Action::LookUp), None),
            mask: column.mask.clone(),
        }
    }

    fn insert(&self, table: &TableSettings, reasons: &[ReasonRule]) -> InsertRule {
        let about = About { action: Action::OpenTicket, table, column: None };
        let allowed = match self.kind {
            Kind::Restricted | Kind::PassThrough if !reasons.is_empty() => {
                reasons.iter().all(|reason| reason.insert != Makes::Nothing)
            }
            Kind::Restricted | Kind::PassThrough | Kind::Accounted => self.permitted(about, None),
        };
        if allowed { table.insert.clone() } else { InsertRule::Refuse }
    }

    /// A reason that rows of the table make, and what the actor may do to have one.
    fn reason(&self, table: &TableSettings, reason: &ReasonSettings) -> ReasonRule {
        let graded = |grade| Reason { name: reason.name.clone(), grade };
        let may = |action, grade| {
            self.permitted(About { action, table, column: None }, Some(&graded(grade)))
        };
        let (strong, grades) = match &reason.grade {
            ReasonGrade::Always(Grade::Strong) => (Strong::Always, vec![Grade::Strong]),
            ReasonGrade::Always(Grade::Weak) => (Strong::Never, vec![Grade::Weak]),
            ReasonGrade::StrongWhen(condition) => {
                (Strong::When(condition.clone()), vec![Grade::Strong, Grade::Weak])
            }
        };
        let insert = if may(Action::OpenTicket, Grade::Strong) {
            Makes::Strong
        } else if may(Action::OpenTicket, Grade::Weak) {
            Makes::Weak
        } else {
            Makes::Nothing
        };
        let takes = grades.iter().all(|grade| may(Action::Take, *grade));
        ReasonRule {
            subject: reason.subject.clone(),
            actor: reason.actor.clone(),
            condition: reason.condition.clone(),
            strong,
            insert,
            take: reason.take.clone().filter(|_| takes),
        }
    }

    fn updates(&self, table: &TableSettings, sets: &mut Vec<ReasonSet>) -> Vec<UpdateRule> {
        let about = |column| About { action: Action::Update, table, column: Some(column) };
        let mut rules = Vec::new();
        for column in &table.update {
            if let Some(set) = self.keys(about(column), sets) {
                rules.push(UpdateRule { column: column.clone(), reach: Reach::Keyed(set) });
            }
        }
        for column in &table.update_own {
            // The row is the actor's own by some reason of this table, in whatever grade.
            let own = self
                .reasons
                .iter()
                .filter(|reason| reason.schema == table.schema && reason.table == table.table);
            let mut own = own.flat_map(|reason| {
                [Grade::Strong, Grade::Weak]
                    .map(|grade| Reason { name: reason.name.clone(), grade })
            });
            if own.all(|reason| self.permitted(about(column), Some(&reason)))
                && let Some(set) = self.keys(about(column), sets)
            {
                rules.push(UpdateRule { column: column.clone(), reach: Reach::Own(set) });
            }
        }
        rules
    }

    /// Whoever sees everything in clear may change what policy says without a reason.
    fn accounted_updates(&self, table: &TableSettings) -> Vec<UpdateRule> {
        let protected = table.columns.iter().map(|column| &column.name);
        let known = table.clear.iter().chain(protected).chain([&table.subject]);
        let may = |column: &&String| {
            let column = Some(column.as_str());
            self.permitted(About { action: Action::Update, table, column }, None)
        };
        known
            .filter(may)
            .map(|column| UpdateRule { column: column.clone(), reach: Reach::All })
            .collect()
    }

    fn delete(&self, table: &TableSettings, sets: &mut Vec<ReasonSet>) -> Reach {
        let about = About { action: Action::Delete, table, column: None };
        if !table.delete {
            return Reach::Refuse;
        }
        match self.kind {
            Kind::Accounted if self.permitted(about, None) => Reach::All,
            Kind::Accounted => Reach::Refuse,
            Kind::Restricted | Kind::PassThrough => {
                self.keys(about, sets).map_or(Reach::Refuse, Reach::Keyed)
            }
        }
    }

    /// Every declared reason in both grades.
    fn possible(&self) -> impl Iterator<Item = Reason> {
        let mut names: Vec<&Arc<str>> = self.reasons.iter().map(|reason| &reason.name).collect();
        names.dedup();
        names.into_iter().flat_map(|name| {
            [Grade::Strong, Grade::Weak].map(|grade| Reason { name: name.clone(), grade })
        })
    }
}

fn class_of(table: &TableSettings, name: &str) -> Option<FieldClass> {
    table.columns.iter().find(|column| column.name == name).map(|column| column.class)
}

/// The number of an equal set, or a new one; past 256 different sets there is none.
fn intern(set: ReasonSet, sets: &mut Vec<ReasonSet>) -> Option<KeySet> {
    let index = sets.iter().position(|known| *known == set).unwrap_or_else(|| {
        sets.push(set);
        sets.len() - 1
    });
    u8::try_from(index).ok().map(KeySet)
}
