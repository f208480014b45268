-- The whole directory, as it is at one moment.
select 'directory' as kind, jsonb_build_object('version', version, 'last_number', last_number) as entity from directory
union all select 'org', entity from orgs
union all select 'workspace', entity from workspaces
union all select 'user', entity from users
union all select 'token', entity from tokens
union all select 'provider', entity from providers
union all select 'model', entity from models
union all select 'credential', entity from credentials
union all select 'route', entity from routes
union all select 'identity', entity from identities
