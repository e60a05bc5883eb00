import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { nearest } from '../../src/config-issue.ts';
import { ConfigError, configPath, loadConfig } from '../../src/config.ts';
import type { LoadedConfig } from '../../src/config.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-config-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** The example with one change, as text: a person edits one thing at a time. */
function edited(from: string, to: string): string {
  expect(EXAMPLE_CONFIG).toContain(from);
  return EXAMPLE_CONFIG.replace(from, to);
}

function load(text: string, env: Record<string, string> = {}): LoadedConfig {
  const file = join(dir, 'aegis.yaml');
  writeFileSync(file, text);
  return loadConfig(file, env);
}

/** Problems of a text; a text that loads has none. */
function problems(text: string, env: Record<string, string> = {}): readonly string[] {
  try {
    load(text, env);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

function lineOf(text: string, words: string): number {
  return text.split('\n').findIndex((line) => line.includes(words)) + 1;
}

describe('the configuration of `aegis init`', () => {
  it('loads as it is', () => expect(problems(EXAMPLE_CONFIG)).toEqual([]));

  it('finds its secrets in the environment, and hides them', () => {
    const { settings, secrets } = load(EXAMPLE_CONFIG, { SLACK_BOT_TOKEN: 'xoxb-very-secret' });
    const token = secrets(settings.slack.bot_token);
    expect(token.reveal()).toBe('xoxb-very-secret');
    expect(`${String(token)} ${JSON.stringify({ token })}`).not.toContain('very-secret');
  });

  it('names a secret that is not there, and what to do', () => {
    const { settings, secrets } = load(EXAMPLE_CONFIG, { SLACK_BOT_TOKEN: '' });
    expect(() => secrets(settings.slack.bot_token)).toThrow(/SLACK_BOT_TOKEN is not set; export it/);
  });

  it('is frozen, down to the last list', () => {
    const { settings } = load(EXAMPLE_CONFIG);
    expect(Object.isFrozen(settings.teams['data']?.environments['prod']?.mounts)).toBe(true);
  });

  it('resolves paths beside the file; AEGIS_HOME wins over home', () => {
    expect(load(EXAMPLE_CONFIG).settings.home).toBe(join(dir, '.aegis'));
    expect(load(EXAMPLE_CONFIG, { AEGIS_HOME: '/srv/aegis' }).settings.home).toBe('/srv/aegis');
  });
});

describe('a mistake stops the start with line, place, reason and the nearest word', () => {
  it.each([
    ['an unknown key at the top', 'http:\n', 'htpp:\n', /htpp: unknown key; did you mean "http"\?$/],
    [
      'an unknown key of the recogniser',
      'http:\n',
      'recogniser: { url: "https://presidio.example.com", timeout: 5 }\nhttp:\n',
      /recogniser\.timeout: unknown key; did you mean "timeout_ms"\?$/,
    ],
    [
      'a recogniser in the clear',
      'http:\n',
      'recogniser: { url: "http://presidio.example.com" }\nhttp:\n',
      /recogniser\.url: is plain HTTP; use https/,
    ],
    [
      'an unknown key deep inside',
      'on_call: [maya]',
      'oncall: [maya]',
      /teams\.data\.environments\.prod\.oncall: unknown key; did you mean "on_call"\?$/,
    ],
    [
      'an unknown key in a mount',
      '- { kind: logs, source: main',
      '- { kind: logs, sorce: main',
      /mounts\[2\]\.sorce: unknown key; did you mean "source"\?/,
    ],
    [
      'an unknown key in a list',
      'principal: maya',
      'princpal: maya',
      /identity\[0\]\.princpal: unknown key; did you mean "principal"\?/,
    ],
    [
      'an unknown key in a secret',
      'bot_token: { env: SLACK_BOT_TOKEN }',
      'bot_token: { evn: SLACK_BOT_TOKEN }',
      /slack\.bot_token\.evn: unknown key; did you mean "env"\?/,
    ],
    [
      'a wrong word of a choice',
      'autonomy: suggest',
      'autonomy: sugest',
      /autonomy: .*; did you mean "suggest"\?/,
    ],
    [
      'a wrong kind of mount',
      'kind: metrics',
      'kind: metrcs',
      /mounts\[3\]\.kind: use one of kubernetes, jobs, logs, metrics; did you mean "metrics"\?/,
    ],
    [
      'a wrong engine',
      'engine: vault_kubernetes',
      'engine: vault_kubernets',
      /credentials\.engine: .*; did you mean "vault_kubernetes"\?/,
    ],
    [
      'a unit where a number belongs',
      'within_min: 120',
      'within_min: 2h',
      /if_down\.within_min: .*\(a number of minutes, without a unit\)/,
    ],
    ['a number out of range', 'port: 7070', 'port: 70700', /http\.port: /],
    ['a port in words', 'port: 7070', 'port: "7070"', /http\.port: .*expected/i],
    [
      'a cluster that is not there',
      '- { kind: jobs, cluster: prod-1',
      '- { kind: jobs, cluster: prod-2',
      /mounts\[1\]\.cluster: there is no cluster "prod-2"; did you mean "prod-1"\?/,
    ],
    [
      'a log source that is not there',
      '- { kind: logs, source: main',
      '- { kind: logs, source: mian',
      /mounts\[2\]\.source: there is no Loki source "mian"; did you mean "main"\?/,
    ],
    [
      'an audit log in a source that is not there',
      '    # ca_file: ./prod-1-ca.pem\n',
      '    audit: { source: mian, selector: { job: kube-audit } }\n',
      /clusters\.prod-1\.audit\.source: there is no Loki source "mian"; did you mean "main"\?/,
    ],
    [
      'an audit log that selects everything',
      '    # ca_file: ./prod-1-ca.pem\n',
      '    audit: { source: main, selector: {} }\n',
      /clusters\.prod-1\.audit\.selector: names no label/,
    ],
    [
      'a label of an audit log that is none',
      '    # ca_file: ./prod-1-ca.pem\n',
      '    audit: { source: main, selector: { "job=~\\".+\\"}": x } }\n',
      /clusters\.prod-1\.audit\.selector/,
    ],
    [
      'two clusters whose audit lines cannot be told apart',
      'clusters:\n',
      'clusters:\n  b: { server: "https://b.example.com", credentials: { engine: none }, audit: { source: main, selector: { job: kube-audit } } }\n' +
        '  c: { server: "https://c.example.com", credentials: { engine: none }, audit: { source: main, selector: { job: kube-audit, cluster: c } } }\n',
      /clusters\.c\.audit\.selector: may also select audit lines of the cluster "b"; both need a label that has another value in each/,
    ],
    [
      'one user of a cluster who is two people',
      'identity:\n',
      'identity:\n  - { principal: eve, name: Eve, slack: [], roles: [], kubernetes: [root] }\n  - { principal: eva, name: Eva, slack: [], roles: [], kubernetes: [root] }\n',
      /identity\[1\]\.kubernetes\[0\]: "root" stands there twice; one user of a cluster is one person/,
    ],
    [
      'somebody on call whom nobody knows',
      'on_call: [maya]',
      'on_call: [maia]',
      /on_call\[0\]: there is no identity "maia"; did you mean "maya"\?/,
    ],
    [
      'a service of an unknown team',
      '    team: data\n    env: prod\n    tier',
      '    team: dara\n    env: prod\n    tier',
      /services\[0\]\.team: there is no team "dara"; did you mean "data"\?/,
    ],
    [
      'a service that depends on nothing',
      'kind: sparkapplication',
      'kind: sparkapplication\n    depends_on: [core-bank]',
      /services\[0\]\.depends_on\[0\]: there is no service "core-bank"/,
    ],
    [
      'a role in an unknown environment',
      'env: prod, role: oncall',
      'env: prd, role: oncall',
      /identity\[0\]\.roles\[0\]\.env: there is no environment of data "prd"; did you mean "prod"\?/,
    ],
    [
      'a sender for an unknown team',
      'scopes: [{ team: data',
      'scopes: [{ team: fraud',
      /triggers\[0\]\.scopes\[0\]\.team: there is no team "fraud"/,
    ],
    [
      'a budget for an unknown team',
      '\nservices:',
      '\nbudgets:\n  teams: { dara: { calls_per_day_max: 5 } }\nservices:',
      /budgets\.teams\.dara: there is no team "dara"; did you mean "data"\?/,
    ],
    [
      'a budget for an unknown trigger',
      '\nservices:',
      '\nbudgets:\n  triggers: { slak: { investigations_per_day_max: 5 } }\nservices:',
      /budgets\.triggers\.slak: there is no trigger "slak"; did you mean "slack"\?/,
    ],
    [
      'a budget without its unit',
      '\nservices:',
      '\nbudgets:\n  all: { calls_max: 5 }\nservices:',
      /budgets\.all.*calls_max/,
    ],
    [
      'a sender for an unknown cluster',
      'env: prod, cluster: prod-1',
      'env: prod, cluster: prod-9',
      /triggers\[0\]\.scopes\[0\]\.cluster: there is no cluster "prod-9"/,
    ],
    [
      'Vault over plain HTTP',
      'address: https://vault',
      'address: http://vault',
      /vault\.address: is plain HTTP; use https or set unsafe_endpoints: true/,
    ],
    [
      'an API server over plain HTTP',
      'server: https://kubernetes',
      'server: http://kubernetes',
      /clusters\.prod-1\.server: is plain HTTP/,
    ],
    [
      'Loki over plain HTTP',
      'url: https://loki',
      'url: http://loki',
      /sources\.loki\.main\.url: is plain HTTP/,
    ],
    [
      'a Slack that is not Slack',
      'workspace: T00000000 #',
      'api_url: https://slack.evil.example\n  workspace: T00000000 #',
      /slack\.api_url: is not Slack; remove it/,
    ],
    ['no team at all', 'teams:', 'teems:', /teams/],
    ['a key twice', 'v: 1\n', 'v: 1\nv: 1\n', /Map keys must be unique/],
    ['an alias', 'on_call: [maya]', 'on_call: &who [maya]\n        x: *who', /aliases/],
    ['a tab as indent', '  port: 7070', '\tport: 7070', /not YAML/],
  ])('%s', (_what, from, to, expected) => {
    const text = edited(from, to);
    const found = problems(text);
    expect(found.join('\n')).toMatch(new RegExp(expected.source, `${expected.flags}m`));
  });

  it('counts lines as an editor does', () => {
    const text = edited(
      'cluster: prod-1, namespaces: [spark-jobs] }\n          - { kind: jobs',
      'cluster: prod-7, namespaces: [spark-jobs] }\n          - { kind: jobs',
    );
    expect(problems(text)).toEqual([expect.stringMatching(new RegExp(`^line ${lineOf(text, 'prod-7')}: `))]);
  });

  it('says everything at once, not the first problem only', () => {
    const text = edited('port: 7070', 'prot: 7070').replace('autonomy: suggest', 'autonomy: yes-please');
    expect(problems(text)).toHaveLength(2);
  });

  it('refuses one Slack account for two people: one human would approve twice', () => {
    const twin =
      '  - principal: noor\n    name: Noor\n    slack: [{ workspace: T00000000, user: U00000000 }]\n    roles: []\n\n# Each sender';
    expect(problems(edited('\n# Each sender', twin))).toEqual([
      expect.stringContaining('belongs to both "maya" and "noor"'),
    ]);
  });

  it('refuses two senders with one secret: the secret says who speaks', () => {
    const config = parse(EXAMPLE_CONFIG) as { triggers: Record<string, unknown>[] };
    config.triggers.push({ ...config.triggers[0], name: 'other-alerts' });
    const found = problems(stringify(config, { aliasDuplicateObjects: false }));
    expect(found).toEqual([
      expect.stringContaining('triggers[1].secret: is the secret of another sender too'),
    ]);
  });

  it('refuses a leasing engine without a Vault', () => {
    const config = parse(EXAMPLE_CONFIG) as Record<string, unknown>;
    delete config['vault'];
    expect(problems(stringify(config)).join()).toContain(
      'clusters.prod-1.credentials: engine vault_kubernetes needs a `vault` section',
    );
  });

  it('refuses a user in an address, also in a lab, and does not repeat it', () => {
    const text = `unsafe_endpoints: true\n${edited('url: https://loki', 'url: http://bob:hunter2@loki')}`;
    expect(problems(text)).toEqual([
      expect.stringContaining('sources.loki.main.url: holds a user or password'),
    ]);
    expect(problems(text).join()).not.toContain('hunter2');
  });

  it('allows plain HTTP and another Slack with unsafe_endpoints', () => {
    const text = edited(
      'workspace: T00000000 #',
      'api_url: http://127.0.0.1:1/api/\n  workspace: T00000000 #',
    ).replaceAll('https://', 'http://');
    expect(problems(text)).not.toEqual([]);
    expect(problems(`unsafe_endpoints: true\n${text}`)).toEqual([]);
  });

  it.each(['LANGSMITH_TRACING', 'LANGSMITH_API_KEY', 'LANGCHAIN_TRACING_V2', 'LANGCHAIN_TRACING'])(
    'refuses %s in the environment',
    (name) => {
      expect(problems(EXAMPLE_CONFIG, { [name]: 'true' })).toEqual([
        expect.stringContaining(`${name} would send prompts to a third party; unset it`),
      ]);
    },
  );
});

describe('secrets in the wrong place', () => {
  const SECRET = 'xoxb-12345-planted-secret';

  it.each([
    ['instead of a reference', 'bot_token: { env: SLACK_BOT_TOKEN }', `bot_token: ${SECRET}`],
    ['as a variable name', 'bot_token: { env: SLACK_BOT_TOKEN }', `bot_token: { env: ${SECRET} }`],
    ['as a file name', 'bot_token: { env: SLACK_BOT_TOKEN }', `bot_token: { file: [${SECRET}] }`],
    ['in a broken document', 'bot_token: { env: SLACK_BOT_TOKEN }', `bot_token: { env: ${SECRET}`],
    ['as a word of a choice', 'autonomy: suggest', `autonomy: ${SECRET}`],
    ['in an address', 'address: https://vault', `address: ftp://aegis:${SECRET}@vault`],
  ])('are never repeated: %s', (_what, from, to) => {
    const found = problems(edited(from, to));
    expect(found.length).toBeGreaterThan(0);
    expect(found.join('\n')).not.toContain('planted');
  });

  it('come from files too; an empty or missing one is named', () => {
    const { secrets } = load(EXAMPLE_CONFIG);
    writeFileSync(join(dir, 'token'), '  from-a-file\n');
    writeFileSync(join(dir, 'empty'), '\n');
    expect(secrets({ file: './token' }).reveal()).toBe('from-a-file');
    expect(() => secrets({ file: './empty' })).toThrow('the secret file ./empty is empty');
    expect(() => secrets({ file: './gone' })).toThrow('the secret file ./gone cannot be read (ENOENT)');
  });
});

describe('which file is read', () => {
  it('prefers the flag, then AEGIS_CONFIG, then ./aegis.yaml', () => {
    expect(configPath('a.yaml', { AEGIS_CONFIG: 'b.yaml' })).toBe('a.yaml');
    expect(configPath(undefined, { AEGIS_CONFIG: 'b.yaml' })).toBe('b.yaml');
    expect(configPath(undefined, {})).toBe('./aegis.yaml');
  });
  it('says how to make one when there is none', () =>
    expect(() => loadConfig(join(dir, 'none.yaml'), {})).toThrow(/run "aegis init"/));
  it('refuses a file that is too large', () =>
    expect(problems(`v: 1 # ${'x'.repeat(5_000_000)}`)).toEqual([expect.stringContaining('the limit is')]));
});

describe('hostile or broken text', () => {
  it('never makes the loader throw anything but its own error', () => {
    const lines = EXAMPLE_CONFIG.split('\n');
    fc.assert(
      fc.property(
        fc.nat(lines.length - 1),
        fc.string({ maxLength: 20 }),
        fc.boolean(),
        (n, noise, replace) => {
          const text = lines.map((line, i) => (i !== n ? line : replace ? noise : line + noise)).join('\n');
          problems(text);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('the nearest word', () => {
  it('is the word itself when it is there', () => {
    const words = fc.array(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1 });
    fc.assert(
      fc.property(words, fc.nat(), (list, n) => {
        const word = list[n % list.length] as string;
        expect(nearest(word, list)).toBe(word);
      }),
    );
  });
  it('is nothing when nothing is near', () => expect(nearest('kubernetes', ['loki', 'vault'])).toBeNull());
  it('knows swapped letters', () => expect(nearest('oncall', ['on_call', 'channel'])).toBe('on_call'));
});
