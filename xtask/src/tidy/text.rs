//! Rules for the text of a file, whatever its language: width, marks of unfinished work, names.

use super::{Problem, source};

const COLUMNS_MAX: usize = 100;

/// Marks of unfinished work; written in two halves so that this file passes.
const MARKS: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];

/// Macros that stand for code that isn't there.
const MACROS: [&str; 2] = [concat!("todo", "!("), concat!("unimplemented", "!(")];

/// Endings of names, or whole names, of the files that are checked.
const CHECKED: [&str; 8] = [
    ".rs",
    ".py",
    ".sh",
    "Makefile",
    "scripts/postgres-version",
    "scripts/setup",
    "scripts/test",
    ".ci/run",
];

pub(crate) fn is_checked(path: &str) -> bool {
    CHECKED.iter().any(|ending| path.ends_with(ending))
}

pub(crate) fn check_name(path: &str) -> Option<Problem> {
    path.ends_with("/mod.rs")
        .then(|| Problem::new(path, None, "a module is `foo.rs` with `foo/`, not `foo/mod.rs`"))
}

pub(crate) fn check(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut report = |message: String| problems.push(Problem::new(path, index + 1, message));
        let columns = line.chars().count();
        // An address can't be broken, and what a test expects is shown as it is.
        let free = line.contains("https://") || source::is_test_path(path);
        if columns > COLUMNS_MAX && !free {
            report(format!("{columns} columns, allowed are {COLUMNS_MAX}"));
        }
        let marker = if path.ends_with(".rs") { "//" } else { "#" };
        let comment = line.split_once(marker).map_or("", |(_, comment)| comment);
        let mut words = comment.split(|c: char| !c.is_alphanumeric());
        if let Some(mark) = words.find(|word| MARKS.contains(word)) {
            report(format!("`{mark}`: do it, or open an issue"));
        }
        if let Some(call) = MACROS.iter().find(|call| path.ends_with(".rs") && line.contains(*call))
        {
            report(format!("`{call}…)`: refuse with an error instead"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::{check, check_name};

    fn lines(path: &str, text: &str) -> Vec<Option<usize>> {
        check(path, text).into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn width_is_counted_in_characters_and_some_lines_are_free() {
        assert_eq!(lines("a.rs", &"ä".repeat(100)), []);
        assert_eq!(lines("a.rs", &format!("\n{}", "a".repeat(101))), [Some(2)]);
        assert_eq!(lines("a.rs", &format!("// https://{}", "a".repeat(100))), []);
        assert_eq!(lines("a/tests.rs", &"a".repeat(101)), []);
    }

    #[test]
    fn unfinished_work_is_found_in_comments_only() {
        let (first, second) = (super::MARKS[0], super::MARKS[1]);
        assert_eq!(
            lines("a.rs", &format!("x(); // {first}: later\n// A{first} is a word")),
            [Some(1)]
        );
        assert_eq!(lines("a.rs", &format!("let mask = \"{second}\";")), []);
        assert_eq!(lines("scripts/a.sh", &format!("true # {second}")), [Some(1)]);
        assert_eq!(lines("a.rs", &format!("{})", super::MACROS[0])), [Some(1)]);
    }

    #[test]
    fn modules_are_not_called_mod() {
        assert!(check_name("crates/a/src/b/mod.rs").is_some());
        assert!(check_name("crates/a/src/b.rs").is_none());
    }
}
