//! Entries as the lines of `entries.jsonl`: texts in place of numbers, hashes in hex.

use serde_json::{Value, json};

use super::*;
use crate::{
    Body, CaseAct, Complained, DecoyHit, Disclosed, Found, Group, LookedUp, Note, Observed,
    Planted, Values,
};

pub(super) fn line(entry: &Entry) -> Value {
    let (kind, mut value) = match &entry.body {
        Body::Disclosed(disclosed) => match &disclosed.observed {
            None => ("disclosed", disclosed_json(disclosed)),
            Some(observed) => ("observed", observed_json(disclosed, observed)),
        },
        Body::Noted(note) => noted(note),
    };
    let fields = value.as_object_mut().unwrap();
    fields.insert("sequence".into(), json!(entry.sequence));
    fields.insert("time".into(), json!(entry.time.0));
    fields.insert("kind".into(), json!(kind));
    value
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn disclosed_json(disclosed: &Disclosed) -> Value {
    let stop = disclosed.stopped.map(|limit| {
        let window = limit.window.as_micros() as u64;
        json!({ "counter": limit.counter.as_str(), "window": window, "max": limit.max })
    });
    let mut value = json!({
        "actor": disclosed.actor.as_str(),
        "connection": disclosed.connection,
        "hold": disclosed.hold,
        "fingerprint": format!("{:016x}", disclosed.fingerprint.0),
        "statement": &*disclosed.statement,
        "claimed": disclosed.claimed.as_deref(),
        "rows": disclosed.rows,
        "allowed": disclosed.allowed,
        "stop": stop,
        "groups": disclosed.groups.iter().map(group).collect::<Vec<_>>(),
        "lookups": disclosed.lookups.iter().map(lookup).collect::<Vec<_>>(),
    });
    if !disclosed.values.is_empty() {
        let values = disclosed.values.iter().map(values).collect::<Vec<_>>();
        value.as_object_mut().unwrap().insert("values".into(), json!(values));
    }
    value
}

fn values(values: &Values) -> Value {
    let hashes = values.hashes.iter().map(|(column, hash)| json!([column, hex(hash)]));
    let hashes = hashes.collect::<Vec<_>>();
    json!({ "group": values.group, "subject": values.subject, "hashes": hashes })
}

fn observed_json(disclosed: &Disclosed, observed: &Observed) -> Value {
    let mut value = disclosed_json(disclosed);
    let would = json!({
        "rule": observed.rule.as_deref(),
        "masked": observed.masked,
        "unknown": observed.unknown,
    });
    value.as_object_mut().unwrap().insert("would".into(), would);
    value
}

fn texts(texts: &[Arc<str>]) -> Vec<&str> {
    texts.iter().map(|text| &**text).collect()
}

fn group(group: &Group) -> Value {
    let grade = group.grade().map(|grade| match grade {
        Grade::Weak => "weak",
        Grade::Strong => "strong",
    });
    json!({
        "relation": &*group.relation,
        "clear": texts(&group.clear),
        "masked": texts(&group.masked),
        "grade": grade,
        "reason": group.reason.as_ref().map(|reason| &*reason.name),
        "subjects": group.subjects.iter().map(Subject::as_str).collect::<Vec<_>>(),
    })
}

fn lookup(lookup: &LookedUp) -> Value {
    json!({
        "relation": &*lookup.relation,
        "column": &*lookup.column,
        "hit": lookup.hit,
        "search": hex(&lookup.search),
    })
}

fn found(found: &Found) -> Value {
    json!({
        "at": found.time.0,
        "actors": found.actors.iter().map(Actor::as_str).collect::<Vec<_>>(),
        "finding": &*found.kind,
        "severity": format!("{:?}", found.severity).to_lowercase(),
        "alert": found.alert,
        "score": found.score,
        "subjects_at_risk": found.subjects_at_risk,
        "evidence": texts(&found.evidence),
        "why": &*found.why,
    })
}

fn noted(note: &Note) -> (&'static str, Value) {
    let standing = |actor: &Actor, by: &Actor, why: &str| json!({ "actor": actor.as_str(), "by": by.as_str(), "why": why });
    match note {
        Note::LoggedIn { actor, connection, client } => (
            "logged_in",
            json!({ "actor": actor.as_str(), "connection": connection, "client": &**client }),
        ),
        Note::LoginRefused { actor, client, why } => (
            "login_refused",
            json!({ "actor": actor.as_str(), "client": &**client, "why": &**why }),
        ),
        Note::LoggedOut { actor, connection } => {
            ("logged_out", json!({ "actor": actor.as_str(), "connection": connection }))
        }
        Note::Refused { actor, connection, fingerprint, statement, rule } => (
            "refused",
            json!({
                "actor": actor.as_str(),
                "connection": connection,
                "fingerprint": format!("{:016x}", fingerprint.0),
                "statement": &**statement,
                "rule": &**rule,
            }),
        ),
        Note::Suspended { actor, by, why } => ("suspended", standing(actor, by, why)),
        Note::Resumed { actor, by, why } => ("resumed", standing(actor, by, why)),
        Note::Found(one) => ("found", found(one)),
        Note::Configured { hash, by } => {
            ("configured", json!({ "hash": hex(hash), "by": by.as_str() }))
        }
        Note::Started { version } => ("started", json!({ "version": &**version })),
        Note::Stopped => ("stopped", json!({})),
        Note::Read { by, what } => ("read", json!({ "by": by.as_str(), "what": &**what })),
        Note::Asked { by, actor, subject, since, until } => (
            "asked",
            json!({
                "by": by.as_str(),
                "actor": actor.as_ref().map(Actor::as_str),
                "subject": subject.as_ref().map(Subject::as_str),
                "since": since.map(|time| time.0),
                "until": until.map(|time| time.0),
            }),
        ),
        Note::Person { actor, by, was, now } => (
            "person",
            json!({
                "actor": actor.as_str(),
                "by": by.as_str(),
                "was": &**was,
                "now": &**now,
            }),
        ),
        Note::Approval { actor, by, act, number, subject, until, why } => (
            "approval",
            json!({
                "actor": actor.as_str(),
                "by": by.as_str(),
                "act": &**act,
                "number": number,
                "subject": subject.as_str(),
                "until": until.0,
                "why": &**why,
            }),
        ),
        Note::Erased { by, subject, why } => {
            ("erased", json!({ "by": by.as_str(), "subject": subject.as_str(), "why": &**why }))
        }
        Note::Lost { by, entries, seen, root, why } => (
            "lost",
            json!({
                "by": by.as_str(),
                "entries": entries,
                "seen": seen,
                "root": hex(root),
                "why": &**why,
            }),
        ),
        Note::Epoch { number, commitment } => {
            ("epoch", json!({ "number": number, "commitment": hex(commitment) }))
        }
        Note::Forgotten { by, before, until } => {
            ("forgotten", json!({ "by": by.as_str(), "before": before, "until": until.0 }))
        }
        Note::Opened { actor, connection, relation, subject, fingerprint, statement } => (
            "opened",
            json!({
                "actor": actor.as_str(),
                "connection": connection,
                "relation": &**relation,
                "subject": subject.as_ref().map(Subject::as_str),
                "fingerprint": format!("{:016x}", fingerprint.0),
                "statement": &**statement,
            }),
        ),
        Note::Case(act) => ("case", case(act)),
        Note::Complained(told) => ("complained", complained(told)),
        Note::Planted(Planted { by, digest, count }) => {
            ("planted", json!({ "by": by.as_str(), "digest": hex(digest), "count": count }))
        }
        Note::DecoyHit(DecoyHit { by, subject, how, why }) => (
            "decoy_hit",
            json!({
                "by": by.as_str(),
                "subject": subject.as_str(),
                "how": &**how,
                "why": &**why,
            }),
        ),
    }
}

fn case(act: &CaseAct) -> Value {
    json!({
        "by": act.by.as_str(),
        "number": act.number,
        "act": &*act.act,
        "kinds": texts(&act.kinds),
        "roles": texts(&act.roles),
        "why": &*act.why,
    })
}

fn complained(told: &Complained) -> Value {
    json!({
        "by": told.by.as_str(),
        "subject": told.subject.as_str(),
        "at": told.at.0,
        "complaint": &*told.kind,
        "fields": texts(&told.fields),
        "caller": &*told.caller,
    })
}
