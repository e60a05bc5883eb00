-- Which incidents planned what for which object: taking part in a change follows its effect into other incidents.
CREATE TABLE planned_effect (
  target      TEXT NOT NULL,
  tool        TEXT NOT NULL,
  incident_id TEXT NOT NULL,
  PRIMARY KEY (target, tool, incident_id)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO planned_effect (target, tool, incident_id)
SELECT json_extract(action.value, '$.target'), json_extract(action.value, '$.tool'), incident.incident_id
  FROM incident, json_each(incident.snapshot, '$.context.plan.payload.plan.actions') AS action;
