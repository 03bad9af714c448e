-- What readers see of a batch asks whether it was ever published: without this each look-up reads every publication there was.
SET ROLE overnight_owner;
CREATE INDEX publication_by_batch ON overnight.publication (batch);
RESET ROLE;
