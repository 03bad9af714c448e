-- What a night looked like when it was judged: written with its verdict, compared with by the rules of later nights.
SET ROLE overnight_owner;

CREATE TABLE overnight.figures (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch           bigint NOT NULL UNIQUE REFERENCES overnight.batch,   -- the input batch, as readers see it
    document        jsonb NOT NULL,           -- rows; for each column null_share, mean, and the shares of few values
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON overnight.figures
    FOR EACH ROW EXECUTE FUNCTION overnight.refuse_change();
GRANT SELECT, INSERT ON overnight.figures TO overnight_writer, overnight_validate;
RESET ROLE;
