SELECT
  CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_snapshot()::pg_catalog.text END,
  pg_catalog.concat_ws(' ',
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(
      pg_catalog.hashint8extended(pg_catalog.hashtextextended(relname::pg_catalog.text,
        relnamespace::pg_catalog.int8 * 65536 + relkind::pg_catalog.int4 * 16 + relhasrules::pg_catalog.int4
          + relrowsecurity::pg_catalog.int4 * 2 + relforcerowsecurity::pg_catalog.int4 * 4)
        # coalesce(pg_catalog.hashtext(reloptions::pg_catalog.text), 0)
        # coalesce(pg_catalog.hashtextextended(relpartbound::pg_catalog.text, 1), 0),
      oid::pg_catalog.int8)))
    FROM pg_catalog.pg_class WHERE oid >= 16384 AND relpersistence <> 't' AND relkind <> 't'),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), attrelid::pg_catalog.int8 * 65536 + attnum)))
    FROM pg_catalog.pg_attribute WHERE attrelid >= 16384 AND attnum > 0
      AND attrelid <> ALL (ARRAY(SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't'))),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), inhrelid::pg_catalog.int8 * 65536 + inhseqno)))
    FROM pg_catalog.pg_inherits
    WHERE inhrelid <> ALL (ARRAY(SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't'))),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_type WHERE oid >= 16384 AND typnamespace <> ALL (ARRAY(
      SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_'))),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_namespace WHERE oid >= 16384 AND oid <> ALL (ARRAY(
      SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_'))),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_constraint WHERE oid >= 16384 AND connamespace <> ALL (ARRAY(
      SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_'))),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_rewrite WHERE ev_class >= 16384
      AND ev_class <> ALL (ARRAY(SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't'))),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_trigger WHERE tgrelid >= 16384
      AND tgrelid <> ALL (ARRAY(SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't'))),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_attrdef WHERE adrelid >= 16384
      AND adrelid <> ALL (ARRAY(SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't'))),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_policy),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_enum),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_proc WHERE oid >= 16384),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_operator WHERE oid >= 16384),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_opclass WHERE oid >= 16384),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_amop WHERE oid >= 16384),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_amproc WHERE oid >= 16384),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_cast WHERE oid >= 16384),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      (SELECT pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8)
        - pg_catalog.age(xmin), oid::pg_catalog.int8)))
    FROM pg_catalog.pg_extension),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(indexrelid::pg_catalog.int8))
    FROM pg_catalog.pg_index WHERE indisclustered),
    (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(
      classid::pg_catalog.int8 * 4294967296 + objid::pg_catalog.int8, refobjid::pg_catalog.int8)))
    FROM pg_catalog.pg_depend
    WHERE refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'e'))
