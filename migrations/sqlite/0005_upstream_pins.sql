-- What external MCP servers say about themselves: as a person approved it, and as it was seen last.
CREATE TABLE upstream_pin (
  server         TEXT    NOT NULL,
  tool           TEXT    NOT NULL,
  approved_hash  TEXT,
  approved       TEXT,
  approved_by    TEXT,
  approved_at_ms INTEGER,
  seen_hash      TEXT,
  seen           TEXT,
  seen_at_ms     INTEGER NOT NULL,
  PRIMARY KEY (server, tool)
) STRICT;
