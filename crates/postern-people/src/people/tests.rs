use std::error::Error;

use proptest::{collection::btree_map, option, prelude::*};

use super::*;

const FILE: &str = "
[actors.eva]
role = \"agent\"
scram = \"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\"

[actors.\"bob@contractor.example\"]
role = \"agent\"
employer = \"Contractor Ltd\"
ends = 2026-12-31
active = false
";

#[test]
fn a_people_file_is_read() {
    let people = People::parse(FILE).unwrap();
    let names: Vec<&str> = people.iter().map(|(actor, _)| actor.as_str()).collect();
    assert_eq!(names, ["bob@contractor.example", "eva"]);
    let eva = people.account("eva").unwrap();
    assert_eq!((&*eva.role, &*eva.employer, eva.ends), ("agent", "own", None));
    let salt = [0; SALT_BYTES];
    assert_ne!(eva.verifier, Some(Verifier::derive("x", &salt, DEFAULT_ITERATIONS)));
    assert!(eva.verifier.is_some());
    let bob = people.account("bob@contractor.example").unwrap();
    assert_eq!(&*bob.employer, "Contractor Ltd");
    assert_eq!(bob.verifier, None);
    assert_eq!(bob.ends, Some(Date::constant(2026, 12, 31)));
    assert_eq!((eva.active, bob.active), (true, false));
    assert_eq!(people.account("carl"), None);
    assert_eq!(People::parse(""), Ok(People::default()));
}

/// The error's whole chain, as it is shown.
fn refusal(text: &str) -> String {
    let error = People::parse(text).unwrap_err();
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[test]
fn mistakes_are_told_with_their_line() {
    let check = |text: &str, expected: &str| {
        let shown = refusal(text);
        assert!(shown.starts_with(expected), "{shown}");
    };
    check("[actors.eva]\nrole = \"agent\"\nadmin = true\n", "line 3: unknown field `admin`");
    check("[people.eva]\nrole = \"agent\"\n", "line 1: unknown field `people`");
    check("[actors.eva]\nscram = \"x\"\n", "line 1: missing field `role`");
    check("[actors.eva]\nrole = 1\n", "line 2: invalid type: integer `1`, expected a string");
    check("[actors.eva]\nrole = \"a\"\n\n[actors.eva]\nrole = \"b\"\n", "line 4: duplicate key");
    check(
        "[actors.eva]\nrole = \"a\"\nscram = \"geheim\"\n",
        "line 3: verifier of `eva` can't be read: verifier does not have the form \
         `SCRAM-SHA-256$<iterations>:<salt>$<key>:<key>`",
    );
    check("[actors.eva]\nrole = \"a\"\nends = 2026-02-30\n", "line 3: ");
    check(
        "[actors.eva]\nrole = \"a\"\nends = 2026-12-31T10:00:00Z\n",
        "line 3: `ends` of `eva` must be a date without a time",
    );
    check("\n[actors.\"\"]\nrole = \"a\"\n", "line 2: `` can't be the name of an actor");
    check("[actors.\"e\\nva\"]\nrole = \"a\"\n", "line 1: `e\\nva` can't be the name");
    check("[actors.eva]\nrole = \"\"\n", "line 2: role of `eva` is empty");
}

#[test]
fn a_mistake_in_a_verifier_does_not_show_it() {
    let text = FILE.replace("4096:W22", "4096:?W22");
    assert!(!refusal(&text).contains("W22Z"), "{}", refusal(&text));
}

#[test]
fn an_account_works_up_to_the_end_of_its_last_day() {
    let account = Account {
        role: "agent".into(),
        employer: "own".into(),
        verifier: None,
        ends: Some(Date::constant(2019, 7, 31)),
        active: true,
    };
    // 2019-08-01T00:00:00Z.
    let midnight = 1_564_617_600_000_000;
    assert!(account.works_at(Timestamp(midnight - 1)));
    assert!(!account.works_at(Timestamp(midnight)));
    let account = Account { ends: None, ..account };
    assert!(account.works_at(Timestamp(i64::MAX)));
    assert!(!Account { active: false, ..account }.works_at(Timestamp(midnight)));
}

#[test]
fn a_stranger_is_asked_as_most_others_are() {
    let mut people = People::parse(FILE).unwrap();
    let iterations = NonZeroU32::new(7).unwrap();
    let seven = Verifier::derive("x", &[1; 12], iterations);
    let account = |verifier: &Verifier| Account {
        role: "agent".into(),
        employer: "own".into(),
        verifier: Some(verifier.clone()),
        ends: None,
        active: true,
    };
    people.insert(Actor::new("fay"), account(&seven)).unwrap();
    people.insert(Actor::new("gus"), account(&seven)).unwrap();
    let own = people.verifier_or_mock("fay", b"secret");
    assert_eq!(own, seven);
    let stranger = people.verifier_or_mock("nobody", b"secret");
    assert_eq!(stranger.shape(), (iterations, 12));
    assert_eq!(stranger, people.verifier_or_mock("nobody", b"secret"));
    assert_ne!(stranger, people.verifier_or_mock("somebody", b"secret"));
    // Who is known but has no password is asked like a stranger.
    let bob = people.verifier_or_mock("bob@contractor.example", b"secret");
    assert_eq!(bob.shape(), (iterations, 12));
}

#[test]
fn what_the_file_cannot_hold_is_not_inserted() {
    let mut people = People::default();
    let account = |role: &str| Account {
        role: role.into(),
        employer: "own".into(),
        verifier: None,
        ends: None,
        active: true,
    };
    assert!(people.insert(Actor::new("a\0b"), account("agent")).is_err());
    assert!(people.insert(Actor::new("eva"), account("")).is_err());
    assert_eq!(people, People::default());
}

fn account() -> impl Strategy<Value = Account> {
    let date = (1..=9_999i16, 1..=12i8, 1..=28i8)
        .prop_map(|(year, month, day)| Date::constant(year, month, day));
    let verifier = prop::collection::vec(any::<u8>(), 1..20)
        .prop_map(|salt| Verifier::derive("x", &salt, NonZeroU32::MIN));
    (".{1,9}", ".{1,9}", option::of(verifier), option::of(date), any::<bool>()).prop_map(
        |(role, employer, verifier, ends, active)| Account {
            role: role.into(),
            employer: employer.into(),
            verifier,
            ends,
            active,
        },
    )
}

proptest! {
    #[test]
    fn any_people_come_back_from_their_text(
        accounts in btree_map("[^\\p{Cc}]{1,9}", account(), 0..4),
    ) {
        let mut people = People::default();
        for (name, account) in accounts {
            people.insert(Actor::new(name), account).unwrap();
        }
        prop_assert_eq!(People::parse(&people.to_toml()), Ok(people));
    }

    #[test]
    fn no_text_panics(text in "(\\[actors\\.[a\"]{0,3}\\]\n)?[a-z=\"\n 0-9-]{0,40}") {
        let _ = People::parse(&text);
    }
}
