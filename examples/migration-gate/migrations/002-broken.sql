-- What a tired person may write. Nothing of it stays: a migration is one transaction.
ALTER TABLE orders ADD COLUMN price integer NOT NULL DEFAULT 0;
UPDATE order SET price = 10;
