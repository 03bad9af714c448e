-- How many predictions of a batch were made in hindsight. A night of a table that is whole every night may hold some, and readers
-- are told so beside every number; the rows are counted once, when the batch is sealed, because pages cannot count a big table.
SET ROLE overnight_owner;

ALTER TABLE overnight.batch ADD COLUMN IF NOT EXISTS hindsight_rows bigint NOT NULL DEFAULT 0;

-- The function's text is edited and not given anew, so that nothing else in it is said twice.
DO $$ DECLARE text_now text := pg_get_functiondef('overnight.seal_batch'::regproc);
BEGIN
    IF strpos(text_now, 'hindsight_rows') > 0 THEN RETURN; END IF;
    IF strpos(text_now, 'hash := overnight.content_hash(') = 0 OR strpos(text_now, 'content_hash = hash,') = 0 THEN
        RAISE EXCEPTION 'overnight.seal_batch is not the function that this migration knows';
    END IF;
    text_now := replace(text_now, 'hash := overnight.content_hash(', 'found := 0;
    IF b.kind <> ''input'' THEN
        EXECUTE format(''SELECT count(*) FROM %I.%I WHERE hindsight'', ''overnight_'' || b.pipeline, tables[1] || ''_'' || b.id)
            INTO found;
    END IF;
    hash := overnight.content_hash(');
    EXECUTE replace(text_now, 'content_hash = hash,', 'content_hash = hash, hindsight_rows = found,');
END $$;

-- Batches that are there already. Only a model of folds marks some rows and not others, so only its batches are counted.
ALTER TABLE overnight.batch DISABLE TRIGGER USER;
UPDATE overnight.batch SET hindsight_rows = rows WHERE hindsight AND kind <> 'input' AND state <> 'loaded';
DO $$ DECLARE b record; found bigint;
BEGIN
    FOR b IN SELECT x.id, 'overnight_' || x.pipeline AS place, 'predictions_' || x.id AS name
            FROM overnight.batch x JOIN overnight.model m ON m.id = x.model AND m.out_of_fold
            WHERE NOT x.hindsight AND x.state = 'sealed' LOOP
        IF to_regclass(format('%I.%I', b.place, b.name)) IS NOT NULL THEN
            EXECUTE format('SELECT count(*) FROM %I.%I WHERE hindsight', b.place, b.name) INTO found;
            UPDATE overnight.batch SET hindsight_rows = found WHERE id = b.id AND found > 0;
        END IF;
    END LOOP;
END $$;
ALTER TABLE overnight.batch ENABLE TRIGGER USER;

CREATE OR REPLACE VIEW reading.batch AS
    SELECT id, pipeline, kind, interval_start, interval_end, state, rows, rejected, columns, content_hash, source, code, image,
        input_batch, model, hindsight, run, created_at, sealed_at, hindsight_rows FROM overnight.batch;

CREATE OR REPLACE VIEW reading.published AS
    SELECT p.pipeline, p.kind, p.interval_start, p.interval_end, p.batch, p.publication, u.at AS published_at, u.who, u.why,
        b.rows, b.rejected, b.content_hash, b.hindsight, b.input_batch, b.model, m.version AS model_version,
        v.outcome AS verdict, v.reason AS verdict_reason, b.hindsight_rows
    FROM overnight.pointer p
        JOIN overnight.publication u ON u.id = p.publication
        JOIN overnight.batch b ON b.id = p.batch
        LEFT JOIN overnight.model m ON m.id = b.model
        LEFT JOIN LATERAL (SELECT outcome, reason FROM overnight.verdict
            WHERE batch = coalesce(b.input_batch, b.id) ORDER BY id DESC LIMIT 1) v ON true;
RESET ROLE;
