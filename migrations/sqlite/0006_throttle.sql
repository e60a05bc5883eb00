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
