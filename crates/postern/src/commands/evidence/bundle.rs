//! The file: a ZIP archive of which a signed statement names every part with its digest.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Cursor, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use postern_ledger::{public_key, sign_dsse};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::time;

/// What in-toto calls the kind of evidence.
pub(super) const PREDICATE: &str = "urn:postern:evidence:1";
const MANIFEST: &str = "manifest.dsse.json";
/// The reply of a time-stamping authority about the manifest.
const STAMP: &str = "manifest.tsr";
/// The most of a part that is read.
const PART_BYTES_MAX: u64 = 1 << 30;
/// The media type of an in-toto statement.
const MEDIA_TYPE: &str = "application/vnd.in-toto+json";

/// The parts by name.
#[derive(Debug, Default)]
pub(in crate::commands) struct Bundle(BTreeMap<String, Vec<u8>>);

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An in-toto statement, version 1.
#[derive(Debug, Serialize)]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<Part<'a>>,
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: Predicate,
}

#[derive(Debug, Serialize)]
struct Part<'a> {
    name: &'a str,
    digest: Digests,
}

#[derive(Debug, Serialize)]
struct Digests {
    sha256: String,
}

#[derive(Debug, Serialize)]
struct Predicate {
    ledger: String,
    postern: &'static str,
}

/// A DSSE 1.0 envelope.
#[derive(Debug, Serialize)]
struct Envelope {
    #[serde(rename = "payloadType")]
    payload_type: &'static str,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Serialize)]
struct Signature {
    keyid: String,
    sig: String,
}

impl Bundle {
    pub(in crate::commands) fn put(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.insert(name.to_owned(), bytes);
    }

    /// Signs the parts, has the manifest stamped if there is an authority for that, and writes the
    /// file, which must not exist yet; the time that the authority states.
    pub(in crate::commands) fn write(
        mut self,
        ledger: &Path,
        predicate: &'static str,
        tsa: Option<&str>,
        to: &Path,
    ) -> anyhow::Result<Option<String>> {
        let manifest = self.manifest(ledger, predicate)?;
        let mut stated = None;
        if let Some(url) = tsa {
            let (token, time) = time::stamp(url, &manifest)?;
            // Behind the manifest, which it is about.
            self.put(STAMP, token);
            stated = Some(time);
        }
        self.put(MANIFEST, manifest);
        self.pack(to)?;
        Ok(stated)
    }

    /// The parts of a file, none of them checked.
    pub(super) fn read(from: &Path) -> anyhow::Result<Self> {
        let at = || format!("can't read `{}`", from.display());
        let mut archive = ZipArchive::new(File::open(from).with_context(at)?).with_context(at)?;
        let mut parts = Self::default();
        for place in 0..archive.len() {
            let part = archive.by_index(place).with_context(at)?;
            let name = part.name().with_context(at)?.into_owned();
            let mut bytes = Vec::new();
            part.take(PART_BYTES_MAX).read_to_end(&mut bytes).with_context(at)?;
            parts.put(&name, bytes);
        }
        ensure!(parts.0.contains_key(MANIFEST), "`{}` is no evidence of Postern", from.display());
        Ok(parts)
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, bytes)| (&**name, &**bytes))
    }

    pub(super) fn parts_mut(&mut self) -> &mut BTreeMap<String, Vec<u8>> {
        &mut self.0
    }

    /// Writes the file, which must not exist yet, for its owner only: the list is in it.
    pub(super) fn pack(&self, to: &Path) -> anyhow::Result<()> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let parts = self.0.iter().map(|(name, bytes)| (name.as_str(), bytes));
        for (name, bytes) in parts {
            archive.start_file(name, stored)?;
            archive.write_all(bytes)?;
        }
        let bytes = archive.finish()?.into_inner();
        let at = || format!("can't write `{}`", to.display());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(to).with_context(at)?;
        file.write_all(&bytes).with_context(at)?;
        file.sync_all().with_context(at)
    }

    fn manifest(&self, ledger: &Path, predicate: &'static str) -> anyhow::Result<Vec<u8>> {
        let key = public_key(ledger)?;
        let part = |(name, bytes): (&'_ String, &Vec<u8>)| -> (String, String) {
            (name.clone(), sha256(bytes))
        };
        let parts: Vec<(String, String)> = self.0.iter().map(part).collect();
        let subject = parts
            .iter()
            .map(|(name, digest)| Part { name, digest: Digests { sha256: digest.clone() } });
        let statement = Statement {
            kind: "https://in-toto.io/Statement/v1",
            subject: subject.collect(),
            predicate_type: predicate,
            predicate: Predicate {
                ledger: key.name().to_owned(),
                postern: env!("CARGO_PKG_VERSION"),
            },
        };
        let payload = serde_json::to_vec(&statement)?;
        let signature = sign_dsse(ledger, MEDIA_TYPE, &payload)
            .context("evidence is signed with the ledger's key, and exported where that is")?;
        let envelope = Envelope {
            payload_type: MEDIA_TYPE,
            payload: BASE64_STANDARD.encode(&payload),
            signatures: vec![Signature {
                keyid: key.as_str().to_owned(),
                sig: BASE64_STANDARD.encode(signature),
            }],
        };
        Ok(serde_json::to_vec_pretty(&envelope)?)
    }
}
