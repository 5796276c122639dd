-- Failed after its index was built, with the results of two statements.
INSERT INTO public.item VALUES (-5000, 5000);
CREATE INDEX ix_size ON public.item (size);

INSERT INTO liftlock.runs OVERRIDING SYSTEM VALUE VALUES (1, 'public.alembic_version', 'upgrade', '2026-11-28 14:23:01.929748+00', 'postgres', 'vm', '', '0.1.0');
INSERT INTO liftlock.runs OVERRIDING SYSTEM VALUE VALUES (2, 'public.alembic_version', 'upgrade', '2026-11-28 14:23:24.309299+00', 'postgres', 'vm', '', '0.1.0');
INSERT INTO liftlock.executions OVERRIDING SYSTEM VALUE VALUES (1, 'public.alembic_version', 'r0', 'up', '702a0fb13b087b05', '2026-11-28 14:23:02.273889+00', '2026-11-28 14:23:02.705682+00', 'run');
INSERT INTO liftlock.executions OVERRIDING SYSTEM VALUE VALUES (2, 'public.alembic_version', 'r1', 'up', '955cf1e0e6dc52e6', '2026-11-28 14:23:24.463726+00', NULL, 'run');
INSERT INTO liftlock.revisions VALUES ('public.alembic_version', 'r0', '{}', '{}', 'Create the table item', 'expand', 1, '2026-11-28 14:23:02.648277+00', 0.5925847519993113);
INSERT INTO liftlock.steps VALUES (1, 1, 1, 'execute', '1a0e319ac50f0796', 0, 0, 'plain', '1ba72511839a6cfc', NULL, NULL, 'INSERT INTO item SELECT i, i FROM generate_series(1, 5000) AS i', 'brief', NULL, 'expand', '2026-11-28 14:23:02.62172+00', '2026-11-28 14:23:02.62172+00');
INSERT INTO liftlock.steps VALUES (1, 1, 0, 'execute', '711b2ee5eb8f7565', 0, 0, 'plain', '8b2099e87c18bac5', NULL, NULL, 'CREATE TABLE item (id integer PRIMARY KEY, size integer NOT NULL, half integer)', 'brief', NULL, 'expand', '2026-11-28 14:23:02.30413+00', '2026-11-28 14:23:02.30413+00');
INSERT INTO liftlock.steps VALUES (2, 2, 0, 'create_index', 'cd850ac819662ff4', 0, 0, 'build', '37d85acddb5508fb', '[{"sql": "CREATE INDEX CONCURRENTLY ix_size ON item (size)", "lock": "SHARE UPDATE EXCLUSIVE", "pace": "online", "part": "build", "then": [], "undo": [], "means": "concurrent", "phase": "expand", "where": "", "blocks": "nothing", "repair": "DROP INDEX CONCURRENTLY IF EXISTS ix_size", "tables": ["item"], "witness": "ix_size", "partition": ""}]', NULL, 'CREATE INDEX CONCURRENTLY ix_size ON item (size)', 'online', 'SHARE UPDATE EXCLUSIVE', 'expand', '2026-11-28 14:23:24.487616+00', '2026-11-28 14:23:24.525116+00');
INSERT INTO liftlock.answers VALUES (2, '77ed8b349f2bfd02', 0, '77ed8b349f2bfd02', '{"rows": [[5000]], "columns": [["count", 20]], "rowcount": 1}');
INSERT INTO liftlock.answers VALUES (2, '9c6a0d7d0fd6128a', 0, '0c64d157b30ba436', '{"rows": [], "columns": null, "rowcount": 1}');
SELECT pg_catalog.setval('liftlock.executions_id_seq', 2, true);
SELECT pg_catalog.setval('liftlock.runs_id_seq', 2, true);
INSERT INTO public.alembic_version VALUES ('r0');
