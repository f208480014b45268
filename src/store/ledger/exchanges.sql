-- What is kept of exchanges. SQLite and Postgres both take these words; what only one of them has stands around them.

-- Every exchange once. `day` is that in which its id was drawn, counted from the epoch, so that the same exchange always
-- comes to the same place; `detail` is all of it, as `Entry::write` has it.
CREATE TABLE ledger_exchanges (
    day INTEGER NOT NULL,
    id UUID NOT NULL,
    at BIGINT NOT NULL,
    org UUID NOT NULL,
    workspace UUID NOT NULL,
    run TEXT NOT NULL,
    detail BYTEA NOT NULL,
    PRIMARY KEY (day, id)
)
