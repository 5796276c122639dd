-- name: table
-- All that planning asks of a table, as one JSON text; no row where there is no such table.
SELECT json_build_object(
    'oid', c.oid::bigint,
    'name', c.relname,
    'kind', c.relkind,
    'bytes', pg_table_size(c.oid),
    'rows', c.reltuples,
    'columns', (
        SELECT coalesce(json_agg(json_build_object(
            'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull) ORDER BY a.attnum), '[]')
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'constraints', (
        SELECT coalesce(json_agg(json_build_object(
            'name', k.conname, 'type', k.contype, 'validated', k.convalidated,
            'refers', CASE WHEN k.confrelid <> 0 THEN k.confrelid::regclass::text ELSE '' END,
            'columns', (
                SELECT coalesce(json_agg(a.attname ORDER BY n.place), '[]')
                FROM unnest(k.conkey) WITH ORDINALITY AS n (attnum, place)
                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = n.attnum))
            ORDER BY k.conname), '[]')
        FROM pg_catalog.pg_constraint AS k
        WHERE k.conrelid = c.oid),
    'indexes', (
        SELECT coalesce(json_agg(json_build_object(
            'name', r.relname, 'unique', i.indisunique, 'valid', i.indisvalid AND i.indisready AND i.indislive,
            'plain', i.indexprs IS NULL AND i.indpred IS NULL,
            'constraint', EXISTS (
                SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')),
            'columns', (
                SELECT json_agg(coalesce(a.attname, '') ORDER BY n.place)
                FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS n (attnum, place)
                LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = n.attnum
                WHERE n.place <= i.indnkeyatts))
            ORDER BY r.relname), '[]')
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS r ON r.oid = i.indexrelid
        WHERE i.indrelid = c.oid),
    'relation_names', (
        SELECT coalesce(json_agg(r.relname), '[]')
        FROM pg_catalog.pg_class AS r
        WHERE r.relnamespace = c.relnamespace AND starts_with(r.relname::text, left(c.relname::text, 10))),
    'constraint_names', (
        SELECT coalesce(json_agg(k.conname), '[]')
        FROM pg_catalog.pg_constraint AS k
        WHERE k.connamespace = c.relnamespace AND starts_with(k.conname::text, left(c.relname::text, 10)))
)::text AS facts
FROM pg_catalog.pg_class AS c
WHERE c.oid = to_regclass(CAST(:relation AS text));

-- name: table_of_index
-- The table that an index stands on, as SQL text.
SELECT i.indrelid::regclass::text AS relation
FROM pg_catalog.pg_index AS i
WHERE i.indexrelid = to_regclass(CAST(:relation AS text));

-- name: index_state
-- Whether an index (of a table, where one is given) is there and done; no row where it isn't there.
SELECT i.indisvalid AND i.indisready AND i.indislive AS done
FROM pg_catalog.pg_index AS i
WHERE i.indexrelid = to_regclass(CAST(:relation AS text)) 
  AND (CAST(:owner AS text) = '' OR i.indrelid = to_regclass(NULLIF(CAST(:owner AS text), '')));

-- name: may_lock
-- Which of these tables the role may lock in any mode; REFERENCES alone, which is enough for a foreign key, isn't.
SELECT wanted.relation
FROM unnest(CAST(:relations AS text[])) WITH ORDINALITY AS wanted (relation, place)
WHERE to_regclass(wanted.relation) IS NOT NULL
  AND has_table_privilege(to_regclass(wanted.relation)::oid, 'UPDATE, DELETE, TRUNCATE')
ORDER BY wanted.place;

-- name: copy_files
-- The files of the empty copy and of its indexes: a statement that writes anew leaves others.
SELECT c.oid = CAST(:oid AS oid) AS own, pg_relation_filenode(c.oid)::bigint AS file
FROM pg_catalog.pg_class AS c
WHERE c.oid = CAST(:oid AS oid)
   OR c.oid IN (SELECT i.indexrelid FROM pg_catalog.pg_index AS i WHERE i.indrelid = CAST(:oid AS oid));

-- name: copy_checks
-- The checks of the empty copy, in the order in which they were made, with their columns.
SELECT k.oid::bigint AS oid, (
    SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]')::text
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) AS columns
FROM pg_catalog.pg_constraint AS k
WHERE k.conrelid = CAST(:oid AS oid) AND k.contype = 'c'
ORDER BY k.oid;

-- name: key_columns
-- The columns, with their types, of the shortest unique key of a table that has no nulls; the primary key first.
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM (
    SELECT i.indexrelid, i.indrelid, i.indkey, i.indnkeyatts
    FROM pg_catalog.pg_index AS i
    WHERE i.indrelid = to_regclass(CAST(:relation AS text))
      AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indexprs IS NULL AND i.indpred IS NULL
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull)
    ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
    LIMIT 1) AS k
CROSS JOIN unnest(k.indkey::int2[]) WITH ORDINALITY AS n (attnum, place)
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.indrelid AND a.attnum = n.attnum
WHERE n.place <= k.indnkeyatts
ORDER BY n.place;
