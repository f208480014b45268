-- What was spent of a budget: settled by replicas that report it, or in the ledger before any lease was given. `span` is `day`
-- or `month`, `period` its number; money in billionths of a dollar.
CREATE TABLE ledger_budgets (
    holder UUID NOT NULL,
    span TEXT NOT NULL,
    period INTEGER NOT NULL,
    spent BIGINT NOT NULL,
    PRIMARY KEY (holder, span, period)
);

-- What a replica may spend of it without asking again, and how much of that it says it has spent. One that stops saying so
-- loses what it had left.
CREATE TABLE ledger_leases (
    holder UUID NOT NULL,
    span TEXT NOT NULL,
    period INTEGER NOT NULL,
    replica UUID NOT NULL,
    granted BIGINT NOT NULL,
    spent BIGINT NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (holder, span, period, replica)
);
