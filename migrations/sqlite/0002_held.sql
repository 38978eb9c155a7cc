-- Runs that are held: their mapping met a code that a table with `unknown = "hold"` does not have, or they wait
-- behind such a run of their route and lane. The row goes in the commit that lets the run go; the run stays.
CREATE TABLE held (
  message_id  INTEGER NOT NULL,
  run_no      INTEGER NOT NULL,
  route       TEXT    NOT NULL,
  destination TEXT,                    -- the one that a replay is limited to; NULL is all of the route
  lane        BLOB,                    -- what comes later in it waits behind; NULL holds up nothing
  source      TEXT    NOT NULL,
  received_at INTEGER NOT NULL,
  code_table  TEXT,                    -- NULL lacks no code: it waits behind others
  code        TEXT,
  PRIMARY KEY (message_id, run_no),
  FOREIGN KEY (message_id, run_no) REFERENCES run (message_id, run_no)
) WITHOUT ROWID;
CREATE INDEX held_code ON held (code_table, code, source, received_at);
