use std::{fs, io::Write};

use super::*;

/// Writes the files, reads them as a folder, and tells the stream as `source:line` at second.
fn check(files: &[(&str, &[String])], expected: &[&str]) -> Problems {
    let folder = tempfile::tempdir().unwrap();
    for (name, lines) in files {
        put(&folder.path().join(name), &lines.join("\n"));
    }
    let mut stream = Folder::open(folder.path(), Options::default()).unwrap();
    let told: Vec<String> = stream
        .by_ref()
        .map(|arrival| {
            let arrival = arrival.unwrap();
            let second = arrival.seen.0.rem_euclid(60_000_000) / 1_000_000;
            format!("{}:{} @{second}", arrival.source.as_str(), arrival.line)
        })
        .collect();
    assert_eq!(told, expected);
    stream.problems().clone()
}

fn put(path: &Path, text: &str) {
    let file = fs::File::create(path).unwrap();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => {
            let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            out.write_all(text.as_bytes()).unwrap();
            out.finish().unwrap();
        }
        "zst" => {
            let mut out = zstd::Encoder::new(file, 1).unwrap();
            out.write_all(text.as_bytes()).unwrap();
            out.finish().unwrap();
        }
        _ => fs::write(path, text).unwrap(),
    }
}

fn complaint(ts: u32, seen: Option<u32>) -> String {
    let seen = seen.map_or(String::new(), |s| format!(r#""seen":"2026-01-01T00:00:{s:02}Z","#));
    format!(r#"{{"ts":"2026-01-01T00:00:{ts:02}Z",{seen}"subject":"c","kind":"other"}}"#)
}

fn ticket(ts: u32, seen: Option<u32>) -> String {
    complaint(ts, seen).replace(r#""kind":"other""#, r#""ticket":"t","event":"opened""#)
}

#[test]
fn events_come_in_the_order_in_which_they_were_seen() {
    let problems = check(
        &[
            (
                "complaints.jsonl.zst",
                &[complaint(1, None), complaint(2, Some(6)), complaint(5, None)],
            ),
            ("tickets.jsonl.gz", &[ticket(1, Some(5)), ticket(2, None), ticket(6, None)]),
        ],
        &[
            "complaints:1 @1",
            "tickets:2 @2",
            "tickets:1 @5",
            "complaints:3 @5",
            "complaints:2 @6",
            "tickets:3 @6",
        ],
    );
    assert_eq!((problems.lines, problems.bad, problems.out_of_order), (6, 0, 0));
}

#[test]
fn an_older_line_is_delivered_as_known_when_it_is_read() {
    let problems = check(
        &[("tickets.jsonl", &[ticket(7, None), ticket(3, None)])],
        &["tickets:2 @7", "tickets:1 @7"],
    );
    assert_eq!(problems.out_of_order, 1);
}

#[test]
fn lines_of_the_same_moment_may_stand_in_any_order() {
    let assigned = ticket(1, None).replace("opened", "assigned");
    let other = ticket(1, None).replace("\"t\"", "\"u\"");
    let lines = [ticket(1, None), assigned, other];
    let told = |order: [usize; 3]| -> Vec<Event> {
        let folder = tempfile::tempdir().unwrap();
        let lines = order.map(|place| lines[place].clone());
        put(&folder.path().join("tickets.jsonl"), &lines.join("\n"));
        let stream = Folder::open(folder.path(), Options::default()).unwrap();
        stream.map(|arrival| arrival.unwrap().event).collect()
    };
    let expected = told([0, 1, 2]);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(told(order), expected);
    }
    let Event::Ticket(last) = &expected[2] else { panic!("tickets only") };
    assert_eq!(last.event, TicketEvent::Assigned, "a ticket is opened before it is assigned");
}

#[test]
fn bad_lines_are_told_with_file_and_line_and_do_not_stop_the_rest() {
    let broken = "{".to_owned();
    let unknown = ticket(2, None).replace("opened", "merged");
    let problems = check(
        &[("tickets.jsonl", &[ticket(1, None), String::new(), broken, unknown, ticket(3, None)])],
        &["tickets:1 @1", "tickets:5 @3"],
    );
    assert_eq!((problems.lines, problems.bad), (4, 1));
    assert!(problems.too_many());
    assert!(problems.shown[0].to_string().contains("tickets.jsonl:3: not an object"));
    assert_eq!(problems.unknown_events[&(Source::Tickets, "merged".to_owned())], 1);
}

#[test]
fn one_bad_line_in_a_hundred_is_not_too_many() {
    let problems = |lines, bad| Problems { lines, bad, ..Problems::default() };
    assert!(!problems(100, 1).too_many());
    assert!(problems(99, 1).too_many());
    assert!(!problems(0, 0).too_many());
}

#[test]
fn what_can_not_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let open = |held_max| Folder::open(folder.path(), Options { held_max });
    assert!(matches!(open(9), Err(FolderError::Empty { .. })));
    put(
        &folder.path().join("tickets.jsonl"),
        &[ticket(1, Some(9)), ticket(2, Some(9)), ticket(3, None)].join("\n"),
    );
    let mut stream = open(1).unwrap();
    assert!(matches!(stream.next(), Some(Err(FolderError::TooManyHeld { max: 1 }))));
    assert!(stream.next().is_none());
    put(&folder.path().join("tickets.jsonl.zst"), "");
    assert!(matches!(open(9), Err(FolderError::Read { .. })));
}
