-- Each tag of the web, and each look at gaps and lateness, asks which nights are waived: without this it reads all that people did.
SET ROLE overnight_owner;
CREATE INDEX action_by_waiver ON overnight.action (pipeline, interval_start, id DESC) WHERE what IN ('waive', 'unwaive');
RESET ROLE;
