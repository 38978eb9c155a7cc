-- The journal. Rows are appended; what changes later is a delivery, an aggregate, a charge.
-- Times are microseconds since 1970-01-01T00:00:00Z. Texts compare byte by byte, as in the store on SQLite.
--
-- What grows with every message lies in partitions, one a day of UTC. A message's id tells its day, and every row
-- of its journey has the id, so the day of a message is detached as a whole. PostgreSQL lets no partition go that
-- a foreign key points at: that what a row refers to is there, the hub judges before it writes, in the same
-- transaction. What must be unique for a window or for ever stands apart, in tables without partitions.

-- The id given last, for all writers: who has this row locked commits next, so ids grow in the order of commits.
CREATE TABLE head (
  one     boolean PRIMARY KEY CHECK (one),
  last_id bigint  NOT NULL
);
INSERT INTO head (one, last_id) VALUES (true, 0);

-- Who writes: one row a life of a hub. Its number is a fencing token, its count tells which commits arrived.
CREATE TABLE writer (
  id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  started_at bigint NOT NULL,
  commits    bigint NOT NULL DEFAULT 0
);

CREATE TABLE configuration (
  id        bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  hash      text   COLLATE "C" NOT NULL UNIQUE,  -- sha-256 over names and contents
  stored_at bigint NOT NULL,
  files     text   NOT NULL                      -- JSON: [[name, content], ...]
);

-- What came, once. The id is the place in the journal, and so the place in every lane.
CREATE TABLE message (
  id          bigint   NOT NULL PRIMARY KEY,
  received_at bigint   NOT NULL,
  source      text     COLLATE "C" NOT NULL,
  principal   text     COLLATE "C" NOT NULL,
  peer        text     COLLATE "C" NOT NULL,
  sender      text     COLLATE "C" NOT NULL,     -- MSH-3|MSH-4
  control_id  text     COLLATE "C" NOT NULL,
  type        text     COLLATE "C" NOT NULL,     -- RDE^O11, or the type of an event
  format      smallint NOT NULL,
  lane        bytea,                             -- HMAC of the source's key; NULL has no order
  identity    bytea    NOT NULL,                 -- hash of the body without MSH-7
  flags       bigint   NOT NULL,
  cause       bigint,                            -- the message whose effect this is
  code        text     COLLATE "C",              -- why it was refused; NULL was accepted
  reason      text     COLLATE "C",
  body        bytea    NOT NULL,
  answer      bytea,
  terms       bytea    NOT NULL,                 -- HMACs that people find it by, 16 bytes each
  checksum    bigint   NOT NULL                  -- CRC-32 of the row: what the disk did to it is found
) PARTITION BY RANGE (id);
CREATE INDEX message_cause ON message (cause) WHERE cause IS NOT NULL;

-- One pass of one route under one configuration. A message with a run was routed.
CREATE TABLE run (
  message_id    bigint   NOT NULL,
  run_no        integer  NOT NULL,
  route         text     COLLATE "C",            -- NULL: no route took the message
  mapping       text     COLLATE "C",
  configuration bigint   NOT NULL,
  started_at    bigint   NOT NULL,
  state         smallint NOT NULL,
  code          text     COLLATE "C",
  reason        text     COLLATE "C",
  PRIMARY KEY (message_id, run_no)
) PARTITION BY RANGE (message_id);
CREATE INDEX run_dead ON run (message_id, run_no) WHERE state = 4;

-- One document of a mapping. A body of NULL is the message's own.
CREATE TABLE output (
  message_id bigint   NOT NULL,
  run_no     integer  NOT NULL,
  output_no  integer  NOT NULL,
  format     smallint NOT NULL,
  command    text     COLLATE "C",
  type       text     COLLATE "C" NOT NULL,
  body       bytea,
  checksum   bigint   NOT NULL,
  PRIMARY KEY (message_id, run_no, output_no)
) PARTITION BY RANGE (message_id);

-- One output to one destination: the outbox.
CREATE TABLE delivery (
  message_id  bigint   NOT NULL,
  run_no      integer  NOT NULL,
  delivery_no integer  NOT NULL,
  output_no   integer  NOT NULL,
  destination text     COLLATE "C" NOT NULL,
  lane        bytea,
  state       smallint NOT NULL,
  attempts    integer  NOT NULL,
  created_at  bigint   NOT NULL,
  next_at     bigint,                            -- not before this time
  ended_at    bigint,
  code        text     COLLATE "C",
  reason      text     COLLATE "C",
  PRIMARY KEY (message_id, run_no, delivery_no)
) PARTITION BY RANGE (message_id);
CREATE INDEX delivery_open ON delivery (destination, message_id, run_no, delivery_no) WHERE state < 10;
CREATE INDEX delivery_dead ON delivery (message_id, run_no, delivery_no) WHERE state = 13;

CREATE TABLE attempt (
  message_id  bigint   NOT NULL,
  run_no      integer  NOT NULL,
  delivery_no integer  NOT NULL,
  attempt_no  integer  NOT NULL,
  at          bigint   NOT NULL,
  took_us     bigint   NOT NULL,
  verdict     smallint NOT NULL,
  reason      text     COLLATE "C" NOT NULL,
  PRIMARY KEY (message_id, run_no, delivery_no, attempt_no)
) PARTITION BY RANGE (message_id);

-- The search index: built from `message.terms`, and built again when it is emptied.
CREATE TABLE term (
  hash       bytea  NOT NULL,
  message_id bigint NOT NULL,
  PRIMARY KEY (hash, message_id)
) PARTITION BY RANGE (message_id);

-- Finds a repeat.
CREATE TABLE seen (
  source     text   COLLATE "C" NOT NULL,
  control_id text   COLLATE "C" NOT NULL,
  sender     text   COLLATE "C" NOT NULL,
  identity   bytea  NOT NULL,
  message_id bigint NOT NULL,
  seen_at    bigint NOT NULL,
  PRIMARY KEY (source, control_id, sender, identity)
);

-- What a consumer has applied. The key is the CloudEvents id of the record.
CREATE TABLE inbox (
  consumer   text   COLLATE "C" NOT NULL,
  key        text   COLLATE "C" NOT NULL,
  applied_at bigint NOT NULL,
  PRIMARY KEY (consumer, key)
);

-- The state of the domain: an order is (assigning authority, number), never a bare number.
CREATE TABLE aggregate (
  kind       text   COLLATE "C" NOT NULL,
  authority  text   COLLATE "C" NOT NULL,
  number     text   COLLATE "C" NOT NULL,
  version    bigint NOT NULL,
  state      text   COLLATE "C" NOT NULL,
  changed_at bigint NOT NULL,
  changed_by bigint NOT NULL,                    -- the message
  body       text   COLLATE "C" NOT NULL,
  checksum   bigint NOT NULL,
  PRIMARY KEY (kind, authority, number)
);

-- A number that the hub assigned to a group of orders.
CREATE TABLE assigned_number (
  authority text COLLATE "C" NOT NULL,
  number    text COLLATE "C" NOT NULL,
  assigned  text COLLATE "C" NOT NULL UNIQUE,
  PRIMARY KEY (authority, number)
);

-- Counters that only grow: the numbers of a day.
CREATE TABLE counter (
  name  text   COLLATE "C" PRIMARY KEY,
  value bigint NOT NULL
);

-- Blame: which messages were in hand, and how often they were charged.
CREATE TABLE charge (
  message_id bigint  PRIMARY KEY,
  charges    integer NOT NULL,
  in_hand    boolean NOT NULL
);
CREATE INDEX charge_in_hand ON charge (message_id) WHERE in_hand;

-- Single facts of this store.
CREATE TABLE fact (
  name  text COLLATE "C" PRIMARY KEY,
  value text COLLATE "C" NOT NULL
);

-- The tables that lie in partitions, and the column that tells the day.
CREATE FUNCTION parted() RETURNS TABLE (name text, key text) LANGUAGE sql IMMUTABLE AS $$
  VALUES ('message', 'id'), ('run', 'message_id'), ('output', 'message_id'), ('delivery', 'message_id'),
         ('attempt', 'message_id'), ('term', 'message_id')
$$;

-- The first id of a day: ids count 4096 a millisecond from 2020-01-01T00:00:00Z.
CREATE FUNCTION first_id_of(day date) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT (day - date '2020-01-01')::bigint * 86400000 * 4096
$$;

-- Nothing is to lie in these: a row in one says that its day had no partition, and the hub tells it (HUB0221).
DO $$
DECLARE parent record;
BEGIN
  FOR parent IN SELECT * FROM parted() LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', parent.name || '_default', parent.name);
  END LOOP;
END $$;

-- Makes the partitions of `days` days from `first_day` on, where they are missing; says how many were. Made apart
-- and then attached, since that lets readers and writers of other days go on.
CREATE FUNCTION make_partitions(first_day date, days integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  parent record;
  place  integer;
  of_day date;
  part   text;
  made   integer := 0;
BEGIN
  FOR place IN 0 .. days - 1 LOOP
    of_day := first_day + place;
    FOR parent IN SELECT * FROM parted() LOOP
      part := parent.name || '_' || to_char(of_day, 'YYYYMMDD');
      IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent.name);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       parent.name, part, first_id_of(of_day), first_id_of(of_day + 1));
        made := made + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN made;
END $$;

-- Days that have partitions here, oldest first.
CREATE FUNCTION kept_days() RETURNS SETOF date LANGUAGE sql STABLE AS $$
  SELECT to_date(right(c.relname, 8), 'YYYYMMDD') FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = to_regclass('message') AND c.relname ~ '^message_[0-9]{8}$' ORDER BY 1
$$;

-- Detaches the partitions of one day, and moves them whole into the schema `into`. A day with a message that has not
-- come to all its ends stays: false. Charges of the day say nothing any more.
CREATE FUNCTION archive_day(of_day date, into_schema text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  parent record;
  part   text;
  low    bigint := first_id_of(of_day);
  high   bigint := first_id_of(of_day + 1);
BEGIN
  IF EXISTS (SELECT FROM delivery WHERE message_id >= low AND message_id < high AND state < 10)
     OR EXISTS (SELECT FROM held WHERE message_id >= low AND message_id < high)
     OR EXISTS (SELECT FROM message m WHERE m.id >= low AND m.id < high AND m.code IS NULL
                AND NOT EXISTS (SELECT FROM run r WHERE r.message_id = m.id)) THEN
    RETURN false;
  END IF;
  EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', into_schema);
  FOR parent IN SELECT * FROM parted() LOOP
    part := parent.name || '_' || to_char(of_day, 'YYYYMMDD');
    IF to_regclass(part) IS NOT NULL THEN
      EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent.name, part);
      EXECUTE format('ALTER TABLE %I SET SCHEMA %I', part, into_schema);
    END IF;
  END LOOP;
  DELETE FROM charge WHERE message_id >= low AND message_id < high;
  RETURN true;
END $$;
