-- The web keeps answers only while it hears of nothing new, so everything that it shows must be heard of: `publish` tells of
-- pointers already, and this of the rest. The message says what to read again and carries nothing to read; Postgres hands it
-- over when the transaction commits, and never when it does not.
SET ROLE overnight_owner;

CREATE FUNCTION overnight.tell() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE line jsonb := to_jsonb(NEW);
BEGIN
    PERFORM pg_notify('overnight', jsonb_strip_nulls(jsonb_build_object('event', TG_TABLE_NAME,
        'pipeline', coalesce(line -> 'pipeline', CASE WHEN TG_TABLE_NAME = 'pipeline' THEN line -> 'name' END),
        'id', line -> 'id', 'run', line -> 'run', 'stage', line -> 'stage', 'state', line -> 'state'))::text);
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION overnight.tell FROM PUBLIC;

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON overnight.run FOR EACH ROW EXECUTE FUNCTION overnight.tell();
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON overnight.stage_run FOR EACH ROW EXECUTE FUNCTION overnight.tell();
CREATE TRIGGER tell AFTER UPDATE ON overnight.batch FOR EACH ROW WHEN (NEW.state = 'dropped')
    EXECUTE FUNCTION overnight.tell();
CREATE TRIGGER tell AFTER INSERT ON overnight.alias_move FOR EACH ROW EXECUTE FUNCTION overnight.tell();
CREATE TRIGGER tell AFTER INSERT ON overnight.quality FOR EACH ROW EXECUTE FUNCTION overnight.tell();
CREATE TRIGGER tell AFTER INSERT ON overnight.verdict FOR EACH ROW EXECUTE FUNCTION overnight.tell();
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON overnight.pipeline FOR EACH ROW EXECUTE FUNCTION overnight.tell();
RESET ROLE;
