//! A credential for a while: a token of the identity provider's, where libpq finds it.
//!
//! The service file says where the gateway is and who it is that comes; the token stands in a
//! passfile of its own that only its owner may read. The rest of the service file is left as it is.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    cli::{LoginArgs, TokenKind},
    device::{Granted, Provider},
    files, https,
    ui::{self, Outcome},
};

pub(crate) fn run(args: LoginArgs) -> anyhow::Result<Outcome> {
    let places = Places::of(&args)?;
    let trusted = match fs::read(&args.ca) {
        Ok(trusted) => trusted,
        // What is asked on this machine needs none, and all else is refused without.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("can't read `{}`", args.ca.display()));
        }
    };
    let agent =
        https::agent(&trusted).with_context(|| format!("`{}` can't be used", args.ca.display()))?;
    let (issuer, client, scope) = (&args.issuer, &args.client_id, &args.scope);
    let provider = Provider { agent: &agent, issuer, client, scope };
    let name = match args.token {
        TokenKind::Id => "id_token",
        TokenKind::Access => "access_token",
    };
    let granted = provider.grant(name, |address, code| {
        Ok(ui::result(format!("open {address} and type the code {code}"))?)
    })?;
    let account = account(&args, &granted)?;
    places.keep(&args, &account, granted.token.expose())?;
    let (service, until) = (&args.service, granted.until);
    ui::result(format!("{account} can log in until {until}: psql service={service}"))?;
    Ok(Outcome::Yes)
}

/// Whom the token names, if that can stand in the files.
fn account(args: &LoginArgs, granted: &Granted) -> anyhow::Result<String> {
    let claim = &args.account;
    let named = granted.claims.get(claim).and_then(Value::as_str);
    let named = named.with_context(|| format!("the token has no `{claim}` that names anybody"))?;
    line(&format!("`{claim}` of the token"), named)?;
    Ok(named.to_owned())
}

/// A value that stands in a line of its own in a service file, and comes back as it was.
fn line(what: &str, value: &str) -> anyhow::Result<()> {
    let is_line = !value.is_empty()
        && value.len() <= 255
        && value.trim() == value
        && !value.chars().any(char::is_control);
    ensure!(is_line, "{what} can't stand in a service file");
    Ok(())
}

/// The files that are written.
struct Places {
    service_file: PathBuf,
    passfile: PathBuf,
}

impl Places {
    fn of(args: &LoginArgs) -> anyhow::Result<Self> {
        let LoginArgs { host, dbname, sslmode, service, .. } = args;
        for (what, value) in
            [("the host", host), ("the database", dbname), ("the sslmode", sslmode)]
        {
            line(what, value)?;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        ensure!(
            !service.is_empty() && service.chars().all(is_name) && !service.starts_with('.'),
            "`{service}` is no name of a service; use letters, digits, - and _"
        );
        let home = || env::home_dir().context("there is no home folder; name the files");
        let service_file = match (&args.service_file, env::var_os("PGSERVICEFILE")) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => path.into(),
            (None, None) => home()?.join(".pg_service.conf"),
        };
        let passfile = match &args.passfile {
            Some(path) => path.clone(),
            None => home()?.join(".postern").join(format!("{service}.pgpass")),
        };
        let places = Self {
            service_file: std::path::absolute(service_file)?,
            passfile: std::path::absolute(passfile)?,
        };
        for path in [&places.service_file, &places.passfile] {
            line("the place of a file", path.to_str().context("a place is no text")?)?;
        }
        Ok(places)
    }

    /// The token first: a service without one only asks for a password.
    fn keep(&self, args: &LoginArgs, account: &str, token: &str) -> anyhow::Result<()> {
        let Self { service_file, passfile } = self;
        if let Some(folder) = passfile.parent() {
            files::private_folder(folder)
                .with_context(|| format!("can't make `{}`", folder.display()))?;
        }
        let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
        let (host, port, database) = (escaped(&args.host), args.port, escaped(&args.dbname));
        let pass = format!("{host}:{port}:{database}:{}:{token}\n", escaped(account));
        files::replace_private(passfile, &pass)
            .with_context(|| format!("can't write `{}`", passfile.display()))?;
        let before = match fs::read_to_string(service_file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let what = format!("can't read `{}`", service_file.display());
                return Err(error).context(what);
            }
        };
        let after = with_section(&before, &args.service, &section(args, account, passfile));
        if after != before {
            files::replace_private(service_file, &after)
                .with_context(|| format!("can't write `{}`", service_file.display()))?;
        }
        Ok(())
    }
}

/// The lines of the service.
fn section(args: &LoginArgs, account: &str, passfile: &Path) -> String {
    let LoginArgs { host, port, dbname, sslmode, service, .. } = args;
    let mut text = format!(
        "[{service}]\nhost={host}\nport={port}\ndbname={dbname}\nuser={account}\n\
         passfile={}\nsslmode={sslmode}\n",
        passfile.display()
    );
    if let Some(root) = &args.sslrootcert {
        text += &format!("sslrootcert={}\n", root.display());
    }
    text + "options=-c postern.sign_in=token\n"
}

/// The service file with that section in place of the one of its name, or behind all others.
fn with_section(file: &str, service: &str, section: &str) -> String {
    let header = format!("[{service}]");
    let (mut before, mut after, mut is_in, mut was_in) =
        (String::new(), String::new(), false, false);
    for line in file.lines() {
        if line.trim_start().starts_with('[') {
            is_in = line.trim() == header;
            was_in |= is_in;
        }
        if is_in {
            continue;
        }
        let side = if was_in { &mut after } else { &mut before };
        side.push_str(line);
        side.push('\n');
    }
    format!("{before}{section}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_section_of_a_service_file_is_changed() {
        let check = |file: &str, expected: &str| {
            let after = with_section(file, "postern", "[postern]\nnew\n");
            assert_eq!(after, expected);
            assert_eq!(with_section(&after, "postern", "[postern]\nnew\n"), expected);
        };
        check("", "[postern]\nnew\n");
        check("# mine\n[a]\nhost=x", "# mine\n[a]\nhost=x\n[postern]\nnew\n");
        check("[a]\nx=1\n[postern]\nold\nold\n[b]\ny=2\n", "[a]\nx=1\n[postern]\nnew\n[b]\ny=2\n");
        check("[postern]\nold\n [postern] \nolder\n", "[postern]\nnew\n");
    }

    #[test]
    fn what_would_be_another_line_is_refused() {
        for value in ["", " a", "a ", "a\nhost=b", "a\r", &"x".repeat(300)] {
            assert!(line("it", value).is_err(), "{value:?}");
        }
        assert!(line("it", "eva@example.org").is_ok());
    }
}
