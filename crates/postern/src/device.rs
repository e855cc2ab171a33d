//! The device flow (RFC 8628): a token for a program without a browser, by a code that the person
//! types into one elsewhere.
//!
//! The provider's answers come from outside and go to a terminal and into files: what is not as
//! long, as printable and as encrypted as it has to be is refused. Whether a token counts is the
//! gateway's to say; it is only read here.

use std::{thread, time::Duration};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use postern_model::{Clock as _, Secret, Timestamp};
use serde_json::Value;

use crate::clock::SystemClock;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A longer answer is none.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// A longer token does not fit through a gateway's door.
const TOKEN_BYTES_MAX: usize = 14 * 1024;
/// A longer code or address is none that a person types.
const SHOWN_CHARACTERS_MAX: usize = 512;

/// How often is asked, unless the provider says it.
const INTERVAL: Duration = Duration::from_secs(5);
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// What `slow_down` adds (RFC 8628, 3.5).
const SLOWER_BY: Duration = Duration::from_secs(5);
/// How long is waited at most, whatever the provider says.
const LONGEST: Duration = Duration::from_secs(1_800);
/// How many answers in a row may be missing.
const MISSING_MAX: u32 = 5;

/// Who is asked for a token.
#[derive(Debug)]
pub(crate) struct Provider<'a> {
    pub(crate) agent: &'a ureq::Agent,
    /// As its metadata and its tokens name it.
    pub(crate) issuer: &'a str,
    pub(crate) client: &'a str,
    pub(crate) scope: &'a str,
}

/// Where the provider is asked (OpenID Connect Discovery 1.0, RFC 8414).
struct Endpoints {
    device: String,
    token: String,
}

/// What the person has to do, and how long there is for it.
struct Started {
    device_code: Secret<String>,
    /// Where to go, and what to type there.
    address: String,
    user_code: String,
    lasts: Duration,
    interval: Duration,
}

/// What became of one question.
enum Asked {
    Granted(Value),
    Pending,
    SlowDown,
}

/// A token that the provider has given, with what it says of itself.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) token: Secret<String>,
    /// Its claims. Nobody has checked the signature.
    pub(crate) claims: Value,
    pub(crate) until: Timestamp,
}

impl Provider<'_> {
    /// Asks for a token: `show` tells the person where to go and what to type there, then is
    /// waited until they have. `name` is what the token is called in the answer.
    pub(crate) fn grant(
        &self,
        name: &str,
        show: impl Fn(&str, &str) -> anyhow::Result<()>,
    ) -> anyhow::Result<Granted> {
        let endpoints = self.endpoints()?;
        let started = self.begin(&endpoints)?;
        show(&started.address, &started.user_code)?;
        let answer = self.wait(&endpoints, &started)?;
        let token = text(&answer, name, TOKEN_BYTES_MAX)
            .with_context(|| format!("`{}` grants no `{name}`", self.issuer))?;
        self.read(&token)
    }

    fn endpoints(&self) -> anyhow::Result<Endpoints> {
        let issuer = self.issuer.trim_end_matches('/');
        safe(issuer).context("the issuer can't be asked")?;
        let url = format!("{issuer}/.well-known/openid-configuration");
        let (status, metadata) = answer(self.agent.get(&url).call(), &url)?;
        ensure!(status == 200, "`{url}` answers with {status}");
        let said = metadata.get("issuer").and_then(Value::as_str).unwrap_or_default();
        ensure!(
            said == self.issuer,
            "`{url}` speaks for another issuer; what it says is not believed"
        );
        let endpoint = |name: &str| {
            let endpoint = text(&metadata, name, 2_048);
            let endpoint = endpoint.with_context(|| format!("`{issuer}` has no `{name}`"))?;
            safe(&endpoint).with_context(|| format!("the `{name}` of `{issuer}` is not used"))?;
            anyhow::Ok(endpoint)
        };
        Ok(Endpoints {
            device: endpoint("device_authorization_endpoint")?,
            token: endpoint("token_endpoint")?,
        })
    }

    fn begin(&self, endpoints: &Endpoints) -> anyhow::Result<Started> {
        let form = [("client_id", self.client), ("scope", self.scope)];
        let url = &endpoints.device;
        let (status, said) = answer(self.agent.post(url).send_form(form), url)?;
        if status != 200 {
            let error = text(&said, "error", 100).unwrap_or_default();
            bail!("`{}` begins no log-in: {status} {error}", self.issuer);
        }
        let part = |name: &str| {
            let part = text(&said, name, SHOWN_CHARACTERS_MAX);
            part.with_context(|| format!("`{}` names no usable `{name}`", self.issuer))
        };
        let address = part("verification_uri")?;
        safe(&address).context("where the log-in is to be confirmed is not a safe address")?;
        let whole = part("verification_uri_complete").ok().filter(|whole| safe(whole).is_ok());
        let seconds = |name: &str| said.get(name).and_then(Value::as_u64).map(Duration::from_secs);
        let lasts = seconds("expires_in").context("it is not said how long there is for it")?;
        let interval = seconds("interval").unwrap_or(INTERVAL);
        Ok(Started {
            device_code: Secret::new(
                text(&said, "device_code", 4_096)
                    .with_context(|| format!("`{}` names no usable `device_code`", self.issuer))?,
            ),
            address: whole.unwrap_or(address),
            user_code: part("user_code")?,
            lasts: lasts.min(LONGEST),
            interval: interval.clamp(Duration::from_secs(1), INTERVAL_MAX),
        })
    }

    /// Asks until there is a token, or there won't be one.
    fn wait(&self, endpoints: &Endpoints, started: &Started) -> anyhow::Result<Value> {
        let until = SystemClock.now().after(started.lasts);
        let (mut interval, mut missing) = (started.interval, 0);
        loop {
            ensure!(
                SystemClock.now().after(interval) <= until,
                "the code was not used in time; run it again"
            );
            thread::sleep(interval);
            match self.ask(&endpoints.token, started.device_code.expose()) {
                Ok(Asked::Granted(answer)) => return Ok(answer),
                Ok(Asked::Pending) => missing = 0,
                Ok(Asked::SlowDown) => {
                    missing = 0;
                    interval = (interval + SLOWER_BY).min(INTERVAL_MAX);
                }
                // A connection that fails is tried again, more slowly (RFC 8628, 3.5).
                Err(error) if error.is::<ureq::Error>() && missing < MISSING_MAX => {
                    missing += 1;
                    interval = (interval * 2).min(INTERVAL_MAX);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn ask(&self, url: &str, device_code: &str) -> anyhow::Result<Asked> {
        let form =
            [("grant_type", GRANT), ("device_code", device_code), ("client_id", self.client)];
        let (status, said) = answer(self.agent.post(url).send_form(form), url)?;
        if status == 200 {
            return Ok(Asked::Granted(said));
        }
        match text(&said, "error", 100).as_deref() {
            Some("authorization_pending") => Ok(Asked::Pending),
            Some("slow_down") => Ok(Asked::SlowDown),
            Some("access_denied") => bail!("the log-in was refused"),
            Some("expired_token") => bail!("the code was not used in time; run it again"),
            Some(error) => bail!("`{}` gives no token: {error}", self.issuer),
            None => bail!("`{}` gives no token: it answers with {status}", self.issuer),
        }
    }

    /// Reads what the token says of itself, and refuses one that can't be what was asked for.
    fn read(&self, token: &str) -> anyhow::Result<Granted> {
        let parts: Vec<&str> = token.split('.').collect();
        let [_, claims, _] = parts[..] else { bail!("the token is not a signed one (JWT)") };
        let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        ensure!(token.chars().all(is_safe), "the token is not a signed one (JWT)");
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok();
        let claims = claims.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let claims = claims.context("what the token says can't be read")?;
        let issuer = claims.get("iss").and_then(Value::as_str);
        ensure!(issuer == Some(self.issuer), "the token is by another issuer");
        let until = claims.get("exp").and_then(Value::as_i64).unwrap_or(0);
        let until = Timestamp(until.saturating_mul(1_000_000));
        ensure!(until > SystemClock.now(), "the token has expired already");
        Ok(Granted { token: Secret::new(token.to_owned()), claims, until })
    }
}

/// Only what is encrypted, or stays on this machine.
fn safe(url: &str) -> anyhow::Result<()> {
    let rest = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => rest,
        (None, Some(rest)) => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            ensure!(
                matches!(host, "127.0.0.1" | "[::1]" | "localhost"),
                "`{url}` is neither encrypted nor on this machine"
            );
            rest
        }
        (None, None) => bail!("it is no address that begins with https://"),
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ensure!(!host.is_empty() && !host.contains('@'), "its host can't be told");
    Ok(())
}

/// A text of that name of at most so many characters, all of them printable.
fn text(said: &Value, name: &str, max: usize) -> Option<String> {
    let text = said.get(name)?.as_str()?;
    let is_short = !text.is_empty() && text.len() <= max;
    (is_short && text.chars().all(|c| c.is_ascii_graphic())).then(|| text.to_owned())
}

/// The status and what is said.
fn answer(
    reply: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    url: &str,
) -> anyhow::Result<(u16, Value)> {
    let mut reply = match reply {
        Ok(reply) => reply,
        // Kept as it is: whether it is tried again hangs on it.
        Err(error) => return Err(anyhow::Error::new(error)),
    };
    let status = reply.status().as_u16();
    let text = reply.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    let text = text.with_context(|| format!("the answer of `{url}` is too long, or broke off"))?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}
