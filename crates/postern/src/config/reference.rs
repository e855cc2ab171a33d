//! `docs/config.md`, from the types of the configuration file.

use std::fmt::Write as _;

use schemars::{Schema, schema_for};
use serde_json::{Map, Value};

use super::file::File;

const INTRODUCTION: &str = "\
# The configuration file

<!-- Generated from crates/postern/src/config/file.rs by `postern config-reference`. -->

";

/// The reference, as Markdown.
pub(crate) fn markdown() -> String {
    let schema = schema_for!(File);
    let mut page = INTRODUCTION.to_owned();
    let root = Node { root: &schema, value: schema.as_value() };
    page.push_str(&root.description());
    for (name, section) in root.properties() {
        section.form().write(name, section, &mut page);
    }
    page
}

/// How a key's value is written in the file.
enum Form<'a> {
    Value,
    /// `[path]`
    Table(Node<'a>),
    /// `[path.NAME]`
    Map(Node<'a>),
    /// `[[path]]`
    List(Node<'a>),
}

impl Form<'_> {
    /// A heading, what the section is for, a table of its keys, and the sections within.
    fn write(&self, path: &str, outer: Node<'_>, page: &mut String) {
        let (path, element, heading) = match self {
            Self::Value => return,
            Self::Table(element) => (path.to_owned(), element, format!("[{path}]")),
            Self::Map(element) => (format!("{path}.NAME"), element, format!("[{path}.NAME]")),
            Self::List(element) => (path.to_owned(), element, format!("[[{path}]]")),
        };
        let _ = writeln!(page, "\n## `{heading}`\n\n{}", element.described(outer));
        page.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for (name, key) in element.properties() {
            if matches!(key.form(), Form::Value) {
                let default = element.default_of(name, key);
                let meaning = key.description().trim().replace('\n', " ");
                let _ = writeln!(page, "| `{name}` | {} | {default} | {meaning} |", key.kind());
            }
        }
        for (name, key) in element.properties() {
            key.form().write(&format!("{path}.{name}"), key, page);
        }
    }
}

/// A schema within the whole.
#[derive(Clone, Copy)]
struct Node<'a> {
    root: &'a Schema,
    value: &'a Value,
}

impl<'a> Node<'a> {
    fn at(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }

    fn get(self, key: &str) -> Option<&'a Value> {
        self.value.get(key).or_else(|| self.target().value.get(key))
    }

    /// What a reference refers to.
    fn target(self) -> Self {
        let reference = self.value.get("$ref").or_else(|| {
            let options = self.value.get("anyOf")?.as_array()?;
            options.iter().find_map(|option| option.get("$ref"))
        });
        let Some(pointer) = reference.and_then(Value::as_str) else { return self };
        self.root.pointer(pointer.trim_start_matches('#')).map_or(self, |value| self.at(value))
    }

    fn properties(self) -> impl Iterator<Item = (&'a String, Self)> {
        let properties = self.target().value.get("properties").and_then(Value::as_object);
        properties.into_iter().flat_map(Map::iter).map(move |(name, value)| (name, self.at(value)))
    }

    fn form(self) -> Form<'a> {
        let node = self.target();
        let keyed = |value: &'a Value| {
            let element = self.at(value).target();
            element.value.get("properties").is_some().then_some(element)
        };
        let within = |key| node.value.get(key).and_then(keyed);
        match (keyed(node.value), within("additionalProperties"), within("items")) {
            (Some(table), _, _) => Form::Table(table),
            (_, Some(element), _) => Form::Map(element),
            (_, _, Some(element)) => Form::List(element),
            (None, None, None) => Form::Value,
        }
    }

    /// The comment, a line for each of its paragraphs.
    fn description(self) -> String {
        let text = self.get("description").and_then(Value::as_str).unwrap_or_default();
        text.lines().map(str::trim).collect::<Vec<_>>().join("\n") + "\n"
    }

    /// What the section's own type says, after what the key that holds it says.
    fn described(self, outer: Node<'_>) -> String {
        let own = self.description();
        let of_key = outer.value.get("description").and_then(Value::as_str).unwrap_or_default();
        if of_key.is_empty() || own.trim() == of_key.trim() {
            return own;
        }
        format!("{own}\n{of_key}\n")
    }

    fn default_of(self, name: &str, key: Self) -> String {
        let required = self.value.get("required").and_then(Value::as_array);
        if required.is_some_and(|names| names.iter().any(|required| required == name)) {
            return "must be given".to_owned();
        }
        match key.value.get("default") {
            None | Some(Value::Null) => "none".to_owned(),
            Some(value) => format!("`{value}`"),
        }
    }

    fn kind(self) -> String {
        if let Some(values) = self.target().value.get("enum").and_then(Value::as_array) {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            return values.join(", ");
        }
        let kind = match self.get("type") {
            Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
            Some(kind) => kind.as_str(),
            None => None,
        };
        match kind {
            Some("array") => "list of texts",
            Some("boolean") => "`true`, `false`",
            Some("object") => "lists of texts by name",
            Some("integer") => "whole number",
            Some("number") => "number",
            _ => "text",
        }
        .to_owned()
    }
}
