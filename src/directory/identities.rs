//! Identities: texts that a model's hydration puts before the system prompt. Nothing to do with users or sign-in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{self, DirectoryError};
use super::known::Known;
use super::page::{Page, Paged};
use super::tag::Expected;
use super::{Access, Turn, present};
use crate::domain::entity::{Identity, Owner, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::store::{Need, Part, Previous};

/// Bytes of a text. It is sent, and paid for, with each call of its models.
const TEXT_MAX: usize = 32 * 1024;

/// An identity as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Identity, example = json!({
    "id": "6f1c8c1e-6f0b-4b52-9d6c-4f7f6a1f2b11", "workspaceId": null, "name": "house-style",
    "text": "You answer for ACME, in plain words.", "declared": false,
}))]
pub struct IdentityLine {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Identity>,
    /// `null`: the platform's.
    #[schema(required, value_type = Option<uuid::Uuid>)]
    pub workspace_id: Option<Id<Workspace>>,
    pub name: String,
    pub text: String,
    /// In gateway.toml, where alone it can be changed.
    pub declared: bool,
}

/// What changes of an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"text": "You answer for ACME, briefly."}))]
pub struct IdentityChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 32_768)]
    pub text: Option<String>,
}

/// Makes one. Its name is unique among its owner's.
pub async fn create(access: &Access, owner: Owner, name: String, text: String) -> Result<IdentityLine, DirectoryError> {
    let id = Id::random();
    let rule = move |turn: Turn<'_>| {
        turn.known().may(Permission::AIModelManage, owner)?;
        let identity = Identity { id, owner, name, text };
        well_formed(turn.known(), &identity)?;
        let shown = line(turn.known(), &identity);
        turn.stored.identities.push(identity);
        Ok(shown)
    };
    access.change(Previous::Keep, "create", format!("identity {id}"), Need::OwnedBy(owner), rule).await
}

fn well_formed(known: Known<'_>, identity: &Identity) -> Result<(), DirectoryError> {
    error::name("the identity's name", &identity.name).map_err(|error| error.at("name"))?;
    if identity.text.len() > TEXT_MAX {
        let remedy = format!("use at most {TEXT_MAX} bytes");
        return Err(DirectoryError::invalid("the identity's text", "is too long", remedy).at("text"));
    }
    let mut others = all(known).filter(|one| one.owner == identity.owner && one.id != identity.id);
    match others.any(|one| one.name.eq_ignore_ascii_case(&identity.name)) {
        true => Err(DirectoryError::Exists { kind: "an identity", name: identity.name.clone() }),
        false => Ok(()),
    }
}

fn all(known: Known<'_>) -> impl Iterator<Item = &Identity> {
    known.stored.identities.iter().chain(&known.declared.identities)
}

/// The platform's, and beside them those of a workspace.
pub async fn list(
    access: &Access,
    workspace: Option<Id<Workspace>>,
    page: Page,
) -> Result<Paged<IdentityLine>, DirectoryError> {
    let own = workspace.map(Owner::Workspace);
    let stored = access.load(Part::from(Need::OwnedBy(Owner::Platform)).and(own.map(Need::OwnedBy))).await?;
    let known = access.known(&stored);
    known.may_see(Permission::AIModelView, own.unwrap_or(Owner::Platform))?;
    let shown = all(known).filter(|one| one.owner == Owner::Platform || Some(one.owner) == own);
    Ok(Paged::of(shown.map(|one| (one.id.uuid(), one)), page, |one| line(known, one)))
}

pub async fn get(access: &Access, id: Id<Identity>) -> Result<IdentityLine, DirectoryError> {
    let stored = access.load(Need::Identity(id)).await?;
    let known = access.known(&stored);
    let identity = found(known, id)?;
    known.may_see(Permission::AIModelView, identity.owner)?;
    Ok(line(known, identity))
}

fn found(known: Known<'_>, id: Id<Identity>) -> Result<&Identity, DirectoryError> {
    let unknown = || DirectoryError::NotFound { kind: "identity", name: id.to_string(), hint: String::new() };
    all(known).find(|one| one.id == id && known.sees_owner(one.owner)).ok_or_else(unknown)
}

/// Changes what the change names.
pub async fn update(
    access: &Access,
    id: Id<Identity>,
    expected: Expected,
    change: IdentityChange,
) -> Result<IdentityLine, DirectoryError> {
    let part = part(access, id).await?;
    let rule = move |turn: Turn<'_>| {
        let mut identity = changed(&turn, id, &expected)?;
        identity.name = change.name.unwrap_or(identity.name);
        identity.text = change.text.unwrap_or(identity.text);
        well_formed(turn.known(), &identity)?;
        let shown = line(turn.known(), &identity);
        if let Some(slot) = turn.stored.identities.iter_mut().find(|one| one.id == id) {
            *slot = identity;
        }
        Ok(shown)
    };
    access.change(Previous::Keep, "update", format!("identity {id}"), part, rule).await
}

/// It, and all that its owner has: other names, and models that may name it.
async fn part(access: &Access, id: Id<Identity>) -> Result<Part, DirectoryError> {
    let stored = access.load(Need::Identity(id)).await?;
    let owner = stored.identities.iter().find(|one| one.id == id).map(|one| one.owner);
    Ok(Part::from(Need::Identity(id)).and(owner.map(Need::OwnedBy)))
}

/// A stored identity that the asker may change, as the asker last saw it.
fn changed(turn: &Turn<'_>, id: Id<Identity>, expected: &Expected) -> Result<Identity, DirectoryError> {
    let known = turn.known();
    let identity = found(known, id)?;
    known.may(Permission::AIModelManage, identity.owner)?;
    let shown = line(known, identity);
    if shown.declared {
        return Err(DirectoryError::Declared { kind: "identity", name: shown.name });
    }
    expected.hold("identity", Some(&shown))?;
    Ok(identity.clone())
}

/// Takes one away that none of its owner's models names. Another workspace's model that named one of the platform's is
/// called without.
pub async fn delete(access: &Access, id: Id<Identity>, expected: Expected) -> Result<(), DirectoryError> {
    let part = part(access, id).await?;
    let rule = move |turn: Turn<'_>| {
        let identity = changed(&turn, id, &expected)?;
        let names_it = |hydration: crate::domain::entity::Hydration| hydration.identity == id;
        if let Some(model) = turn.known().models().find(|one| one.hydration.is_some_and(names_it)) {
            return Err(DirectoryError::InUse {
                kind: "identity",
                name: identity.name,
                by: format!("the model `{}` names it", model.model_id),
                remedy: "take it out of the model first",
            });
        }
        turn.stored.identities.retain(|one| one.id != id);
        Ok(())
    };
    access.change(Previous::Keep, "delete", format!("identity {id}"), part, rule).await
}

fn line(known: Known<'_>, identity: &Identity) -> IdentityLine {
    IdentityLine {
        id: identity.id,
        workspace_id: super::providers::workspace_of(identity.owner),
        name: identity.name.clone(),
        text: identity.text.clone(),
        declared: known.declared.identities.iter().any(|one| one.id == identity.id),
    }
}
