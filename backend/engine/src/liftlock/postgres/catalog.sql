-- name: table
-- Return the facts about a table that planning needs, as one JSON text; no row if there is no such table.
SELECT json_build_object(
    'oid', c.oid::bigint,
    'name', c.relname,
    'kind', c.relkind,
    'bytes', CASE c.relkind WHEN 'p' THEN (
        SELECT coalesce(sum(pg_table_size(p.relid)), 0) FROM pg_partition_tree(c.oid) AS p WHERE p.isleaf)
        ELSE (SELECT sum(pg_table_size(one.oid)) FROM unnest(h.tree) AS one (oid)) END,
    'has_children', c.relkind = 'r' AND cardinality(h.tree) > 1,
    'rows', CASE c.relkind WHEN 'p' THEN (
        SELECT coalesce(sum(greatest(r.reltuples, 0)), 0)
        FROM pg_partition_tree(c.oid) AS p JOIN pg_catalog.pg_class AS r ON r.oid = p.relid WHERE p.isleaf) ELSE c.reltuples END,
    'partitions', (
        SELECT coalesce(json_agg(json_build_object(
            'relation', p.relid::regclass::text, 'name', r.relname, 'parent', p.parentrelid::regclass::text, 'leaf', p.isleaf,
            'keys', (
                SELECT coalesce(json_agg(pg_get_constraintdef(k.oid)), '[]') FROM pg_catalog.pg_constraint AS k
                WHERE k.conrelid = p.relid AND k.contype = 'f' AND k.conparentid = 0 AND k.convalidated),
            'relation_names', r.relnamespace::bigint)
            ORDER BY p.level, p.relid), '[]')
        FROM pg_partition_tree(c.oid) AS p
        JOIN pg_catalog.pg_class AS r ON r.oid = p.relid
        WHERE c.relkind = 'p' AND p.level > 0),
    'names_of_schemas', (
        SELECT coalesce(json_object_agg(one.schema, one.names), '{}')
        FROM (
            SELECT o.relnamespace AS schema, json_agg(o.relname) AS names
            FROM pg_catalog.pg_class AS o
            WHERE c.relkind = 'p' AND o.relnamespace IN (
                SELECT r.relnamespace FROM pg_partition_tree(c.oid) AS p JOIN pg_catalog.pg_class AS r ON r.oid = p.relid WHERE p.level > 0)
            GROUP BY o.relnamespace) AS one),
    'columns', (
        SELECT coalesce(json_agg(json_build_object(
            'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull AND NOT EXISTS (  -- since PostgreSQL 18 it may be NOT VALID
                SELECT FROM pg_catalog.pg_constraint AS k
                WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated)) ORDER BY a.attnum), '[]')
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
            'columns_only', i.indexprs IS NULL AND i.indpred IS NULL, 'immediate', i.indimmediate,
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
    'obstacles', (
        SELECT coalesce(json_agg(DISTINCT one.words), '[]')
        FROM (
            SELECT format('trigger %s, which would fire for each copied row', t.tgname) AS words
            FROM pg_catalog.pg_trigger AS t
            WHERE t.tgrelid = ANY (h.tree) AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 16 <> 0
              AND t.tgattr::text = '' AND NOT starts_with(t.tgname::text, '~liftlock_')
            UNION ALL
            SELECT format('rule %s, which rewrites updates', r.rulename)
            FROM pg_catalog.pg_rewrite AS r
            WHERE r.ev_class = ANY (h.tree) AND r.ev_type = '2' AND r.ev_enabled IN ('O', 'A')
            UNION ALL
            SELECT 'row-level security, which hides rows from this role'
            FROM unnest(h.tree) AS one (oid) WHERE row_security_active(one.oid)
            UNION ALL
            SELECT format('publication %s, which requires a replica identity for updates', p.pubname)
            FROM pg_catalog.pg_class AS o
            JOIN pg_catalog.pg_namespace AS n ON n.oid = o.relnamespace
            JOIN pg_catalog.pg_publication_tables AS pt ON pt.schemaname = n.nspname AND pt.tablename = o.relname
            JOIN pg_catalog.pg_publication AS p ON p.pubname = pt.pubname AND p.pubupdate
            WHERE o.oid = ANY (h.tree) AND o.relkind = 'r' AND o.relreplident <> 'f'
              AND NOT EXISTS (
                  SELECT FROM pg_catalog.pg_index AS i
                  WHERE i.indrelid = o.oid AND CASE o.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END)) AS one),
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
CROSS JOIN LATERAL (
    WITH RECURSIVE heirs AS (
        SELECT c.oid
        UNION
        SELECT i.inhrelid FROM heirs JOIN pg_catalog.pg_inherits AS i ON i.inhparent = heirs.oid
    )
    SELECT array_agg(heirs.oid) AS tree FROM heirs) AS h
WHERE c.oid = to_regclass(CAST(:relation AS text));

-- name: table_of_index
-- Return the table of an index, as SQL text.
SELECT i.indrelid::regclass::text AS relation
FROM pg_catalog.pg_index AS i
WHERE i.indexrelid = to_regclass(CAST(:relation AS text));

-- name: index_state
-- Return whether an index is valid; no row if it doesn't exist, or belongs to another table than a given one.
SELECT i.indisvalid AND i.indisready AND i.indislive AS done
FROM pg_catalog.pg_index AS i
WHERE i.indexrelid = to_regclass(CAST(:relation AS text))
  AND (CAST(:owner AS text) = '' OR i.indrelid = to_regclass(NULLIF(CAST(:owner AS text), '')));

-- name: labels
-- Return the labels of an enum in their order; no row if there is no such type in the schema in which the
-- enum would be created.
SELECT e.enumlabel AS label
FROM pg_catalog.pg_enum AS e
WHERE e.enumtypid = to_regtype(
    CASE WHEN CAST(:type AS text) ~ '^("([^"]|"")+"|[^".]+)$' THEN format('%I.%s', current_schema(), CAST(:type AS text)) ELSE :type END)
ORDER BY e.enumsortorder;

-- name: left_behind
-- Return statements that repair the incomplete objects that a statement names, with or without their
-- schema: invalid indexes, also those of REINDEX CONCURRENTLY, that no session is building; and partitions
-- whose DETACH CONCURRENTLY is pending.
WITH relations AS (
    SELECT c.oid, c.relname, pg_table_is_visible(c.oid) AS visible, q.bare, q.schema || E'"?\\s*\\.\\s*"?' || q.bare AS qualified
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT regexp_replace(regexp_replace(c.relname, E'_cc(new|old)\\d*$', ''), E'(\\W)', E'\\\\\\1', 'g') AS bare,
               regexp_replace(n.nspname, E'(\\W)', E'\\\\\\1', 'g') AS schema) AS q
    WHERE c.relkind IN ('r', 'p', 'm', 'i')
), mentioned AS (
    SELECT r.oid, r.relname, m.bare, m.qualified OR (m.bare AND r.visible) AS meant
    FROM relations AS r
    CROSS JOIN LATERAL (
        SELECT CAST(:statement AS text) ~* (E'(^|\\W)' || r.bare || E'(\\W|$)') AS bare,
               CAST(:statement AS text) ~* (E'(^|\\W)' || r.qualified || E'(\\W|$)') AS qualified) AS m
    WHERE m.bare OR m.qualified
)
SELECT format('DROP INDEX CONCURRENTLY IF EXISTS %s', i.indexrelid::regclass) AS repair
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
LEFT JOIN mentioned AS x ON x.oid = i.indexrelid
LEFT JOIN mentioned AS t ON t.oid = i.indrelid
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
  AND ((x.bare AND (x.meant OR t.meant)) OR (c.relname ~ E'_cc(new|old)\\d*$' AND t.meant))
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_stat_progress_create_index AS p
      WHERE p.pid <> pg_backend_pid() AND p.index_relid = i.indexrelid)
UNION ALL
SELECT format('ALTER TABLE %s DETACH PARTITION %s FINALIZE', h.inhparent::regclass, h.inhrelid::regclass)
FROM pg_catalog.pg_inherits AS h
JOIN mentioned AS m ON m.oid = h.inhrelid AND m.meant
WHERE to_jsonb(h) ->> 'inhdetachpending' = 'true';

-- name: is_partition
-- Return whether a table exists and is a partition.
SELECT coalesce((SELECT c.relispartition FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass(CAST(:relation AS text))), false) AS is_one;

-- name: may_lock
-- Return which of the given tables the role may lock in any mode. REFERENCES, which suffices for a foreign
-- key, doesn't suffice for that.
SELECT wanted.relation
FROM unnest(CAST(:relations AS text[])) WITH ORDINALITY AS wanted (relation, place)
WHERE to_regclass(wanted.relation) IS NOT NULL
  AND has_table_privilege(to_regclass(wanted.relation)::oid, 'UPDATE, DELETE, TRUNCATE')
ORDER BY wanted.place;

-- name: copy_files
-- Return the file numbers of the empty copy and of its indexes. A rewrite changes them.
SELECT c.oid = CAST(:oid AS oid) AS own, pg_relation_filenode(c.oid)::bigint AS file
FROM pg_catalog.pg_class AS c
WHERE c.oid = CAST(:oid AS oid)
   OR c.oid IN (SELECT i.indexrelid FROM pg_catalog.pg_index AS i WHERE i.indrelid = CAST(:oid AS oid));

-- name: copy_indexes
-- Return the indexes of the empty copy: their names as SQL text, and the names of their columns.
SELECT i.indexrelid::bigint AS oid, CAST(i.indexrelid::regclass AS text) AS name, (
    SELECT json_agg(a.attname ORDER BY a.attnum)::text
    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = i.indexrelid) AS columns
FROM pg_catalog.pg_index AS i
WHERE i.indrelid = 'pg_temp.liftlock_rehearsal'::regclass;

-- name: index_definitions
-- Return the definitions of an index and of the indexes of a table's partitions. The shape is what PostgreSQL
-- compares before it attaches an index of a partition to one of the table; the details are the rest of the
-- definition.
SELECT CAST(i.indexrelid::regclass AS text) AS name, CAST(i.indrelid::regclass AS text) AS relation,
       jsonb_build_array(
           m.amname, i.indisunique, to_jsonb(i) -> 'indnullsnotdistinct', i.indnkeyatts, CAST(i.indcollation AS text),
           (SELECT jsonb_agg(o.opcfamily ORDER BY n.place)
            FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS n (oid, place)
            JOIN pg_catalog.pg_opclass AS o ON o.oid = n.oid),
           (SELECT jsonb_agg(pg_get_indexdef(i.indexrelid, n, false) ORDER BY n) FROM generate_series(1, i.indnatts) AS n),
           pg_get_expr(i.indpred, i.indrelid))::text AS shape,
       jsonb_build_array(CAST(i.indoption AS text), CAST(i.indclass AS text), c.reloptions)::text AS details,
       i.indisvalid AND NOT i.indisexclusion AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = i.indexrelid) AS free,
       EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u')) AS constrained
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
WHERE i.indexrelid = to_regclass(CAST(:index AS text))
   OR i.indrelid IN (
       SELECT p.relid FROM pg_partition_tree(to_regclass(NULLIF(CAST(:relation AS text), ''))) AS p WHERE p.level > 0)
ORDER BY i.indexrelid;

-- name: copy_checks
-- Return the check constraints of the empty copy with their columns, in the order of their creation.
SELECT k.oid::bigint AS oid, (
    SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]')::text
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) AS columns
FROM pg_catalog.pg_constraint AS k
WHERE k.conrelid = CAST(:oid AS oid) AND k.contype = 'c'
ORDER BY k.oid;

-- name: blocks
-- Return the number of blocks of a table.
SELECT pg_relation_size(to_regclass(CAST(:relation AS text))) / CAST(current_setting('block_size') AS bigint) AS blocks;

-- name: leaves
-- Return the tables that hold the rows of a partitioned table, or of a table with inheriting tables. The
-- latter are returned with ONLY, so that each row belongs to one of them.
WITH RECURSIVE heirs AS (
    SELECT to_regclass(CAST(:relation AS text))::oid AS oid
    UNION
    SELECT i.inhrelid FROM heirs AS h JOIN pg_catalog.pg_inherits AS i ON i.inhparent = h.oid
)
SELECT CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END || h.oid::regclass::text AS relation
FROM heirs AS h
JOIN pg_catalog.pg_class AS own ON own.oid = h.oid AND own.relkind <> 'p'
JOIN pg_catalog.pg_class AS c ON c.oid = to_regclass(CAST(:relation AS text))
WHERE EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid)
ORDER BY h.oid;

-- name: key_columns
-- Return the columns of a unique key of a table that excludes nulls: of the primary key, else of the one
-- with the fewest columns.
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

-- name: locating_columns
-- Return the columns that an update in batches must not change: the partition keys, at each level; and the
-- columns of unique indexes, if each row is to be updated once.
SELECT DISTINCT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM (
    SELECT to_regclass(CAST(:relation AS text)) AS oid
    UNION
    SELECT p.relid FROM pg_partition_tree(to_regclass(CAST(:relation AS text))) AS p) AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.oid
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0
WHERE (c.relkind = 'p' AND EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d
          WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = t.oid AND d.objsubid = a.attnum
            AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid = 0 AND d.deptype = 'i'))
   OR (CAST(:keys AS boolean) AND EXISTS (
          SELECT FROM pg_catalog.pg_index AS i
          WHERE i.indrelid = t.oid AND i.indisunique AND a.attnum = ANY (i.indkey::int2[])));

-- name: match_indexes
-- Return statements that name each index of the empty copy after the OID of its original. Of several indexes
-- with the same definition, any may be the original.
WITH indexes AS (
    SELECT i.indexrelid, i.indrelid, i.indrelid = CAST(:copy AS oid) AS copied,
           row_number() OVER (PARTITION BY i.indrelid, i.indisunique, d.tail ORDER BY i.indexrelid) AS place,
           i.indisunique, d.tail
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
    CROSS JOIN LATERAL (SELECT pg_get_indexdef(i.indexrelid) AS def, quote_ident(t.relname) || ' USING ' AS mark) AS m
    CROSS JOIN LATERAL (SELECT substr(m.def, strpos(m.def, m.mark) + length(m.mark)) AS tail) AS d
    WHERE i.indrelid IN (CAST(:copy AS oid), to_regclass(CAST(:relation AS text)))
)
SELECT format('ALTER INDEX %s RENAME TO liftlock_%s', c.indexrelid::regclass, r.indexrelid) AS sql
FROM indexes AS c
JOIN indexes AS r ON c.copied AND NOT r.copied
 AND (r.indisunique, r.tail, r.place) = (c.indisunique, c.tail, c.place);

-- name: replacement_column
-- Return all that depends on a column, as one JSON text, for a new column that replaces it with another type.
-- The empty copy has the new type and name already, so that PostgreSQL itself writes each definition.
WITH given AS (
    SELECT to_regclass(CAST(:relation AS text))::oid AS oid, CAST(:copy AS oid) AS copy, CAST(:replacement AS text) AS replacement
), old AS (
    SELECT a.* FROM pg_catalog.pg_attribute AS a JOIN given AS g ON a.attrelid = g.oid WHERE a.attname = CAST(:name AS text)
), new AS (
    SELECT a.*, t.typcollation, t.typstorage, t.typtype
    FROM pg_catalog.pg_attribute AS a
    JOIN given AS g ON a.attrelid = g.copy
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE a.attname = g.replacement
), ties AS (
    SELECT d.classid, d.objid, d.objsubid, d.deptype
    FROM pg_catalog.pg_depend AS d
    JOIN old AS o ON d.refobjid = o.attrelid AND d.refobjsubid = o.attnum
    WHERE d.refclassid = 'pg_catalog.pg_class'::regclass
), indexes AS (
    SELECT i.*, c.relname, c.reltablespace, k.oid AS constraint_oid, k.contype, k.condeferrable, k.condeferred,
           k.conname
    FROM old AS o
    JOIN pg_catalog.pg_index AS i ON i.indrelid = o.attrelid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    LEFT JOIN pg_catalog.pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    WHERE o.attnum = ANY (i.indkey::int2[])
       OR EXISTS (SELECT FROM ties AS t WHERE t.classid = 'pg_catalog.pg_class'::regclass AND t.objid = i.indexrelid)
), keys AS (
    SELECT k.*, s.mine, s.others, pg_get_constraintdef(k.oid) AS def,
           format('FOREIGN KEY (%s) REFERENCES %s(%s)', s.mine, k.confrelid::regclass, s.others) AS head,
           format('FOREIGN KEY (%s) REFERENCES %s(%s)', s.new_mine, k.confrelid::regclass, s.new_others) AS new_head
    FROM old AS o
    CROSS JOIN given AS g
    JOIN pg_catalog.pg_constraint AS k
      ON k.contype = 'f' AND k.conparentid = 0
     AND ((k.conrelid = o.attrelid AND o.attnum = ANY (k.conkey)) OR (k.confrelid = o.attrelid AND o.attnum = ANY (k.confkey)))
    CROSS JOIN LATERAL (
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY n.place) FILTER (WHERE n.side = 'mine') AS mine,
               string_agg(quote_ident(a.attname), ', ' ORDER BY n.place) FILTER (WHERE n.side = 'others') AS others,
               string_agg(quote_ident(w.name), ', ' ORDER BY n.place) FILTER (WHERE n.side = 'mine') AS new_mine,
               string_agg(quote_ident(w.name), ', ' ORDER BY n.place) FILTER (WHERE n.side = 'others') AS new_others
        FROM (
            SELECT 'mine' AS side, k.conrelid AS relid, u.attnum, u.place FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, place)
            UNION ALL
            SELECT 'others', k.confrelid, u.attnum, u.place FROM unnest(k.confkey) WITH ORDINALITY AS u (attnum, place)) AS n
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = n.relid AND a.attnum = n.attnum
        CROSS JOIN LATERAL (
            SELECT CASE WHEN (a.attrelid, a.attnum) = (o.attrelid, o.attnum) THEN g.replacement ELSE a.attname END AS name) AS w
    ) AS s
), sequences AS (
    SELECT c.oid, c.relname, c.relacl, c.relowner, t.deptype, q.*
    FROM ties AS t
    JOIN pg_catalog.pg_class AS c ON c.oid = t.objid AND c.relkind = 'S'
    JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = c.oid
    WHERE t.classid = 'pg_catalog.pg_class'::regclass
)
SELECT json_build_object(
    'type', format_type(n.atttypid, n.atttypmod) || CASE WHEN n.attcollation <> n.typcollation THEN (
        SELECT format(' COLLATE %I.%I', s.nspname, c.collname)
        FROM pg_catalog.pg_collation AS c JOIN pg_catalog.pg_namespace AS s ON s.oid = c.collnamespace
        WHERE c.oid = n.attcollation) ELSE '' END,
    'default', (
        SELECT pg_get_expr(d.adbin, d.adrelid)
        FROM pg_catalog.pg_attrdef AS d WHERE d.adrelid = n.attrelid AND d.adnum = n.attnum),
    'not_null', CASE WHEN o.attnotnull THEN coalesce((
        SELECT k.conname FROM pg_catalog.pg_constraint AS k
        WHERE k.conrelid = o.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[o.attnum]), '') END,
    'attributes', (
        SELECT coalesce(json_agg(one.words), '[]')
        FROM (VALUES
            (CASE WHEN o.attstattarget >= 0 THEN format('SET STATISTICS %s', o.attstattarget) END),
            (CASE WHEN o.attoptions IS NOT NULL THEN format('SET (%s)', array_to_string(o.attoptions, ', ')) END),
            (CASE WHEN n.attstorage <> n.typstorage THEN 'SET STORAGE ' || (
                CASE n.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END) END),
            (CASE to_jsonb(n) ->> 'attcompression' WHEN 'p' THEN 'SET COMPRESSION pglz' WHEN 'l' THEN 'SET COMPRESSION lz4' END)
        ) AS one (words)
        WHERE one.words IS NOT NULL),
    'grants', (
        SELECT coalesce(json_agg(
            format('%s (%I) ON %s TO %s%s', x.privilege_type, g.replacement, o.attrelid::regclass,
                   CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END,
                   CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)), '[]')
        FROM aclexplode(o.attacl) AS x),
    'comment', quote_literal(col_description(o.attrelid, o.attnum)),
    'indexes', (
        SELECT coalesce(json_agg(json_build_object(
            'name', i.relname, 'relation', i.indexrelid::regclass::text, 'unique', i.indisunique,
            'definition', (
                SELECT substr(m.def, strpos(m.def, m.mark) + 1)
                FROM (SELECT pg_get_indexdef(c.oid) AS def, ' USING ' AS mark
                      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_index AS k ON k.indexrelid = c.oid
                      WHERE k.indrelid = n.attrelid AND c.relname = 'liftlock_' || i.indexrelid) AS m),
            'constraint', CASE i.contype WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' ELSE '' END,
            'deferral', CASE WHEN i.condeferrable THEN ' DEFERRABLE' ELSE '' END
                || CASE WHEN i.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END,
            'comment', quote_literal(obj_description(i.indexrelid, 'pg_class')),
            'constraint_comment', quote_literal(obj_description(i.constraint_oid, 'pg_constraint')),
            'column_only', o.attnum = ANY (i.indkey::int2[]), 'replica_identity', i.indisreplident, 'clustered', i.indisclustered) ORDER BY i.indexrelid), '[]')
        FROM indexes AS i),
    'checks', (
        SELECT coalesce(json_agg(json_build_object(
            'name', k.conname, 'relation', k.conrelid::regclass::text, 'refers', '', 'validated', k.convalidated,
            'definition', pg_get_constraintdef(c.oid),
            'comment', quote_literal(obj_description(k.oid, 'pg_constraint'))) ORDER BY k.oid), '[]')
        FROM pg_catalog.pg_constraint AS k
        JOIN pg_catalog.pg_constraint AS c ON c.conrelid = n.attrelid AND c.contype = 'c' AND c.conname = k.conname
        WHERE k.conrelid = o.attrelid AND k.contype = 'c' AND o.attnum = ANY (k.conkey)),
    'keys', (
        SELECT coalesce(json_agg(json_build_object(
            'name', k.conname, 'relation', k.conrelid::regclass::text, 'refers', k.confrelid::regclass::text,
            'validated', k.convalidated, 'definition', k.new_head || substr(k.def, length(k.head) + 1),
            'comment', quote_literal(obj_description(k.oid, 'pg_constraint'))) ORDER BY k.oid), '[]')
        FROM keys AS k),
    'sequences', (
        SELECT coalesce(json_agg(json_build_object(
            'relation', s.seqrelid::regclass::text, 'name', s.relname,
            'identity', CASE s.deptype WHEN 'i' THEN format(
                'GENERATED %s AS IDENTITY (START WITH %s INCREMENT BY %s %s %s CACHE %s%s)',
                CASE o.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, s.seqstart, s.seqincrement,
                CASE s.seqmin WHEN -l.most - 1 THEN 'NO MINVALUE' ELSE 'MINVALUE ' || s.seqmin END,
                CASE s.seqmax WHEN l.most THEN 'NO MAXVALUE' ELSE 'MAXVALUE ' || s.seqmax END,
                s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END) ELSE '' END,
            'grants', (
                SELECT coalesce(json_agg(
                    format('%s ON SEQUENCE %s TO %s%s', x.privilege_type, s.seqrelid::regclass,
                           CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END,
                           CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)), '[]')
                FROM aclexplode(s.relacl) AS x
                WHERE s.deptype = 'i' AND x.grantee <> s.relowner),
            'comment', CASE s.deptype WHEN 'i' THEN quote_literal(obj_description(s.seqrelid, 'pg_class')) END) ORDER BY s.seqrelid), '[]')
        FROM sequences AS s
        JOIN (VALUES ('int2'::regtype, 32767), ('int4', 2147483647), ('int8', 9223372036854775807)) AS l (kind, most)
          ON l.kind = s.seqtypid),
    'obstacles', (
        SELECT coalesce(json_agg(DISTINCT one.words), '[]')
        FROM (
            SELECT pg_describe_object(t.classid, t.objid, t.objsubid) AS words
            FROM ties AS t
            WHERE t.classid NOT IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_constraint'::regclass,
                                    'pg_catalog.pg_attrdef'::regclass)
            UNION ALL
            SELECT format('trigger %s, which by its name fires after the trigger of the replacement column', t.tgname)
            FROM pg_catalog.pg_trigger AS t
            WHERE t.tgrelid = o.attrelid AND NOT t.tgisinternal AND t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0  -- BEFORE, FOR EACH ROW, on INSERT or UPDATE
              AND t.tgname::text COLLATE "C" > '~liftlock_' AND NOT starts_with(t.tgname::text, '~liftlock_')
            UNION ALL
            SELECT format('publication %s', p.pubname)
            FROM pg_catalog.pg_publication_tables AS p
            JOIN pg_catalog.pg_class AS c ON c.oid = o.attrelid AND c.relname = p.tablename
            JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace AND s.nspname = p.schemaname
            UNION ALL
            SELECT format('column %s, which is generated', o.attname)
            WHERE o.attgenerated <> ''
            UNION ALL
            SELECT format('constraint %s, whose index can''t be built concurrently', i.conname)
            FROM indexes AS i WHERE i.indisexclusion
            UNION ALL
            SELECT format('index %s, which has its own tablespace', i.relname)
            FROM indexes AS i WHERE i.reltablespace <> 0
            UNION ALL
            SELECT format('index %s, which has statistics targets', i.relname)
            FROM indexes AS i
            WHERE EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0)
            UNION ALL
            SELECT format('foreign key %s of %s', k.conname, k.conrelid::regclass)
            FROM keys AS k
            JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
            JOIN pg_catalog.pg_class AS f ON f.oid = k.confrelid
            WHERE NOT starts_with(k.def, k.head) OR c.relkind <> 'r' OR f.relkind <> 'r' OR substr(k.def, length(k.head)) ~ E'SET (NULL|DEFAULT) \\('
               OR k.def ~ 'NOT ENFORCED'
            UNION ALL
            SELECT format('table %s, its parent or one that inherits from it', CASE WHEN h.inhparent = o.attrelid THEN h.inhrelid ELSE h.inhparent END::regclass)
            FROM pg_catalog.pg_inherits AS h WHERE o.attrelid IN (h.inhparent, h.inhrelid)
            UNION ALL
            SELECT format('domain %s, whose check constraint forces a table rewrite for a new column', format_type(n.atttypid, n.atttypmod))
            FROM pg_catalog.pg_constraint AS k WHERE k.contypid = n.atttypid
        ) AS one)
)::text AS facts
FROM old AS o, new AS n, given AS g;

-- name: schema
-- Return the tables, columns, constraints and incomplete objects of a database, as one JSON text, without
-- the ledger and the version table.
WITH relations AS (
    SELECT c.oid, c.oid::regclass::text AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'liftlock')
      AND c.relname <> CAST(:version_table AS text)
)
SELECT json_build_object(
    'tables', (SELECT coalesce(json_agg(json_build_array(r.oid::bigint, r.name)), '[]') FROM relations AS r),
    'views', (
        SELECT coalesce(json_agg(c.oid::regclass::text), '[]')
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')),
    'columns', (
        SELECT coalesce(json_agg(json_build_array(
            r.oid::bigint, a.attnum, r.name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.atthasdef OR a.attidentity <> '', a.attinhcount > 0)), '[]')
        FROM relations AS r
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'keys', (
        SELECT coalesce(json_agg(json_build_array(k.oid::bigint, json_build_object(
            'table', r.name, 'name', k.conname, 'table_oid', r.oid::bigint, 'refers', k.confrelid::regclass::text,
            'columns', (
                SELECT json_agg(a.attname ORDER BY u.place)
                FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, place)
                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),
            'refers_columns', (
                SELECT json_agg(a.attname ORDER BY u.place)
                FROM unnest(k.confkey) WITH ORDINALITY AS u (attnum, place)
                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.attnum),
            'indexed', EXISTS (
                SELECT FROM pg_catalog.pg_index AS i
                WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
                  AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)))), '[]')
        FROM pg_catalog.pg_constraint AS k
        JOIN relations AS r ON r.oid = k.conrelid
        WHERE k.contype = 'f' AND k.conparentid = 0),
    'uniques', (
        SELECT coalesce(json_agg(json_build_array(i.indexrelid::bigint, json_build_object(
            'table', r.name, 'name', i.indexrelid::regclass::text, 'table_oid', r.oid::bigint, 'primary', i.indisprimary,
            'columns', (
                SELECT json_agg(a.attname ORDER BY u.place)
                FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS u (attnum, place)
                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = u.attnum
                WHERE u.place <= i.indnkeyatts)))), '[]')
        FROM pg_catalog.pg_index AS i
        JOIN relations AS r ON r.oid = i.indrelid
        JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid AND NOT x.relispartition
        WHERE i.indisunique AND i.indexprs IS NULL AND i.indpred IS NULL),
    'checks', (
        SELECT coalesce(json_agg(json_build_array(k.oid, json_build_object(
            'table', r.name, 'name', k.name, 'table_oid', r.oid::bigint,
            'columns', (
                SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]')
                FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum = ANY (k.columns))))), '[]')
        FROM (
            SELECT c.oid::bigint AS oid, c.conrelid AS relation, c.conname AS name, c.conkey AS columns
            FROM pg_catalog.pg_constraint AS c
            WHERE c.contype IN ('c', 'x') AND c.coninhcount = 0
            UNION ALL
            SELECT i.indexrelid::bigint, i.indrelid, x.relname, i.indkey::int2[]
            FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid AND NOT x.relispartition
            WHERE i.indisunique AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)) AS k
        JOIN relations AS r ON r.oid = k.relation),
    'triggers', (
        SELECT coalesce(json_agg(json_build_array(t.tgname, r.oid::bigint)), '[]')
        FROM pg_catalog.pg_trigger AS t JOIN relations AS r ON r.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND t.tgparentid = 0),
    'unproven', (
        SELECT coalesce(json_agg(json_build_array(r.name, k.conname)), '[]')
        FROM pg_catalog.pg_constraint AS k JOIN relations AS r ON r.oid = k.conrelid
        WHERE NOT k.convalidated AND coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'),
    'broken', (
        SELECT coalesce(json_agg(json_build_array(r.name, i.indexrelid::regclass::text)), '[]')
        FROM pg_catalog.pg_index AS i JOIN relations AS r ON r.oid = i.indrelid
        WHERE NOT (i.indisvalid AND i.indisready AND i.indislive))
)::text AS schema;

-- name: half_made
-- Return descriptions of invalid indexes, constraints that aren't validated, partitions whose detach is
-- pending, and helper objects of unfinished revisions.
SELECT format('index %s of %s is invalid', i.indexrelid::regclass, i.indrelid::regclass) AS what
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
UNION ALL
SELECT format('constraint %I of %s isn''t validated', k.conname, k.conrelid::regclass)
FROM pg_catalog.pg_constraint AS k
WHERE NOT k.convalidated AND k.conrelid <> 0 AND coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'
UNION ALL
SELECT format('the detach of partition %s from %s is pending', h.inhrelid::regclass, h.inhparent::regclass)
FROM pg_catalog.pg_inherits AS h
WHERE to_jsonb(h) ->> 'inhdetachpending' = 'true'
UNION ALL
SELECT format('column %I of %s belongs to an unfinished revision', a.attname, a.attrelid::regclass)
FROM pg_catalog.pg_attribute AS a
WHERE starts_with(a.attname::text, 'liftlock_') AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attrelid IN (SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'p'))
UNION ALL
SELECT format('trigger %I of %s belongs to an unfinished revision', t.tgname, t.tgrelid::regclass)
FROM pg_catalog.pg_trigger AS t
WHERE starts_with(t.tgname::text, '~liftlock_')
ORDER BY what;
