// The last filter before people: every text of a notice or view passes the product's redaction, ids and hashes do not
// (a hash that looked like a secret would break the button that carries it). Pure.

const IDS: ReadonlySet<string> = new Set([
  'kind',
  'incident_id',
  'approval_id',
  'approval_card',
  'change_id',
  'evidence_id',
  'id',
  'plan_hash',
  'effect_hash',
  'sha256',
  'hash',
  'key_id',
  'now_sha256',
  'ledger_head',
  'rules_hash',
  'raw_hmac',
  'recurrence_of',
  'principal',
  'owner',
  'started_by',
  'state',
  'status',
  'severity',
  'topic',
  'mark',
  'verdict',
  't',
  'role',
  'decision',
  'via',
  'action_class',
  'tool',
  'at',
  'updated_at',
  'expires_at',
  'captured_at',
  'checked_at',
  'previewed_at',
  'until',
  'workspace',
  'user',
  'channel',
  'thread_ts',
  'lines_range',
  'resume_to',
  'buttons',
  'team',
  'env',
  'tier',
]);

export function redactTexts<T>(value: T, redact: (text: string) => string): T {
  return walk(value, redact) as T;
}

function walk(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === 'string') return redact(value);
  if (Array.isArray(value)) return value.map((item) => walk(item, redact));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, IDS.has(key) ? inner : walk(inner, redact)]),
  );
}
