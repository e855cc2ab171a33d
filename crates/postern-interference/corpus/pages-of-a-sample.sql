-- A sample is drawn from pages, and how many rows stand on a page depends on how long values are.
-- expect: refused
SELECT id FROM people TABLESAMPLE SYSTEM (50) REPEATABLE (1)
SELECT id FROM people TABLESAMPLE SYSTEM (50) REPEATABLE (2)
SELECT id FROM people TABLESAMPLE SYSTEM (50) REPEATABLE (3)
SELECT id FROM people TABLESAMPLE BERNOULLI (50) REPEATABLE (1)
SELECT count(*) FROM people TABLESAMPLE BERNOULLI (30) REPEATABLE (7)
