//! Brings the stored directory to what a file of declarations says, and shows how far it is from it.
//!
//! What the file does not name stays as it is. A thing that the file names has the id that its name gives it, so the same
//! file applied again finds nothing to do.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::actor::Over;
use super::error::DirectoryError;
use super::{Access, Turn};
use crate::domain::directory::Directory;
use crate::domain::entity::{Credential, Identity, KeyMaterial, Model, Org, Owner, Provider, Route, Workspace};
use crate::domain::permission::Permission;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::store::seal::Keyring;
use crate::store::{Need, Part, Previous};

/// What differs from what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub rows: Vec<Row>,
    /// Things that are stored just as the file has them.
    pub unchanged: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub kind: &'static str,
    pub name: String,
    pub is_new: bool,
    /// Of one that is stored already.
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    pub name: String,
    pub from: Value,
    pub to: Value,
}

/// What `apply` would do; changes nothing.
pub async fn difference(access: &Access, wanted: Directory) -> Result<Difference, DirectoryError> {
    let wanted = checked(access, wanted)?;
    let mut copy = access.load(part(&wanted)).await?;
    bring(&mut copy, wanted, access.store.keyring(), Timestamp::now())
}

/// Stores what the file says, in one transaction.
pub async fn apply(access: &Access, wanted: Directory) -> Result<Difference, DirectoryError> {
    let found = difference(access, wanted.clone()).await?;
    if found.rows.is_empty() {
        return Ok(found);
    }
    let wanted = checked(access, wanted)?;
    let keyring = Arc::clone(access.store.keyring());
    let part = part(&wanted);
    let rule = move |turn: Turn<'_>| bring(turn.stored, wanted, &keyring, turn.now);
    let entity = format!("{} things of a file", found.rows.len());
    access.change(Previous::Forget, "apply", entity, part, rule).await
}

/// To be stored, and nothing that `gateway.toml` has already.
fn checked(access: &Access, mut wanted: Directory) -> Result<Directory, DirectoryError> {
    access.actor.may(Permission::OrgManage, Over::Platform)?;
    access.actor.may(Permission::PlatformCredentialManage, Over::Platform)?;
    let mut declared = (*access.declared).clone();
    undeclared::<Org>(&mut wanted, &mut declared)?;
    undeclared::<Workspace>(&mut wanted, &mut declared)?;
    undeclared::<Identity>(&mut wanted, &mut declared)?;
    undeclared::<Provider>(&mut wanted, &mut declared)?;
    undeclared::<Model>(&mut wanted, &mut declared)?;
    undeclared::<Credential>(&mut wanted, &mut declared)?;
    undeclared::<Route>(&mut wanted, &mut declared)?;
    Ok(wanted)
}

fn undeclared<T: Applied>(wanted: &mut Directory, declared: &mut Directory) -> Result<(), DirectoryError> {
    for one in T::of(wanted) {
        if T::of(declared).iter().any(|declared| declared.uuid() == one.uuid()) {
            return Err(DirectoryError::Declared { kind: T::KIND, name: one.name() });
        }
        one.store();
    }
    Ok(())
}

/// Everything under its id, and whatever could have its name.
fn part(wanted: &Directory) -> Part {
    let platform = [Need::OwnedBy(Owner::Platform)];
    let orgs = wanted.orgs.iter().flat_map(|one| [Need::Org(one.id), Need::OrgNamed(one.name.clone())]);
    let workspaces = wanted.workspaces.iter().flat_map(|one| {
        let owned = Need::OwnedBy(Owner::Workspace(one.id));
        [Need::Workspace(one.id), Need::WorkspaceNamed(one.name.clone()), owned]
    });
    Part::of(platform)
        .and(orgs)
        .and(workspaces)
        .and(wanted.identities.iter().map(|one| Need::Identity(one.id)))
        .and(wanted.providers.iter().map(|one| Need::Provider(one.id)))
        .and(wanted.models.iter().map(|one| Need::Model(one.id)))
        .and(wanted.credentials.iter().map(|one| Need::Credential(one.id)))
        .and(wanted.routes.iter().map(|one| Need::Route(one.id)))
}

fn bring(
    stored: &mut Directory,
    mut wanted: Directory,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Difference, DirectoryError> {
    let mut difference = Difference::default();
    bring_kind::<Org>(stored, &mut wanted, keyring, now, &mut difference)?;
    bring_kind::<Workspace>(stored, &mut wanted, keyring, now, &mut difference)?;
    bring_kind::<Identity>(stored, &mut wanted, keyring, now, &mut difference)?;
    bring_kind::<Provider>(stored, &mut wanted, keyring, now, &mut difference)?;
    bring_kind::<Model>(stored, &mut wanted, keyring, now, &mut difference)?;
    bring_kind::<Credential>(stored, &mut wanted, keyring, now, &mut difference)?;
    bring_kind::<Route>(stored, &mut wanted, keyring, now, &mut difference)?;
    Ok(difference)
}

fn bring_kind<T: Applied>(
    stored: &mut Directory,
    wanted: &mut Directory,
    keyring: &Keyring,
    now: Timestamp,
    difference: &mut Difference,
) -> Result<(), DirectoryError> {
    for mut one in std::mem::take(T::of(wanted)) {
        let all = T::of(stored);
        if all
            .iter()
            .any(|other| other.uuid() != one.uuid() && other.place().is_some_and(|place| Some(place) == one.place()))
        {
            return Err(DirectoryError::Exists { kind: T::KIND, name: one.name() });
        }
        let Some(position) = all.iter().position(|other| other.uuid() == one.uuid()) else {
            one.begin(stored.number(), keyring, now)?;
            difference.rows.push(Row { kind: T::KIND, name: one.name(), is_new: true, fields: Vec::new() });
            T::of(stored).push(one);
            continue;
        };
        let old = &mut all[position];
        let key = one.follow(old, keyring, now)?;
        let fields: Vec<Field> = key.into_iter().chain(fields(old, &one)).collect();
        match fields.is_empty() {
            true => difference.unchanged += 1,
            false => {
                difference.rows.push(Row { kind: T::KIND, name: one.name(), is_new: false, fields });
                *old = one;
            }
        }
    }
    Ok(())
}

/// Fields that no file says, or that are shown in words of their own.
const NOT_COMPARED: [&str; 6] = ["created_at", "updated_at", "number", "key", "last4", "discovered_at"];

fn fields<T: Serialize>(old: &T, new: &T) -> Vec<Field> {
    let object = |value| match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    };
    let (mut old, new) = (object(old), object(new));
    let fields = new.into_iter().filter(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
    let fields = fields.map(|(name, to)| Field { from: old.remove(&name).unwrap_or_default(), name, to });
    fields.filter(|field| field.from != field.to).collect()
}

/// What a file can declare.
trait Applied: Serialize {
    const KIND: &'static str;

    fn of(directory: &mut Directory) -> &mut Vec<Self>
    where
        Self: Sized;
    fn uuid(&self) -> Uuid;
    fn name(&self) -> String;
    /// What only one living thing of its kind can have.
    fn place(&self) -> Option<String>;
    /// Not a declared one any more.
    fn store(&mut self);
    fn begin(&mut self, number: u32, keyring: &Keyring, now: Timestamp) -> Result<(), DirectoryError>;
    /// Takes over what no file says. Gives the difference in what is secret.
    fn follow(&mut self, old: &Self, keyring: &Keyring, now: Timestamp) -> Result<Option<Field>, DirectoryError>;
}

/// Kinds that differ in nothing but their fields.
macro_rules! applied {
    ($($kind:ident $name:literal in $field:ident, named $named:ident, placed $place:expr, keeps [$($kept:ident),*],
       numbers [$($number:ident)?], declares [$($declared:ident)?], begun [$($begun:ident),*], dated [$($dated:ident)?];)*) => {$(
        impl Applied for $kind {
            const KIND: &'static str = $name;

            fn of(directory: &mut Directory) -> &mut Vec<Self> {
                &mut directory.$field
            }
            fn uuid(&self) -> Uuid {
                self.id.uuid()
            }
            fn name(&self) -> String {
                self.$named.clone()
            }
            fn place(&self) -> Option<String> {
                let place: fn(&Self) -> Option<String> = $place;
                place(self)
            }
            fn store(&mut self) {
                $(self.$declared = false;)?
            }
            fn begin(&mut self, _number: u32, _keyring: &Keyring, _now: Timestamp) -> Result<(), DirectoryError> {
                $(self.$number = Some(_number);)?
                $(self.$begun = _now;)*
                Ok(())
            }
            fn follow(&mut self, _old: &Self, _: &Keyring, _now: Timestamp) -> Result<Option<Field>, DirectoryError> {
                $(self.$kept = _old.$kept;)*
                $(self.$dated = _now;)?
                Ok(None)
            }
        }
    )*};
}

applied! {
    Org "org" in orgs, named name, placed |one| one.deleted_at.is_none().then(|| one.name.to_ascii_lowercase()),
        keeps [created_at], numbers [], declares [declared], begun [created_at], dated [];
    Workspace "workspace" in workspaces, named name,
        placed |one| one.deleted_at.is_none().then(|| one.name.to_ascii_lowercase()),
        keeps [created_at], numbers [], declares [declared], begun [created_at], dated [];
    Identity "identity" in identities, named name, placed |_| None,
        keeps [], numbers [], declares [], begun [], dated [];
    Provider "provider" in providers, named name,
        placed |one| one.deleted_at.is_none().then(|| format!("{:?} {}", one.owner, one.name.to_ascii_lowercase())),
        keeps [created_at, number, discovered_at], numbers [number], declares [declared],
        begun [created_at, updated_at], dated [updated_at];
    Model "model" in models, named model_id,
        placed |one| one.deleted_at.is_none().then(|| format!("{} {}", one.provider, one.model_id)),
        keeps [created_at, number], numbers [number], declares [declared],
        begun [created_at, updated_at], dated [updated_at];
    Route "route" in routes, named name, placed |_| None,
        keeps [created_at, number], numbers [number], declares [declared], begun [created_at], dated [];
}

impl Applied for Credential {
    const KIND: &'static str = "credential";

    fn of(directory: &mut Directory) -> &mut Vec<Self> {
        &mut directory.credentials
    }
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
    fn name(&self) -> String {
        if self.label.is_empty() { self.id.to_string() } else { self.label.clone() }
    }
    fn place(&self) -> Option<String> {
        self.deleted_at.is_none().then(|| format!("{:?} {} {}", self.owner, self.provider, self.label))
    }
    fn store(&mut self) {
        self.declared = false;
    }
    fn begin(&mut self, number: u32, keyring: &Keyring, now: Timestamp) -> Result<(), DirectoryError> {
        (self.number, self.created_at, self.updated_at) = (Some(number), now, now);
        seal(self, keyring)
    }
    fn follow(&mut self, old: &Self, keyring: &Keyring, now: Timestamp) -> Result<Option<Field>, DirectoryError> {
        (self.number, self.created_at, self.updated_at) = (old.number, old.created_at, now);
        let is_same = match (&self.key, keyring.open_credential(old)) {
            (KeyMaterial::Declared(key), Ok(stored)) => key.expose() == stored.expose(),
            _ => false,
        };
        if is_same && self.entered_for == old.entered_for {
            (self.key, self.last4) = (old.key.clone(), old.last4.clone());
            return Ok(None);
        }
        seal(self, keyring)?;
        let shown = |last4: &str| Value::String(format!("…{last4}"));
        Ok(Some(Field { name: "key".into(), from: shown(&old.last4), to: shown(&self.last4) }))
    }
}

fn seal(credential: &mut Credential, keyring: &Keyring) -> Result<(), DirectoryError> {
    let KeyMaterial::Declared(key) = &credential.key else { return Ok(()) };
    let key = Secret::new(key.expose().to_vec());
    keyring.seal_credential(credential, key).map_err(|_| DirectoryError::NoRandomness)
}
