use proptest::prelude::*;

use super::*;
use crate::{
    Found, Note, Values,
    dictionary::{self, Rows},
    epoch::Keys,
};

fn dictionary() -> Dictionary {
    Dictionary::new(Rows::default(), None, Box::new(|| [1; 16]))
}

/// The rows that a dictionary has written, as a reader would have them.
fn rows(dictionary: &Dictionary) -> Rows {
    let (mut rows, mut rest) = (Rows::default(), dictionary.unwritten.as_slice());
    while let Some((row, length)) = dictionary::decode_frame(rest, &Keys::default()) {
        assert!(rows.push(row).is_ok());
        rest = &rest[length..];
    }
    assert!(rest.is_empty());
    rows
}

fn decode_whole(payload: &[u8], rows: &Rows) -> Result<Decoded, DecodeError> {
    let mut cursor = Cursor::new(payload);
    let head = Head::decode(&mut cursor)?;
    decode(&head, cursor, rows)
}

fn check_note(note: &Note) {
    let mut dictionary = dictionary();
    let mut encoder = Encoder::new(&mut dictionary);
    encoder.note(note);
    let payload = encoder.finish(5, Timestamp(-7)).payload;
    let decoded = decode_whole(&payload, &rows(&dictionary)).unwrap();
    let body = Body::Noted(note.clone());
    let entry = Entry { sequence: 5, time: Timestamp(-7), body };
    assert_eq!((decoded.entry, decoded.charges), (entry, None));
}

#[test]
fn every_note_is_read_back() {
    let (actor, by) = (Actor::new("ana"), Actor::new("ben"));
    let (connection, fingerprint) = (300, StatementFingerprint(u64::MAX));
    let statement: Arc<str> = "SELECT 1".into();
    for note in [
        Note::LoggedIn { actor: actor.clone(), connection, client: "10.0.0.1".into() },
        Note::LoginRefused { actor: actor.clone(), client: "::1".into(), why: "ended".into() },
        Note::LoggedOut { actor: actor.clone(), connection },
        Note::Refused {
            actor: actor.clone(),
            connection,
            fingerprint,
            statement: statement.clone(),
            rule: "explain".into(),
        },
        Note::Suspended { actor: actor.clone(), by: by.clone(), why: "a leaver".into() },
        Note::Resumed { actor: actor.clone(), by: by.clone(), why: String::new().into() },
        Note::Configured { hash: [3; 32], by: by.clone() },
        Note::Started { version: "0.1".into() },
        Note::Stopped,
        Note::Read { by: by.clone(), what: "customer 17".into() },
        Note::Asked {
            by: by.clone(),
            actor: Some(actor.clone()),
            subject: None,
            since: Some(Timestamp(3)),
            until: None,
        },
        Note::Person {
            actor: actor.clone(),
            by: by.clone(),
            was: String::new().into(),
            now: "role agent".into(),
        },
        Note::Approval {
            actor: actor.clone(),
            by: by.clone(),
            act: "approved".into(),
            number: 300,
            subject: Subject::new("17"),
            until: Timestamp(-7),
            why: "a call".into(),
        },
        Note::Erased { by: by.clone(), subject: Subject::new("17"), why: "by letter".into() },
        Note::Case(crate::CaseAct {
            by: by.clone(),
            number: 300,
            act: "benign".into(),
            kinds: vec!["no_trace".into(), "volume".into()],
            roles: vec!["agent".into()],
            why: "a clean-up".into(),
        }),
        Note::Complained(crate::Complained {
            by: by.clone(),
            subject: Subject::new("17"),
            at: Timestamp(-7),
            kind: "scam_call".into(),
            fields: vec!["name".into()],
            caller: "said to be from support".into(),
        }),
        Note::Planted(crate::Planted { by: by.clone(), digest: [9; 32], count: 300 }),
        Note::DecoyHit(crate::DecoyHit {
            by: by.clone(),
            subject: Subject::new("17"),
            how: "mail".into(),
            why: "a letter".into(),
        }),
        Note::Opened {
            actor: actor.clone(),
            connection,
            relation: "public.ticket".into(),
            subject: Some(Subject::new("17")),
            fingerprint,
            statement: statement.clone(),
        },
        Note::Opened {
            actor: actor.clone(),
            connection,
            relation: "public.ticket".into(),
            subject: None,
            fingerprint,
            statement,
        },
        Note::Found(Found {
            time: Timestamp(i64::MAX),
            actors: vec![actor, by],
            kind: "unexplained_share".into(),
            severity: postern_model::Severity::High,
            alert: true,
            score: 1234.5,
            subjects_at_risk: 80,
            evidence: vec!["1".into(), "2".into()],
            why: "reads what no ticket explains".into(),
        }),
    ] {
        check_note(&note);
    }
}

fn name() -> impl Strategy<Value = Arc<str>> {
    "[a-zé]{0,4}".prop_map(|text| text.as_str().into())
}

fn names() -> impl Strategy<Value = Vec<Arc<str>>> {
    prop::collection::vec(name(), 0..4)
}

prop_compose! {
    fn group()(
        relation in name(),
        clear in names(),
        masked in names(),
        reason in prop::option::of((name(), any::<bool>())),
        subjects in prop::collection::btree_set(0..200u32, 0..60),
    ) -> (Group, Vec<u32>) {
        let grade = |weak| if weak { Grade::Weak } else { Grade::Strong };
        let reason = reason.map(|(name, weak)| Reason { name, grade: grade(weak) });
        let texts = subjects.iter().map(|number| Subject::new(number.to_string()));
        let group = Group { relation, clear, masked, reason, subjects: texts.collect() };
        (group, subjects.into_iter().collect())
    }
}

/// Values of some of the groups' subjects.
fn values_of(groups: &[Group], picks: &[(prop::sample::Index, u8)]) -> Vec<Values> {
    let of = |(group, one): (usize, &Group)| {
        let (subjects, clear) = (one.subjects.len(), one.clear.len());
        (0..subjects).filter(move |_| clear > 0).map(move |subject| (group, subject, clear))
    };
    let places: Vec<_> = groups.iter().enumerate().flat_map(of).collect();
    if places.is_empty() {
        return Vec::new();
    }
    let mut picked: Vec<_> =
        picks.iter().map(|(at, byte)| (at.index(places.len()), *byte)).collect();
    picked.sort_unstable();
    let values = picked.into_iter().map(|(at, byte)| {
        let (group, subject, clear) = places[at];
        let columns = (0..clear).filter(|column| *column == 0 || byte >> column & 1 == 1);
        let hashes = columns.map(|column| (column as u8, [byte; 6])).collect();
        Values { group, subject, hashes }
    });
    values.collect()
}

prop_compose! {
    fn disclosed()(
        (actor, statement, claimed) in (name(), name(), prop::option::of(name())),
        (connection, hold, fingerprint) in any::<(u64, u64, u64)>(),
        (rows, allowed) in any::<(u64, u64)>(),
        stopped in prop::option::of((0..5usize, any::<u64>(), any::<u64>())),
        groups in prop::collection::vec(group(), 0..4),
        lookups in prop::collection::vec((name(), name(), any::<bool>(), any::<[u8; 8]>()), 0..4),
        observed in prop::option::of((prop::option::of(name()), any::<u64>(), any::<bool>())),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) -> (Disclosed, Vec<Vec<u32>>) {
        let counters = [
            Counter::ClearSubjects,
            Counter::WeakSubjects,
            Counter::MaskedSubjects,
            Counter::Lookups,
            Counter::LookupMisses,
        ];
        let limit = |(counter, window, max): (usize, u64, u64)| {
            Limit { counter: counters[counter], window: Duration::from_micros(window), max }
        };
        let lookup = |(relation, column, hit, search)| LookedUp { relation, column, hit, search };
        let (groups, numbers) = groups.into_iter().unzip();
        let disclosed = Disclosed {
            actor: Actor::new(actor),
            connection,
            hold,
            fingerprint: StatementFingerprint(fingerprint),
            statement,
            claimed,
            rows,
            allowed,
            stopped: stopped.map(limit),
            groups,
            lookups: lookups.into_iter().map(lookup).collect(),
            observed: observed.map(|(rule, masked, unknown)| Observed { rule, masked, unknown }),
            values: Vec::new(),
        };
        let values = values_of(&disclosed.groups, &picks);
        (Disclosed { values, ..disclosed }, numbers)
    }
}

/// The dictionary of the tests that need no other: it knows the subjects 0 to 199 by their number.
fn with_subjects() -> Dictionary {
    let mut dictionary = dictionary();
    (0..200).for_each(|number| assert_eq!(dictionary.subject(&number.to_string()), number));
    dictionary.take_fresh();
    dictionary
}

proptest! {
    #[test]
    fn a_disclosure_is_read_back((disclosed, numbers) in disclosed(), sequence: u64, time: i64) {
        let mut dictionary = with_subjects();
        let mut encoder = Encoder::new(&mut dictionary);
        encoder.disclosed(&disclosed, &numbers);
        let payload = encoder.finish(sequence, Timestamp(time)).payload;
        let decoded = decode_whole(&payload, &rows(&dictionary)).unwrap();
        let charged: Vec<_> = disclosed
            .groups
            .iter()
            .zip(numbers)
            .map(|(group, numbers)| (group.charged(), numbers))
            .collect();
        prop_assert_eq!(decoded.charges.unwrap().subjects, charged);
        let body = Body::Disclosed(disclosed);
        prop_assert_eq!(decoded.entry, Entry { sequence, time: Timestamp(time), body });
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        kind in 0..28u8,
        rows_count in 0..2u8,
        body in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..120),
    ) {
        let dictionary = with_subjects();
        let mut payload = vec![VERSION, kind];
        payload.extend_from_slice(&[0; 16]);
        payload.extend_from_slice(&[1, rows_count]);
        payload.extend_from_slice(&body);
        let rows = rows(&dictionary);
        let _ = decode_whole(&payload, &rows);
        let _ = decode_whole(&body, &rows);
        let _ = dictionary::decode_frame(&body, &Keys::default());
        let _ = crate::frame::look(&body);
        let _ = crate::frame::later_batch_in(&body, 0);
    }

    #[test]
    fn a_changed_entry_does_no_harm(
        (disclosed, numbers) in disclosed(),
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut dictionary = with_subjects();
        let mut encoder = Encoder::new(&mut dictionary);
        encoder.disclosed(&disclosed, &numbers);
        let mut payload = encoder.finish(0, Timestamp(0)).payload;
        let rows = rows(&dictionary);
        // Every field says how long it is, so that no beginning of an entry is one.
        let cut = cut.index(payload.len());
        prop_assert!(decode_whole(&payload[..cut], &rows).is_err());
        let at = at.index(payload.len());
        payload[at] = byte;
        let _ = decode_whole(&payload, &rows);
    }
}

/// That skimming finds an entry good if decoding does, and no other.
fn check_skim(payload: &[u8], rows: &Rows) -> Result<(), TestCaseError> {
    let skimmed = skim(payload).is_some_and(|named| named.are_in(rows.counts()));
    let decoded = decode_whole(payload, rows);
    prop_assert_eq!(skimmed, decoded.is_ok(), "{:?}", decoded);
    Ok(())
}

proptest! {
    #[test]
    fn skimming_finds_good_what_decodes(
        (disclosed, numbers) in disclosed(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        end in prop::option::of(0..200usize),
        missing in 0..3u32,
    ) {
        let mut dictionary = with_subjects();
        let mut encoder = Encoder::new(&mut dictionary);
        encoder.disclosed(&disclosed, &numbers);
        let mut payload = encoder.finish(0, Timestamp(0)).payload;
        let rows = rows(&dictionary);
        check_skim(&payload, &rows)?;
        let [subjects, names, texts] = rows.counts();
        let fewer = [subjects - 100 * missing.min(1), names - missing.min(names), texts];
        check_skim(&payload, &Rows::counted(fewer))?;
        // Version and kind stay: others are not skimmed.
        for (at, byte) in changes {
            let at = 2 + at.index(payload.len() - 2);
            payload[at] = byte;
        }
        payload.truncate(end.unwrap_or(usize::MAX).max(2));
        check_skim(&payload, &rows)?;
    }

    #[test]
    fn skimming_finds_good_what_decodes_of_short_bytes(
        kind in prop_oneof![
            Just(DISCLOSED),
            Just(OBSERVED),
            Just(DISCLOSED_VALUES),
            Just(OBSERVED_VALUES)
        ],
        rows_count in 0..2u8,
        body in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..60),
    ) {
        let mut payload = vec![VERSION, kind];
        payload.extend_from_slice(&[0; 16]);
        payload.extend_from_slice(&[1, rows_count]);
        payload.extend_from_slice(&body);
        check_skim(&payload, &Rows::counted([9, 9, 9]))?;
    }
}

/// The bytes of an entry that discloses these records of twelve million, frame included, with
/// hashes of so many values of each.
fn stored_bytes(numbers: Vec<u32>, values: u8) -> usize {
    let group = Group {
        relation: "public.customers".into(),
        clear: vec!["name".into(), "email".into()],
        masked: vec!["phone".into()],
        reason: Some(Reason { name: "assigned_ticket".into(), grade: Grade::Strong }),
        subjects: Vec::new(),
    };
    let hashes: Vec<_> = (0..values).map(|column| (column, [column; 6])).collect();
    let of = |subject| Values { group: 0, subject, hashes: hashes.clone() };
    let values = (0..numbers.len()).filter(|_| values > 0).map(of).collect();
    let disclosed = Disclosed {
        actor: Actor::new("agent07"),
        connection: 4_000_000,
        hold: 70_000,
        fingerprint: StatementFingerprint(u64::MAX),
        statement: "SELECT name, email FROM customers WHERE id = $1".into(),
        claimed: Some("T-1007".into()),
        rows: numbers.len() as u64,
        allowed: numbers.len() as u64,
        stopped: None,
        groups: vec![group],
        lookups: Vec::new(),
        observed: None,
        values,
    };
    let mut dictionary = dictionary();
    let mut payload = Vec::new();
    // The second brings no names any more.
    for _ in 0..2 {
        let mut encoder = Encoder::new(&mut dictionary);
        encoder.disclosed(&disclosed, std::slice::from_ref(&numbers));
        payload = encoder.finish(5_000_000, Timestamp(1_764_028_800_000_000)).payload;
    }
    let mut frame = Vec::new();
    crate::frame::encode(&mut frame, 0, &payload);
    frame.len()
}

#[test]
fn an_entry_takes_few_bytes_whatever_the_number_of_records() {
    use rand::{SeedableRng as _, rngs::StdRng, seq::index};
    let mut rng = StdRng::seed_from_u64(1);
    let mut each = |count: usize, values: Option<u8>| {
        let chosen = index::sample(&mut rng, 12_000_000, count).into_iter();
        let mut numbers: Vec<u32> = chosen.map(|number| number as u32).collect();
        numbers.sort_unstable();
        let values = values.filter(|_| count <= 64).unwrap_or(0);
        stored_bytes(numbers, values) as f64 / count as f64
    };
    // What docs/ledger-tests.md says; at most 2.3 and 120 were promised.
    let rounded =
        [1, 10, 100, 1_000, 10_000, 100_000].map(|count| format!("{:.2}", each(count, None)));
    assert_eq!(rounded, ["66.00", "9.40", "3.02", "2.00", "1.53", "1.11"]);
    // With hashes of 1, 2, 3, 5 and 8 values of each.
    let values = [1, 2, 3, 5, 8];
    let one = values.map(|values| format!("{:.0}", each(1, Some(values))));
    assert_eq!(one, ["75", "81", "87", "99", "118"]);
    let ten = values.map(|values| format!("{:.1}", each(10, Some(values))));
    assert_eq!(ten, ["17.5", "23.4", "29.5", "41.5", "60.3"]);
}
