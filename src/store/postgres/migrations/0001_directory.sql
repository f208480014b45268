-- The directory: one table per kind of entity, each row the entity as Keyway writes it down, and beside it the keys that
-- are looked up, paged or unique. The keys are generated, so that they can't disagree with the entity.

create table directory (
    -- There is one.
    one boolean primary key default true check (one),
    version bigint not null default 0,
    last_number integer not null default 0,
    -- The end of the audit chain; null before the first record.
    audit_head jsonb
);
insert into directory default values;

-- Written once, by whoever starts first.
create table keyring (
    one boolean primary key default true check (one),
    salt bytea not null,
    check_value bytea not null
);

create table audit (
    seq bigint primary key,
    record jsonb not null
);

-- What each version touched, for whoever keeps copies. Only the newest are kept.
create table change_log (
    version bigint primary key,
    what jsonb not null
);

create table orgs (
    id uuid primary key,
    entity jsonb not null,
    name text not null generated always as (lower((entity ->> 'name') collate "C")) stored,
    deleted boolean not null generated always as (entity ->> 'deleted_at' is not null) stored
);
create unique index orgs_by_name on orgs (name) where not deleted;
create index orgs_living on orgs (id) where not deleted;

create table workspaces (
    id uuid primary key,
    entity jsonb not null,
    org uuid not null generated always as ((entity ->> 'org')::uuid) stored,
    name text not null generated always as (lower((entity ->> 'name') collate "C")) stored,
    deleted boolean not null generated always as (entity ->> 'deleted_at' is not null) stored
);
create unique index workspaces_by_name on workspaces (name) where not deleted;
create index workspaces_living on workspaces (id) where not deleted;
create index workspaces_by_org on workspaces (org, id) where not deleted;

create table users (
    id uuid primary key,
    entity jsonb not null,
    email text not null generated always as (lower((entity ->> 'email') collate "C")) stored
);
create unique index users_by_email on users (email);
create index users_by_org on users using gin ((entity -> 'org_roles'));
create index users_by_workspace on users using gin ((entity -> 'workspace_roles'));

create table tokens (
    id uuid primary key,
    entity jsonb not null,
    hash bytea not null generated always as (decode(entity ->> 'hash', 'hex')) stored,
    workspace uuid not null generated always as ((entity ->> 'workspace')::uuid) stored,
    holder uuid generated always as ((entity ->> 'user')::uuid) stored
);
create unique index tokens_by_hash on tokens (hash);
create index tokens_by_workspace on tokens (workspace, id);
create index tokens_by_holder on tokens (holder, id) where holder is not null;

create table providers (
    id uuid primary key,
    entity jsonb not null,
    owner jsonb not null generated always as (entity -> 'owner') stored,
    number integer generated always as ((entity ->> 'number')::integer) stored,
    name text not null generated always as (lower((entity ->> 'name') collate "C")) stored,
    deleted boolean not null generated always as (entity ->> 'deleted_at' is not null) stored
);
create unique index providers_by_owner on providers (owner, name) where not deleted;
create unique index providers_by_number on providers (number);

create table models (
    id uuid primary key,
    entity jsonb not null,
    provider uuid not null generated always as ((entity ->> 'provider')::uuid) stored,
    model_id text not null generated always as (entity ->> 'model_id') stored,
    number integer generated always as ((entity ->> 'number')::integer) stored,
    deleted boolean not null generated always as (entity ->> 'deleted_at' is not null) stored
);
create unique index models_by_provider on models (provider, model_id) where not deleted;
create unique index models_by_number on models (number);

create table credentials (
    id uuid primary key,
    entity jsonb not null,
    owner jsonb not null generated always as (entity -> 'owner') stored,
    provider uuid not null generated always as ((entity ->> 'provider')::uuid) stored,
    number integer generated always as ((entity ->> 'number')::integer) stored,
    -- What tells credentials of one owner and provider apart: only the platform has several.
    label text not null generated always as (
        case when entity ->> 'owner' = 'platform' then entity ->> 'label' else '' end
    ) stored,
    deleted boolean not null generated always as (entity ->> 'deleted_at' is not null) stored
);
create unique index credentials_by_owner on credentials (owner, provider, label) where not deleted;
create unique index credentials_by_number on credentials (number);
-- A deleted row stays in its page until vacuum comes by, and what stood here is a sealed key: it comes by at once.
alter table credentials set (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);

create table routes (
    id uuid primary key,
    entity jsonb not null,
    owner jsonb not null generated always as (entity -> 'owner') stored,
    provider uuid not null generated always as ((entity -> 'target' ->> 'provider')::uuid) stored,
    number integer generated always as ((entity ->> 'number')::integer) stored,
    deleted boolean not null generated always as (entity ->> 'deleted_at' is not null) stored
);
create index routes_by_owner on routes (owner) where not deleted;
create unique index routes_by_number on routes (number);

create table identities (
    id uuid primary key,
    entity jsonb not null,
    owner jsonb not null generated always as (entity -> 'owner') stored
);
create index identities_by_owner on identities (owner);
