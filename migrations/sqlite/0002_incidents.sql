CREATE TABLE incident (
  incident_id   TEXT    NOT NULL PRIMARY KEY,
  state         TEXT    NOT NULL,
  open          INTEGER NOT NULL,
  title         TEXT    NOT NULL,
  team          TEXT    NOT NULL,
  env           TEXT    NOT NULL,
  channel       TEXT    NOT NULL,
  identity      TEXT    NOT NULL,
  step          INTEGER NOT NULL,
  snapshot      TEXT    NOT NULL,
  opened_at_ms  INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL
) STRICT;
-- Two alert groups with one identity are one incident, whatever races.
CREATE UNIQUE INDEX incident_open_identity ON incident (identity) WHERE open = 1;
CREATE INDEX incident_by_identity ON incident (identity, opened_at_ms);
CREATE INDEX incident_by_age ON incident (opened_at_ms);

CREATE TABLE counter (
  name  TEXT    NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT;

CREATE TABLE approval (
  approval_id TEXT NOT NULL PRIMARY KEY,
  incident_id TEXT NOT NULL,
  status      TEXT NOT NULL,
  body        TEXT NOT NULL
) STRICT;
CREATE INDEX approval_open ON approval (incident_id) WHERE status = 'open';

CREATE TABLE evidence (
  evidence_id   TEXT    NOT NULL PRIMARY KEY,
  incident_id   TEXT    NOT NULL,
  record        TEXT    NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  blob_erased   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX evidence_by_incident ON evidence (incident_id);
CREATE INDEX evidence_by_expiry ON evidence (expires_at_ms) WHERE blob_erased = 0;
CREATE TRIGGER evidence_no_update BEFORE UPDATE OF evidence_id, incident_id, record, expires_at_ms ON evidence
BEGIN SELECT RAISE(ABORT, 'an evidence record is never changed'); END;

CREATE TABLE inbox (
  n              INTEGER PRIMARY KEY AUTOINCREMENT,
  dedup_key      TEXT    NOT NULL UNIQUE,
  source         TEXT    NOT NULL,
  incident_id    TEXT,
  kind           TEXT    NOT NULL,
  payload        TEXT    NOT NULL,
  received_at_ms INTEGER NOT NULL,
  attempts       INTEGER NOT NULL DEFAULT 0,
  state          TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'consumed', 'dead')),
  note           TEXT
) STRICT;
CREATE INDEX inbox_pending ON inbox (n) WHERE state = 'pending';

CREATE TABLE seen_once (
  key           TEXT    NOT NULL PRIMARY KEY,
  expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_once_by_expiry ON seen_once (expires_at_ms);

CREATE TABLE card (
  n               INTEGER PRIMARY KEY AUTOINCREMENT,
  card_key        TEXT    NOT NULL UNIQUE,
  incident_id     TEXT,
  placement       TEXT    NOT NULL CHECK (placement IN ('root', 'thread', 'private')),
  channel         TEXT    NOT NULL,
  notice          TEXT    NOT NULL,
  wanted_revision INTEGER NOT NULL DEFAULT 1,
  sent_revision   INTEGER NOT NULL DEFAULT 0,
  given_up        INTEGER NOT NULL DEFAULT 0,
  ts              TEXT,
  state           TEXT    NOT NULL DEFAULT 'idle' CHECK (state IN ('idle', 'sending', 'failed')),
  attempts        INTEGER NOT NULL DEFAULT 0,
  retry_at_ms     INTEGER NOT NULL DEFAULT 0,
  error           TEXT
) STRICT;
CREATE INDEX card_due ON card (n) WHERE wanted_revision > sent_revision;
CREATE INDEX card_root ON card (incident_id) WHERE placement = 'root';
CREATE INDEX card_by_incident ON card (incident_id);
CREATE INDEX card_by_message ON card (channel, ts) WHERE ts IS NOT NULL;

CREATE TABLE timer (
  incident_id TEXT    NOT NULL,
  kind        TEXT    NOT NULL,
  due_at_ms   INTEGER NOT NULL,
  armed_step  INTEGER NOT NULL,
  PRIMARY KEY (incident_id, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX timer_by_due ON timer (due_at_ms);

CREATE TABLE effect (
  n           INTEGER PRIMARY KEY AUTOINCREMENT,
  effect_id   TEXT    NOT NULL UNIQUE,
  incident_id TEXT    NOT NULL,
  kind        TEXT    NOT NULL,
  payload     TEXT    NOT NULL,
  state       TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'done', 'cancelled')),
  owner       TEXT,
  attempts    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX effect_open ON effect (n) WHERE state IN ('pending', 'running');
CREATE INDEX effect_by_incident ON effect (incident_id) WHERE state IN ('pending', 'running');
