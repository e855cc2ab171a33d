use super::*;

/// A configuration that is good as it stands; tests add to it.
const GOOD: &str = r#"
[upstream]
host = "db.example"
database = "support"
user = "postern"

[roles.agent]
kind = "restricted"
budgets = [{ count = "masked_subjects", window = "1h", max = 500 }]

[[tables]]
name = "public.customers"
subject = "id"
clear = ["id", "plan"]
[tables.columns.email]
class = "email"
lookup = true

[[tables]]
name = "public.tickets"
subject = "customer_id"
"#;

fn settings(text: &str) -> Settings {
    match parse(Path::new("/etc/postern/postern.toml"), text) {
        Ok(loaded) => loaded.settings,
        Err(error) => panic!("{error}: {:?}", error.problems()),
    }
}

/// Every problem of a text, as `line: message (what to do)`.
fn problems(text: &str) -> String {
    let error = parse(Path::new("/etc/postern/postern.toml"), text).unwrap_err();
    let lines =
        error.problems().iter().map(|p| format!("{}: {p}\n   {}", p.line(), p.what_to_do()));
    lines.collect::<Vec<_>>().join("\n")
}

/// As [`problems`], for the good text and something after it.
fn added(text: &str) -> String {
    problems(&format!("{GOOD}{text}"))
}

#[test]
fn administrators_ask_in_another_database_than_the_guarded_one() {
    let text = format!("{GOOD}[gateway]\nadministrators = [\"ops\"]\n");
    let ops = settings(&text).gateway.administrators;
    assert_eq!(ops.iter().map(|actor| actor.as_str()).collect::<Vec<_>>(), ["ops"]);
    let same = text.replace("database = \"support\"", "database = \"postern\"");
    assert!(problems(&same).contains("administrators ask in a database named as the guarded one"));
}

#[test]
fn a_good_file_becomes_settings_with_its_defaults() {
    let settings = settings(GOOD);
    assert_eq!(settings.gateway.listen.to_string(), "127.0.0.1:6432");
    assert_eq!(settings.gateway.limits.message_bytes_max, 16 << 20);
    assert_eq!(settings.data.ledger(), Path::new("/etc/postern/postern-data/ledger"));
    assert_eq!(settings.upstream.port, 5432);
    assert_eq!(settings.tables[0].full_name(), "public.customers");
    assert!(settings.tables[0].columns[0].lookup);
    assert!(settings.reasons.is_empty());
}

#[test]
fn a_reason_is_weak_unless_it_is_said_to_be_strong() {
    let strength = |extra: &str| {
        let reason = "[[reasons]]\nname = \"r\"\ntable = \"public.tickets\"\n\
                      subject = \"customer_id\"\nactor = \"assignee\"\n";
        settings(&format!("{GOOD}{reason}{extra}")).reasons.remove(0).strength
    };
    assert_eq!(strength(""), Strength::Weak);
    assert_eq!(strength("grade = \"weak\""), Strength::Weak);
    assert_eq!(strength("grade = \"strong\""), Strength::Strong);
    let condition = "opened_by = 'customer'";
    assert_eq!(
        strength(&format!("strong_when = \"{condition}\"")),
        Strength::StrongWhen(condition.to_owned())
    );
}

#[test]
fn what_the_file_may_not_say_is_refused_where_it_stands() {
    insta::assert_snapshot!(problems("[upstream]\nhots = \"x\""), @r#"
    2: unknown field `hots`, expected one of `host`, `port`, `database`, `user`, `password_file`, `password_env`, `search_path`, `unprotected`, `functions`, `relations`, `tls`, `tls_ca`
       remove it; docs/config.md lists what can be said here
    "#);
    insta::assert_snapshot!(added("[gatway]\nlisten = \"127.0.0.1:1\""), @r#"
    22: unknown field `gatway`, expected one of `gateway`, `upstream`, `data`, `roles`, `budgets`, `tables`, `reasons`, `approvals`, `end_users`, `sign_in`, `certificates`, `scim`, `metrics`, `policy`, `watch`, `ledger`, `witness`, `evidence`
       did you mean `gateway`?
    "#);
    insta::assert_snapshot!(added("[gateway]\nworkers = \"two\""), @r#"
    23: invalid type: string "two", expected a whole number up to 65535
       write the value in the form that is expected; docs/config.md has examples
    "#);
    insta::assert_snapshot!(added("[roles.lead]\nkind = \"boss\""), @r#"
    23: unknown variant `boss`, expected one of `restricted`, `accounted`, `pass_through`, `application`
       remove it; docs/config.md lists what can be said here
    "#);
    insta::assert_snapshot!(added("[[tables]]\nname = \"public.x\""), @r#"
    22: missing field `subject`
       add `subject = …` here; docs/config.md says what it means
    "#);
    insta::assert_snapshot!(added("[watch\n"), @r#"
    22: unclosed table, expected `]`
       docs/config.md has an example of each section
    "#);
}

#[test]
fn contradictions_in_tables_are_refused() {
    let table = |text: &str| added(&format!("[[tables]]\nname = \"public.orders\"\n{text}"));
    insta::assert_snapshot!(table(
        "subject = \"id\"\nclear = [\"id\", \"email\"]\n[tables.columns.email]\nclass = \"email\""
    ), @r#"
    25: column `email` is both clear and protected
       remove it from `clear`, or remove `[tables.columns.email]`
    "#);
    insta::assert_snapshot!(table(
        "subject = \"id\"\n[tables.columns.id]\nclass = \"identifier\"\nlookup = true"
    ), @r#"
    27: `id` is the customer's key, which needs no look-up
       remove `lookup`: rows can always be asked for by their key
    "#);
    insta::assert_snapshot!(table("subject = \"\"\nclear = [\"a\", \"a\"]"), @r#"
    24: `subject` is empty
       say something or leave it out
    25: column `a` is listed twice
       keep one of them
    "#);
    insta::assert_snapshot!(
        added("[[tables]]\nname = \"public.customers\"\nsubject = \"id\""), @r#"
    23: table `public.customers` is listed twice
       put everything about it under one `[[tables]]`
    "#);
    insta::assert_snapshot!(added("[[tables]]\nname = \"customers\"\nsubject = \"id\""), @r#"
    23: `customers` doesn't name a table and its schema
       write both, without quotes, e.g. `public.customers`
    "#);
}

#[test]
fn contradictions_in_roles_and_reasons_are_refused() {
    insta::assert_snapshot!(added(
        "[roles.app]\nkind = \"pass_through\"\n\
         budgets = [{ count = \"lookups\", window = \"1h\", max = 1 }]"
    ), @r#"
    23: role `app` would see the protected tables in clear, unrecorded
       make it `accounted`: everything is clear and every record is recorded
    24: a pass-through role has budgets, but nothing of it is counted
       leave the budgets out, or make the role `accounted`
    "#);
    insta::assert_snapshot!(added(
        "[roles.lead]\nkind = \"accounted\"\nbudgets = [\n\
         { count = \"lookups\", window = \"60m\", max = 1 },\n\
         { count = \"lookups\", window = \"1h\", max = 2 },\n\
         { count = \"lookups\", window = \"1 hour\", max = 2 },\n\
         { count = \"lookups\", window = \"32d\", max = 2 },\n]"
    ), @r#"
    26: two budgets count `lookups` over the same window
       keep one of them
    27: `1 hour` is not a duration
       write a whole number above 0 and one of ms, s, m, h, d, e.g. `1h`
    28: the ledger remembers 31 days for budgets
       write at most `31d`
    "#);
    insta::assert_snapshot!(added(
        "[[reasons]]\nname = \"Ticket!\"\ntable = \"public.cases\"\nsubject = \"c\"\n\
         actor = \"a\"\nwhere = \"true; DROP TABLE x\"\n\
         grade = \"weak\"\nstrong_when = \"true\""
    ), @r#"
    23: `Ticket!` can't be the name of a reason
       use lower-case letters, digits and `_`, and begin with a letter
    24: reason `Ticket!` reads `public.cases`, an unknown table
       add `[[tables]]` with `name = "public.cases"`: what makes somebody entitled must be protected itself
    27: this is not one SQL condition
       write what would stand after WHERE, without `;` and comments
    29: reason `Ticket!` has both `grade` and `strong_when`
       keep one: `grade` for all rows, `strong_when` where it depends on the row
    "#);
}

#[test]
fn what_reasons_rest_on_is_not_listed_for_changes() {
    let reason = "[[reasons]]\nname = \"r\"\ntable = \"public.cases\"\nsubject = \"c\"\n\
                  actor = \"a\"\nwhere = \"cases.state = 'x'\"\nstrong_when = \"by = 'y'\"\n";
    let table = "[[tables]]\nname = \"public.cases\"\nsubject = \"c\"\n";
    let first = |lists: &str| {
        let told = added(&format!("{table}{lists}\n{reason}"));
        told.lines().next().unwrap_or_default().to_owned()
    };
    let good = "update = [\"note\"]\nupdate_own = [\"state\"]\n";
    let take_good = "[reasons.take]\norder = [\"at\"]\nset = { state = [\"x\"] }";
    let settings = settings(&format!("{GOOD}{table}{good}{reason}{take_good}"));
    assert_eq!(settings.tables[2].update_own, ["state"]);
    assert_eq!(settings.reasons[0].take.as_ref().unwrap().order, ["at"]);
    assert!(first("update = [\"c\"]").ends_with("`c` is the customer's key"));
    assert!(first("update = [\"a\"]").ends_with("reason `r` rests on `a`"));
    assert!(first("update_own = [\"by\"]").ends_with("reason `r` rests on `by`"));
    assert!(first("update = [\"state\"]").ends_with("`where` of reason `r` reads `state`"));
    assert!(
        first("update_own = [\"note\"]").ends_with("no reason over `public.cases` reads `note`")
    );
    assert!(first("insert_columns = [\"c\"]").ends_with("for rows that may not be inserted"));
    let take = |take: &str| {
        let told = added(&format!("{table}{reason}[reasons.take]\n{take}"));
        told.lines().next().unwrap_or_default().to_owned()
    };
    assert!(take("order = []").ends_with("a queue without an order could be taken from at will"));
    assert!(take("order = [\"at\"]\nset = { by = [\"y\"] }").ends_with("rests on `by`"));
    assert!(take("order = [\"at\"]\npool = { state = [] }").ends_with("`state` has no values"));
}

#[test]
fn what_the_gateway_could_not_use_is_refused() {
    insta::assert_snapshot!(added("[gateway]\nlisten = \"localhost\""), @r#"
    23: `localhost` is not an address to listen on
       write an IP address and a port, e.g. `127.0.0.1:6432` or `[::]:6432`
    "#);
    insta::assert_snapshot!(added("[gateway]\nlisten = \"0.0.0.0:6432\""), @r#"
    23: `0.0.0.0:6432` can be reached from other machines, and there is no TLS
       give `tls_certificate` and `tls_key`, or listen on `127.0.0.1`
    "#);
    insta::assert_snapshot!(added(
        "[gateway.limits]\nconnections_max = 0\nmessage_bytes_max = \"1KiB\"\ndrain = \"soon\""
    ), @r#"
    23: with a limit of 0 nothing works
       write at least 1
    24: `1KiB` is out of range
       write something from 16KiB to 1GiB
    25: `soon` is not a duration
       write a whole number above 0 and one of ms, s, m, h, d, e.g. `1h`
    "#);
    insta::assert_snapshot!(added("[data]\nmin_free = \"256MB\""), @r#"
    23: `256MB` is not an amount of memory
       write a whole number and one of B, KiB, MiB, GiB, e.g. `256MiB`
    "#);
    insta::assert_snapshot!(added("[ledger]\ndurable_on = \"local+peer\""), @r#"
    23: a second copy is to be waited for, and it is not said where it is
       add `[ledger.peer]` with the `address` of a `postern follow`
    "#);
    let peer = |text: &str| added(&format!("[ledger]\ndurable_on = \"local+peer\"\n{text}"));
    insta::assert_snapshot!(peer("[ledger.peer]\naddress = \"127.0.0.1:7500\""), @r#"
    25: the ledger would be sent to it without knowing who it is
       give `tls_certificate`, `tls_key` and `tls_ca`, all three
    "#);
    insta::assert_snapshot!(peer("[ledger.peer]\naddress = \"here\""), @r#"
    25: `here` is no place of a follower: the port is missing
       write `HOST:PORT`, or `unix:PATH` for a socket of this machine
    "#);
    insta::assert_snapshot!(added("[ledger.peer]\naddress = \"unix:a.sock\""), @r#"
    22: a follower is named, and nothing waits for it
       set `durable_on = "local+peer"`, or leave `[ledger.peer]` out
    "#);
    insta::assert_snapshot!(added("[watch]\nalerts_per_100_agents_per_day = 0.0"), @r#"
    23: the accepted rate of false alarms must be more than nothing
       0.1 is one false alarm in ten days for a hundred people
    "#);
    insta::assert_snapshot!(added("[watch]\nsuspend_on = [\"mood\"]"), @r#"
    23: there is no kind of finding called `mood`
       there are: no_trace, never_explained, unexplained_share, self_opened, short_lived_ticket, approved_share, approval_ring, looks_back, colleagues_tickets, other_ticket, sequence, foreign_queue, prominent, inbound_cluster, same_customers, odd_hours, strange_device, owner_elsewhere, lists_in_clear, complaints, decoy_read, leaver_session, refused_attempts, budget_stop, volume, list_size, picked_at_will
    "#);
    insta::assert_snapshot!(added("[policy]\nfile = \"none.cedar\""), @r#"
    23: can't read `/etc/postern/none.cedar`: No such file or directory (os error 2)
       make the file, or let the account that runs Postern read it; relative paths start at the configuration's folder
    "#);
    let upstream = GOOD.replace(
        "user = \"postern\"",
        "user = \"postern\"\npassword_file = \"pw\"\npassword_env = \"PW\"\ntls_ca = \"ca.pem\"",
    );
    insta::assert_snapshot!(problems(&upstream), @r#"
    7: the password is to be read from two places
       keep one of `password_file` and `password_env`
    8: `tls_ca` has no effect unless TLS is required
       set `tls = "require"`, or leave `tls_ca` out
    8: can't read `/etc/postern/ca.pem`: No such file or directory (os error 2)
       make the file, or let the account that runs Postern read it; relative paths start at the configuration's folder
    "#);
}

#[test]
fn files_beside_the_configuration_are_read_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("postern.toml");
    fs::write(folder.path().join("password"), "s3cret\n").unwrap();
    let text = GOOD.replace("[roles", "password_file = \"password\"\n[roles");
    fs::write(&path, text).unwrap();
    let settings = load(&path).unwrap().settings;
    assert_eq!(settings.upstream.password.as_ref().unwrap().expose(), "s3cret");
    assert!(!format!("{settings:?}").contains("s3cret"), "a password must not be printed");
    assert!(settings.data.folder.starts_with(folder.path()));
}

#[test]
fn what_is_allowed_but_odd_is_a_warning() {
    let text = "[upstream]\nhost = \"h\"\ndatabase = \"d\"\nuser = \"u\"\n\
                [roles.agent]\nkind = \"restricted\"\n";
    let loaded = parse(Path::new("postern.toml"), text).unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["role `agent` has no budgets: nothing limits how much it reads", "no table is protected"]
    );
}

#[test]
fn the_reference_in_docs_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == reference::markdown(),
        "docs/config.md is stale: `cargo run -p postern -- config-reference > docs/config.md`"
    );
}

#[test]
fn an_application_needs_to_be_told_whose_tokens_count() {
    let role = "[roles.application]\nkind = \"application\"\n";
    let alone = added(role);
    assert!(alone.contains("nothing says by whose tokens `application` names"), "{alone}");
    let section = "[end_users]\nissuer = \"login\"\naudience = \"\"\nkeys = \"nowhere.json\"\n\
                   account = \"aud\"\nlongest = \"1 hour\"\n";
    let wrong = added(&format!("{role}{section}"));
    for said in [
        "`audience` is empty",
        "can't read `/etc/postern/nowhere.json`",
        "`aud` says something else and names no account",
        "`1 hour`",
    ] {
        assert!(wrong.contains(said), "{said} is not said: {wrong}");
    }
    // A folder can be opened and not be read.
    let folder = section.replace("nowhere.json", "/");
    let folder = added(&format!("{role}{folder}"));
    assert!(folder.contains("can't read `/`"), "{folder}");
    let charged = added(
        "[roles.application]\nkind = \"application\"\n\
         budgets = [{ count = \"lookups\", window = \"1h\", max = 1 }]\n",
    );
    assert!(charged.contains("charged to its end users"), "{charged}");
}

#[test]
fn budgets_of_some_accounts_are_somebodys_and_shown() {
    let more = "[[budgets]]\npeople = [\"ana\", \"ben\"]\n\
                budgets = [{ count = \"clear_subjects\", window = \"1d\", max = 7 }]\n\
                [[budgets]]\ncontractors = true\npeople = [\"ben\"]\n\
                budgets = [{ count = \"masked_subjects\", window = \"1h\", max = 3 }]\n";
    let loaded = parse(Path::new("/etc/postern/postern.toml"), &format!("{GOOD}\n{more}")).unwrap();
    let text = explain::text(&loaded.settings);
    let from = text.find("also limited").unwrap();
    let shown: Vec<&str> = text[from..].lines().take(5).map(str::trim_end).collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    also limited   budgets
    contractors    3 masked_subjects in 1h
    ana            7 clear_subjects in 1d
    ben            7 clear_subjects in 1d
                   3 masked_subjects in 1h
    ");
    insta::assert_snapshot!(added(
        "[[budgets]]\nbudgets = [{ count = \"lookups\", window = \"32d\", max = 1 }]"
    ), @r#"
    22: these budgets are nobody's
       name accounts in `people`, or write `contractors = true`
    23: the ledger remembers 31 days for budgets
       write at most `31d`
    "#);
}

#[test]
fn a_role_that_is_not_enforced_is_warned_of_and_must_be_restricted() {
    let observed = GOOD.replace("\"restricted\"", "\"restricted\"\nenforcement = \"observe\"");
    let loaded = parse(Path::new("/etc/postern/postern.toml"), &observed).unwrap();
    assert_eq!(loaded.settings.roles[0].enforcement, Enforcement::Observe);
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[0].starts_with("policy is NOT ENFORCED for role `agent`"), "{warnings:?}");
    let text = explain::text(&loaded.settings);
    assert!(text.contains("WARNING   policy is NOT ENFORCED for the role `agent`"), "{text}");
    assert!(text.contains("restricted, NOT ENFORCED (observe)"), "{text}");
    let role = "[roles.lead]\nkind = \"accounted\"\nenforcement = \"warn\"";
    insta::assert_snapshot!(added(role), @r#"
    24: role `lead` is not restricted, so there is nothing to enforce
       leave `enforcement` out
    "#);
    let role =
        "[roles.lead]\nkind = \"restricted\"\nenforcement = \"warn\"\npool = \"transaction\"";
    insta::assert_snapshot!(added(role), @r#"
    25: people for whom policy is not enforced have connections of their own
       leave `pool` out until it is
    "#);
}

#[test]
fn what_a_directory_may_give_is_checked() {
    let scim = |text: &str| added(&format!("[scim]\n{text}"));
    insta::assert_snapshot!(scim("listen = \"0.0.0.0:6480\"\nrole = \"boss\""), @r#"
    23: `0.0.0.0:6480` can be reached from other machines, and there is no TLS
       give `tls_certificate` and `tls_key`, or listen on `127.0.0.1`
    24: there is no role `boss`
       add `[roles.boss]`, or name one of: agent
    "#);
    let group =
        |name: &str, role: &str| format!("[[scim.groups]]\nname = \"{name}\"\nrole = \"{role}\"\n");
    insta::assert_snapshot!(scim(&(group("A", "agent") + &group("a", "agent") + &group("", "x"))), @r#"
    27: the group `a` gives two roles
       keep one of them
    30: `name` is empty
       say something or leave it out
    31: there is no role `x`
       add `[roles.x]`, or name one of: agent
    "#);
    let good = settings(&format!("{GOOD}[scim]\n{}", group("A", "agent"))).scim.unwrap();
    assert_eq!(good.rules.groups, [("A".to_owned(), "agent".to_owned())]);
    assert_eq!((good.listen.port(), good.tls, &*good.rules.employer), (6480, None, "own"));
}

#[test]
fn certificates_of_people_need_tls() {
    let section = "[certificates]\nca = \"nowhere.pem\"\nuse = \"beside\"";
    insta::assert_snapshot!(added(section), @r#"
    22: certificates come by TLS, and the gateway has none
       give `tls_certificate` and `tls_key` in `[gateway]`
    23: can't read `/etc/postern/nowhere.pem`: No such file or directory (os error 2)
       make the file, or let the account that runs Postern read it; relative paths start at the configuration's folder
    "#);
}
