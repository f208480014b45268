//! Routes: the ordered targets of roles and aliases, of the platform and of workspaces.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::credentials::assign;
use super::error::{self, DirectoryError};
use super::known::Known;
use super::providers::{weight, workspace_of};
use super::tag::Expected;
use super::{Access, Turn, moment, present};
use crate::domain::change::Change;
use crate::domain::entity::{Model, Owner, Provider, Route, RouteKind, RouteTarget, Workspace};
use crate::domain::id::Id;
use crate::domain::model_name;
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::store::{Need, Part, Previous};

/// Notes are for people; more is a document.
const NOTES_MAX: usize = 2_000;

/// One line for a role or an alias.
#[derive(Clone, Debug)]
pub struct NewRoute {
    pub owner: Owner,
    pub kind: RouteKind,
    pub name: String,
    pub provider: Id<Provider>,
    pub change: RouteChange,
}

/// What is to be otherwise. What is not stated stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"priority": 1, "model": "qwen3-30b-a3b", "notes": "for research"}))]
pub struct RouteChange {
    #[serde(default, rename = "providerId", deserialize_with = "present")]
    #[schema(value_type = Option<uuid::Uuid>, nullable = false)]
    pub provider: Option<Id<Provider>>,
    /// As the provider calls it; without one its default is meant.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 512)]
    pub model: Change<String>,
    /// Lower first.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, maximum = 4_294_967_295_u32)]
    pub priority: Option<u32>,
    /// Of those of one priority, how often this one is first.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000)]
    pub weight: Option<u32>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2_000)]
    pub notes: Change<String>,
}

/// Which routes to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// This workspace's own beside the platform's.
    pub workspace: Option<Id<Workspace>>,
    pub role: Option<String>,
}

/// A route as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Route)]
pub struct RouteLine {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Route>,
    #[schema(required)]
    pub number: Option<u32>,
    #[schema(required, value_type = Option<uuid::Uuid>)]
    pub workspace_id: Option<Id<Workspace>>,
    #[schema(inline)]
    pub kind: RouteKind,
    pub name: String,
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    pub provider: String,
    /// Numbers, for those who go by them.
    #[serde(skip)]
    pub provider_number: Option<u32>,
    #[serde(skip)]
    pub model_number: Option<u32>,
    /// `null`: the provider's default.
    #[schema(required)]
    pub model: Option<String>,
    /// Lower first.
    pub priority: u32,
    pub weight: u32,
    #[schema(required)]
    pub notes: Option<String>,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub declared: bool,
}

/// The platform's routes and a workspace's own, by kind and name, each in the order in which calls try its lines.
pub async fn list(access: &Access, filter: Filter) -> Result<Vec<RouteLine>, DirectoryError> {
    let owner = filter.workspace.map_or(Owner::Platform, Owner::Workspace);
    let stored = access.load(access.catalogue(owner)).await?;
    let known = access.known(&stored);
    known.may_see(Permission::AIRouteView, owner)?;
    let is_role = |one: &Route, role: &str| one.kind == RouteKind::Role && one.name == role;
    let wanted = |one: &Route| filter.role.as_deref().is_none_or(|role| is_role(one, role));
    let mut found: Vec<&Route> = known
        .routes()
        .filter(|one| one.owner == owner || one.owner == Owner::Platform)
        .filter(|one| wanted(one))
        .collect();
    found.sort_by_key(|one| {
        (one.kind == RouteKind::Alias, &one.name, one.owner == Owner::Platform, one.priority, one.id)
    });
    Ok(found.into_iter().map(|one| line(known, one)).collect())
}

pub async fn get(access: &Access, id: Id<Route>) -> Result<RouteLine, DirectoryError> {
    let stored = access.load(Need::Route(id)).await?;
    let target = found(access.known(&stored), id)?.target.provider;
    // Its models too, for the line names one.
    let stored = access.load(Part::of([Need::Route(id), Need::Provider(target)])).await?;
    let known = access.known(&stored);
    let found = found(known, id)?;
    known.may_see(Permission::AIRouteView, found.owner)?;
    Ok(line(known, found))
}

/// Adds a line.
pub async fn create(access: &Access, new: NewRoute) -> Result<RouteLine, DirectoryError> {
    let (id, part) = (Id::random(), access.catalogue(new.owner));
    let rule = move |turn: Turn<'_>| {
        turn.known().may(Permission::AIRouteManage, new.owner)?;
        let target = RouteTarget { provider: new.provider, model: None };
        let mut route = Route::new(id, new.owner, new.kind, &new.name, target, turn.now);
        apply(&mut route, new.change);
        checked(turn.known(), &route)?;
        route.number = Some(turn.stored.number());
        let line = line(turn.known(), &route);
        turn.stored.routes.push(route);
        Ok(line)
    };
    access.change(Previous::Keep, "create", format!("route {id}"), part, rule).await
}

fn apply(route: &mut Route, change: RouteChange) {
    assign(&mut route.target.provider, change.provider);
    change.model.apply(&mut route.target.model);
    assign(&mut route.priority, change.priority);
    assign(&mut route.weight, change.weight);
    change.notes.apply(&mut route.notes);
}

pub async fn change(
    access: &Access,
    id: Id<Route>,
    expected: Expected,
    change: RouteChange,
) -> Result<RouteLine, DirectoryError> {
    let owner = get(access, id).await?.workspace_id.map_or(Owner::Platform, Owner::Workspace);
    let rule = move |turn: Turn<'_>| {
        let mut route = managed(turn.known(), id)?.clone();
        expected.hold("route", Some(&line(turn.known(), &route)))?;
        apply(&mut route, change);
        checked(turn.known(), &route)?;
        let line = line(turn.known(), &route);
        turn.stored.routes.retain(|one| one.id != id);
        turn.stored.routes.push(route);
        Ok(line)
    };
    access.change(Previous::Keep, "change", format!("route {id}"), access.catalogue(owner), rule).await
}

/// Takes a line away; it is kept, hidden, for the history.
pub async fn delete(access: &Access, id: Id<Route>, expected: Expected) -> Result<(), DirectoryError> {
    let rule = move |turn: Turn<'_>| {
        let found = managed(turn.known(), id)?;
        expected.hold("route", Some(&line(turn.known(), found)))?;
        for one in turn.stored.routes.iter_mut().filter(|one| one.id == id) {
            one.deleted_at = Some(turn.now);
        }
        Ok(())
    };
    access.change(Previous::Keep, "delete", format!("route {id}"), Need::Route(id), rule).await
}

pub(super) fn found<'a>(known: Known<'a>, id: Id<Route>) -> Result<&'a Route, DirectoryError> {
    let found = known.routes().find(|one| one.id == id && known.sees_owner(one.owner));
    found.ok_or_else(|| DirectoryError::NotFound { kind: "route", name: id.to_string(), hint: String::new() })
}

fn managed<'a>(known: Known<'a>, id: Id<Route>) -> Result<&'a Route, DirectoryError> {
    let found = found(known, id)?;
    known.may(Permission::AIRouteManage, found.owner)?;
    match found.declared {
        true => Err(DirectoryError::Declared { kind: "route", name: found.name.clone() }),
        false => Ok(found),
    }
}

/// Every rule about the line as it is to be.
fn checked(known: Known<'_>, route: &Route) -> Result<(), DirectoryError> {
    error::model_id("the route's name", &route.name).map_err(|error| error.at("name"))?;
    leads_nowhere_else(known, route)?;
    known.provider_by_id(route.owner, route.target.provider)?;
    if let Some(model) = &route.target.model {
        error::model_id("the model", model).map_err(|error| error.at("model"))?;
    }
    weight(route.weight)?;
    if route.notes.as_ref().is_some_and(|notes| notes.len() > NOTES_MAX) {
        let remedy = format!("use at most {NOTES_MAX} bytes");
        return Err(DirectoryError::invalid("the notes", "are too long", remedy).at("notes"));
    }
    let same = |one: &Route| {
        (one.owner, one.kind, &one.name, &one.target) == (route.owner, route.kind, &route.name, &route.target)
    };
    match known.routes().any(|one| one.id != route.id && same(one)) {
        true => Err(DirectoryError::Exists { kind: "a route to the same model from", name: route.name.clone() }),
        false => Ok(()),
    }
}

/// A route's name is nothing that a call would take for something else, or something else for it.
fn leads_nowhere_else(known: Known<'_>, route: &Route) -> Result<(), DirectoryError> {
    let taken = |why: &str| Err(DirectoryError::invalid("the route's name", why, "choose another name").at("name"));
    if model_name::is_reserved(&route.name) {
        return taken("has a meaning of its own");
    }
    let visible = |owner: Owner| owner == Owner::Platform || owner == route.owner;
    if known.providers_for(route.owner).any(|provider| provider.prefix == route.name) {
        return taken("is a provider's prefix");
    }
    if known.routes().any(|one| visible(one.owner) && one.name == route.name && one.kind != route.kind) {
        return taken("is both a role's and an alias', and the role would always win");
    }
    match route.kind == RouteKind::Role && is_model(known, route) {
        true => taken("is a model's id, which calls that name it would mean"),
        false => Ok(()),
    }
}

fn is_model(known: Known<'_>, route: &Route) -> bool {
    known.providers_for(route.owner).any(|provider| {
        let bare = route.name.strip_prefix(provider.prefix.as_str()).and_then(|rest| rest.strip_prefix(':'));
        let named = |one: &Model| one.model_id == route.name || Some(one.model_id.as_str()) == bare;
        known.models_of(provider.id).any(named)
    })
}

fn line(known: Known<'_>, route: &Route) -> RouteLine {
    let provider = known.provider_by_id(route.owner, route.target.provider).ok();
    let named = |one: &&Model| Some(one.model_id.as_str()) == route.target.model.as_deref();
    RouteLine {
        id: route.id,
        number: route.number,
        workspace_id: workspace_of(route.owner),
        kind: route.kind,
        name: route.name.clone(),
        provider_id: route.target.provider,
        provider: known.provider_name(route.target.provider),
        provider_number: provider.and_then(|one| one.number),
        model_number: known.models_of(route.target.provider).find(named).and_then(|one| one.number),
        model: route.target.model.clone(),
        priority: route.priority,
        weight: route.weight,
        notes: route.notes.clone(),
        created_at: route.created_at,
        declared: route.declared,
    }
}
