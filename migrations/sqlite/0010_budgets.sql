-- What was spent, by account: an incident's own (day is empty) or one UTC day of a team, a trigger or everything.
CREATE TABLE spending (
  account        TEXT    NOT NULL,
  day            TEXT    NOT NULL,
  investigations INTEGER NOT NULL DEFAULT 0,
  calls          INTEGER NOT NULL DEFAULT 0,
  reads          INTEGER NOT NULL DEFAULT 0,
  bytes          INTEGER NOT NULL DEFAULT 0,
  tokens         INTEGER NOT NULL DEFAULT 0,
  cost_microusd  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (account, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX spending_by_day ON spending (day) WHERE day <> '';

-- What each effect was charged: `top` is its dearest attempt, `now` the attempt under way. Run again after a crash, it
-- pays only for what goes beyond.
CREATE TABLE effect_spending (
  effect_id         TEXT    NOT NULL PRIMARY KEY,
  attempt           TEXT    NOT NULL DEFAULT '',
  investigations    INTEGER NOT NULL DEFAULT 0,
  now_calls         INTEGER NOT NULL DEFAULT 0,
  now_reads         INTEGER NOT NULL DEFAULT 0,
  now_bytes         INTEGER NOT NULL DEFAULT 0,
  now_tokens        INTEGER NOT NULL DEFAULT 0,
  now_cost_microusd INTEGER NOT NULL DEFAULT 0,
  top_calls         INTEGER NOT NULL DEFAULT 0,
  top_reads         INTEGER NOT NULL DEFAULT 0,
  top_bytes         INTEGER NOT NULL DEFAULT 0,
  top_tokens        INTEGER NOT NULL DEFAULT 0,
  top_cost_microusd INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Incidents that are open while this version comes keep what they have used, as far as their ledger tells it.
INSERT INTO spending (account, day, calls, reads, bytes, tokens)
SELECT 'investigate:' || l.chain, '',
       SUM(l.kind = 'call' AND l.payload ->> '$.phase' = 'before'),
       SUM(l.kind = 'read' AND l.actor = 'aegis:vfs'),
       SUM(CASE WHEN l.kind = 'read' AND l.actor = 'aegis:vfs' THEN l.payload ->> '$.bytes' ELSE 0 END),
       SUM(CASE WHEN l.kind = 'read' AND l.actor = 'aegis:vfs' THEN l.payload ->> '$.cost.tokens' ELSE 0 END)
  FROM ledger l JOIN incident i ON i.incident_id = l.chain AND i.open = 1
 WHERE l.kind IN ('call', 'read')
 GROUP BY l.chain;
