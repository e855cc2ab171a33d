//! Where the ledger's second copy is kept, what waits for witnesses, and for how long customers are
//! named.

use std::{path::PathBuf, time::Duration};

use postern_ledger::{BulkOptions, Retention};

use super::{Checker, rules::WINDOW_MAX};
use crate::{
    config::{
        file::{DurableOn, LedgerFile, PeerFile, WitnessFile},
        place::Place,
        settings::PeerSettings,
    },
    peer::{PeerAt, PeerTls},
};

/// How many results wait for witnesses; each has as many rows in memory as a connection may hold.
const WAITING_MAX: usize = 64;
const DAY: Duration = Duration::from_secs(86_400);

impl Checker<'_> {
    pub(super) fn retention(&mut self, file: &LedgerFile) -> Option<Retention> {
        let section = Place::section("ledger");
        let epoch = self.duration(&section.key("epoch"), &file.epoch);
        if !(DAY..=366 * DAY).contains(&epoch) {
            self.wrong(
                &section.key("epoch"),
                format!("an epoch of `{}` is too short or too long", file.epoch),
                "write `1d` to `366d`",
            );
        }
        let retention = file.retention.as_ref()?;
        let keep = self.duration(&section.key("retention"), retention);
        if keep < WINDOW_MAX {
            self.wrong(
                &section.key("retention"),
                format!("budgets look back further than `{retention}`"),
                "write `31d` or more",
            );
        }
        Some(Retention { epoch, keep })
    }

    pub(super) fn older_segments(&mut self, file: &LedgerFile) -> Option<PathBuf> {
        let folder = file.older_segments.as_ref()?;
        let place = Place::section("ledger").key("older_segments");
        self.not_empty(&place, "folder", folder);
        Some(self.folder.join(folder))
    }

    /// What waits for witnesses.
    pub(super) fn bulk(&mut self, place: &Place, file: &WitnessFile) -> Option<BulkOptions> {
        let patience = self.duration(&place.key("patience"), &file.patience);
        let records_max = u64::from(file.unwitnessed_max?);
        if file.witnesses.is_empty() {
            self.wrong(
                &place.key("unwitnessed_max"),
                "results are to wait for a witness, and there is none",
                "name one in `witnesses`, or leave it out",
            );
        }
        Some(BulkOptions { records_max, patience, waiting_max: WAITING_MAX })
    }

    pub(super) fn peer(&mut self, file: LedgerFile) -> Option<PeerSettings> {
        let section = Place::section("ledger");
        let peer = match (file.durable_on, file.peer) {
            (DurableOn::Local, None) => return None,
            (DurableOn::LocalAndPeer, Some(peer)) => peer,
            (DurableOn::LocalAndPeer, None) => {
                self.wrong(
                    &section.key("durable_on"),
                    "a second copy is to be waited for, and it is not said where it is",
                    "add `[ledger.peer]` with the `address` of a `postern follow`",
                );
                return None;
            }
            (DurableOn::Local, Some(_)) => {
                self.wrong(
                    &section.key("peer"),
                    "a follower is named, and nothing waits for it",
                    "set `durable_on = \"local+peer\"`, or leave `[ledger.peer]` out",
                );
                return None;
            }
        };
        let place = section.key("peer");
        let patience = self.duration(&place.key("patience"), &peer.patience);
        let at = match PeerAt::parse(&peer.address) {
            Ok(at) => at.under(&self.folder),
            Err(error) => {
                self.wrong(
                    &place.key("address"),
                    format!("`{}` is no place of a follower: {error:#}", peer.address),
                    "write `HOST:PORT`, or `unix:PATH` for a socket of this machine",
                );
                return None;
            }
        };
        let tls = self.peer_tls(&place, &peer, &at);
        Some(PeerSettings { at, tls, when_lost: peer.when_lost, patience })
    }

    fn peer_tls(&mut self, place: &Place, peer: &PeerFile, at: &PeerAt) -> Option<PeerTls> {
        let given = (&peer.tls_certificate, &peer.tls_key, &peer.tls_ca);
        match (at, given) {
            (PeerAt::Unix(_), (None, None, None)) => None,
            (PeerAt::Unix(_), _) => {
                self.wrong(
                    &place.key("address"),
                    "over a Unix socket nothing is encrypted",
                    "leave `tls_certificate`, `tls_key` and `tls_ca` out",
                );
                None
            }
            (PeerAt::Host { .. }, (Some(certificate), Some(key), Some(ca))) => Some(PeerTls {
                certificate: self.existing(&place.key("tls_certificate"), certificate),
                key: self.existing(&place.key("tls_key"), key),
                ca: self.existing(&place.key("tls_ca"), ca),
            }),
            (PeerAt::Host { .. }, _) => {
                self.wrong(
                    &place.key("address"),
                    "the ledger would be sent to it without knowing who it is",
                    "give `tls_certificate`, `tls_key` and `tls_ca`, all three",
                );
                None
            }
        }
    }
}
