-- How long what readers no longer see is kept, and what remains of it afterwards: its line in the ledger, and a line here that
-- says when its rows went, by whom and why. What may go is decided by one function, which the plan shows and the deed obeys.
SET ROLE overnight_owner;

CREATE TABLE overnight.pruning (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch           bigint NOT NULL REFERENCES overnight.batch,
    part            text NOT NULL CHECK (part IN ('rows', 'rejected')),
    rows            bigint NOT NULL,          -- that were dropped
    bytes           bigint NOT NULL,          -- that were freed, indexes included
    who             text NOT NULL,
    why             text NOT NULL,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (batch, part)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.pruning
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();
CREATE TRIGGER tell AFTER INSERT ON overnight.pruning FOR EACH ROW EXECUTE FUNCTION overnight.tell();
GRANT SELECT ON overnight.pruning TO overnight_writer;
CREATE INDEX publication_by_previous ON overnight.publication (previous) WHERE previous IS NOT NULL;
CREATE INDEX batch_by_input ON overnight.batch (input_batch) WHERE input_batch IS NOT NULL;
CREATE INDEX action_by_batch ON overnight.action ((detail ->> 'batch'), id) WHERE what IN ('pin', 'unpin');

-- Since when no reader has been shown a batch: since another one took its place, or since it was sealed if it never was shown.
-- Null while the pointer stands on it.
CREATE FUNCTION overnight.unseen_since(b overnight.batch) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN NOT EXISTS (SELECT FROM overnight.pointer WHERE batch = b.id)
        THEN coalesce((SELECT max(at) FROM overnight.publication WHERE previous = b.id), b.sealed_at) END
$$;

-- Why a part of a batch is kept at `moment`, as a sentence's end; null when it may go. The limits are those of the
-- registered pipeline.yaml. What was seen is kept from when it was last seen, so that as_of answers for every moment that
-- is no older than the limit; what was set aside is kept from when it was set aside.
CREATE FUNCTION overnight.kept_because(b overnight.batch, part text, moment timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE keep jsonb; age interval; unseen timestamptz; found text;
BEGIN
    IF b.state <> 'sealed' THEN RETURN 'it is ' || b.state; END IF;
    SELECT p.definition -> 'keep' INTO keep FROM overnight.pipeline p WHERE p.name = b.pipeline;
    age := (keep ->> CASE part WHEN 'rows' THEN 'batches' ELSE 'rejected' END)::interval;
    IF age IS NULL THEN RETURN 'pipeline.yaml sets no limit'; END IF;
    age := greatest(age, interval '1 day');
    unseen := CASE part WHEN 'rows' THEN overnight.unseen_since(b) ELSE b.sealed_at END;
    IF unseen IS NULL THEN RETURN 'readers see it'; END IF;
    IF unseen > moment - age THEN RETURN 'it is younger than the limit'; END IF;
    SELECT format('it is pinned by %s: %s', a.who, a.detail ->> 'why') INTO found FROM (
        SELECT * FROM overnight.action WHERE what IN ('pin', 'unpin') AND detail ->> 'batch' = b.id::text
        ORDER BY id DESC LIMIT 1) a WHERE a.what = 'pin';
    IF found IS NOT NULL THEN RETURN found; END IF;
    SELECT format('run %s is at work on it', r.id) INTO found FROM overnight.run r
        WHERE r.state = 'running' AND (r.input_batch = b.id OR r.prediction_batch = b.id) LIMIT 1;
    IF found IS NOT NULL OR part = 'rejected' THEN RETURN found; END IF;
    IF b.kind = 'prediction' THEN RETURN NULL; END IF;
    SELECT format('batch %s, which is kept, was predicted from it', c.id) INTO found FROM overnight.batch c
        WHERE c.input_batch = b.id AND c.state = 'sealed' AND overnight.kept_because(c, 'rows', moment) IS NOT NULL LIMIT 1;
    IF found IS NOT NULL THEN RETURN found; END IF;
    SELECT format('it holds the answers by which batch %s is judged', q.batch) INTO found FROM (
        SELECT DISTINCT ON (q.batch) q.batch, q.labels FROM overnight.quality q JOIN overnight.pointer p ON p.batch = q.batch
        WHERE q.pipeline = b.pipeline AND q.interval_start = b.interval_start ORDER BY q.batch, q.id DESC) q
        WHERE q.labels = b.id LIMIT 1;
    IF found IS NOT NULL THEN RETURN found; END IF;
    SELECT format('model version %s learned from it', m.version) INTO found FROM overnight.model m
        WHERE m.pipeline = b.pipeline AND b.id = ANY (m.batches) AND CASE coalesce(keep ->> 'training', 'aliased')
            WHEN 'all' THEN true WHEN 'none' THEN false
            ELSE EXISTS (SELECT FROM overnight.alias_move a WHERE a.model = m.id) END
        ORDER BY m.version DESC LIMIT 1;
    RETURN found;
END $$;

-- Every part of every batch that is older than its limit, with its size, and why it is kept all the same, null: it may go.
-- Predictions come before the rows that they were made from.
CREATE FUNCTION overnight.pruning_plan(name text, moment timestamptz)
RETURNS TABLE (batch bigint, kind text, part text, interval_start timestamptz, interval_end timestamptz, rows bigint,
    bytes bigint, since timestamptz, kept text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT b.id, b.kind, p.part, b.interval_start, b.interval_end, CASE p.part WHEN 'rows' THEN b.rows ELSE b.rejected END,
        coalesce(pg_total_relation_size(to_regclass(format('%I.%I', 'overnight_' || b.pipeline, p.relation || '_' || b.id))), 0),
        CASE p.part WHEN 'rows' THEN overnight.unseen_since(b) ELSE b.sealed_at END, k.kept
    FROM overnight.batch b
        JOIN (VALUES ('prediction', 'rows', 'predictions'), ('input', 'rows', 'landed'), ('input', 'rejected', 'rejected'))
            AS p (kind, part, relation) ON p.kind = b.kind
        CROSS JOIN LATERAL (SELECT overnight.kept_because(b, p.part, moment) AS kept) k
    WHERE b.pipeline = name AND b.state = 'sealed' AND k.kept IS DISTINCT FROM 'it is younger than the limit'
        AND k.kept IS DISTINCT FROM 'pipeline.yaml sets no limit' AND k.kept IS DISTINCT FROM 'readers see it'
        AND NOT (p.part = 'rejected' AND EXISTS (SELECT FROM overnight.pruning d WHERE d.batch = b.id AND d.part = 'rejected'))
    ORDER BY b.kind DESC, b.id, p.part
$$;

-- The only door out: drops one part of one batch and writes down that it did, or refuses, all in the caller's transaction.
-- A partition is dropped under a lock on its parent, behind which readers queue; so it is waited for very briefly.
CREATE FUNCTION overnight.prune_batch(batch_id bigint, part text, moment timestamptz, who text, why text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' AS $$
DECLARE b overnight.batch; kept text; relation regclass; total bigint := 0; size bigint; parts text[]; one text;
BEGIN
    SELECT * INTO b FROM overnight.batch WHERE id = batch_id FOR UPDATE;  -- whoever points a run at it waits, or is waited for
    IF b.id IS NULL THEN RAISE EXCEPTION 'the ledger knows no batch %', batch_id USING ERRCODE = 'OV007'; END IF;
    kept := CASE WHEN moment > clock_timestamp() THEN 'the moment that was named lies in the future'
        WHEN part NOT IN ('rows', 'rejected') OR (part = 'rejected' AND b.kind <> 'input') THEN 'it has no such part'
        ELSE overnight.kept_because(b, part, moment) END;
    IF kept IS NULL AND part = 'rows' AND EXISTS (SELECT FROM overnight.batch WHERE input_batch = b.id AND state = 'sealed') THEN
        kept := 'predictions that were made from it are still here';
    END IF;
    IF kept IS NULL AND to_regclass(format('%I.pruned', b.pipeline)) IS NULL THEN
        kept := 'the views of its pipeline cannot tell readers yet';
    END IF;
    -- A snapshot that was taken when readers still saw the batch would find its table gone.
    IF kept IS NULL AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database()
            AND a.xact_start < overnight.unseen_since(b)) THEN
        kept := 'a transaction is open that began when readers still saw it';
    END IF;
    IF kept IS NOT NULL THEN
        RAISE EXCEPTION 'batch % is kept: %', batch_id, kept USING ERRCODE = 'OV007';
    END IF;
    parts := CASE WHEN part = 'rejected' THEN ARRAY['rejected'] WHEN b.kind = 'input' THEN ARRAY['landed', 'rejected']
        ELSE ARRAY['predictions'] END;
    FOREACH one IN ARRAY parts LOOP
        relation := to_regclass(format('%I.%I', 'overnight_' || b.pipeline, one || '_' || b.id));
        CONTINUE WHEN relation IS NULL AND one = 'rejected';  -- which may have gone before the rows
        size := coalesce(pg_total_relation_size(relation), 0);
        total := total + size;
        IF relation IS NOT NULL THEN
            EXECUTE format('DROP TABLE %s', relation);
        END IF;
        INSERT INTO overnight.pruning (batch, part, rows, bytes, who, why) VALUES (b.id,
            CASE one WHEN 'rejected' THEN 'rejected' ELSE 'rows' END,
            CASE one WHEN 'rejected' THEN b.rejected ELSE b.rows END, size, prune_batch.who, prune_batch.why);
    END LOOP;
    IF part = 'rows' THEN
        UPDATE overnight.batch SET state = 'dropped' WHERE id = b.id;
    END IF;
    RETURN total;
END $$;

-- A run may not be pointed at what has gone. The lock is the one that pruning waits for; who lost the race tries again, and
-- finds that the batch is gone.
CREATE FUNCTION overnight.guard_point() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE wanted bigint;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[NEW.input_batch, NEW.prediction_batch] LOOP
        CONTINUE WHEN wanted IS NULL OR wanted IN (OLD.input_batch, OLD.prediction_batch);
        PERFORM FROM overnight.batch WHERE id = wanted AND state <> 'dropped' FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'batch % was dropped meanwhile', wanted USING ERRCODE = '40001';
        END IF;
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER points_at_rows BEFORE UPDATE OF input_batch, prediction_batch ON overnight.run
    FOR EACH ROW EXECUTE FUNCTION overnight.guard_point();

-- Tables of a pipeline that no line of the ledger speaks for: left by something that was not Overnight. Returns their names, and
-- drops them if it is to act.
CREATE FUNCTION overnight.sweep_orphans(name text, act boolean) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' AS $$
DECLARE orphan text; swept text[] := '{}';
BEGIN
    FOR orphan IN SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'overnight_' || name AND c.relkind = 'r' AND c.relname ~ '^(landed|rejected|predictions)_[0-9]+$'
            AND NOT EXISTS (SELECT FROM overnight.batch b WHERE b.pipeline = name AND b.state <> 'dropped'
                AND b.id = substring(c.relname FROM '[0-9]+$')::numeric)
            AND pg_has_role('overnight_owner', c.relowner, 'USAGE')
        ORDER BY 1 LOOP
        IF act THEN
            EXECUTE format('DROP TABLE %I.%I', 'overnight_' || name, orphan);
        END IF;
        swept := swept || orphan;
    END LOOP;
    RETURN swept;
END $$;

-- What readers are told -----------------------------------------------------------------------------------------------------

CREATE VIEW reading.pruning AS
    SELECT d.id, b.pipeline, b.kind, b.interval_start, b.interval_end, d.batch, d.part, d.rows, d.bytes, d.who, d.why, d.at
    FROM overnight.pruning d JOIN overnight.batch b ON b.id = d.batch;

-- The last line's sentence about a batch whose rows are gone.
CREATE FUNCTION overnight.refuse_pruned(b overnight.batch) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE gone overnight.pruning;
BEGIN
    SELECT * INTO gone FROM overnight.pruning WHERE batch = b.id AND part = 'rows';
    RAISE EXCEPTION 'batch %, which readers saw of the night of % that starts at %, was pruned %', b.id, b.pipeline,
        b.interval_start, coalesce(format('on %s, by %s: %s', gone.at::date, gone.who, gone.why), 'just now')
        USING ERRCODE = 'OV008';
END $$;

-- Both of these first take the lock that pruning needs, until the reader's transaction ends, and then look at what is there
-- now and not at what the reader's snapshot knows; so rows that are read after them are all there.
CREATE FUNCTION reading.require_rows(batch bigint) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b overnight.batch;
BEGIN
    SELECT * INTO b FROM overnight.batch WHERE id = require_rows.batch AND kind = 'prediction';
    IF b.id IS NULL THEN RETURN; END IF;
    EXECUTE format('SELECT FROM %1$I.predictions, %1$I.landed WHERE predictions.batch_id = 0 AND landed.batch_id = 0',
        'overnight_' || b.pipeline);
    IF to_regclass(format('%I.%I', 'overnight_' || b.pipeline, 'predictions_' || b.id)) IS NULL
            OR to_regclass(format('%I.%I', 'overnight_' || b.pipeline, 'landed_' || b.input_batch)) IS NULL THEN
        PERFORM overnight.refuse_pruned(b);
    END IF;
END $$;

CREATE FUNCTION overnight.require_seen(name text, moment timestamptz) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE b overnight.batch;
BEGIN
    EXECUTE format('SELECT FROM %1$I.predictions, %1$I.landed WHERE predictions.batch_id = 0 AND landed.batch_id = 0',
        'overnight_' || name);
    FOR b IN SELECT c.* FROM (SELECT DISTINCT ON (interval_start) u.batch FROM overnight.publication u
            WHERE u.pipeline = name AND u.kind = 'prediction' AND u.at <= moment ORDER BY interval_start, id DESC) s
            JOIN overnight.batch c ON c.id = s.batch
            WHERE to_regclass(format('%I.%I', 'overnight_' || name, 'predictions_' || c.id)) IS NULL
                OR to_regclass(format('%I.%I', 'overnight_' || name, 'landed_' || c.input_batch)) IS NULL
            ORDER BY c.interval_start LIMIT 1 LOOP
        PERFORM overnight.refuse_pruned(b);
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION overnight.unseen_since, overnight.kept_because, overnight.pruning_plan, overnight.prune_batch,
    overnight.guard_point, overnight.sweep_orphans, overnight.refuse_pruned, overnight.require_seen, reading.require_rows
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION overnight.pruning_plan, overnight.prune_batch, overnight.sweep_orphans TO overnight_writer;
GRANT EXECUTE ON FUNCTION reading.require_rows TO overnight_reader, overnight_writer;
GRANT SELECT ON reading.pruning TO overnight_reader, overnight_writer;
RESET ROLE;
