//! PATCH (RFC 7644, 3.5.2), in the forms that directories send.
//!
//! All of these put somebody out, and the last two are no SCIM but what some versions send:
//! `{"op": "replace", "path": "active", "value": false}`,
//! `{"op": "replace", "value": {"active": false}}`,
//! `{"op": "Replace", "path": "active", "value": "False"}`,
//! `{"op": "Replace", "path": "active", "value": [{"value": "False"}]}`.

use serde_json::{Value, json};

use crate::{
    error::{Kind, ScimError},
    filter::{Path, member},
    resource::{GroupData, UserData, members},
};

#[cfg(test)]
mod tests;

/// More operations in one PATCH are refused.
const OPERATIONS_MAX: usize = 1000;

/// What one operation does with the value at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

struct Operation<'v> {
    verb: Verb,
    path: Path,
    value: Option<&'v Value>,
}

/// Applies a PATCH to a person.
pub(crate) fn user(data: &mut UserData, body: &Value) -> Result<(), ScimError> {
    for Operation { verb, path, value } in operations(body)? {
        let Path { attribute, filter } = &path;
        let extension = attribute.extension.as_deref();
        if UserData::is_not_kept(extension, &attribute.name) {
            continue;
        }
        if filter.is_some() || attribute.part.is_some() {
            return Err(ScimError::new(
                Kind::NoTarget,
                format!("`{}` has one value without parts", attribute.name),
            ));
        }
        let value = value.filter(|_| verb != Verb::Remove);
        data.set(extension, &attribute.name, value)?;
    }
    Ok(())
}

/// Applies a PATCH to a group. Whether members are there is not looked at.
pub(crate) fn group(data: &mut GroupData, body: &Value) -> Result<(), ScimError> {
    for Operation { verb, path, value } in operations(body)? {
        let Path { attribute, filter } = &path;
        if attribute.extension.is_some() {
            return Err(ScimError::new(Kind::NoTarget, "a group has no extension"));
        }
        if !attribute.name.eq_ignore_ascii_case("members") {
            if filter.is_some() || attribute.part.is_some() {
                return Err(ScimError::new(
                    Kind::NoTarget,
                    format!("`{}` has one value without parts", attribute.name),
                ));
            }
            data.set(&attribute.name, value.filter(|_| verb != Verb::Remove))?;
            continue;
        }
        let named = value.map(members).transpose()?;
        match (verb, filter, named) {
            (Verb::Remove, Some(filter), _) => {
                data.members.retain(|id| !filter.matches(&json!({"value": id, "type": "User"})));
            }
            (Verb::Remove, None, Some(named)) => data.members.retain(|id| !named.contains(id)),
            (Verb::Remove, None, None) => data.members.clear(),
            (Verb::Add, None, Some(named)) => data.members.extend(named),
            (Verb::Replace, None, Some(named)) => data.members = named,
            (Verb::Add | Verb::Replace, None, None) => return Err(no_value()),
            (Verb::Add | Verb::Replace, Some(_), _) => {
                return Err(ScimError::new(Kind::NoTarget, "a member can't be changed"));
            }
        }
    }
    Ok(())
}

fn no_value() -> ScimError {
    ScimError::new(Kind::Value, "an operation has no `value`")
}

/// What it does, attribute by attribute.
fn operations(body: &Value) -> Result<Vec<Operation<'_>>, ScimError> {
    let syntax = |detail: &str| ScimError::new(Kind::Syntax, detail);
    let all = member(body, "Operations").and_then(Value::as_array);
    let all = all.ok_or_else(|| syntax("`Operations` is missing, or no list"))?;
    if all.is_empty() {
        return Err(syntax("`Operations` is empty"));
    }
    let mut operations = Vec::new();
    for operation in all {
        let verb = member(operation, "op").and_then(Value::as_str).unwrap_or_default();
        let verb = match verb.to_ascii_lowercase().as_str() {
            "add" => Verb::Add,
            "replace" => Verb::Replace,
            "remove" => Verb::Remove,
            _ => return Err(syntax("`op` must be `add`, `remove` or `replace`")),
        };
        let value = member(operation, "value");
        let path = member(operation, "path").filter(|path| !path.is_null());
        let path = path.map(|path| path.as_str().ok_or_else(|| syntax("`path` must be a text")));
        match path.transpose()?.filter(|path| !path.is_empty()) {
            Some(path) => spread(verb, Path::parse(path)?, value, &mut operations)?,
            None if verb == Verb::Remove => {
                return Err(ScimError::new(Kind::NoTarget, "what to remove is not said"));
            }
            None => {
                let parts = value.and_then(Value::as_object);
                let parts = parts.ok_or_else(|| syntax("`value` must be an object"))?;
                for (name, value) in parts {
                    spread(verb, Path::parse(name)?, Some(value), &mut operations)?;
                }
            }
        }
        if operations.len() > OPERATIONS_MAX {
            return Err(ScimError::new(Kind::TooMany, "too many operations"));
        }
    }
    Ok(operations)
}

/// One operation, or one for each attribute of an extension that is named as a whole.
fn spread<'v>(
    verb: Verb,
    path: Path,
    value: Option<&'v Value>,
    operations: &mut Vec<Operation<'v>>,
) -> Result<(), ScimError> {
    if verb != Verb::Remove && value.is_none() {
        return Err(no_value());
    }
    let parts = value.and_then(Value::as_object);
    let is_whole = path.attribute.extension.is_some() && path.attribute.name.is_empty();
    match parts.filter(|_| is_whole && verb != Verb::Remove) {
        None => operations.push(Operation { verb, path, value }),
        Some(parts) => {
            for (name, value) in parts {
                let inner = Path::parse(name)?;
                let mut path = path.clone();
                (path.attribute.name, path.attribute.part) =
                    (inner.attribute.name, inner.attribute.part);
                operations.push(Operation { verb, path, value: Some(value) });
            }
        }
    }
    Ok(())
}
