-- What keeps an ill system from being asked and a tenant from using up its day, over restarts.
CREATE TABLE breaker (
  key         TEXT    NOT NULL PRIMARY KEY,
  state       TEXT    NOT NULL,
  saved_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each quota: the day that it counts and the calls that were handed out of it.
CREATE TABLE quota_day (
  key  TEXT    NOT NULL PRIMARY KEY,
  day  TEXT    NOT NULL,
  used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Full results behind the pointers that outside agents were given; sealed under the tenant's key, erased when they expire.
CREATE TABLE sealed_result (
  result_id     TEXT    NOT NULL PRIMARY KEY,
  about         TEXT    NOT NULL,
  sealed        BLOB    NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX sealed_result_by_expiry ON sealed_result (expires_at_ms);
