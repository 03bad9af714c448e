-- What a pipeline's webhook was told, an attempt a line. What is still to be told is computed from publications and held runs, so
-- nothing is lost with a process that dies between publishing and telling.
SET ROLE overnight_owner;
CREATE TABLE overnight.delivery (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run             bigint NOT NULL REFERENCES overnight.run,
    event           text NOT NULL CHECK (event IN ('published', 'held', 'corrected')),
    delivered       boolean NOT NULL,
    status          integer,                  -- of the HTTP answer, none when nobody answered
    error           text NOT NULL DEFAULT '',
    at              timestamptz NOT NULL
);
CREATE INDEX delivery_by_run ON overnight.delivery (run, event);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.delivery
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();
GRANT SELECT, INSERT ON overnight.delivery TO overnight_writer;

CREATE VIEW reading.delivery AS
    SELECT d.id, r.pipeline, r.interval_start, d.run, d.event, d.delivered, d.status, d.error, d.at
    FROM overnight.delivery d JOIN overnight.run r ON r.id = d.run;
GRANT SELECT ON reading.delivery TO overnight_reader, overnight_writer;
RESET ROLE;
