//! The account that a server runs under: PostgreSQL refuses to run as root.

use std::{fs, io};

/// System accounts to run under when started by root, the preferred one first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// There is no account to run PostgreSQL under.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("cannot read the accounts of this machine from `/etc/passwd`")]
    Unreadable(#[source] io::Error),
    #[error(
        "postgresql refuses to run as root and `/etc/passwd` has neither `postgres` nor `nobody`; \
         make one of them, or start this as another account"
    )]
    Missing,
}

/// An unprivileged account of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The account to change to, or `None` when this process is unprivileged already.
pub(crate) fn unprivileged() -> Result<Option<Account>, AccountError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(AccountError::Unreadable)?;
    let account = CANDIDATES.into_iter().find_map(|name| find(&passwd, name));
    account.map(Some).ok_or(AccountError::Missing)
}

/// Finds `name` in the text of a passwd(5) file; uid 0 doesn't count.
fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then_some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::{Account, find};

    fn check(passwd: &str, expected: Option<Account>) {
        assert_eq!(find(passwd, "postgres"), expected, "{passwd}");
    }

    #[test]
    fn finds_only_an_unprivileged_account_of_that_name() {
        check("root:x:0:0:::\npostgres:x:101:104::/:/bin/sh", Some(Account { uid: 101, gid: 104 }));
        check("postgres2:x:101:104::/:/bin/sh", None);
        check("postgres:x:0:0::/:/bin/sh", None);
        check("postgres:x:", None);
        check("", None);
    }
}
