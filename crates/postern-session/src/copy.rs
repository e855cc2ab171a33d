//! COPY: rows to the client are cut, held and recorded as those of a SELECT; rows from the client
//! go on to a table that is not protected.

use bytes::{BufMut, BytesMut};
use postern_sql::{CopyForm, Effect as Does, KeyType};
use postern_wire::{
    CopyFormats, Frame, Frontend,
    copy::{self, BINARY_HEADER, BinaryPiece, CopyRow, CopyWidth, Csv},
    encode,
};

use crate::{
    Effect, Session,
    judge::{Planned, PlannedCopy, PlannedGuarded},
    portal::Portal,
    server::{Handled, Unexpected},
    session::to_server,
};

/// Where a copy from the client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyIn {
    /// There is none.
    No,
    /// It was asked for; what the client sends next depends on the server's answer.
    Awaited,
    /// The server takes data, but it is not proven yet by which catalogue it read the statement.
    Unproven,
    /// The server takes data.
    Open,
}

impl From<copy::CopyRowError> for Unexpected {
    fn from(_: copy::CopyRowError) -> Self {
        Self
    }
}

impl Session {
    /// What the client sends after a copy from it depends on the server's answer.
    pub(crate) fn await_copy(&mut self, portal: &Portal) {
        if matches!(&*portal.plan, Planned::Plain(plain) if plain.effect == Does::CopyIn) {
            self.copy_in = CopyIn::Awaited;
        }
    }

    /// The server has analysed the statement and locked the table: what is proven now holds until
    /// the end of the transaction. The client is asked for no row before, so that no row is written
    /// and nothing committed.
    pub(crate) fn copy_in_response(&mut self, frame: &Frame, effects: &mut Vec<Effect>) -> Handled {
        self.gate(effects);
        let run = self.run()?;
        match &*run.portal.plan {
            Planned::Plain(plain) if plain.effect == Does::CopyIn => {}
            Planned::Plain(plain) if plain.is_unaccounted() => {}
            Planned::Plain(_)
            | Planned::Guarded(_)
            | Planned::Local(_)
            | Planned::Named(_)
            | Planned::Copy(_) => return Err(Unexpected),
        }
        self.copy_in = CopyIn::Unproven;
        if self.outbox.is_discarding() {
            // The client has been told of an error and sends no row.
            return self.fail_copy(effects).map_err(Into::into);
        }
        self.pass(frame, effects)
    }

    /// The client may send its rows as soon as the copy is proven.
    pub(crate) fn open_copy(&mut self) {
        if self.copy_in != CopyIn::Unproven {
            return;
        }
        let portal = self.run().ok().map(|run| run.portal.clone());
        if portal.is_some_and(|portal| self.unproven(&portal).is_none()) {
            self.copy_in = CopyIn::Open;
        }
    }

    /// Whether the server waits for rows of the client.
    pub fn awaits_rows(&self) -> bool {
        self.copy_in == CopyIn::Open
    }

    /// Ends a copy from the client whose statement is cut; the server waits for rows.
    pub(crate) fn fail_copy(
        &mut self,
        effects: &mut Vec<Effect>,
    ) -> Result<(), encode::EncodeError> {
        if matches!(self.copy_in, CopyIn::Unproven | CopyIn::Open) {
            self.copy_in = CopyIn::No;
            let mut bytes = BytesMut::new();
            encode::copy_fail(&mut bytes, "the statement was ended")?;
            to_server(&bytes, effects);
        }
        Ok(())
    }

    /// A message of the client while the server takes data.
    pub(crate) fn copy_in(
        &mut self,
        frame: &Frame,
        message: &Frontend<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), encode::EncodeError> {
        match message {
            Frontend::CopyData(_) => to_server(frame.raw(), effects),
            Frontend::CopyDone | Frontend::CopyFail(_) => {
                self.copy_in = CopyIn::No;
                to_server(frame.raw(), effects);
            }
            // The server ignores them here, and so nothing answers them.
            Frontend::Sync | Frontend::Flush => {}
            Frontend::Query(_)
            | Frontend::Parse(_)
            | Frontend::Bind(_)
            | Frontend::Describe(_)
            | Frontend::Execute(_)
            | Frontend::Close(_)
            | Frontend::Terminate
            | Frontend::Password(_)
            | Frontend::FunctionCall => {
                self.copy_in = CopyIn::No;
                let mut bytes = BytesMut::new();
                encode::copy_fail(&mut bytes, "unexpected message during COPY from stdin")?;
                to_server(&bytes, effects);
            }
        }
        Ok(())
    }

    pub(crate) fn copy_out_response(
        &mut self,
        frame: &Frame,
        formats: &CopyFormats,
        effects: &mut Vec<Effect>,
    ) -> Handled {
        self.gate(effects);
        let run = self.run()?;
        run.copies_out = true;
        let plan = run.portal.plan.clone();
        let copy = match &*plan {
            Planned::Plain(_) => return self.pass(frame, effects),
            Planned::Copy(copy) => copy,
            Planned::Guarded(_) | Planned::Local(_) | Planned::Named(_) => return Err(Unexpected),
        };
        let hidden = copy.query.guarded.keys.len();
        let visible = formats.columns.len().checked_sub(hidden).ok_or(Unexpected)?;
        let columns = formats.columns.get(..visible).ok_or(Unexpected)?.to_vec();
        let binary = u8::from(copy.form == CopyForm::Binary);
        if visible != copy.query.guarded.visible_columns || formats.overall != binary {
            return Err(Unexpected);
        }
        let mut bytes = BytesMut::new();
        let formats = CopyFormats { overall: formats.overall, columns };
        encode::copy_out_response(&mut bytes, &formats)?;
        self.outbox.bytes(&bytes, effects);
        Ok(())
    }

    /// The server sends one row in one message; the header of the binary format comes with the
    /// first, that of the others in a message of its own.
    pub(crate) fn copy_data(
        &mut self,
        frame: &Frame,
        data: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Handled {
        self.gate(effects);
        let run = self.run()?;
        if !run.copies_out {
            return Err(Unexpected);
        }
        let first = !std::mem::replace(&mut run.copy_began, true);
        let plan = run.portal.plan.clone();
        let copy = match &*plan {
            Planned::Plain(_) => return self.pass(frame, effects),
            Planned::Copy(copy) => copy,
            Planned::Guarded(_) | Planned::Local(_) | Planned::Named(_) => return Err(Unexpected),
        };
        if self.outbox.is_discarding() {
            return Ok(());
        }
        let guarded = &copy.query.guarded;
        let width = CopyWidth { visible: guarded.visible_columns, hidden: guarded.keys.len() };
        match &copy.form {
            CopyForm::Binary => self.binary_data(copy, data, (first, width), effects),
            CopyForm::Text { header, .. } | CopyForm::Csv { header, .. } => {
                let row = line(copy, data, width)?;
                let visible = data.get(..row.visible).ok_or(Unexpected)?;
                if first && *header {
                    self.copy_bytes(&[visible, b"\n"], effects);
                    return Ok(());
                }
                self.copy_row(copy, &[visible, b"\n"], &row.hidden, effects)
            }
        }
    }

    fn binary_data(
        &mut self,
        copy: &PlannedCopy,
        data: &[u8],
        (first, width): (bool, CopyWidth),
        effects: &mut Vec<Effect>,
    ) -> Handled {
        let mut data = data;
        if first {
            data = data.strip_prefix(BINARY_HEADER).ok_or(Unexpected)?;
            self.copy_bytes(&[BINARY_HEADER], effects);
            if data.is_empty() {
                return Ok(());
            }
        }
        match copy::binary_piece(data, width)? {
            BinaryPiece::End => {
                self.end_rows(effects)?;
                self.copy_bytes(&[&(-1_i16).to_be_bytes()], effects);
                Ok(())
            }
            BinaryPiece::Row(row) => {
                let visible = data.get(2..2 + row.visible).ok_or(Unexpected)?;
                let count = i16::try_from(width.visible).map_err(|_| Unexpected)?;
                let leaves = &copy.query.guarded.leaves;
                let keys = copy.query.guarded.keys.iter().zip(row.hidden);
                let keys = keys.map(|(key, value)| {
                    let kind = leaves.get(key.leaf).ok_or(Unexpected)?.key_type;
                    let key = value.map(|value| kind.binary(&value).ok_or(Unexpected));
                    Ok(key.transpose()?.map(String::into_bytes))
                });
                let keys = keys.collect::<Result<Vec<_>, Unexpected>>()?;
                self.copy_row(copy, &[&count.to_be_bytes(), visible], &keys, effects)
            }
        }
    }

    /// What holds no record.
    fn copy_bytes(&mut self, parts: &[&[u8]], effects: &mut Vec<Effect>) {
        let mut bytes = BytesMut::new();
        put_copy_data(&mut bytes, parts);
        self.outbox.bytes(&bytes, effects);
    }

    fn copy_row(
        &mut self,
        copy: &PlannedCopy,
        parts: &[&[u8]],
        keys: &[Option<Vec<u8>>],
        effects: &mut Vec<Effect>,
    ) -> Handled {
        let run = self.run()?;
        run.rows += 1;
        if !copy.query.is_held() {
            self.copy_bytes(parts, effects);
            return Ok(());
        }
        self.hold(&copy.query, None, effects, |out| {
            put_copy_data(out, parts);
            Ok(keys.iter().map(Option::as_deref))
        })
    }

    pub(crate) fn copy_done(&mut self, frame: &Frame, effects: &mut Vec<Effect>) -> Handled {
        if !self.run()?.copies_out {
            return Err(Unexpected);
        }
        self.end_rows(effects)?;
        self.pass(frame, effects)
    }

    /// All rows have come, and before the client can know it, what it searched for is told.
    fn end_rows(&mut self, effects: &mut Vec<Effect>) -> Handled {
        let run = self.run()?;
        let asked = run.asked();
        let told = std::mem::replace(&mut run.lookups_told, true);
        let portal = run.portal.clone();
        if let Some(plan) = portal.plan.guarded() {
            if !told {
                self.tell(plan, &portal, false);
            }
            self.tell_lookups_of(plan, plan.deciders(&portal.searched, false));
        }
        if let Some((plan, row)) = portal.plan.guarded().zip(asked) {
            self.tell_row(plan, row);
        }
        self.flush(effects);
        Ok(())
    }
}

fn put_copy_data(out: &mut BytesMut, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.put_u8(b'd');
    // No longer than the message that they were cut from, by more than a line's end.
    out.put_u32(u32::try_from(length + 4).unwrap_or(u32::MAX));
    for part in parts {
        out.put_slice(part);
    }
}

fn line(copy: &PlannedCopy, data: &[u8], width: CopyWidth) -> Result<CopyRow, Unexpected> {
    match &copy.form {
        CopyForm::Csv { delimiter, quote, escape, null, .. } => {
            let (delimiter, quote, escape, null) = (*delimiter, *quote, *escape, null.as_bytes());
            Ok(copy::csv_row(data, Csv { delimiter, quote, escape, null }, width)?)
        }
        CopyForm::Text { delimiter, null, .. } => {
            let mut row = copy::text_row(data, (*delimiter, null.as_bytes()), width)?;
            for (key, value) in copy.query.guarded.keys.iter().zip(&mut row.hidden) {
                // The client chose what NULL looks like: what may be a key is taken for one.
                if value.is_none() && may_be_key(&copy.query, key.leaf, null) {
                    *value = Some(null.as_bytes().to_vec());
                }
            }
            Ok(row)
        }
        CopyForm::Binary => Err(Unexpected),
    }
}

/// Whether a key can be written as that text in the text format.
fn may_be_key(plan: &PlannedGuarded, leaf: usize, null: &str) -> bool {
    let kind = plan.guarded.leaves.get(leaf).map(|leaf| leaf.key_type);
    // A value's own backslashes are doubled.
    null != r"\N"
        && match kind {
            Some(KeyType::Int) => null.parse::<i64>().is_ok(),
            Some(KeyType::Uuid) => null.len() == 36,
            Some(KeyType::Text) | None => true,
        }
}
