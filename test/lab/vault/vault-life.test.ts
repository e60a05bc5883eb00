import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LifeLedger } from '../../../src/lab/vault/ledger.ts';
import {
  allows,
  capabilitiesOn,
  type Capability,
  type PolicyDocument,
} from '../../../src/lab/vault/policy.ts';
import type { Token } from '../../../src/lab/vault/tokens.ts';

type Step =
  | { readonly kind: 'create'; readonly parent: number | null; readonly ttl_s: number }
  | { readonly kind: 'mint'; readonly owner: number; readonly ttl_s: number }
  | { readonly kind: 'revoke'; readonly token: number }
  | { readonly kind: 'wait'; readonly seconds: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('create' as const),
    parent: fc.option(fc.nat(8)),
    ttl_s: fc.integer({ min: 1, max: 50 }),
  }),
  fc.record({ kind: fc.constant('mint' as const), owner: fc.nat(8), ttl_s: fc.integer({ min: 1, max: 50 }) }),
  fc.record({ kind: fc.constant('revoke' as const), token: fc.nat(8) }),
  fc.record({ kind: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 20 }) }),
);

/** The naive model: everything is a row with a parent row and an end; alive means no dead ancestor and time left. */
interface Row {
  readonly parent: number | null;
  readonly ends: number;
  revoked: boolean;
}

function alive(rows: readonly Row[], index: number, now: number, died: ReadonlySet<number>): boolean {
  const row = rows[index];
  if (row === undefined || row.revoked || died.has(index) || row.ends <= now) return false;
  return row.parent === null || alive(rows, row.parent, now, died);
}

describe('the life of tokens and leases', () => {
  it('agrees with a naive model for any order of creation, minting, revocation and time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        let now = 0;
        const ledger = new LifeLedger(() => now * 1000);
        const tokens: (Token | undefined)[] = [];
        const rows: Row[] = [];
        const works = new Set<number>();
        const died = new Set<number>();
        const settle = () => rows.forEach((_, index) => !alive(rows, index, now, died) && died.add(index));
        for (const next of steps) {
          const live = (index: number | null) =>
            index !== null && alive(rows, index, now, died) ? tokens[index] : undefined;
          if (next.kind === 'create') {
            const parent = live(next.parent);
            tokens.push(
              ledger.tokens.create(
                {
                  policies: ['p'],
                  ttl_s: next.ttl_s,
                  explicit_max_ttl_s: 0,
                  renewable: false,
                  num_uses: 0,
                  path: 'x',
                  display_name: 'x',
                  meta: null,
                  parent: parent?.accessor ?? null,
                },
                now * 1000,
              ),
            );
            rows.push({
              parent: parent === undefined ? null : next.parent,
              ends: now + next.ttl_s,
              revoked: false,
            });
          } else if (next.kind === 'mint') {
            const owner = live(next.owner);
            if (owner === undefined) continue;
            const index = rows.length;
            works.add(index);
            tokens.push(undefined);
            ledger.addLease({
              path: 'p',
              owner: owner.accessor,
              ttl_s: next.ttl_s,
              kill: () => void works.delete(index),
            });
            rows.push({ parent: next.owner, ends: now + next.ttl_s, revoked: false });
          } else if (next.kind === 'revoke') {
            const token = live(next.token);
            if (token === undefined) continue;
            await ledger.revokeToken(token);
            (rows[next.token] as Row).revoked = true;
          } else {
            now += next.seconds;
            await ledger.expire();
          }
          settle();
          rows.forEach((_, index) => {
            const token = tokens[index];
            const actual =
              token === undefined ? works.has(index) : ledger.tokens.byId(token.id) !== undefined;
            expect([index, actual]).toEqual([index, alive(rows, index, now, died)]);
          });
        }
      }),
      { numRuns: 150 },
    );
  });
});

const segment = fc.constantFrom('a', 'b', 'ab', '+', 'a*');
const pattern = fc
  .tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([parts, star]) => parts.map((part) => part.replace('*', '')).join('/') + (star ? '*' : ''));
const path = fc
  .array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'));
const capability = fc.constantFrom<Capability>('read', 'update', 'deny', 'list');

function naiveMatch(rule: string, given: string): boolean {
  const source = rule
    .replace(/\*$/, '')
    .split('/')
    .map((part) => (part === '+' ? '[^/]+' : part))
    .join('/');
  return new RegExp(`^${source}${rule.endsWith('*') ? '.*' : ''}$`).test(given);
}

describe('policies', () => {
  it('deny by default, and never grant what no matching rule of theirs names', () => {
    fc.assert(
      fc.property(
        fc.dictionary(pattern, fc.uniqueArray(capability, { minLength: 1 })),
        path,
        (rules, given) => {
          const document: PolicyDocument = {
            path: Object.fromEntries(
              Object.entries(rules).map(([rule, capabilities]) => [rule, { capabilities }]),
            ),
          };
          const held = capabilitiesOn(new Map([['p', document]]), ['p'], given);
          const matching = Object.entries(rules).filter(([rule]) => naiveMatch(rule, given));
          const named = new Set(matching.flatMap(([, capabilities]) => capabilities));
          for (const one of held) expect(named.has(one)).toBe(true);
          if (matching.length === 0) expect(held.size).toBe(0);
          if (matching.length === 1)
            expect(held.size).toBe(matching[0]?.[1].includes('deny') === true ? 0 : named.size);
          if (rules[given] !== undefined && !given.includes('+')) {
            expect([...held].sort()).toEqual(rules[given].includes('deny') ? [] : [...rules[given]].sort());
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('follow Vault’s priorities: the more specific rule wins alone, and a deny there ends it', () => {
    const policies = new Map<string, PolicyDocument>([
      [
        'wide',
        {
          path: {
            'secret/*': { capabilities: ['read', 'update'] },
            'secret/data/+/x': { capabilities: ['list'] },
          },
        },
      ],
      [
        'narrow',
        {
          path: {
            'secret/data/prod/*': { capabilities: ['read'] },
            'secret/data/prod/root': { capabilities: ['deny'] },
          },
        },
      ],
    ]);
    const may = (given: string, one: Capability) => allows(policies, ['wide', 'narrow'], given, one);
    expect(may('secret/data/prod/db', 'update')).toBe(false);
    expect(may('secret/data/prod/db', 'read')).toBe(true);
    expect(may('secret/data/prod/root', 'read')).toBe(false);
    expect(may('secret/other', 'update')).toBe(true);
    expect(may('secret/data/dev/x', 'list')).toBe(true);
    expect(may('secret/data/dev/x', 'read')).toBe(false);
    expect(may('sys/mounts', 'read')).toBe(false);
  });
});
