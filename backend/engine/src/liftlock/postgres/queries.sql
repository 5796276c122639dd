-- name: settle
-- Apply session settings; they override those of the role and the database. Settings that the server's
-- version doesn't have are left out.
SELECT set_config(wanted.name, wanted.value, false)
FROM unnest(CAST(:names AS text[]), CAST(:values AS text[])) AS wanted (name, value)
JOIN pg_catalog.pg_settings AS known USING (name);

-- name: settings
-- Return the settings made since the session began, for it or for its transaction. Properties of the
-- transaction and timeouts, which liftlock controls, are left out. pg_settings contains neither the
-- role nor settings with names of the project's own, so they are added.
SELECT name, pg_catalog.current_setting(name) AS value
FROM pg_catalog.pg_settings
WHERE source = 'session' AND name NOT LIKE E'transaction\\_%' AND name NOT LIKE E'%\\_timeout'
UNION ALL
SELECT wanted.name, pg_catalog.current_setting(wanted.name, true)
FROM unnest(CAST(:own AS text[])) AS wanted (name)
WHERE pg_catalog.current_setting(wanted.name, true) <> ''
UNION ALL
SELECT 'session_authorization', pg_catalog.current_setting('session_authorization')
UNION ALL
SELECT 'role', pg_catalog.current_setting('role');

-- name: settings_named
-- Return the values of settings by name; a setting that doesn't exist is empty.
SELECT name, coalesce(pg_catalog.current_setting(name, true), '') AS value
FROM unnest(CAST(:names AS text[])) AS wanted (name);

-- name: backend
-- Return the process ID of the session's backend, and what its server is.
SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.pg_is_in_recovery() AS standby,
       CAST(pg_catalog.current_setting('server_version_num') AS int) AS version;

-- name: role
-- Return the role as SQL text, and whether it is the one that logged in.
SELECT pg_catalog.quote_ident(current_user) AS role, current_user OPERATOR(pg_catalog.=) session_user AS logged_in;

-- name: setting
-- Return the value of a parameter.
SELECT pg_catalog.current_setting(:name) AS value;

-- name: set
-- Set a parameter for the session, or only for the transaction.
SELECT pg_catalog.set_config(:name, :value, CAST(:local AS boolean));

-- name: try_lock
-- Try to take an advisory lock. It never waits, since a waiting statement holds a snapshot, for whose
-- end CREATE INDEX CONCURRENTLY waits.
SELECT pg_try_advisory_lock(:key) AS got;

-- name: claim
-- Take an advisory lock until the end of the transaction, if it is free.
SELECT pg_catalog.pg_try_advisory_xact_lock(:key) AS got;

-- name: unlock
-- Release an advisory lock.
SELECT pg_advisory_unlock(:key);

-- name: lock_pids
-- Return the process IDs of the sessions that hold an advisory lock.
SELECT l.pid
FROM pg_catalog.pg_locks AS l
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
  AND (l.classid::bigint << 32) | l.objid::bigint = :key
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database());

-- name: lock_holder
-- Return the session that holds an advisory lock. pg_stat_activity is a snapshot of the first access in
-- a transaction, so in a transaction only the pid may be known.
SELECT pid, a.application_name, a.backend_start, a.client_addr::text AS client
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
  AND (l.classid::bigint << 32) | l.objid::bigint = :key
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database());

-- name: blockers
-- Return the sessions that block a session, the oldest transaction first, and the tables on which they
-- hold the lock of VACUUM, ANALYZE or CREATE INDEX CONCURRENTLY. A prepared transaction has no session:
-- its pid is 0.
SELECT a.pid, a.application_name, a.state, a.usename, a.xact_start, a.backend_type,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8 AS seconds,
       left(a.query, 200) AS query,
       ARRAY(
           SELECT c.oid::regclass::text
           FROM pg_catalog.pg_locks AS l
           JOIN pg_catalog.pg_class AS c ON c.oid = l.relation AND c.relkind IN ('r', 'p') AND l.locktype = 'relation'
           WHERE l.pid = a.pid AND l.granted AND l.mode = 'ShareUpdateExclusiveLock'
             AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())) AS maintains
FROM unnest(pg_catalog.pg_blocking_pids(:pid)) AS b (pid)
JOIN pg_catalog.pg_stat_activity AS a USING (pid)
UNION ALL
SELECT 0, p.gid, 'prepared', p.owner, p.prepared, 'prepared transaction',
       extract(epoch FROM clock_timestamp() - p.prepared)::float8, format('COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L ends it', p.gid), '{}'
FROM pg_catalog.pg_prepared_xacts AS p
WHERE 0 = ANY (pg_catalog.pg_blocking_pids(:pid)) AND p.database = current_database()
ORDER BY xact_start NULLS LAST;

-- name: waiters
-- Return the sessions that are blocked by a session.
SELECT a.pid
FROM pg_catalog.pg_stat_activity AS a
WHERE a.wait_event_type = 'Lock' AND :pid = ANY (pg_catalog.pg_blocking_pids(a.pid));

-- name: index_progress
-- Return the progress of the index that a session builds.
SELECT CAST(p.relid::regclass AS text) AS relation, p.phase,
       CASE WHEN p.blocks_total > 0 THEN 100 * p.blocks_done / p.blocks_total
            WHEN p.tuples_total > 0 THEN 100 * p.tuples_done / p.tuples_total ELSE 0 END AS percent
FROM pg_catalog.pg_stat_progress_create_index AS p
WHERE p.pid = :pid;

-- name: replica_lag
-- Return the replay lag of the slowest replica; 0 if the role isn't a member of pg_read_all_stats.
SELECT coalesce(max(extract(epoch FROM r.replay_lag)), 0)::float8 AS seconds
FROM pg_catalog.pg_stat_replication AS r;

-- name: long_queries
-- Return the long transactions of other sessions on this standby, and how long replay of a lock waits
-- for them.
SELECT a.pid, a.application_name, a.state, a.usename, a.backend_type,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds, left(a.query, 200) AS query,
       current_setting('max_standby_streaming_delay') AS delay
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
  AND clock_timestamp() - a.xact_start > make_interval(secs => :least)
ORDER BY a.xact_start;

-- name: still_open
-- Return which of the given transactions are still open.
SELECT a.pid
FROM pg_catalog.pg_stat_activity AS a
JOIN unnest(CAST(:pids AS int[]), CAST(:starts AS timestamptz[])) AS known (pid, xact_start) USING (pid, xact_start);

-- name: snapshots
-- Return the transactions of other sessions that hold a snapshot, except those of this run. Sessions of
-- another database can't read this one's tables.
SELECT a.pid, CAST(a.backend_xmin AS text) AS xmin, a.application_name, a.state, a.usename, a.backend_type,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds, left(a.query, 200) AS query
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = current_database() AND a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid() AND a.pid <> :pid
  -- The type of another role's session may be hidden; a background process has no role.
  AND (a.backend_type = 'client backend' OR (a.backend_type IS NULL AND a.usesysid IS NOT NULL))
ORDER BY a.xact_start;

-- name: table_locks
-- Return the locks on tables, views and sequences that a session holds or waits for, without the modes
-- that row changes take. Relations that it has created and not committed are not visible here.
SELECT DISTINCT CAST(c.oid::regclass AS text) AS relation, l.mode
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
WHERE l.pid = :pid AND l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'm', 'v', 'f', 'S')
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND c.relnamespace <> 'pg_catalog'::regnamespace
ORDER BY 1, 2;

-- name: visible_to_others
-- Return whether an object of this kind and name exists in any schema. Another session than the one that
-- has dropped or created it asks, so uncommitted changes don't count. Unknown kinds count as relations.
SELECT CASE
  WHEN wanted.kind = 'left over' THEN true
  WHEN wanted.kind IN ('FUNCTION', 'PROCEDURE', 'AGGREGATE') THEN EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = wanted.name)
  WHEN wanted.kind IN ('TYPE', 'DOMAIN') THEN EXISTS (SELECT FROM pg_catalog.pg_type WHERE typname = wanted.name)
  ELSE EXISTS (
    SELECT FROM pg_catalog.pg_class AS c
    WHERE c.relname = wanted.name AND CASE wanted.kind
      WHEN 'COLUMN' THEN EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attname = wanted.part)
      WHEN 'DEFAULT' THEN EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attname = wanted.part AND atthasdef)
      WHEN 'TRIGGER' THEN EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND tgname = wanted.part)
      WHEN 'POLICY' THEN EXISTS (SELECT FROM pg_catalog.pg_policy WHERE polrelid = c.oid AND polname = wanted.part)
      WHEN 'RULE' THEN EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid AND rulename = wanted.part)
      ELSE true END)
  END AS seen
FROM (SELECT CAST(:kind AS text) AS kind, CAST(:whose AS text) AS name, CAST(:part AS text) AS part) AS wanted;

-- name: cancel
-- Cancel the statement of a session.
SELECT pg_cancel_backend(:pid);

-- name: cancel_blocker
-- End a blocking transaction, unless it is over: cancel its statement if one is running, else terminate
-- its session.
SELECT CASE a.state WHEN 'active' THEN pg_cancel_backend(a.pid) ELSE pg_terminate_backend(a.pid) END AS done
FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid = :pid AND a.xact_start = :xact_start;

-- name: exists
-- Return whether a relation exists.
SELECT to_regclass(:relation) IS NOT NULL AS found;

-- name: version_tables
-- Return the tables that look like Alembic's version table and may be read: version_num is the only column.
SELECT n.nspname || '.' || c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
GROUP BY n.nspname, c.relname
HAVING array_agg(a.attname::text) = ARRAY['version_num']
ORDER BY 1;

-- name: server_facts
-- Return facts about the server and the role, for `liftlock doctor`.
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int AS version_num,
       pg_is_in_recovery() AS standby,
       current_setting('transaction_read_only')::bool AS read_only,
       clock_timestamp() AS clock,
       current_user AS role,
       current_database() AS dbname,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
       current_schema() AS schema,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create_table;

-- name: not_owned
-- Return the tables of the current schema that the role may not alter, as it isn't a member of their owner.
SELECT c.relname AS name, pg_get_userbyid(c.relowner) AS owner
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT pg_has_role(c.relowner, 'MEMBER')
ORDER BY c.relname;

-- name: visible
-- Return the relations that this session sees; for an index also its table.
SELECT c.oid::bigint AS oid, c.oid::regclass::text AS relation, c.relname AS name, c.relkind::text AS kind, t.oid::regclass::text AS of_table
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'liftlock')
  AND c.relname <> :version_table AND t.relname IS DISTINCT FROM :version_table
ORDER BY c.oid;

-- name: relation_locks
-- Return the locks on relations that a session holds, or that it waits for.
SELECT DISTINCT c.oid::bigint AS oid, c.oid::regclass::text AS relation, l.mode, c.relkind::text AS kind
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.pid = :pid AND l.granted = :granted AND l.locktype = 'relation'
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast');

-- name: waits
-- Return what kinds of locks a session waits for, such as relation or transactionid.
SELECT l.locktype FROM pg_catalog.pg_locks AS l WHERE l.pid = :pid AND NOT l.granted;

-- name: throw_out
-- Terminate the other sessions of a database, so that it can be copied. CREATE DATABASE waits five seconds
-- for their end.
SELECT pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity AS a WHERE a.datname = :dbname AND a.pid <> pg_backend_pid();

-- name: schema_of
-- Return the schema in which a table is found by its name alone, else the one in which it would be created.
SELECT coalesce((
    SELECT n.nspname::text FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass(quote_ident(CAST(:table AS text)))), current_schema()::text) AS schema;

-- name: relation
-- Return a table of the project, which may be partitioned: its columns, and those of its primary key in order.
SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind = 'p' AS partitioned,
       array(
           SELECT a.attname::text FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       ) AS columns,
       array(
           SELECT a.attname::text FROM pg_catalog.pg_index AS i
           CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS key (number, place)
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = key.number
           WHERE i.indrelid = c.oid AND i.indisprimary AND key.place <= i.indnkeyatts ORDER BY key.place
       ) AS key
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(CAST(:relation AS text)) AND c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE E'pg\\_%';

-- name: sizes
-- Return the size of tables with their partitions, and how many rows were ever written. The counters are the
-- server's own; it updates them within a second, and a standby doesn't have those of its primary.
SELECT wanted.name, sum(pg_table_size(leaf.oid))::bigint AS bytes, sum(greatest(leaf.reltuples, 0))::float8 AS rows,
       CASE WHEN NOT pg_is_in_recovery() THEN coalesce(sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del), 0)::bigint END AS writes
FROM unnest(CAST(:names AS text[])) AS wanted (name)
JOIN pg_catalog.pg_class AS c ON c.oid = to_regclass(wanted.name) AND c.relkind IN ('r', 'p', 'm')
LEFT JOIN LATERAL pg_partition_tree(c.oid) AS part ON c.relkind = 'p'
JOIN pg_catalog.pg_class AS leaf ON leaf.oid = coalesce(part.relid, c.oid)
LEFT JOIN pg_catalog.pg_stat_user_tables AS s ON s.relid = leaf.oid
GROUP BY wanted.name;

-- name: roles
-- Return the roles of the server.
SELECT r.rolname AS name FROM pg_catalog.pg_roles AS r;
