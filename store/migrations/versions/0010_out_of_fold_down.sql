-- As it was: out-of-fold models are older releases' models no more, so they may not stay.
SET ROLE overnight_owner;

CREATE OR REPLACE FUNCTION overnight.guard_leak() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE learned_until timestamptz;
BEGIN
    SELECT trained_until INTO learned_until FROM overnight.model WHERE id = NEW.model;
    IF learned_until > NEW.interval_start AND NOT NEW.hindsight THEN
        RAISE EXCEPTION 'model % learned from rows up to %, past the start of the interval it would score, %',
            NEW.model, learned_until, NEW.interval_start USING ERRCODE = 'OV005';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION reading.champion_on(pipeline text, night timestamptz) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.version FROM overnight.alias_move a JOIN overnight.model m ON m.id = a.model
    WHERE a.pipeline = champion_on.pipeline AND a.alias = 'champion' AND a.effective_from <= night AND m.trained_until <= night
    ORDER BY a.effective_from DESC, a.id DESC LIMIT 1
$$;

DROP VIEW reading.model;
CREATE VIEW reading.model AS
    SELECT id, pipeline, version, trained_for, trained_from, trained_until, batches, rows, task, metrics, params, card,
        libraries, sha256, octet_length(artifact) AS bytes, run, created_at FROM overnight.model;
GRANT SELECT ON reading.model TO overnight_reader, overnight_writer;

ALTER TABLE overnight.model DROP CONSTRAINT model_span, DROP COLUMN out_of_fold,
    ADD CONSTRAINT model_check1 CHECK (trained_from < trained_until AND trained_until <= trained_for) NOT VALID;
RESET ROLE;
