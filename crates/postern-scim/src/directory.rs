//! All that a directory can ask for, without HTTP.
//!
//! A change is made in a copy. It becomes part of the people file first and of the directory's own
//! record then; a crash between the two leaves people as the directory wants them and a record that
//! says less, which the directory mends by asking again, as it does when no answer came.

use std::{collections::BTreeMap, fmt, sync::Arc};

use postern_model::{Actor, Clock, Timestamp};
use postern_people::{Account, People};
use serde_json::{Value, json};

use crate::{
    accounts::{Rules, Settled, same_name, settled},
    error::{Kind, ScimError},
    filter::Filter,
    patch,
    query::Query,
    resource::{Group, GroupData, Resources, Shown, User, UserData, renamed},
    store::{State, StoreError},
};

#[cfg(test)]
pub(crate) mod tests;

/// More people or groups are refused.
const RESOURCES_MAX: usize = 100_000;

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// Makes another list of people of the one that there is; `None` leaves it as it is.
pub type Edit<'e> = dyn FnMut(&People) -> Result<Option<People>, ScimError> + 'e;

/// Whoever keeps what the directory says.
pub trait Keep: Send + Sync {
    /// The people as they are in force.
    fn people(&self) -> Arc<People>;

    /// Has the list of people edited by nobody else at the same time. Returns when what is on
    /// stable storage is in force and recorded, also if it was left as it is.
    ///
    /// # Errors
    /// What the edit says, or [`Kind::Server`] if it could not be kept.
    fn edit(&self, edit: &mut Edit<'_>) -> Result<(), ScimError>;

    /// Puts the directory's own record, which [`Directory::new`] is given again at the next start,
    /// on stable storage.
    ///
    /// # Errors
    /// [`Kind::Server`].
    fn save(&self, text: &str) -> Result<(), ScimError>;
}

/// What the directory has said, and what is made of it.
pub struct Directory {
    keep: Arc<dyn Keep>,
    clock: Arc<dyn Clock>,
    rules: Rules,
    state: State,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (users, groups) = (self.state.users.len(), self.state.groups.len());
        f.debug_struct("Directory").field("users", &users).field("groups", &groups).finish()
    }
}

impl Directory {
    /// With what was kept; `None` for a directory that has said nothing yet.
    ///
    /// # Errors
    /// [`StoreError`] if that can't be read.
    pub fn new(
        rules: Rules,
        kept: Option<&str>,
        (keep, clock): (Arc<dyn Keep>, Arc<dyn Clock>),
    ) -> Result<Self, StoreError> {
        let state = kept.map(State::parse).transpose()?.unwrap_or_default();
        Ok(Self { keep, clock, rules, state })
    }

    /// Adds somebody, or a group; `base` is the address that locations begin with.
    ///
    /// # Errors
    /// [`ScimError`]; then nothing was changed.
    pub fn create(
        &mut self,
        kind: Resources,
        body: &Value,
        base: &str,
    ) -> Result<Value, ScimError> {
        let id = new_id();
        let (now, rules) = (self.clock.now(), self.rules.clone());
        match kind {
            Resources::Users => {
                let data = UserData::from_json(body)?;
                self.change(|state, people| {
                    is_room(state.users.len())?;
                    check_new(&rules, state, people, &data.user_name)?;
                    let (id, data) = (id.clone(), data.clone());
                    let user = User { id, created: now, modified: now, data, made: None };
                    state.users.insert(user.id.clone(), user);
                    Ok(())
                })?;
            }
            Resources::Groups => {
                let data = GroupData::from_json(body)?;
                self.change(|state, _| {
                    is_room(state.groups.len())?;
                    check_group(state, &id, &data)?;
                    let (id, data) = (id.clone(), data.clone());
                    let group = Group { id, created: now, modified: now, data };
                    state.groups.insert(group.id.clone(), group);
                    Ok(())
                })?;
            }
        }
        self.find(kind, &id, base)
    }

    /// Replaces what is known of somebody, or of a group.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn replace(
        &mut self,
        (kind, id): (Resources, &str),
        body: &Value,
        base: &str,
    ) -> Result<Value, ScimError> {
        match kind {
            Resources::Users => {
                let data = UserData::from_json(body)?;
                self.change_user(id, |user| {
                    if user.user_name != data.user_name {
                        return Err(renamed());
                    }
                    user.clone_from(&data);
                    Ok(())
                })?;
            }
            Resources::Groups => {
                let data = GroupData::from_json(body)?;
                self.change_group(id, |group| {
                    group.clone_from(&data);
                    Ok(())
                })?;
            }
        }
        self.find(kind, id, base)
    }

    /// Changes parts of what is known of somebody, or of a group.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn patch(
        &mut self,
        (kind, id): (Resources, &str),
        body: &Value,
        base: &str,
    ) -> Result<Value, ScimError> {
        match kind {
            Resources::Users => self.change_user(id, |user| patch::user(user, body))?,
            Resources::Groups => self.change_group(id, |group| patch::group(group, body))?,
        }
        self.find(kind, id, base)
    }

    /// Removes somebody with their account, or a group.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn delete(&mut self, kind: Resources, id: &str) -> Result<(), ScimError> {
        self.change(|state, _| match kind {
            Resources::Users => state.remove_user(id),
            Resources::Groups => state.groups.remove(id).map(drop).ok_or_else(|| not_found(id)),
        })
    }

    /// One person or group, what of it is asked for.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn get(
        &self,
        (kind, id): (Resources, &str),
        query: &Query,
        base: &str,
    ) -> Result<Value, ScimError> {
        let mut found = self.find(kind, id, base)?;
        query.narrow(&mut found);
        Ok(found)
    }

    /// Those that a query asks for, in order of their ids, with how many there are.
    pub fn list(&self, kinds: &[Resources], query: &Query, base: &str) -> Value {
        let people = self.keep.people();
        let filter = query.filter.as_ref();
        let asks = filter.is_some_and(|filter| filter.asks_about("groups"));
        let matches = |value: &Value| filter.is_none_or(|filter: &Filter| filter.matches(value));
        let mut found: Vec<(Resources, &str)> = Vec::new();
        for kind in kinds {
            match kind {
                Resources::Users => {
                    let users = self.state.users.values().filter(|user| {
                        let groups = if asks { self.state.groups_of(&user.id) } else { Vec::new() };
                        filter.is_none() || matches(&shown(&people, user, &groups, base))
                    });
                    found.extend(users.map(|user| (*kind, user.id.as_str())));
                }
                Resources::Groups => {
                    let groups = self.state.groups.values();
                    let groups = groups.filter(|group| matches(&group.to_json(base)));
                    found.extend(groups.map(|group| (*kind, group.id.as_str())));
                }
            }
        }
        let page = found.iter().skip(query.start.saturating_sub(1)).take(query.count);
        let page: Vec<Value> = page
            .filter_map(|(kind, id)| {
                let mut one = self.find_in(&people, *kind, id, base)?;
                query.narrow(&mut one);
                Some(one)
            })
            .collect();
        json!({
            "schemas": [LIST],
            "totalResults": found.len(),
            "startIndex": query.start,
            "itemsPerPage": page.len(),
            "Resources": page,
        })
    }

    fn find(&self, kind: Resources, id: &str, base: &str) -> Result<Value, ScimError> {
        let people = self.keep.people();
        self.find_in(&people, kind, id, base).ok_or_else(|| not_found(id))
    }

    fn find_in(&self, people: &People, kind: Resources, id: &str, base: &str) -> Option<Value> {
        match kind {
            Resources::Users => {
                let user = self.state.users.get(id)?;
                Some(shown(people, user, &self.state.groups_of(id), base))
            }
            Resources::Groups => Some(self.state.groups.get(id)?.to_json(base)),
        }
    }

    fn change_user(
        &mut self,
        id: &str,
        act: impl Fn(&mut UserData) -> Result<(), ScimError>,
    ) -> Result<(), ScimError> {
        let now = self.clock.now();
        self.change(|state, _| {
            let user = state.users.get_mut(id).ok_or_else(|| not_found(id))?;
            let before = user.data.clone();
            act(&mut user.data)?;
            touch(&mut user.modified, before != user.data, now);
            Ok(())
        })
    }

    fn change_group(
        &mut self,
        id: &str,
        act: impl Fn(&mut GroupData) -> Result<(), ScimError>,
    ) -> Result<(), ScimError> {
        let now = self.clock.now();
        self.change(|state, _| {
            let group = state.groups.get_mut(id).ok_or_else(|| not_found(id))?;
            let mut data = group.data.clone();
            act(&mut data)?;
            touch(&mut group.modified, data != group.data, now);
            check_group(state, id, &data)?;
            if let Some(group) = state.groups.get_mut(id) {
                group.data = data;
            }
            Ok(())
        })
    }

    /// Makes a change in a copy, has it kept, and takes the copy then.
    fn change(
        &mut self,
        act: impl Fn(&mut State, &People) -> Result<(), ScimError>,
    ) -> Result<(), ScimError> {
        let mut next = None;
        self.keep.edit(&mut |people| {
            let mut state = self.state.clone();
            state.forget_removed(people);
            let before = state.clone();
            act(&mut state, people)?;
            let edited = state.settle(&self.rules, &before, people)?;
            next = Some(state);
            Ok(edited)
        })?;
        // A crash here leaves the people as they should be; see above.
        let Some(next) = next else { return Ok(()) };
        if next != self.state {
            self.keep.save(&next.to_text())?;
            self.state = next;
        }
        Ok(())
    }
}

impl State {
    /// The ids and names of somebody's groups.
    fn groups_of(&self, id: &str) -> Vec<(&str, &str)> {
        let groups = self.groups.values().filter(|group| group.data.members.contains(id));
        groups.map(|group| (group.id.as_str(), group.data.display_name.as_str())).collect()
    }

    fn remove_user(&mut self, id: &str) -> Result<(), ScimError> {
        self.users.remove(id).ok_or_else(|| not_found(id))?;
        for group in self.groups.values_mut() {
            group.data.members.remove(id);
        }
        Ok(())
    }

    /// Whoever had an account and was removed by hand is not known any more.
    fn forget_removed(&mut self, people: &People) {
        let is_gone =
            |user: &&User| user.made.is_some() && people.account(&user.data.user_name).is_none();
        let gone: Vec<String> =
            self.users.values().filter(is_gone).map(|user| user.id.clone()).collect();
        for id in gone {
            // It was found a moment ago.
            let _ = self.remove_user(&id);
        }
    }

    /// Makes accounts of all this; the list of people if it is another.
    fn settle(
        &mut self,
        rules: &Rules,
        before: &Self,
        people: &People,
    ) -> Result<Option<People>, ScimError> {
        let mut edited = people.clone();
        for (id, user) in &before.users {
            if user.made.is_some() && !self.users.contains_key(id) {
                edited.remove(&user.data.user_name);
            }
        }
        let mut groups_of: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for (id, group) in &self.groups {
            for member in &group.data.members {
                groups_of.entry(member).or_default().push((id, &group.data.display_name));
            }
        }
        let mut all = Vec::new();
        for (id, user) in &self.users {
            let role = rules.role(groups_of.get(id.as_str()).map_or(&[], Vec::as_slice));
            let account = people.account(&user.data.user_name);
            match settled(rules, &user.data, role, (account, user.made.as_ref())) {
                Settled::Nothing => {}
                Settled::Foreign => tracing::warn!(
                    actor = user.data.user_name,
                    "an account was made by hand that the directory can't change: its role is not \
                     one that `[scim]` gives"
                ),
                Settled::Account(account, made) => all.push((id.clone(), account, made)),
            }
        }
        for (id, account, made) in all {
            let Some(user) = self.users.get_mut(&id) else { continue };
            user.made = Some(made);
            insert(&mut edited, &user.data.user_name, account)?;
        }
        Ok((edited != *people).then_some(edited))
    }
}

fn insert(people: &mut People, name: &str, account: Account) -> Result<(), ScimError> {
    if people.account(name) == Some(&account) {
        return Ok(());
    }
    people
        .insert(Actor::new(name), account)
        .map_err(|error| ScimError::new(Kind::Value, error.to_string()))
}

/// Somebody as they are shown: what was done by hand counts too.
fn shown(people: &People, user: &User, groups: &[(&str, &str)], base: &str) -> Value {
    let account = people.account(&user.data.user_name).filter(|_| user.made.is_some());
    let is_out = user.made.is_some() && !account.is_some_and(|account| account.active);
    let active = user.data.active && !is_out;
    let role = account.map(|account| &*account.role);
    user.to_json(Shown { base, active, role }, groups)
}

fn touch(modified: &mut Timestamp, is_other: bool, now: Timestamp) {
    if is_other {
        *modified = now;
    }
}

fn is_room(count: usize) -> Result<(), ScimError> {
    if count < RESOURCES_MAX {
        return Ok(());
    }
    Err(ScimError::new(Kind::TooMany, format!("there are {RESOURCES_MAX} already")))
}

/// Whether somebody of that name can be added.
fn check_new(rules: &Rules, state: &State, people: &People, name: &str) -> Result<(), ScimError> {
    let uniqueness = |detail: String| Err(ScimError::new(Kind::Uniqueness, detail));
    if state.users.values().any(|user| same_name(&user.data.user_name, name)) {
        return uniqueness(format!("there is a user `{name}` already"));
    }
    if let Some(account) = people.account(name) {
        if rules.may_give(&account.role) {
            return Ok(());
        }
        return uniqueness(format!(
            "there is an account `{name}` that was made by hand, with a role that the directory \
             can't give"
        ));
    }
    if people.iter().any(|(actor, _)| same_name(actor.as_str(), name)) {
        return uniqueness(format!("there is an account whose name differs from `{name}` by case"));
    }
    Ok(())
}

/// Whether a group can be so: its name is its own, its members are there.
fn check_group(state: &State, id: &str, data: &GroupData) -> Result<(), ScimError> {
    let name = &data.display_name;
    let mut others = state.groups.values().filter(|group| group.id != id);
    if others.any(|group| same_name(&group.data.display_name, name)) {
        let detail = format!("there is a group `{name}` already");
        return Err(ScimError::new(Kind::Uniqueness, detail));
    }
    match data.members.iter().find(|member| !state.users.contains_key(*member)) {
        None => Ok(()),
        Some(member) => {
            let shown: String = member.chars().take(100).collect();
            Err(ScimError::new(Kind::Value, format!("there is no user with the id `{shown}`")))
        }
    }
}

fn not_found(id: &str) -> ScimError {
    let shown: String = id.chars().take(100).collect();
    ScimError::new(Kind::NotFound, format!("there is nothing with the id `{shown}`"))
}

/// A random UUID (RFC 9562, version 4).
fn new_id() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let ranges = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts = ranges.map(|range| hex.get(range).unwrap_or_default().to_owned());
    parts.join("-")
}
