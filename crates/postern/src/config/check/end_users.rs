//! `[end_users]` and `[sign_in]`: whose tokens an application names its end users by, and people
//! log in with.

use std::{fs, sync::Arc, time::Duration};

use postern_people::{FetchedKeys, KeySource, TokenRules, Tokens};

use super::Checker;
use crate::config::{
    file::{EndUsersFile, SignInFile},
    place::Place,
    settings::{Role, RoleKind, SignIn},
};

/// An issuer is not asked more often.
const REFRESH_MIN: Duration = Duration::from_secs(10);

/// Addresses of this machine.
const LOCAL: [&str; 3] = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];

/// Claims that are looked at anyway and name nobody.
const TAKEN: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

impl Checker<'_> {
    pub(super) fn end_users(
        &mut self,
        file: Option<EndUsersFile>,
        roles: &[Role],
    ) -> Option<Arc<Tokens>> {
        let place = Place::section("end_users");
        let speaks = roles.iter().find(|role| role.kind == RoleKind::Application);
        let Some(file) = file else {
            if let Some(role) = speaks {
                self.wrong(
                    &Place::section("roles").key(&role.name).key("kind"),
                    format!("nothing says by whose tokens `{}` names its end users", role.name),
                    "add `[end_users]` with `issuer`, `audience` and `keys`",
                );
            }
            return None;
        };
        if speaks.is_none() {
            self.warn(
                &place,
                "no role is an application, so nobody names end users",
                "give a role `kind = \"application\"`, or leave the section out",
            );
        }
        self.tokens(
            &place,
            Parts {
                issuer: file.issuer,
                audience: file.audience,
                account: file.account,
                longest: file.longest,
                leeway: file.leeway,
                keys: file.keys,
                keys_ca: file.keys_ca,
                keys_refresh: file.keys_refresh,
                keys_grace: file.keys_grace,
            },
        )
    }

    pub(super) fn sign_in(&mut self, file: SignInFile) -> Option<SignIn> {
        let parts = Parts {
            issuer: file.issuer,
            audience: file.audience,
            account: file.account,
            longest: file.longest,
            leeway: file.leeway,
            keys: file.keys,
            keys_ca: file.keys_ca,
            keys_refresh: file.keys_refresh,
            keys_grace: file.keys_grace,
        };
        let tokens = self.tokens(&Place::section("sign_in"), parts)?;
        Some(SignIn { tokens, ask: file.ask })
    }

    fn tokens(&mut self, place: &Place, parts: Parts) -> Option<Arc<Tokens>> {
        self.not_empty(&place.key("issuer"), "issuer", &parts.issuer);
        self.not_empty(&place.key("audience"), "audience", &parts.audience);
        self.not_empty(&place.key("account"), "account", &parts.account);
        if TAKEN.contains(&parts.account.as_str()) {
            self.wrong(
                &place.key("account"),
                format!("`{}` says something else and names no account", parts.account),
                "name another claim, e.g. `sub`",
            );
        }
        let refresh = self.duration(&place.key("keys_refresh"), &parts.keys_refresh);
        let grace = self.duration(&place.key("keys_grace"), &parts.keys_grace);
        let rules = TokenRules {
            longest: self.duration(&place.key("longest"), &parts.longest),
            leeway: self.duration(&place.key("leeway"), &parts.leeway),
            issuer: parts.issuer,
            audience: parts.audience,
            account: parts.account,
        };
        let at = place.key("keys");
        if parts.keys.contains("://") {
            let times = (refresh, grace);
            let source = self.key_source(place, (parts.keys, parts.keys_ca), times)?;
            return Some(Arc::new(Tokens::fetched(rules, Arc::new(FetchedKeys::new(source)))));
        }
        if parts.keys_ca.is_some() {
            self.wrong(
                &place.key("keys_ca"),
                "`keys_ca` has no effect where the keys are in a file",
                "leave it out, or give the address of the issuer's keys",
            );
        }
        let path = self.folder.join(&parts.keys);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                self.wrong(
                    &at,
                    format!("can't read `{}`: {error}", path.display()),
                    "make the file, or let the account that runs Postern read it; relative paths \
                     start at the configuration's folder",
                );
                return None;
            }
        };
        match Tokens::new(rules, &text) {
            Ok(tokens) => Some(Arc::new(tokens)),
            Err(error) => {
                self.wrong(
                    &at,
                    format!("`{}` is of no use: {error}", path.display()),
                    "take the key set that the issuer publishes, at its `jwks_uri`",
                );
                None
            }
        }
    }

    /// Keys that are fetched. Without TLS whoever is between could give others: that is for this
    /// machine only.
    fn key_source(
        &mut self,
        place: &Place,
        (url, ca): (String, Option<String>),
        (refresh, grace): (Duration, Duration),
    ) -> Option<KeySource> {
        let at = place.key("keys");
        let is_local = LOCAL.iter().any(|local| url.starts_with(local));
        let encrypted = url.starts_with("https://");
        if !encrypted && !is_local {
            self.wrong(
                &at,
                format!("`{url}` can't be trusted: whoever is between could give other keys"),
                "give an address that begins with `https://`, or a file",
            );
            return None;
        }
        if refresh < REFRESH_MIN {
            self.wrong(
                &place.key("keys_refresh"),
                "the issuer would be asked all the time",
                "write at least `10s`",
            );
        }
        if grace < refresh {
            self.wrong(
                &place.key("keys_grace"),
                "keys would not count for as long as until they are fetched again",
                "write at least as much as `keys_refresh`",
            );
        }
        let trusted = match (encrypted, ca) {
            (false, None) => Vec::new(),
            (false, Some(_)) => {
                self.wrong(
                    &place.key("keys_ca"),
                    "`keys_ca` has no effect without TLS",
                    "leave it out, or give an address that begins with `https://`",
                );
                return None;
            }
            (true, None) => {
                self.wrong(
                    &at,
                    format!("it is not said whom to trust to be `{url}`"),
                    "give `keys_ca`, a PEM file with the certificate authority's certificates",
                );
                return None;
            }
            (true, Some(path)) => self.read(&place.key("keys_ca"), &path)?.into_bytes(),
        };
        Some(KeySource { url, trusted, refresh, grace })
    }
}

/// What both sections say of tokens.
struct Parts {
    issuer: String,
    audience: String,
    account: String,
    longest: String,
    leeway: String,
    keys: String,
    keys_ca: Option<String>,
    keys_refresh: String,
    keys_grace: String,
}
