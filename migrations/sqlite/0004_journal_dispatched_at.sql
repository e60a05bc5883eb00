-- When the bytes of a write were let out: checks compare the world with this moment, not with when its outcome was noted.
ALTER TABLE journal ADD COLUMN dispatched_at_ms INTEGER;
