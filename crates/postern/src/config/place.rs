//! Where in the file a key stands: the typed file has no positions, so what is wrong in it names
//! its path, and the path is looked up in the text again.

use std::{ops::Range, slice};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The path of a value in the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place(Vec<Step>);

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

impl Place {
    /// A section of the file.
    pub(crate) fn section(name: &str) -> Self {
        Self::default().key(name)
    }

    /// A key of the table at this place.
    pub(crate) fn key(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(name.to_owned()));
        Self(steps)
    }

    /// An element of the array at this place.
    pub(crate) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    /// The bytes to point at: the value, or the key where the value is a table; where the path
    /// ends early, the last part of it that is there.
    pub(super) fn span(&self, text: &str) -> Range<usize> {
        let Ok(root) = DeTable::parse(text) else { return 0..0 };
        in_table(root.get_ref(), self.0.iter()).unwrap_or(0..0)
    }
}

fn in_table(table: &DeTable<'_>, mut steps: slice::Iter<'_, Step>) -> Option<Range<usize>> {
    let Step::Key(wanted) = steps.next()? else { return None };
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == wanted)?;
    let tables = value
        .get_ref()
        .as_array()
        .is_some_and(|elements| elements.iter().all(|element| element.get_ref().is_table()));
    let section = value.get_ref().is_table() || tables;
    let here = if section { key.span() } else { value.span() };
    Some(in_value(value, steps).unwrap_or(here))
}

fn in_value(
    value: &Spanned<DeValue<'_>>,
    mut steps: slice::Iter<'_, Step>,
) -> Option<Range<usize>> {
    if let Some(table) = value.get_ref().as_table() {
        return in_table(table, steps);
    }
    let Step::Index(index) = steps.next()? else { return None };
    let element = value.get_ref().as_array()?.get(*index)?;
    Some(in_value(element, steps).unwrap_or_else(|| element.span()))
}
