-- What is wrong with a pipeline's folder, beside the definition that it last had: its nights fail, and the web reads no folders.
SET ROLE overnight_owner;

ALTER TABLE overnight.pipeline ADD COLUMN fault text;
CREATE OR REPLACE VIEW reading.pipeline AS
    SELECT name, title, owner, definition, expectations, registered_at, fault FROM overnight.pipeline;
RESET ROLE;
