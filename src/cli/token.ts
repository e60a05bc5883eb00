import { nearest } from '../config-issue.ts';
import { IncidentId, PrincipalId } from '../contract/incident.ts';
import type { NewLedgerEntry } from '../contract/ledger.ts';
import { isPersonToken } from '../contract/person-token.ts';
import { isoTime } from '../contract/ports.ts';
import type { Settings } from '../contract/settings.ts';
import { ActionClass } from '../contract/tool.ts';
import type { TokenGrant } from '../store/authority.ts';
import type { Store } from '../store/store.ts';
import { systemClock, systemIds } from '../system-ports.ts';
import { withContext } from './context.ts';
import { localUser } from './freeze.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print, table } from './output.ts';
import { mintPersonToken, shownPersonToken } from './person-token.ts';

/**
 * `aegis token mint|list|revoke`: who may read through the gateway without being Aegis, for example an agent that
 * connects to `/mcp`. Only reading can be given away here: a write needs a permit, which the harness alone mints. With
 * `--person` it is the other kind: a person's own token, which decides on approvals and reads nothing.
 */
export interface TokenOptions {
  readonly person?: string;
  readonly principal?: string;
  readonly scope?: string;
  readonly incident?: string;
  readonly class: string;
  readonly ttl: string;
}

const MINUTE_MS = 60_000;
const UNIT_MS: Readonly<Record<string, number>> = { m: MINUTE_MS, h: 60 * MINUTE_MS, d: 24 * 60 * MINUTE_MS };
const TTL_MS_MAX = 7 * 24 * 60 * MINUTE_MS;
const TOKEN_BYTES = 32;
const ROWS_MAX = 1000;
/** The name under which the harness itself reads and writes. */
const OWN_PRINCIPAL = 'aegis';

export async function token(
  options: GlobalOptions,
  action: string,
  id: string | undefined,
  o: TokenOptions,
): Promise<void> {
  if (action === 'mint') return mint(options, id, o);
  if (action === 'list') return list(options);
  if (action === 'revoke') return revoke(options, id);
  throw new CliError(`"${action}" is not a token action; use mint, list or revoke`, EXIT.usage);
}

async function mint(options: GlobalOptions, id: string | undefined, o: TokenOptions): Promise<void> {
  if (id !== undefined)
    throw new CliError('the id of a token is made by Aegis; name its holder with --principal', EXIT.usage);
  if (o.person !== undefined) return mintForPerson(options, o.person, o);
  checkClass(o.class);
  const principal = principalOf(o.principal);
  const expires_at_ms = systemClock.now() + ttlOf(o.ttl);
  await withContext(options, 'write', async ({ store, config }) => {
    const tenant = tenantOf(o.scope, config.settings);
    const incident_id = await incidentOf(store, o.incident, tenant);
    const grant: TokenGrant = {
      token_id: systemIds.next('tok'),
      principal,
      incident_id,
      ...tenant,
      action_class: 'read',
      expires_at_ms,
    };
    const text = `agt_${systemIds.secret(TOKEN_BYTES)}`;
    // The entry first: a token that exists is always in the ledger, an entry without a token harms nobody.
    await store.ledger.append('SYSTEM', [systemEvent('token_minted', shown(grant))]);
    await store.tokens.mint(grant, text);
    print(
      options,
      { ...shown(grant), token: text },
      `${text}\n\nThis is the only time that the token is shown; Aegis keeps only its hash.\n${principal} may read ${tenant.team}/${tenant.env} with it until ${isoTime(expires_at_ms)}${incident_id === null ? '' : `, on account of ${incident_id}`}.\nSend it as "Authorization: Bearer <token>", never in an address. Revoke it: aegis token revoke ${grant.token_id}`,
    );
  });
}

async function mintForPerson(options: GlobalOptions, person: string, o: TokenOptions): Promise<void> {
  const given = (['principal', 'scope', 'incident'] as const).find((name) => o[name] !== undefined);
  if (given !== undefined)
    throw new CliError(
      `--person and --${given} do not go together: a person’s token decides and reads nothing`,
      EXIT.usage,
    );
  const ttl_ms = ttlOf(o.ttl);
  await withContext(options, 'write', async ({ store, config }) => {
    const { grant, text } = await mintPersonToken(store, config.settings, person, ttl_ms);
    const row = shownPersonToken(grant);
    print(
      options,
      { ...row, token: text },
      `${text}\n\nThis is the only time that the token is shown; Aegis keeps only its hash. Give it to ${person} and to nobody else.\n${person} may decide with it outside Slack until ${row.expires_at}: aegis approve, aegis deny, and the step-up page.\nRevoke it: aegis token revoke ${row.token_id}`,
    );
  });
}

async function list(options: GlobalOptions): Promise<void> {
  await withContext(options, 'read', async ({ store }) => {
    const tokens = (await store.tokens.list(ROWS_MAX)).map(shown);
    const persons = (await store.persons.list(ROWS_MAX)).map(shownPersonToken);
    const rows = tokens.map((t) => [
      t.token_id,
      t.principal,
      `${t.team}/${t.env}`,
      t.incident_id ?? '-',
      t.action_class,
      t.expires_at,
    ]);
    for (const t of persons) rows.push([t.token_id, t.person, '-', '-', 'decide', t.expires_at]);
    print(
      options,
      { tokens, persons },
      rows.length === 0
        ? 'No token is in force.'
        : table([['TOKEN', 'PRINCIPAL', 'SCOPE', 'INCIDENT', 'CLASS', 'EXPIRES'], ...rows]),
    );
  });
}

async function revoke(options: GlobalOptions, id: string | undefined): Promise<void> {
  if (id === undefined)
    throw new CliError('name the token by its id; "aegis token list" shows the ids', EXIT.usage);
  if (id.startsWith('agt_') || isPersonToken(id))
    throw new CliError(
      'that is the token itself, and it now stands in your shell history; "aegis token list" shows its id (tok_... or ptok_...). Nothing was revoked yet',
      EXIT.usage,
    );
  await withContext(options, 'write', async ({ store }) => {
    if (await store.persons.revoke(id, localUser()))
      return print(options, { revoked: id }, `${id} is revoked; it decides nothing any more.`);
    // The effect first: whatever happens to the entry, the token is dead.
    if (!(await store.tokens.revoke(id)))
      throw new CliError(
        `there is no token "${id.slice(0, 100)}" to revoke: not known, or revoked before. "aegis token list" shows those in force`,
      );
    await store.ledger.append('SYSTEM', [systemEvent('token_revoked', { token_id: id })]);
    print(options, { revoked: id }, `${id} is revoked; its next call is refused.`);
  });
}

function checkClass(word: string): void {
  const action_class = ActionClass.safeParse(word);
  if (!action_class.success)
    throw new CliError(`"${word}" is not an action class; only "read" can be minted here`, EXIT.usage);
  if (action_class.data !== 'read')
    throw new CliError(
      `a token of class ${word} cannot be minted at the command line: it could not change anything. Every change needs an approved plan and a permit, which Aegis mints for that one call. Mint class read`,
    );
}

function principalOf(name: string | undefined): string {
  if (name === undefined)
    throw new CliError(
      'say who will hold the token: --principal <name>, for example agent-oncall',
      EXIT.usage,
    );
  if (!PrincipalId.safeParse(name).success)
    throw new CliError(
      `"${name}" is not a principal; use lower-case letters, digits and . _ @ - (64 at most)`,
      EXIT.usage,
    );
  if (name === OWN_PRINCIPAL)
    throw new CliError(
      '"aegis" is Aegis itself in the ledger; choose another name for the holder',
      EXIT.usage,
    );
  return name;
}

function ttlOf(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,4})([mhd])$/.exec(text) ?? [];
  const ttl_ms = count === undefined || unit === undefined ? NaN : Number(count) * (UNIT_MS[unit] ?? NaN);
  if (Number.isNaN(ttl_ms))
    throw new CliError(`--ttl ${text} is not a time; write it like 30m, 8h or 2d`, EXIT.usage);
  if (ttl_ms > TTL_MS_MAX)
    throw new CliError(`--ttl ${text} is too long; 7d at most, then mint a new one`, EXIT.usage);
  return ttl_ms;
}

function tenantOf(scope: string | undefined, settings: Settings): { team: string; env: string } {
  const known = Object.entries(settings.teams).flatMap(([team, { environments }]) =>
    Object.keys(environments).map((env) => `${team}/${env}`),
  );
  if (scope === undefined)
    throw new CliError(`say what it may read: --scope <team/env>. Known: ${known.join(', ')}`, EXIT.usage);
  if (!known.includes(scope)) {
    const near = nearest(scope, known);
    throw new CliError(
      `there is no team and environment "${scope}"${near === null ? '' : `; did you mean "${near}"?`} Known: ${known.join(', ')}`,
      EXIT.usage,
    );
  }
  const [team = '', env = ''] = scope.split('/');
  return { team, env };
}

/** A token of an incident writes its calls into that incident's chain, so it must be an open one of the same tenant. */
async function incidentOf(
  store: Store,
  incident_id: string | undefined,
  { team, env }: { team: string; env: string },
): Promise<string | null> {
  if (incident_id === undefined) return null;
  const row = IncidentId.safeParse(incident_id).success ? await store.incidents.get(incident_id) : null;
  if (row === null || !row.open || row.team !== team || row.env !== env)
    throw new CliError(
      `there is no open incident "${incident_id}" in ${team}/${env}; "aegis incidents" lists the open ones`,
    );
  return incident_id;
}

function shown({ expires_at_ms, ...grant }: TokenGrant): Omit<TokenGrant, 'expires_at_ms'> & {
  expires_at: string;
} {
  return { ...grant, expires_at: isoTime(expires_at_ms) };
}

function systemEvent(type: string, facts: Readonly<Record<string, unknown>>): NewLedgerEntry {
  const by = localUser();
  return { kind: 'event', actor: by, payload: { type, ...facts, by } };
}
