//! Cedar rules, read and checked once, and the one function that answers with them.
//!
//! [`Policy::parse`] is strict: what Cedar warns of is an error, and so are templates and two rules
//! with one id. [`Policy::decide`] fails closed: an incomplete request, or an error in any rule,
//! means no. The types that rules can name are those of `schema.cedarschema`; the rules that a new
//! installation begins with are in `default.cedar`.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    str::FromStr,
};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as CedarDecision, Entities, Entity, EntityId,
    EntityTypeName, EntityUid, PolicyId, PolicySet, Request as CedarRequest, RestrictedExpression,
    Schema, ValidationMode, Validator, ffi::DetailedError,
};
use postern_model::Reason;
use thiserror::Error;

use crate::request::{Action, Request};

#[cfg(test)]
mod tests;

const SCHEMA: &str = include_str!("schema.cedarschema");
const DEFAULT: &str = include_str!("default.cedar");

/// Why a text is not a policy. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    #[error("line {line}, column {column}: {message}")]
    Syntax { line: usize, column: usize, message: String },
    /// Well-formed, but about something that does not exist, of the wrong type, or never true.
    #[error("line {line}, column {column}: {message}")]
    Invalid { line: usize, column: usize, message: String },
    #[error("rule `{rule}` is a template, which nothing fills in")]
    Template { rule: String },
    #[error("two rules have the id `{rule}`")]
    DuplicateId { rule: String },
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be.
    pub permitted: bool,
    /// The rules that decided, by their `@id` or else their number in the text, in order; empty if
    /// it is denied because no rule permits it.
    pub rules: Vec<String>,
}

/// A policy that has been read and checked. Deciding parses nothing and changes nothing, so that
/// one policy serves all sessions, and equal requests have equal answers, which may be kept.
#[derive(Debug, Clone)]
pub struct Policy {
    rules: PolicySet,
    schema: Schema,
    authorizer: Authorizer,
    names: Names,
}

impl Policy {
    /// Reads rules and checks them against the schema. What Cedar only warns of is an error here:
    /// a rule that can never apply is a mistake, and a name that looks like another one is a trap.
    ///
    /// # Errors
    /// [`PolicyError`], the first by position.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let rules = PolicySet::from_str(text).map_err(|errors| {
            let (line, column, message) =
                first_mistake(text, errors.iter().map(DetailedError::from));
            PolicyError::Syntax { line, column, message }
        })?;
        if let Some(template) = rules.templates().next() {
            let rule = template.annotation("id").map_or(template.id().to_string(), str::to_owned);
            return Err(PolicyError::Template { rule });
        }
        check_ids(&rules)?;
        let schema = schema();
        let checked = Validator::new(schema.clone()).validate(&rules, ValidationMode::Strict);
        // Warnings are said only when there is no error, for most of them follow from one.
        let mistakes: Vec<DetailedError> = if checked.validation_passed() {
            checked.validation_warnings().map(DetailedError::from).collect()
        } else {
            checked.validation_errors().map(DetailedError::from).collect()
        };
        if !mistakes.is_empty() {
            let (line, column, message) = first_mistake(text, mistakes.into_iter());
            return Err(PolicyError::Invalid { line, column, message });
        }
        Ok(Self { rules, schema, authorizer: Authorizer::new(), names: Names::new() })
    }

    /// The policy that a new installation begins with.
    pub fn default_text() -> &'static str {
        DEFAULT
    }

    /// The Cedar schema that rules are checked against.
    pub fn schema_text() -> &'static str {
        SCHEMA
    }

    /// Answers a request. An incomplete request and an error in any rule mean no: a rule that
    /// can't be evaluated could have been the one that forbids.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let Some((request, entities)) = self.question(request) else {
            return Decision { permitted: false, rules: Vec::new() };
        };
        let response = self.authorizer.is_authorized(&request, &self.rules, &entities);
        let diagnostics = response.diagnostics();
        let failed: BTreeSet<String> = diagnostics
            .errors()
            .map(|AuthorizationError::PolicyEvaluationError(error)| self.rule(error.policy_id()))
            .collect();
        if !failed.is_empty() {
            return Decision { permitted: false, rules: failed.into_iter().collect() };
        }
        let rules: BTreeSet<String> = diagnostics.reason().map(|id| self.rule(id)).collect();
        Decision {
            permitted: response.decision() == CedarDecision::Allow,
            rules: rules.into_iter().collect(),
        }
    }

    fn rule(&self, id: &PolicyId) -> String {
        self.rules.annotation(id, "id").map_or(id.to_string(), str::to_owned)
    }

    /// The request in Cedar's terms; `None` if it is incomplete.
    fn question(&self, request: &Request<'_>) -> Option<(CedarRequest, Entities)> {
        let names = &self.names;
        let role = uid(&names.role, request.role);
        let actor = uid(&names.actor, request.actor.as_str());
        let mut entities = vec![Entity::new_no_attrs(actor.clone(), HashSet::from([role]))];
        let resource = match request.action {
            Action::SeeClear | Action::LookUp | Action::Update => {
                let column = self.column(request)?;
                entities.push(column.clone());
                column.uid()
            }
            Action::OpenTicket | Action::Take | Action::Delete => uid(&names.table, request.table),
            Action::Connect => uid(&names.gateway, "postern"),
        };
        let context = match (request.action, request.reason) {
            (Action::Connect, _) | (_, None) => Context::empty(),
            (_, Some(reason)) => self.context(reason)?,
        };
        let action = uid(&names.action, request.action.as_str());
        let request =
            CedarRequest::new(actor, action, resource, context, Some(&self.schema)).ok()?;
        Some((request, Entities::from_entities(entities, None).ok()?))
    }

    fn column(&self, request: &Request<'_>) -> Option<Entity> {
        let names = &self.names;
        let name = request.column?;
        let id = format!("{}.{}", request.table, quoted(name));
        let table = uid(&names.table, request.table);
        let mut attributes =
            HashMap::from([("name".to_owned(), RestrictedExpression::new_string(name.to_owned()))]);
        if let Some(class) = request.class {
            let class = uid(&names.class, class.as_str());
            attributes.insert("class".to_owned(), RestrictedExpression::new_entity_uid(class));
        }
        Entity::new(uid(&names.column, &id), attributes, HashSet::from([table])).ok()
    }

    fn context(&self, reason: &Reason) -> Option<Context> {
        let grade = uid(&self.names.grade, reason.grade.as_str());
        let record = RestrictedExpression::new_record([
            ("name".to_owned(), RestrictedExpression::new_string(reason.name.to_string())),
            ("grade".to_owned(), RestrictedExpression::new_entity_uid(grade)),
        ]);
        Context::from_pairs([("reason".to_owned(), record.ok()?)]).ok()
    }
}

/// The schema's types, parsed once.
#[derive(Debug, Clone)]
struct Names {
    action: EntityTypeName,
    actor: EntityTypeName,
    class: EntityTypeName,
    column: EntityTypeName,
    gateway: EntityTypeName,
    grade: EntityTypeName,
    role: EntityTypeName,
    table: EntityTypeName,
}

impl Names {
    #[expect(clippy::expect_used, reason = "constants; each is used by a test")]
    fn new() -> Self {
        let name = |text: &str| EntityTypeName::from_str(text).expect("a type of the schema");
        Self {
            action: name("Action"),
            actor: name("Actor"),
            class: name("FieldClass"),
            column: name("Column"),
            gateway: name("Gateway"),
            grade: name("Grade"),
            role: name("Role"),
            table: name("Table"),
        }
    }
}

#[expect(clippy::expect_used, reason = "a constant; every test parses it")]
fn schema() -> Schema {
    Schema::from_cedarschema_str(SCHEMA).expect("the schema of this crate").0
}

fn uid(name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id))
}

/// A column's name as it stands behind its table's: in quotes unless it is plain, so that no two
/// columns have the same full name.
fn quoted(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.is_empty() && name.bytes().all(plain) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn check_ids(rules: &PolicySet) -> Result<(), PolicyError> {
    let mut known = BTreeSet::new();
    for policy in rules.policies() {
        let rule = policy.annotation("id").map_or(policy.id().to_string(), str::to_owned);
        if !known.insert(rule.clone()) {
            return Err(PolicyError::DuplicateId { rule });
        }
    }
    Ok(())
}

/// Line, column and text of the mistake that comes first.
fn first_mistake(
    text: &str,
    mistakes: impl Iterator<Item = DetailedError>,
) -> (usize, usize, String) {
    let placed = mistakes.map(|mistake| {
        let start = mistake.source_locations.first().map_or(0, |label| label.loc.start);
        let help = mistake.help.map(|help| format!(" ({help})")).unwrap_or_default();
        (start, format!("{}{help}", mistake.message))
    });
    let (start, message) = placed.min().unwrap_or_default();
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column, message)
}
