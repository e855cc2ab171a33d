//! The functions of well-known extensions that judged roles may call: of those that come with
//! PostgreSQL (contrib/), the ones that compute on their arguments and nothing else, or are random
//! and remember nothing. They are told by the extension that they belong to, not by their name
//! alone. Left out are those that run SQL (`crosstab`, `dblink`), change or read the session
//! (`set_limit`), read tables or files, tell of the machine (`uuid_generate_v1`), or make a value
//! of a type that another value names (`populate_record`).

/// Extension and functions, each for all of its signatures.
const PURE: [(&str, &[&str]); 8] = [
    (
        "fuzzystrmatch",
        &[
            "daitch_mokotoff",
            "difference",
            "dmetaphone",
            "dmetaphone_alt",
            "levenshtein",
            "levenshtein_less_equal",
            "metaphone",
            "soundex",
            "text_soundex",
        ],
    ),
    (
        "hstore",
        &[
            "akeys",
            "avals",
            "defined",
            "delete",
            "each",
            "exist",
            "exists_all",
            "exists_any",
            "fetchval",
            "hs_concat",
            "hs_contained",
            "hs_contains",
            "hstore",
            "hstore_to_array",
            "hstore_to_json",
            "hstore_to_json_loose",
            "hstore_to_jsonb",
            "hstore_to_jsonb_loose",
            "hstore_to_matrix",
            "isdefined",
            "isexists",
            "skeys",
            "slice",
            "slice_array",
            "svals",
            "tconvert",
        ],
    ),
    ("intarray", &["icount", "idx", "intset", "sort", "sort_asc", "sort_desc", "subarray", "uniq"]),
    ("ltree", &["index", "lca", "ltree2text", "nlevel", "subltree", "subpath", "text2ltree"]),
    ("pg_trgm", &["show_trgm", "similarity", "strict_word_similarity", "word_similarity"]),
    (
        "pgcrypto",
        &[
            "armor",
            "crypt",
            "dearmor",
            "decrypt",
            "decrypt_iv",
            "digest",
            "encrypt",
            "encrypt_iv",
            "gen_random_bytes",
            "gen_random_uuid",
            "gen_salt",
            "hmac",
        ],
    ),
    ("unaccent", &["unaccent"]),
    (
        "uuid-ossp",
        &[
            "uuid_generate_v3",
            "uuid_generate_v4",
            "uuid_generate_v5",
            "uuid_nil",
            "uuid_ns_dns",
            "uuid_ns_oid",
            "uuid_ns_url",
            "uuid_ns_x500",
        ],
    ),
];

/// Whether a function of an extension computes on its arguments, whatever its signature.
pub(crate) fn is_pure(extension: &str, function: &str) -> bool {
    let known = PURE.iter().find(|(name, _)| *name == extension);
    known.is_some_and(|(_, functions)| functions.contains(&function))
}
