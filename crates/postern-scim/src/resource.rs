//! People and groups as the directory describes them, to and from JSON (RFC 7643, 4).

use std::collections::BTreeSet;

use postern_model::Timestamp;
use postern_people::Date;
use serde_json::{Map, Value, json};

use crate::{
    accounts::Made,
    error::{Kind, ScimError},
    filter::member,
};

pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// What Postern wants to know besides: for whom somebody works, and until when.
pub(crate) const EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:postern:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// What the core schema knows of people and Postern has no use for: taken and not kept.
const NOT_KEPT: [&str; 16] = [
    "name",
    "nickname",
    "profileurl",
    "title",
    "usertype",
    "preferredlanguage",
    "locale",
    "timezone",
    "password",
    "emails",
    "phonenumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
];

/// A longer text is refused.
const TEXT_BYTES_MAX: usize = 256;
/// More members in one group are refused.
const MEMBERS_MAX: usize = 50_000;

/// Which kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resources {
    Users,
    Groups,
}

impl Resources {
    /// The part of the address, such as `Users`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "Users",
            Self::Groups => "Groups",
        }
    }
}

/// A person as the directory describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserData {
    /// The account's name.
    pub(crate) user_name: String,
    pub(crate) external_id: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) active: bool,
    pub(crate) employer: Option<String>,
    pub(crate) last_day: Option<Date>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) data: UserData,
    /// What was made of it in the people file; `None` if they have no account yet.
    pub(crate) made: Option<Made>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupData {
    pub(crate) display_name: String,
    pub(crate) external_id: Option<String>,
    /// By their ids.
    pub(crate) members: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) data: GroupData,
}

fn invalid(detail: impl Into<String>) -> ScimError {
    ScimError::new(Kind::Value, detail)
}

impl UserData {
    /// Reads a body. What is not known is passed over, as are attributes that only the server sets.
    pub(crate) fn from_json(body: &Value) -> Result<Self, ScimError> {
        let body = object(body)?;
        let name = text("userName", field(body, "userName"))?;
        let name = name.ok_or_else(|| invalid("`userName` is missing"))?;
        if !is_plain(&name) {
            return Err(invalid(
                "`userName` has letters that don't show, spaces at its ends or other ones than \
                 plain, or parentheses: in the ledger it could be taken for another's",
            ));
        }
        let extension = member(body, EXTENSION);
        let within = |name| extension.and_then(|extension| field(extension, name));
        Ok(Self {
            user_name: name,
            external_id: text("externalId", field(body, "externalId"))?,
            display_name: text("displayName", field(body, "displayName"))?,
            active: field(body, "active").map_or(Ok(true), boolean)?,
            employer: text("employer", within("employer"))?,
            last_day: within("lastDay").map(date).transpose()?,
        })
    }

    /// Sets one attribute, or takes it away.
    pub(crate) fn set(
        &mut self,
        extension: Option<&str>,
        name: &str,
        value: Option<&Value>,
    ) -> Result<(), ScimError> {
        let value = value.map(unwrapped).filter(|value| !value.is_null());
        let lower = name.to_ascii_lowercase();
        match (extension.map(str::to_ascii_lowercase).as_deref(), lower.as_str()) {
            (None, "username") => {
                let same = value.and_then(Value::as_str) == Some(&self.user_name);
                return if same { Ok(()) } else { Err(renamed()) };
            }
            (None, "externalid") => self.external_id = text("externalId", value)?,
            (None, "displayname") => self.display_name = text("displayName", value)?,
            (None, "active") => {
                let value = value.ok_or_else(|| invalid("`active` can't be removed"))?;
                self.active = boolean(value)?;
            }
            (_, "schemas") => {}
            (None, "id" | "meta" | "groups") => return Err(read_only(name)),
            (None, known) if NOT_KEPT.contains(&known) || known == "x509certificates" => {}
            (Some(urn), _) if urn == ENTERPRISE.to_ascii_lowercase() => {}
            (Some(urn), "employer") if urn == EXTENSION.to_ascii_lowercase() => {
                self.employer = text("employer", value)?;
            }
            (Some(urn), "lastday") if urn == EXTENSION.to_ascii_lowercase() => {
                self.last_day = value.map(date).transpose()?;
            }
            (Some(urn), "") if urn == EXTENSION.to_ascii_lowercase() && value.is_none() => {
                (self.employer, self.last_day) = (None, None);
            }
            (Some(urn), "role") if urn == EXTENSION.to_ascii_lowercase() => {
                return Err(read_only(name));
            }
            (Some(_) | None, _) => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Whether it has attributes of that name that are not kept, whose parts are not looked at.
    pub(crate) fn is_not_kept(extension: Option<&str>, name: &str) -> bool {
        match extension {
            None => {
                let lower = name.to_ascii_lowercase();
                NOT_KEPT.contains(&lower.as_str()) || lower == "x509certificates"
            }
            Some(urn) => urn.eq_ignore_ascii_case(ENTERPRISE),
        }
    }
}

/// Whether a name can't be taken for another that looks the same: it has no letters that don't
/// show (of Unicode's category Cf, fillers and variation selectors among others) and no spaces but
/// single ones within. Names with parentheses are those of what acts by itself.
fn is_plain(name: &str) -> bool {
    let shows = |c: char| {
        !matches!(c,
            '(' | ')' | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}'
            | '\u{70f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
            && !c.is_control()
            && (c == ' ' || !c.is_whitespace())
    };
    name.chars().all(shows) && name.trim() == name && !name.contains("  ")
}

/// Names are what the ledger knows accounts by.
pub(crate) fn renamed() -> ScimError {
    ScimError::new(
        Kind::Mutability,
        "`userName` can't change: the ledger knows the account by it; add another and delete this",
    )
}

fn read_only(name: &str) -> ScimError {
    ScimError::new(Kind::Mutability, format!("`{name}` can't be set"))
}

fn unknown(name: &str) -> ScimError {
    let shown: String = name.chars().take(100).collect();
    ScimError::new(Kind::Path, format!("there is no attribute `{shown}`"))
}

impl GroupData {
    /// Reads a body. Whether its members are there is not looked at.
    pub(crate) fn from_json(body: &Value) -> Result<Self, ScimError> {
        let body = object(body)?;
        let name = text("displayName", field(body, "displayName"))?;
        Ok(Self {
            display_name: name.ok_or_else(|| invalid("`displayName` is missing"))?,
            external_id: text("externalId", field(body, "externalId"))?,
            members: field(body, "members").map(members).transpose()?.unwrap_or_default(),
        })
    }

    /// Sets one attribute but the members, or takes it away.
    pub(crate) fn set(&mut self, name: &str, value: Option<&Value>) -> Result<(), ScimError> {
        let value = value.map(unwrapped).filter(|value| !value.is_null());
        match name.to_ascii_lowercase().as_str() {
            "displayname" => {
                let name = text("displayName", value)?;
                self.display_name = name.ok_or_else(|| invalid("`displayName` is missing"))?;
            }
            "externalid" => self.external_id = text("externalId", value)?,
            "schemas" => {}
            "id" | "meta" => return Err(read_only(name)),
            _ => return Err(unknown(name)),
        }
        Ok(())
    }
}

/// The ids of members: one `{"value": id}`, a list of them, or ids alone.
pub(crate) fn members(value: &Value) -> Result<BTreeSet<String>, ScimError> {
    let one = std::slice::from_ref(value);
    let all = match value {
        Value::Null => &[],
        Value::Array(all) => all.as_slice(),
        Value::Object(_) | Value::String(_) => one,
        Value::Bool(_) | Value::Number(_) => return Err(invalid("`members` must be a list")),
    };
    if all.len() > MEMBERS_MAX {
        return Err(ScimError::new(Kind::TooMany, format!("more than {MEMBERS_MAX} members")));
    }
    let id = |value: &Value| {
        let id = value.as_str().or_else(|| member(value, "value")?.as_str());
        id.map(str::to_owned).ok_or_else(|| invalid("a member has no `value`"))
    };
    all.iter().map(id).collect()
}

fn object(body: &Value) -> Result<&Value, ScimError> {
    match body {
        Value::Object(_) => Ok(body),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(ScimError::new(Kind::Syntax, "the body must be a JSON object"))
        }
    }
}

fn field<'v>(body: &'v Value, name: &str) -> Option<&'v Value> {
    member(body, name).filter(|value| !value.is_null())
}

/// A value that some directories put into a list, or into an object of its own.
fn unwrapped(value: &Value) -> &Value {
    match value {
        Value::Array(values) if values.len() == 1 => {
            values.first().and_then(|only| member(only, "value")).unwrap_or(value)
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => value,
    }
}

/// A text of a line, or nothing for an empty one.
fn text(name: &str, value: Option<&Value>) -> Result<Option<String>, ScimError> {
    let Some(value) = value else { return Ok(None) };
    let Value::String(text) = value else {
        return Err(invalid(format!("`{name}` must be a text")));
    };
    if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(invalid(format!("`{name}` is too long, or not one line")));
    }
    Ok((!text.is_empty()).then(|| text.clone()))
}

/// `true` or `false`, also as a text in any case, as one directory sends it.
fn boolean(value: &Value) -> Result<bool, ScimError> {
    let text = value.as_str().map(str::to_ascii_lowercase);
    match (value.as_bool(), text.as_deref()) {
        (Some(value), _) => Ok(value),
        (None, Some("true")) => Ok(true),
        (None, Some("false")) => Ok(false),
        (None, _) => Err(invalid("`active` must be `true` or `false`")),
    }
}

/// A date, or the date of a moment.
fn date(value: &Value) -> Result<Date, ScimError> {
    let text = value.as_str().unwrap_or_default();
    let date = if text.contains('T') { text.get(..10) } else { Some(text) };
    date.and_then(|date| date.parse().ok())
        .ok_or_else(|| invalid("`lastDay` must be a date, as in 2026-12-31"))
}

/// What a person looks like from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) base: &'a str,
    /// Whether the account works: also what was done by hand counts.
    pub(crate) active: bool,
    pub(crate) role: Option<&'a str>,
}

impl User {
    /// With the groups that are given.
    pub(crate) fn to_json(&self, shown: Shown<'_>, groups: &[(&str, &str)]) -> Value {
        let Shown { base, active, role } = shown;
        let (mut body, data) = (Map::new(), &self.data);
        let mut extension = Map::new();
        let pairs = [
            ("employer", data.employer.clone()),
            ("lastDay", data.last_day.map(|date| date.to_string())),
            ("role", role.map(str::to_owned)),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                extension.insert(name.to_owned(), value.into());
            }
        }
        body.insert("schemas".to_owned(), json!([USER, EXTENSION]));
        body.insert("id".to_owned(), self.id.clone().into());
        body.insert("userName".to_owned(), data.user_name.clone().into());
        body.insert("active".to_owned(), active.into());
        optional(&mut body, "externalId", data.external_id.as_deref());
        optional(&mut body, "displayName", data.display_name.as_deref());
        if !groups.is_empty() {
            let all = groups.iter().map(|(id, name)| {
                json!({"value": id, "display": name, "$ref": format!("{base}/Groups/{id}")})
            });
            body.insert("groups".to_owned(), all.collect());
        }
        if !extension.is_empty() {
            body.insert(EXTENSION.to_owned(), extension.into());
        }
        let location = format!("{base}/Users/{}", self.id);
        body.insert("meta".to_owned(), meta("User", &location, self.created, self.modified));
        body.into()
    }
}

impl Group {
    pub(crate) fn to_json(&self, base: &str) -> Value {
        let (mut body, data) = (Map::new(), &self.data);
        body.insert("schemas".to_owned(), json!([GROUP]));
        body.insert("id".to_owned(), self.id.clone().into());
        body.insert("displayName".to_owned(), data.display_name.clone().into());
        optional(&mut body, "externalId", data.external_id.as_deref());
        if !data.members.is_empty() {
            let all = data.members.iter().map(
                |id| json!({"value": id, "type": "User", "$ref": format!("{base}/Users/{id}")}),
            );
            body.insert("members".to_owned(), all.collect());
        }
        let location = format!("{base}/Groups/{}", self.id);
        body.insert("meta".to_owned(), meta("Group", &location, self.created, self.modified));
        body.into()
    }
}

fn optional(body: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

fn meta(kind: &str, location: &str, created: Timestamp, modified: Timestamp) -> Value {
    json!({
        "resourceType": kind,
        "created": created.to_string(),
        "lastModified": modified.to_string(),
        "location": location,
    })
}
