//! Whole scripts: statements, how they are sent, and what is around them.

use super::Generator;
use crate::{
    schema::Kind,
    script::{Extended, Script, Step},
};

/// How deep expressions and sub-selects go at most.
const DEPTH: usize = 3;

/// Settings that change how values look.
const SETTINGS: [&str; 10] = [
    "SET LOCAL datestyle = 'German'",
    "SET LOCAL bytea_output = 'escape'",
    "SET LOCAL extra_float_digits = 0",
    "SET LOCAL timezone = 'Asia/Kolkata'",
    "SET LOCAL intervalstyle = 'iso_8601'",
    "SET LOCAL client_min_messages = 'debug5'",
    "SET LOCAL default_statistics_target = 1",
    "SET LOCAL enable_seqscan = off",
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET LOCAL search_path = pg_catalog, public",
];

/// What describes tables, and what says more of them than that.
const CATALOGUE: [&str; 16] = [
    "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = 'people'::regclass \
     ORDER BY attnum",
    "SELECT table_name, column_name, data_type FROM information_schema.columns \
     WHERE table_schema = 'public' ORDER BY 1, 2",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1",
    "SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index \
     WHERE indrelid = 'people'::regclass ORDER BY 1",
    "SELECT * FROM pg_stats WHERE tablename = 'people'",
    "SELECT relpages, reltuples FROM pg_class WHERE relname = 'people'",
    "SELECT reltuples FROM pg_class WHERE relname = 'people'",
    "SELECT * FROM pg_stat_user_tables",
    "SELECT * FROM pg_statistic",
    "SELECT pg_relation_size('people')",
    "SELECT pg_get_viewdef('v_people'::regclass)",
    "SELECT enumlabel FROM pg_enum ORDER BY 1",
    "SELECT datname, application_name, state FROM pg_stat_activity",
    "SELECT query_to_xml('SELECT * FROM people', true, false, '')",
    "SELECT * FROM pg_catalog.pg_tables WHERE schemaname = 'public' ORDER BY 2",
];

impl Generator<'_> {
    pub(super) fn script(&mut self) -> Script {
        match self.dice.below(100) {
            0..=58 => self.one_simple(),
            59..=75 => self.one_extended(),
            76..=87 => self.writing(),
            88..=90 => self.several(),
            91..=93 => self.with_settings(),
            94..=95 => self.cursor(),
            96 => self.prepared(),
            97 => self.copy(),
            98 => self.catalogue(),
            _ => self.explained(),
        }
    }

    /// A select for the client.
    pub(super) fn query(&mut self) -> String {
        if self.dice.chance(4) {
            return self.alone();
        }
        let (text, _) = self.select(None, DEPTH, true);
        if self.dice.chance(5) { self.locked(text) } else { text }
    }

    /// What stands alone: whether there is a record, all values as one, the least and the greatest.
    fn alone(&mut self) -> String {
        let from = self.read_tables(0, true);
        let condition = match self.lookup() {
            Some(lookup) if self.dice.chance(40) => lookup,
            _ => self.predicate(1),
        };
        let limit = *self.dice.pick(&["", "", " LIMIT 1"]);
        let text = match (self.dice.below(6), self.any_field()) {
            (0..=2, _) => {
                let value = format!("EXISTS (SELECT 1 FROM {from} WHERE {condition}{limit})");
                match self.dice.below(4) {
                    0 => format!("SELECT NOT {value} AS c0"),
                    1 => format!("SELECT CASE WHEN {value} THEN 'yes' ELSE 'no' END AS c0"),
                    _ => format!("SELECT {value} AS c0"),
                }
            }
            (3, Some((alias, field))) if self.takes(true) => {
                let column = format!("{alias}.{}", field.name);
                format!("SELECT ARRAY(SELECT {column} FROM {from} WHERE {condition}) AS c0")
            }
            (4, Some((alias, field))) => {
                format!(
                    "SELECT DISTINCT {alias}.{} AS c0 FROM {from} WHERE {condition}",
                    field.name
                )
            }
            (_, Some((alias, field))) => {
                let column = format!("{alias}.{}", field.name);
                format!("SELECT max({column}) AS c0, min({column}) AS c1 FROM {from}")
            }
            _ => format!("SELECT count(*) AS c0 FROM {from} WHERE {condition}"),
        };
        self.scopes.pop();
        text
    }

    /// The same, with its rows locked, or those of one of its tables.
    fn locked(&mut self, text: String) -> String {
        let strength = *self.dice.pick(&["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"]);
        let waits = *self.dice.pick(&["", "", " SKIP LOCKED", " NOWAIT"]);
        let named: Vec<&str> = text
            .split(" AS ")
            .skip(1)
            .filter_map(|rest| rest.split([' ', ',', ')', '(']).next())
            .filter(|name| !name.starts_with(['c', 'g']))
            .collect();
        let of = if named.is_empty() || self.dice.chance(60) {
            String::new()
        } else {
            format!(" OF {}", self.dice.pick(&named))
        };
        format!("{text} FOR {strength}{of}{waits}")
    }

    fn one_simple(&mut self) -> Script {
        let sql = self.query();
        Script { steps: vec![Step::Simple(sql)] }
    }

    fn one_extended(&mut self) -> Script {
        let sql = {
            self.parameters = Some(Vec::new());
            self.query()
        };
        let parameters = self.parameters.take().unwrap_or_default();
        let slices = match self.dice.below(5) {
            _ if !self.takes(true) => vec![0],
            0 => vec![2, 3, 0],
            1 => vec![1, 1],
            2 => vec![5, 0],
            _ => vec![0],
        };
        let extended = Extended {
            sql,
            parameters,
            binary: self.dice.chance(30),
            slices,
            describe: self.dice.chance(30),
        };
        Script { steps: vec![Step::Extended(extended)] }
    }

    /// Several statements in one text, or pipelined.
    fn several(&mut self) -> Script {
        let texts: Vec<String> = (0..2 + self.dice.below(2)).map(|_| self.query()).collect();
        if self.dice.chance(50) {
            return Script { steps: vec![Step::Simple(texts.join("; "))] };
        }
        let mut steps = vec![Step::Simple("BEGIN".to_owned())];
        steps.extend(texts.into_iter().map(Step::Simple));
        steps.push(Step::Simple("ROLLBACK".to_owned()));
        Script { steps }
    }

    fn with_settings(&mut self) -> Script {
        let setting = (*self.dice.pick(&SETTINGS)).to_owned();
        let query = self.query();
        rolled_back(vec![setting, query])
    }

    fn cursor(&mut self) -> Script {
        let query = self.query();
        let kind =
            *self.dice.pick(&["CURSOR", "SCROLL CURSOR", "NO SCROLL CURSOR", "BINARY CURSOR"]);
        let fetch =
            *self.dice.pick(&["FETCH 3 FROM cu", "FETCH ALL FROM cu", "FETCH LAST FROM cu"]);
        let fetch = if self.takes(true) { fetch } else { "FETCH ALL FROM cu" };
        let more =
            *self.dice.pick(&["FETCH 2 FROM cu", "FETCH BACKWARD 2 FROM cu", "MOVE 1 IN cu"]);
        rolled_back(vec![
            format!("DECLARE cu {kind} FOR {query}"),
            fetch.to_owned(),
            more.to_owned(),
            "CLOSE cu".to_owned(),
        ])
    }

    fn prepared(&mut self) -> Script {
        let query = self.query();
        let steps =
            [format!("PREPARE pr AS {query}"), "EXECUTE pr".to_owned(), "DEALLOCATE pr".to_owned()];
        Script { steps: steps.into_iter().map(Step::Simple).collect() }
    }

    fn copy(&mut self) -> Script {
        let format = *self.dice.pick(&["", " WITH (FORMAT csv, HEADER)", " WITH (FORMAT binary)"]);
        let source = if self.dice.chance(30) {
            self.dice.pick(&self.world.tables).name.clone()
        } else {
            format!("({})", self.query())
        };
        Script { steps: vec![Step::Simple(format!("COPY {source} TO STDOUT{format}"))] }
    }

    fn catalogue(&mut self) -> Script {
        let sql = (*self.dice.pick(&CATALOGUE)).to_owned();
        Script { steps: vec![Step::Simple(sql)] }
    }

    fn explained(&mut self) -> Script {
        let options = *self.dice.pick(&["", " (COSTS OFF)", " (VERBOSE, COSTS OFF)"]);
        let query = self.query();
        Script { steps: vec![Step::Simple(format!("EXPLAIN{options} {query}"))] }
    }

    /// A family that any table is likely to have.
    pub(super) fn common_kind(&mut self) -> Kind {
        *self.dice.pick(&[Kind::Text, Kind::Int, Kind::Numeric, Kind::Date, Kind::Bool])
    }
}

pub(super) fn rolled_back(statements: Vec<String>) -> Script {
    let begin = std::iter::once("BEGIN".to_owned());
    let all = begin.chain(statements).chain(std::iter::once("ROLLBACK".to_owned()));
    Script { steps: all.map(Step::Simple).collect() }
}
