import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { freeze, unfreeze } from '../../src/cli/freeze.ts';
import { fsm } from '../../src/cli/fsm.ts';
import { init } from '../../src/cli/init.ts';
import { ledger } from '../../src/cli/ledger.ts';
import { replay } from '../../src/cli/replay.ts';
import { schema } from '../../src/cli/schema.ts';
import { skills } from '../../src/cli/skills.ts';
import { stopIncident } from '../../src/cli/stop.ts';
import { INCIDENT_STATES } from '../../src/contract/incident.ts';
import { aegis, inProcess, json } from './run-aegis.ts';

// Exit 0 done, 1 refused or failed, 2 bad usage; `--json` everywhere; no stack without --debug. What the process itself
// decides runs as a process; what a verb decides is called here.

let dir = '';
let config = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-cli-'));
  config = join(dir, 'aegis.yaml');
  writeFileSync(config, EXAMPLE_CONFIG);
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('the process', () => {
  it('lists every verb on help and exits 0', async () => {
    const { code, out } = await aegis(['help']);
    expect(code).toBe(0);
    const verbs =
      'init start lab doctor ls read head tail grep explain incidents ledger replay fsm schema skills freeze unfreeze stop';
    for (const verb of verbs.split(' ')) expect(out).toMatch(new RegExp(`^  ${verb} `, 'm'));
  });

  it.each([
    ['no verb', []],
    ['a missing argument', ['freeze', 'data']],
    ['a verb that does not like its argument', ['lab', 'meteor-strike']],
  ])('%s exits 2 with a sentence and no stack trace', async (_what, args) => {
    const { code, err } = await aegis(args, { cwd: dir });
    expect(code).toBe(2);
    expect(err.trim()).not.toBe('');
    expect(err).not.toMatch(/^\s+at /m);
  });

  it('prints a usage error as JSON too', async () => {
    const ran = await aegis(['--json', 'destroy']);
    expect([ran.code, json(ran)]).toEqual([
      2,
      { error: expect.stringContaining("unknown command 'destroy'") },
    ]);
  });

  it('says how to get a configuration, with a stack trace only for --debug', async () => {
    const options = { cwd: dir, env: { AEGIS_CONFIG: './nowhere.yaml' } };
    const plain = await aegis(['incidents'], options);
    expect([plain.code, plain.err]).toEqual([1, expect.stringContaining('run "aegis init"')]);
    expect(plain.err).not.toMatch(/^\s+at /m);
    expect((await aegis(['incidents', '--debug'], options)).err).toMatch(/^\s+at /m);
  });

  it('makes no home just to look at it, and prints failures as JSON', async () => {
    const env = { AEGIS_HOME: join(dir, 'nohome') };
    const ran = await aegis(['--json', '--config', config, 'incidents'], { env });
    expect([ran.code, json(ran)]).toEqual([1, { error: expect.stringContaining('nohome does not exist') }]);
  });

  it('does not start without its secrets, names all that are missing and prints none that is there', async () => {
    const env = { SLACK_BOT_TOKEN: 'xoxb-planted-secret', SLACK_SIGNING_SECRET: 'planted-too' };
    const { code, out, err } = await aegis(['--config', config, '--debug', 'start'], { env });
    expect(code).toBe(1);
    for (const name of ['VAULT_ROLE_ID', 'VAULT_SECRET_ID', 'ALERTMANAGER_SECRET'])
      expect(err).toContain(name);
    expect(out + err).not.toContain('planted');
  });
});

describe('init', () => {
  it('writes a configuration for its owner alone, and never over another', async () => {
    const file = join(dir, 'fresh.yaml');
    expect((await inProcess(() => init({ config: file }, {}))).code).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    writeFileSync(file, 'mine');
    const again = await inProcess(() => init({ config: file }, {}));
    expect([again.code, again.err, readFileSync(file, 'utf8')]).toEqual([
      1,
      expect.stringContaining('--force'),
      'mine',
    ]);
    await inProcess(() => init({ config: file }, { force: true }));
    expect(readFileSync(file, 'utf8')).toBe(EXAMPLE_CONFIG);
  });
});

describe('schema', () => {
  it('of the configuration is a JSON Schema that accepts the example and refuses a wrong key', async () => {
    const ran = await inProcess(() => schema({}, 'config'));
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(json(ran));
    const example = parse(EXAMPLE_CONFIG) as Record<string, unknown>;
    expect(validate(example), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ ...example, colour: 'blue' })).toBe(false);
  });

  it('of every contract compiles as a JSON Schema', async () => {
    const { schemas } = json(await inProcess(() => schema({ json: true }, undefined))) as {
      schemas: string[];
    };
    expect(schemas).toEqual(expect.arrayContaining(['plan', 'skill', 'ledger-entry', 'incident']));
    for (const name of schemas) {
      const printed = json(await inProcess(() => schema({}, name)));
      expect(
        () => new Ajv2020({ strict: false, validateFormats: false }).compile(printed),
        name,
      ).not.toThrow();
    }
  });

  it('that nobody knows is bad usage', async () =>
    expect(await inProcess(() => schema({}, 'universe'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('known are'),
    }));
});

describe('fsm', () => {
  it('draws every state that can be reached', async () => {
    const { out } = await inProcess(() => fsm({}));
    expect(out).toMatch(/^stateDiagram-v2/);
    for (const state of INCIDENT_STATES) expect(out).toContain(state);
    expect(out).toContain('VERIFYING --> ROLLING_BACK: verified [check_failed]');
  });
});

describe('freeze', () => {
  it('freezes, says until when, and can be lifted once', async () => {
    const until = '2099-01-01T00:00:00Z';
    const frozen = await inProcess(() =>
      freeze({ config, json: true }, 'data/prod', 'disk migration', { until }),
    );
    expect([frozen.code, json(frozen)]).toEqual([
      0,
      { frozen: 'data/prod', until: '2099-01-01T00:00:00.000Z' },
    ]);
    expect((await inProcess(() => unfreeze({ config }, 'data/prod', 'done'))).code).toBe(0);
    const again = await inProcess(() => unfreeze({ config }, 'data/prod', 'done'));
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('FREEZE')]);
  });

  it.each([
    [
      'a team that is not there',
      'dat/prod',
      {},
      'there is no team "dat"; did you mean "data"? Nothing was frozen',
    ],
    ['an environment that is not there', 'data/prd', {}, 'did you mean "prod"?'],
    ['a path', '../etc', {}, 'is not a scope'],
    ['a time that is over', 'data', { until: '2020-01-01T00:00:00Z' }, 'is in the past'],
    ['a time that is none', 'data', { until: 'tomorrow-ish' }, 'is not a time'],
  ])('refuses %s, so that nobody believes in a freeze that is none', async (_what, scope, o, message) => {
    const ran = await inProcess(() => freeze({ config }, scope, 'reason', o));
    expect([ran.code, ran.err]).toEqual([2, expect.stringContaining(message)]);
  });

  it('names the way without a configuration when the configuration is broken', async () => {
    const broken = join(dir, 'broken.yaml');
    writeFileSync(broken, 'v: 1\nnonsense: true\n');
    const ran = await inProcess(() => freeze({ config: broken }, '*', 'fire', {}));
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('create a file named FREEZE')]);
  });
});

describe('ledger', () => {
  it('verifies, shows, and names the entry that somebody changed', async () => {
    const file = join(dir, 'ledger.yaml');
    writeFileSync(file, EXAMPLE_CONFIG.replace('home: ./.aegis', 'home: ./ledger-home'));
    const options = { config: file };
    await inProcess(() => freeze(options, '*', 'first', {}));
    await inProcess(() => unfreeze(options, '*', 'second'));
    expect((await inProcess(() => ledger(options, 'verify', undefined, {}))).out).toMatch(
      /^ledger verified: \d+ entries/,
    );
    const shown = json(await inProcess(() => ledger({ ...options, json: true }, 'show', 'SYSTEM', {})));
    expect((shown['entries'] as { seq: number }[]).map((e) => e.seq)).toEqual([1, 2]);
    tamper(join(dir, 'ledger-home', 'aegis.db'));
    const broken = await inProcess(() => ledger(options, 'verify', undefined, {}));
    expect([broken.code, broken.out]).toEqual([1, expect.stringMatching(/ledger BROKEN[^]*SYSTEM entry 2/)]);
  });

  it('asks for a chain, and knows when there is none', async () => {
    await inProcess(() => freeze({ config }, '*', 'so that there is a home', {}));
    const show = (chain?: string) => inProcess(() => ledger({ config }, 'show', chain, {}));
    expect([(await show()).code, (await show('INC-2026-0101-001')).code]).toEqual([2, 1]);
    expect((await inProcess(() => ledger({ config }, 'rewrite', undefined, {}))).code).toBe(2);
  });
});

/** What somebody with the file can do: triggers stop mistakes, not an attacker. */
function tamper(file: string): void {
  const db = new Database(file);
  const triggers = db
    .prepare<[], { name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger'",
    )
    .all();
  for (const { name } of triggers) db.exec(`DROP TRIGGER ${name}`);
  db.exec("UPDATE ledger SET actor = 'nobody' WHERE chain = 'SYSTEM' AND seq = 2");
  db.close();
}

describe('verbs about one incident', () => {
  it.each([
    ['replay', (id: string) => replay({ config }, id)],
    ['stop', (id: string) => stopIncident({ config }, id, '')],
  ])('%s knows when there is no such incident', async (_verb, run) => {
    const ran = await inProcess(() => run('INC-2026-0101-001'));
    expect([ran.code, ran.err]).toEqual([
      1,
      expect.stringContaining('there is no incident "INC-2026-0101-001"'),
    ]);
  });
});

describe('skills', () => {
  const SHIPPED = join(import.meta.dirname, '..', '..', 'skills', 'spark', 'spark_driver_oom.skill.yaml');
  const library = (name: string, edit: (text: string) => string) => {
    const skills_dir = join(dir, name);
    mkdirSync(join(skills_dir, 'spark'), { recursive: true });
    const text = edit(readFileSync(SHIPPED, 'utf8'));
    writeFileSync(join(skills_dir, 'spark', 'spark_driver_oom.skill.yaml'), text);
    const file = join(dir, `${name}.yaml`);
    writeFileSync(file, `${EXAMPLE_CONFIG}\nskills_dir: ./${name}\n`);
    const run = (action: string) => inProcess(() => skills({ config: file }, action, undefined));
    return { text, skills_dir, run };
  };

  it('that ship are sound, listed and shown', async () => {
    const lint = await inProcess(() => skills({ config }, 'lint', undefined));
    expect([lint.code, lint.out]).toEqual([0, expect.stringContaining('skills are sound')]);
    const list = json(await inProcess(() => skills({ config, json: true }, 'list', undefined)));
    expect((list['skills'] as { skill: string }[]).map((s) => s.skill)).toContain('spark_driver_oom');
    expect((await inProcess(() => skills({ config }, 'show', 'spark_driver_oom'))).out).toContain(
      'skill: spark_driver_oom',
    );
  });

  it('that are unknown get the nearest name; an unknown action is bad usage', async () => {
    const near = await inProcess(() => skills({ config }, 'show', 'spark_driver_om'));
    expect([near.code, near.err]).toEqual([1, expect.stringContaining('did you mean "spark_driver_oom"?')]);
    expect((await inProcess(() => skills({ config }, 'bless', undefined))).code).toBe(2);
  });

  it('are indexed; an index that is missing or old is named by lint', async () => {
    const { skills_dir, run } = library('indexed', (text) => text);
    const before = await run('lint');
    expect([before.code, before.out]).toEqual([
      1,
      expect.stringContaining('_index.json:1: is not the index of these skills'),
    ]);
    expect((await run('index')).code).toBe(0);
    const index = JSON.parse(readFileSync(join(skills_dir, '_index.json'), 'utf8')) as unknown;
    expect(index).toMatchObject({ v: 1, skills: [{ skill: 'spark_driver_oom' }] });
    expect((await run('lint')).code).toBe(0);
  });

  it.each([
    ['a wrong key', (text: string) => text.replace('summary:', 'sumary:'), 'sumary'],
    [
      'a read that is not there',
      (text: string) => text.replace('- read: job_status', '- read: nowhere'),
      'there is no read nowhere',
    ],
    [
      'an undeclared variable',
      (text: string) => text.replaceAll('name: driver_pod,', 'name: driver_dop,'),
      '$driver_pod is not declared',
    ],
    ['broken YAML', (text: string) => `${text}\n  - [`, 'not YAML'],
  ])('with %s fail lint with file and line, and are not indexed', async (what, edit, message) => {
    const { text, run } = library(`broken-${what.replaceAll(' ', '-')}`, edit);
    const lint = await run('lint');
    expect(lint.code).toBe(1);
    const line = lint.out.split('\n').find((l) => l.includes(message)) ?? '';
    const number = Number(/spark_driver_oom\.skill\.yaml:(\d+): /.exec(line)?.[1]);
    expect(number).toBeGreaterThan(1);
    expect(number).toBeLessThanOrEqual(text.split('\n').length + 1);
    expect((await run('index')).code).toBe(1);
  });
});
