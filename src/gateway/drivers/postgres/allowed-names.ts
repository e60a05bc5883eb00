/** Built-in functions, types and catalog views that a read may use. Anything else is refused by name. */
const words = (text: string): string[] => text.trim().split(/\s+/);

/** Functions of pg_catalog that compute from their arguments and touch nothing else. */
export const FUNCTIONS: ReadonlySet<string> = new Set(
  words(`
    count sum avg min max bool_and bool_or every stddev stddev_pop stddev_samp variance var_pop var_samp
    percentile_cont percentile_disc mode corr covar_pop covar_samp regr_slope regr_intercept
    array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
    abs ceil ceiling floor round trunc sign mod div power sqrt exp ln log width_bucket
    length char_length character_length octet_length bit_length lower upper initcap left right
    substring substr position strpos replace translate reverse split_part concat concat_ws
    btrim ltrim rtrim starts_with ascii chr md5 to_hex encode overlay like_escape similar_to_escape
    regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_count regexp_like
    now statement_timestamp transaction_timestamp clock_timestamp timeofday
    date_part date_trunc date_bin extract age timezone isfinite justify_days justify_hours justify_interval
    make_date make_time make_timestamp make_timestamptz make_interval to_timestamp to_date to_char to_number
    overlaps generate_series generate_subscripts
    array_length array_position array_positions array_to_string array_lower array_upper array_ndims cardinality
    array_remove unnest string_to_array
    to_json to_jsonb row_to_json json_build_object jsonb_build_object json_build_array jsonb_build_array
    json_typeof jsonb_typeof json_array_length jsonb_array_length
    json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text
    json_each jsonb_each json_each_text jsonb_each_text json_object_keys jsonb_object_keys
    json_extract_path jsonb_extract_path json_extract_path_text jsonb_extract_path_text
    jsonb_path_exists jsonb_path_query_first jsonb_strip_nulls jsonb_pretty
    host network masklen family num_nulls num_nonnulls pg_typeof nullif
  `),
);

export const TYPES: ReadonlySet<string> = new Set(
  words(`
    bool boolean int2 int4 int8 smallint integer bigint int float4 float8 real numeric decimal
    text varchar bpchar char date time timetz timestamp timestamptz interval uuid json jsonb jsonpath
    inet cidr macaddr bytea bit varbit
  `),
);

/** Views about the server as a whole that show nothing of another schema. */
export const CATALOG_VIEWS: ReadonlySet<string> = new Set(
  words('pg_stat_database pg_stat_database_conflicts pg_stat_bgwriter pg_stat_wal pg_stat_archiver'),
);

/** Columns of functions that return records. */
export const RECORD_COLUMNS: ReadonlySet<string> = new Set(words('key value ordinality'));
