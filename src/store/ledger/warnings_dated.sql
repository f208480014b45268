-- The day on which it was told: a run has no period that could be over.
ALTER TABLE ledger_warnings ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
