-- Tables that no line of the ledger speaks for: of no batch, or a part that a worker brought for a run that is over.
SET ROLE overnight_owner;
CREATE OR REPLACE FUNCTION overnight.sweep_orphans(name text, act boolean) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' AS $$
DECLARE orphan text; swept text[] := '{}';
BEGIN
    FOR orphan IN SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'overnight_' || name AND c.relkind = 'r' AND pg_has_role('overnight_owner', c.relowner, 'USAGE')
            AND CASE
                WHEN c.relname ~ '^(landed|rejected|predictions)_[0-9]+$' THEN
                    NOT EXISTS (SELECT FROM overnight.batch b WHERE b.pipeline = name AND b.state <> 'dropped'
                        AND b.id = substring(c.relname FROM '[0-9]+$')::numeric)
                WHEN c.relname ~ '^part_[0-9]+_' THEN
                    NOT EXISTS (SELECT FROM overnight.run r WHERE r.pipeline = name AND r.state = 'running'
                        AND r.id = substring(c.relname FROM '^part_([0-9]+)_')::numeric)
                ELSE false
            END
        ORDER BY 1 LIMIT 200 LOOP  -- each is some locks more
        IF act THEN
            EXECUTE format('DROP TABLE %I.%I', 'overnight_' || name, orphan);
        END IF;
        swept := swept || orphan;
    END LOOP;
    RETURN swept;
END $$;
RESET ROLE;
