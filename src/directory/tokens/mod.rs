//! Tokens: what clients show us. Made, shown once, listed without what they are, revoked.

mod line;
pub mod own;
mod rules;

use serde::Deserialize;
use utoipa::ToSchema;

pub use self::line::{TokenLine, TokenState};
pub(super) use self::rules::fit;

use self::line::line;
use self::rules::{ends_later, fits_its_user, well_formed};
use super::actor::Over;
use super::error::DirectoryError;
use super::known::Known;
use super::limits::LimitsChange;
use super::page::{Page, Paged};
use super::tag::Expected;
use super::{Access, Turn, moment, present};
use crate::domain::change::Change;
use crate::domain::entity::{Token, TokenKind, User, Workspace};
use crate::domain::id::Id;
use crate::domain::limits::Limits;
use crate::domain::permission::{AccessRole, Permission};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenHash, mint};
use crate::store::part::{self, Holder};
use crate::store::{Need, Part, Previous};

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

/// What changes of a token. What it is, whose and of which kind, stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"label": "ci", "expiresAt": "2027-01-01T00:00:00.000Z", "limits": {"requestsPerMinute": 60}}))]
pub struct TokenChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 200)]
    pub label: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub project: Change<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, inline)]
    pub role: Option<AccessRole>,
    /// `null` and none allow every model.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 256)]
    pub models: Change<Vec<String>>,
    /// `null`: it lives until it is revoked.
    #[serde(default, deserialize_with = "moment::change")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Change<Timestamp>,
    #[serde(default)]
    #[schema(value_type = Option<LimitsChange>)]
    pub limits: Change<LimitsChange>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub may_batch: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub may_assert_user: Option<bool>,
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
        ends_later(new.expires_at, &new.label, turn.now)?;
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
        well_formed(&token, workspace)?;
        fits_its_user(turn.known(), &token, workspace)?;
        let line = line(turn.known(), &token, turn.now);
        turn.stored.tokens.push(token);
        Ok(line)
    };
    let line = access.change(Previous::Keep, "create", format!("token {id}"), part, rule).await?;
    Ok(Minted { text, line })
}

/// The tokens of one workspace, or of all that the asker manages; oldest first.
pub async fn list(access: &Access, workspace: Option<Id<Workspace>>) -> Result<Vec<TokenLine>, DirectoryError> {
    let part = match workspace {
        Some(workspace) => Part::of([
            Need::Workspace(workspace),
            Need::Tokens(Holder::Workspace(workspace), part::Page::first(u32::MAX)),
        ]),
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

/// A page of the tokens of a workspace.
pub async fn page(access: &Access, workspace: Id<Workspace>, page: Page) -> Result<Paged<TokenLine>, DirectoryError> {
    let part = [Need::Workspace(workspace), Need::Tokens(Holder::Workspace(workspace), page.rows())];
    let (stored, now) = (access.load(Part::of(part)).await?, Timestamp::now());
    let known = access.known(&stored);
    access.actor.may(Permission::TokenManage, Over::from(known.workspace_by_id(workspace)?))?;
    let all = stored.tokens.iter().chain(&access.declared.tokens).filter(|one| one.workspace == workspace);
    Ok(Paged::of(all.map(|one| (one.id.uuid(), one)), page, |one| line(known, one, now)))
}

pub async fn get(access: &Access, id: Id<Token>) -> Result<TokenLine, DirectoryError> {
    let (stored, now) = (access.load(Need::Token(id)).await?, Timestamp::now());
    let known = access.known(&stored);
    managed(known, id).map(|token| line(known, token, now))
}

/// Changes what the change names. Nobody changes a token that holds more than they do.
pub async fn update(
    access: &Access,
    id: Id<Token>,
    expected: Expected,
    change: TokenChange,
) -> Result<TokenLine, DirectoryError> {
    let rule = move |turn: Turn<'_>| {
        let mut token = changed(&turn, id, &expected)?;
        let workspace = turn.known().workspace_by_id(token.workspace)?;
        turn.actor.may_give(token.role)?;
        if token.revoked_at.is_some() {
            return Err(DirectoryError::invalid("the token", "is revoked", "make another"));
        }
        apply(&mut token, change, turn.now)?;
        turn.actor.may_give(token.role)?;
        well_formed(&token, workspace)?;
        fits_its_user(turn.known(), &token, workspace)?;
        Ok(keep(turn, token))
    };
    access.change(Previous::Keep, "update", format!("token {id}"), Need::Token(id), rule).await
}

fn apply(token: &mut Token, change: TokenChange, now: Timestamp) -> Result<(), DirectoryError> {
    if let Change::Set(at) = change.expires_at {
        ends_later(Some(at), &token.label, now)?;
    }
    change.expires_at.apply(&mut token.expires_at);
    change.project.apply(&mut token.project);
    change.models.apply_or(&mut token.models, Vec::new());
    LimitsChange::apply(change.limits, &mut token.limits)?;
    token.label = change.label.unwrap_or_else(|| token.label.clone());
    token.role = change.role.unwrap_or(token.role);
    token.may_batch = change.may_batch.unwrap_or(token.may_batch);
    token.may_assert_user = change.may_assert_user.unwrap_or(token.may_assert_user);
    Ok(())
}

/// A stored token that the asker manages, as the asker last saw it.
fn changed(turn: &Turn<'_>, id: Id<Token>, expected: &Expected) -> Result<Token, DirectoryError> {
    let token = managed(turn.known(), id)?;
    if turn.declared.tokens.iter().any(|one| one.id == id) {
        return Err(DirectoryError::Declared { kind: "token", name: token.label.clone() });
    }
    expected.hold("token", Some(&line(turn.known(), token, turn.now)))?;
    Ok(token.clone())
}

fn keep(turn: Turn<'_>, token: Token) -> TokenLine {
    let shown = line(turn.known(), &token, turn.now);
    if let Some(slot) = turn.stored.tokens.iter_mut().find(|one| one.id == token.id) {
        *slot = token;
    }
    shown
}

/// Ends a token for good. Ending it again changes nothing.
pub async fn revoke(access: &Access, id: Id<Token>) -> Result<TokenLine, DirectoryError> {
    revoke_seen(access, id, Expected::Anything).await
}

/// The same, bound to what its asker saw.
pub async fn revoke_seen(access: &Access, id: Id<Token>, expected: Expected) -> Result<TokenLine, DirectoryError> {
    let stored = access.load(Need::Token(id)).await?;
    let known = access.known(&stored);
    let token = managed(known, id)?;
    if token.revoked_at.is_some() && expected == Expected::Anything {
        return Ok(line(known, token, Timestamp::now()));
    }
    let rule = move |turn: Turn<'_>| {
        let mut token = changed(&turn, id, &expected)?;
        token.revoked_at = token.revoked_at.or(Some(turn.now));
        Ok(keep(turn, token))
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

/// A token of a workspace whose tokens the asker manages; what they can't see is not there.
fn managed<'a>(known: Known<'a>, id: Id<Token>) -> Result<&'a Token, DirectoryError> {
    let mut all = known.stored.tokens.iter().chain(&known.declared.tokens);
    let token = all.find(|token| token.id == id).ok_or_else(|| unknown(id))?;
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
    DirectoryError::NotFound { kind: "token", name: id.to_string(), hint: String::new() }
}
