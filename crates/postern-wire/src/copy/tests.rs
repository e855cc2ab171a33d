use super::*;

const WIDTH: CopyWidth = CopyWidth { visible: 2, hidden: 1 };

fn text(line: &str, null: &str) -> Option<(String, Option<String>)> {
    shown(line, text_row(line.as_bytes(), (b'\t', null.as_bytes()), WIDTH))
}

fn csv(line: &str, escape: u8) -> Option<(String, Option<String>)> {
    let csv = Csv { delimiter: b',', quote: b'"', escape, null: b"" };
    shown(line, csv_row(line.as_bytes(), csv, WIDTH))
}

fn shown(line: &str, row: Result<CopyRow, CopyRowError>) -> Option<(String, Option<String>)> {
    let CopyRow { visible, hidden } = row.ok()?;
    let [key] = hidden.as_slice() else { return None };
    let key = key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned());
    Some((line[..visible].to_owned(), key))
}

fn cut_as(visible: &str, key: Option<&str>) -> Option<(String, Option<String>)> {
    Some((visible.to_owned(), key.map(str::to_owned)))
}

#[test]
fn a_line_of_text_is_cut_behind_the_visible_values() {
    assert_eq!(text("a\tb\t7\n", r"\N"), cut_as("a\tb", Some("7")));
    assert_eq!(text("a\t\\N\t\\N\n", r"\N"), cut_as("a\t\\N", None));
    assert_eq!(text("a\\\tx\tb\\nc\t7\n", r"\N"), cut_as("a\\\tx\tb\\nc", Some("7")));
    assert_eq!(text("a\tb\tx\\\\N\\t\n", r"\N"), cut_as("a\tb", Some("x\\N\t")));
    assert_eq!(text("a\tb\t\\\\N\n", r"\N"), cut_as("a\tb", Some(r"\N")));
}

#[test]
fn a_line_of_text_with_anything_else_is_no_row() {
    for line in ["a\tb\t7", "a\t7\n", "a\tb\tc\t7\n", "a\tb\t7\nx\ty\t8\n", "a\tb\t7\\\n", ""] {
        assert_eq!(text(line, r"\N"), None, "{line:?}");
    }
}

#[test]
fn a_line_of_csv_is_cut_behind_the_visible_values() {
    assert_eq!(csv("a,b,7\n", b'"'), cut_as("a,b", Some("7")));
    assert_eq!(csv("\"a,\"\"\n\",,\n", b'"'), cut_as("\"a,\"\"\n\",", None));
    assert_eq!(csv("a,b,\"\"\n", b'"'), cut_as("a,b", Some("")));
    assert_eq!(csv("a,b,\"x\"\"y\"\n", b'"'), cut_as("a,b", Some("x\"y")));
    assert_eq!(csv("\"a\\\",\",b,\"x\\\\\\\"\"\n", b'\\'), cut_as("\"a\\\",\",b", Some("x\\\"")));
}

#[test]
fn a_line_of_csv_with_anything_else_is_no_row() {
    for line in ["a,b,7", "a,7\n", "a,b,c,7\n", "a,b,7\nx,y,8\n", "a,\"b,7\n", "a,b,\"7\"x\n"] {
        assert_eq!(csv(line, b'"'), None, "{line:?}");
    }
}

#[test]
fn a_binary_row_is_cut_behind_the_visible_values() {
    let piece = b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x02\0\x07";
    let row = CopyRow { visible: 9, hidden: vec![Some(vec![0, 7])] };
    assert_eq!(binary_piece(piece, WIDTH), Ok(BinaryPiece::Row(row)));
    assert_eq!(binary_piece(b"\xff\xff", WIDTH), Ok(BinaryPiece::End));
    let wrong: [&[u8]; 5] = [
        b"",
        b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x02\0",
        b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x02\0\x07\xff\xff",
        b"\xff\xff\0",
    ];
    for piece in wrong {
        assert!(binary_piece(piece, WIDTH).is_err(), "{piece:?}");
    }
}
