-- name: create
-- The ledger: what ran, when, by whom. It is never needed to run the application. Every object is
-- made only where it is missing, so that a run at head takes no lock.
CREATE SCHEMA IF NOT EXISTS liftlock;

CREATE TABLE IF NOT EXISTS liftlock.ledger (
    version integer PRIMARY KEY
);
COMMENT ON TABLE liftlock.ledger IS 'The format of these tables; a liftlock that is older than it refuses to write.';
INSERT INTO liftlock.ledger (version) VALUES (1) ON CONFLICT DO NOTHING;

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

CREATE TABLE IF NOT EXISTS liftlock.steps (
    run bigint NOT NULL REFERENCES liftlock.runs,
    version_table text NOT NULL,
    revision text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    position integer NOT NULL,
    operation text NOT NULL,
    shape text NOT NULL,
    occurrence integer NOT NULL,
    part integer NOT NULL,
    fingerprint text NOT NULL,
    sql text NOT NULL,
    pace text NOT NULL,
    lock text,
    phase text NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, revision, direction, shape, occurrence, part)
);
COMMENT ON TABLE liftlock.steps IS 'Each step that is finished; it is written in the transaction of the step itself.';

-- name: present
-- The format of the ledger at hand; no row where there is no ledger yet.
SELECT 1 AS found FROM pg_catalog.pg_tables WHERE schemaname = 'liftlock' AND tablename = 'ledger';

-- name: version
-- The format of the ledger at hand.
SELECT max(version) FROM liftlock.ledger;

-- name: begin_run
-- A run that is about to do something.
INSERT INTO liftlock.runs (version_table, command, host, release, engine)
VALUES (CAST(:version_table AS text), CAST(:command AS text), CAST(:host AS text), CAST(:release AS text), CAST(:engine AS text))
RETURNING id;

-- name: add_revision
-- A revision is applied; in its own transaction, or the row could tell a lie.
INSERT INTO liftlock.revisions (version_table, revision, down, depends_on, message, phase, run, seconds)
VALUES (CAST(:version_table AS text), CAST(:revision AS text), CAST(:down AS text[]), CAST(:depends_on AS text[]),
        CAST(:message AS text), CAST(:phase AS text), CAST(:run AS bigint), CAST(:seconds AS double precision))
ON CONFLICT (version_table, revision) DO UPDATE
SET down = excluded.down, depends_on = excluded.depends_on, message = excluded.message, phase = excluded.phase,
    run = excluded.run, applied_at = excluded.applied_at, seconds = excluded.seconds;

-- name: remove_revision
-- A revision is undone.
DELETE FROM liftlock.revisions
WHERE version_table = CAST(:version_table AS text) AND revision = CAST(:revision AS text);

-- name: add_step
-- A step is finished.
INSERT INTO liftlock.steps (run, version_table, revision, direction, position, operation, shape, occurrence, part,
                            fingerprint, sql, pace, lock, phase)
VALUES (CAST(:run AS bigint), CAST(:version_table AS text), CAST(:revision AS text), CAST(:direction AS text),
        CAST(:position AS integer), CAST(:operation AS text), CAST(:shape AS text), CAST(:occurrence AS integer),
        CAST(:part AS integer), CAST(:fingerprint AS text), CAST(:sql AS text), CAST(:pace AS text),
        CAST(:lock AS text), CAST(:phase AS text));

-- name: applied
-- What the ledger remembers of a version table, the oldest first.
SELECT r.revision, r.down, r.depends_on, r.message, r.phase, r.applied_at, r.seconds, n.role, n.host, n.release
FROM liftlock.revisions AS r
JOIN liftlock.runs AS n ON n.id = r.run
WHERE r.version_table = :version_table
ORDER BY r.applied_at, r.revision;

-- name: fingerprints
-- For each revision of a version table, the fingerprints of its steps in order.
SELECT s.revision, array_agg(s.fingerprint ORDER BY s.position) AS fingerprints
FROM liftlock.steps AS s
WHERE s.version_table = :version_table AND s.direction = 'up'
GROUP BY s.revision;
