WITH RECURSIVE parts (whole, part) AS (
  -- What a type is made of, but for those that came with PostgreSQL.
  SELECT t.oid, t.oid FROM pg_catalog.pg_type t WHERE t.oid >= 16384
  UNION
  SELECT w.whole, p.part
  FROM parts w JOIN pg_catalog.pg_type t ON t.oid = w.part
  CROSS JOIN LATERAL (
    SELECT t.typbasetype
    UNION ALL SELECT t.typelem
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    -- Multiranges came with PostgreSQL 14.
    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r
      WHERE r.rngtypid = t.oid
        OR t.typtype = 'm' AND (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = t.oid
    -- What a check casts to, or makes a row of, is checked as that.
    UNION ALL SELECT m.found[1]::pg_catalog.oid
      FROM pg_catalog.pg_constraint k
      CROSS JOIN LATERAL pg_catalog.regexp_matches(
        k.conbin::pg_catalog.text, ':[a-z_]*type(?:id)? ([0-9]+)', 'g') AS m(found)
      WHERE k.contypid = t.oid
  ) p (part)
  WHERE p.part >= 16384
), checks (type, runs) AS (
  -- The functions that checks of domains call.
  SELECT w.whole, pg_catalog.json_agg(DISTINCT pn.nspname || '.' || p.proname)
  FROM parts w
  JOIN pg_catalog.pg_constraint k ON k.contypid = w.part
  CROSS JOIN LATERAL pg_catalog.regexp_matches(
    k.conbin::pg_catalog.text, ':(?:op)?funcid ([0-9]+)', 'g') AS m(found)
  JOIN pg_catalog.pg_proc p ON p.oid = m.found[1]::pg_catalog.oid
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
  GROUP BY w.whole
), acting (relation) AS (
  -- Tables for which the server runs somebody's own code where they are named: policies, checks and
  -- expressions that it looks at when it plans, checks of their columns' types.
  SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relrowsecurity
  UNION
  SELECT a.attrelid FROM pg_catalog.pg_attribute a JOIN checks h ON h.type = a.atttypid WHERE a.attnum > 0
  UNION
  SELECT e.relation
  FROM (
    SELECT k.conrelid, k.conbin::pg_catalog.text FROM pg_catalog.pg_constraint k WHERE k.conbin IS NOT NULL
    UNION ALL SELECT i.indrelid, i.indexprs::pg_catalog.text FROM pg_catalog.pg_index i WHERE i.indexprs IS NOT NULL
    UNION ALL SELECT i.indrelid, i.indpred::pg_catalog.text FROM pg_catalog.pg_index i WHERE i.indpred IS NOT NULL
    UNION ALL SELECT p.partrelid, p.partexprs::pg_catalog.text
      FROM pg_catalog.pg_partitioned_table p WHERE p.partexprs IS NOT NULL
    -- Statistics of expressions came with PostgreSQL 14.
    UNION ALL SELECT s.stxrelid, pg_catalog.to_jsonb(s) ->> 'stxexprs' FROM pg_catalog.pg_statistic_ext s
  ) e (relation, expression)
  CROSS JOIN LATERAL pg_catalog.regexp_matches(
    e.expression, ':(?:(?:op)?func|[a-z_]*type)(?:id)? ([0-9]+)', 'g') AS m(found)
  WHERE m.found[1]::pg_catalog.oid >= 16384
  UNION
  SELECT i.inhparent FROM acting r JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.relation
)
SELECT pg_catalog.json_build_object(
  'server', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  'database', pg_catalog.current_database(),
  'relations', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'oid', c.oid::pg_catalog.int8,
      'schema', n.nspname,
      'name', c.relname,
      'kind', c.relkind,
      'persistence', c.relpersistence,
      'partition', c.relispartition,
      'extension', EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'),
      'rules', EXISTS (
        SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'),
      -- It is read under a lock on what it names, so not while somebody holds that exclusively.
      'definition', CASE WHEN c.relkind IN ('v', 'm') AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_locks l WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
          AND (l.relation = c.oid OR l.relation IN (
            SELECT d.refobjid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid
            WHERE r.ev_class = c.oid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)))
        THEN pg_catalog.pg_get_viewdef(c.oid) END,
      -- What must differ, or not conflict, from row to row: indexes of more than one column. The index depends on
      -- what an expression or a condition names, and on what it only includes; `varattno 0` is the whole row.
      'distinct', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object('columns', u.columns, 'keys', u.keys) ORDER BY u.oid)
        FROM (
          SELECT i.indexrelid AS oid, pg_catalog.json_agg(a.attname ORDER BY a.attnum) AS columns,
            coalesce(pg_catalog.json_agg(a.attname ORDER BY a.attnum) FILTER (
              WHERE NOT i.indisexclusion AND EXISTS (
                SELECT 1 FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) k WHERE i.indkey[k] = a.attnum)), '[]') AS keys
          FROM pg_catalog.pg_index i
          JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum > 0 AND NOT a.attisdropped
          WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
            AND (EXISTS (SELECT 1 FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) k WHERE i.indkey[k] = a.attnum)
              OR pg_catalog.concat(i.indexprs::pg_catalog.text, i.indpred::pg_catalog.text) ~ ':varattno 0 '
              OR EXISTS (
                SELECT 1 FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
                  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))
          GROUP BY i.indexrelid
          HAVING pg_catalog.count(*) > 1) u),
      -- Row-level security that holds for this role: the columns that it reads, and, where it asks more than
      -- constants, what: settings, other tables, functions of the database's own.
      'policies', CASE WHEN c.relrowsecurity AND pg_catalog.row_security_active(c.oid) THEN (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
          'reads', (
            SELECT pg_catalog.json_agg(DISTINCT pg_catalog.concat(d.refobjid, '.', a.attname))
            FROM pg_catalog.pg_depend d
            JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum > 0
              AND (a.attnum = d.refobjsubid OR d.refobjsubid = 0 AND p.tree ~ ':varattno 0 ')
            WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid
              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass),
          -- 14 is CURRENT_SCHEMA, which hangs on the search path.
          'asks', p.tree ~ '{SUBLINK |{SQLVALUEFUNCTION :op 14 ',
          'calls', (
            SELECT pg_catalog.json_agg(DISTINCT n.nspname || '.' || f.proname)
            FROM pg_catalog.regexp_matches(p.tree, ':(?:op)?funcid ([0-9]+)', 'g') AS m(found)
            JOIN pg_catalog.pg_proc f ON f.oid = m.found[1]::pg_catalog.oid
            JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
            WHERE f.oid >= 16384 OR f.proname IN ('current_setting', 'current_schema', 'current_schemas'))) ORDER BY p.oid)
        FROM (
          SELECT l.oid, pg_catalog.concat(l.polqual::pg_catalog.text, l.polwithcheck::pg_catalog.text) AS tree
          FROM pg_catalog.pg_policy l
          WHERE l.polrelid = c.oid AND (0 = ANY (l.polroles) OR EXISTS (
            SELECT 1 FROM pg_catalog.unnest(l.polroles) r WHERE r <> 0 AND pg_catalog.pg_has_role(r, 'MEMBER')))) p) END,
      'columns', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
          'number', a.attnum, 'name', a.attname, 'type', a.atttypid::pg_catalog.int8, 'modifier', a.atttypmod,
          'collation', a.attcollation::pg_catalog.int8, 'required', a.attnotnull, 'generated', a.attgenerated,
          'identity', a.attidentity, 'runs', (SELECT k.runs FROM checks k WHERE k.type = a.atttypid),
          'unique', EXISTS (
            SELECT 1 FROM pg_catalog.pg_index i
            WHERE i.indrelid = a.attrelid AND (i.indisunique OR i.indisexclusion)
              AND (a.attnum = ANY (i.indkey)
                -- What an expression of the index is computed from tells records apart, too.
                OR i.indexprs IS NOT NULL AND EXISTS (
                  SELECT 1 FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum))),
          'primary', EXISTS (
            SELECT 1 FROM pg_catalog.pg_index i
            WHERE i.indrelid = a.attrelid AND i.indisprimary AND i.indisvalid AND i.indimmediate
              AND i.indnkeyatts = 1 AND a.attnum = i.indkey[0]),
          'alone', EXISTS (
            SELECT 1 FROM pg_catalog.pg_index i
            WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indimmediate
              AND i.indnkeyatts = 1 AND a.attnum = i.indkey[0] AND i.indpred IS NULL),
          'collides', EXISTS (
            SELECT 1 FROM pg_catalog.pg_index i
            WHERE i.indrelid = a.attrelid AND (i.indisunique OR i.indisexclusion)
              AND (a.attnum = ANY (i.indkey) OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)),
          -- Rows come from such an index in the order of all that it is of, though a condition or an
          -- ORDER BY names some of it only.
          'orders', EXISTS (
            SELECT 1 FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = x.relam
            WHERE i.indrelid = a.attrelid AND m.amname NOT IN ('brin', 'gin')
              AND (i.indisclustered OR i.indnatts > 1 OR i.indpred IS NOT NULL)
              AND (EXISTS (SELECT 1 FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) k WHERE i.indkey[k] = a.attnum)
                OR i.indexprs IS NOT NULL AND EXISTS (
                  SELECT 1 FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum))),
          -- Which partition a row is in hangs on it; a column in an expression depends on the table
          -- (StorePartitionKey, src/backend/catalog/heap.c).
          'splits', EXISTS (
            SELECT 1 FROM pg_catalog.pg_partitioned_table p
            WHERE p.partrelid = a.attrelid
              AND (a.attnum = ANY (p.partattrs)
                OR p.partexprs IS NOT NULL AND EXISTS (
                  SELECT 1 FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.refobjid = a.attrelid AND a.attnum IN (d.objsubid, d.refobjsubid)))),
          -- A domain can have one for all columns of it.
          'default', a.atthasdef OR a.attidentity <> '' OR EXISTS (
            SELECT 1 FROM pg_catalog.pg_type y WHERE y.oid = a.atttypid AND y.typdefault IS NOT NULL),
          'reads', CASE WHEN a.attgenerated <> '' THEN (
            SELECT pg_catalog.json_agg(DISTINCT s.attname)
            FROM pg_catalog.pg_depend d
            JOIN pg_catalog.pg_attribute s ON s.attrelid = d.refobjid AND s.attnum = d.refobjsubid
            LEFT JOIN pg_catalog.pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
            WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = a.attrelid
              AND d.refobjsubid <> a.attnum
              -- Before PostgreSQL 15 it is the column itself that depends, since then its expression.
              AND (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid
                  AND d.objsubid = a.attnum
                OR d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = e.oid)) END
        ) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
    ) ORDER BY c.oid)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')),
  'inherits', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_array(i.inhrelid::pg_catalog.int8, i.inhparent::pg_catalog.int8)
      ORDER BY i.inhrelid, i.inhparent)
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE c.relpersistence <> 't'),
  'reads', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_array(x.reader, x.relation) ORDER BY x.reader, x.relation)
    FROM (
      SELECT DISTINCT r.ev_class::pg_catalog.int8 AS reader, d.refobjid::pg_catalog.int8 AS relation
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
      WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class
        AND r.ev_class >= 16384) x),
  'calls', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_array(x.caller, x.function) ORDER BY x.caller, x.function)
    FROM (
      SELECT DISTINCT r.ev_class::pg_catalog.int8 AS caller, d.refobjid::pg_catalog.int8 AS function
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
      JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')) x),
  'triggers', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'relation', t.tgrelid::pg_catalog.int8, 'function', n.nspname || '.' || p.proname)
      ORDER BY t.tgrelid, n.nspname, p.proname)
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relpersistence <> 't'),
  'foreign_keys', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'from', k.conrelid::pg_catalog.int8, 'to', k.confrelid::pg_catalog.int8,
      'validated', k.convalidated, 'on_update', k.confupdtype, 'on_delete', k.confdeltype,
      'columns', pg_catalog.to_json(k.conkey), 'targets', pg_catalog.to_json(k.confkey)) ORDER BY k.oid)
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    WHERE k.contype = 'f' AND c.relpersistence <> 't'),
  'types', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'oid', t.oid::pg_catalog.int8, 'schema', n.nspname, 'name', t.typname, 'kind', t.typtype,
      'category', t.typcategory, 'base', t.typbasetype::pg_catalog.int8,
      'element', CASE WHEN t.typlen = -1 THEN t.typelem::pg_catalog.int8 ELSE 0 END,
      'checked', t.typnotnull OR EXISTS (
        SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid),
      'runs', (SELECT c.runs FROM checks c WHERE c.type = t.oid),
      'label', (
        SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder LIMIT 1),
      'extension', EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e')
    ) ORDER BY t.oid)
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('b', 'd', 'e', 'r', 'm') AND n.nspname !~ '^pg_(toast_)?temp_'
      AND (t.typelem = 0 OR NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_type x WHERE x.oid = t.typelem AND x.typtype = 'c'))),
  'functions', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'oid', p.oid::pg_catalog.int8, 'schema', n.nspname, 'name', p.proname, 'kind', p.prokind, 'set', p.proretset,
      'row', p.proallargtypes IS NOT NULL OR EXISTS (
        SELECT 1 FROM pg_catalog.pg_type t WHERE t.oid = p.prorettype AND t.typtype NOT IN ('b', 'e', 'r', 'm')),
      'extension', (
        SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
        ORDER BY e.extname LIMIT 1)
    ) ORDER BY p.oid)
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') OR p.oid >= 16384),
  'operators', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'schema', n.nspname, 'name', o.oprname,
      'extension', EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND d.objid = o.oid AND d.deptype = 'e')
    ) ORDER BY o.oid)
    FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
    WHERE n.nspname <> 'pg_catalog' OR o.oid >= 16384),
  'symbols', (
    SELECT pg_catalog.json_agg(DISTINCT o.oprname) FROM pg_catalog.pg_operator o WHERE o.oid < 16384),
  'setting_prefixes', (
    SELECT pg_catalog.json_agg(DISTINCT p.prefix) FROM (
      SELECT pg_catalog.lower(pg_catalog.split_part(s.name, '.', 1)) FROM pg_catalog.pg_settings s
      WHERE pg_catalog.strpos(s.name, '.') > 0
      UNION ALL SELECT pg_catalog.lower(e.extname::pg_catalog.text) FROM pg_catalog.pg_extension e) p(prefix)),
  'acting', (
    SELECT pg_catalog.json_agg(DISTINCT x.name) FROM (
      SELECT c.relname FROM acting r JOIN pg_catalog.pg_class c ON c.oid = r.relation
      UNION ALL SELECT t.typname FROM checks h JOIN pg_catalog.pg_type t ON t.oid = h.type) x(name)),
  'casts', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
      c.castsource::pg_catalog.int8, c.casttarget::pg_catalog.int8) ORDER BY c.oid)
    FROM pg_catalog.pg_cast c
    WHERE c.oid >= 16384 AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'))
)::pg_catalog.text
