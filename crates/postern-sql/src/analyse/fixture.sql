-- The database that fixture.json is a snapshot of. To make it anew: load this into an empty
-- database, run ../catalogue/snapshot.sql, and keep of `types` what the tables use.
CREATE SCHEMA archive;
CREATE DOMAIN short_text AS varchar(40);
CREATE DOMAIN checked_text AS text CHECK (value LIKE 'x%');
CREATE TYPE tier AS ENUM ('bronze', 'silver');
CREATE TABLE customers (
  id bigint PRIMARY KEY, name varchar(60), email text UNIQUE, phone text, born date, balance numeric(10, 2),
  tags text[], level tier, nick short_text, meta jsonb, country text, created_at timestamptz NOT NULL);
CREATE TABLE tickets (
  id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers (id), number text NOT NULL UNIQUE,
  body text, status text NOT NULL, assignee text);
CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price int NOT NULL);
CREATE TABLE accounts (holder uuid NOT NULL, iban text, secret checked_text) PARTITION BY HASH (holder);
CREATE TABLE accounts_0 PARTITION OF accounts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE everybody (id bigint, name varchar(60));
CREATE TABLE staff (email text, born date) INHERITS (everybody);
CREATE TABLE archive.customers AS TABLE customers;
CREATE VIEW directory AS SELECT id, name FROM customers;
CREATE VIEW directory_of_directory AS SELECT * FROM directory;
CREATE VIEW cheap AS SELECT id, name FROM products WHERE price < 100;
CREATE MATERIALIZED VIEW copies AS SELECT id, email FROM customers;
CREATE FUNCTION peek(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;
CREATE FUNCTION vouched(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;
CREATE VIEW peeking AS SELECT peek(name) FROM products;
CREATE FUNCTION same(products, products) RETURNS bool LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR === (FUNCTION = same, LEFTARG = products, RIGHTARG = products);
CREATE TABLE logged (id int, note text);
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER log_it BEFORE INSERT ON logged FOR EACH ROW EXECUTE FUNCTION log_it();
CREATE TABLE orders (id int PRIMARY KEY, customer_id bigint REFERENCES customers (id));
CREATE TABLE agents (login text PRIMARY KEY);
ALTER TABLE tickets ADD FOREIGN KEY (assignee) REFERENCES agents (login) ON DELETE SET NULL;
