use postern_model::{Actor, FieldClass, Reason};

/// What an actor wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See a column in clear for the customers for whom the reason holds.
    SeeClear,
    /// Find customers by one exact value of a protected column.
    LookUp,
    /// Make, by inserting a row, what then counts as a reason.
    OpenTicket,
    /// Take the next row of a queue, which then counts as a reason.
    Take,
    /// Change a column, in the records of the customers for whom the reason holds.
    Update,
    /// Delete records of the customers for whom the reason holds.
    Delete,
    /// Begin a session.
    Connect,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 7] = [
        Self::SeeClear,
        Self::LookUp,
        Self::OpenTicket,
        Self::Take,
        Self::Update,
        Self::Delete,
        Self::Connect,
    ];

    /// The action's name in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SeeClear => "see_clear",
            Self::LookUp => "look_up",
            Self::OpenTicket => "open_ticket",
            Self::Take => "take",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Connect => "connect",
        }
    }
}

/// A question to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Who asks.
    pub actor: &'a Actor,
    /// The actor's role, from the people file.
    pub role: &'a str,
    pub action: Action,
    /// The table as `schema.table`; not looked at for [`Action::Connect`].
    pub table: &'a str,
    /// The column's name; [`Action::SeeClear`], [`Action::LookUp`] and [`Action::Update`] are
    /// denied without one, the others don't look at it.
    pub column: Option<&'a str>,
    /// What the column holds, if the configuration says so.
    pub class: Option<FieldClass>,
    /// For [`Action::SeeClear`], [`Action::Update`] and [`Action::Delete`] the reason that holds
    /// for the customers, for [`Action::OpenTicket`] and [`Action::Take`] the one that would be
    /// made.
    pub reason: Option<&'a Reason>,
}
