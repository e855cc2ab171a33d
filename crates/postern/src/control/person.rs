//! Who somebody is, by what the system says. Neither the environment nor the peer's own word is
//! asked: anybody can set them.

use std::{fs, io, os::fd::AsFd};

/// What `loginuid` says where nobody has logged in, as in most containers.
const NO_LOGIN: u32 = u32::MAX;

/// Who runs this process.
pub(crate) fn os_user() -> String {
    name_of(logged_in("self").unwrap_or_else(|| rustix::process::getuid().as_raw()))
}

/// Who runs the process at the other end of a Unix socket.
pub(crate) fn peer(stream: impl AsFd) -> io::Result<String> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    let process = peer.pid.as_raw_nonzero().to_string();
    Ok(name_of(logged_in(&process).unwrap_or_else(|| peer.uid.as_raw())))
}

/// The user who logged in to the session that a process belongs to. It stays the same through
/// `sudo` and `su`, so that two people are told from each other who both work as one account.
fn logged_in(process: &str) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|number| *number != NO_LOGIN)
}

/// The name that the system has for a user's number.
fn name_of(number: u32) -> String {
    let number = number.to_string();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid) = (fields.next()?, fields.next()?, fields.next()?);
        (uid == number).then(|| name.to_owned())
    });
    name.unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_other_end_is_who_the_system_says() {
        let (one, other) = UnixStream::pair().unwrap();
        assert_eq!(peer(&one).unwrap(), os_user());
        assert_eq!(peer(&other).unwrap(), os_user());
        assert_ne!(os_user(), "");
    }

    #[test]
    fn a_number_without_a_name_stands_for_itself() {
        assert_eq!(name_of(0), "root");
        assert_eq!(name_of(4_123_456_789), "4123456789");
    }
}
