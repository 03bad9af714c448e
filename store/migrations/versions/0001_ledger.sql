-- The ledger, its guards, and what readers may see of it.
--
-- Three roles. `overnight_owner` owns everything and is what migrations act as. `overnight_writer` is what stages act as: it can
-- add to the ledger and fill the tables of a batch that is still being loaded, and nothing more. `overnight_reader` is what the
-- web and every other reader act as: it can select from the views of `reading` and of each pipeline's schema, and nothing else.
--
-- What must hold after a kill at any instruction is held by the functions at the end, which run as the owner: sealing a
-- batch takes it away from the writer, and only `publish` moves a pointer.

-- Everybody may make large objects in Postgres, readers included, unless this is taken away (by a superuser).
DO $$ BEGIN
    REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid, bytea)
        FROM PUBLIC;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'readers keep the right to make large objects, because the migration does not run as a superuser';
END $$;

CREATE SCHEMA overnight AUTHORIZATION overnight_owner;
CREATE SCHEMA reading AUTHORIZATION overnight_owner;
GRANT USAGE ON SCHEMA overnight TO overnight_writer;
GRANT USAGE ON SCHEMA reading TO overnight_writer, overnight_reader;
SET ROLE overnight_owner;

-- What is declared, as it was when last seen, so that readers can judge lateness without the files ------------------------

CREATE TABLE overnight.pipeline (
    name            text PRIMARY KEY,
    title           text NOT NULL,
    owner           text NOT NULL,
    definition      jsonb NOT NULL,           -- pipeline.yaml with its defaults
    expectations    jsonb NOT NULL,           -- expectations.yaml
    registered_at   timestamptz NOT NULL DEFAULT now()
);

-- What happened ---------------------------------------------------------------------------------------------------------

CREATE TABLE overnight.run (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text NOT NULL REFERENCES overnight.pipeline,
    interval_start  timestamptz NOT NULL,
    interval_end    timestamptz NOT NULL,
    state           text NOT NULL DEFAULT 'running'
                    CHECK (state IN ('running', 'published', 'held', 'skipped', 'failed', 'crashed')),
    reason          text NOT NULL DEFAULT '',
    trigger         text NOT NULL,            -- command, schedule, backfill
    holder          jsonb NOT NULL,           -- who: host, pid, user, and the Prefect run if there is one
    hindsight       boolean NOT NULL DEFAULT false,
    input_batch     bigint,
    model           bigint,
    prediction_batch bigint,
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at        timestamptz,
    CHECK (interval_start < interval_end),
    CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE INDEX run_by_interval ON overnight.run (pipeline, interval_start, id);
CREATE UNIQUE INDEX run_one_at_a_time ON overnight.run (pipeline, interval_start) WHERE state = 'running';

CREATE TABLE overnight.stage_run (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run             bigint NOT NULL REFERENCES overnight.run,
    stage           text NOT NULL CHECK (stage IN ('ingest', 'validate', 'train', 'score', 'publish', 'observe')),
    state           text NOT NULL DEFAULT 'running'
                    CHECK (state IN ('running', 'done', 'reused', 'skipped', 'held', 'failed')),
    rows_in         bigint NOT NULL DEFAULT 0,
    rows_out        bigint NOT NULL DEFAULT 0,
    rows_rejected   bigint NOT NULL DEFAULT 0,
    fingerprint     text NOT NULL DEFAULT '',
    reason          text NOT NULL DEFAULT '',  -- a sentence: why skipped, held, reused, or what failed
    detail          jsonb NOT NULL DEFAULT '{}',
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at        timestamptz,
    CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE INDEX stage_run_by_run ON overnight.stage_run (run, id);

CREATE TABLE overnight.model (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text NOT NULL REFERENCES overnight.pipeline,
    version         integer NOT NULL,         -- 1, 2, 3 … within the pipeline
    trained_for     timestamptz NOT NULL,     -- start of the night that trained it
    trained_from    timestamptz NOT NULL,     -- the span of what it learned from, half-open
    trained_until   timestamptz NOT NULL,
    batches         bigint[] NOT NULL,        -- the input batches it learned from
    rows            bigint NOT NULL,
    task            text NOT NULL CHECK (task IN ('classification', 'regression')),
    fingerprint     text NOT NULL,            -- of batches, definition, code and libraries
    metrics         jsonb NOT NULL,           -- on the held-out nights: its own, the champion's, the dummy's
    params          jsonb NOT NULL,
    card            jsonb NOT NULL,
    libraries       jsonb NOT NULL,
    trusted_types   jsonb NOT NULL,           -- what skops may load, and nothing else
    artifact        bytea NOT NULL,
    sha256          text NOT NULL CHECK (sha256 = encode(sha256(artifact), 'hex')),
    run             bigint NOT NULL REFERENCES overnight.run,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (pipeline, version),
    CHECK (trained_from < trained_until AND trained_until <= trained_for)
);
ALTER TABLE overnight.model ALTER COLUMN artifact SET STORAGE EXTERNAL;
CREATE INDEX model_by_night ON overnight.model (pipeline, trained_for);

CREATE TABLE overnight.batch (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text NOT NULL REFERENCES overnight.pipeline,
    kind            text NOT NULL CHECK (kind IN ('input', 'prediction')),
    interval_start  timestamptz NOT NULL,
    interval_end    timestamptz NOT NULL,
    state           text NOT NULL DEFAULT 'loaded' CHECK (state IN ('loaded', 'sealed', 'dropped')),
    rows            bigint NOT NULL,          -- landed, or predicted
    rejected        bigint NOT NULL DEFAULT 0,
    columns         text[] NOT NULL DEFAULT '{}',  -- what the content hash covers, in order
    content_hash    text,                     -- of the rows, whatever their order; set when sealed
    fingerprint     text NOT NULL,            -- of what it was made from
    contract_hash   text NOT NULL DEFAULT '', -- of columns, source and suite
    source          jsonb NOT NULL DEFAULT '{}',   -- the files or query, with their hashes and sizes
    code            text NOT NULL DEFAULT '', -- fingerprint of the code that made it
    image           text,                     -- digest of the container image, none when inline
    input_batch     bigint REFERENCES overnight.batch,    -- a prediction batch's parent
    model           bigint REFERENCES overnight.model,
    hindsight       boolean NOT NULL DEFAULT false,
    run             bigint NOT NULL REFERENCES overnight.run,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    sealed_at       timestamptz,
    CHECK ((state = 'loaded') = (sealed_at IS NULL)),
    CHECK ((kind = 'prediction') = (input_batch IS NOT NULL AND model IS NOT NULL))
);
CREATE INDEX batch_by_interval ON overnight.batch (pipeline, kind, interval_start, id);
ALTER TABLE overnight.run
    ADD FOREIGN KEY (input_batch) REFERENCES overnight.batch,
    ADD FOREIGN KEY (prediction_batch) REFERENCES overnight.batch,
    ADD FOREIGN KEY (model) REFERENCES overnight.model;

CREATE TABLE overnight.verdict (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch           bigint NOT NULL REFERENCES overnight.batch,
    run             bigint NOT NULL REFERENCES overnight.run,
    outcome         text NOT NULL CHECK (outcome IN ('passed', 'passed with rejects', 'held')),
    reason          text NOT NULL,
    suite_hash      text NOT NULL,
    results         jsonb NOT NULL,           -- a list, one object per expectation, in the suite's order
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX verdict_by_batch ON overnight.verdict (batch, id);

CREATE TABLE overnight.alias_move (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text NOT NULL REFERENCES overnight.pipeline,
    alias           text NOT NULL CHECK (alias IN ('champion', 'challenger')),
    model           bigint NOT NULL REFERENCES overnight.model,
    previous        bigint REFERENCES overnight.model,
    effective_from  timestamptz NOT NULL,     -- the first night it holds for
    who             text NOT NULL,
    why             text NOT NULL,
    evidence        jsonb NOT NULL DEFAULT '{}',
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX alias_move_by_night ON overnight.alias_move (pipeline, alias, effective_from, id);

-- Every move of every pointer, and where each points now -------------------------------------------------------------------

CREATE TABLE overnight.publication (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text NOT NULL REFERENCES overnight.pipeline,
    kind            text NOT NULL CHECK (kind IN ('input', 'prediction')),
    interval_start  timestamptz NOT NULL,
    interval_end    timestamptz NOT NULL,
    batch           bigint NOT NULL REFERENCES overnight.batch,
    previous        bigint REFERENCES overnight.batch,
    run             bigint REFERENCES overnight.run,
    who             text NOT NULL,
    why             text NOT NULL,
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX publication_by_interval ON overnight.publication (pipeline, kind, interval_start, id);

CREATE TABLE overnight.pointer (
    pipeline        text NOT NULL REFERENCES overnight.pipeline,
    kind            text NOT NULL,
    interval_start  timestamptz NOT NULL,
    interval_end    timestamptz NOT NULL,
    batch           bigint NOT NULL REFERENCES overnight.batch,
    publication     bigint NOT NULL REFERENCES overnight.publication,
    PRIMARY KEY (pipeline, kind, interval_start)
);
CREATE INDEX pointer_by_batch ON overnight.pointer (batch);

-- What turned out to be true, and what people did ---------------------------------------------------------------------------

CREATE TABLE overnight.quality (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text NOT NULL REFERENCES overnight.pipeline,
    interval_start  timestamptz NOT NULL,
    batch           bigint NOT NULL REFERENCES overnight.batch,   -- the predictions that are judged
    model           bigint NOT NULL REFERENCES overnight.model,
    labels          bigint NOT NULL REFERENCES overnight.batch,   -- the input batch that brought the answers
    metric          text NOT NULL,
    value           double precision NOT NULL,
    dummy           double precision NOT NULL,                    -- the same metric for the dummy's answer
    rows            bigint NOT NULL,                              -- rows whose answer is known
    run             bigint NOT NULL REFERENCES overnight.run,
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX quality_by_interval ON overnight.quality (pipeline, interval_start, metric, id);

CREATE TABLE overnight.action (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    who             text NOT NULL,
    what            text NOT NULL,
    pipeline        text,
    interval_start  timestamptz,
    detail          jsonb NOT NULL DEFAULT '{}',
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The writer adds lines; it corrects only the lines of work in progress ------------------------------------------------------

GRANT SELECT ON ALL TABLES IN SCHEMA overnight TO overnight_writer;
GRANT INSERT ON overnight.run, overnight.stage_run, overnight.model, overnight.batch, overnight.verdict,
    overnight.alias_move, overnight.quality, overnight.action TO overnight_writer;
GRANT UPDATE (state, reason, input_batch, model, prediction_batch, ended_at) ON overnight.run TO overnight_writer;
GRANT UPDATE (state, rows_in, rows_out, rows_rejected, fingerprint, reason, detail, ended_at)
    ON overnight.stage_run TO overnight_writer;
GRANT UPDATE (rows, rejected) ON overnight.batch TO overnight_writer;

CREATE FUNCTION overnight.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: line % was not changed', TG_TABLE_SCHEMA, TG_TABLE_NAME, OLD.id
        USING ERRCODE = 'OV001';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.publication
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.alias_move
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.verdict
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.quality
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.model
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();

-- A sealed batch's line never changes either, except that it may be dropped and remembered.
CREATE FUNCTION overnight.guard_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'sealed' AND (NEW.state <> 'dropped' OR
            to_jsonb(NEW) - 'state' IS DISTINCT FROM to_jsonb(OLD) - 'state') THEN
        RAISE EXCEPTION 'batch % is sealed and never changes', OLD.id USING ERRCODE = 'OV001';
    END IF;
    IF OLD.state = 'dropped' THEN
        RAISE EXCEPTION 'batch % was dropped', OLD.id USING ERRCODE = 'OV001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sealed_is_sealed BEFORE UPDATE ON overnight.batch
    FOR EACH ROW EXECUTE FUNCTION overnight.guard_batch();

-- Law 5: a model that saw past the start of an interval may not score it, unless by name.
CREATE FUNCTION overnight.guard_leak() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE learned_until timestamptz;
BEGIN
    SELECT trained_until INTO learned_until FROM overnight.model WHERE id = NEW.model;
    IF learned_until > NEW.interval_start AND NOT NEW.hindsight THEN
        RAISE EXCEPTION 'model % learned from rows up to %, past the start of the interval it would score, %',
            NEW.model, learned_until, NEW.interval_start USING ERRCODE = 'OV005';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER no_leak BEFORE INSERT ON overnight.batch
    FOR EACH ROW WHEN (NEW.model IS NOT NULL) EXECUTE FUNCTION overnight.guard_leak();

-- Law 6's fence: whoever lost the night may not finish anything in it. Locks the run's line until the caller commits.
CREATE FUNCTION overnight.require_running(run_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE found_state text;
BEGIN
    SELECT state INTO found_state FROM overnight.run WHERE id = run_id FOR UPDATE;
    IF found_state IS DISTINCT FROM 'running' THEN
        RAISE EXCEPTION 'run % is %, so it may change nothing any more', run_id, coalesce(found_state, 'unknown')
            USING ERRCODE = 'OV006';
    END IF;
END $$;

-- The hash of a table's rows, whatever their order: the sum over rows of two 64-bit hashes of the named columns.
CREATE FUNCTION overnight.content_hash(relation regclass, names text[]) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE row_expression text; sums numeric[];
BEGIN
    SELECT format('ROW(%s)', string_agg(format('t.%I', name), ', ' ORDER BY place))
        INTO row_expression FROM unnest(names) WITH ORDINALITY AS n (name, place);
    EXECUTE format('SELECT ARRAY[count(*), coalesce(sum(hash_record_extended(%1$s, 1)), 0),
        coalesce(sum(hash_record_extended(%1$s, 2)), 0)] FROM %2$s t', row_expression, relation) INTO sums;
    RETURN left(encode(sha256(convert_to(array_to_string(sums, ' ') || array_to_string(names, ' '), 'UTF8')), 'hex'), 32);
END $$;

-- Laws 1, 3 and 8: counts what is there, refuses if the ledger says otherwise, hashes it, takes the tables away from the
-- writer and attaches them, all in the caller's transaction.
CREATE FUNCTION overnight.seal_batch(batch_id bigint, run_id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b overnight.batch; parent_rows bigint; found bigint; hash text; part text; tables text[];
BEGIN
    PERFORM overnight.require_running(run_id);
    SELECT * INTO b FROM overnight.batch WHERE id = batch_id FOR UPDATE;
    IF b.state IS DISTINCT FROM 'loaded' THEN
        RAISE EXCEPTION 'batch % is %, so it cannot be sealed', batch_id, coalesce(b.state, 'unknown') USING ERRCODE = 'OV001';
    END IF;
    tables := CASE b.kind WHEN 'input' THEN ARRAY['landed', 'rejected'] ELSE ARRAY['predictions'] END;
    FOREACH part IN ARRAY tables LOOP
        -- The writer has owned the table so far: a grant, a policy or a view that it left would outlive the sealing, or run
        -- as the owner while the rows are counted.
        EXECUTE format('LOCK TABLE %I.%I IN SHARE ROW EXCLUSIVE MODE', 'overnight_' || b.pipeline, part || '_' || b.id);
        IF EXISTS (SELECT FROM pg_class c WHERE c.oid = format('%I.%I', 'overnight_' || b.pipeline, part || '_' || b.id)::regclass
                AND (c.relkind <> 'r' OR c.relrowsecurity OR c.relforcerowsecurity OR c.relhasrules OR c.relhastriggers
                    OR c.relacl IS NOT NULL
                    OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL))) THEN
            RAISE EXCEPTION 'batch %: its table is not as it was made, so it cannot be sealed', b.id USING ERRCODE = 'OV001';
        END IF;
        EXECUTE format('SELECT count(*) FROM %I.%I', 'overnight_' || b.pipeline, part || '_' || b.id) INTO found;
        IF found <> (CASE part WHEN 'rejected' THEN b.rejected ELSE b.rows END) THEN
            RAISE EXCEPTION 'batch %: the ledger says % rows %, the table holds %', b.id,
                CASE part WHEN 'rejected' THEN b.rejected ELSE b.rows END, part, found USING ERRCODE = 'OV003';
        END IF;
    END LOOP;
    IF b.kind = 'prediction' THEN
        SELECT rows INTO parent_rows FROM overnight.batch WHERE id = b.input_batch AND state = 'sealed';
        IF parent_rows IS DISTINCT FROM b.rows THEN
            RAISE EXCEPTION 'batch %: % predictions for % rows', b.id, b.rows, parent_rows USING ERRCODE = 'OV003';
        END IF;
    END IF;
    hash := overnight.content_hash(format('%I.%I', 'overnight_' || b.pipeline, tables[1] || '_' || b.id)::regclass, b.columns);
    FOREACH part IN ARRAY tables LOOP
        EXECUTE format('ALTER TABLE %I.%I OWNER TO overnight_owner', 'overnight_' || b.pipeline, part || '_' || b.id);
        EXECUTE format('REVOKE ALL ON %I.%I FROM overnight_writer', 'overnight_' || b.pipeline, part || '_' || b.id);
        EXECUTE format('GRANT SELECT ON %I.%I TO overnight_writer', 'overnight_' || b.pipeline, part || '_' || b.id);
        EXECUTE format('ALTER TABLE %1$I.%2$I ATTACH PARTITION %1$I.%3$I FOR VALUES IN (%4$s)',
            'overnight_' || b.pipeline, part, part || '_' || b.id, b.id);
    END LOOP;
    UPDATE overnight.batch SET state = 'sealed', content_hash = hash, sealed_at = clock_timestamp() WHERE id = b.id;
    RETURN hash;
END $$;

-- Law 2: the only door to a pointer. Moves the run's batches into place and tells whoever listens; returns the moves made.
CREATE FUNCTION overnight.publish(run_id bigint, who text, why text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE r overnight.run; b overnight.batch; outcome text; before bigint; moved bigint; moves integer := 0;
BEGIN
    PERFORM overnight.require_running(run_id);
    SELECT * INTO r FROM overnight.run WHERE id = run_id;
    FOR b IN SELECT * FROM overnight.batch WHERE id IN (r.input_batch, r.prediction_batch) ORDER BY kind LOOP
        IF b.pipeline <> r.pipeline OR b.interval_start <> r.interval_start OR b.state <> 'sealed' THEN
            RAISE EXCEPTION 'batch % (%, %) may not be published for run %', b.id, b.interval_start, b.state, run_id
                USING ERRCODE = 'OV002';
        END IF;
        SELECT v.outcome INTO outcome FROM overnight.verdict v
            WHERE v.batch = coalesce(b.input_batch, b.id) ORDER BY v.id DESC LIMIT 1;
        IF outcome IS NULL OR outcome = 'held' THEN
            RAISE EXCEPTION 'batch % may not be published: its verdict is %', b.id, coalesce(outcome, 'missing')
                USING ERRCODE = 'OV002';
        END IF;
        SELECT p.batch INTO before FROM overnight.pointer p
            WHERE p.pipeline = b.pipeline AND p.kind = b.kind AND p.interval_start = b.interval_start FOR UPDATE;
        CONTINUE WHEN before = b.id;
        INSERT INTO overnight.publication (pipeline, kind, interval_start, interval_end, batch, previous, run, who, why)
            VALUES (b.pipeline, b.kind, b.interval_start, b.interval_end, b.id, before, run_id, who, why)
            RETURNING id INTO moved;
        INSERT INTO overnight.pointer VALUES (b.pipeline, b.kind, b.interval_start, b.interval_end, b.id, moved)
            ON CONFLICT (pipeline, kind, interval_start) DO UPDATE
            SET batch = excluded.batch, publication = excluded.publication;
        moves := moves + 1;
        PERFORM pg_notify('overnight', json_build_object('event', 'published', 'pipeline', b.pipeline, 'kind', b.kind,
            'batch', b.id, 'publication', moved)::text);
    END LOOP;
    RETURN moves;
END $$;

-- A loaded batch that nobody will audit is dropped; its line stays. `rows` keeps what it held.
CREATE FUNCTION overnight.abandon_batch(batch_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b overnight.batch; part text;
BEGIN
    SELECT * INTO b FROM overnight.batch WHERE id = batch_id AND state = 'loaded' FOR UPDATE;
    IF b.id IS NULL THEN
        RAISE EXCEPTION 'batch % is not a loaded one', batch_id USING ERRCODE = 'OV001';
    END IF;
    FOREACH part IN ARRAY ARRAY['landed', 'rejected', 'predictions'] LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I.%I', 'overnight_' || b.pipeline, part || '_' || b.id);
    END LOOP;
    UPDATE overnight.batch SET state = 'dropped', sealed_at = clock_timestamp() WHERE id = b.id;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA overnight FROM PUBLIC;
GRANT EXECUTE ON FUNCTION overnight.require_running, overnight.seal_batch, overnight.publish, overnight.abandon_batch,
    overnight.content_hash TO overnight_writer;

-- What readers see of the ledger ---------------------------------------------------------------------------------------------

CREATE VIEW reading.pipeline AS
    SELECT name, title, owner, definition, expectations, registered_at FROM overnight.pipeline;

CREATE VIEW reading.run AS
    SELECT id, pipeline, interval_start, interval_end, state, reason, trigger, hindsight, input_batch, model,
        prediction_batch, started_at, ended_at FROM overnight.run;

CREATE VIEW reading.stage_run AS
    SELECT id, run, stage, state, rows_in, rows_out, rows_rejected, reason, detail, started_at, ended_at
    FROM overnight.stage_run;

CREATE VIEW reading.batch AS
    SELECT id, pipeline, kind, interval_start, interval_end, state, rows, rejected, columns, content_hash, source, code, image,
        input_batch, model, hindsight, run, created_at, sealed_at FROM overnight.batch;

CREATE VIEW reading.verdict AS
    SELECT id, batch, run, outcome, reason, suite_hash, results, at FROM overnight.verdict;

CREATE VIEW reading.model AS
    SELECT id, pipeline, version, trained_for, trained_from, trained_until, batches, rows, task, metrics, params, card,
        libraries, sha256, octet_length(artifact) AS bytes, run, created_at FROM overnight.model;

CREATE VIEW reading.alias_move AS
    SELECT a.id, a.pipeline, a.alias, a.model, m.version, p.version AS previous_version, a.effective_from, a.who, a.why,
        a.evidence, a.at
    FROM overnight.alias_move a JOIN overnight.model m ON m.id = a.model LEFT JOIN overnight.model p ON p.id = a.previous;

CREATE VIEW reading.publication AS
    SELECT id, pipeline, kind, interval_start, interval_end, batch, previous, run, who, why, at FROM overnight.publication;

-- The newest figure of each metric for each published prediction batch; hindsight is no quality (law 5).
CREATE VIEW reading.quality AS
    SELECT DISTINCT ON (q.batch, q.metric) q.pipeline, q.interval_start, q.batch, q.model, m.version AS model_version,
        q.metric, q.value, q.dummy, q.rows, q.at
    FROM overnight.quality q JOIN overnight.batch b ON b.id = q.batch AND NOT b.hindsight
        JOIN overnight.model m ON m.id = q.model
    ORDER BY q.batch, q.metric, q.id DESC;

-- Where every pointer stands: one line for each published (pipeline, kind, interval).
CREATE VIEW reading.published AS
    SELECT p.pipeline, p.kind, p.interval_start, p.interval_end, p.batch, p.publication, u.at AS published_at, u.who, u.why,
        b.rows, b.rejected, b.content_hash, b.hindsight, b.input_batch, b.model, m.version AS model_version,
        v.outcome AS verdict, v.reason AS verdict_reason
    FROM overnight.pointer p
        JOIN overnight.publication u ON u.id = p.publication
        JOIN overnight.batch b ON b.id = p.batch
        LEFT JOIN overnight.model m ON m.id = b.model
        LEFT JOIN LATERAL (SELECT outcome, reason FROM overnight.verdict
            WHERE batch = coalesce(b.input_batch, b.id) ORDER BY id DESC LIMIT 1) v ON true;

-- One line for each interval that was ever tried: its newest run that tells something.
CREATE VIEW reading.night AS
    SELECT DISTINCT ON (pipeline, interval_start) pipeline, interval_start, interval_end, id AS run, state, reason,
        input_batch, model, prediction_batch, started_at, ended_at,
        count(*) OVER (PARTITION BY pipeline, interval_start) AS runs
    FROM overnight.run
    ORDER BY pipeline, interval_start, (state = 'skipped'), id DESC;

GRANT SELECT ON ALL TABLES IN SCHEMA reading TO overnight_reader, overnight_writer;
RESET ROLE;
