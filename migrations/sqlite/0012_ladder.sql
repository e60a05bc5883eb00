-- What autonomy is earned with: one row for each scored fact of an incident. A read model of the ledger (its `review`
-- entries of type `score`), written in the same transaction as the step. It holds no text of
-- anybody and stays when the incident's own time is over: a step down must not be forgotten by retention.
CREATE TABLE score (
  incident_id TEXT    NOT NULL,
  step        INTEGER NOT NULL,
  team        TEXT    NOT NULL,
  env         TEXT    NOT NULL,
  service     TEXT    NOT NULL,
  body        TEXT    NOT NULL,
  PRIMARY KEY (incident_id, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX score_by_place ON score (team, env, service);

-- Steps up that people have asked for, and those that two of them have decided.
CREATE TABLE ladder_vote (
  n        INTEGER PRIMARY KEY AUTOINCREMENT,
  team     TEXT    NOT NULL,
  env      TEXT    NOT NULL,
  service  TEXT    NOT NULL,
  to_level TEXT    NOT NULL,
  voter    TEXT    NOT NULL,
  at_ms    INTEGER NOT NULL,
  -- Set on the second vote: the decision as JSON.
  decision TEXT
) STRICT;
CREATE INDEX ladder_vote_by_place ON ladder_vote (team, env, service);
