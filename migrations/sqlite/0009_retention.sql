-- Chains of incidents whose time is over. What is left of each: how long it was and how it ended, so that checkpoints
-- that name it can still be checked, and a record in the SYSTEM chain.
CREATE TABLE pruned_chain (
  chain      TEXT    NOT NULL PRIMARY KEY CHECK (chain GLOB 'INC-*'),
  entries    INTEGER NOT NULL,
  last_hash  TEXT    NOT NULL,
  system_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER pruned_chain_no_update BEFORE UPDATE ON pruned_chain
BEGIN SELECT RAISE(ABORT, 'a pruned chain stays on record: UPDATE refused'); END;
CREATE TRIGGER pruned_chain_no_delete BEFORE DELETE ON pruned_chain
BEGIN SELECT RAISE(ABORT, 'a pruned chain stays on record: DELETE refused'); END;

-- Rows leave only as a whole chain that was noted before.
DROP TRIGGER ledger_no_delete;
CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
WHEN NOT EXISTS (SELECT 1 FROM pruned_chain WHERE chain = OLD.chain)
BEGIN SELECT RAISE(ABORT, 'ledger is append-only: DELETE refused'); END;

CREATE TRIGGER ledger_not_again BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM pruned_chain WHERE chain = NEW.chain)
BEGIN SELECT RAISE(ABORT, 'the chain was pruned: it does not begin anew'); END;
