//! What every token is held to, whoever makes or changes it.

use std::collections::HashMap;

use crate::directory::error::{self, DirectoryError};
use crate::directory::known::Known;
use crate::directory::{Turn, users};
use crate::domain::entity::{Org, Token, User, Workspace};
use crate::domain::id::Id;
use crate::domain::model_name;
use crate::domain::nearest::nearest;
use crate::domain::permission::AccessRole;
use crate::domain::time::Timestamp;

/// Names on one token's list of models. Each call is held against all of them.
const MODELS_MAX: usize = 256;

pub(super) fn well_formed(token: &Token, workspace: &Workspace) -> Result<(), DirectoryError> {
    error::label("the label", &token.label).map_err(|error| error.at("label"))?;
    if token.models.len() > MODELS_MAX {
        let remedy = format!("name at most {MODELS_MAX}; `prefix:*` allows all of a prefix");
        return Err(DirectoryError::invalid("the list of models", "is too long", remedy).at("models"));
    }
    if !token.models.iter().all(|model| model_name::is_one(model)) {
        let remedy = "write model ids such as openai:gpt-4o-mini, or prefix:*";
        return Err(DirectoryError::invalid("a model on the list", "is no model id", remedy).at("models"));
    }
    match &token.project {
        Some(project) if !workspace.projects.contains_key(project) => Err(unknown_project(project, workspace)),
        _ => Ok(()),
    }
}

/// A moment that is still to come.
pub(super) fn ends_later(at: Option<Timestamp>, label: &str, now: Timestamp) -> Result<(), DirectoryError> {
    match at.filter(|at| *at <= now) {
        Some(at) => Err(DirectoryError::Expired { label: label.to_string(), at }),
        None => Ok(()),
    }
}

fn unknown_project(project: &str, workspace: &Workspace) -> DirectoryError {
    let near = nearest(project, workspace.projects.keys().map(String::as_str));
    let hint = match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; the workspace `{}` has {} projects", workspace.name, workspace.projects.len()),
    };
    DirectoryError::NotFound { kind: "project", name: project.to_string(), hint }
}

/// A token for a user holds no more than the user does.
pub(super) fn fits_its_user(known: Known<'_>, token: &Token, workspace: &Workspace) -> Result<(), DirectoryError> {
    let Some(user) = token.user else { return Ok(()) };
    let user = known.user_by_id(user)?;
    if user.disabled {
        return Err(DirectoryError::UserDisabled(user.email.clone()));
    }
    let held = users::role_in(user, workspace);
    if held >= Some(token.role) {
        return Ok(());
    }
    let remedy = match held {
        Some(held) => format!("give it {held} or less"),
        None => format!("make them a member of `{}` first, or make the token without a user", workspace.name),
    };
    let held = held.map_or("no role", AccessRole::name);
    Err(DirectoryError::UserHoldsLess { user: user.email.clone(), held, asked: token.role, remedy })
}

/// After a user's roles changed: their tokens hold no more than they still do, and end where they hold nothing. The part
/// must hold all of the user's tokens.
pub(in crate::directory) fn fit(turn: &mut Turn<'_>, user: &User) {
    let workspaces = turn.stored.workspaces.iter().chain(&turn.declared.workspaces);
    let known: HashMap<Id<Workspace>, Id<Org>> = workspaces.map(|one| (one.id, one.org)).collect();
    for token in turn.stored.tokens.iter_mut().filter(|one| one.user == Some(user.id)) {
        match known.get(&token.workspace).and_then(|org| users::role_at(user, token.workspace, *org)) {
            Some(role) => token.role = token.role.min(role),
            None => token.revoked_at = token.revoked_at.or(Some(turn.now)),
        }
    }
}
