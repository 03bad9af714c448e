-- Who may read over the web when it is reached from other machines. Only the hash of a secret is kept. A token changes in one
-- way alone: it is revoked, once.
SET ROLE overnight_owner;

CREATE TABLE overnight.token (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    secret_hash bytea NOT NULL UNIQUE CHECK (octet_length(secret_hash) = 32),
    pipelines text[] CHECK (cardinality(pipelines) > 0),  -- NULL: all of them, those of tomorrow too
    who text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE FUNCTION overnight.guard_token() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR OLD.revoked_at IS NOT NULL
        OR to_jsonb(NEW) - 'revoked_at' <> to_jsonb(OLD) - 'revoked_at' THEN
        RAISE EXCEPTION 'token % can only be revoked, once', OLD.id USING ERRCODE = 'OV001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON overnight.token FOR EACH ROW EXECUTE FUNCTION overnight.guard_token();
-- The web knows a token for as long as it hears of nothing.
CREATE TRIGGER tell AFTER UPDATE ON overnight.token FOR EACH ROW WHEN (NEW.revoked_at IS NOT NULL)
    EXECUTE FUNCTION overnight.tell();

-- A reader learns of a token only by holding its secret: there is no view of them.
CREATE FUNCTION reading.token_of(secret_hash bytea)
RETURNS TABLE (id bigint, name text, pipelines text[], expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id, t.name, t.pipelines, t.expires_at FROM overnight.token t
    WHERE t.secret_hash = token_of.secret_hash AND t.revoked_at IS NULL
$$;
CREATE FUNCTION reading.has_token(moment timestamptz) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM overnight.token WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > moment))
$$;
REVOKE ALL ON FUNCTION overnight.guard_token, reading.token_of, reading.has_token FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reading.token_of, reading.has_token TO overnight_reader;
RESET ROLE;
