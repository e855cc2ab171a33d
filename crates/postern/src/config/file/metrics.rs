//! `[metrics]`, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// Figures for a monitoring system that fetches them: `/metrics` of this address, over HTTP, in the
/// text format of OpenMetrics, which Prometheus and others read. How far witnesses have seen the
/// ledger and since when not, its size, what waits to be recorded, when it was synced last, how far
/// its second copy is behind, and what `SHOW STATS` counts. No account, customer or value is among
/// them. docs/metrics.md lists them. Without this section nothing listens. A change needs a
/// restart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsFile {
    /// The address and port. It has to be a loopback address: whoever reaches it is shown the
    /// figures. What fetches them from another machine needs an agent or a proxy on this one.
    #[serde(default = "listen_default")]
    pub(crate) listen: String,
}

fn listen_default() -> String {
    "127.0.0.1:6481".to_owned()
}
