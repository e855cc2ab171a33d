use super::{Exceptions, Source, check, functions};

fn problems(path: &str, text: &str, paths: &[&str]) -> Vec<String> {
    let source = Source::parse(path, text.to_owned()).unwrap();
    let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
    let mut found = Vec::new();
    check(&source, &paths, &mut Exceptions::parse("").unwrap(), &mut found);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn functions_are_measured_with_signature_and_named_with_their_type() {
    let text = "
        fn plain(a: u8,
                 b: u8) {}
        impl<T> Thing<T> { fn of(&self, a: u8) { fn inner() {} } }
        impl Other for Thing<u8> { fn of(&self) {} }
        trait Way { fn go(); }
        #[test] fn a_test() {}
        #[cfg(test)] mod tests { fn helper() {} }";
    let source = Source::parse("crates/a/src/b.rs", text.to_owned()).unwrap();
    let found: Vec<(String, usize, usize)> =
        functions(&source).into_iter().map(|f| (f.name, f.lines, f.parameters)).collect();
    let expected = [
        ("plain", 2, 2),
        ("Thing::of", 1, 1),
        ("inner", 1, 0),
        ("Thing::of#2", 1, 0),
        ("Way::go", 1, 0),
    ];
    assert_eq!(
        found,
        expected.map(|(name, lines, parameters)| (name.to_owned(), lines, parameters))
    );
}

#[test]
fn long_functions_and_long_lists_of_parameters_are_errors() {
    let long = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(69));
    assert_eq!(
        problems("crates/a/src/b.rs", &long, &[]),
        ["error: crates/a/src/b.rs:1: crates/a/src/b.rs::f has function-lines 71, allowed are 70"]
    );
    let wide = "impl A { fn f(self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) {} }";
    assert_eq!(
        problems("crates/a/src/b.rs", wide, &[]),
        ["error: crates/a/src/b.rs:1: crates/a/src/b.rs::A::f has parameters 7, allowed are 6"]
    );
}

#[test]
fn long_files_are_warned_about_then_refused() {
    let file = |lines: usize| format!("//! Long.\n{}", "\n".repeat(lines - 1));
    assert_eq!(problems("crates/a/src/b.rs", &file(600), &[]).len(), 0);
    assert!(problems("crates/a/src/b.rs", &file(601), &[])[0].starts_with("warning: "));
    assert_eq!(problems("crates/a/src/b/tests.rs", &file(601), &[]).len(), 0);
    assert_eq!(
        problems("crates/a/src/b.rs", &file(1001), &[]),
        ["error: crates/a/src/b.rs: crates/a/src/b.rs has file-lines 1001, allowed are 1000"]
    );
}

#[test]
fn crates_parents_and_long_modules_open_with_a_document() {
    let documents = |path, text: &str, paths: &[&str]| {
        let found = problems(path, text, paths);
        found.iter().filter(|problem| problem.contains("`//!`")).count()
    };
    let long = "\n".repeat(151);
    assert_eq!(documents("crates/a/src/lib.rs", "", &[]), 1);
    assert_eq!(documents("crates/a/src/lib.rs", "//! A.", &[]), 0);
    assert_eq!(documents("crates/a/tests/it/main.rs", "", &[]), 1);
    assert_eq!(documents("crates/a/src/b.rs", "", &[]), 0);
    assert_eq!(documents("crates/a/src/b.rs", &long, &[]), 1);
    assert_eq!(documents("crates/a/src/b/tests.rs", &long, &[]), 0);
    assert_eq!(documents("crates/a/src/b.rs", "", &["crates/a/src/b/tests.rs"]), 0);
    assert_eq!(documents("crates/a/src/b.rs", "", &["crates/a/src/b/c.rs"]), 1);
}
