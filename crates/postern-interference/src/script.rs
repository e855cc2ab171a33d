//! What a client sends at a time: one or more statements, over either protocol.

use anyhow::Context as _;
use bytes::BytesMut;
use postern_wire::{Bind, Execute, Parse, Target, encode};

/// One exchange, up to the server's being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A simple query.
    Simple(String),
    /// A prepared statement with its parameters.
    Extended(Extended),
}

/// A prepared statement, bound once and executed in slices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extended {
    pub sql: String,
    /// In text format.
    pub parameters: Vec<Option<String>>,
    /// The format of all result columns: text or binary.
    pub binary: bool,
    /// Row limits of one Execute each; 0 is none.
    pub slices: Vec<i32>,
    /// Describe the statement before it is bound.
    pub describe: bool,
}

/// Steps that end with no transaction open and no setting changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    pub steps: Vec<Step>,
}

impl Script {
    /// The bytes to send, and how often the server will be ready.
    pub fn encode(&self) -> anyhow::Result<(BytesMut, usize)> {
        let mut out = BytesMut::new();
        for step in &self.steps {
            match step {
                Step::Simple(sql) => encode::query(&mut out, sql)?,
                Step::Extended(extended) => extended.encode(&mut out)?,
            }
        }
        Ok((out, self.steps.len()))
    }

    /// Its text, one step a line.
    pub fn text(&self) -> String {
        let lines: Vec<String> = self.steps.iter().map(Step::text).collect();
        lines.join("\n")
    }

    /// Reads what [`Self::text`] wrote: `;;` begins a step of the extended protocol.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with("--") && !line.trim().is_empty());
        let steps = lines.map(|line| match line.strip_prefix(";;") {
            None => Ok(Step::Simple(line.to_owned())),
            Some(rest) => Extended::parse(rest).map(Step::Extended),
        });
        Ok(Self { steps: steps.collect::<anyhow::Result<_>>()? })
    }
}

impl Step {
    fn text(&self) -> String {
        match self {
            Self::Simple(sql) => sql.replace('\n', " "),
            Self::Extended(e) => {
                let parameters: Vec<String> = e.parameters.iter().map(parameter_text).collect();
                let slices: Vec<String> = e.slices.iter().map(ToString::to_string).collect();
                let binary = if e.binary { "binary" } else { "text" };
                let describe = if e.describe { "describe" } else { "plain" };
                format!(
                    ";;{binary};;{describe};;{};;{};;{}",
                    slices.join(","),
                    parameters.join("\t"),
                    e.sql.replace('\n', " ")
                )
            }
        }
    }
}

fn parameter_text(parameter: &Option<String>) -> String {
    parameter.as_ref().map_or_else(|| "\\N".to_owned(), Clone::clone)
}

impl Extended {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut parts = text.splitn(5, ";;");
        let mut part = || parts.next().context("a part of an extended step is missing");
        let (binary, describe, slices, parameters, sql) =
            (part()?, part()?, part()?, part()?, part()?);
        let slices = slices.split(',').filter(|slice| !slice.is_empty());
        let parameters = parameters.split('\t').filter(|_| !parameters.is_empty());
        Ok(Self {
            sql: sql.to_owned(),
            parameters: parameters.map(|p| (p != "\\N").then(|| p.to_owned())).collect(),
            binary: binary == "binary",
            slices: slices.map(str::parse).collect::<Result<_, _>>()?,
            describe: describe == "describe",
        })
    }

    fn encode(&self, out: &mut BytesMut) -> anyhow::Result<()> {
        encode::parse(out, &Parse { name: "", sql: &self.sql, types: Vec::new() })?;
        if self.describe {
            encode::describe(out, Target::Statement(""))?;
        }
        let bind = Bind {
            portal: "",
            statement: "",
            formats: Vec::new(),
            parameters: self.parameters.iter().map(|p| p.as_deref().map(str::as_bytes)).collect(),
            result_formats: vec![i16::from(self.binary)],
        };
        encode::bind(out, &bind)?;
        encode::describe(out, Target::Portal(""))?;
        for slice in &self.slices {
            encode::execute(out, &Execute { portal: "", max_rows: *slice })?;
        }
        encode::sync(out);
        Ok(())
    }
}
