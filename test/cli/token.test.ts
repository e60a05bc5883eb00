import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { ledger } from '../../src/cli/ledger.ts';
import { token } from '../../src/cli/token.ts';
import { openStore } from '../../src/store/open-store.ts';
import { systemClock } from '../../src/system-ports.ts';
import { aegis, inProcess, json } from './run-aegis.ts';

let dir = '';
let config = '';
const home = () => join(dir, '.aegis');
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-token-cli-'));
  config = join(dir, 'aegis.yaml');
  writeFileSync(config, EXAMPLE_CONFIG);
});
afterAll(() => rmSync(dir, { recursive: true }));

const HOLDER = { principal: 'agent-oncall', scope: 'data/prod', class: 'read', ttl: '1h' };
const mint = (o: Partial<Record<keyof typeof HOLDER | 'incident', string>> = {}, json_too = true) =>
  inProcess(() => token({ config, json: json_too }, 'mint', undefined, { ...HOLDER, ...o }));
const list = () => inProcess(() => token({ config, json: true }, 'list', undefined, HOLDER));
const revoke = (id?: string) => inProcess(() => token({ config, json: true }, 'revoke', id, HOLDER));

interface Minted {
  token: string;
  token_id: string;
  expires_at: string;
}
const minted = async (): Promise<Minted> => json(await mint()) as unknown as Minted;

async function found(text: string): Promise<unknown> {
  const store = await openStore({ home: home(), clock: systemClock });
  try {
    return await store.tokens.find(text);
  } finally {
    await store.close();
  }
}

async function systemEvents(type: string): Promise<Record<string, unknown>[]> {
  const store = await openStore({ home: home(), clock: systemClock });
  try {
    const entries = await store.ledger.read('SYSTEM', { kinds: ['event'] });
    return entries.map((entry) => entry.payload).filter((payload) => payload['type'] === type);
  } finally {
    await store.close();
  }
}

describe('token mint', () => {
  it('prints an opaque token once, bound to its holder, tenant and class, with an end', async () => {
    const before = Date.now();
    const { token: text, token_id, expires_at } = await minted();
    expect(text).toMatch(/^agt_[\w-]{43}$/);
    expect(await found(text)).toMatchObject({
      token_id,
      principal: 'agent-oncall',
      team: 'data',
      env: 'prod',
      incident_id: null,
      action_class: 'read',
    });
    expect(Math.abs(Date.parse(expires_at) - before - 3_600_000)).toBeLessThan(60_000);
  });

  it('tells a person that it is shown once, what it may do and how to take it back', async () => {
    const { out } = await mint({}, false);
    expect(out).toMatch(/^agt_[\w-]{43}\n/);
    for (const words of ['only time', 'may read data/prod', 'Authorization: Bearer', 'token revoke tok_'])
      expect(out).toContain(words);
  });

  it('keeps the token nowhere in the home, only its hash', async () => {
    const { token: text } = await minted();
    const files = readdirSync(home(), { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
    expect(files.length).toBeGreaterThan(0);
    for (const file of files)
      expect(readFileSync(join(file.parentPath, file.name)).includes(text), file.name).toBe(false);
  });

  it('is an entry of the SYSTEM chain that holds no secret', async () => {
    const { token: text, token_id } = await minted();
    const event = (await systemEvents('token_minted')).find((e) => e['token_id'] === token_id);
    expect(event).toMatchObject({
      principal: 'agent-oncall',
      team: 'data',
      env: 'prod',
      action_class: 'read',
    });
    expect(event?.['by']).toMatch(/^cli:/);
    expect(JSON.stringify(event)).not.toContain(text);
    expect((await inProcess(() => ledger({ config }, 'verify', undefined, {}))).code).toBe(0);
  });

  it.each(['write', 'destroy', 'privileged'])(
    'refuses class %s and says why; nothing is minted',
    async (word) => {
      const before = (await systemEvents('token_minted')).length;
      const ran = await mint({ class: word });
      expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('permit')]);
      expect(await systemEvents('token_minted')).toHaveLength(before);
    },
  );

  it.each<[string, Record<string, string>, RegExp]>([
    ['a class that does not exist', { class: 'root' }, /not an action class/],
    ['a holder with a colon', { principal: 'cli:root' }, /not a principal/],
    ['the name of Aegis itself', { principal: 'aegis' }, /Aegis itself/],
    ['a team that does not exist', { scope: 'dada/prod' }, /did you mean "data\/prod"/],
    ['a team without environment', { scope: 'data' }, /there is no team and environment/],
    ['a word of every object', { scope: 'constructor/prod' }, /there is no team and environment/],
    ['a time without unit', { ttl: '60' }, /30m, 8h or 2d/],
    ['no time at all', { ttl: '0h' }, /30m, 8h or 2d/],
    ['eight days', { ttl: '8d' }, /7d at most/],
  ])('%s is bad usage', async (_what, o, reason) => {
    const ran = await mint(o);
    expect([ran.code, ran.err]).toEqual([2, expect.stringMatching(reason)]);
  });

  it('an incident must be open and of the same team and environment', async () => {
    await minted();
    const db = new Database(join(home(), 'aegis.db'));
    const insert = db.prepare(
      `INSERT INTO incident VALUES (?, 'TRIAGE', ?, 't', 'data', ?, 'C0', ?, 1, '{}', 1, 1)`,
    );
    insert.run('INC-2026-1123-001', 1, 'prod', 'a');
    insert.run('INC-2026-1123-002', 0, 'prod', 'b');
    insert.run('INC-2026-1123-003', 1, 'dev', 'c');
    db.close();
    const bound = json(await mint({ incident: 'INC-2026-1123-001' }));
    expect(await found(String(bound['token']))).toMatchObject({ incident_id: 'INC-2026-1123-001' });
    for (const incident of ['INC-2026-1123-002', 'INC-2026-1123-003', 'INC-2026-1123-009', 'x'])
      expect(await mint({ incident }), incident).toMatchObject({
        code: 1,
        err: expect.stringContaining('no open incident'),
      });
  });
});

describe('token list', () => {
  it('shows id, holder, scope, class and end of those in force, never the token', async () => {
    const { token: text, token_id } = await minted();
    const { tokens } = json(await list()) as { tokens: Record<string, unknown>[] };
    expect(tokens[0]).toMatchObject({
      token_id,
      principal: 'agent-oncall',
      team: 'data',
      env: 'prod',
      action_class: 'read',
    });
    expect(Date.parse(String(tokens[0]?.['expires_at']))).toBeGreaterThan(Date.now());
    expect(JSON.stringify(tokens)).not.toContain(text);
    const table = await inProcess(() => token({ config }, 'list', undefined, HOLDER));
    expect(table.out).toMatch(/^TOKEN .*EXPIRES\n/);
    expect(table.out).toContain(token_id);
  });
});

describe('token revoke', () => {
  it('ends a token at once, with an entry in the SYSTEM chain', async () => {
    const { token: text, token_id } = await minted();
    expect((await revoke(token_id)).code).toBe(0);
    expect(await found(text)).toBeNull();
    expect((await systemEvents('token_revoked')).map((e) => e['token_id'])).toContain(token_id);
    expect(JSON.stringify(json(await list()))).not.toContain(token_id);
  });

  it('says when there is nothing to revoke', async () => {
    const { token_id } = await minted();
    await revoke(token_id);
    const entries = (await systemEvents('token_revoked')).length;
    for (const id of [token_id, 'tok_never']) expect((await revoke(id)).code).toBe(1);
    expect(await systemEvents('token_revoked')).toHaveLength(entries);
    expect((await revoke()).code).toBe(2);
  });

  it('does not repeat a token that somebody pasted instead of its id', async () => {
    const { token: text } = await minted();
    const ran = await revoke(text);
    expect([ran.code, ran.err.includes(text), ran.err.includes('token list')]).toEqual([2, false, true]);
  });
});

describe('tokens of persons', () => {
  const forPerson = (person: string, more: Record<string, string> = {}) =>
    inProcess(() =>
      token({ config, json: true }, 'mint', undefined, { person, class: 'read', ttl: '1h', ...more }),
    );

  it('are minted for a person of the identity map, listed without the secret, and revoked', async () => {
    const made = json(await forPerson('maya')) as { token: string; token_id: string; person: string };
    expect([made.person, made.token]).toEqual(['maya', expect.stringMatching(/^apt_[\w-]{43}$/)]);
    expect(await found(made.token)).toBeNull();
    const listed = json(await list()) as { persons: unknown[] };
    expect(JSON.stringify(listed)).not.toContain(made.token);
    expect(listed.persons).toContainEqual(
      expect.objectContaining({ token_id: made.token_id, person: 'maya' }),
    );
    const [event] = (await systemEvents('person_token_minted')).slice(-1);
    expect(event).toMatchObject({ token_id: made.token_id, principal: 'maya' });
    for (const file of readdirSync(home(), { recursive: true, withFileTypes: true }).filter((f) =>
      f.isFile(),
    ))
      expect(readFileSync(join(file.parentPath, file.name)).includes(made.token), file.name).toBe(false);
    const pasted = await revoke(made.token);
    expect([pasted.code, pasted.err.includes(made.token)]).toEqual([2, false]);
    expect((await revoke(made.token_id)).code).toBe(0);
    expect((await revoke(made.token_id)).code).toBe(1);
    expect(JSON.stringify(json(await list()))).not.toContain(made.token_id);
  });

  it.each<[string, string, Record<string, string>, RegExp]>([
    ['somebody who is not in the identity map', 'mayq', {}, /no person "mayq".*did you mean "maya"/],
    ['a scope, which is for readers', 'maya', { scope: 'data/prod' }, /do not go together/],
    ['a month', 'maya', { ttl: '30d' }, /7d at most/],
  ])('%s is bad usage', async (_what, person, more, reason) => {
    const ran = await forPerson(person, more);
    expect([ran.code, ran.err]).toEqual([2, expect.stringMatching(reason)]);
  });
});

describe('as a process', () => {
  it('mints, lists and revokes with exit codes and JSON', async () => {
    const run = (...args: string[]) => aegis(['--json', '--config', config, 'token', ...args]);
    const made = await run('mint', '--principal', 'p', '--scope', 'data/prod', '--ttl', '5m');
    expect([made.code, json(made)['principal']]).toEqual([0, 'p']);
    expect((await run('revoke', String(json(made)['token_id']))).code).toBe(0);
    expect(json(await run('destroy'))).toEqual({
      error: expect.stringContaining('use mint, list or revoke'),
    });
    expect((await run('mint')).code).toBe(2);
  });
});
