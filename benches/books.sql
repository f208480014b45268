-- Exchanges and what they sum up to, as the ledger would have kept them; for Postgres and SQLite both. `usage` puts in what is
-- in braces, brings the function `uuid_of`, and lists everybody in `people`, a workspace's ten one after the other.
--
-- Someone makes four calls to one model, then somebody else of another workspace does. Each of the 10,000 people uses two of
-- 20 models, and each comes again after so many turns that nobody has two in one hour. What each tenth workspace does in a
-- day is a run, and the runs are a pipeline's.

CREATE {temporary} VIEW turns AS
SELECT turn, at, at / 3600000 AS hour, at / 86400000 AS day, org, workspace, person, token,
       'provider-' || (model % 4) AS provider, 'model-' || model AS model,
       CASE number / 10 % 10 WHEN 0 THEN 'nightly-' || (at / 86400000) ELSE '' END AS run,
       input, output, (input + 4 * output) * (model + 1) * 100 AS cost
FROM (
    SELECT turn, {begin} + turn * {step} AS at, turn * 7919 % 1000 * 10 + turn / 1000 % 10 AS number,
           (turn * 7919 % 1000 * 3 + turn / 1000 % 10 * 7 + turn / 10000 % 2 * 7) % 20 AS model,
           500 + turn % 1009 AS input, 100 + turn % 307 AS output
    FROM {series}
) AS made JOIN people USING (number);

-- What was called is one exchange's, over and over: nobody searches in it.
INSERT INTO ledger_exchanges (day, id, at, org, workspace, run, detail)
SELECT day, uuid_of(at + call, 4 * turn + call), at + call, org, workspace, run, {detail}
FROM turns CROSS JOIN (SELECT 0 AS call UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) AS calls;

INSERT INTO ledger_hours
SELECT hour, org, workspace, person, token, provider, model,
       4, 4, 4, 4 * input, 0, 0, 0, 4 * output, 0, 0, 0, 4 * cost, 0, 0, 0, 0, 6000 FROM turns;

INSERT INTO ledger_runs
SELECT hour, org, workspace, person, token, provider, model, run,
       4, 4, 4, 4 * input, 0, 0, 0, 4 * output, 0, 0, 0, 4 * cost, 0, 0, 0, 0, 6000 FROM turns;

INSERT INTO ledger_days
SELECT hour / 24, org, workspace, person, token, provider, model, SUM(exchanges), SUM(served), SUM(attempts), SUM(input), 0, 0, 0,
       SUM(output), 0, 0, 0, SUM(cost), 0, 0, 0, 0, SUM(total_ms) FROM ledger_hours
GROUP BY hour / 24, org, workspace, person, token, provider, model;

INSERT INTO ledger_lineage
SELECT workspace, run, 'pipeline', CAST(MIN(hour) AS BIGINT) * 3600000 FROM ledger_runs WHERE run <> '' GROUP BY workspace, run;

DROP VIEW turns;
