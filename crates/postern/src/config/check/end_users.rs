//! `[end_users]`: whose tokens an application names its end users by.

use std::{fs, sync::Arc};

use postern_people::{TokenRules, Tokens};

use super::Checker;
use crate::config::{
    file::EndUsersFile,
    place::Place,
    settings::{Role, RoleKind},
};

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
        self.not_empty(&place.key("issuer"), "issuer", &file.issuer);
        self.not_empty(&place.key("audience"), "audience", &file.audience);
        self.not_empty(&place.key("account"), "account", &file.account);
        if TAKEN.contains(&file.account.as_str()) {
            self.wrong(
                &place.key("account"),
                format!("`{}` says something else and names no account", file.account),
                "name another claim, e.g. `sub`",
            );
        }
        let rules = TokenRules {
            longest: self.duration(&place.key("longest"), &file.longest),
            leeway: self.duration(&place.key("leeway"), &file.leeway),
            issuer: file.issuer,
            audience: file.audience,
            account: file.account,
        };
        let at = place.key("keys");
        let path = self.folder.join(&file.keys);
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
}
