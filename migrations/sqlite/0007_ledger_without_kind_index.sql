-- Every append wrote one more page for this index, and what it answered (entries of some kinds in one chain) is a walk
-- along that one chain. A durable append is the product's commonest write; it waits for each page.
DROP INDEX ledger_by_kind;
