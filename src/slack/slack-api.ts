// The Web API as this room uses it: every call returns a value that says what is known about its effect. `refused` and
// `limited` mean nothing happened; `unknown` means that the bytes left and no answer came, so a post may exist. The
// vendor's client retries posts after a reset connection and pauses all methods after one 429 (both measured), so its
// retries are off and limits are ours.
import type { WebClient } from '@slack/web-api';
import type { ModalView, HomeView } from '@slack/types';
import type { Log } from '../contract/ports.ts';
import type { Secret } from '../contract/secret.ts';
import { boltLogger } from './bolt-logger.ts';

export type ApiAnswer =
  | { readonly ok: true; readonly body: Readonly<Record<string, unknown>> }
  | {
      readonly ok: false;
      readonly kind: 'refused';
      readonly error: string;
      readonly messages: readonly string[];
    }
  | { readonly ok: false; readonly kind: 'limited'; readonly error: string; readonly retry_after_ms: number }
  | { readonly ok: false; readonly kind: 'unknown'; readonly error: string };

export interface SlackApi {
  /** Any method by name. */
  call(method: string, args: Readonly<Record<string, unknown>>): Promise<ApiAnswer>;
  /** Three steps of files v2; `unknown` when one of them got no answer. */
  upload(file: {
    channel: string;
    thread_ts: string;
    filename: string;
    title: string;
    content: string;
  }): Promise<ApiAnswer>;
}

export interface SlackApiOptions {
  readonly bot_token: Secret;
  /** Only with `unsafe_endpoints`; the real Slack otherwise. */
  readonly api_url: string | undefined;
  readonly timeout_ms: number;
  readonly log: Log;
}

/** Loads the vendor's client on first use: it costs half a second that start-up does not have. */
export function createSlackApi(options: SlackApiOptions): SlackApi {
  let loading: Promise<{ client: WebClient; judge: (error: unknown) => ApiAnswer }> | undefined;
  const load = (): NonNullable<typeof loading> => (loading ??= open(options));
  return {
    async call(method, args) {
      const { client, judge } = await load();
      try {
        return {
          ok: true,
          body: (await client.apiCall(method, { ...args })) as unknown as Record<string, unknown>,
        };
      } catch (error) {
        return judge(error);
      }
    },
    async upload(file) {
      const { client, judge } = await load();
      try {
        const { channel, thread_ts, filename, title, content } = file;
        const done = await client.filesUploadV2({ channel_id: channel, thread_ts, filename, title, content });
        return { ok: true, body: done as unknown as Record<string, unknown> };
      } catch (error) {
        return judge(error);
      }
    },
  };
}

async function open(
  options: SlackApiOptions,
): Promise<{ client: WebClient; judge: (error: unknown) => ApiAnswer }> {
  const vendor = await import('@slack/web-api');
  const client = new vendor.WebClient(options.bot_token.reveal(), {
    ...(options.api_url === undefined ? {} : { slackApiUrl: options.api_url }),
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    timeout: options.timeout_ms,
    maxRequestConcurrency: 20,
    allowAbsoluteUrls: false,
    logger: boltLogger(options.log),
  });
  const judge = (error: unknown): ApiAnswer => {
    if (error instanceof vendor.WebAPIRateLimitedError)
      return {
        ok: false,
        kind: 'limited',
        error: 'ratelimited',
        retry_after_ms: Math.max(1, error.retryAfter) * 1000,
      };
    if (error instanceof vendor.WebAPIPlatformError) {
      const messages = error.data.response_metadata?.messages ?? [];
      if (error.data.error === 'ratelimited')
        return { ok: false, kind: 'limited', error: 'ratelimited', retry_after_ms: 5000 };
      // Slack's own faults come as `ok: false` too; whether the message exists is then unknown.
      if (SLACK_FAULTS.has(error.data.error)) return { ok: false, kind: 'unknown', error: error.data.error };
      return { ok: false, kind: 'refused', error: error.data.error, messages };
    }
    const text = error instanceof Error ? error.message : String(error);
    if (text.startsWith('Retry header did not contain'))
      return { ok: false, kind: 'limited', error: 'ratelimited', retry_after_ms: 5000 };
    return { ok: false, kind: 'unknown', error: text.slice(0, 300) };
  };
  return { client, judge };
}

const SLACK_FAULTS: ReadonlySet<string> = new Set([
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
  'team_added_to_org',
]);

/** The token or the app is no longer welcome: nothing will work until an admin acts. */
export const AUTH_FAULTS: ReadonlySet<string> = new Set([
  'invalid_auth',
  'not_authed',
  'account_inactive',
  'token_revoked',
  'token_expired',
  'app_uninstalled',
  'org_login_required',
  'team_access_not_granted',
]);

export function openView(api: SlackApi, trigger_id: string, view: ModalView): Promise<ApiAnswer> {
  return api.call('views.open', { trigger_id, view });
}

export function updateView(
  api: SlackApi,
  shown: { id: string; hash: string },
  view: ModalView,
): Promise<ApiAnswer> {
  return api.call('views.update', { view_id: shown.id, hash: shown.hash, view });
}

export function publishHome(api: SlackApi, user_id: string, view: HomeView): Promise<ApiAnswer> {
  return api.call('views.publish', { user_id, view });
}
