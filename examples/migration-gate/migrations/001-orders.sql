CREATE TABLE orders (id serial PRIMARY KEY, what text NOT NULL);
INSERT INTO orders (what) VALUES ('a sail'), ('two oars');
