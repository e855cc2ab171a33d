//! What the directory has said, as one JSON text that is kept as a whole; version 1.
//!
//! An attacker who can change it can make the directory's next word fall on another account, of
//! those that have a role which the directory may give; the accounts themselves stand in the people
//! file.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::Timestamp;
use postern_people::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    accounts::Made,
    resource::{Group, GroupData, User, UserData},
};

const VERSION: u32 = 1;

/// Why a text is not what was kept.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("it is not what was kept of the directory")]
    Syntax(#[source] serde_json::Error),
    #[error("it is of version {0}, and this is a Postern that knows version {VERSION}")]
    Version(u32),
    #[error("`{0}` is no date")]
    Date(String),
}

/// People and groups by their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) groups: BTreeMap<String, Group>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    version: u32,
    users: BTreeMap<String, UserFile>,
    groups: BTreeMap<String, GroupFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserFile {
    user_name: String,
    external_id: Option<String>,
    display_name: Option<String>,
    active: bool,
    employer: Option<String>,
    last_day: Option<String>,
    /// Microseconds since 1970.
    created: i64,
    modified: i64,
    made: Option<MadeFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeFile {
    role: Option<String>,
    employer: Option<String>,
    ends: Option<String>,
    active: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupFile {
    display_name: String,
    external_id: Option<String>,
    members: BTreeSet<String>,
    created: i64,
    modified: i64,
}

impl State {
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let file: StateFile = serde_json::from_str(text).map_err(StoreError::Syntax)?;
        if file.version != VERSION {
            return Err(StoreError::Version(file.version));
        }
        let mut state = Self::default();
        for (id, user) in file.users {
            state.users.insert(id.clone(), user_in(id, user)?);
        }
        for (id, group) in file.groups {
            let GroupFile { display_name, external_id, members, created, modified } = group;
            let data = GroupData { display_name, external_id, members };
            let (created, modified) = (Timestamp(created), Timestamp(modified));
            state.groups.insert(id.clone(), Group { id, created, modified, data });
        }
        Ok(state)
    }

    pub(crate) fn to_text(&self) -> String {
        let users = self.users.iter().map(|(id, user)| (id.clone(), user_out(user)));
        let groups = self.groups.iter().map(|(id, group)| {
            let GroupData { display_name, external_id, members } = group.data.clone();
            let (created, modified) = (group.created.0, group.modified.0);
            (id.clone(), GroupFile { display_name, external_id, members, created, modified })
        });
        let file = StateFile { version: VERSION, users: users.collect(), groups: groups.collect() };
        #[expect(clippy::expect_used, reason = "these types are objects of texts and numbers")]
        serde_json::to_string(&file).expect("what is kept can be printed")
    }
}

fn user_in(id: String, file: UserFile) -> Result<User, StoreError> {
    let UserFile { user_name, external_id, display_name, active, employer, last_day, .. } = file;
    let last_day = last_day.map(date).transpose()?;
    let data = UserData { user_name, external_id, display_name, active, employer, last_day };
    let made = file.made.map(|made| {
        let MadeFile { role, employer, ends, active } = made;
        Ok(Made { role, employer, ends: ends.map(date).transpose()?, active })
    });
    let (created, modified) = (Timestamp(file.created), Timestamp(file.modified));
    Ok(User { id, created, modified, data, made: made.transpose()? })
}

fn user_out(user: &User) -> UserFile {
    let UserData { user_name, external_id, display_name, active, employer, last_day } =
        user.data.clone();
    UserFile {
        user_name,
        external_id,
        display_name,
        active,
        employer,
        last_day: last_day.map(|date| date.to_string()),
        created: user.created.0,
        modified: user.modified.0,
        made: user.made.clone().map(|made| MadeFile {
            role: made.role,
            employer: made.employer,
            ends: made.ends.map(|date| date.to_string()),
            active: made.active,
        }),
    }
}

fn date(text: String) -> Result<Date, StoreError> {
    text.parse().map_err(|_| StoreError::Date(text))
}
