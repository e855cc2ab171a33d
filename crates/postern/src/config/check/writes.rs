//! What restricted roles may write, against what reasons read.

use std::collections::BTreeMap;

use postern_session::{ConditionReads, condition_reads};

use super::{
    super::{
        file::{File, Insert, ReasonFile, TableFile},
        settings::Take,
    },
    Checker, Place,
};

/// What a reason reads of its table.
struct Reads<'f> {
    reason: &'f ReasonFile,
    condition: ConditionReads,
    strong_when: ConditionReads,
}

impl<'f> Reads<'f> {
    fn of(reason: &'f ReasonFile) -> Self {
        // A condition that can't be read is reported where it stands.
        let reads = |text: Option<&String>| {
            text.and_then(|text| condition_reads(text).ok()).unwrap_or_default()
        };
        Self {
            reason,
            condition: reads(reason.condition.as_ref()),
            strong_when: reads(reason.strong_when.as_ref()),
        }
    }

    /// Whether the column decides whose reason it is, for whom, or how good.
    fn fixes(&self, column: &str) -> bool {
        column == self.reason.subject
            || column == self.reason.actor
            || self.strong_when.names.contains(column)
    }
}

impl Checker<'_> {
    /// Columns that may be changed, table by table: none that makes somebody entitled.
    pub(super) fn writes(&mut self, file: &File) {
        let section = Place::section("tables");
        for (index, table) in file.tables.iter().enumerate() {
            let place = section.index(index);
            let of_table = file.reasons.iter().filter(|reason| reason.table == table.name);
            let reads: Vec<Reads<'_>> = of_table.map(Reads::of).collect();
            self.distinct(&place.key("update"), "column", &table.update);
            self.distinct(&place.key("update_own"), "column", &table.update_own);
            self.update(&place.key("update"), table, &reads);
            self.update_own(&place.key("update_own"), table, &reads);
        }
    }

    fn update(&mut self, place: &Place, table: &TableFile, reads: &[Reads<'_>]) {
        for (index, column) in table.update.iter().enumerate() {
            let place = place.index(index);
            if let Some(by) = self.fixed(column, table, reads) {
                self.wrong(&place, by, "remove it: what makes somebody entitled stays as it is");
            } else if let Some(by) =
                reads.iter().find(|reads| reads.condition.names.contains(column))
            {
                self.wrong(
                    &place,
                    format!("`where` of reason `{}` reads `{column}`", by.reason.name),
                    "move it to `update_own`: then it is changed in rows only that are the \
                     person's own",
                );
            }
        }
    }

    fn update_own(&mut self, place: &Place, table: &TableFile, reads: &[Reads<'_>]) {
        for (index, column) in table.update_own.iter().enumerate() {
            let place = place.index(index);
            let mut by = reads.iter().filter(|reads| reads.condition.names.contains(column));
            let selects = by.clone().any(|reads| reads.condition.selects);
            if let Some(by) = self.fixed(column, table, reads) {
                self.wrong(&place, by, "remove it: what makes somebody entitled stays as it is");
            } else if by.next().is_none() {
                self.wrong(
                    &place,
                    format!("no reason over `{}` reads `{column}`", table.name),
                    "move it to `update`",
                );
            } else if selects {
                self.wrong(
                    &place,
                    format!("the reason that reads `{column}` reads other tables too"),
                    "remove it: whether a row is somebody's own can't be asked while it is written",
                );
            }
        }
    }

    /// Why a column can't be changed at all.
    fn fixed(&self, column: &str, table: &TableFile, reads: &[Reads<'_>]) -> Option<String> {
        if column == table.subject {
            return Some(format!("`{column}` is the customer's key"));
        }
        let by = reads.iter().find(|reads| reads.fixes(column))?;
        Some(format!("reason `{}` rests on `{column}`", by.reason.name))
    }

    pub(super) fn insert_columns(
        &mut self,
        place: &Place,
        table: &TableFile,
    ) -> Option<Vec<String>> {
        let columns = table.insert_columns.as_ref()?;
        let place = place.key("insert_columns");
        self.distinct(&place, "column", columns);
        if table.insert == Insert::Refuse {
            self.wrong(
                &place,
                "columns are listed for rows that may not be inserted",
                "set `insert = \"allow\"`, or leave `insert_columns` out",
            );
        }
        Some(columns.clone())
    }

    pub(super) fn take(
        &mut self,
        place: &Place,
        reason: &ReasonFile,
        tables: &[TableFile],
    ) -> Option<Take> {
        let take = reason.take.as_ref()?;
        let place = place.key("take");
        if take.order.is_empty() {
            self.wrong(
                &place.key("order"),
                "a queue without an order could be taken from at will",
                "name the columns that say who waits longest, e.g. `order = [\"created_at\"]`",
            );
        }
        self.distinct(&place.key("order"), "column", &take.order);
        let reads = Reads::of(reason);
        let subject = tables.iter().find(|table| table.name == reason.table);
        for column in take.set.keys() {
            let key = subject.is_some_and(|table| table.subject == *column);
            if key || reads.fixes(column) {
                self.wrong(
                    &place.key("set").key(column),
                    format!("reason `{}` rests on `{column}`", reason.name),
                    "remove it: a take sets the actor, and nothing that makes the reason better",
                );
            }
        }
        Some(Take {
            order: take.order.clone(),
            pool: self.values(&place.key("pool"), &take.pool),
            set: self.values(&place.key("set"), &take.set),
        })
    }

    fn values(
        &mut self,
        place: &Place,
        values: &BTreeMap<String, Vec<String>>,
    ) -> Vec<(String, Vec<String>)> {
        for (column, values) in values {
            if values.is_empty() {
                let message = format!("`{column}` has no values");
                self.wrong(&place.key(column), message, "list them, or leave the column out");
            }
        }
        values.iter().map(|(column, values)| (column.clone(), values.clone())).collect()
    }
}
