//! Fifth act: is everything recorded, and can the record be falsified?

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use postern_ledger::{Body, Reader};
use serde::Deserialize;

use super::Play;
use crate::{control::LedgerStatus, demo::auditor::Auditor};

const HISTORY: &str = "no silent rewriting of history";

/// Where frames begin in a segment, and how long a frame is besides its payload; see
/// docs/design/ledger.md.
const SEGMENT_HEADER: usize = 64;
const FRAME_HEADER: usize = 10;

/// Where a copy of the ledger is that was made before the thief came.
const EARLIER: &str = "earlier";

/// Copies the ledger as it is before what somebody will want to be forgotten.
pub(in crate::demo) fn copy(play: &Play<'_>) -> anyhow::Result<()> {
    let output = play.setting.postern(&["ledger", "backup", &play.setting.text(EARLIER)])?;
    anyhow::ensure!(output.status.success(), "no backup: {}", first_line(&output.stderr));
    play.stage.step("a backup of the ledger is made")
}

pub(in crate::demo) fn play(play: &mut Play<'_>) -> anyhow::Result<()> {
    play.stage.act("The ledger")?;
    let LedgerStatus { entries, witnessed, witness_troubles, .. } = play.setting.witnessed()?;
    let all = witnessed == Some(entries) && witness_troubles.is_empty();
    let said = match witnessed {
        Some(witnessed) => format!("witnessed up to {witnessed} of {entries} entries"),
        None => format!("{entries} entries, unwitnessed"),
    };
    play.stage.check(HISTORY, "a witness has seen the ledger", all, said)?;
    play.setting.stop()?;
    complete(play)?;
    let output = play.setting.postern(&["ledger", "verify"])?;
    let said = first_line(&output.stdout);
    play.stage.check(HISTORY, "the ledger is verified", output.status.success(), said)?;
    let auditor = play.setting.auditor()?;
    match &auditor {
        Some(auditor) => audit(play, auditor)?,
        None => play.stage.step("no second verifier: it needs Python with `cryptography`")?,
    }

    let auditor = auditor.as_ref();
    falsify(play, auditor, "one byte is changed", |segment| {
        let frames = frames(segment);
        let Some((start, end)) = frames.get(frames.len() / 2).copied() else { return };
        segment[(start + FRAME_HEADER + end) / 2] ^= 1;
    })?;
    falsify(play, auditor, "one entry is dropped", |segment| {
        let frames = frames(segment);
        let Some((start, end)) = frames.get(frames.len() / 2).copied() else { return };
        segment.drain(start..end);
        segment.resize(segment.len() + (end - start), 0);
    })?;
    falsify(play, auditor, "the end is cut off", |segment| {
        let frames = frames(segment);
        let Some((start, _)) = frames.get(frames.len() * 9 / 10).copied() else { return };
        segment[start..].fill(0);
    })?;
    put_back(play)
}

/// What both verifiers say of a ledger that holds.
#[derive(Debug, Deserialize)]
struct Summary {
    entries: u64,
    /// In hexadecimal.
    root: String,
}

/// What the verifier says that shares no code with Postern: that the ledger holds, and continues
/// what the witness has confirmed.
fn audit(play: &mut Play<'_>, auditor: &Auditor) -> anyhow::Result<()> {
    let ledger = play.setting.ledger();
    let witnessed = ledger.join("witnessed");
    let judged = auditor.verify(&ledger, &play.setting.ledger_key()?, &witnessed)?;
    let output = play.setting.postern(&["ledger", "verify", "--json"])?;
    let own: Summary = serde_json::from_slice(&output.stdout)?;
    let (agrees, result) = if judged.holds {
        let Summary { entries, root } = serde_json::from_value(judged.summary)?;
        let agrees = own.entries == entries && own.root == root;
        (agrees, format!("it holds as well: {entries} entries, the root {root}"))
    } else {
        (false, judged.why)
    };
    play.stage.check(HISTORY, "a program that shares no code verifies it", agrees, result)
}

/// Puts the earlier copy in place, as whoever has the whole machine can. It is genuine: only the
/// witness can tell.
fn put_back(play: &mut Play<'_>) -> anyhow::Result<()> {
    let (copy, key) = (play.setting.text("put-back"), play.setting.ledger().join("key"));
    let (earlier, key) = (play.setting.text(EARLIER), key.display().to_string());
    let restore = ["ledger", "restore", &earlier, "--ledger", &copy, "--signing-key", &key];
    let output = play.setting.postern(&restore)?;
    anyhow::ensure!(output.status.success(), "not restored: {}", first_line(&output.stderr));
    let output = play.setting.postern(&["ledger", "verify", "--ledger", &copy])?;
    anyhow::ensure!(output.status.success(), "a genuine copy does not hold");
    let witness = play.setting.witness().to_owned();
    let cosign = ["ledger", "cosign", "--ledger", &copy, "--witness", &witness];
    let output = play.setting.postern(&cosign)?;
    let caught = output.status.code() == Some(1);
    let said = first_line(if caught { &output.stderr } else { &output.stdout });
    let tried = "an older copy is put in its place, with the key";
    play.stage.check(HISTORY, tried, caught, said.replace(&format!("{copy}/"), ""))
}

/// Whether every customer that some client was sent in clear is in the ledger, for that account.
fn complete(play: &mut Play<'_>) -> anyhow::Result<()> {
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in Reader::open(&play.setting.ledger())? {
        if let Body::Disclosed(disclosed) = entry?.body {
            let subjects = recorded.entry(disclosed.actor.to_string()).or_default();
            let clear = disclosed.groups.iter().filter(|group| group.reason.is_some());
            subjects.extend(clear.flat_map(|group| &group.subjects).map(ToString::to_string));
        }
    }
    let (mut shown, mut missing) = (0, 0);
    for (actor, customers) in &play.shown {
        let known = recorded.get(actor);
        shown += customers.len();
        missing += customers
            .keys()
            .filter(|id| known.is_none_or(|known| !known.contains(&id.to_string())))
            .count();
    }
    let tried = "customers in the bytes of all clients, against the ledger";
    let result = format!("{shown} were sent in clear, {missing} of them are not recorded");
    play.stage.check("record, then reveal", tried, shown > 0 && missing == 0, result)
}

/// Changes a copy of the ledger and sees whether that is noticed, by either verifier.
fn falsify(
    play: &mut Play<'_>,
    auditor: Option<&Auditor>,
    what: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> anyhow::Result<()> {
    let copy = play.setting.path(&format!("falsified-{}", what.replace(' ', "-")));
    copy_folder(&play.setting.ledger(), &copy)?;
    let path = first_segment(&copy.join("segments"))?;
    let before = fs::read(&path)?;
    let mut segment = before.clone();
    change(&mut segment);
    anyhow::ensure!(segment != before, "the copy was not changed");
    fs::write(&path, segment)?;
    let also = match auditor {
        Some(auditor) => {
            let key = play.setting.ledger_key()?;
            !auditor.verify(&copy, &key, &play.setting.ledger().join("witnessed"))?.holds
        }
        None => true,
    };
    let copy = copy.display().to_string();
    let output = play.setting.postern(&["ledger", "verify", "--ledger", &copy])?;
    let caught = output.status.code() == Some(1) && also;
    let said = first_line(if caught { &output.stderr } else { &output.stdout });
    play.stage.check(HISTORY, what, caught, said.replace(&format!("{copy}/"), ""))
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or("nothing was said").to_owned()
}

/// Where each frame of a segment begins and ends.
fn frames(segment: &[u8]) -> Vec<(usize, usize)> {
    let mut frames = Vec::new();
    let mut at = SEGMENT_HEADER;
    while let Some([a, b, c, d]) = segment.get(at + 4..at + 8) {
        let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        let end = at.saturating_add(FRAME_HEADER).saturating_add(length);
        if length == 0 || end > segment.len() {
            break;
        }
        frames.push((at, end));
        at = end;
    }
    frames
}

/// The demo fills no segment, so the first is the one that has entries.
fn first_segment(folder: &Path) -> io::Result<PathBuf> {
    let mut segments: Vec<PathBuf> = Vec::new();
    for file in fs::read_dir(folder)? {
        segments.push(file?.path());
    }
    segments.sort();
    segments.into_iter().next().ok_or_else(|| io::Error::other("the ledger has no segment"))
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        let target = to.join(file.file_name());
        if file.file_type()?.is_dir() {
            copy_folder(&file.path(), &target)?;
        } else {
            fs::copy(file.path(), target)?;
        }
    }
    Ok(())
}
