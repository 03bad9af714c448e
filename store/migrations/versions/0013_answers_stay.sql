-- A whole table is judged by answers that a later night's table brought, so what holds them is not of the judged night; it stays as
-- long as the newest figure of something that readers see rests on it.
DO $$ DECLARE text_now text := pg_get_functiondef('overnight.kept_because'::regproc);
BEGIN
    IF strpos(text_now, 'WHERE q.pipeline = b.pipeline AND q.interval_start = b.interval_start ORDER BY') = 0 THEN
        RAISE EXCEPTION 'overnight.kept_because is not the function that this migration knows';
    END IF;
    EXECUTE replace(text_now, 'WHERE q.pipeline = b.pipeline AND q.interval_start = b.interval_start ORDER BY',
        'WHERE q.pipeline = b.pipeline ORDER BY');
END $$;

-- Who logged in as a stage stays that stage, whatever role the session takes on.
CREATE OR REPLACE FUNCTION overnight.acting_stage() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(substring(session_user::text FROM '^overnight_(ingest|validate|train|score|publish|observe)$'),
        substring(current_setting('role') FROM '^overnight_(ingest|validate|train|score|publish|observe)$'))
$$;
