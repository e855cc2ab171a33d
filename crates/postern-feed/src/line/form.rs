//! The format's objects, field by field, in the order in which they are written.

use std::borrow::Cow;

use postern_model::Text;
use serde::{Deserialize, Serialize};

/// A text as it stands in a line.
pub(super) type Given<'a> = Cow<'a, str>;

#[derive(Deserialize, Serialize)]
pub(super) struct PersonLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Given<'a>>,
    #[serde(borrow)]
    pub(super) actor: Given<'a>,
    #[serde(borrow)]
    pub(super) event: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) team: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) manager: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) employer: Option<Given<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queues: Option<Vec<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) languages: Option<Vec<Text>>,
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
    pub(super) ts: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Given<'a>>,
    #[serde(borrow)]
    pub(super) subject: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<Given<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<Vec<Text>>,
}

#[derive(Deserialize, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) struct TicketLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Given<'a>>,
    #[serde(borrow)]
    pub(super) ticket: Given<'a>,
    #[serde(borrow)]
    pub(super) event: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) channel: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) opened_by: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) inbound_ref: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) assignee: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<Given<'a>>,
}

#[derive(Deserialize, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) struct CallLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Given<'a>>,
    #[serde(borrow)]
    pub(super) call: Given<'a>,
    #[serde(borrow)]
    pub(super) actor: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Given<'a>>,
    #[serde(borrow)]
    pub(super) direction: Given<'a>,
    pub(super) seconds: f64,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) booking: Option<Given<'a>>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct ApprovalLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Given<'a>>,
    #[serde(borrow)]
    pub(super) request: Given<'a>,
    #[serde(borrow)]
    pub(super) event: Given<'a>,
    #[serde(borrow)]
    pub(super) actor: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<Given<'a>>,
}

#[derive(Deserialize, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) struct AccessLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Given<'a>>,
    #[serde(borrow)]
    pub(super) id: Given<'a>,
    #[serde(borrow)]
    pub(super) actor: Given<'a>,
    #[serde(borrow)]
    pub(super) session: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) client_addr: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) app: Option<Given<'a>>,
    #[serde(borrow)]
    pub(super) statement: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) ticket: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Given<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) grade: Option<Given<'a>>,
    pub(super) subjects: Vec<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clear: Option<Vec<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) masked: Option<Vec<Text>>,
    pub(super) rows: u64,
    #[serde(borrow)]
    pub(super) decision: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) search: Option<Given<'a>>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct ComplaintLine<'a> {
    #[serde(borrow)]
    pub(super) ts: Given<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Given<'a>>,
    #[serde(borrow)]
    pub(super) subject: Given<'a>,
    #[serde(borrow)]
    pub(super) kind: Given<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fields: Option<Vec<Text>>,
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
