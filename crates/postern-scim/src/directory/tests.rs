use std::{collections::BTreeSet, sync::Mutex};

use serde_json::json;

use super::*;

/// Keeps everything in memory, and fails when it is told to.
#[derive(Default)]
pub(crate) struct Memory {
    people: Mutex<Arc<People>>,
    saved: Mutex<Option<String>>,
    edits_fail: Mutex<bool>,
    saves_fail: Mutex<bool>,
}

impl Memory {
    fn by_hand(&self, change: impl Fn(&mut People)) {
        let mut people = People::clone(&self.people());
        change(&mut people);
        *self.people.lock().unwrap() = Arc::new(people);
    }

    pub(crate) fn account(&self, name: &str) -> Option<Account> {
        self.people().account(name).cloned()
    }
}

impl Keep for Memory {
    fn people(&self) -> Arc<People> {
        self.people.lock().unwrap().clone()
    }

    fn edit(&self, edit: &mut Edit<'_>) -> Result<(), ScimError> {
        let edited = edit(&self.people())?;
        if *self.edits_fail.lock().unwrap() {
            return Err(ScimError::new(Kind::Server, "the disk is full"));
        }
        if let Some(people) = edited {
            *self.people.lock().unwrap() = Arc::new(people);
        }
        Ok(())
    }

    fn save(&self, text: &str) -> Result<(), ScimError> {
        if *self.saves_fail.lock().unwrap() {
            return Err(ScimError::new(Kind::Server, "the disk is full"));
        }
        *self.saved.lock().unwrap() = Some(text.to_owned());
        Ok(())
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000_000)
    }
}

pub(crate) fn directory(keep: &Arc<Memory>) -> Directory {
    let groups = vec![("Agents".to_owned(), "agent".to_owned())];
    let rules = Rules { groups, role: None, employer: "own".to_owned() };
    let saved = keep.saved.lock().unwrap().clone();
    Directory::new(rules, saved.as_deref(), (keep.clone(), Arc::new(Stopped))).unwrap()
}

const BASE: &str = "http://h/scim/v2";

fn add(directory: &mut Directory, name: &str) -> String {
    let made = directory.create(Resources::Users, &json!({"userName": name}), BASE).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

fn agents(directory: &mut Directory, members: &[&str]) -> String {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    let group = json!({"displayName": "agents", "members": members});
    let made = directory.create(Resources::Groups, &group, BASE).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

fn set_active(directory: &mut Directory, id: &str, active: bool) -> Result<Value, ScimError> {
    let operation = json!({"op": "replace", "path": "active", "value": active});
    let body = json!({"Operations": [operation]});
    directory.patch((Resources::Users, id), &body, BASE)
}

fn names(directory: &Directory, query: &str) -> Vec<String> {
    let found = directory.list(&[Resources::Users], &Query::parse(query).unwrap(), BASE);
    let all = found["Resources"].as_array().unwrap().iter();
    all.map(|one| one["userName"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn people_come_by_groups_and_go_at_a_word() {
    let keep = Arc::new(Memory::default());
    let mut directory = directory(&keep);
    let eva = add(&mut directory, "eva");
    assert_eq!(keep.account("eva"), None, "no group, no role, no account");
    let group = agents(&mut directory, &[&eva]);
    let account = keep.account("eva").unwrap();
    assert_eq!((&*account.role, account.active, account.verifier), ("agent", true, None));
    let shown = directory.get((Resources::Users, &eva), &Query::parse("").unwrap(), BASE).unwrap();
    assert_eq!(shown["groups"][0]["display"], "agents");
    assert_eq!(shown["meta"]["location"], format!("{BASE}/Users/{eva}"));
    assert_eq!(shown[crate::resource::EXTENSION]["role"], "agent");

    let shown = set_active(&mut directory, &eva, false).unwrap();
    assert_eq!(shown["active"], false);
    assert!(!keep.account("eva").unwrap().active);
    set_active(&mut directory, &eva, true).unwrap();
    let body = json!({"Operations": [
        {"op": "remove", "path": format!("members[value eq \"{eva}\"]")},
    ]});
    directory.patch((Resources::Groups, &group), &body, BASE).unwrap();
    assert!(!keep.account("eva").unwrap().active);
    directory.delete(Resources::Users, &eva).unwrap();
    assert_eq!(keep.account("eva"), None);
    assert_eq!(set_active(&mut directory, &eva, true).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn what_was_said_is_known_after_a_restart() {
    let keep = Arc::new(Memory::default());
    let mut first = directory(&keep);
    let eva = add(&mut first, "eva");
    let body = json!({"userName": "eva", "externalId": "7", "displayName": "E",
        crate::resource::EXTENSION: {"employer": "Acme", "lastDay": "2030-01-31"}});
    first.replace((Resources::Users, &eva), &body, BASE).unwrap();
    agents(&mut first, &[&eva]);
    let second = directory(&keep);
    assert_eq!(second.state, first.state);
    assert_eq!(names(&second, "filter=externalId+eq+%227%22"), ["eva"]);
    assert!(State::parse("{\"version\":2,\"users\":{},\"groups\":{}}").is_err());
    assert!(State::parse("{}").is_err());
}

#[test]
fn what_can_not_be_kept_is_not_done() {
    let keep = Arc::new(Memory::default());
    let mut directory = directory(&keep);
    let eva = add(&mut directory, "eva");
    agents(&mut directory, &[&eva]);
    *keep.edits_fail.lock().unwrap() = true;
    assert_eq!(set_active(&mut directory, &eva, false).unwrap_err().kind, Kind::Server);
    assert!(directory.state.users[&eva].data.active);
    *keep.edits_fail.lock().unwrap() = false;
    // As at a crash between the two: the leaver is out, and asking again makes all of it so.
    *keep.saves_fail.lock().unwrap() = true;
    assert_eq!(set_active(&mut directory, &eva, false).unwrap_err().kind, Kind::Server);
    assert!(!keep.account("eva").unwrap().active);
    *keep.saves_fail.lock().unwrap() = false;
    assert_eq!(set_active(&mut directory, &eva, false).unwrap()["active"], false);
    assert!(!directory.state.users[&eva].data.active);
    assert!(set_active(&mut directory, &eva, true).is_ok());
    assert!(keep.account("eva").unwrap().active);
}

#[test]
fn names_are_taken_once_and_stay() {
    let keep = Arc::new(Memory::default());
    let account = |role: &str| Account {
        role: role.into(),
        employer: "own".into(),
        verifier: None,
        ends: None,
        active: true,
    };
    keep.by_hand(|people| {
        people.insert(Actor::new("dba"), account("administrator")).unwrap();
        people.insert(Actor::new("Ben"), account("agent")).unwrap();
    });
    let mut directory = directory(&keep);
    let eva = add(&mut directory, "eva");
    let user = |name: &str| json!({"userName": name});
    for name in ["Eva", "dba", "DBA", "ben"] {
        let error = directory.create(Resources::Users, &user(name), BASE).unwrap_err();
        assert_eq!(error.kind, Kind::Uniqueness, "{name}");
    }
    let unseen =
        ["", "a\u{7}", "eva\u{200b}", "\u{202e}eva", " eva", "e  va", "e\u{a0}va", "x (scim)"];
    for name in unseen.into_iter().chain([&*"x".repeat(300)]) {
        let error = directory.create(Resources::Users, &user(name), BASE).unwrap_err();
        assert_eq!(error.kind, Kind::Value, "{name}");
    }
    let error = directory.replace((Resources::Users, &eva), &user("eve"), BASE).unwrap_err();
    assert_eq!(error.kind, Kind::Mutability);
    add(&mut directory, "Ben");
    assert_eq!(keep.account("Ben"), Some(account("agent")), "taken over as it was");
    agents(&mut directory, &[]);
    let error = directory.create(Resources::Groups, &json!({"displayName": "AGENTS"}), BASE);
    assert_eq!(error.unwrap_err().kind, Kind::Uniqueness);
    let group = json!({"displayName": "x", "members": [{"value": "nobody"}]});
    let error = directory.create(Resources::Groups, &group, BASE).unwrap_err();
    assert_eq!(error.kind, Kind::Value);
    assert_eq!(keep.account("dba"), Some(account("administrator")));
}

#[test]
fn who_was_removed_by_hand_is_not_known_any_more() {
    let keep = Arc::new(Memory::default());
    let mut directory = directory(&keep);
    let (eva, ben) = (add(&mut directory, "eva"), add(&mut directory, "ben"));
    agents(&mut directory, &[&eva, &ben]);
    keep.by_hand(|people| assert!(people.remove("eva")));
    let query = Query::parse("").unwrap();
    let shown = directory.get((Resources::Users, &eva), &query, BASE).unwrap();
    assert_eq!(shown["active"], false);
    assert_eq!(set_active(&mut directory, &eva, true).unwrap_err().kind, Kind::NotFound);
    set_active(&mut directory, &ben, false).unwrap();
    assert_eq!(keep.account("eva"), None);
    assert_eq!(names(&directory, ""), ["ben"]);
}

#[test]
fn a_list_is_cut_into_pages_and_narrowed() {
    let keep = Arc::new(Memory::default());
    let mut directory = directory(&keep);
    for number in 0..7 {
        add(&mut directory, &format!("eva{number}"));
    }
    let all = names(&directory, "");
    let list = |query: &str| {
        let query = Query::parse(query).unwrap();
        directory.list(&[Resources::Users, Resources::Groups], &query, BASE)
    };
    assert_eq!(names(&directory, "startIndex=3&count=2"), all[2..4]);
    assert_eq!(names(&directory, "startIndex=-5&count=2"), all[..2]);
    assert_eq!(names(&directory, "startIndex=7&count=999999"), all[6..]);
    for (query, total, page) in [
        ("count=0", 7, 0),
        ("count=-1", 7, 0),
        ("startIndex=8", 7, 0),
        ("filter=userName%20eq%20%22EVA3%22", 1, 1),
        ("filter=groups%20pr", 0, 0),
    ] {
        let found = list(query);
        let expected = (json!(total), json!(page));
        assert_eq!((found["totalResults"].clone(), found["itemsPerPage"].clone()), expected);
    }
    // What order they stand in hangs on how the JSON library was built.
    let keys = |query: &str| {
        let narrow = list(query);
        let one = narrow["Resources"][0].as_object().unwrap();
        one.keys().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(keys("count=1&attributes=userName"), ["id", "schemas", "userName"]);
    let left = keys("count=1&excludedAttributes=meta,userName,id");
    assert_eq!(left, ["active", "id", "schemas"]);
    for query in ["filter=x", "count=many", "attributes=a..b", "filter=%ff"] {
        Query::parse(query).unwrap_err();
    }
}
