-- Not a finding: the cast of a masked value fails for all records or for none, whatever they hold.
-- expect: failed failed allowed
SELECT id FROM people WHERE name::int4 > 0
SELECT id, 1 / score FROM people ORDER BY id
;;text;;describe;;2,0;;ada;;SELECT id, name FROM people WHERE name = $1 OR note LIKE '%' ORDER BY 1
