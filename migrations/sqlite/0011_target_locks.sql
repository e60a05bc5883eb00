-- One incident at a time changes an object: taken with the permit, renewed while its changes are under way, and over by
-- itself when its lease ends, so that a dead process locks nothing for ever.
CREATE TABLE target_lock (
  target      TEXT NOT NULL PRIMARY KEY,
  incident_id TEXT NOT NULL,
  until_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX target_lock_by_incident ON target_lock (incident_id);

-- What changes, checks or puts back while this version comes in holds its targets as if it had taken them now.
INSERT OR IGNORE INTO target_lock (target, incident_id, until_ms)
SELECT json_extract(action.value, '$.target'), incident.incident_id, incident.updated_at_ms + 600000
  FROM incident, json_each(incident.snapshot, '$.context.plan.payload.plan.actions') AS action
 WHERE incident.state IN ('EXECUTING', 'VERIFYING', 'ROLLING_BACK');
