-- The rows that a part of the directory needs, with those they bring along: what `select.rs` does in memory.
-- Each need is an array, most of them empty; ids are gathered kind by kind, each before the kinds that it brings.
with
owned (owner) as (
    select unnest($1::jsonb[])
),
tokens_needed (id) as (
    select id from tokens where id = any ($2::uuid[])
    union select id from tokens where hash = any ($3::bytea[])
    union
    select found.id from unnest($4::uuid[], $5::uuid[], $6::bigint[]) as page (workspace, after, n) cross join lateral (
        select id from tokens where workspace = page.workspace and id > page.after order by id limit page.n
    ) as found
    union
    select found.id from unnest($7::uuid[], $8::uuid[], $9::bigint[]) as page (holder, after, n) cross join lateral (
        select id from tokens where holder = page.holder and id > page.after order by id limit page.n
    ) as found
),
providers_asked (id) as (
    select providers.id from owned join providers on providers.owner = owned.owner and not deleted
    union select id from providers where id = any ($10::uuid[])
    union select id from providers where number = any ($11::integer[])
),
models_needed (id) as (
    select models.id from providers_asked join models on models.provider = providers_asked.id and not deleted
    union select id from models where id = any ($12::uuid[])
    union select id from models where number = any ($11)
),
credentials_asked (id) as (
    select id from credentials where id = any ($13::uuid[])
    union select id from credentials where number = any ($11)
),
credentials_needed (id) as (
    select id from credentials_asked
    union select credentials.id from owned join credentials on credentials.owner = owned.owner and not deleted
    union
    select found.id from unnest($14::uuid[], $15::bigint[]) as page (after, n) cross join lateral (
        select id from credentials where id > page.after order by id limit page.n
    ) as found
),
routes_needed (id) as (
    select routes.id from owned join routes on routes.owner = owned.owner and not deleted
    union select id from routes where id = any ($16::uuid[])
    union select id from routes where number = any ($11)
),
identities_needed (id) as (
    select identities.id from owned join identities on identities.owner = owned.owner
    union select id from identities where id = any ($17::uuid[])
),
providers_needed (id) as (
    select id from providers_asked
    union select models.provider from models_needed join models using (id)
    union select credentials.provider from credentials_needed join credentials using (id)
    union select routes.provider from routes_needed join routes using (id)
),
owners (owner) as (
    select owner from owned
    union select providers.owner from providers_needed join providers using (id)
    union select credentials.owner from credentials_needed join credentials using (id)
    union select routes.owner from routes_needed join routes using (id)
    union select identities.owner from identities_needed join identities using (id)
),
users_asked (id) as (
    select id from users where id = any ($18::uuid[])
    union select id from users where email = any ($19::text[])
    union
    select found.id from unnest($20::uuid[], $21::bigint[]) as page (after, n) cross join lateral (
        select id from users where id > page.after order by id limit page.n
    ) as found
    union
    select found.id from unnest($22::uuid[], $23::uuid[], $24::bigint[]) as page (org, after, n) cross join lateral (
        select id from users
        where id > page.after and (
            entity -> 'org_roles' ? page.org::text
            or entity -> 'workspace_roles' ?| array(select id::text from workspaces where org = page.org)
        )
        order by id limit page.n
    ) as found
    union
    select found.id from unnest($25::uuid[], $26::uuid[], $27::bigint[]) as page (workspace, after, n) cross join lateral (
        select id from users where id > page.after and entity -> 'workspace_roles' ? page.workspace::text
        order by id limit page.n
    ) as found
),
users_needed (id) as (
    select id from users_asked
    union select (owner ->> 'user')::uuid from owners where owner ->> 'user' is not null
    union select tokens.holder from tokens_needed join tokens using (id) where holder is not null
),
workspaces_needed (id) as (
    select unnest($28::uuid[])
    union select id from workspaces where name = any ($29::text[]) and not deleted
    union
    select found.id from unnest($30::uuid[], $31::bigint[]) as page (after, n) cross join lateral (
        select id from workspaces where id > page.after and not deleted order by id limit page.n
    ) as found
    union
    select found.id from unnest($32::uuid[], $33::uuid[], $34::bigint[]) as page (org, after, n) cross join lateral (
        select id from workspaces where org = page.org and id > page.after and not deleted order by id limit page.n
    ) as found
    union select (owner ->> 'workspace')::uuid from owners where owner ->> 'workspace' is not null
    union select tokens.workspace from tokens_needed join tokens using (id)
    union
    select role.workspace::uuid from users_asked join users using (id)
        cross join lateral jsonb_object_keys(users.entity -> 'workspace_roles') as role (workspace)
    union
    select granted.workspace::uuid from credentials_asked join credentials using (id)
        cross join lateral jsonb_array_elements_text(credentials.entity -> 'grant' -> 'workspaces') as granted (workspace)
),
orgs_needed (id) as (
    select unnest($35::uuid[])
    union select id from orgs where name = any ($36::text[]) and not deleted
    union
    select found.id from unnest($37::uuid[], $38::bigint[]) as page (after, n) cross join lateral (
        select id from orgs where id > page.after and not deleted order by id limit page.n
    ) as found
    union select workspaces.org from workspaces_needed join workspaces using (id)
    union
    select role.org::uuid from users_asked join users using (id)
        cross join lateral jsonb_object_keys(users.entity -> 'org_roles') as role (org)
)
select 'directory' as kind, jsonb_build_object('version', version, 'last_number', last_number) as entity from directory
union all select 'org', entity from orgs_needed join orgs using (id)
union all select 'workspace', entity from workspaces_needed join workspaces using (id)
union all select 'user', entity from users_needed join users using (id)
union all select 'token', entity from tokens_needed join tokens using (id)
union all select 'provider', entity from providers_needed join providers using (id)
union all select 'model', entity from models_needed join models using (id)
union all select 'credential', entity from credentials_needed join credentials using (id)
union all select 'route', entity from routes_needed join routes using (id)
union all select 'identity', entity from identities_needed join identities using (id)
