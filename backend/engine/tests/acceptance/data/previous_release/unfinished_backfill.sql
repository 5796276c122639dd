-- Killed within the backfill, after a batch.
UPDATE public.item SET half = size WHERE id <= 1000;

INSERT INTO liftlock.runs OVERRIDING SYSTEM VALUE VALUES (1, 'public.alembic_version', 'upgrade', '2026-11-28 14:22:15.421735+00', 'postgres', 'vm', '', '0.1.0');
INSERT INTO liftlock.runs OVERRIDING SYSTEM VALUE VALUES (2, 'public.alembic_version', 'upgrade', '2026-11-28 14:22:39.929898+00', 'postgres', 'vm', '', '0.1.0');
INSERT INTO liftlock.executions OVERRIDING SYSTEM VALUE VALUES (1, 'public.alembic_version', 'r0', 'up', '702a0fb13b087b05', '2026-11-28 14:22:15.690737+00', '2026-11-28 14:22:15.73878+00', 'run');
INSERT INTO liftlock.executions OVERRIDING SYSTEM VALUE VALUES (2, 'public.alembic_version', 'r1', 'up', '9889c2024784430f', '2026-11-28 14:22:40.145545+00', NULL, 'run');
INSERT INTO liftlock.revisions VALUES ('public.alembic_version', 'r0', '{}', '{}', 'Create the table item', 'expand', 1, '2026-11-28 14:22:15.718355+00', 0.12945435999972688);
INSERT INTO liftlock.steps VALUES (1, 1, 1, 'execute', '1a0e319ac50f0796', 0, 0, 'plain', '1ba72511839a6cfc', NULL, NULL, 'INSERT INTO item SELECT i, i FROM generate_series(1, 5000) AS i', 'brief', NULL, 'expand', '2026-11-28 14:22:15.710181+00', '2026-11-28 14:22:15.710181+00');
INSERT INTO liftlock.steps VALUES (1, 1, 0, 'execute', '711b2ee5eb8f7565', 0, 0, 'plain', '8b2099e87c18bac5', NULL, NULL, 'CREATE TABLE item (id integer PRIMARY KEY, size integer NOT NULL, half integer)', 'brief', NULL, 'expand', '2026-11-28 14:22:15.702865+00', '2026-11-28 14:22:15.702865+00');
INSERT INTO liftlock.steps VALUES (2, 2, 0, 'backfill', '939bdfdb3d53e533', 0, 0, 'backfill', '9dacee028e0837c4', '[{"sql": "half = coalesce(half, 0) + size", "lock": "ROW EXCLUSIVE", "pace": "batched", "part": "backfill", "then": [], "undo": [], "means": "backfill", "phase": "expand", "where": "", "blocks": "nothing", "repair": "", "tables": ["item"], "witness": "", "partition": ""}]', '{"at": ["1000"], "left": [], "over": false, "rows": 1000, "found": 1000, "table": "item", "total": 0, "blocks": false, "passes": 0, "proven": false, "earlier": null, "skipped": 0, "finished": [], "relation": "item"}', 'half = coalesce(half, 0) + size', 'batched', 'ROW EXCLUSIVE', 'expand', '2026-11-28 14:22:40.161961+00', NULL);
SELECT pg_catalog.setval('liftlock.executions_id_seq', 2, true);
SELECT pg_catalog.setval('liftlock.runs_id_seq', 2, true);
INSERT INTO public.alembic_version VALUES ('r0');
