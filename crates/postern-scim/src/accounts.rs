//! How what the directory says becomes an account, beside what is done by hand.
//!
//! The directory decides what it speaks of; what it has not changed stays as somebody made it by
//! hand. Two things are never given back by it: an end that was set by hand stays, and whoever it
//! says is not active is out whatever was done by hand before.

use postern_people::{Account, Date};

use crate::resource::UserData;

#[cfg(test)]
mod tests;

/// What the directory's words mean here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Groups by their names, with the role that each gives; the first that somebody is in counts.
    pub groups: Vec<(String, String)>,
    /// The role of who is in none of them; `None`: they have no account.
    pub role: Option<String>,
    /// The employer of whom the directory says none of.
    pub employer: String,
}

/// What the directory has made of an account last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    /// The role that it gave; `None` as long as the account has one that was given by hand.
    pub(crate) role: Option<String>,
    pub(crate) employer: Option<String>,
    pub(crate) ends: Option<Date>,
    pub(crate) active: bool,
}

/// What becomes of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// There is none, and there is to be none.
    Nothing,
    /// There is one that the directory may not change: it has a role that it could not give.
    Foreign,
    Account(Account, Made),
}

impl Rules {
    /// The role of who is in those groups.
    pub(crate) fn role(&self, groups: &[(&str, &str)]) -> Option<&str> {
        let is_in = |name: &str| groups.iter().any(|(_, group)| same_name(group, name));
        let given = self.groups.iter().find(|(group, _)| is_in(group)).map(|(_, role)| role);
        given.or(self.role.as_ref()).map(String::as_str)
    }

    /// Whether the directory may give that role, and so have a say over who has it.
    pub(crate) fn may_give(&self, role: &str) -> bool {
        let given = self.groups.iter().map(|(_, role)| role).chain(&self.role);
        given.into_iter().any(|given| given == role)
    }
}

/// Names differ by more than case.
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// What becomes of somebody's account, given the one that there is, what was made of it last, and
/// the role that their groups give.
pub(crate) fn settled(
    rules: &Rules,
    user: &UserData,
    role: Option<&str>,
    (account, made): (Option<&Account>, Option<&Made>),
) -> Settled {
    let Some(account) = account else {
        let Some(role) = role else { return Settled::Nothing };
        let account = Account {
            role: role.into(),
            employer: user.employer.as_ref().unwrap_or(&rules.employer).as_str().into(),
            verifier: None,
            ends: user.last_day,
            active: user.active,
        };
        let made = Made {
            role: Some(role.to_owned()),
            employer: user.employer.clone(),
            ends: user.last_day,
            active: user.active,
        };
        return Settled::Account(account, made);
    };
    let found = Made { role: None, employer: None, ends: None, active: true };
    let made = match made {
        Some(made) => made,
        None if rules.may_give(&account.role) => &found,
        None => return Settled::Foreign,
    };
    let mut account = account.clone();
    if let Some(role) = role.filter(|role| made.role.as_deref() != Some(role)) {
        account.role = role.into();
    }
    if user.employer != made.employer {
        account.employer = user.employer.as_ref().unwrap_or(&rules.employer).as_str().into();
    }
    let mut ends = made.ends;
    if user.last_day != made.ends {
        // An end that was set by hand is not put off.
        let by_hand = account.ends.filter(|_| account.ends != made.ends);
        account.ends = [user.last_day, by_hand].into_iter().flatten().min();
        ends = user.last_day.filter(|_| account.ends != by_hand);
    }
    // Who has lost the role that a group gave has none to work by.
    let active = user.active && (role.is_some() || made.role.is_none());
    if !active {
        account.active = false;
    } else if !made.active {
        account.active = true;
    }
    let made = Made {
        role: role.map(str::to_owned).or_else(|| made.role.clone()),
        employer: user.employer.clone(),
        ends,
        active,
    };
    Settled::Account(account, made)
}
