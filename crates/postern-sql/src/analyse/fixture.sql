-- The database that fixture.json is a snapshot of. To make it anew: load this into an empty
-- database, run ../catalogue/snapshot.sql with `search_path = pg_catalog`, keep of `types` what the tables
-- use, and leave out what is null.
CREATE SCHEMA archive;
CREATE DOMAIN short_text AS varchar(40);
CREATE DOMAIN checked_text AS text CHECK (value LIKE 'x%');
CREATE TYPE tier AS ENUM ('bronze', 'silver');
CREATE TABLE customers (
  id bigint PRIMARY KEY, name varchar(60), email text UNIQUE, phone text, born date, balance numeric(10, 2),
  tags text[], level tier, nick short_text, meta jsonb, country text, created_at timestamptz NOT NULL);
CREATE TABLE tickets (
  id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers (id), number text NOT NULL UNIQUE,
  body text, status text NOT NULL, assignee text, opened_by text);
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
CREATE VIEW own_directory AS SELECT d.id, d.name, c.email, t.status
  FROM directory d JOIN customers c ON c.id = d.id LEFT JOIN tickets t ON t.customer_id = c.id;
CREATE VIEW by_country (country, customers) AS SELECT country, count(*) FROM customers GROUP BY country;
CREATE VIEW names_only AS SELECT DISTINCT name FROM customers;
CREATE VIEW newest AS SELECT id, email FROM customers ORDER BY created_at DESC LIMIT 10;
CREATE VIEW peeking_at_customers AS SELECT peek(email) FROM customers;
CREATE VIEW shared AS SELECT id, email FROM customers WHERE country = 'DE'
  UNION ALL SELECT customer_id, number FROM tickets;
CREATE VIEW overview AS WITH open AS (SELECT customer_id FROM tickets WHERE status = 'open')
  SELECT c.*, lower(c.email) AS mail FROM customers c JOIN open ON open.customer_id = c.id;
CREATE VIEW of_a_copy AS SELECT email FROM copies;
CREATE VIEW whole AS SELECT c AS customer FROM customers c;
CREATE TABLE people (id bigint PRIMARY KEY, email text, plan text, initial text GENERATED ALWAYS AS (substr(email, 1, 1)) STORED,
  label text GENERATED ALWAYS AS (upper(plan)) STORED, bucket bigint GENERATED ALWAYS AS (id / 1000) STORED);
CREATE VIEW exported AS SELECT query_to_xml('SELECT * FROM customers', true, false, '');
CREATE MATERIALIZED VIEW exported_once AS SELECT query_to_xml('SELECT * FROM customers', true, false, '');
CREATE VIEW defaults AS SELECT adbin FROM pg_attrdef;
CREATE VIEW of_cheap AS SELECT name FROM cheap;
