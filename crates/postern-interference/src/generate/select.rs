//! SELECT in all its forms.

use super::{Field, Generator, Relation, from::one_field};
use crate::{grammar::Use, schema::Kind};

/// The form of one select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Grouped,
    Windowed,
    Distinct,
}

impl Generator<'_> {
    /// A select and the columns that it gives; of these families if any are wanted.
    pub(super) fn select(
        &mut self,
        wanted: Option<&[Kind]>,
        depth: usize,
        guarded: bool,
    ) -> (String, Vec<Field>) {
        let commons = self.commons.len();
        let with = if depth > 1 && self.dice.chance(22) {
            self.with(depth, guarded)
        } else {
            String::new()
        };
        let (mut text, fields) = self.arm(wanted, depth, guarded);
        if depth > 1 && self.dice.chance(7) {
            let kinds: Vec<Kind> = fields.iter().map(|field| field.kind).collect();
            let all = ["UNION ALL", "UNION", "INTERSECT", "EXCEPT", "UNION ALL"];
            let operation = *self.dice.pick(&all);
            let plain = operation == "UNION ALL" || !self.polite;
            let (other, _) = self.arm(Some(&kinds), depth - 1, guarded && plain);
            text = format!("({text}) {operation} ({other})");
            if self.dice.chance(50) {
                text.push_str(" ORDER BY 1");
            }
        }
        self.commons.truncate(commons);
        (format!("{with}{text}"), fields)
    }

    fn with(&mut self, depth: usize, guarded: bool) -> String {
        let name = self.alias();
        let hidden = std::mem::take(&mut self.scopes);
        let (text, fields) = if self.dice.chance(15) {
            let body = "SELECT 1 AS v UNION ALL SELECT v + 1 FROM {} WHERE v < 5";
            (body.replace("{}", &name), vec![one_field("v", Kind::Int)])
        } else {
            self.select(None, depth - 1, guarded)
        };
        self.scopes = hidden;
        let recursive = if text.contains(&format!("FROM {name} ")) { "RECURSIVE " } else { "" };
        let stored = *self.dice.pick(&["", "MATERIALIZED ", "NOT MATERIALIZED "]);
        let relation = Relation { alias: name.clone(), fields };
        self.commons.push(relation);
        format!("WITH {recursive}{name} AS {stored}({text}) ")
    }

    fn arm(
        &mut self,
        wanted: Option<&[Kind]>,
        depth: usize,
        guarded: bool,
    ) -> (String, Vec<Field>) {
        let form = match self.dice.below(20) {
            0..=11 => Form::Plain,
            12..=15 => Form::Grouped,
            16..=18 => Form::Windowed,
            _ => Form::Distinct,
        };
        let from = self.read_tables(depth, guarded);
        let filter = self.filter(depth);
        let picked = match form {
            Form::Grouped => self.grouped(wanted, depth),
            Form::Plain | Form::Windowed | Form::Distinct => self.listed(form, wanted, depth),
        };
        let (head, tail, fields) = picked;
        let order = self.order(form, depth, fields.len());
        let limit = if self.takes(guarded) { self.limit(!order.is_empty()) } else { String::new() };
        let limit = self.of_harmless_rows(limit, guarded);
        self.scopes.pop();
        (format!("SELECT {head} FROM {from}{filter}{tail}{order}{limit}"), fields)
    }

    /// All rows of a relation, as they are or folded.
    pub(super) fn all_of(&mut self, relation: Relation) -> String {
        let from = relation.alias.clone();
        self.scopes.push(vec![relation]);
        let (head, tail, fields, form) = if self.dice.chance(35) {
            let kinds: Vec<Kind> =
                (0..1 + self.dice.below(2)).map(|_| self.common_kind()).collect();
            let (head, tail, fields) = self.grouped(Some(&kinds), 1);
            (head, tail, fields, Form::Grouped)
        } else {
            let form = if self.dice.chance(15) { Form::Windowed } else { Form::Plain };
            let (head, tail, fields) = self.listed(form, None, 1);
            (head, tail, fields, form)
        };
        let order = self.order(form, 1, fields.len());
        self.scopes.pop();
        format!("SELECT {head} FROM {from}{tail}{order}")
    }

    fn filter(&mut self, depth: usize) -> String {
        let mut conditions = Vec::new();
        let often = if self.is_of_accounts() { 35 } else { 14 };
        if self.dice.chance(often)
            && let Some(lookup) = self.lookup()
        {
            conditions.push(lookup);
        }
        for _ in 0..[0, 0, 1, 1, 2][self.dice.below(5)] {
            conditions.push(self.predicate(depth));
        }
        if conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", conditions.join(" AND "))
    }

    /// The result columns of a select that folds nothing.
    fn listed(
        &mut self,
        form: Form,
        wanted: Option<&[Kind]>,
        depth: usize,
    ) -> (String, String, Vec<Field>) {
        if wanted.is_none() && form == Form::Plain && self.dice.chance(10) {
            let relations = self.scopes.last().cloned().unwrap_or_default();
            if let [only] = relations.as_slice() {
                return ("*".to_owned(), String::new(), only.fields.clone());
            }
        }
        let mut kinds: Vec<Option<Kind>> = match wanted {
            Some(kinds) => kinds.iter().copied().map(Some).collect(),
            None => (0..1 + self.dice.below(4)).map(|_| None).collect(),
        };
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        let windowed = (form == Form::Windowed).then(|| self.dice.below(kinds.len()));
        for (index, kind) in kinds.iter_mut().enumerate() {
            let name = format!("c{index}");
            if kind.is_none()
                && windowed != Some(index)
                && let Some((column, field)) = self.plain_column()
            {
                columns.push(format!("{column} AS {name}"));
                fields.push(Field { name, ..field });
                continue;
            }
            let kind = match kind {
                Some(kind) => *kind,
                None => *self.dice.pick(&Kind::ALL),
            };
            let usage = Use::Window;
            let value = if windowed == Some(index) && self.grammar.has(usage, kind) {
                let (polite, bare) = (self.polite, std::mem::replace(&mut self.bare, true));
                let value = self.template(usage, kind, depth);
                (self.polite, self.bare) = (polite, bare);
                format!("({value})")
            } else {
                self.expression(kind, depth)
            };
            columns.push(format!("({value})::{} AS {name}", kind.sql()));
            fields.push(one_field(&name, kind));
        }
        let head = match form {
            Form::Distinct if self.dice.chance(40) && self.takes(true) => {
                let (first, _) = columns[0].split_once(" AS ").unwrap_or((&columns[0], ""));
                format!("DISTINCT ON ({first}) {}", columns.join(", "))
            }
            Form::Distinct => {
                if wanted.is_none()
                    && let Some((key, field)) = self.key_column()
                {
                    columns.insert(0, format!("{key} AS key"));
                    fields.insert(0, Field { name: "key".to_owned(), ..field });
                }
                format!("DISTINCT {}", columns.join(", "))
            }
            Form::Plain | Form::Grouped | Form::Windowed => columns.join(", "),
        };
        (head, String::new(), fields)
    }

    /// A column as it stands, in most cases.
    fn plain_column(&mut self) -> Option<(String, Field)> {
        if self.dice.chance(8)
            && let Some(outer) = self.telling_of_outer()
        {
            return Some(outer);
        }
        if !self.dice.chance(60) {
            return None;
        }
        let (alias, field) = self.any_field()?;
        Some((format!("{alias}.{}", field.name), field))
    }

    /// A column that tells records apart, of a relation further out.
    fn telling_of_outer(&mut self) -> Option<(String, Field)> {
        let outer = self.scopes.iter().rev().skip(1).flatten();
        let telling = outer.flat_map(|relation| {
            let fields = relation.fields.iter();
            let telling = fields.filter(|field| field.subject || field.key || field.marked);
            telling.map(|field| (format!("{}.{}", relation.alias, field.name), field.clone()))
        });
        let telling: Vec<(String, Field)> = telling.collect();
        if telling.is_empty() { None } else { Some(self.dice.pick(&telling).clone()) }
    }

    /// The key of one of the innermost relations.
    fn key_column(&mut self) -> Option<(String, Field)> {
        let mut keys = Vec::new();
        for relation in self.scopes.last()? {
            for field in relation.fields.iter().filter(|field| field.subject) {
                keys.push((format!("{}.{}", relation.alias, field.name), field.clone()));
            }
        }
        if keys.is_empty() { None } else { Some(self.dice.pick(&keys).clone()) }
    }

    fn grouped(&mut self, wanted: Option<&[Kind]>, depth: usize) -> (String, String, Vec<Field>) {
        let bare = std::mem::replace(&mut self.bare, true);
        let mut groups: Vec<(String, Field)> = Vec::new();
        if wanted.is_none()
            && self.dice.chance(40)
            && let Some(key) = self.key_column()
        {
            groups.push(key);
        }
        for _ in 0..self.dice.below(3) {
            if let Some((alias, field)) = self.any_field()
                && field.kind != Kind::Json
            {
                groups.push((format!("{alias}.{}", field.name), field));
            }
        }
        groups.sort_by(|(one, _), (two, _)| one.cmp(two));
        groups.dedup_by(|(one, _), (two, _)| one == two);
        let kinds: Vec<Kind> = match wanted {
            Some(kinds) => kinds.to_vec(),
            None => (0..1 + self.dice.below(3)).map(|_| *self.dice.pick(&Kind::ALL)).collect(),
        };
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        if wanted.is_none() {
            for (index, (name, field)) in groups.iter().enumerate() {
                columns.push(format!("{name} AS g{index}"));
                fields.push(Field { name: format!("g{index}"), ..field.clone() });
            }
        }
        let mut groups: Vec<String> = groups.into_iter().map(|(name, _)| name).collect();
        if self.dice.chance(12) {
            groups.push(self.predicate(depth.min(1)));
        }
        for (index, kind) in kinds.iter().enumerate() {
            let value = if self.grammar.has(Use::Aggregate, *kind) {
                self.template(Use::Aggregate, *kind, depth.min(1))
            } else {
                self.constant(*kind)
            };
            columns.push(format!("({value})::{} AS c{index}", kind.sql()));
            fields.push(one_field(&format!("c{index}"), *kind));
        }
        let having = if self.dice.chance(20) {
            let kind = *self.dice.pick(&[Kind::Int, Kind::Text, Kind::Numeric]);
            let value = self.template(Use::Aggregate, kind, 1);
            format!(
                " HAVING ({value}) {} {}",
                self.dice.pick(&[">", "<", "<>"]),
                self.constant(kind)
            )
        } else {
            String::new()
        };
        self.bare = bare;
        let by = match (groups.len(), self.dice.below(8)) {
            (0, _) => String::new(),
            (_, 0) => format!(" GROUP BY ROLLUP ({})", groups.join(", ")),
            (_, 1) => format!(" GROUP BY CUBE ({})", groups.join(", ")),
            (_, 2) => format!(" GROUP BY GROUPING SETS (({}), ())", groups.join(", ")),
            _ => format!(" GROUP BY {}", groups.join(", ")),
        };
        (columns.join(", "), format!("{by}{having}"), fields)
    }

    fn order(&mut self, form: Form, depth: usize, outputs: usize) -> String {
        if !self.dice.chance(40) {
            return String::new();
        }
        let direction = *self.dice.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
        if form == Form::Plain || form == Form::Windowed {
            let kind = *self.dice.pick(&[Kind::Text, Kind::Int, Kind::Date, Kind::Bool]);
            if self.dice.chance(60) {
                return format!(" ORDER BY {}{direction}", self.expression(kind, depth.min(1)));
            }
        }
        if outputs == 0 {
            return String::new();
        }
        format!(" ORDER BY {}{direction}", 1 + self.dice.below(outputs))
    }

    /// Whether some of the rows that come may be taken: which ones hangs on where they stand, if no
    /// order tells them apart, and that on the lengths of values.
    pub(super) fn takes(&self, guarded: bool) -> bool {
        self.world.level || !guarded
    }

    /// In small letters where it takes none of a guarded table's rows: which come first hangs on
    /// nothing that differs ([`crate::compare`] looks for capitals).
    fn of_harmless_rows(&self, limit: String, guarded: bool) -> String {
        if guarded || !self.commons.is_empty() { limit } else { limit.to_lowercase() }
    }

    fn limit(&mut self, ordered: bool) -> String {
        match self.dice.below(12) {
            0 => format!(" LIMIT {}", self.dice.below(20)),
            1 => format!(" OFFSET {} LIMIT 10", self.dice.below(6)),
            2 if ordered => format!(" FETCH FIRST {} ROWS WITH TIES", 1 + self.dice.below(5)),
            3 => format!(" FETCH FIRST {} ROWS ONLY", 1 + self.dice.below(9)),
            _ => String::new(),
        }
    }

    /// A sub-select of one column; of guarded tables only by the impolite.
    pub(super) fn scalar(&mut self, kind: Kind, depth: usize) -> String {
        let guarded = !self.polite;
        let bare = std::mem::replace(&mut self.bare, false);
        let (text, _) = self.select(Some(&[kind]), depth.min(1), guarded);
        self.bare = bare;
        let upper = text.to_uppercase();
        let text = if upper.contains(" LIMIT ") || upper.contains(" FETCH ") {
            text
        } else {
            let limit = format!(" LIMIT {}", usize::from(self.takes(guarded)));
            format!("SELECT * FROM ({text}) AS q{}", self.of_harmless_rows(limit, guarded))
        };
        format!("({text})")
    }

    /// What follows SELECT in EXISTS: mostly about the same subject as the outer row.
    pub(super) fn exists(&mut self, depth: usize) -> String {
        let outer: Vec<(String, Kind)> = self
            .scopes
            .iter()
            .flatten()
            .flat_map(|r| {
                r.fields
                    .iter()
                    .filter(|f| f.subject)
                    .map(|f| (format!("{}.{}", r.alias, f.name), f.kind))
            })
            .collect();
        let from = self.read_tables(0, true);
        let mut conditions = Vec::new();
        let mine = self.scopes.last().and_then(|scope| scope.first()).and_then(|relation| {
            let field = relation.fields.iter().find(|field| field.subject)?;
            Some((format!("{}.{}", relation.alias, field.name), field.kind))
        });
        if let Some((mine, kind)) = mine
            && let Some((other, _)) = outer.iter().find(|(_, found)| *found == kind)
        {
            conditions.push(format!("{mine} = {other}"));
        }
        if conditions.is_empty() || self.dice.chance(50) {
            let bare = std::mem::replace(&mut self.bare, true);
            conditions.push(self.predicate(depth.min(1)));
            self.bare = bare;
        }
        self.scopes.pop();
        format!("1 FROM {from} WHERE {}", conditions.join(" AND "))
    }
}
