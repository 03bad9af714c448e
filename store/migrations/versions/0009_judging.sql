-- What is judged beside the champion: ranges, challengers in the shadow, and estimates until the answers come.

SET ROLE overnight_owner;

-- The coverage of ranges has no dummy beside it.
ALTER TABLE overnight.quality ALTER dummy DROP NOT NULL;

-- A shadow is a batch of a challenger's predictions for rows that the champion scores. It is sealed like every other one and has
-- a table of its own like them, and no pointer ever leads to it: a publication's kind is input or prediction.
ALTER TABLE overnight.batch
    DROP CONSTRAINT batch_kind_check,
    ADD CONSTRAINT batch_kind_check CHECK (kind IN ('input', 'prediction', 'shadow')),
    DROP CONSTRAINT batch_check1,
    ADD CONSTRAINT batch_check1 CHECK ((kind IN ('prediction', 'shadow')) = (input_batch IS NOT NULL AND model IS NOT NULL));

-- Law 3 holds for shadows too. The function's text is edited and not given anew, so that nothing else in it is said twice.
DO $$ DECLARE text_now text := pg_get_functiondef('overnight.seal_batch'::regproc);
BEGIN
    IF strpos(text_now, 'IF b.kind <> ''input'' THEN') > 0 THEN RETURN; END IF;  -- a way back leaves it so
    IF strpos(text_now, 'IF b.kind = ''prediction'' THEN') = 0 THEN
        RAISE EXCEPTION 'overnight.seal_batch is not the function that this migration knows';
    END IF;
    EXECUTE replace(text_now, 'IF b.kind = ''prediction'' THEN', 'IF b.kind <> ''input'' THEN');
END $$;

-- What predictions should turn out to be worth, said before their answers are known; `low` and `high` are where the realised
-- figure should lie nineteen times in twenty, if the probabilities (or the errors) are still those of the held-out rows.
CREATE TABLE overnight.estimate (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text NOT NULL REFERENCES overnight.pipeline,
    interval_start  timestamptz NOT NULL,
    batch           bigint NOT NULL REFERENCES overnight.batch,
    model           bigint NOT NULL REFERENCES overnight.model,
    metric          text NOT NULL,
    value           double precision NOT NULL,
    low             double precision NOT NULL,
    high            double precision NOT NULL,
    rows            bigint NOT NULL,
    run             bigint NOT NULL REFERENCES overnight.run,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (batch, metric)
);
CREATE INDEX estimate_by_interval ON overnight.estimate (pipeline, interval_start);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.estimate
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();
CREATE TRIGGER tell AFTER INSERT ON overnight.estimate FOR EACH ROW EXECUTE FUNCTION overnight.tell();
GRANT SELECT, INSERT ON overnight.estimate TO overnight_writer;
GRANT SELECT ON overnight.estimate TO overnight_stage;
GRANT INSERT ON overnight.estimate TO overnight_observe;
CREATE TRIGGER shadow_is_not_anyones BEFORE INSERT OR UPDATE ON overnight.batch
    FOR EACH ROW WHEN (NEW.kind = 'shadow') EXECUTE FUNCTION overnight.guard_stage('score');

-- The newest figure of each metric for each prediction batch; neither hindsight nor a shadow is what readers were told.
CREATE OR REPLACE VIEW reading.quality AS
    SELECT DISTINCT ON (q.batch, q.metric) q.pipeline, q.interval_start, q.batch, q.model, m.version AS model_version,
        q.metric, q.value, q.dummy, q.rows, q.at
    FROM overnight.quality q JOIN overnight.batch b ON b.id = q.batch AND NOT b.hindsight AND b.kind = 'prediction'
        JOIN overnight.model m ON m.id = q.model
    ORDER BY q.batch, q.metric, q.id DESC;

-- Every figure that was ever given, with the one that it restated.
CREATE VIEW reading.quality_history AS
    SELECT q.id, q.pipeline, q.interval_start, q.batch, b.kind, m.version AS model_version, q.metric, q.value, q.dummy, q.rows,
        q.labels, q.at, lag(q.value) OVER said AS was, lag(q.rows) OVER said AS rows_then
    FROM overnight.quality q JOIN overnight.batch b ON b.id = q.batch AND NOT b.hindsight
        JOIN overnight.model m ON m.id = q.model
    WINDOW said AS (PARTITION BY q.batch, q.metric ORDER BY q.id);

-- Estimates, `answered` once readers see a realised figure of the same metric in its place.
CREATE VIEW reading.estimate AS
    SELECT e.pipeline, e.interval_start, e.batch, m.version AS model_version, e.metric, e.value, e.low, e.high, e.rows, e.at,
        EXISTS (SELECT FROM overnight.quality q JOIN overnight.pointer p ON p.batch = q.batch AND p.kind = 'prediction'
            WHERE p.pipeline = e.pipeline AND p.interval_start = e.interval_start AND q.metric = e.metric) AS answered
    FROM overnight.estimate e JOIN overnight.model m ON m.id = e.model;

-- Champion, challengers and dummy, night by night. A champion's lines are of the batch that readers see, a challenger's of its
-- newest shadow over the same rows; `first_value` and `restated` say how a figure began and how often it was given anew. Answers
-- come in a new batch of rows, which is scored anew, so an estimate belongs to the night and the model, whatever the batch.
CREATE VIEW reading.scoreboard AS
    WITH seen AS (
        SELECT p.pipeline, p.interval_start, p.batch, 'champion' AS role
        FROM overnight.pointer p JOIN overnight.batch b ON b.id = p.batch
        WHERE p.kind = 'prediction' AND NOT b.hindsight
        UNION ALL
        SELECT pipeline, interval_start, id, 'challenger' FROM (
            SELECT DISTINCT ON (s.pipeline, s.interval_start, s.model) s.pipeline, s.interval_start, s.id
            FROM overnight.batch s JOIN overnight.pointer i ON i.kind = 'input' AND i.batch = s.input_batch
            WHERE s.kind = 'shadow' AND s.state <> 'loaded'
            ORDER BY s.pipeline, s.interval_start, s.model, s.id DESC) newest
    )
    SELECT s.pipeline, s.interval_start, s.role, m.version AS model_version, s.batch, f.metric, f.value, f.dummy, f.rows,
        f.first_value, f.restated, f.at, f.estimate, f.estimate_low, f.estimate_high
    FROM seen s JOIN overnight.batch b ON b.id = s.batch JOIN overnight.model m ON m.id = b.model,
        LATERAL (
            SELECT metric, q.value, q.dummy, q.rows, q.first_value, q.restated, coalesce(q.at, e.at), e.value, e.low, e.high
            FROM (SELECT DISTINCT ON (metric) metric, value, dummy, rows, at, first_value(value) OVER given AS first_value,
                    count(*) OVER (PARTITION BY metric) - 1 AS restated
                FROM overnight.quality WHERE batch = s.batch
                WINDOW given AS (PARTITION BY metric ORDER BY id) ORDER BY metric, id DESC) q
            FULL JOIN (SELECT DISTINCT ON (metric) metric, value, low, high, at FROM overnight.estimate o
                WHERE o.pipeline = s.pipeline AND o.interval_start = s.interval_start AND o.model = b.model
                ORDER BY metric, id DESC) e USING (metric)
        ) AS f (metric, value, dummy, rows, first_value, restated, at, estimate, estimate_low, estimate_high);

GRANT SELECT ON reading.quality_history, reading.estimate, reading.scoreboard TO overnight_reader, overnight_writer, overnight_stage;
RESET ROLE;
