//! What code must not reach for: pure crates no clock, file, socket or environment; libraries no
//! environment and no state of the process; tests no sleep and no `#[ignore]`.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, File, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemStatic, ItemUse, Macro, Path, Type,
    UseTree,
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::{
    Problem, layers,
    source::{self, Source},
};

/// The world outside, for pure crates.
const WORLD: [&[&str]; 10] = [
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "os"],
    &["std", "process"],
    &["std", "io", "stdin"],
    &["std", "io", "stdout"],
    &["std", "io", "stderr"],
    &["time", "Instant"],
    &["time", "SystemTime"],
];

/// Only the composition root reads the environment.
const ENVIRONMENT: [&[&str]; 1] = [&["std", "env"]];

/// Crates that may read it: the composition root, and what is never part of a server.
const READS_ENVIRONMENT: [&str; 3] = ["postern", "postern-interference", "postern-testkit"];

/// Containers that make a `static` a registry.
const REGISTRY: [&str; 4] = ["Mutex", "RwLock", "OnceLock", "RefCell"];

pub(crate) fn check(source: &Source) -> Vec<Problem> {
    let package = source.package();
    let forbidden: &[&[&str]] = match package {
        Some(package) if layers::is_pure(package) => &WORLD,
        Some(package) if !READS_ENVIRONMENT.contains(&package) => &ENVIRONMENT,
        _ => &[],
    };
    let mut finder = Finder {
        path: &source.path,
        forbidden,
        library: package.is_some(),
        test: source.test,
        problems: Vec::new(),
    };
    finder.visit_file(&source.syntax);
    finder.problems
}

struct Finder<'a> {
    path: &'a str,
    forbidden: &'static [&'static [&'static str]],
    /// Whether this is one of the workspace's crates, not one of its tools.
    library: bool,
    /// Whether the visited code is test code.
    test: bool,
    problems: Vec<Problem>,
}

impl Finder<'_> {
    fn within(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let outer = self.test;
        self.test |= source::is_test(attributes);
        visit(self);
        self.test = outer;
    }

    fn report(&mut self, line: usize, message: impl Into<String>) {
        self.problems.push(Problem::new(self.path, line, message));
    }

    /// Judges a path of names, whether it stands in an expression, a type, a macro or a `use`.
    fn judge(&mut self, line: usize, path: &[String]) {
        let holds = |words: &[&str]| path.windows(words.len()).any(|window| window == words);
        if self.test {
            if path.len() > 1 && path.last().is_some_and(|last| last == "sleep") {
                self.report(line, "a test waits for an event, it doesn't sleep");
            }
            return;
        }
        if let Some(words) = self.forbidden.iter().find(|words| holds(words)) {
            let message = format!("`{}` is not for this crate: STYLE.md §1", words.join("::"));
            self.report(line, message);
        }
    }

    fn judge_use(&mut self, line: usize, prefix: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.judge_use(line, prefix, &path.tree);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.judge_use(line, prefix, tree);
                }
            }
            UseTree::Name(_) | UseTree::Rename(_) | UseTree::Glob(_) => {
                let mut path = prefix.clone();
                match tree {
                    UseTree::Name(name) => path.push(name.ident.to_string()),
                    UseTree::Rename(rename) => path.push(rename.ident.to_string()),
                    UseTree::Path(_) | UseTree::Group(_) | UseTree::Glob(_) => {}
                }
                self.judge(line, &path);
            }
        }
    }

    /// Judges the paths in tokens that nobody has parsed, those of a macro's call.
    fn judge_tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.judge(line, &std::mem::take(&mut path));
                    }
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => self.judge_tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => colons = 0,
            }
        }
        self.judge(line, &path);
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_file(&mut self, file: &'ast File) {
        visit::visit_file(self, file);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.within(&module.attrs, |finder| visit::visit_item_mod(finder, module));
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        self.within(&block.attrs, |finder| visit::visit_item_impl(finder, block));
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.within(&function.attrs, |finder| visit::visit_item_fn(finder, function));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.within(&function.attrs, |finder| visit::visit_impl_item_fn(finder, function));
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let line = item.span().start().line;
        self.within(&item.attrs, |finder| finder.judge_use(line, &mut Vec::new(), &item.tree));
    }

    fn visit_item_static(&mut self, item: &'ast ItemStatic) {
        if self.library && !self.test && is_registry(&item.ty) {
            self.report(item.span().start().line, "no `static` registries: pass it as an argument");
        }
        visit::visit_item_static(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("ignore") {
            self.report(attribute.span().start().line, "a test that is ignored tests nothing");
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.judge(path.span().start().line, &names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.judge_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn is_registry(ty: &Type) -> bool {
    struct Names(bool);
    impl<'ast> Visit<'ast> for Names {
        fn visit_path(&mut self, path: &'ast Path) {
            self.0 |= path.segments.iter().any(|s| REGISTRY.iter().any(|name| s.ident == name));
            visit::visit_path(self, path);
        }
    }
    let mut names = Names(false);
    names.visit_type(ty);
    names.0
}

#[cfg(test)]
mod tests {
    use super::{Source, check};

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let source = Source::parse(path, text.to_owned()).unwrap();
        check(&source).into_iter().filter_map(|problem| problem.line).collect()
    }

    const PURE: &str = "crates/postern-wire/src/a.rs";
    const IO: &str = "crates/postern-ledger/src/a.rs";
    const ROOT: &str = "crates/postern/src/a.rs";

    #[test]
    fn a_pure_crate_reaches_for_nothing_outside() {
        for code in [
            "use std::{fmt, net::TcpStream};",
            "use std::time::Instant;",
            "use std::fs;",
            "use std::fs as files;",
            "use std::env::*;",
            "fn f() { let now = std::time::SystemTime::now(); }",
            "fn f(file: std::fs::File) {}",
            "fn f() { dbg!(1, std::env::var(\"A\")); }",
            "fn f() { time::Instant::now(); }",
        ] {
            assert_eq!(lines(PURE, code), [1], "{code}");
        }
        for code in [
            "use std::{fmt, time::Duration};",
            "#[cfg(test)] mod tests { use std::fs; fn f() { std::env::args(); } }",
            "#[cfg(test)] use std::fs;",
            "fn f(instant: crate::Instant, net: net::Ipv4Addr) { println!(\"std::fs\"); }",
        ] {
            assert_eq!(lines(PURE, code), [0; 0], "{code}");
        }
    }

    #[test]
    fn only_the_composition_root_reads_the_environment() {
        assert_eq!(lines(IO, "use std::{fs, env};"), [1]);
        assert_eq!(lines(IO, "use std::fs;"), [0; 0]);
        assert_eq!(lines(ROOT, "use std::env;"), [0; 0]);
    }

    #[test]
    fn tests_neither_sleep_nor_are_ignored() {
        let sleeping = "\nfn f() { std::thread::sleep(d); tokio::time::sleep(d); }";
        assert_eq!(lines("crates/postern-ledger/src/a/tests.rs", sleeping), [2, 2]);
        assert_eq!(lines(IO, "#[test] fn f() { thread::sleep(d); }"), [1]);
        assert_eq!(lines(IO, sleeping), [0; 0]);
        assert_eq!(lines(IO, "#[test]\n#[ignore = \"slow\"]\nfn f() {}"), [2]);
    }

    #[test]
    fn nothing_is_registered_in_a_static() {
        assert_eq!(lines(IO, "static A: OnceLock<Config> = OnceLock::new();"), [1]);
        assert_eq!(lines(IO, "static A: &[std::sync::Mutex<u8>] = &[];"), [1]);
        assert_eq!(lines(IO, "static A: [u8; 3] = [1, 2, 3];"), [0; 0]);
    }
}
