//! What of how many is asked for (RFC 7644, 3.4.2 and 3.9), in an address or in a body.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{
    error::{Kind, ScimError},
    filter::{Filter, Path, member},
};

/// No answer holds more resources.
pub(crate) const COUNT_MAX: usize = 1000;
const COUNT_DEFAULT: usize = 100;
/// More names of attributes are refused.
const ATTRIBUTES_MAX: usize = 100;

/// These are in every answer (RFC 7643, 7: `returned` is `always`).
const ALWAYS: [&str; 2] = ["schemas", "id"];

/// Which resources, and what of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub(crate) filter: Option<Filter>,
    /// Counted from 1.
    pub(crate) start: usize,
    pub(crate) count: usize,
    wanted: Option<Vec<Path>>,
    unwanted: Vec<Path>,
}

impl Query {
    /// Reads what stands behind the `?` of an address.
    ///
    /// # Errors
    /// [`ScimError`] where a filter, a number or a name can't be understood.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        let mut query = Self::all();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8();
            let value = value.map_err(|_| syntax("the address is no UTF-8"))?;
            match name.to_ascii_lowercase().as_str() {
                "filter" => query.filter = Some(Filter::parse(&value)?),
                "startindex" => query.start = number(&value)?.max(1),
                "count" => query.count = number(&value)?.min(COUNT_MAX),
                "attributes" => query.wanted = Some(names(value.split(','))?),
                "excludedattributes" => query.unwanted = names(value.split(','))?,
                // Others, such as `sortBy`, may be passed over.
                _ => {}
            }
        }
        Ok(query)
    }

    /// Reads the body of a search (RFC 7644, 3.4.3).
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_json(body: &Value) -> Result<Self, ScimError> {
        let mut query = Self::all();
        if !body.is_object() {
            return Err(syntax("the body must be a JSON object"));
        }
        let field = |name| member(body, name).filter(|value| !value.is_null());
        if let Some(filter) = field("filter") {
            let filter = filter.as_str().ok_or_else(|| syntax("`filter` must be a text"))?;
            query.filter = Some(Filter::parse(filter)?);
        }
        if let Some(start) = field("startIndex") {
            query.start = number(&start.to_string())?.max(1);
        }
        if let Some(count) = field("count") {
            query.count = number(&count.to_string())?.min(COUNT_MAX);
        }
        let list = |value: &Value| {
            let all = value.as_array().ok_or_else(|| syntax("attributes must be a list"))?;
            names(all.iter().map(|name| name.as_str().unwrap_or_default()))
        };
        query.wanted = field("attributes").map(list).transpose()?;
        query.unwanted = field("excludedAttributes").map(list).transpose()?.unwrap_or_default();
        Ok(query)
    }

    fn all() -> Self {
        Self { filter: None, start: 1, count: COUNT_DEFAULT, wanted: None, unwanted: Vec::new() }
    }

    /// Leaves in a resource what is asked for.
    pub(crate) fn narrow(&self, resource: &mut Value) {
        let Some(body) = resource.as_object_mut() else { return };
        body.retain(|name, value| {
            let is_always = ALWAYS.contains(&name.as_str());
            let is_wanted = self.wanted.as_ref().is_none_or(|wanted| narrowed(wanted, name, value));
            is_always || is_wanted && !is_dropped(&self.unwanted, name, value)
        });
    }
}

/// Whether a member of a resource is among the paths; an extension is left with what is.
fn narrowed(paths: &[Path], name: &str, value: &mut Value) -> bool {
    let mut keeps = false;
    let mut parts = Vec::new();
    for path in paths {
        let attribute = &path.attribute;
        match &attribute.extension {
            None => keeps |= attribute.name.eq_ignore_ascii_case(name),
            Some(urn) if !urn.eq_ignore_ascii_case(name) => {}
            Some(_) if attribute.name.is_empty() => keeps = true,
            Some(_) => parts.push(attribute.name.as_str()),
        }
    }
    if keeps || parts.is_empty() {
        return keeps;
    }
    let Some(extension) = value.as_object_mut() else { return false };
    extension.retain(|name, _| parts.iter().any(|part| part.eq_ignore_ascii_case(name)));
    !extension.is_empty()
}

/// Whether a member of a resource is to be left out; an extension loses what is.
fn is_dropped(paths: &[Path], name: &str, value: &mut Value) -> bool {
    for path in paths {
        let attribute = &path.attribute;
        let within = attribute.extension.as_deref();
        match within {
            None if attribute.name.eq_ignore_ascii_case(name) => return true,
            Some(urn) if urn.eq_ignore_ascii_case(name) => {
                if attribute.name.is_empty() {
                    return true;
                }
                let Some(extension) = value.as_object_mut() else { continue };
                extension.retain(|name, _| !attribute.name.eq_ignore_ascii_case(name));
            }
            None | Some(_) => {}
        }
    }
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn names<'t>(all: impl Iterator<Item = &'t str>) -> Result<Vec<Path>, ScimError> {
    let all: Vec<&str> = all.map(str::trim).filter(|name| !name.is_empty()).collect();
    if all.len() > ATTRIBUTES_MAX {
        return Err(ScimError::new(Kind::TooMany, "too many attributes are named"));
    }
    all.into_iter().map(Path::parse).collect()
}

/// A whole number; a negative one stands for 0.
fn number(text: &str) -> Result<usize, ScimError> {
    let wrong = || ScimError::new(Kind::Value, "`startIndex` and `count` must be whole numbers");
    let number: i64 = text.trim().parse().map_err(|_| wrong())?;
    Ok(usize::try_from(number.max(0)).unwrap_or(usize::MAX))
}

fn syntax(detail: &str) -> ScimError {
    ScimError::new(Kind::Syntax, detail)
}
