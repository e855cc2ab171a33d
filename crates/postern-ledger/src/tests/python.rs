//! The second verifier, `verifier/` in Python, asked about many versions of one small ledger.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Map, Value, json};

use crate::Quorum;

type Files = std::collections::BTreeMap<String, Vec<u8>>;

/// An interpreter with the library that the verifier needs. `make test` sees to it that there is
/// one and sets the variable; else its absence only means that nothing is compared.
pub(crate) fn interpreter() -> Option<&'static str> {
    let can = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", "import cryptography"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(can);
    let needed = std::env::var_os("POSTERN_NEEDS_PYTHON").is_some();
    assert!(found.is_some() || !needed, "there is no python3 with the module `cryptography`");
    found
}

pub(crate) fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../verifier").join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a script says of each text: a line for each, `None` if there is no interpreter.
pub(crate) fn said_of(name: &str, args: &[String], texts: &[String]) -> Option<Vec<String>> {
    let mut child = Command::new(interpreter()?)
        .arg(script(name))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = texts.iter().map(|text| format!("{}\n", json!(text))).collect();
    // By a thread, since both pipes are shorter than what goes through them.
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// The arguments that say to a script whom to trust.
pub(crate) fn trust(key: &postern_merkle::VerifyingKey, quorum: Option<&Quorum>) -> Vec<String> {
    let mut args = vec![key.as_str().to_owned()];
    if let Some(quorum) = quorum {
        args.push(quorum.enough().to_string());
        args.extend(quorum.witnesses().iter().map(postern_merkle::CosignerKey::to_text));
    }
    args
}

/// How one version differs, in the form that `compare.py` reads.
fn changes(whole: &Files, version: &Files) -> String {
    let mut changes = Map::new();
    for name in whole.keys().filter(|name| !version.contains_key(*name)) {
        changes.insert(name.clone(), Value::Null);
    }
    for (name, bytes) in version {
        let change = match whole.get(name) {
            Some(old) if old == bytes => continue,
            Some(old) if old.len() == bytes.len() => {
                let differs = |at: &usize| old[*at] != bytes[*at];
                let first = (0..old.len()).find(differs).unwrap();
                let last = (0..old.len()).rfind(differs).unwrap();
                json!([first, hex(&bytes[first..=last])])
            }
            _ => json!(hex(bytes)),
        };
        changes.insert(name.clone(), change);
    }
    Value::Object(changes).to_string()
}

/// What the other verifier says of each version; `None` if there is no interpreter.
pub(crate) fn answers<'a>(
    whole: &Files,
    versions: impl Iterator<Item = &'a Files>,
) -> Option<Vec<String>> {
    let mut child = Command::new(interpreter()?)
        .arg(script("compare.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines = versions.map(|version| changes(whole, version));
    let lines: Vec<String> = std::iter::once(changes(&Files::new(), whole)).chain(lines).collect();
    // By a thread, since both pipes are shorter than what goes through them.
    let writer = std::thread::spawn(move || input.write_all((lines.join("\n") + "\n").as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}
