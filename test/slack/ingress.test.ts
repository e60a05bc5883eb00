import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HttpRequest } from '../../src/contract/http.ts';
import { Secret } from '../../src/contract/secret.ts';
import { admit, BODY_BYTES_MAX, examine } from '../../src/slack/ingress-guard.ts';

const SECRET = 'shhh';
const NOW = Date.parse('2026-11-23T07:00:00.000Z');
const options = { signing_secret: new Secret(SECRET), workspace: 'T0ACME' };

function signed(
  body: string | Buffer,
  changes: { at_s?: number; secret?: string; type?: string; headers?: Record<string, string> } = {},
): HttpRequest {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body);
  const timestamp = String(changes.at_s ?? NOW / 1000);
  const mac = createHmac('sha256', changes.secret ?? SECRET)
    .update(`v0:${timestamp}:`)
    .update(bytes)
    .digest('hex');
  return {
    method: 'POST',
    path: '/slack/events',
    headers: {
      'content-type': changes.type ?? 'application/json',
      'x-slack-request-timestamp': timestamp,
      'x-slack-signature': `v0=${mac}`,
      ...changes.headers,
    },
    body: bytes,
  };
}

const EVENT = JSON.stringify({
  type: 'event_callback',
  team_id: 'T0ACME',
  event_id: 'Ev1',
  event: { type: 'app_mention' },
});
const code = (request: HttpRequest, now = NOW): string => {
  const admission = examine(request, options, now);
  return admission.is === 'refused' ? admission.code : admission.is;
};

function memory(): { rememberOnce(key: string, until: number): Promise<boolean>; seen: Map<string, number> } {
  const seen = new Map<string, number>();
  return {
    seen,
    async rememberOnce(key, until) {
      if (seen.has(key)) return false;
      seen.set(key, until);
      return true;
    },
  };
}

describe('the ingress guard', () => {
  it('admits what Slack signed', () => {
    expect(examine(signed(EVENT), options, NOW)).toMatchObject({ is: 'admitted', body: { event_id: 'Ev1' } });
  });

  it.each([
    ['signed with another secret', signed(EVENT, { secret: 'other' }), 'forged'],
    [
      'without a signature',
      {
        ...signed(EVENT),
        headers: { 'content-type': 'application/json', 'x-slack-request-timestamp': String(NOW / 1000) },
      },
      'forged',
    ],
    ['with an empty signature', signed(EVENT, { headers: { 'x-slack-signature': '' } }), 'forged'],
    [
      'with a signature of the right length and wrong bytes',
      signed(EVENT, { headers: { 'x-slack-signature': `v0=${'0'.repeat(64)}` } }),
      'forged',
    ],
    [
      'with a version that we do not know',
      signed(EVENT, { headers: { 'x-slack-signature': `v1=${'0'.repeat(64)}` } }),
      'forged',
    ],
    ['without a timestamp', signed(EVENT, { headers: { 'x-slack-request-timestamp': '' } }), 'no-timestamp'],
    [
      'with a timestamp that is no number',
      signed(EVENT, { headers: { 'x-slack-request-timestamp': '1e9' } }),
      'no-timestamp',
    ],
    ['signed 301 s ago', signed(EVENT, { at_s: NOW / 1000 - 301 }), 'stale'],
    ['signed 301 s in the future', signed(EVENT, { at_s: NOW / 1000 + 301 }), 'future'],
    ['signed an hour in the future', signed(EVENT, { at_s: NOW / 1000 + 3600 }), 'future'],
    [
      'with a timestamp moved after signing',
      signed(EVENT, { headers: { 'x-slack-request-timestamp': String(NOW / 1000 - 10) } }),
      'forged',
    ],
    [
      'with a body changed after signing',
      { ...signed(EVENT), body: Buffer.from(EVENT.replace('Ev1', 'Ev2')) },
      'forged',
    ],
    ['of another workspace', signed(EVENT.replace('T0ACME', 'T0EVIL')), 'other-workspace'],
    ['of no workspace', signed('{"type":"event_callback"}'), 'other-workspace'],
    ['in an unknown content type', signed(EVENT, { type: 'text/plain' }), 'unreadable'],
    ['that is not JSON', signed('{"type":'), 'unreadable'],
    ['that is a JSON list', signed('[1]'), 'unreadable'],
    [
      'that is a form without Slack fields',
      signed('a=b', { type: 'application/x-www-form-urlencoded' }),
      'unreadable',
    ],
    ['nested like a bomb', signed(`${'{"a":'.repeat(100)}1${'}'.repeat(100)}`), 'unreadable'],
    ['too large', signed(Buffer.alloc(BODY_BYTES_MAX + 1, 32)), 'too-large'],
  ])('refuses a request %s', (_, request, expected) => {
    expect(code(request)).toBe(expected);
  });

  it('admits at the edges of the time window', () => {
    expect(code(signed(EVENT, { at_s: NOW / 1000 - 300 }))).toBe('admitted');
    expect(code(signed(EVENT, { at_s: NOW / 1000 + 300 }))).toBe('admitted');
  });

  it('does not mind a charset or capitals in the content type', () => {
    expect(code(signed(EVENT, { type: 'Application/JSON; charset=utf-8' }))).toBe('admitted');
  });

  it('reads commands and interactions from forms, and takes their workspace from the envelope', () => {
    const type = 'application/x-www-form-urlencoded';
    expect(code(signed('command=%2Faegis&team_id=T0ACME&text=hi', { type }))).toBe('admitted');
    expect(code(signed('command=%2Faegis&team_id=T0EVIL', { type }))).toBe('other-workspace');
    const click = { type: 'block_actions', team: { id: 'T0ACME' }, user: { id: 'U1', team_id: 'T0OTHER' } };
    expect(code(signed(`payload=${encodeURIComponent(JSON.stringify(click))}`, { type }))).toBe('admitted');
    const foreign = { ...click, team: { id: 'T0EVIL' }, team_id: 'T0ACME' };
    expect(code(signed(`payload=${encodeURIComponent(JSON.stringify(foreign))}`, { type }))).toBe(
      'other-workspace',
    );
  });

  it('answers the address check of Slack, signed only', async () => {
    const body = JSON.stringify({ type: 'url_verification', challenge: 'abc123' });
    expect(await admit(signed(body), options, memory(), NOW)).toEqual({
      is: 'challenge',
      challenge: 'abc123',
    });
    expect(code(signed(body, { secret: 'other' }))).toBe('forged');
    expect(code(signed(JSON.stringify({ type: 'url_verification', challenge: '<script>\n' })))).toBe(
      'unreadable',
    );
  });

  it('takes the same signed bytes once, for longer than the time window lasts', async () => {
    const inbox = memory();
    const request = signed(EVENT);
    expect((await admit(request, options, inbox, NOW)).is).toBe('admitted');
    expect(await admit(request, options, inbox, NOW + 1)).toMatchObject({ is: 'refused', code: 'replayed' });
    expect([...inbox.seen.values()][0]).toBeGreaterThanOrEqual(NOW + 600_000);
  });

  it('lets an event through once for each retry of Slack, which may bear the same signature, and no further', async () => {
    const inbox = memory();
    const retry = (num: string): HttpRequest => signed(EVENT, { headers: { 'x-slack-retry-num': num } });
    const codes: string[] = [];
    for (const num of ['0', '1', '1', '2', '3', '4', '99'])
      codes.push((await admit(retry(num), options, inbox, NOW)).is);
    expect(codes).toEqual(['admitted', 'admitted', 'refused', 'admitted', 'admitted', 'refused', 'refused']);
    const click = `payload=${encodeURIComponent(JSON.stringify({ type: 'block_actions', team: { id: 'T0ACME' } }))}`;
    const type = 'application/x-www-form-urlencoded';
    expect((await admit(signed(click, { type }), options, inbox, NOW)).is).toBe('admitted');
    expect(
      (await admit(signed(click, { type, headers: { 'x-slack-retry-num': '1' } }), options, inbox, NOW)).is,
    ).toBe('refused');
  });

  it('does not let forgeries fill the replay memory', async () => {
    const inbox = memory();
    await admit(signed(EVENT, { secret: 'other' }), options, inbox, NOW);
    await admit(signed(EVENT.replace('T0ACME', 'T0EVIL')), options, inbox, NOW);
    expect(inbox.seen.size).toBe(0);
  });

  it('passes on that Slack delivers again', () => {
    const again = signed(EVENT, {
      headers: { 'x-slack-retry-num': '2', 'x-slack-retry-reason': 'http_timeout' },
    });
    expect(examine(again, options, NOW)).toMatchObject({
      is: 'admitted',
      retry_num: 2,
      retry_reason: 'http_timeout',
    });
  });

  it('never admits and never throws on any bytes without our signature', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.dictionary(
          fc.constantFrom('content-type', 'x-slack-signature', 'x-slack-request-timestamp'),
          fc.string(),
        ),
        (bytes, headers) => {
          const admission = examine(
            { method: 'POST', path: '/', headers, body: Buffer.from(bytes) },
            options,
            NOW,
          );
          expect(admission.is).toBe('refused');
        },
      ),
    );
  });

  it('never throws on any signed text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.constantFrom('application/json', 'application/x-www-form-urlencoded'),
        (text, type) => {
          expect(['refused', 'admitted', 'challenge']).toContain(
            examine(signed(text, { type }), options, NOW).is,
          );
        },
      ),
    );
  });
});
