CREATE INDEX ledger_exchanges_listed ON ledger_exchanges (workspace, day, id);

-- What they sum up to, written in the same transaction. Money in billionths of a dollar; `person` is empty where a token
-- stands for nobody, `provider` and `model` where nobody answered, `run` where a call named none.
CREATE TABLE ledger_days (
    day INTEGER NOT NULL,
    org UUID NOT NULL,
    workspace UUID NOT NULL,
    person TEXT NOT NULL,
    token UUID NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    exchanges BIGINT NOT NULL,
    served BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write_5m BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_input BIGINT NOT NULL,
    audio_output BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    overhead BIGINT NOT NULL,
    partial BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    total_ms BIGINT NOT NULL,
    PRIMARY KEY (day, org, workspace, person, token, provider, model)
);

-- The same by the hour, counted from the epoch.
CREATE TABLE ledger_hours (
    hour INTEGER NOT NULL,
    org UUID NOT NULL,
    workspace UUID NOT NULL,
    person TEXT NOT NULL,
    token UUID NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    exchanges BIGINT NOT NULL,
    served BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write_5m BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_input BIGINT NOT NULL,
    audio_output BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    overhead BIGINT NOT NULL,
    partial BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    total_ms BIGINT NOT NULL,
    PRIMARY KEY (hour, org, workspace, person, token, provider, model)
);

-- And by hour and run.
CREATE TABLE ledger_runs (
    hour INTEGER NOT NULL,
    org UUID NOT NULL,
    workspace UUID NOT NULL,
    person TEXT NOT NULL,
    token UUID NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    run TEXT NOT NULL,
    exchanges BIGINT NOT NULL,
    served BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write_5m BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_input BIGINT NOT NULL,
    audio_output BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    overhead BIGINT NOT NULL,
    partial BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    total_ms BIGINT NOT NULL,
    PRIMARY KEY (hour, org, workspace, person, token, provider, model, run)
);

CREATE INDEX ledger_runs_named ON ledger_runs (workspace, run);

-- Which run is a part of which. What was said first stands.
CREATE TABLE ledger_lineage (
    workspace UUID NOT NULL,
    run TEXT NOT NULL,
    parent TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace, run)
);

CREATE INDEX ledger_lineage_below ON ledger_lineage (workspace, parent);
