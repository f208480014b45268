-- When a lease of it was last asked for: budgets of runs have no day on which they are over.
ALTER TABLE ledger_budgets ADD COLUMN used_at TIMESTAMPTZ NOT NULL DEFAULT now();
