//! The expressions of `grammar.txt`, by what they are.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

use crate::{dice::Dice, schema::Kind};

/// How an expression may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    Plain,
    Aggregate,
    Window,
    /// Values decide whether it fails.
    Trap,
    Set,
}

/// A part of an expression's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Expression(Kind),
    Constant(Kind),
    Any,
    Column,
    Row,
    SubSelect(Kind),
    Exists,
    Number,
    Comparison,
    Window,
}

type Template = (usize, Vec<Part>);

/// All templates.
#[derive(Debug)]
pub(crate) struct Grammar {
    templates: BTreeMap<(Use, Kind), Vec<Template>>,
}

impl Grammar {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let mut templates: BTreeMap<_, Vec<Template>> = BTreeMap::new();
        let lines = include_str!("grammar.txt").lines();
        for line in lines.filter(|line| !line.starts_with('#')) {
            let parsed = parse_line(line).with_context(|| format!("in the grammar: `{line}`"))?;
            let (key, template) = parsed;
            templates.entry(key).or_default().push(template);
        }
        Ok(Self { templates })
    }

    /// Whether there is any template of that sort.
    pub(crate) fn has(&self, usage: Use, kind: Kind) -> bool {
        self.templates.contains_key(&(usage, kind))
    }

    /// One of the templates of that sort, by their weights.
    pub(crate) fn pick(&self, usage: Use, kind: Kind, dice: &mut Dice) -> &[Part] {
        let Some(found) = self.templates.get(&(usage, kind)) else { return &[] };
        let mut at = dice.below(found.iter().map(|(weight, _)| weight).sum());
        for (weight, parts) in found {
            if at < *weight {
                return parts;
            }
            at -= weight;
        }
        &[]
    }
}

fn parse_line(line: &str) -> anyhow::Result<((Use, Kind), Template)> {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().context("three words are needed");
    let (what, weight, text) = (word()?, word()?, word()?);
    let (usage, letter) = match what.len() {
        1 => (Use::Plain, what),
        _ => {
            let (usage, letter) = what.split_at(1);
            let usage = match usage {
                "A" => Use::Aggregate,
                "W" => Use::Window,
                "L" => Use::Trap,
                "S" => Use::Set,
                _ => bail!("`{usage}` is no use"),
            };
            (usage, letter)
        }
    };
    let kind = letter.chars().next().and_then(Kind::of_letter).context("no such family")?;
    Ok(((usage, kind), (weight.parse()?, parts(text))))
}

/// Cuts a template; braces that hold no placeholder are text.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut plain = String::new();
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        plain.push_str(before);
        let close = after.find('}').unwrap_or(after.len() - 1);
        match placeholder(&after[1..close]) {
            Some(part) => {
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(part);
                rest = &after[close + 1..];
            }
            None => {
                plain.push('{');
                rest = &after[1..];
            }
        }
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain));
    parts
}

fn placeholder(name: &str) -> Option<Part> {
    let mut letters = name.chars();
    let (first, second) = (letters.next()?, letters.next());
    match (first, second) {
        ('q', Some(letter)) => Kind::of_letter(letter).map(Part::SubSelect),
        (_, Some(_)) => None,
        ('e', None) => Some(Part::Any),
        ('c', None) => Some(Part::Column),
        ('r', None) => Some(Part::Row),
        ('x', None) => Some(Part::Exists),
        ('#', None) => Some(Part::Number),
        ('=', None) => Some(Part::Comparison),
        ('v', None) => Some(Part::Window),
        (letter, None) if letter.is_ascii_uppercase() => {
            Kind::of_letter(letter.to_ascii_lowercase()).map(Part::Constant)
        }
        (letter, None) => Kind::of_letter(letter).map(Part::Expression),
    }
}
