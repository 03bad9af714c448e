-- A night's newest run that tells something. One that found nothing to do tells nothing, unless the run before it had ended badly:
-- then it says that readers see what a run of today makes, and nothing is left to mend.
SET ROLE overnight_owner;
-- One line for each interval that was ever tried: its newest run that tells something; one that found nothing to do does only
-- where the run before had ended badly.
CREATE OR REPLACE VIEW reading.night AS
    SELECT DISTINCT ON (pipeline, interval_start) pipeline, interval_start, interval_end, id AS run, state, reason,
        input_batch, model, prediction_batch, started_at, ended_at,
        count(*) OVER (PARTITION BY pipeline, interval_start) AS runs
    FROM overnight.run r
    ORDER BY pipeline, interval_start, (state = 'skipped' AND NOT (
        (SELECT b.state IN ('held', 'failed', 'crashed') FROM overnight.run b
            WHERE b.pipeline = r.pipeline AND b.interval_start = r.interval_start AND b.id < r.id AND b.state <> 'skipped'
            ORDER BY b.id DESC LIMIT 1) IS TRUE
        AND NOT holder ? 'from_stage' AND EXISTS (SELECT FROM overnight.pointer p WHERE p.pipeline = r.pipeline
            AND p.kind = 'input' AND p.interval_start = r.interval_start AND p.batch = r.input_batch))), id DESC;
RESET ROLE;
