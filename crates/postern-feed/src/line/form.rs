//! The format's objects, field by field, in the order in which they are written.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub(super) type Text<'a> = Cow<'a, str>;

#[derive(Deserialize, Serialize)]
pub(super) struct PersonLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) actor: Text<'a>,
    #[serde(borrow)]
    pub(super) event: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) team: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) manager: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) employer: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) queues: Option<Vec<Text<'a>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) languages: Option<Vec<Text<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shift: Option<ShiftLine>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct ShiftLine {
    pub(super) tz: String,
    pub(super) start: String,
    pub(super) end: String,
    #[serde(default)]
    pub(super) days: Vec<Day>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct SubjectLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) subject: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<Vec<Text<'a>>>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct TicketLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) ticket: Text<'a>,
    #[serde(borrow)]
    pub(super) event: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) channel: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) opened_by: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) inbound_ref: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) assignee: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<Text<'a>>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct CallLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) call: Text<'a>,
    #[serde(borrow)]
    pub(super) actor: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) direction: Text<'a>,
    pub(super) seconds: f64,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) booking: Option<Text<'a>>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct ApprovalLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) request: Text<'a>,
    #[serde(borrow)]
    pub(super) event: Text<'a>,
    #[serde(borrow)]
    pub(super) actor: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<Text<'a>>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct AccessLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) actor: Text<'a>,
    #[serde(borrow)]
    pub(super) session: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) client_addr: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) app: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) statement: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) ticket: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) grade: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) subjects: Vec<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) clear: Option<Vec<Text<'a>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) masked: Option<Vec<Text<'a>>>,
    pub(super) rows: u64,
    #[serde(borrow)]
    pub(super) decision: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) search: Option<Text<'a>>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct ComplaintLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) subject: Text<'a>,
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) fields: Option<Vec<Text<'a>>>,
}

/// A day of a shift, by name or by number; feeds have both.
#[derive(Deserialize, Serialize)]
#[serde(try_from = "serde_json::Value")]
pub(super) struct Day(pub(super) String);

impl TryFrom<serde_json::Value> for Day {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        if let Some(name) = value.as_str() {
            return Ok(Self(name.to_owned()));
        }
        value.as_u64().map(|number| Self(number.to_string())).ok_or("a day is a name or a number")
    }
}
