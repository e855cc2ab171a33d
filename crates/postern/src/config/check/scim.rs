//! `[scim]`: what a directory may say, and what becomes of it.

use postern_scim::Rules;

use super::Checker;
use crate::config::{
    file::{ScimFile, ScimGroupFile},
    place::Place,
    settings::{Role, RoleKind, Scim},
};

impl Checker<'_> {
    pub(super) fn scim(&mut self, file: ScimFile, roles: &[Role]) -> Scim {
        let place = Place::section("scim");
        let encrypted = file.tls_certificate.is_some() || file.tls_key.is_some();
        let listen = self.listen(&place.key("listen"), &file.listen, encrypted);
        let tls = self.server_tls(&place, file.tls_certificate, file.tls_key);
        self.not_empty(&place.key("employer"), "employer", &file.employer);
        if let Some(role) = &file.role {
            self.given(&place.key("role"), role, roles);
        }
        if file.role.is_none() && file.groups.is_empty() {
            self.warn(
                &place,
                "the directory gives nobody a role, so nobody gets an account by it",
                "add `[[scim.groups]]` with `name` and `role`, or `role` for everybody",
            );
        }
        let mut groups: Vec<(String, String)> = Vec::new();
        for (index, ScimGroupFile { name, role }) in file.groups.into_iter().enumerate() {
            let place = place.key("groups").index(index);
            self.not_empty(&place.key("name"), "name", &name);
            self.given(&place.key("role"), &role, roles);
            if groups.iter().any(|(known, _)| known.to_lowercase() == name.to_lowercase()) {
                let message = format!("the group `{name}` gives two roles");
                self.wrong(&place.key("name"), message, "keep one of them");
            }
            groups.push((name, role));
        }
        let rules = Rules { groups, role: file.role, employer: file.employer };
        Scim { listen, tls, rules }
    }

    /// Whether the role is one that a directory can give.
    fn given(&mut self, place: &Place, name: &str, roles: &[Role]) {
        let names: Vec<&str> = roles.iter().map(|role| role.name.as_ref()).collect();
        match roles.iter().find(|role| &*role.name == name) {
            None => self.wrong(
                place,
                format!("there is no role `{name}`"),
                format!("add `[roles.{name}]`, or name one of: {}", names.join(", ")),
            ),
            Some(role) if role.kind == RoleKind::Application => self.wrong(
                place,
                format!("`{name}` is for applications, and a directory tells of people"),
                "add applications with `postern person add`",
            ),
            Some(_) => {}
        }
    }
}
