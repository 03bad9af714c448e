-- Nights that an operator has decided to leave out: no gap any more, until somebody takes the word back or the night is taken.
SET ROLE overnight_owner;

CREATE VIEW reading.waived AS
    SELECT pipeline, interval_start, (detail ->> 'interval_end')::timestamptz AS interval_end, who, detail ->> 'reason' AS why, at
    FROM (SELECT DISTINCT ON (pipeline, interval_start) * FROM overnight.action WHERE what IN ('waive', 'unwaive')
        ORDER BY pipeline, interval_start, id DESC) newest
    WHERE what = 'waive' AND detail ? 'interval_end';
-- Each span between published nights, of either kind, of which nothing is published and that nobody has waived. A publication is
-- never taken back, so whatever was published once is published now.
CREATE VIEW reading.gap AS
    SELECT pipeline, start, until FROM (
        SELECT pipeline, interval_end AS start, lead(interval_start) OVER (PARTITION BY pipeline ORDER BY interval_start) AS until
        FROM (SELECT pipeline, interval_start, interval_end FROM reading.publication
            UNION SELECT w.pipeline, w.interval_start, w.interval_end FROM reading.waived w
            WHERE w.interval_start < (SELECT max(u.interval_start) FROM reading.publication u WHERE u.pipeline = w.pipeline)
        ) nights
    ) spans WHERE until > start;
GRANT SELECT ON reading.gap, reading.waived TO overnight_reader, overnight_writer;

-- The web shows gaps, so it must hear of this word as of any other change.
CREATE TRIGGER tell AFTER INSERT ON overnight.action FOR EACH ROW WHEN (NEW.what IN ('waive', 'unwaive'))
    EXECUTE FUNCTION overnight.tell();
RESET ROLE;
