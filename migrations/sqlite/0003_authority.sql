-- Permits, journal, leases, tokens, freezes and stops: who may act, what has acted, what forbids it.
CREATE TABLE permit (
  permit_id     TEXT    NOT NULL PRIMARY KEY,
  incident_id   TEXT    NOT NULL,
  body          TEXT    NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  used_at_ms    INTEGER
) STRICT;

CREATE TABLE journal (
  n             INTEGER PRIMARY KEY AUTOINCREMENT,
  key           TEXT    NOT NULL UNIQUE,
  args_hash     TEXT    NOT NULL,
  incident_id   TEXT    NOT NULL,
  change_id     TEXT    NOT NULL,
  tool          TEXT    NOT NULL,
  target        TEXT    NOT NULL,
  status        TEXT    NOT NULL
    CHECK (status IN ('accepted', 'dispatched', 'done', 'failed', 'conflict', 'outcome_unknown')),
  permit        TEXT    NOT NULL,
  before_image  TEXT,
  object_uid    TEXT,
  outcome       TEXT,
  updated_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX journal_unfinished ON journal (n) WHERE status IN ('accepted', 'dispatched');

CREATE TABLE lease (
  n             INTEGER PRIMARY KEY AUTOINCREMENT,
  lease_id      TEXT    NOT NULL UNIQUE,
  call_id       TEXT    NOT NULL,
  incident_id   TEXT,
  engine        TEXT    NOT NULL,
  accessor      TEXT,
  state         TEXT    NOT NULL DEFAULT 'intent' CHECK (state IN ('intent', 'live', 'revoked', 'expired')),
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX lease_outstanding ON lease (n) WHERE state IN ('intent', 'live');

CREATE TABLE token (
  n             INTEGER PRIMARY KEY AUTOINCREMENT,
  token_id      TEXT    NOT NULL UNIQUE,
  token_sha256  TEXT    NOT NULL UNIQUE,
  body          TEXT    NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  revoked_at_ms INTEGER
) STRICT;

CREATE TABLE freeze (
  n             INTEGER PRIMARY KEY AUTOINCREMENT,
  freeze_id     TEXT    NOT NULL UNIQUE,
  scope         TEXT    NOT NULL,
  reason        TEXT    NOT NULL,
  set_by        TEXT    NOT NULL,
  until_ms      INTEGER,
  created_at_ms INTEGER NOT NULL,
  lifted_at_ms  INTEGER
) STRICT;
CREATE INDEX freeze_standing ON freeze (scope) WHERE lifted_at_ms IS NULL;

CREATE TABLE stop (
  incident_id   TEXT    NOT NULL PRIMARY KEY,
  stopped_by    TEXT    NOT NULL,
  reason        TEXT    NOT NULL,
  stopped_at_ms INTEGER NOT NULL
) STRICT;
