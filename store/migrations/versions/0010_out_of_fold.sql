-- A table that is whole every night is learned from and scored in the same night. Its models keep one twin for each fold of
-- the rows whose answer is known, and each row is scored by the twin that has not seen it. So such a model is held to the
-- start of the night it was trained for, and not to the end of what it learned from.
SET ROLE overnight_owner;

ALTER TABLE overnight.model ADD COLUMN out_of_fold boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT model_check1,
    ADD CONSTRAINT model_span CHECK (trained_from < trained_until AND (trained_until <= trained_for OR out_of_fold));

-- Law 5: a model may score an interval when it saw nothing past its start, or keeps its own answers out of it fold by fold.
CREATE OR REPLACE FUNCTION overnight.guard_leak() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE learned_until timestamptz;
BEGIN
    SELECT CASE WHEN out_of_fold THEN trained_for ELSE trained_until END INTO learned_until
        FROM overnight.model WHERE id = NEW.model;
    IF learned_until > NEW.interval_start AND NOT NEW.hindsight THEN
        RAISE EXCEPTION 'model % learned from rows up to %, past the start of the interval it would score, %',
            NEW.model, learned_until, NEW.interval_start USING ERRCODE = 'OV005';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE VIEW reading.model AS
    SELECT id, pipeline, version, trained_for, trained_from, trained_until, batches, rows, task, metrics, params, card,
        libraries, sha256, octet_length(artifact) AS bytes, run, created_at, out_of_fold FROM overnight.model;

CREATE OR REPLACE FUNCTION reading.champion_on(pipeline text, night timestamptz) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.version FROM overnight.alias_move a JOIN overnight.model m ON m.id = a.model
    WHERE a.pipeline = champion_on.pipeline AND a.alias = 'champion' AND a.effective_from <= night
        AND CASE WHEN m.out_of_fold THEN m.trained_for ELSE m.trained_until END <= night
    ORDER BY a.effective_from DESC, a.id DESC LIMIT 1
$$;
RESET ROLE;
