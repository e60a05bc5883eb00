-- Tokens that persons decide with, apart from those that open the gateway. `mac` covers hash and grant, under a key that is
-- not in the database: a row that somebody writes by hand is nobody's token.
CREATE TABLE person_token (
  n             INTEGER PRIMARY KEY AUTOINCREMENT,
  token_id      TEXT    NOT NULL UNIQUE,
  token_sha256  TEXT    NOT NULL UNIQUE,
  body          TEXT    NOT NULL,
  mac           TEXT    NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  revoked_at_ms INTEGER
) STRICT;

-- The same for inbox rows. Those that wait at the upgrade were written by the Aegis before it, and are marked by this one.
ALTER TABLE inbox ADD COLUMN mac TEXT;
UPDATE inbox SET mac = aegis_inbox_mac(dedup_key, source, incident_id, kind, payload, received_at_ms)
 WHERE state = 'pending';
