//! Workspaces: who owns credentials, defaults, routes, tokens and limits.

mod shape;

pub use self::shape::{DefaultChange, DefaultLine, WorkspaceChange, WorkspaceLine};

use self::shape::line;
use super::actor::{Over, Reach};
use super::error::{self, DirectoryError};
use super::limits::LimitsChange;
use super::page::{Page, Paged};
use super::tag::Expected;
use super::{Access, Known, Turn, named};
use crate::domain::change::Change;
use crate::domain::entity::{DefaultChoice, Org, Owner, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::store::part::{self, Holder};
use crate::store::{Need, Part, Previous};

/// Projects of one workspace: all of them are read with each of its calls' defaults.
const PROJECTS_MAX: usize = 256;

/// Makes a workspace in an org, with nothing but a name and perhaps a default.
pub async fn create(
    access: &Access,
    org: Id<Org>,
    name: &str,
    default: Option<DefaultChoice>,
) -> Result<Workspace, DirectoryError> {
    let default = default.map_or(Change::Keep, |choice| Change::Set(choice.into()));
    make(access, org, name, WorkspaceChange { default, ..WorkspaceChange::default() }).await
}

/// Makes one that differs from a plain one.
pub async fn create_with(
    access: &Access,
    org: Id<Org>,
    name: &str,
    change: WorkspaceChange,
) -> Result<WorkspaceLine, DirectoryError> {
    make(access, org, name, change).await.map(|workspace| line(&workspace))
}

/// The org may be a declared one. The name is unique among all workspaces: commands, logs and metrics name it alone.
async fn make(access: &Access, org: Id<Org>, name: &str, change: WorkspaceChange) -> Result<Workspace, DirectoryError> {
    let (id, name) = (Id::random(), name.to_string());
    let part = Part::of([Need::Org(org), Need::WorkspaceNamed(name.clone())]).and(choices(id, &change));
    let rule = move |turn: Turn<'_>| {
        let org = turn.known().org_by_id(org)?.id;
        turn.actor.may(Permission::WorkspaceManage, Over::Org(org))?;
        let mut workspace = Workspace::new(id, org, "", turn.now);
        rename(&turn, &mut workspace, name)?;
        apply(turn.known(), &mut workspace, change)?;
        turn.stored.workspaces.push(workspace.clone());
        Ok(workspace)
    };
    access.change(Previous::Keep, "create", format!("workspace {id}"), part, rule).await
}

/// What the rules look at where a change says where calls go.
fn choices(id: Id<Workspace>, change: &WorkspaceChange) -> Part {
    match change.touches_choices() {
        true => named::providers_for(Owner::Workspace(id)),
        false => Part::default(),
    }
}

fn rename(turn: &Turn<'_>, workspace: &mut Workspace, name: String) -> Result<(), DirectoryError> {
    error::name("the workspace's name", &name).map_err(|error| error.at("name"))?;
    // Asked of all workspaces, also of those the asker can't see: two of one name could not be told apart.
    let mut all = turn.stored.workspaces.iter().chain(&turn.declared.workspaces);
    let is_taken = |one: &Workspace| one.id != workspace.id && one.name.eq_ignore_ascii_case(&name);
    if all.any(|one| one.deleted_at.is_none() && is_taken(one)) {
        return Err(DirectoryError::Exists { kind: "a workspace", name });
    }
    workspace.name = name;
    Ok(())
}

fn apply(known: Known<'_>, workspace: &mut Workspace, change: WorkspaceChange) -> Result<(), DirectoryError> {
    LimitsChange::apply(change.limits, &mut workspace.limits)?;
    workspace.fallback_to_platform = change.fallback_to_platform.unwrap_or(workspace.fallback_to_platform);
    let owner = Owner::Workspace(workspace.id);
    let default = chosen(known, owner, change.default, workspace.default.take());
    workspace.default = default.map_err(|error| error.at("default"))?;
    match change.projects {
        Change::Keep => {}
        Change::Clear => workspace.projects.clear(),
        Change::Set(projects) => {
            for (name, change) in projects {
                error::name("a project's name", &name).map_err(|error| error.at("projects"))?;
                let old = workspace.projects.remove(&name);
                let choice = chosen(known, owner, change, old).map_err(|error| error.at("projects"))?;
                workspace.projects.extend(choice.map(|choice| (name, choice)));
            }
        }
    }
    if workspace.projects.len() > PROJECTS_MAX {
        let error = DirectoryError::invalid("the list of projects", "is too long", format!("keep {PROJECTS_MAX}"));
        return Err(error.at("projects"));
    }
    Ok(())
}

fn chosen(
    known: Known<'_>,
    owner: Owner,
    change: Change<DefaultChange>,
    old: Option<DefaultChoice>,
) -> Result<Option<DefaultChoice>, DirectoryError> {
    let change = match change {
        Change::Keep => return Ok(old),
        Change::Clear => return Ok(None),
        Change::Set(change) => change,
    };
    let (provider, mut model) = old.map_or((None, None), |old| (Some(old.provider), old.model));
    let missing = || DirectoryError::invalid("the default", "names no provider", "state `providerId`");
    let provider = change.provider_id.or(provider).ok_or_else(missing)?;
    change.model.apply(&mut model);
    known.provider_by_id(owner, provider)?;
    if let Some(model) = &model {
        error::model_id("the model", model)?;
    }
    Ok(Some(DefaultChoice { provider, model }))
}

/// The workspaces that the asker can see: of one org, or the one of a name.
pub async fn list(
    access: &Access,
    org: Option<Id<Org>>,
    name: Option<&str>,
    page: Page,
) -> Result<Paged<WorkspaceLine>, DirectoryError> {
    let need = match (access.actor.reach(), name) {
        (Reach::Workspace(own), _) => Need::Workspace(own),
        (_, Some(name)) => Need::WorkspaceNamed(name.to_string()),
        (Reach::Org(own), None) => Need::Workspaces(Some(own), page.rows()),
        (Reach::Everything, None) => Need::Workspaces(org, page.rows()),
    };
    let stored = access.load(need).await?;
    let is_wanted = |one: &&Workspace| {
        org.is_none_or(|org| one.org == org) && name.is_none_or(|name| one.name.eq_ignore_ascii_case(name))
    };
    let seen = access.known(&stored).workspaces().filter(is_wanted);
    Ok(Paged::of(seen.map(|one| (one.id.uuid(), one)), page, line))
}

pub async fn get(access: &Access, id: Id<Workspace>) -> Result<WorkspaceLine, DirectoryError> {
    let stored = access.load(Need::Workspace(id)).await?;
    access.known(&stored).workspace_by_id(id).map(line)
}

/// Changes what the change names.
pub async fn update(
    access: &Access,
    id: Id<Workspace>,
    expected: Expected,
    change: WorkspaceChange,
) -> Result<WorkspaceLine, DirectoryError> {
    let named = change.name.clone().map(Need::WorkspaceNamed);
    let part = Part::from(Need::Workspace(id)).and(named).and(choices(id, &change));
    let rule = move |turn: Turn<'_>| {
        let mut workspace = changed(&turn, id, change.permission(), &expected)?;
        if let Some(name) = change.name.clone() {
            rename(&turn, &mut workspace, name)?;
        }
        apply(turn.known(), &mut workspace, change)?;
        Ok(keep(turn, workspace))
    };
    access.change(Previous::Keep, "update", format!("workspace {id}"), part, rule).await
}

/// A stored workspace that the asker may change, as the asker last saw it.
fn changed(
    turn: &Turn<'_>,
    id: Id<Workspace>,
    permission: Permission,
    expected: &Expected,
) -> Result<Workspace, DirectoryError> {
    let workspace = turn.known().workspace_by_id(id)?;
    turn.actor.may(permission, Over::from(workspace))?;
    if workspace.declared {
        return Err(DirectoryError::Declared { kind: "workspace", name: workspace.name.clone() });
    }
    expected.hold("workspace", Some(&line(workspace)))?;
    Ok(workspace.clone())
}

fn keep(turn: Turn<'_>, workspace: Workspace) -> WorkspaceLine {
    let shown = line(&workspace);
    if let Some(slot) = turn.stored.workspaces.iter_mut().find(|one| one.id == workspace.id) {
        *slot = workspace;
    }
    shown
}

/// Ends a workspace: its tokens are revoked, its keys destroyed, its name is free again.
pub async fn delete(access: &Access, id: Id<Workspace>, expected: Expected) -> Result<(), DirectoryError> {
    let owner = Owner::Workspace(id);
    let all = Need::Tokens(Holder::Workspace(id), part::Page::first(u32::MAX));
    let part = Part::of([Need::Workspace(id), Need::OwnedBy(owner), all]);
    let rule = move |turn: Turn<'_>| {
        let mut workspace = changed(&turn, id, Permission::WorkspaceManage, &expected)?;
        workspace.deleted_at = Some(turn.now);
        turn.stored.credentials.retain(|one| one.owner != owner);
        for token in turn.stored.tokens.iter_mut().filter(|one| one.workspace == id) {
            token.revoked_at = token.revoked_at.or(Some(turn.now));
        }
        keep(turn, workspace);
        Ok(())
    };
    access.change(Previous::Forget, "delete", format!("workspace {id}"), part, rule).await
}
