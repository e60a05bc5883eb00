// What must be true of a request before anything in it is believed. Bolt checks the HMAC only: it takes timestamps from
// the future, and the same signed bytes as often as they come (both measured), so these checks are ours. Pure but for
// `admit`, which also asks the replay store.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { sha256Hex } from '../contract/canonical.ts';
import type { HttpRequest } from '../contract/http.ts';
import { parseJsonText } from '../contract/parse.ts';
import type { Secret } from '../contract/secret.ts';
import type { InboxStore } from '../store/store.ts';

export const BODY_BYTES_MAX = 512 * 1024;
/** Slack's own advice is five minutes; it holds in both directions. */
const SKEW_S_MAX = 300;
/** Longer than both halves of the window, so that a signature cannot outlive its memory. */
const REPLAY_MEMORY_MS = 10 * 60_000;

export type SlackBody = Readonly<Record<string, unknown>>;

export type Admission =
  | { readonly is: 'refused'; readonly status: number; readonly code: string; readonly reason: string }
  | { readonly is: 'challenge'; readonly challenge: string }
  | {
      readonly is: 'admitted';
      readonly body: SlackBody;
      readonly retry_num: number | undefined;
      readonly retry_reason: string | undefined;
    };

export interface GuardOptions {
  readonly signing_secret: Secret;
  readonly workspace: string;
}

function refused(status: number, code: string, reason: string): Admission {
  return { is: 'refused', status, code, reason };
}

/** All checks that need no memory: size, signature over the raw bytes, age, shape, workspace. */
export function examine(request: HttpRequest, options: GuardOptions, now_ms: number): Admission {
  if (request.body.length > BODY_BYTES_MAX)
    return refused(413, 'too-large', `more than ${BODY_BYTES_MAX} bytes`);
  const timestamp = request.headers['x-slack-request-timestamp'] ?? '';
  const signature = request.headers['x-slack-signature'] ?? '';
  if (!/^\d{1,12}$/.test(timestamp))
    return refused(401, 'no-timestamp', 'the timestamp header is missing or not a number');
  const age_s = now_ms / 1000 - Number(timestamp);
  if (age_s > SKEW_S_MAX)
    return refused(401, 'stale', `the timestamp is more than ${SKEW_S_MAX} s behind this clock`);
  if (-age_s > SKEW_S_MAX)
    return refused(401, 'future', `the timestamp is more than ${SKEW_S_MAX} s ahead of this clock`);
  if (!signatureHolds(options.signing_secret, timestamp, request.body, signature))
    return refused(401, 'forged', 'the signature does not match');
  const parsed = bodyOf(request);
  if (parsed === null) return refused(400, 'unreadable', 'neither JSON nor a form with Slack fields');
  if (parsed['type'] === 'url_verification') {
    const challenge = parsed['challenge'];
    if (typeof challenge !== 'string' || !/^[\x20-\x7e]{1,500}$/.test(challenge))
      return refused(400, 'unreadable', 'the challenge is missing');
    return { is: 'challenge', challenge };
  }
  const workspace = workspaceOf(parsed);
  if (workspace !== options.workspace)
    return refused(403, 'other-workspace', 'this app serves another workspace');
  const retry = request.headers['x-slack-retry-num'];
  return {
    is: 'admitted',
    body: parsed,
    retry_num: retry !== undefined && /^\d{1,3}$/.test(retry) ? Number(retry) : undefined,
    retry_reason: request.headers['x-slack-retry-reason']?.slice(0, 100),
  };
}

/**
 * `examine`, then the replay memory: the same signature is good once. Slack signs its retries anew, but a retry within
 * the same second comes out with the same signature; so an event (which the inbox knows by its id anyway) may come once
 * more for each of Slack's three retries. The memory is asked last: only Slack can fill it.
 */
export async function admit(
  request: HttpRequest,
  options: GuardOptions,
  inbox: Pick<InboxStore, 'rememberOnce'>,
  now_ms: number,
): Promise<Admission> {
  const admission = examine(request, options, now_ms);
  if (admission.is === 'refused') return admission;
  const signature = sha256Hex(request.headers['x-slack-signature'] ?? '');
  const key = `slack-signature:${signature}${retryOf(admission)}`;
  const fresh = await inbox.rememberOnce(key, now_ms + REPLAY_MEMORY_MS);
  return fresh ? admission : refused(401, 'replayed', 'these bytes were already received');
}

const RETRIES_MAX = 3;

function retryOf(admission: Admission): string {
  if (admission.is !== 'admitted' || typeof admission.body['event_id'] !== 'string') return '';
  const { retry_num = 0 } = admission;
  return retry_num >= 1 && retry_num <= RETRIES_MAX ? `:${retry_num}` : '';
}

function signatureHolds(secret: Secret, timestamp: string, body: Buffer, signature: string): boolean {
  const mac = createHmac('sha256', secret.reveal()).update(`v0:${timestamp}:`).update(body).digest('hex');
  const expected = Buffer.from(`v0=${mac}`);
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** JSON for events; a form for commands, whose `payload` field is JSON for interactions. Charset and case are ignored. */
function bodyOf(request: HttpRequest): SlackBody | null {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  const text = request.body.toString('utf8');
  if (type === 'application/json') return record(text);
  if (type !== 'application/x-www-form-urlencoded') return null;
  const form = new URLSearchParams(text);
  const payload = form.get('payload');
  if (payload !== null) return record(payload);
  return form.has('command') ? Object.fromEntries(form) : null;
}

function record(text: string): SlackBody | null {
  const parsed = parseJsonText(text, { bytes_max: BODY_BYTES_MAX, depth_max: 40, keys_max: 20_000 });
  if (!parsed.ok || typeof parsed.value !== 'object' || parsed.value === null || Array.isArray(parsed.value))
    return null;
  return parsed.value as SlackBody;
}

/** The workspace that the app is installed in, as the envelope says; a foreign member is judged later, by who they are. */
function workspaceOf(body: SlackBody): string | null {
  const view = body['view'];
  if (
    typeof view === 'object' &&
    view !== null &&
    'app_installed_team_id' in view &&
    typeof view.app_installed_team_id === 'string'
  )
    return view.app_installed_team_id;
  const team = body['team'];
  if (typeof team === 'object' && team !== null && 'id' in team && typeof team.id === 'string')
    return team.id;
  return typeof body['team_id'] === 'string' ? body['team_id'] : null;
}
