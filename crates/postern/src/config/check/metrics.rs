//! `[metrics]`: where figures can be fetched.

use std::net::SocketAddr;

use super::Checker;
use crate::config::{file::MetricsFile, place::Place};

impl Checker<'_> {
    /// Nothing that is asked there is asked by somebody who is known.
    pub(super) fn metrics(&mut self, file: &MetricsFile) -> SocketAddr {
        let (place, text) = (Place::section("metrics").key("listen"), &file.listen);
        let address = self.listen(&place, text, true);
        if !address.ip().is_loopback() {
            self.wrong(
                &place,
                format!("`{text}` can be reached from other machines"),
                "listen on `127.0.0.1`, and have an agent on this machine pass the figures on",
            );
        }
        address
    }
}
