-- Responses of ours with what was said before them, sealed: a provider that keeps none can be asked to go on from one.
CREATE TABLE state_transcripts (
    workspace UUID NOT NULL,
    id TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace, id)
);

-- For what a workspace may keep at most, and for what is forgotten by its age.
CREATE INDEX state_transcripts_kept ON state_transcripts (workspace, created_at);
CREATE INDEX state_transcripts_aged ON state_transcripts (created_at);
