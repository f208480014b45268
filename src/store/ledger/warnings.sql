-- Budgets of which so much is spent that somebody was told: each once, whichever replica saw it. `span` and `period` as with
-- budgets.
CREATE TABLE ledger_warnings (
    holder UUID NOT NULL,
    span TEXT NOT NULL,
    period INTEGER NOT NULL,
    percent INTEGER NOT NULL,
    PRIMARY KEY (holder, span, period, percent)
);
