use std::sync::Arc;

use postern_ledger::{Ledger, Options};
use postern_model::{Actor, Clock, StatementFingerprint, Subject, Timestamp};
use postern_session::{HeldRow, Shown, ShownLeaf, Touch};

use super::*;
use crate::draft::draft;

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

fn hold(id: u64) -> Hold {
    let leaf = ShownLeaf {
        relation: "public.customers".into(),
        clear: Vec::new(),
        shown: Vec::new(),
        masked: vec!["name".into()],
    };
    let shown = Shown {
        fingerprint: StatementFingerprint::default(),
        statement: "SELECT".into(),
        leaves: vec![leaf],
    };
    let touch = Touch { leaf: 0, subject: Subject::new("1"), reason: None };
    let row = HeldRow { bytes: 3, touches: vec![touch], asks: false };
    let bytes = BytesMut::from(&b"row"[..]);
    Hold {
        id,
        shown: Arc::new(shown),
        rows: vec![row],
        lookups: Vec::new(),
        values: Vec::new(),
        bytes,
        stopped: None,
        done: false,
        observed: None,
        claimed: None,
    }
}

/// The hold of that number, recorded.
fn recorded(ledger: &Ledger, id: u64) -> (HoldBuffer, Receipt) {
    let mut hold = hold(id);
    let buffer = HoldBuffer::new(1, &mut hold);
    let draft = draft(hold, (1, &Actor::new("ana")), &Arc::from([]), &[0; 32]);
    let (sender, receipt) = std::sync::mpsc::channel();
    ledger.record(draft, Box::new(move |result| sender.send(result).unwrap()));
    (buffer, receipt.recv().unwrap().unwrap())
}

#[test]
fn rows_leave_by_their_own_receipt_and_name_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let options = || Options::new("test", Arc::new(Epoch)).small();
    Ledger::create(&path, &options()).unwrap();
    let ledger = Ledger::open(&path, options(), Arc::new(|_| {})).unwrap();
    let (buffer, receipt) = recorded(&ledger, 1);
    assert_eq!(&buffer.release(receipt, (1, 1)).unwrap()[..], b"row");
    let (buffer, receipt) = recorded(&ledger, 2);
    assert_eq!(buffer.release(receipt, (1, 1)), Err(WrongReceipt::Named { named: 1 }));
    let (buffer, _) = recorded(&ledger, 3);
    let (_, other) = recorded(&ledger, 4);
    let wrong = WrongReceipt::Other { connection: 1, hold: 4 };
    assert_eq!(buffer.release(other, (3, 1)), Err(wrong));
}
