use serde_json::json;

use super::*;
use crate::resource::EXTENSION;

fn rules() -> Rules {
    let groups = [("Leads", "lead"), ("Agents", "agent")];
    let groups = groups.map(|(group, role)| (group.to_owned(), role.to_owned())).to_vec();
    Rules { groups, role: None, employer: "own".to_owned() }
}

fn user(active: bool, last_day: Option<&str>, employer: Option<&str>) -> UserData {
    let extension = json!({"lastDay": last_day, "employer": employer});
    UserData::from_json(&json!({"userName": "eva", "active": active, EXTENSION: extension}))
        .unwrap()
}

/// What comes of one word of the directory after the other, and what is done by hand between.
struct Story {
    account: Option<Account>,
    made: Option<Made>,
}

impl Story {
    fn says(&mut self, user: &UserData, role: Option<&str>) -> &mut Account {
        let before = (self.account.as_ref(), self.made.as_ref());
        let settled = settled(&rules(), user, role, before);
        let Settled::Account(account, made) = settled else { panic!("{settled:?}") };
        (self.account, self.made) = (Some(account), Some(made));
        self.account.as_mut().unwrap()
    }
}

fn by_hand(role: &str) -> Account {
    let verifier = postern_people::Verifier::derive("x", b"salt", std::num::NonZeroU32::MIN);
    let (role, employer) = (role.into(), "own".into());
    Account { role, employer, verifier: Some(verifier), ends: None, active: true }
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

#[test]
fn the_first_group_that_somebody_is_in_gives_the_role() {
    let mut rules = rules();
    let role = |rules: &Rules, groups: &[&str]| {
        let groups: Vec<(&str, &str)> = groups.iter().map(|name| ("id", *name)).collect();
        rules.role(&groups).map(str::to_owned)
    };
    assert_eq!(role(&rules, &["AGENTS", "leads"]).as_deref(), Some("lead"));
    assert_eq!(role(&rules, &["Cooks"]), None);
    rules.role = Some("guest".to_owned());
    assert_eq!(role(&rules, &[]).as_deref(), Some("guest"));
    assert!(rules.may_give("guest") && rules.may_give("lead") && !rules.may_give("dba"));
}

#[test]
fn whoever_joins_leaves_and_comes_back_is_so_here() {
    let mut story = Story { account: None, made: None };
    let nothing = settled(&rules(), &user(true, None, None), None, (None, None));
    assert_eq!(nothing, Settled::Nothing, "without a role there is no account");
    let account = story.says(&user(true, None, Some("Acme")), Some("agent"));
    assert_eq!((&*account.role, &*account.employer, account.active), ("agent", "Acme", true));
    assert_eq!(&*story.says(&user(true, None, None), Some("agent")).employer, "own");
    assert!(!story.says(&user(false, None, None), Some("agent")).active);
    assert!(story.says(&user(true, None, None), Some("agent")).active);
    assert!(!story.says(&user(true, None, None), None).active, "out of all groups");
    let account = story.says(&user(true, Some("2030-01-31"), None), Some("lead"));
    assert_eq!((&*account.role, account.active), ("lead", true));
    assert_eq!(account.ends, Some(day("2030-01-31")));
    let account = story.says(&user(true, None, None), Some("lead"));
    assert_eq!(account.ends, None);
}

#[test]
fn what_was_done_by_hand_stays_until_the_directory_speaks_of_it() {
    let mut story = Story { account: None, made: None };
    let account = story.says(&user(true, Some("2030-01-31"), None), Some("agent"));
    (account.role, account.ends) = ("lead".into(), Some(day("2026-01-01")));
    let account = story.says(&user(true, Some("2031-01-31"), Some("Acme")), Some("agent"));
    assert_eq!(&*account.role, "lead");
    assert_eq!(account.ends, Some(day("2026-01-01")), "an end by hand is not put off");
    let account = story.says(&user(true, None, None), Some("agent"));
    assert_eq!(account.ends, Some(day("2026-01-01")), "nor taken away");
    // Also where the directory has said the same day.
    story.says(&user(true, Some("2026-01-01"), None), Some("agent"));
    let account = story.says(&user(true, None, None), Some("agent"));
    assert_eq!(account.ends, Some(day("2026-01-01")), "nor taken away with its own");
    story.account.as_mut().unwrap().active = false;
    assert!(!story.says(&user(true, None, None), Some("agent")).active, "it said so before");
    story.says(&user(false, None, None), Some("agent")).active = true;
    assert!(!story.says(&user(false, None, None), Some("agent")).active, "out is out");
}

#[test]
fn an_account_that_was_there_before_is_taken_over_as_it_is() {
    let mut account = by_hand("agent");
    account.ends = Some(day("2026-06-30"));
    let mut story = Story { account: Some(account.clone()), made: None };
    assert_eq!(*story.says(&user(true, None, None), None), account);
    assert_eq!(*story.says(&user(true, None, None), Some("agent")), account);
    let later = story.says(&user(true, Some("2027-06-30"), None), Some("lead"));
    assert_eq!(later.ends, Some(day("2026-06-30")));
    assert_eq!((&*later.role, later.verifier.is_some()), ("lead", true));
    let dba = by_hand("dba");
    let foreign = settled(&rules(), &user(false, None, None), Some("agent"), (Some(&dba), None));
    assert_eq!(foreign, Settled::Foreign);
}
