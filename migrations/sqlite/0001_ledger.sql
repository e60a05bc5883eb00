-- The ledger: one hash chain per incident, SYSTEM and CHECKPOINT. WITHOUT ROWID, so that (chain, seq) is the only way
-- to name a row: with a rowid, INSERT OR REPLACE on a free seq could still push another row out unseen.
CREATE TABLE ledger (
  chain     TEXT    NOT NULL,
  seq       INTEGER NOT NULL,
  v         INTEGER NOT NULL,
  at        TEXT    NOT NULL,
  kind      TEXT    NOT NULL,
  actor     TEXT    NOT NULL,
  payload   TEXT    NOT NULL,
  prev_hash TEXT    NOT NULL,
  hash      TEXT    NOT NULL,
  PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_by_kind ON ledger (chain, kind, seq);

-- Last entry of each chain, kept by trigger: a cut tail shows even before the next checkpoint.
CREATE TABLE chain_head (
  chain            TEXT    NOT NULL PRIMARY KEY,
  seq              INTEGER NOT NULL,
  hash             TEXT    NOT NULL,
  checkpointed_seq INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger is append-only: UPDATE refused'); END;

CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger is append-only: DELETE refused'); END;

-- Fires before conflict resolution, so it stops INSERT OR REPLACE as well (which fires no delete trigger).
CREATE TRIGGER ledger_in_order BEFORE INSERT ON ledger
BEGIN
  SELECT RAISE(ABORT, 'ledger is append-only: seq must be the next of its chain')
   WHERE NEW.seq IS NOT COALESCE((SELECT MAX(seq) FROM ledger WHERE chain = NEW.chain), 0) + 1;
  SELECT RAISE(ABORT, 'ledger is append-only: prev_hash must be the last hash of its chain')
   WHERE NEW.seq > 1
     AND NEW.prev_hash IS NOT (SELECT hash FROM ledger WHERE chain = NEW.chain AND seq = NEW.seq - 1);
  SELECT RAISE(ABORT, 'ledger is append-only: time must not run backwards in a chain')
   WHERE NEW.at < (SELECT at FROM ledger WHERE chain = NEW.chain AND seq = NEW.seq - 1);
END;

CREATE TRIGGER ledger_keeps_head AFTER INSERT ON ledger
BEGIN
  INSERT INTO chain_head (chain, seq, hash) VALUES (NEW.chain, NEW.seq, NEW.hash)
  ON CONFLICT (chain) DO UPDATE SET seq = NEW.seq, hash = NEW.hash;
END;
