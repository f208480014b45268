-- What traffic shows. SQLite and Postgres both take these words; neither has any of its own here.

-- How credentials fare, for those that fare badly. Saved anew, a credential is another one: `saved_at` says which.
CREATE TABLE state_credentials (
    credential UUID PRIMARY KEY,
    saved_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- When tokens (0) and credentials (1) were last used, to the minute.
CREATE TABLE state_uses (
    kind SMALLINT NOT NULL,
    id UUID NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- Files (0), batches (1) and responses (2) that lie at a provider under a shared credential: whose they are.
-- `shown` is the provider's own description of one, sealed, for lists.
CREATE TABLE state_objects (
    workspace UUID NOT NULL,
    id TEXT NOT NULL,
    provider UUID NOT NULL,
    credential UUID,
    kind SMALLINT NOT NULL,
    purpose TEXT,
    shown BYTEA,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (workspace, id, provider)
);

-- For a workspace's list, and for what it may keep at most.
CREATE INDEX state_objects_listed ON state_objects (workspace, kind, created_at, id);

-- For what is forgotten by its age.
CREATE INDEX state_objects_aged ON state_objects (kind, created_at);
CREATE INDEX state_objects_deleted ON state_objects (deleted_at) WHERE deleted_at IS NOT NULL;

-- What was answered under an idempotency key, sealed; none while its request is still being done.
CREATE TABLE state_replays (
    token UUID NOT NULL,
    key TEXT NOT NULL,
    request BYTEA NOT NULL,
    begun_at BIGINT NOT NULL,
    answer BYTEA,
    PRIMARY KEY (token, key)
);

CREATE INDEX state_replays_aged ON state_replays (begun_at);
