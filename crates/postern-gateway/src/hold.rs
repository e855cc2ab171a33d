//! Rows that wait for the ledger's receipt, and the one way on which they leave.

use bytes::BytesMut;
use postern_ledger::Receipt;
use postern_session::Hold;
use thiserror::Error;

/// The rows of one hold. The only way out is [`HoldBuffer::release`].
#[derive(Debug)]
pub(crate) struct HoldBuffer {
    connection: u64,
    hold: u64,
    /// Where each row ends in `bytes`.
    ends: Vec<usize>,
    bytes: BytesMut,
}

/// Not what this hold waits for.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum WrongReceipt {
    #[error("the receipt is for hold {hold} of connection {connection}, not for this one")]
    Other { connection: u64, hold: u64 },
    #[error("hold {named} is to be released, which is not the one that was recorded")]
    Named { named: u64 },
}

impl HoldBuffer {
    /// Takes the rows of a hold; what is left of the hold says whom they disclose.
    pub(crate) fn new(connection: u64, hold: &mut Hold) -> Self {
        let mut end = 0;
        let ends = hold.rows.iter().map(|row| {
            end += row.bytes;
            end
        });
        let ends = ends.collect();
        Self { connection, hold: hold.id, ends, bytes: std::mem::take(&mut hold.bytes) }
    }

    pub(crate) fn hold(&self) -> u64 {
        self.hold
    }

    /// The first rows, as many as `rows` and the receipt both allow, if the session names this
    /// hold.
    ///
    /// INVARIANT (record, then reveal): a receipt exists only after the entry is on stable storage,
    /// it names the connection and the hold, and it is used up here.
    #[expect(clippy::needless_pass_by_value, reason = "a receipt is good for one release")]
    pub(crate) fn release(
        mut self,
        receipt: Receipt,
        (named, rows): (u64, usize),
    ) -> Result<BytesMut, WrongReceipt> {
        if named != self.hold {
            return Err(WrongReceipt::Named { named });
        }
        let (connection, hold) = (receipt.connection(), receipt.hold());
        let counted = usize::try_from(receipt.rows()) == Ok(self.ends.len());
        if connection != self.connection || hold != self.hold || !counted {
            return Err(WrongReceipt::Other { connection, hold });
        }
        let allowed = usize::try_from(receipt.allowed()).unwrap_or(usize::MAX);
        let rows = rows.min(allowed).min(self.ends.len());
        let end = rows.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        self.bytes.truncate(end);
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests;
