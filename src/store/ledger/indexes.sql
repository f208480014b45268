-- What one workspace asks for must not take as long as what all of them did.
CREATE INDEX ledger_days_of_workspace ON ledger_days (workspace, day);
CREATE INDEX ledger_hours_of_workspace ON ledger_hours (workspace, hour);

-- Most exchanges belong to no run.
CREATE INDEX ledger_exchanges_of_run ON ledger_exchanges (run, day, id) WHERE run <> '';
