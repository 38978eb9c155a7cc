-- The journal. Rows are appended; what changes later is a delivery, an aggregate, a charge.
-- Times are microseconds since 1970-01-01T00:00:00Z. References hold, so that nothing can be written where
-- no one would find it: a delivery without its run, a run without its message.

CREATE TABLE configuration (
  id        INTEGER PRIMARY KEY,
  hash      TEXT    NOT NULL UNIQUE,   -- sha-256 over names and contents
  stored_at INTEGER NOT NULL,
  files     TEXT    NOT NULL           -- JSON: [[name, content], ...]
);

-- What came, once. The id is the place in the journal, and so the place in every lane.
CREATE TABLE message (
  id          INTEGER PRIMARY KEY,
  received_at INTEGER NOT NULL,
  source      TEXT    NOT NULL,
  principal   TEXT    NOT NULL,
  peer        TEXT    NOT NULL,
  sender      TEXT    NOT NULL,        -- MSH-3|MSH-4
  control_id  TEXT    NOT NULL,
  type        TEXT    NOT NULL,        -- RDE^O11, or the type of an event
  format      INTEGER NOT NULL,
  lane        BLOB,                    -- HMAC of the source's key; NULL has no order
  identity    BLOB    NOT NULL,        -- hash of the body without MSH-7
  flags       INTEGER NOT NULL,
  cause       INTEGER,                 -- the message whose effect this is
  code        TEXT,                    -- why it was refused; NULL was accepted
  reason      TEXT,
  body        BLOB    NOT NULL,
  answer      BLOB,
  terms       BLOB    NOT NULL,        -- HMACs that people find it by, 16 bytes each
  checksum    INTEGER NOT NULL         -- CRC-32 of the row: what the disk did to it is found
);

CREATE INDEX message_cause ON message (cause) WHERE cause IS NOT NULL;

-- Finds a repeat. Led by what grows in order: a random hash in front costs a fifth of the rate.
CREATE TABLE seen (
  source      TEXT    NOT NULL,
  control_id  TEXT    NOT NULL,
  sender      TEXT    NOT NULL,
  identity    BLOB    NOT NULL,
  message_id  INTEGER NOT NULL,
  seen_at     INTEGER NOT NULL,
  PRIMARY KEY (source, control_id, sender, identity)
) WITHOUT ROWID;

-- One pass of one route under one configuration. A message with a run was routed.
CREATE TABLE run (
  message_id    INTEGER NOT NULL REFERENCES message (id),
  run_no        INTEGER NOT NULL,
  route         TEXT,                  -- NULL: no route took the message
  mapping       TEXT,
  configuration INTEGER NOT NULL REFERENCES configuration (id),
  started_at    INTEGER NOT NULL,
  state         INTEGER NOT NULL,
  code          TEXT,
  reason        TEXT,
  PRIMARY KEY (message_id, run_no)
) WITHOUT ROWID;

CREATE INDEX run_dead ON run (message_id, run_no) WHERE state = 4;

-- One document of a mapping. A body of NULL is the message's own.
CREATE TABLE output (
  id         INTEGER PRIMARY KEY,
  message_id INTEGER NOT NULL,
  run_no     INTEGER NOT NULL,
  output_no  INTEGER NOT NULL,
  format     INTEGER NOT NULL,
  command    TEXT,
  type       TEXT    NOT NULL,
  body       BLOB,
  checksum   INTEGER NOT NULL,
  FOREIGN KEY (message_id, run_no) REFERENCES run (message_id, run_no)
);
CREATE UNIQUE INDEX output_number ON output (message_id, run_no, output_no);

-- One output to one destination: the outbox.
CREATE TABLE delivery (
  message_id  INTEGER NOT NULL,
  run_no      INTEGER NOT NULL,
  delivery_no INTEGER NOT NULL,
  output_no   INTEGER NOT NULL,
  destination TEXT    NOT NULL,
  lane        BLOB,
  state       INTEGER NOT NULL,
  attempts    INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  next_at     INTEGER,                 -- not before this time
  ended_at    INTEGER,
  code        TEXT,
  reason      TEXT,
  PRIMARY KEY (message_id, run_no, delivery_no),
  FOREIGN KEY (message_id, run_no, output_no) REFERENCES output (message_id, run_no, output_no)
) WITHOUT ROWID;
CREATE INDEX delivery_open ON delivery (destination, message_id, run_no, delivery_no) WHERE state < 10;
CREATE INDEX delivery_dead ON delivery (message_id, run_no, delivery_no) WHERE state = 13;

CREATE TABLE attempt (
  message_id  INTEGER NOT NULL,
  run_no      INTEGER NOT NULL,
  delivery_no INTEGER NOT NULL,
  attempt_no  INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  took_us     INTEGER NOT NULL,
  verdict     INTEGER NOT NULL,
  reason      TEXT    NOT NULL,
  PRIMARY KEY (message_id, run_no, delivery_no, attempt_no),
  FOREIGN KEY (message_id, run_no, delivery_no) REFERENCES delivery (message_id, run_no, delivery_no)
) WITHOUT ROWID;

-- What a consumer has applied. The key is the CloudEvents id of the record.
CREATE TABLE inbox (
  consumer   TEXT    NOT NULL,
  key        TEXT    NOT NULL,
  applied_at INTEGER NOT NULL,
  PRIMARY KEY (consumer, key)
) WITHOUT ROWID;

-- The state of the domain: an order is (assigning authority, number), never a bare number.
CREATE TABLE aggregate (
  id         INTEGER PRIMARY KEY,
  kind       TEXT    NOT NULL,
  authority  TEXT    NOT NULL,
  number     TEXT    NOT NULL,
  version    INTEGER NOT NULL,
  state      TEXT    NOT NULL,
  changed_at INTEGER NOT NULL,
  changed_by INTEGER NOT NULL,         -- the message
  body       TEXT    NOT NULL,
  checksum   INTEGER NOT NULL,
  UNIQUE (kind, authority, number)
);

-- A number that the hub assigned to a group of orders.
CREATE TABLE assigned_number (
  authority TEXT NOT NULL,
  number    TEXT NOT NULL,
  assigned  TEXT NOT NULL UNIQUE,
  PRIMARY KEY (authority, number)
) WITHOUT ROWID;

-- Counters that only grow: the numbers of a day.
CREATE TABLE counter (
  name  TEXT    PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

-- Blame: which messages were in hand, and how often they were charged.
CREATE TABLE charge (
  message_id INTEGER PRIMARY KEY REFERENCES message (id),
  charges    INTEGER NOT NULL,
  in_hand    INTEGER NOT NULL
);

-- Single facts of this data folder.
CREATE TABLE fact (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
