-- Questions about many pipelines, or the newest of many nights, read what they need and no more: the newest figure of each metric is
-- looked for within a pipeline and a night, where until now every figure of every pipeline was sorted for each answer.
SET ROLE overnight_owner;

CREATE INDEX IF NOT EXISTS quality_by_batch ON overnight.quality (batch, id);

CREATE OR REPLACE VIEW reading.quality AS
    SELECT DISTINCT ON (q.pipeline, q.interval_start, q.batch, q.metric) q.pipeline, q.interval_start, q.batch, q.model,
        m.version AS model_version, q.metric, q.value, q.dummy, q.rows, q.at
    FROM overnight.quality q JOIN overnight.batch b ON b.id = q.batch AND NOT b.hindsight AND b.kind = 'prediction'
        JOIN overnight.model m ON m.id = q.model
    ORDER BY q.pipeline, q.interval_start DESC, q.batch DESC, q.metric, q.id DESC;
RESET ROLE;
