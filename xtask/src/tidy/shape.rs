//! Sizes of files and functions, and the documents that a module must open with.

use std::collections::BTreeMap;

use syn::{
    Attribute, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemTrait, Signature, TraitItemFn,
    spanned::Spanned as _,
    visit::{self, Visit},
};

use super::{
    Problem,
    exceptions::{Exceptions, Kind, Measure},
    source::{self, Source},
};

const FILE_LINES_MAX: usize = 1000;
const FILE_LINES_WARN: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const PARAMETERS_MAX: usize = 6;

/// A module above this many lines opens with a document.
const UNDOCUMENTED_LINES_MAX: usize = 150;

pub(crate) fn check(
    source: &Source,
    paths: &[String],
    exceptions: &mut Exceptions,
    problems: &mut Vec<Problem>,
) {
    let path = source.path.as_str();
    let lines = source.text.lines().count();
    exceptions.check(
        problems,
        &Measure {
            kind: Kind::FileLines,
            path,
            function: None,
            line: None,
            value: lines,
            max: FILE_LINES_MAX,
        },
    );
    if lines > FILE_LINES_WARN && lines <= FILE_LINES_MAX && !source.test {
        let message = format!("{lines} lines; could it be two modules? (aim at 100 to 400)");
        problems.push(Problem::warning(path, message));
    }
    problems.extend(check_document(source, paths, lines));
    for function in functions(source) {
        let mut check = |kind, value, max| {
            let (name, line) = (Some(function.name.as_str()), Some(function.line));
            exceptions.check(problems, &Measure { kind, path, function: name, line, value, max });
        };
        check(Kind::FunctionLines, function.lines, FUNCTION_LINES_MAX);
        check(Kind::Parameters, function.parameters, PARAMETERS_MAX);
    }
}

fn check_document(source: &Source, paths: &[String], lines: usize) -> Option<Problem> {
    let opens_with_document = source.syntax.attrs.iter().any(|a| a.path().is_ident("doc"));
    if opens_with_document || (source.test && !source.is_root()) {
        return None;
    }
    let modules = source.modules();
    let has_modules = paths.iter().any(|path| {
        path.strip_prefix(modules.as_str())
            .is_some_and(|rest| rest.ends_with(".rs") && rest != "tests.rs")
    });
    let why = if source.is_root() {
        "a crate"
    } else if has_modules {
        "a module with modules"
    } else if lines > UNDOCUMENTED_LINES_MAX {
        "a long module"
    } else {
        return None;
    };
    let message =
        format!("{why} opens with `//!`: what it is for, what it refuses, where to start");
    Some(Problem::new(&source.path, 1, message))
}

/// A function that is not test code.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    /// `Type::name` in an `impl` or a trait; a second one of the same name has `#2`.
    name: String,
    line: usize,
    lines: usize,
    parameters: usize,
}

fn functions(source: &Source) -> Vec<Function> {
    if source.test {
        return Vec::new();
    }
    let mut finder = Finder::default();
    finder.visit_file(&source.syntax);
    let mut seen = BTreeMap::new();
    for function in &mut finder.functions {
        let count: &mut usize = seen.entry(function.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            function.name = format!("{}#{count}", function.name);
        }
    }
    finder.functions
}

#[derive(Debug, Default)]
struct Finder {
    /// The type or trait that the functions belong to now.
    owner: Option<String>,
    functions: Vec<Function>,
}

impl Finder {
    fn add(&mut self, attributes: &[Attribute], signature: &Signature, end: usize) {
        if source::is_test(attributes) {
            return;
        }
        let name = match &self.owner {
            Some(owner) => format!("{owner}::{}", signature.ident),
            None => signature.ident.to_string(),
        };
        let line = signature.span().start().line;
        let receiver = usize::from(signature.receiver().is_some());
        let parameters = signature.inputs.len() - receiver;
        self.functions.push(Function { name, line, lines: end + 1 - line, parameters });
    }

    fn within(&mut self, owner: Option<String>, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        visit(self);
        self.owner = outer;
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !source::is_test(&module.attrs) {
            self.within(None, |finder| visit::visit_item_mod(finder, module));
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        let owner = if let syn::Type::Path(path) = &*block.self_ty {
            path.path.segments.last().map(|last| last.ident.to_string())
        } else {
            None
        };
        if !source::is_test(&block.attrs) {
            self.within(owner, |finder| visit::visit_item_impl(finder, block));
        }
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.within(Some(item.ident.to_string()), |finder| visit::visit_item_trait(finder, item));
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.within(None, |finder| {
            finder.add(&function.attrs, &function.sig, function.block.span().end().line);
            visit::visit_item_fn(finder, function);
        });
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.attrs, &function.sig, function.block.span().end().line);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.add(&function.attrs, &function.sig, function.span().end().line);
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests;
