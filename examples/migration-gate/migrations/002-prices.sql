ALTER TABLE orders ADD COLUMN price integer NOT NULL DEFAULT 0;
UPDATE orders SET price = 10 * id;
