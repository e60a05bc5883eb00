import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redactionProblem, RedactionRows } from '../../src/cli/policy-requests.ts';
import { parseYamlText } from '../../src/contract/parse.ts';
import { exactScrub } from '../../src/gateway/sanitize/exact-scrub.ts';
import { compileRules, RedactionRules } from '../../src/gateway/sanitize/rules.ts';
import { sanitizeText, sanitizeValue } from '../../src/gateway/sanitize/sanitize.ts';
import { POLICIES_DIR } from './stage.ts';

const parsed = parseYamlText(readFileSync(join(POLICIES_DIR, 'redaction.yaml'), 'utf8'));
const shipped = RedactionRules.parse(parsed.ok ? parsed.value : null);
const rules = compileRules(shipped);
const clean = (text: string): string => sanitizeText(text, rules).text;

describe('what must go', () => {
  it.each([
    ['User email: admin@example.com', 'User email: [REDACTED_EMAIL]'],
    ['from first.last+tag@sub.example.co.uk.', 'from [REDACTED_EMAIL].'],
    ['client=10.20.1.11:34567 ok', 'client=[REDACTED_IP]:34567 ok'],
    ['host/10.20.1.11:7078', 'host/[REDACTED_IP]:7078'],
    ['http://192.168.7.4/x', 'http://[REDACTED_IP]/x'],
    ['peer 2001:db8::8a2e:370:7334 up', 'peer [REDACTED_IP] up'],
    ['peer fe80::1 up', 'peer [REDACTED_IP] up'],
    ['card 4111 1111 1111 1111.', 'card [REDACTED_CARD].'],
    ['card=5500-0000-0000-0004', 'card=[REDACTED_CARD]'],
    ['amex 378282246310005', 'amex [REDACTED_CARD]'],
    ['call +49 170 1234567', 'call [REDACTED_PHONE]'],
    ['call (555) 123-4567 now', 'call [REDACTED_PHONE] now'],
    ['Authorization: Bearer abcDEF123456.token', 'Authorization: Bearer [REDACTED_TOKEN]'],
    ['jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.sig-Nature_1', 'jwt [REDACTED_JWT]'],
    ['key AKIAIOSFODNN7EXAMPLE used', 'key [REDACTED_CLOUD_KEY] used'],
    [
      'aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      'aws_secret_access_key = [REDACTED_SECRET]',
    ],
    ['vault hvs.CAESIJabcdefghijklmnopqrstuv', 'vault [REDACTED_TOKEN]'],
    ['ghp_abcdefghijklmnopqrstuvwxyz0123456789', '[REDACTED_TOKEN]'],
    ['xoxb-1234567890-abcdef', '[REDACTED_TOKEN]'],
    ['postgres://app:pa55w0rd@db.internal:5432/x', 'postgres://[REDACTED_CREDENTIALS]@db.internal:5432/x'],
    ['redis://:only-password@cache:6379', 'redis://[REDACTED_CREDENTIALS]@cache:6379'],
    ['DB_PASSWORD=hunter22 next', 'DB_PASSWORD=[REDACTED_SECRET] next'],
    ['{\\"password\\": \\"hunter22\\"}', '{\\"password\\": \\"[REDACTED_SECRET]\\"}'],
    ['"api_key": "abcd1234"', '"api_key": "[REDACTED_SECRET]"'],
  ])('%s', (raw, expected) => {
    expect(clean(raw)).toBe(expected);
  });

  it('a private key, also with escaped newlines and with its end cut off', () => {
    const key = '-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----';
    expect(clean(`a ${key} b`)).toBe('a [REDACTED_PRIVATE_KEY] b');
    expect(clean(`a ${key.replaceAll('\n', '\\n')} b`)).toBe('a [REDACTED_PRIVATE_KEY] b');
    expect(clean('a -----BEGIN PRIVATE KEY-----\nMIIEow')).toBe('a [REDACTED_PRIVATE_KEY]');
  });

  it('values whose field says that they are secret, whatever they look like', () => {
    const found = sanitizeValue(
      { password: 'x', Client_Secret: 'y', env: [{ name: 'DB_PASSWORD', value: 'z' }], safe: 'w' },
      rules,
    );
    expect(found.value).toEqual({
      password: '[REDACTED_SECRET]',
      Client_Secret: '[REDACTED_SECRET]',
      env: [{ name: 'DB_PASSWORD', value: '[REDACTED_SECRET]' }],
      safe: 'w',
    });
    expect(found.redactions).toBe(3);
  });

  it('keys, and two keys that become one keep both values', () => {
    expect(sanitizeValue({ 'a@x.com': 1, 'b@x.com': 2 }, rules).value).toEqual({
      '[REDACTED_EMAIL]': 1,
      '[REDACTED_EMAIL]#2': 2,
    });
  });

  it('a card number that arrives as a JSON number', () => {
    expect(sanitizeValue({ n: 4111111111111111, ms: 1795453738325 }, rules).value).toEqual({
      n: '[REDACTED_CARD]',
      ms: 1795453738325,
    });
  });
});

describe('the rows that operators read', () => {
  const file = parseYamlText(readFileSync(join(POLICIES_DIR, 'tests/redaction.yaml'), 'utf8'));
  it.each(RedactionRows.parse(file.ok ? file.value : null).redaction)('$text', (row) => {
    expect(redactionProblem(rules, row)).toBeNull();
  });

  it('a row that is not met says what was found', () => {
    expect(redactionProblem(rules, { text: 'a@b.co', keep: true })).toBe(
      'expected "a@b.co", found "[REDACTED_EMAIL]"',
    );
  });
});

describe('what must stay', () => {
  it.each([
    'nightly-settlement-driver-7f9c6d5b4-x2x9z 1/1 Running 0 4m',
    'registry.example.com/data/spark-settlement:3.5.1-2026.11',
    'image@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
    '2026-11-23T10:11:12.123456789Z and 10:11:12,123',
    'ts=1795453738325000000 ms=1795453738325 s=1795453738',
    'uid 7428e28a-e0d9-4e9e-ba93-2d13d0b3ada5',
    'memory: 2Gi cpu: 250m heap 1485.2 MiB',
    'spark://CoarseGrainedScheduler@nightly-driver-svc.spark-jobs.svc:7078',
    'version 1.2.3.4 and v1.2.3.4 and spark-3.5.1.2',
    'std::string a::b fe::cd ::1 127.0.0.1 0.0.0.0',
    'at com.northwind.Settlement.run(Settlement.java:412)',
    'getty@tty1.service: exit 0',
    'secretName: settlement-db tokenReview passwordPolicy: strict',
    'max.ratio=0.97 quota 40Gi of 48Gi 555-1234',
    'job-555-123-4567 step 12-34-56-78',
    'resourceVersion: "43489911" generation 7',
  ])('%s', (text) => {
    expect(clean(text)).toBe(text);
  });
});

describe('the exact credential', () => {
  const secret = 'sa-token/Zx9+q7&=weird value';

  it('goes in every form it can take', () => {
    const scrub = exactScrub([secret]);
    const bytes = Buffer.from(secret);
    const forms = [
      secret,
      bytes.toString('hex'),
      bytes.toString('hex').toUpperCase(),
      encodeURIComponent(secret),
      JSON.stringify(secret),
      ...['', 'a', 'ab'].map((head) => Buffer.from(`${head}${secret} tail`).toString('base64')),
      ...['', 'a', 'ab'].map((head) => Buffer.from(`${head}${secret} tail`).toString('base64url')),
    ];
    for (const form of forms) expect(scrub(`<${form}>`, () => {})).toContain('[REDACTED_CREDENTIAL]');
  });

  it('goes wherever it stands (property)', () => {
    const printable = fc.string({ minLength: 12, maxLength: 60 }).filter((text) => text.trim().length > 8);
    fc.assert(
      fc.property(printable, fc.string(), fc.string(), (token, head, tail) => {
        let hits = 0;
        const found = exactScrub([token])(`${head}${token}${tail}`, () => {
          hits += 1;
        });
        expect(found.includes(token) && !'[REDACTED_CREDENTIAL]'.includes(token)).toBe(false);
        expect(hits).toBeGreaterThan(0);
        const encoded = Buffer.from(`${head}${token}${tail}`).toString('base64');
        expect(exactScrub([token])(encoded, () => {})).not.toBe(encoded);
      }),
    );
  });
});

describe('the filter as a whole', () => {
  it('is idempotent: clean text stays as it is (property)', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 300 }),
        fc.constantFrom(
          'a@b.co',
          '10.1.2.3',
          'password=abcdef',
          'Bearer abcdefghijklmnop',
          'x://u:pp@h',
          '4111111111111111',
        ),
        (text, planted) => {
          const once = clean(`${text} ${planted} ${text}`);
          expect(clean(once)).toBe(once);
          expect(once).not.toContain(planted);
        },
      ),
    );
  });

  it('keeps the shape of data (property)', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const shape = (v: unknown): unknown =>
          Array.isArray(v)
            ? v.map(shape)
            : typeof v === 'object' && v !== null
              ? Object.values(v).map(shape)
              : null;
        expect(shape(sanitizeValue(value, rules).value)).toEqual(shape(value));
      }),
    );
  });

  it('own patterns are RE2 and run only near their literals', () => {
    const own = compileRules({
      ...shipped,
      patterns: [
        { name: 'customer', pattern: 'CUST-[0-9]{6}', literals: ['CUST-'], mark: '[REDACTED_CUSTOMER]' },
      ],
    });
    expect(sanitizeText('see CUST-123456 and CUST-1', own).text).toBe('see [REDACTED_CUSTOMER] and CUST-1');
    expect(own.rules_hash).not.toBe(rules.rules_hash);
    expect(() =>
      compileRules({
        ...shipped,
        patterns: [{ name: 'bad', pattern: '(?=x)y', literals: ['xy'], mark: '[REDACTED_X]' }],
      }),
    ).toThrow();
  });
});
