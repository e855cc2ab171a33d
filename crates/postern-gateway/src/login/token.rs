//! Who comes in by a signed token in place of a password.
//!
//! The token is sent as a password in clear, so that every client can do it; it is taken over TLS
//! and from this machine only. Whether somebody is asked for one is the client's to say, or the
//! configuration's, and hangs on no account.

use std::time::Duration;

use bytes::BytesMut;
use postern_model::Actor;
use postern_people::{EndUser, TokenError, Tokens};
use postern_wire::{Authentication, Frontend, SqlState, encode, password_text};

use super::{Door, Entered, LoginError, place, refused, start, wrong_password};

/// How long a log-in waits for keys that are fetched because it needs them.
const KEYS_AWAITED: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Door<'_> {
    /// Whether the client is asked for a token.
    pub(super) fn asks_for_token(
        &self,
        actor: &Actor,
        parameters: &[(String, String)],
    ) -> Result<bool, LoginError> {
        let said = start::by_token(parameters).map_err(|denied| self.denied(actor, &denied))?;
        let sign_in = self.core.regime.settings.sign_in.as_ref();
        let by_default = sign_in.is_some_and(|sign_in| sign_in.by_default);
        Ok(said.unwrap_or(by_default))
    }

    /// Who it is by a token, and whether they may come in.
    pub(super) async fn enter_by_token(
        &mut self,
        actor: Actor,
        parameters: &[(String, String)],
    ) -> Result<(Entered, start::Settings), LoginError> {
        let shared = self.shared;
        if !self.encrypted && !self.address.ip().is_loopback() {
            let message = "a token is taken over an encrypted connection only";
            return Err(refused(SqlState::INVALID_AUTHORIZATION, message));
        }
        let token = self.token().await?;
        // It may have taken long.
        self.core = self.seat.core();
        let place = place(self.address.ip());
        let attempt = shared.throttle().attempt(actor.as_str(), &place);
        let now = shared.clock.now();
        if shared.throttle().standing(attempt, now) == postern_people::Standing::Throttled {
            return Err(wrong_password(&actor));
        }
        let Some(sign_in) = self.core.regime.settings.sign_in.clone() else {
            self.no_entry(&actor, attempt, "a token, and none are taken");
            return Err(not_accepted("this gateway takes none"));
        };
        let named = match self.named(&sign_in.tokens, &token).await {
            Ok(named) => named,
            Err(error @ (TokenError::NoKeys | TokenError::OldKeys)) => {
                // It is not the client's fault, and nobody is locked out for it.
                self.note_refused(&actor, &format!("a token: {error}"));
                return Err(not_accepted(&error.to_string()));
            }
            Err(error) => {
                self.no_entry(&actor, attempt, &format!("a token: {error}"));
                return Err(not_accepted(&error.to_string()));
            }
        };
        if named.account != actor.as_str() {
            self.no_entry(&actor, attempt, "a token of another account");
            return Err(not_accepted("it names another account than the user name"));
        }
        // Which of the reasons it is would tell who has an account.
        let (role_name, role) = match shared.admitted(&self.core.regime, &actor) {
            Ok(admitted) => admitted,
            Err(why) => return Err(self.no_entry(&actor, attempt, why)),
        };
        let admitted = shared.replays().admit(&token, &place, (now, named.until));
        if let Err(replayed) = admitted {
            self.no_entry(&actor, attempt, &format!("a token: {replayed}"));
            return Err(not_accepted(&replayed.to_string()));
        }
        shared.throttle().succeeded(attempt);
        let settings = self.settings(&actor, role.kind, parameters)?;
        Ok(((actor, role_name, role), settings))
    }

    async fn token(&mut self) -> Result<String, LoginError> {
        use tokio::io::AsyncWriteExt as _;
        let mut out = BytesMut::new();
        encode::authentication(&mut out, &Authentication::CleartextPassword)?;
        self.stream.write_all(&out).await?;
        let frame = self.frame().await?;
        let Frontend::Password(body) = Frontend::parse(&frame)? else {
            return Err(refused(SqlState::PROTOCOL_VIOLATION, "expected a password"));
        };
        Ok(password_text(body)?.to_owned())
    }

    /// Whom it names. Where it is by a key that is not known, and keys are fetched, they are looked
    /// at once more when they have been.
    async fn named(&self, tokens: &Tokens, token: &str) -> Result<EndUser, TokenError> {
        let clock = &self.shared.clock;
        let attempts = tokens.to_fetch().map(|keys| keys.attempts());
        let named = tokens.check(token, clock.now());
        let (Some(keys), Some(attempts), Err(TokenError::UnknownKey)) =
            (tokens.to_fetch(), attempts, &named)
        else {
            return named;
        };
        let fetched = async {
            while keys.attempts() == attempts {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        // If they don't come the answer is the same.
        let _ = tokio::time::timeout(KEYS_AWAITED, fetched).await;
        tokens.check(token, clock.now())
    }
}

fn not_accepted(why: &str) -> LoginError {
    let message = format!("the token is not accepted: {why}");
    refused(SqlState::INVALID_AUTHORIZATION, &message)
}
