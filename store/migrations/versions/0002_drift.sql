-- The distribution of what a model learned from, and each night's distance from it.

SET ROLE overnight_owner;

CREATE TABLE overnight.profile (
    model           bigint PRIMARY KEY REFERENCES overnight.model,
    document        jsonb NOT NULL,           -- bins and shares of each feature over its window, and of its held-out predictions
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE overnight.drift (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text NOT NULL REFERENCES overnight.pipeline,
    interval_start  timestamptz NOT NULL,
    batch           bigint NOT NULL REFERENCES overnight.batch,   -- the prediction batch
    model           bigint NOT NULL REFERENCES overnight.model,
    kind            text NOT NULL CHECK (kind IN ('feature', 'prediction')),
    feature         text NOT NULL,            -- 'prediction' for that kind
    psi             double precision NOT NULL,  -- population stability index against the model's window
    distance        double precision NOT NULL,  -- Jensen-Shannon, from 0 to 1
    missing         double precision NOT NULL,  -- share of rows without a value, tonight
    missing_then    double precision NOT NULL,  -- and in the model's window
    rows            bigint NOT NULL,          -- rows that were looked at
    run             bigint NOT NULL REFERENCES overnight.run,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (batch, kind, feature)
);
CREATE INDEX drift_by_interval ON overnight.drift (pipeline, interval_start);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.drift
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();
GRANT SELECT, INSERT ON overnight.profile, overnight.drift TO overnight_writer;

-- One line for each feature, and one for the predictions, of every prediction batch.
CREATE VIEW reading.drift AS
    SELECT d.pipeline, d.interval_start, d.batch, d.model, m.version AS model_version, d.kind, d.feature, d.psi, d.distance,
        d.missing, d.missing_then, d.rows, d.at
    FROM overnight.drift d JOIN overnight.model m ON m.id = d.model;

-- Which version is champion for the night that starts at `night`, as the journal stands now; null when none may score it.
CREATE FUNCTION reading.champion_on(pipeline text, night timestamptz) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.version FROM overnight.alias_move a JOIN overnight.model m ON m.id = a.model
    WHERE a.pipeline = champion_on.pipeline AND a.alias = 'champion' AND a.effective_from <= night AND m.trained_until <= night
    ORDER BY a.effective_from DESC, a.id DESC LIMIT 1
$$;
REVOKE ALL ON FUNCTION reading.champion_on FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reading.champion_on TO overnight_reader, overnight_writer;

GRANT SELECT ON reading.drift TO overnight_reader, overnight_writer;
RESET ROLE;
