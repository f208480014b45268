//! A user's tokens of their own: the ones that may spend and change that user's own credentials.
//!
//! A token that an admin made for a user is attribution and limits: whoever made it may have kept a copy. So a user makes
//! the first one of their own with it, which works once: while they have neither a living token of their own nor a
//! credential. From then on only their own tokens make more. If somebody else was first, the user is refused and knows.

use super::line::{TokenState, state};
use super::rules::{ends_later, fits_its_user, well_formed};
use super::{Minted, TokenLine, line};
use crate::directory::error::DirectoryError;
use crate::directory::page::{Page, Paged};
use crate::directory::{Access, Actor, Turn};
use crate::domain::entity::{Owner, Token, User};
use crate::domain::id::Id;
use crate::domain::permission::AccessRole;
use crate::domain::time::Timestamp;
use crate::domain::token::mint;
use crate::store::part::{self, Holder};
use crate::store::{Need, Part, Previous};

/// What differs from the token that it is made with. It never holds more.
#[derive(Clone, Debug, Default)]
pub struct NewOwn {
    pub label: String,
    /// As the one it is made with.
    pub role: Option<AccessRole>,
    pub project: Option<String>,
    /// Empty: as the one it is made with.
    pub models: Vec<String>,
    pub expires_at: Option<Timestamp>,
}

/// Makes one. It is of the same workspace and kind as the one it is made with, and has the same limits.
pub async fn create(access: &Access, new: NewOwn) -> Result<Minted, DirectoryError> {
    let (user, shown) = holder(&access.actor)?;
    let id = Id::random();
    let (text, hash) = mint(id).map_err(|_| DirectoryError::NoRandomness)?;
    let part = Part::of([Need::Token(shown), Need::User(user), all_of(user), Need::OwnedBy(Owner::User(user))]);
    let rule = move |turn: Turn<'_>| {
        let mut all = turn.stored.tokens.iter().chain(&turn.declared.tokens);
        let with = all.find(|one| one.id == shown).ok_or_else(|| super::unknown(shown))?;
        let workspace = turn.known().workspace_by_id(with.workspace)?;
        may_make(&turn, user)?;
        let role = new.role.unwrap_or(with.role);
        turn.actor.may_give(role)?;
        ends_later(new.expires_at, &new.label, turn.now)?;
        let token = Token {
            user: Some(user),
            project: new.project.or_else(|| with.project.clone()),
            made_by_its_user: true,
            role,
            kind: with.kind,
            models: narrowed(new.models, &with.models)?,
            expires_at: no_later(new.expires_at, with.expires_at)?,
            limits: with.limits.clone(),
            label: new.label,
            may_batch: with.may_batch,
            ..Token::new(id, hash, with.workspace, turn.actor.by(), turn.now)
        };
        well_formed(&token, workspace)?;
        fits_its_user(turn.known(), &token, workspace)?;
        let line = line(turn.known(), &token, turn.now);
        turn.stored.tokens.push(token);
        Ok(line)
    };
    let line = access.change(Previous::Keep, "create", format!("token {id}, their own"), part, rule).await?;
    Ok(Minted { text, line })
}

/// The user and the token that the asker shows.
fn holder(actor: &Actor) -> Result<(Id<User>, Id<Token>), DirectoryError> {
    actor.holder().ok_or(DirectoryError::NoUser)
}

fn all_of(user: Id<User>) -> Need {
    Need::Tokens(Holder::User(user), part::Page::first(u32::MAX))
}

fn may_make(turn: &Turn<'_>, user: Id<User>) -> Result<(), DirectoryError> {
    if turn.actor.is(user) {
        return Ok(());
    }
    let known = turn.known();
    let is_own = |one: &&Token| one.user == Some(user) && one.made_by_its_user;
    let lives = |one: &Token| state(known, one, turn.now) == TokenState::Active;
    let has_token = turn.stored.tokens.iter().filter(is_own).any(lives);
    let has_key = turn.stored.credentials.iter().any(|one| one.owner == Owner::User(user));
    if has_token || has_key { Err(DirectoryError::Claimed(known.user_name(user))) } else { Ok(()) }
}

fn narrowed(models: Vec<String>, to: &[String]) -> Result<Vec<String>, DirectoryError> {
    if models.is_empty() {
        return Ok(to.to_vec());
    }
    match models.iter().find(|one| !to.is_empty() && !to.contains(one)) {
        None => Ok(models),
        Some(other) => {
            let why = format!("names `{other}`, which the token it is made with does not");
            Err(DirectoryError::invalid("the list of models", why, format!("choose from {}", to.join(", ")))
                .at("models"))
        }
    }
}

fn no_later(asked: Option<Timestamp>, than: Option<Timestamp>) -> Result<Option<Timestamp>, DirectoryError> {
    match (asked, than) {
        (Some(asked), Some(than)) if asked > than => {
            let remedy = format!("name {} or an earlier moment", than.iso8601());
            let why = "is later than that of the token it is made with";
            Err(DirectoryError::invalid("the expiry", why, remedy).at("expiresAt"))
        }
        (asked, than) => Ok(asked.or(than)),
    }
}

/// All tokens that stand for the asker's user, also those that others made and those that have ended.
pub async fn list(access: &Access, page: Page) -> Result<Paged<TokenLine>, DirectoryError> {
    let (user, _) = holder(&access.actor)?;
    let stored = access.load(Need::Tokens(Holder::User(user), page.rows())).await?;
    let (known, now) = (access.known(&stored), Timestamp::now());
    let all = stored.tokens.iter().chain(&access.declared.tokens).filter(|one| one.user == Some(user));
    Ok(Paged::of(all.map(|one| (one.id.uuid(), one)), page, |one| line(known, one, now)))
}

/// Ends one of them: any, with a token of the user's own; else only the very one that is shown.
pub async fn revoke(access: &Access, id: Id<Token>) -> Result<(), DirectoryError> {
    let (user, shown) = holder(&access.actor)?;
    let rule = move |turn: Turn<'_>| {
        if let Some(token) = turn.declared.tokens.iter().find(|one| one.id == id && one.user == Some(user)) {
            return Err(DirectoryError::Declared { kind: "token", name: token.label.clone() });
        }
        let mut all = turn.stored.tokens.iter_mut();
        let token = all.find(|one| one.id == id && one.user == Some(user)).ok_or_else(|| super::unknown(id))?;
        if !turn.actor.is(user) && id != shown {
            return Err(DirectoryError::NotOwn);
        }
        token.revoked_at = token.revoked_at.or(Some(turn.now));
        Ok(())
    };
    access.change(Previous::Keep, "revoke", format!("token {id}, their own"), Need::Token(id), rule).await
}
