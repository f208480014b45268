//! Tokens: what clients show us. Made, shown once, listed without what they are, revoked.

use serde::Serialize;

use super::actor::Over;
use super::error::{self, DirectoryError};
use super::known::Known;
use super::{Access, Turn, moment, users};
use crate::domain::entity::{Token, TokenKind, User, Workspace};
use crate::domain::id::Id;
use crate::domain::limits::Limits;
use crate::domain::model_name;
use crate::domain::nearest::nearest;
use crate::domain::permission::{AccessRole, Permission};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenHash, mint};
use crate::store::part::{Holder, Page};
use crate::store::{Need, Part, Previous};

/// Names on one token's list of models. Each call is held against all of them.
const MODELS_MAX: usize = 256;

/// What a token is to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub workspace: Id<Workspace>,
    pub user: Option<Id<User>>,
    pub project: Option<String>,
    pub role: AccessRole,
    pub kind: TokenKind,
    /// Empty allows every model.
    pub models: Vec<String>,
    pub expires_at: Option<Timestamp>,
    pub limits: Limits,
    pub label: String,
    pub may_batch: bool,
    pub may_assert_user: bool,
}

impl NewToken {
    /// A member's token for chat, without expiry or limits.
    pub fn of(workspace: Id<Workspace>) -> Self {
        Self {
            workspace,
            user: None,
            project: None,
            role: AccessRole::Member,
            kind: TokenKind::Chat,
            models: Vec::new(),
            expires_at: None,
            limits: Limits::default(),
            label: String::new(),
            may_batch: false,
            may_assert_user: false,
        }
    }
}

/// A token's text, which is shown once and kept nowhere, with its record.
#[derive(Debug)]
pub struct Minted {
    pub text: Secret,
    pub line: TokenLine,
}

/// A token as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenLine {
    pub id: Id<Token>,
    pub workspace: String,
    pub workspace_id: Id<Workspace>,
    pub user: Option<String>,
    pub project: Option<String>,
    pub role: AccessRole,
    pub kind: TokenKind,
    pub models: Vec<String>,
    pub label: String,
    pub may_batch: bool,
    pub may_assert_user: bool,
    pub made_by: String,
    pub state: TokenState,
    #[serde(with = "moment")]
    pub created_at: Timestamp,
    #[serde(with = "moment::maybe")]
    pub expires_at: Option<Timestamp>,
    #[serde(with = "moment::maybe")]
    pub revoked_at: Option<Timestamp>,
    pub declared: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    Active,
    Expired,
    Revoked,
    /// Its user is.
    Disabled,
}

impl TokenState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
        }
    }
}

/// Makes a token; its text is in the answer and nowhere else.
pub async fn create(access: &Access, new: NewToken) -> Result<Minted, DirectoryError> {
    let id = Id::random();
    let (text, hash) = mint(id).map_err(|_| DirectoryError::NoRandomness)?;
    let part = Part::of([Need::Workspace(new.workspace)]).and(new.user.map(Need::User));
    let rule = move |turn: Turn<'_>| {
        let workspace = turn.known().workspace_by_id(new.workspace)?;
        turn.actor.may(Permission::TokenManage, Over::from(workspace))?;
        turn.actor.may_give(new.role)?;
        well_formed(&new, workspace, turn.now)?;
        for_user(turn.known(), &new, workspace)?;
        let token = Token {
            user: new.user,
            project: new.project,
            made_by_its_user: new.user.is_some_and(|user| turn.actor.is(user)),
            role: new.role,
            kind: new.kind,
            models: new.models,
            expires_at: new.expires_at,
            limits: new.limits,
            label: new.label,
            may_batch: new.may_batch,
            may_assert_user: new.may_assert_user,
            ..Token::new(id, hash, new.workspace, turn.actor.by(), turn.now)
        };
        let line = line(turn.known(), &token, turn.now);
        turn.stored.tokens.push(token);
        Ok(line)
    };
    let line = access.change(Previous::Keep, "create", format!("token {id}"), part, rule).await?;
    Ok(Minted { text, line })
}

fn well_formed(new: &NewToken, workspace: &Workspace, now: Timestamp) -> Result<(), DirectoryError> {
    error::label("the label", &new.label)?;
    if let Some(at) = new.expires_at.filter(|at| *at <= now) {
        return Err(DirectoryError::Expired { label: new.label.clone(), at });
    }
    if new.models.len() > MODELS_MAX {
        let remedy = format!("name at most {MODELS_MAX}; `prefix:*` allows all of a prefix");
        return Err(DirectoryError::invalid("the list of models", "is too long", remedy));
    }
    if !new.models.iter().all(|model| model_name::is_one(model)) {
        let remedy = "write model ids such as openai:gpt-4o-mini, or prefix:*";
        return Err(DirectoryError::invalid("a model on the list", "is no model id", remedy));
    }
    match &new.project {
        Some(project) if !workspace.projects.contains_key(project) => Err(unknown_project(project, workspace)),
        _ => Ok(()),
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
fn for_user(known: Known<'_>, new: &NewToken, workspace: &Workspace) -> Result<(), DirectoryError> {
    let Some(user) = new.user else { return Ok(()) };
    let user = known.user_by_id(user)?;
    if user.disabled {
        return Err(DirectoryError::UserDisabled(user.email.clone()));
    }
    let held = users::role_in(user, workspace);
    if held >= Some(new.role) {
        return Ok(());
    }
    let remedy = match held {
        Some(held) => format!("give it {held} or less"),
        None => format!("make them a member of `{}` first, or make the token without a user", workspace.name),
    };
    let held = held.map_or("no role", AccessRole::name);
    Err(DirectoryError::UserHoldsLess { user: user.email.clone(), held, asked: new.role, remedy })
}

/// The tokens of one workspace, or of all that the asker manages; oldest first.
pub async fn list(access: &Access, workspace: Option<Id<Workspace>>) -> Result<Vec<TokenLine>, DirectoryError> {
    let part = match workspace {
        Some(workspace) => {
            Part::of([Need::Workspace(workspace), Need::Tokens(Holder::Workspace(workspace), Page::first(u32::MAX))])
        }
        None => Part::everything(),
    };
    let (stored, now) = (access.load(part).await?, Timestamp::now());
    let known = access.known(&stored);
    if let Some(workspace) = workspace {
        access.actor.may(Permission::TokenManage, Over::from(known.workspace_by_id(workspace)?))?;
    }
    let managed: Vec<Id<Workspace>> = known
        .workspaces()
        .filter(|one| workspace.is_none_or(|wanted| one.id == wanted))
        .filter(|one| access.actor.may(Permission::TokenManage, Over::from(*one)).is_ok())
        .map(|one| one.id)
        .collect();
    let all = access.declared.tokens.iter().chain(&stored.tokens);
    let mut lines: Vec<_> =
        all.filter(|one| managed.contains(&one.workspace)).map(|one| line(known, one, now)).collect();
    lines.sort_by_key(|line| (line.created_at, line.id));
    Ok(lines)
}

/// Ends a token for good. Ending it again changes nothing.
pub async fn revoke(access: &Access, id: Id<Token>) -> Result<TokenLine, DirectoryError> {
    if let Some(token) = access.declared.tokens.iter().find(|token| token.id == id) {
        return Err(DirectoryError::Declared { kind: "token", name: token.label.clone() });
    }
    let stored = access.load(Need::Token(id)).await?;
    let token = managed(access.known(&stored), id)?;
    if token.revoked_at.is_some() {
        return Ok(line(access.known(&stored), token, Timestamp::now()));
    }
    let rule = move |turn: Turn<'_>| {
        managed(turn.known(), id)?;
        let Some(token) = turn.stored.tokens.iter_mut().find(|token| token.id == id) else { return Err(unknown(id)) };
        token.revoked_at = token.revoked_at.or(Some(turn.now));
        let token = token.clone();
        Ok(line(turn.known(), &token, turn.now))
    };
    access.change(Previous::Keep, "revoke", format!("token {id}"), Need::Token(id), rule).await
}

/// Which token this is, for one that was found where it should not be.
pub async fn id_of(access: &Access, text: &Secret) -> Result<Id<Token>, DirectoryError> {
    let hash = TokenHash::of(text.expose());
    let stored = access.load(Need::TokenHash(hash)).await?;
    let found = stored.tokens.iter().find(|token| token.hash == hash);
    let missing = || DirectoryError::NotFound { kind: "token", name: "…".to_string(), hint: String::new() };
    managed(access.known(&stored), found.ok_or_else(missing)?.id).map(|token| token.id)
}

/// A stored token of a workspace whose tokens the asker manages; what they can't see is not there.
fn managed<'a>(known: Known<'a>, id: Id<Token>) -> Result<&'a Token, DirectoryError> {
    let token = known.stored.tokens.iter().find(|token| token.id == id).ok_or_else(|| unknown(id))?;
    let mut workspaces = known.stored.workspaces.iter().chain(&known.declared.workspaces);
    let workspace = workspaces.find(|one| one.id == token.workspace);
    // The token of a workspace that is no longer declared can still be revoked by the platform.
    let over = workspace.map_or(Over::Platform, Over::from);
    match known.actor.reaches(over) {
        true => known.actor.may(Permission::TokenManage, over).map(|()| token),
        false => Err(unknown(id)),
    }
}

fn unknown(id: Id<Token>) -> DirectoryError {
    let hint = "; `keyway token list` shows those there are".to_string();
    DirectoryError::NotFound { kind: "token", name: id.to_string(), hint }
}

fn line(known: Known<'_>, token: &Token, now: Timestamp) -> TokenLine {
    let mut users = known.stored.users.iter().chain(&known.declared.users);
    let disabled = token.user.is_some_and(|id| users.any(|user| user.id == id && user.disabled));
    let state = match token {
        Token { revoked_at: Some(_), .. } => TokenState::Revoked,
        Token { expires_at: Some(at), .. } if *at <= now => TokenState::Expired,
        _ if disabled => TokenState::Disabled,
        _ => TokenState::Active,
    };
    TokenLine {
        id: token.id,
        workspace: known.workspace_name(token.workspace),
        workspace_id: token.workspace,
        user: token.user.map(|user| known.user_name(user)),
        project: token.project.clone(),
        role: token.role,
        kind: token.kind,
        models: token.models.clone(),
        label: token.label.clone(),
        may_batch: token.may_batch,
        may_assert_user: token.may_assert_user,
        made_by: token.made_by.clone(),
        state,
        created_at: token.created_at,
        expires_at: token.expires_at,
        revoked_at: token.revoked_at,
        declared: known.declared.tokens.iter().any(|one| one.id == token.id),
    }
}
