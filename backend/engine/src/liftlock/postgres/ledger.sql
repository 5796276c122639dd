-- name: create
-- Create the ledger, which records what ran, when, and by whom. The application doesn't need it.
-- Each object is created only if it is missing, so that a run with nothing to do takes no lock.
CREATE SCHEMA IF NOT EXISTS liftlock;

CREATE TABLE IF NOT EXISTS liftlock.ledger (
    version integer PRIMARY KEY
);
COMMENT ON TABLE liftlock.ledger IS 'The format of these tables; a liftlock that is older than it refuses to write.';
INSERT INTO liftlock.ledger (version) VALUES (2) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS liftlock.runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_table text NOT NULL,
    command text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    role text NOT NULL DEFAULT session_user,
    host text NOT NULL,
    release text NOT NULL,
    engine text NOT NULL
);
COMMENT ON TABLE liftlock.runs IS 'One row for each run that had something to do: by whom, from where, with which build.';

CREATE TABLE IF NOT EXISTS liftlock.revisions (
    version_table text NOT NULL,
    revision text NOT NULL,
    down text[] NOT NULL,
    depends_on text[] NOT NULL,
    message text NOT NULL,
    phase text NOT NULL CHECK (phase IN ('expand', 'contract')),
    run bigint NOT NULL REFERENCES liftlock.runs,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seconds double precision NOT NULL,
    PRIMARY KEY (version_table, revision)
);
COMMENT ON TABLE liftlock.revisions IS 'The revisions that are applied, each once, and how they follow each other.';

CREATE TABLE IF NOT EXISTS liftlock.executions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_table text NOT NULL,
    revision text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    source text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    wish text NOT NULL DEFAULT 'run' CHECK (wish IN ('run', 'pause', 'cancel'))
);
COMMENT ON TABLE liftlock.executions IS 'Each time that a revision was run, over however many runs; one that is not finished is resumed.';
CREATE UNIQUE INDEX IF NOT EXISTS executions_unfinished ON liftlock.executions (version_table) WHERE finished_at IS NULL;

CREATE TABLE IF NOT EXISTS liftlock.steps (
    execution bigint NOT NULL REFERENCES liftlock.executions,
    run bigint NOT NULL REFERENCES liftlock.runs,
    position integer NOT NULL,
    operation text NOT NULL,
    shape text NOT NULL,
    occurrence integer NOT NULL,
    part integer NOT NULL,
    does text NOT NULL,
    fingerprint text NOT NULL,
    recipe jsonb,
    cursor jsonb,
    sql text NOT NULL,
    pace text NOT NULL,
    lock text,
    phase text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    PRIMARY KEY (execution, shape, occurrence, part)
);
COMMENT ON TABLE liftlock.steps IS
'Each step, written in its own transaction: begun (what refuses a transaction, and backfills) or finished. Until its revision is finished, the first of an operation keeps the whole recipe, so that a resumed run ends with the same one.';

CREATE TABLE IF NOT EXISTS liftlock.answers (
    execution bigint NOT NULL REFERENCES liftlock.executions ON DELETE CASCADE,
    shape text NOT NULL,
    occurrence integer NOT NULL,
    fingerprint text NOT NULL,
    body jsonb NOT NULL,
    PRIMARY KEY (execution, shape, occurrence)
);
COMMENT ON TABLE liftlock.answers IS
'Results of the queries of a revision that is not finished, so that a resumed one takes the same path; deleted at its end.';

-- name: present
-- Return a row if the database has a ledger.
SELECT 1 AS found FROM pg_catalog.pg_tables WHERE schemaname = 'liftlock' AND tablename = 'ledger';

-- name: readable
-- Return whether the database has a ledger that the role may read.
SELECT coalesce((
    SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'liftlock' AND c.relname = 'executions'
), false) AS readable;

-- name: from_1
-- Upgrade a ledger of format 1 to format 2.
ALTER TABLE liftlock.executions
ADD COLUMN IF NOT EXISTS wish text NOT NULL DEFAULT 'run' CHECK (wish IN ('run', 'pause', 'cancel'));
INSERT INTO liftlock.ledger (version) VALUES (2) ON CONFLICT DO NOTHING;

-- name: wish
-- Return the requested state of a revision's backfills: run, pause or cancel.
SELECT wish FROM liftlock.executions WHERE id = CAST(:execution AS bigint);

-- name: make_wish
-- Request a state of the backfills of a revision that isn't finished.
UPDATE liftlock.executions SET wish = CAST(:wish AS text)
WHERE id = CAST(:execution AS bigint) AND finished_at IS NULL;

-- name: backfills
-- Return the backfills that were begun and aren't finished, the oldest first.
SELECT e.id AS execution, e.version_table, e.revision, e.direction, e.wish, s.sql, s.started_at, s.cursor::text AS cursor
FROM liftlock.steps AS s
JOIN liftlock.executions AS e ON e.id = s.execution
WHERE e.finished_at IS NULL AND s.finished_at IS NULL AND s.pace = 'batched'
ORDER BY s.started_at;

-- name: version
-- Return the format of the ledger.
SELECT max(version) FROM liftlock.ledger;

-- name: begin_run
-- Record a run that is about to change something; return its number.
INSERT INTO liftlock.runs (version_table, command, host, release, engine)
VALUES (CAST(:version_table AS text), CAST(:command AS text), CAST(:host AS text), CAST(:release AS text), CAST(:engine AS text))
RETURNING id;

-- name: add_revision
-- Record an applied revision. It belongs to the transaction that changes the version table.
INSERT INTO liftlock.revisions (version_table, revision, down, depends_on, message, phase, run, seconds)
VALUES (CAST(:version_table AS text), CAST(:revision AS text), CAST(:down AS text[]), CAST(:depends_on AS text[]),
        CAST(:message AS text), CAST(:phase AS text), CAST(:run AS bigint), CAST(:seconds AS double precision))
ON CONFLICT (version_table, revision) DO UPDATE
SET down = excluded.down, depends_on = excluded.depends_on, message = excluded.message, phase = excluded.phase,
    run = excluded.run, applied_at = excluded.applied_at, seconds = excluded.seconds;

-- name: remove_revision
-- Remove a downgraded revision.
DELETE FROM liftlock.revisions
WHERE version_table = CAST(:version_table AS text) AND revision = CAST(:revision AS text);

-- name: unfinished
-- Return the execution that was begun and isn't finished; a version table has at most one.
SELECT e.id, e.revision, e.direction, e.source
FROM liftlock.executions AS e
WHERE e.version_table = CAST(:version_table AS text) AND e.finished_at IS NULL;

-- name: forget_execution
-- Remove an execution whose steps were all undone.
DELETE FROM liftlock.executions WHERE id = CAST(:execution AS bigint);

-- name: begin_execution
-- Record the execution of a revision, at its first commit; return its number.
INSERT INTO liftlock.executions (version_table, revision, direction, source)
VALUES (CAST(:version_table AS text), CAST(:revision AS text), CAST(:direction AS text), CAST(:source AS text))
RETURNING id;

-- name: finish_execution
-- Record that an execution is finished.
UPDATE liftlock.executions SET finished_at = clock_timestamp() WHERE id = CAST(:execution AS bigint);

-- name: forget_answers
-- Remove the query results of an execution; only a resumed one needs them.
DELETE FROM liftlock.answers WHERE execution = CAST(:execution AS bigint);

-- name: forget_recipes
-- Remove the planned steps and cursors of an execution; only a resumed one needs them.
UPDATE liftlock.steps SET recipe = NULL, cursor = NULL
WHERE execution = CAST(:execution AS bigint) AND recipe IS NOT NULL;

-- name: steps
-- Return the steps of an execution, in their order.
SELECT s.shape, s.occurrence, s.part, s.fingerprint, s.recipe::text AS recipe, s.cursor::text AS cursor, s.finished_at IS NOT NULL AS finished
FROM liftlock.steps AS s
WHERE s.execution = CAST(:execution AS bigint)
ORDER BY s.position;

-- name: answers
-- Return the query results of an execution.
SELECT a.shape, a.occurrence, a.fingerprint, a.body::text AS body
FROM liftlock.answers AS a
WHERE a.execution = CAST(:execution AS bigint);

-- name: add_answer
-- Record the result of a query of the revision, in the transaction of the query.
INSERT INTO liftlock.answers (execution, shape, occurrence, fingerprint, body)
VALUES (CAST(:execution AS bigint), CAST(:shape AS text), CAST(:occurrence AS integer), CAST(:fingerprint AS text),
        CAST(CAST(:body AS text) AS jsonb));

-- name: add_step
-- Record that a step is begun or finished.
INSERT INTO liftlock.steps (execution, run, position, operation, shape, occurrence, part, does, fingerprint, recipe, sql,
                            pace, lock, phase, finished_at)
VALUES (CAST(:execution AS bigint), CAST(:run AS bigint), CAST(:position AS integer), CAST(:operation AS text),
        CAST(:shape AS text), CAST(:occurrence AS integer), CAST(:part AS integer), CAST(:does AS text), CAST(:fingerprint AS text),
        CAST(CAST(:recipe AS text) AS jsonb), CAST(:sql AS text), CAST(:pace AS text), CAST(:lock AS text),
        CAST(:phase AS text), CASE WHEN CAST(:finished AS boolean) THEN clock_timestamp() END)
ON CONFLICT (execution, shape, occurrence, part) DO UPDATE
SET finished_at = excluded.finished_at, run = excluded.run;

-- name: advance
-- Record the cursor of a backfill, in the transaction of the batch.
UPDATE liftlock.steps SET cursor = CAST(CAST(:cursor AS text) AS jsonb)
WHERE execution = CAST(:execution AS bigint) AND shape = CAST(:shape AS text)
  AND occurrence = CAST(:occurrence AS integer) AND part = CAST(:part AS integer);

-- name: forget_operation
-- Remove the steps of an operation that was undone.
DELETE FROM liftlock.steps
WHERE execution = CAST(:execution AS bigint) AND shape = CAST(:shape AS text) AND occurrence = CAST(:occurrence AS integer);

-- name: applied
-- Return the applied revisions of a version table, the oldest first.
SELECT r.revision, r.down, r.depends_on, r.message, r.phase, r.applied_at, r.seconds, n.role, n.host, n.release
FROM liftlock.revisions AS r
JOIN liftlock.runs AS n ON n.id = r.run
WHERE r.version_table = :version_table
ORDER BY r.applied_at, r.revision;

-- name: fingerprints
-- Return the fingerprints of the steps of each revision of a version table, in their order.
SELECT e.revision, array_agg(s.fingerprint ORDER BY s.position) AS fingerprints
FROM liftlock.steps AS s
JOIN liftlock.executions AS e ON e.id = s.execution
WHERE e.version_table = :version_table AND e.direction = 'up'
GROUP BY e.revision;
