use std::{fmt::Write as _, time::Duration};

use postern_model::Timestamp;

use super::{
    Customer, DAY, OPEN_TICKETS, TICKETS, Ticket,
    words::{BODIES, SUBJECTS},
};
use crate::demo::chance::Chance;

const HOUR: Duration = Duration::from_secs(3_600);

/// The tickets: first each agent's open ones, each of another customer; then the closed ones of
/// the last year, one in twenty of them opened by an agent. Decoys have none.
pub(super) fn make(
    customers: &[Customer],
    decoys: &[usize],
    agents: &[String],
    now: Timestamp,
    chance: &mut Chance,
) -> Vec<Ticket> {
    let ids: Vec<usize> =
        customers.iter().map(|customer| customer.id).filter(|id| !decoys.contains(id)).collect();
    let mut tickets = Vec::with_capacity(TICKETS);
    let open = chance.some_of(&ids, agents.len() * OPEN_TICKETS);
    for (index, customer) in open.into_iter().enumerate() {
        let hours = u32::try_from(1 + chance.below(72)).unwrap_or(1);
        let mut ticket = Ticket::new(tickets.len() + 1, customer, now.before(HOUR * hours), chance);
        ticket.assignee = Some(agents[index / OPEN_TICKETS].clone());
        ticket.status = *chance.one_of(&["open", "open", "pending"]);
        tickets.push(ticket);
    }
    while tickets.len() < TICKETS {
        let days = u32::try_from(3 + chance.below(360)).unwrap_or(3);
        let customer = *chance.one_of(&ids);
        let mut ticket = Ticket::new(tickets.len() + 1, customer, now.before(DAY * days), chance);
        let agent = chance.one_of(agents).clone();
        if chance.below(20) == 0 {
            (ticket.opened_by, ticket.channel) = (agent.clone(), "internal");
            ticket.inbound_ref = None;
        }
        ticket.assignee = Some(agent);
        ticket.status = "closed";
        let open_for = HOUR * u32::try_from(1 + chance.below(40)).unwrap_or(1);
        ticket.closed = Some(ticket.created.after(open_for));
        tickets.push(ticket);
    }
    tickets
}

impl Ticket {
    /// An open ticket that the customer opened and nobody has.
    fn new(id: usize, customer: usize, created: Timestamp, chance: &mut Chance) -> Self {
        Self {
            id,
            number: format!("T-{}", 100_000 + id * 7_001 % 900_000),
            customer,
            subject: format!("{} (request {id:05})", chance.one_of(&SUBJECTS)),
            body: format!("Letter {id:05}: {}", chance.one_of(&BODIES)),
            status: "open",
            assignee: None,
            channel: *chance.one_of(&["email", "email", "phone", "chat", "web"]),
            opened_by: "customer".to_owned(),
            inbound_ref: Some(format!("in-{id:06}")),
            created,
            closed: None,
        }
    }

    /// A line for COPY.
    pub(super) fn write(&self, sql: &mut String) {
        let Self { id, number, customer, subject, body, status, channel, opened_by, .. } = self;
        let assignee = self.assignee.as_deref().unwrap_or("\\N");
        let inbound = self.inbound_ref.as_deref().unwrap_or("\\N");
        let created = self.created;
        let _ = write!(
            sql,
            "{id}\t{number}\t{customer}\t{subject}\t{body}\t{status}\t{assignee}\t{channel}\t\
             {opened_by}\t{inbound}\t{created}\t"
        );
        match self.closed {
            Some(closed) => {
                let _ = writeln!(sql, "{closed}");
            }
            None => sql.push_str("\\N\n"),
        }
    }
}
