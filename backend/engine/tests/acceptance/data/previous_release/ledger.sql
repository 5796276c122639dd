-- The ledger, in format 2, and the version table, as liftlock created them at 0f0fe0f.
CREATE SCHEMA liftlock;
CREATE TABLE liftlock.answers (
    execution bigint NOT NULL,
    shape text NOT NULL,
    occurrence integer NOT NULL,
    fingerprint text NOT NULL,
    body jsonb NOT NULL
);
CREATE TABLE liftlock.executions (
    id bigint NOT NULL,
    version_table text NOT NULL,
    revision text NOT NULL,
    direction text NOT NULL,
    source text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    wish text DEFAULT 'run'::text NOT NULL,
    CONSTRAINT executions_direction_check CHECK ((direction = ANY (ARRAY['up'::text, 'down'::text]))),
    CONSTRAINT executions_wish_check CHECK ((wish = ANY (ARRAY['run'::text, 'pause'::text, 'cancel'::text])))
);
ALTER TABLE liftlock.executions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME liftlock.executions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE liftlock.ledger (
    version integer NOT NULL
);
CREATE TABLE liftlock.revisions (
    version_table text NOT NULL,
    revision text NOT NULL,
    down text[] NOT NULL,
    depends_on text[] NOT NULL,
    message text NOT NULL,
    phase text NOT NULL,
    run bigint NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    seconds double precision NOT NULL,
    CONSTRAINT revisions_phase_check CHECK ((phase = ANY (ARRAY['expand'::text, 'contract'::text])))
);
CREATE TABLE liftlock.runs (
    id bigint NOT NULL,
    version_table text NOT NULL,
    command text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    role text DEFAULT SESSION_USER NOT NULL,
    host text NOT NULL,
    release text NOT NULL,
    engine text NOT NULL
);
ALTER TABLE liftlock.runs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME liftlock.runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE liftlock.steps (
    execution bigint NOT NULL,
    run bigint NOT NULL,
    "position" integer NOT NULL,
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
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone
);
ALTER TABLE ONLY liftlock.answers
    ADD CONSTRAINT answers_pkey PRIMARY KEY (execution, shape, occurrence);
ALTER TABLE ONLY liftlock.executions
    ADD CONSTRAINT executions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY liftlock.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (version);
ALTER TABLE ONLY liftlock.revisions
    ADD CONSTRAINT revisions_pkey PRIMARY KEY (version_table, revision);
ALTER TABLE ONLY liftlock.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY liftlock.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (execution, shape, occurrence, part);
CREATE UNIQUE INDEX executions_unfinished ON liftlock.executions USING btree (version_table) WHERE (finished_at IS NULL);
ALTER TABLE ONLY liftlock.answers
    ADD CONSTRAINT answers_execution_fkey FOREIGN KEY (execution) REFERENCES liftlock.executions(id) ON DELETE CASCADE;
ALTER TABLE ONLY liftlock.revisions
    ADD CONSTRAINT revisions_run_fkey FOREIGN KEY (run) REFERENCES liftlock.runs(id);
ALTER TABLE ONLY liftlock.steps
    ADD CONSTRAINT steps_execution_fkey FOREIGN KEY (execution) REFERENCES liftlock.executions(id);
ALTER TABLE ONLY liftlock.steps
    ADD CONSTRAINT steps_run_fkey FOREIGN KEY (run) REFERENCES liftlock.runs(id);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
INSERT INTO liftlock.ledger VALUES (2);
