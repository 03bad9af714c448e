-- A container may be made to do anything that its database session can. So each stage has a role of its own: it can read the
-- ledger, write its own line in it, and do what its stage is for. `overnight_writer` stays what whole nights act as where all
-- stages share a process.
SET ROLE overnight_owner;

GRANT USAGE ON SCHEMA overnight, reading TO overnight_stage;
GRANT SELECT ON ALL TABLES IN SCHEMA overnight TO overnight_stage;
GRANT SELECT ON ALL TABLES IN SCHEMA reading TO overnight_stage;
GRANT INSERT ON overnight.stage_run TO overnight_stage;
GRANT UPDATE (state, rows_in, rows_out, rows_rejected, fingerprint, reason, detail, ended_at)
    ON overnight.stage_run TO overnight_stage;
GRANT EXECUTE ON FUNCTION overnight.require_running, overnight.content_hash TO overnight_stage;

GRANT INSERT ON overnight.batch, overnight.verdict TO overnight_ingest;
GRANT UPDATE (rows, rejected) ON overnight.batch TO overnight_ingest, overnight_validate, overnight_score;
GRANT UPDATE (input_batch) ON overnight.run TO overnight_ingest, overnight_validate;
GRANT EXECUTE ON FUNCTION overnight.abandon_batch TO overnight_ingest;
GRANT EXECUTE ON FUNCTION overnight.seal_batch TO overnight_ingest, overnight_validate, overnight_score;

GRANT INSERT ON overnight.verdict TO overnight_validate;

GRANT INSERT ON overnight.model, overnight.profile, overnight.alias_move TO overnight_train;
GRANT UPDATE (model) ON overnight.run TO overnight_train, overnight_score;

GRANT INSERT ON overnight.batch, overnight.drift TO overnight_score;
GRANT UPDATE (prediction_batch) ON overnight.run TO overnight_score;

GRANT EXECUTE ON FUNCTION overnight.publish TO overnight_publish;

GRANT INSERT ON overnight.quality TO overnight_observe;

-- Whose lines are whose, where one table holds several stages' ----------------------------------------------------------------

-- The stage that this session belongs to, null for everybody else. It holds inside functions that run as the owner too.
CREATE FUNCTION overnight.acting_stage() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT substring(coalesce(nullif(current_setting('role'), 'none'), session_user::text)
        FROM '^overnight_(ingest|validate|train|score|publish|observe)$')
$$;
REVOKE ALL ON FUNCTION overnight.acting_stage FROM PUBLIC;
GRANT EXECUTE ON FUNCTION overnight.acting_stage TO overnight_stage, overnight_writer;

-- A stage that is not among the arguments may not write this line; without arguments, the line says whose it is.
CREATE FUNCTION overnight.guard_stage() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE stage text := overnight.acting_stage();
BEGIN
    IF stage IS NOT NULL AND stage <> ALL (CASE WHEN TG_NARGS = 0 THEN ARRAY[to_jsonb(NEW) ->> 'stage'] ELSE TG_ARGV END) THEN
        RAISE EXCEPTION 'the stage % has no business with this line of overnight.%', stage, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION overnight.guard_stage FROM PUBLIC;

CREATE TRIGGER line_is_not_anyones BEFORE INSERT OR UPDATE ON overnight.stage_run
    FOR EACH ROW EXECUTE FUNCTION overnight.guard_stage();
-- Sealing and abandoning are updates of this line as well, so what guards the line guards the table of rows.
CREATE TRIGGER input_is_not_anyones BEFORE INSERT OR UPDATE ON overnight.batch
    FOR EACH ROW WHEN (NEW.kind = 'input') EXECUTE FUNCTION overnight.guard_stage('ingest', 'validate');
CREATE TRIGGER prediction_is_not_anyones BEFORE INSERT OR UPDATE ON overnight.batch
    FOR EACH ROW WHEN (NEW.kind = 'prediction') EXECUTE FUNCTION overnight.guard_stage('score');
CREATE TRIGGER passing_is_not_anyones BEFORE INSERT ON overnight.verdict
    FOR EACH ROW WHEN (NEW.outcome <> 'held') EXECUTE FUNCTION overnight.guard_stage('validate');

-- Who made a batch's tables owns them while it is loaded. Validation takes them over before it looks, and the maker is out.
CREATE FUNCTION overnight.take_batch(batch_id bigint, run_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    b overnight.batch; part text;
    taker text := CASE overnight.acting_stage() WHEN 'validate' THEN 'overnight_validate' ELSE 'overnight_writer' END;
BEGIN
    PERFORM overnight.require_running(run_id);
    SELECT * INTO b FROM overnight.batch WHERE id = batch_id AND state = 'loaded' AND kind = 'input' FOR UPDATE;
    IF b.id IS NULL THEN
        RAISE EXCEPTION 'batch % is not a loaded one of rows', batch_id USING ERRCODE = 'OV001';
    END IF;
    FOREACH part IN ARRAY ARRAY['landed', 'rejected'] LOOP
        IF NOT EXISTS (SELECT FROM pg_class WHERE relowner = taker::regrole
                AND oid = format('%I.%I', 'overnight_' || b.pipeline, part || '_' || b.id)::regclass) THEN
            EXECUTE format('ALTER TABLE %I.%I OWNER TO %I', 'overnight_' || b.pipeline, part || '_' || b.id, taker);
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION overnight.take_batch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION overnight.take_batch TO overnight_validate, overnight_writer;

-- A sealed batch may be read by every stage.
CREATE FUNCTION overnight.show_sealed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE part text;
BEGIN
    FOREACH part IN ARRAY CASE NEW.kind WHEN 'input' THEN ARRAY['landed', 'rejected'] ELSE ARRAY['predictions'] END LOOP
        EXECUTE format('GRANT SELECT ON %I.%I TO overnight_stage', 'overnight_' || NEW.pipeline, part || '_' || NEW.id);
    END LOOP;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION overnight.show_sealed FROM PUBLIC;
CREATE TRIGGER show_sealed AFTER UPDATE ON overnight.batch
    FOR EACH ROW WHEN (OLD.state = 'loaded' AND NEW.state = 'sealed') EXECUTE FUNCTION overnight.show_sealed();

-- Pipelines that are there already; `store/pipelines.py` does the same for new ones.
DO $$ DECLARE place text; name text; BEGIN
    FOR place IN SELECT n.nspname FROM pg_namespace n JOIN overnight.pipeline p ON n.nspname = 'overnight_' || p.name LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO overnight_stage', place);
        EXECUTE format('GRANT CREATE ON SCHEMA %I TO overnight_ingest, overnight_validate, overnight_score', place);
        FOR name IN SELECT relname FROM pg_class WHERE relnamespace = place::regnamespace AND relkind IN ('r', 'p')
                AND relowner = 'overnight_owner'::regrole LOOP
            EXECUTE format('GRANT SELECT ON %I.%I TO overnight_stage', place, name);
        END LOOP;
    END LOOP;
END $$;
RESET ROLE;
