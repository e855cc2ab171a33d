//! What the server says of a statement's parameters and columns, without those that are hidden.

use bytes::BytesMut;
use postern_wire::{
    Frame, encode,
    rewrite::{self, Origin},
};

use crate::{
    Effect, Session,
    expect::Expect,
    judge::Planned,
    server::{Handled, Unexpected},
};

impl Session {
    pub(crate) fn described(
        &mut self,
        frame: &Frame,
        columns: &[postern_wire::Column<'_>],
        effects: &mut Vec<Effect>,
    ) -> Handled {
        let (plan, moves) = match self.expected.front() {
            Some(Expect::DescribeStatement(described)) => (described.plan.clone(), described.moves),
            Some(Expect::DescribePortal(portal) | Expect::DescribeOwn(portal)) => {
                (portal.plan.clone(), portal.moves())
            }
            Some(Expect::Simple(runs)) => {
                let portal = &runs.front().ok_or(Unexpected)?.portal;
                (portal.plan.clone(), portal.moves())
            }
            Some(_) | None => return Err(Unexpected),
        };
        let asked =
            !matches!(self.expected.front(), Some(Expect::Simple(_) | Expect::DescribeOwn(_)));
        if !matches!(self.expected.front(), Some(Expect::Simple(_))) {
            self.expected.pop_front();
        }
        let mut bytes = BytesMut::new();
        if moves || plan.is_silent() {
            if asked {
                encode::no_data(&mut bytes);
                self.outbox.bytes(&bytes, effects);
            }
            return Ok(());
        }
        let plan = match &*plan {
            Planned::Plain(_) => return self.pass(frame, effects),
            Planned::Guarded(plan) => plan,
            Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => return Err(Unexpected),
        };
        let origins: Vec<Option<Origin>> = plan
            .guarded
            .origins
            .iter()
            .map(|origin| {
                origin.map(|origin| Origin {
                    table_oid: origin.table_oid,
                    attribute: origin.attribute,
                    type_modifier: origin.type_modifier,
                })
            })
            .collect();
        rewrite::row_description(&mut bytes, columns, plan.guarded.keys.len(), &origins)?;
        self.outbox.bytes(&bytes, effects);
        Ok(())
    }

    pub(crate) fn parameters(
        &mut self,
        frame: &Frame,
        types: &[u32],
        effects: &mut Vec<Effect>,
    ) -> Handled {
        let Some(Expect::DescribeStatement(described)) = self.expected.front() else {
            return Err(Unexpected);
        };
        let hidden = described.hidden_parameters;
        if hidden == 0 {
            return self.pass(frame, effects);
        }
        let mut bytes = BytesMut::new();
        rewrite::parameter_description(&mut bytes, types, hidden)?;
        self.outbox.bytes(&bytes, effects);
        Ok(())
    }

    pub(crate) fn no_data(&mut self, frame: &Frame, effects: &mut Vec<Effect>) -> Handled {
        if let Some(Expect::DescribeOwn(_)) = self.expected.front() {
            self.expected.pop_front();
            return Ok(());
        }
        self.expect(|expect| {
            matches!(expect, Expect::DescribeStatement(_) | Expect::DescribePortal(_))
        })?;
        self.pass(frame, effects)
    }
}
