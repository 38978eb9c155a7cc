-- Runs that are held: their mapping met a code that a table with `unknown = "hold"` does not have, or they wait
-- behind such a run of their route and lane. The row goes in the commit that lets the run go; the run stays.
CREATE TABLE held (
  message_id  bigint  NOT NULL,
  run_no      integer NOT NULL,
  route       text    COLLATE "C" NOT NULL,
  destination text    COLLATE "C",               -- the one that a replay is limited to; NULL is all of the route
  lane        bytea,                             -- what comes later in it waits behind; NULL holds up nothing
  source      text    COLLATE "C" NOT NULL,
  received_at bigint  NOT NULL,
  code_table  text    COLLATE "C",               -- NULL lacks no code: it waits behind others
  code        text    COLLATE "C",
  PRIMARY KEY (message_id, run_no)
);
CREATE INDEX held_code ON held (code_table, code, source, received_at);
