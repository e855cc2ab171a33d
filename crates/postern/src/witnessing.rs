//! Having the ledger's checkpoints cosigned by witnesses: one round of asking each of them.

use std::path::Path;

use anyhow::Context as _;
use postern_ledger::{Cosigned, CosignerKey, Cosigning, CosigningError, Quorum};

use crate::http;

/// A witness and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WitnessAt {
    pub(crate) url: String,
    pub(crate) key: CosignerKey,
}

impl WitnessAt {
    /// Reads `URL KEY`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let (url, key) =
            text.split_once(' ').context("a witness is its URL, a blank and its key")?;
        http::check_url(url)?;
        let key = CosignerKey::parse(key).context("that is no witness's key")?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), key })
    }
}

/// Who is asked, and what came of it.
#[derive(Debug)]
pub(crate) struct Witnesses {
    urls: Vec<String>,
    /// Which of them did not cosign the last time; they are asked last.
    troubled: Vec<bool>,
    contradiction: Option<String>,
    cosigning: Cosigning,
}

/// How often a witness is asked again because it knows another size.
const TRIES: usize = 3;

impl Witnesses {
    pub(crate) fn open(
        ledger: &Path,
        witnesses: &[WitnessAt],
        enough: usize,
    ) -> anyhow::Result<Self> {
        let keys = witnesses.iter().map(|witness| witness.key.clone()).collect();
        let cosigning = Cosigning::open(ledger, Quorum::new(keys, enough)?)?;
        let urls: Vec<String> = witnesses.iter().map(|witness| witness.url.clone()).collect();
        let troubled = vec![false; urls.len()];
        Ok(Self { urls, troubled, contradiction: None, cosigning })
    }

    pub(crate) fn done(&self) -> Cosigned {
        self.cosigning.done()
    }

    /// Asks each witness to cosign the newest checkpoint, and says after each how far enough of
    /// them have come. Returns what kept any from it.
    pub(crate) fn round(&mut self, each: &dyn Fn(Cosigned)) -> anyhow::Result<Vec<String>> {
        if !self.cosigning.begin()? {
            return Ok(Vec::new());
        }
        Ok(self.ask_all(each))
    }

    /// The same though the newest checkpoint is cosigned, to learn whether they have seen more.
    pub(crate) fn first_round(&mut self) -> anyhow::Result<Vec<String>> {
        if !self.cosigning.begin_again()? {
            return Ok(Vec::new());
        }
        Ok(self.ask_all(&|_| {}))
    }

    /// What a witness has seen that this ledger can't have lost, if there is such a thing.
    pub(crate) fn contradiction(&self) -> Option<&str> {
        self.contradiction.as_deref()
    }

    fn ask_all(&mut self, each: &dyn Fn(Cosigned)) -> Vec<String> {
        let mut troubles = Vec::new();
        let mut order: Vec<usize> = (0..self.urls.len()).collect();
        order.sort_by_key(|&witness| self.troubled.get(witness).copied());
        for witness in order {
            let asked = self.ask(witness);
            if let Some(troubled) = self.troubled.get_mut(witness) {
                *troubled = asked.is_err();
            }
            if let Err(error) = asked {
                let contradicts = error.downcast_ref().is_some_and(CosigningError::contradicts);
                if contradicts {
                    self.contradiction = Some(format!("{error:#}"));
                }
                troubles.push(format!("{error:#}"));
            }
            each(self.done());
        }
        troubles
    }

    fn ask(&mut self, witness: usize) -> anyhow::Result<()> {
        let url = self.urls.get(witness).cloned().unwrap_or_default();
        for _ in 0..TRIES {
            let request = self.cosigning.request(witness)?;
            let asked = http::post(&format!("{url}/add-checkpoint"), &request);
            let (status, body) = asked.with_context(|| format!("no witness answers on {url}"))?;
            if self.cosigning.answer(witness, status, &body)? {
                return Ok(());
            }
        }
        anyhow::bail!("the witness on {url} says another size each time")
    }
}
