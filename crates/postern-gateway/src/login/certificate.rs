//! Who comes in by a certificate in place of a password.

use postern_model::Actor;
use postern_people::Standing;
use postern_wire::SqlState;

use super::{Door, Entered, LoginError, place, refused, start};
use crate::certificate::Certified;

impl Door<'_> {
    /// What the client's certificate is good for. A failure is told as PostgreSQL does, whatever
    /// it is about.
    pub(super) fn certified(&self, actor: &Actor) -> Result<Certified, LoginError> {
        let Some(rules) = &self.core.regime.settings.certificates else {
            return Ok(Certified::Absent);
        };
        let (shared, now) = (self.shared, self.shared.clock.now());
        let attempt = shared.throttle().attempt(actor.as_str(), &place(self.address.ip()));
        let checked = rules.check(&self.shown, actor.as_str(), now);
        checked.map_err(|why| {
            if shared.throttle().standing(attempt, now) == Standing::Free {
                self.no_entry(actor, attempt, why);
            }
            not_certified(actor)
        })
    }

    /// Lets in whose certificate was good, if they may come in.
    pub(super) fn enter_by_certificate(
        &mut self,
        actor: Actor,
        parameters: &[(String, String)],
    ) -> Result<(Entered, start::Settings), LoginError> {
        let shared = self.shared;
        let attempt = shared.throttle().attempt(actor.as_str(), &place(self.address.ip()));
        let (role_name, role) = match shared.admitted(&self.core.regime, &actor) {
            Ok(admitted) => admitted,
            Err(why) => {
                self.no_entry(&actor, attempt, why);
                return Err(not_certified(&actor));
            }
        };
        shared.throttle().succeeded(attempt);
        let settings = self.settings(&actor, role.kind, parameters)?;
        Ok(((actor, role_name, role), settings))
    }
}

/// Every failure by a certificate says the same, whatever failed.
fn not_certified(actor: &Actor) -> LoginError {
    let message = format!("certificate authentication failed for user \"{actor}\"");
    refused(SqlState::INVALID_AUTHORIZATION, &message)
}
