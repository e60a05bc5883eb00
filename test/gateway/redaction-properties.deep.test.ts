import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseYamlText } from '../../src/contract/parse.ts';
import { compileRules, RedactionRules } from '../../src/gateway/sanitize/rules.ts';
import { sanitizeText, sanitizeValue } from '../../src/gateway/sanitize/sanitize.ts';
import { prod1 } from '../../src/lab/world/prod-1.ts';
import { World } from '../../src/lab/world/world.ts';
import { ENCODINGS, leaksIn } from './encodings.ts';
import { PLANTED } from './planted-secrets.ts';
import { POLICIES_DIR } from './stage.ts';

const parsed = parseYamlText(readFileSync(join(POLICIES_DIR, 'redaction.yaml'), 'utf8'));
const rules = compileRules(RedactionRules.parse(parsed.ok ? parsed.value : null));
const clean = (text: string): string => sanitizeText(text, rules).text;

const planted = fc.constantFrom(...PLANTED);
const env = PLANTED.find(({ name }) => name === 'kubernetes env as text') as (typeof PLANTED)[number];
const encoding = fc.constantFrom(...Object.keys(ENCODINGS));
const encode = (text: string, names: readonly string[]): string =>
  names.reduce((inner, name) => (ENCODINGS[name] as (text: string) => string)(inner), text);
/** Text around a secret that ends before it and begins after it. */
const around = fc.oneof(
  fc.constant(''),
  fc.string({ maxLength: 60 }).map((text) => `${text}\n`),
);

describe('what is hidden', () => {
  it('is found through any three encodings (property)', () => {
    fc.assert(
      fc.property(planted, fc.array(encoding, { minLength: 1, maxLength: 3 }), (secret, names) => {
        const raw = encode(secret.text, names);
        const shown = clean(`said "${raw}" and went on`);
        expect(leaksIn(shown, [secret]), names.join(', then ')).toEqual([]);
        // Packed or nested twice it shows no known form: then the run itself must be gone.
        if (names.some((name) => name !== 'plain')) expect(shown).not.toContain(raw);
        expect(shown).toMatch(/\[REDACTED_[A-Z_]+\]/);
      }),
      {
        numRuns: 1500,
        examples: [[env, ['JSON in JSON in a string', 'JSON in JSON in a string', 'gzip in hex']]],
      },
    );
  });

  it('is withheld with a mark of its own when nobody can look inside', () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000)).toString('base64');
    expect(clean(`x ${bomb} y`)).toBe('x [REDACTED_BLOB] y');
    const deep = encode(
      'nothing to hide here, but who knows? '.repeat(4),
      Array<string>(6).fill('base64 at alignment 0'),
    );
    expect(clean(`x ${deep} y`)).toBe('x [REDACTED_BLOB] y');
  });

  it('is found behind a word that is glued to its front', () => {
    const secret = Buffer.from('password=correct-horse-battery').toString('base64');
    for (const glued of ['', 'a', 'ab', 'abc', 'abcd', 'data/', 'v1-'])
      expect(clean(`get ${glued}${secret} now`)).toBe('get [REDACTED_SECRET] now');
    const packed = gzipSync('password=correct-horse-battery').toString('base64');
    expect(clean(`get /api/${packed} now`)).toBe('get [REDACTED_SECRET] now');
  });
});

describe('the filter', () => {
  it('changes nothing the second time (property)', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            around,
            planted.map(({ text }) => text),
          ),
          { maxLength: 6 },
        ),
        (parts) => {
          const once = clean(parts.join(''));
          expect(clean(once)).toBe(once);
        },
      ),
      { numRuns: 800 },
    );
  });

  it('never throws, grows within bounds and keeps the shape of any JSON (property)', () => {
    const shape = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(shape)
        : typeof value === 'object' && value !== null
          ? Object.values(value).map(shape)
          : null;
    const leaf = fc.oneof(
      planted.map(({ text }) => text),
      fc.string({ unit: 'binary', maxLength: 80 }),
    );
    const value = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie('node'), { maxLength: 5 }),
        fc.dictionary(leaf, tie('node'), { maxKeys: 5 }),
      ),
    })).node;
    fc.assert(
      fc.property(value, (raw) => {
        const { value: shown } = sanitizeValue(raw, rules);
        expect(shape(shown)).toEqual(shape(raw));
        // The longest mark is 22 characters, the shortest secret 6; a number is added to names that meet.
        expect(JSON.stringify(shown).length).toBeLessThanOrEqual(JSON.stringify(raw).length * 6 + 40);
      }),
      { numRuns: 300 },
    );
  });

  it('does a bounded amount of work on hostile text', () => {
    const mb = 1_000_000;
    const nested = (text: string): string => {
      let inner = text;
      while (inner.length < mb) inner = Buffer.from(inner).toString('base64');
      return inner;
    };
    const bombs = Array.from({ length: 700 }, (_, n) =>
      gzipSync(Buffer.alloc(900_000, n)).toString('base64'),
    );
    const hostile: Record<string, string> = {
      A: 'A'.repeat(mb),
      'percent of percent': '%25'.repeat(mb / 3),
      backslashes: '\\'.repeat(mb),
      'unicode escapes of a backslash': '\\u005c'.repeat(mb / 6),
      'base64 of base64': nested('secret? '.repeat(20_000)),
      'base64 in lines': `${'QUFB'.repeat(19)}\n`.repeat(mb / 77),
      hex: '41'.repeat(mb / 2),
      'gzip bombs': bombs.join(' '),
      names: 'password='.repeat(mb / 9),
      'open quotes': 'token="'.repeat(mb / 7),
      dots: 'a.'.repeat(mb / 2),
      ats: 'a@'.repeat(mb / 2),
      colons: ':'.repeat(mb),
      'key beginnings': '-----BEGIN PRIVATE KEY-----'.repeat(mb / 27),
      schemes: 'x://a:b'.repeat(mb / 7),
      entities: '&#38;'.repeat(mb / 5),
      quoted: '=3D'.repeat(mb / 3),
      cookies: 'cookie: a=b '.repeat(mb / 12),
      names_with_values: '"name":"token","value":"'.repeat(mb / 24),
    };
    for (const [name, text] of Object.entries(hostile)) {
      const before = process.cpuUsage();
      const shown = clean(text);
      const { user } = process.cpuUsage(before);
      // A quadratic pattern takes minutes here; ten seconds of a loaded machine's processor are none of them.
      expect(user / 1e6, name).toBeLessThan(10);
      expect(shown.length).toBeLessThanOrEqual(text.length * 6);
    }
  }, 120_000);
});

describe('a secret that was cut', () => {
  // Longer tokens may leave a piece behind: their first part is a secret by itself.
  const own = PLANTED.filter(
    ({ text, secret }) => text === secret && !secret.includes('\n') && secret.length <= 80,
  );

  it('is found in two strings of a list, wherever it is cut (property)', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...own),
        fc.array(fc.double({ min: 0.05, max: 0.95, noNaN: true }), { minLength: 1, maxLength: 1 }),
        (secret, cuts) => {
          const at = [...new Set(cuts.map((cut) => Math.floor(cut * secret.secret.length)))].sort(
            (a, b) => a - b,
          );
          const pieces = [0, ...at].map((start, n) =>
            secret.secret.slice(start, at[n] ?? secret.secret.length),
          );
          const { value } = sanitizeValue(
            ['first', ...pieces.filter((piece) => piece !== ''), 'last words'],
            rules,
          );
          expect(leaksIn((value as string[]).join(''), [secret])).toEqual([]);
        },
      ),
      { numRuns: 600 },
    );
  });

  it('is found in lines that a shipper cut, and a whole one on each line leaves its neighbours alone', () => {
    const token = own[0]?.secret ?? '';
    const filler = 'word '.repeat(300);
    const cut = sanitizeValue(
      [{ line: `${filler}${token.slice(0, 9)}` }, { line: `${token.slice(9)} rest` }],
      rules,
    );
    expect(leaksIn(JSON.stringify(cut.value).replaceAll(/[^\w]/g, ''), own.slice(0, 1))).toEqual([]);
    const whole = sanitizeValue(
      [{ line: `INFO used ${token}` }, { line: '26/11/23 10:11:12 INFO next' }],
      rules,
    );
    expect(whole.value).toEqual([
      { line: 'INFO used [REDACTED_CLOUD_KEY]' },
      { line: '26/11/23 10:11:12 INFO next' },
    ]);
  });

  it('the value after a flag', () => {
    expect(
      sanitizeValue(['--user', 'app', '--db-password', 'hunter2', '--port', '5432'], rules).value,
    ).toEqual(['--user', 'app', '--db-password', '[REDACTED_SECRET]', '--port', '5432']);
  });
});

describe('what must stay readable', () => {
  const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
  const der = Buffer.concat(
    Array.from({ length: 30 }, (_, n) => createHash('sha256').update(`der${n}`).digest()),
  );
  const fence = '-'.repeat(5);
  const certificate = `${fence}BEGIN CERTIFICATE${fence}\n${der.toString('base64').replaceAll(/.{64}/g, '$&\n')}\n${fence}END CERTIFICATE${fence}\n`;

  it('certificates, digests, uids, versions, names, in an object and as its text', () => {
    const object = {
      metadata: {
        uid: '7428e28a-e0d9-4e9e-ba93-2d13d0b3ada5',
        resourceVersion: '43489911',
        labels: { 'pod-template-hash': '7f9c6d5b4', 'controller-revision-hash': '5c689d88bb' },
        annotations: { 'deployment.kubernetes.io/revision': '7', checksum: digest('config') },
        creationTimestamp: '2026-11-23T10:11:12Z',
      },
      spec: {
        caBundle: Buffer.from(certificate).toString('base64'),
        image: `registry.example.com/data/web@sha256:${digest('image')}`,
        containers: [{ args: ['--conf', 'spark.executor.memory=2g', '--class', 'com.northwind.Settlement'] }],
        volumes: [{ name: 'db', secret: { secretName: 'settlement-db' } }],
      },
      data: {
        'ca.crt': certificate,
        'icon.png': der.toString('base64'),
        packed: gzipSync('all is well '.repeat(50)).toString('base64'),
      },
    };
    const shown = sanitizeValue(object, rules);
    expect(shown).toEqual({ value: object, redactions: 0 });
    const text = JSON.stringify({ applied: JSON.stringify(object) });
    expect(clean(text)).toBe(text);
  });

  it('what Alertmanager and Prometheus really sent, except for the token of the recording', () => {
    for (const name of ['alertmanager-webhook.json', 'prometheus-api.json']) {
      const recorded = readFileSync(join(import.meta.dirname, '../fixtures/recorded', name), 'utf8');
      const raw = recorded
        .replaceAll(/"authorization": ?"[^"]*",?/g, '')
        .replaceAll(/ with bearer [\w-]+/g, '');
      expect(sanitizeValue(JSON.parse(raw), rules), name).toEqual({ value: JSON.parse(raw), redactions: 0 });
      expect(clean(raw)).toBe(raw);
    }
  });

  it('objects and logs of the lab’s world, except for the people and places in them', () => {
    const world = new World({ definition: prod1(), clock: () => Date.now(), seed: 'redaction' });
    const kinds = [
      'Pod',
      'Deployment',
      'ReplicaSet',
      'Service',
      'ConfigMap',
      'Node',
      'Event',
      'SparkApplication',
      'ResourceQuota',
    ];
    const objects = kinds.flatMap((kind) => world.store.list(kind));
    const lines = world.logs().map(({ line }) => line);
    expect(objects.length).toBeGreaterThan(20);
    expect(lines.length).toBeGreaterThan(100);
    const personal = /\[REDACTED_(?:EMAIL|IP|ACCOUNT|CARD|PHONE)\]/g;
    const shown = JSON.stringify([sanitizeValue(objects, rules).value, sanitizeValue(lines, rules).value]);
    expect(shown.replaceAll(personal, '')).not.toContain('[REDACTED_');
    // Of objects only addresses go.
    const changed = JSON.stringify(sanitizeValue(objects, rules).value).match(personal) ?? [];
    expect([...new Set(changed)].filter((mark) => mark !== '[REDACTED_IP]')).toEqual([]);
  });
});
