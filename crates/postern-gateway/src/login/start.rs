//! What a client asks for in its start-up message, and what of it the server is told.

use postern_session::Kind;
use postern_sql::Setting;

/// Settings by name and value, in the order in which they are made.
pub(super) type Settings = Vec<(String, String)>;

/// A start-up parameter that can't be set to this.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied {
    /// The parameter's name, or the setting's in `options`.
    pub(super) name: String,
    pub(super) hint: String,
}

/// The settings that the server is to start the session with, of the parameters that a client
/// sent. Whoever is judged may ask for what SET would allow them; what the gateway has fixed
/// already is left out.
pub(super) fn settings(
    parameters: &[(String, String)],
    kind: Kind,
    search_path: &[String],
) -> Result<Settings, Denied> {
    let mut all = Settings::new();
    // As in the server, `options` come first: what is named for itself has the last word.
    let options = parameters.iter().filter(|(name, _)| name.eq_ignore_ascii_case("options"));
    for (name, value) in options {
        if kind == Kind::PassThrough {
            all.push((name.clone(), value.clone()));
        } else {
            let switches = switches(value)?;
            let own = |name: &str| name == SIGN_IN || name == APPROVED;
            all.extend(switches.into_iter().filter(|(name, _)| !own(name)));
        }
    }
    for (name, value) in parameters {
        let lower = name.to_ascii_lowercase();
        match &*lower {
            "user" | "database" | "options" => {}
            "replication" if matches!(&**value, "" | "false" | "off" | "no" | "0") => {}
            "replication" => {
                let hint = "replication does not go through this gateway".to_owned();
                return Err(Denied { name: lower, hint });
            }
            name if name.starts_with("_pq_.") => {}
            // It is for the gateway, at the log-in.
            SIGN_IN | APPROVED => {}
            _ => all.push((lower, value.clone())),
        }
    }
    if kind == Kind::PassThrough {
        return Ok(all);
    }
    let mut told = Settings::new();
    for (name, value) in all {
        if name == SEARCH_PATH {
            match postern_sql::search_path(&value) {
                Ok(path) if path == search_path => told.retain(|(name, _)| name != SEARCH_PATH),
                Ok(path) => told.push((name, postern_sql::written_path(&path))),
                Err(refusal) => return Err(Denied { name, hint: refusal.message }),
            }
            continue;
        }
        let found = match (&*name, &*value.to_ascii_lowercase()) {
            // libpq says so where the client's surroundings decide; here they need not.
            ("client_encoding", "auto") => Ok(Setting::Fixed),
            _ => postern_sql::setting(&name, Some(&value)),
        };
        match found {
            Ok(Setting::Free) => told.push((name, value)),
            Ok(Setting::Fixed) => {}
            Err(refusal) => return Err(Denied { name, hint: refusal.hint }),
        }
    }
    if said(parameters, APPROVED).is_some() {
        // A text can hang on any setting: what was tried under some would be another question
        // under others, and one that nobody has approved.
        told.clear();
        // What is only tried must leave nothing behind; the one statement that comes can't undo it.
        told.push((READ_ONLY.to_owned(), "on".to_owned()));
    }
    Ok(told)
}

const SEARCH_PATH: &str = "search_path";
const READ_ONLY: &str = "default_transaction_read_only";

/// The search path that a session begins with, of settings of which the last one counts; `None` if
/// it is the gateway's.
pub(crate) fn own_path(settings: &[(String, String)], pinned: &[String]) -> Option<Vec<String>> {
    let value = settings.iter().rfind(|(name, _)| name == SEARCH_PATH)?;
    // INVARIANT: it was read before it was put among the settings.
    let path = postern_sql::search_path(&value.1).ok()?;
    (path != pinned).then_some(path)
}

/// Says at the start whether the client has a password or a token.
const SIGN_IN: &str = "postern.sign_in";

/// Says at the start under which number what the client runs was asked for.
const APPROVED: &str = "postern.approved";

/// What the client says of a setting of the gateway's own; the last word counts.
fn said(parameters: &[(String, String)], own: &str) -> Option<String> {
    let mut said = None;
    for (name, value) in parameters {
        if name.eq_ignore_ascii_case("options") {
            // What can't be read is refused when it is known who asks.
            let switches = switches(value).unwrap_or_default();
            said = switches.into_iter().rfind(|(name, _)| name == own).or(said);
        } else if name.eq_ignore_ascii_case(own) {
            said = Some((name.clone(), value.clone()));
        }
    }
    said.map(|(_, value)| value)
}

/// The number of the request that the client has come to run; `None` if it says nothing of it.
pub(super) fn approved(parameters: &[(String, String)]) -> Result<Option<u64>, Denied> {
    let number = said(parameters, APPROVED).map(|value| value.parse());
    number.transpose().map_err(|_| {
        let hint = "write the number that it was given".to_owned();
        Denied { name: APPROVED.to_owned(), hint }
    })
}

/// Whether the client says that it has a token; `None` if it says nothing of it.
pub(super) fn by_token(parameters: &[(String, String)]) -> Result<Option<bool>, Denied> {
    match said(parameters, SIGN_IN).as_deref() {
        None => Ok(None),
        Some("token") => Ok(Some(true)),
        Some("password") => Ok(Some(false)),
        Some(_) => {
            let hint = "write `token` or `password`".to_owned();
            Err(Denied { name: SIGN_IN.to_owned(), hint })
        }
    }
}

/// The settings in the `options` parameter: `-c name=value` and `--name=value`, as
/// `process_postgres_switches` (PostgreSQL, src/backend/tcop/postgres.c) reads them.
fn switches(options: &str) -> Result<Settings, Denied> {
    let mut all = Settings::new();
    let mut words = split(options).into_iter();
    while let Some(word) = words.next() {
        let joined = word.strip_prefix("--").or_else(|| word.strip_prefix("-c"));
        let setting = match joined {
            Some("") if word == "-c" => words.next(),
            Some(setting) => Some(setting.to_owned()),
            None => None,
        };
        let Some((name, value)) = setting.as_deref().and_then(|setting| setting.split_once('='))
        else {
            let hint = "write settings as `-c name=value`".to_owned();
            return Err(Denied { name: "options".to_owned(), hint });
        };
        all.push((name.replace('-', "_").to_ascii_lowercase(), value.to_owned()));
    }
    Ok(all)
}

/// Words between white space; a backslash takes the next character as it is (`pg_split_opts`,
/// src/backend/utils/init/postinit.c).
fn split(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        if character.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let taken = if character == '\\' { characters.next() } else { Some(character) };
        word.get_or_insert_default().extend(taken);
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: Kind, parameters: &[(&str, &str)]) -> Result<Settings, String> {
        let parameters: Vec<(String, String)> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        settings(&parameters, kind, &["public".to_owned()]).map_err(|denied| denied.name)
    }

    fn pairs(settings: &[(&str, &str)]) -> Result<Settings, String> {
        Ok(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_judged_role_starts_with_what_set_allows() {
        let parameters = [
            ("user", "eva"),
            ("database", "shop"),
            ("DateStyle", "ISO"),
            ("statement_timeout", "5000"),
            ("client_encoding", "auto"),
            ("Client_Encoding", "'utf-8'"),
            ("search_path", "public"),
            ("_pq_.something", "x"),
            ("replication", "off"),
            ("options", r"-c lock_timeout=1s --application-name=a\ b -cjit=off"),
        ];
        let expected = pairs(&[
            ("lock_timeout", "1s"),
            ("application_name", "a b"),
            ("jit", "off"),
            ("datestyle", "ISO"),
            ("statement_timeout", "5000"),
        ]);
        assert_eq!(asked(Kind::Restricted, &parameters), expected);
    }

    #[test]
    fn the_last_search_path_counts_where_it_is_another() {
        let pinned = ["public".to_owned()];
        for (parameters, told, own) in [
            (
                &[("search_path", "Sales , \"X y\"")] as &[_],
                "sales, \"X y\"",
                &["sales", "X y"] as &[_],
            ),
            (&[("options", "-csearch_path=one"), ("search_path", "two")], "two", &["two"]),
            (&[("options", "-csearch_path="), ("search_path", "")], "", &[]),
        ] {
            let told_all = asked(Kind::Restricted, parameters).unwrap();
            assert_eq!(told_all.last(), Some(&("search_path".to_owned(), told.to_owned())));
            assert_eq!(own_path(&told_all, &pinned).unwrap(), own);
        }
        let parameters = [("options", "-csearch_path=one"), ("search_path", "\"$user\", public")];
        let told = asked(Kind::Restricted, &parameters).unwrap();
        assert_eq!((own_path(&told, &pinned), told), (None, Vec::new()));
    }

    #[test]
    fn what_set_refuses_is_refused_at_the_start_too() {
        for (parameter, denied) in [
            (("statement_timeout", "a while"), "statement_timeout"),
            (("search_path", "public, pg_temp"), "search_path"),
            (("client_encoding", "LATIN1"), "client_encoding"),
            (("role", "postgres"), "role"),
            (("session_preload_libraries", "x"), "session_preload_libraries"),
            (("replication", "database"), "replication"),
            (("options", "-c search_path=a,"), "search_path"),
            (("options", "--Statement-Timeout=never"), "statement_timeout"),
            (("options", "-c"), "options"),
            (("options", "-d 5"), "options"),
            (("options", "--"), "options"),
            (("options", "-c jit"), "options"),
            (("OPTIONS", "-c role=postgres"), "role"),
        ] {
            assert_eq!(asked(Kind::Restricted, &[parameter]), Err(denied.to_owned()));
        }
    }

    #[test]
    fn a_client_says_at_the_start_that_it_has_a_token() {
        let said = |name: &str, value: &str| by_token(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(said("options", "-c jit=off"), Ok(None));
        assert_eq!(said("options", "-c postern.sign_in=token"), Ok(Some(true)));
        assert_eq!(said("options", "--postern.sign-in=password"), Ok(Some(false)));
        assert_eq!(said("postern.sign_in", "token"), Ok(Some(true)));
        assert_eq!(said("options", "-c postern.sign_in=both").unwrap_err().name, SIGN_IN);
        // The server is not told.
        let options = [("options", "-c postern.sign_in=token -c jit=off")];
        assert_eq!(asked(Kind::Restricted, &options), pairs(&[("jit", "off")]));
        assert_eq!(asked(Kind::Restricted, &[("postern.sign_in", "token")]), pairs(&[]));
    }

    #[test]
    fn a_client_says_at_the_start_what_it_runs() {
        let said = |name: &str, value: &str| approved(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(said("options", "-c jit=off"), Ok(None));
        assert_eq!(said("options", "-c jit=off -c postern.approved=7"), Ok(Some(7)));
        assert_eq!(said("postern.approved", "8"), Ok(Some(8)));
        assert_eq!(said("postern.approved", "-8").unwrap_err().name, APPROVED);
        // Nothing that it says of itself makes another question of it.
        let parameters = [
            ("options", "-c postern.approved=7 -c jit=off -c search_path=one"),
            ("application_name", "m"),
            ("TimeZone", "Asia/Tokyo"),
        ];
        assert_eq!(asked(Kind::Restricted, &parameters), pairs(&[(READ_ONLY, "on")]));
    }

    /// A bound stands, whoever asks for none.
    #[test]
    fn what_is_the_gateways_own_is_left_out() {
        for parameter in [("statement_timeout", "0"), ("options", "-c statement_timeout=1d")] {
            assert_eq!(asked(Kind::Restricted, &[parameter]), pairs(&[]));
        }
    }

    #[test]
    fn the_last_word_is_with_what_is_named_for_itself() {
        let parameters = [("jit", "on"), ("options", "-c jit=off")];
        let expected = pairs(&[("jit", "off"), ("jit", "on")]);
        assert_eq!(asked(Kind::Restricted, &parameters), expected);
    }

    #[test]
    fn whoever_is_passed_through_asks_for_anything() {
        let parameters = [("role", "admin"), ("options", "-d 5"), ("user", "x")];
        let expected = pairs(&[("options", "-d 5"), ("role", "admin")]);
        assert_eq!(asked(Kind::PassThrough, &parameters), expected);
    }
}
