import { setTimeout as sleep } from 'node:timers/promises';
import { ApprovalId } from '../contract/approval.ts';
import type { HttpRequest, HttpResponse, HttpRoute } from '../contract/http.ts';
import type { ApprovalNotice } from '../contract/notice.ts';
import { DENY_REASON, DecisionStatement, isPersonToken, signDecision } from '../contract/person-token.ts';
import type { PersonGrant } from '../contract/person-token.ts';
import { isoTime } from '../contract/ports.ts';
import type { Clock, Ids } from '../contract/ports.ts';
import { redactTexts } from '../contract/redact-texts.ts';
import { isRefusal, refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { SignedAnswer, SignedIntake } from '../harness/intake.ts';
import { askPage, donePage, PAGE_HEADERS, planPage } from './step-up-page.ts';
import type { Note } from './step-up-page.ts';

/**
 * The step-up: one approval of the top tier comes over this page, where a person shows their own token. It reads with
 * that person's rights, and decides nothing itself: a signed decision goes into the inbox like one of the command line.
 */
export interface StepUpPorts {
  /** Under which people reach this page; forms from elsewhere are refused. */
  readonly public_url: string;
  readonly persons: { find(token_text: string): Promise<PersonGrant | Refusal> };
  readonly read: (principal: string, approval_id: string) => Promise<ApprovalNotice | Refusal>;
  readonly intake: SignedIntake;
  readonly nameOf: (principal: string) => string;
  readonly redact: (text: string) => string;
  readonly clock: Clock;
  readonly ids: Ids;
}

const PATH = '/approve/*';
const BODY_BYTES_MAX = 16_384;
const FORM_TYPE = /^application\/x-www-form-urlencoded(;|$)/i;
/** Wrong tokens in a minute that are told what is wrong with them; those after them are told to wait. */
const WRONG_PER_MINUTE_MAX = 10;
const MINUTE_MS = 60_000;
const ANSWER_WAIT_MS = 10_000;
const LOOK_EVERY_MS = 100;
const NONCE_BYTES = 16;

const NO_APPROVAL = refuse('not-found', 'There is nothing with that id that you can see.', '');
const FOREIGN_FORM = refuse(
  'foreign-form',
  'This form was not sent from a page of Aegis.',
  'Open the link on the approval card, and decide there.',
);
const NO_TOKEN = refuse('token-unknown', 'Aegis does not know this token.', 'Have one minted for you.');
const SLOW_DOWN = refuse('too-many-wrong-tokens', 'Too many wrong tokens were tried.', 'Wait a minute.');

export function stepUpRoutes(ports: StepUpPorts): HttpRoute[] {
  const wrong = wrongTokens(ports.clock);
  return [
    {
      method: 'GET',
      path: PATH,
      body_bytes_max: 0,
      async handle(request) {
        const id = idOf(request);
        return id === null ? refusedPage(404, 'this page', NO_APPROVAL) : answer(200, askPage(id, null));
      },
    },
    {
      method: 'POST',
      path: PATH,
      body_bytes_max: BODY_BYTES_MAX,
      async handle(request) {
        const id = idOf(request);
        if (id === null) return refusedPage(404, 'this page', NO_APPROVAL);
        if (foreign(request, ports.public_url)) return refusedPage(403, id, FOREIGN_FORM);
        const form = new URLSearchParams(request.body.toString('utf8'));
        const token = (form.get('token') ?? '').trim();
        const grant = isPersonToken(token) ? await ports.persons.find(token) : NO_TOKEN;
        if (!isRefusal(grant)) return withPlan(ports, id, form, { grant, token });
        return wrong() ? refusedPage(429, id, SLOW_DOWN) : refusedPage(403, id, grant);
      },
    },
  ];
}

function idOf({ path }: HttpRequest): string | null {
  const id = ApprovalId.safeParse(path.split('/').at(-1));
  return id.success ? id.data : null;
}

/** Every form carries the token itself, so a foreign page has nothing to ride on; browsers say where it came from all the same. */
function foreign({ headers }: HttpRequest, public_url: string): boolean {
  if (!FORM_TYPE.test(headers['content-type'] ?? '')) return true;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin') return true;
  const origin = headers['origin'];
  return origin !== undefined && origin !== new URL(public_url).origin;
}

/**
 * Counts wrong tokens. A right one is let in all the same: nobody guesses 32 random bytes, and a stranger who tries must
 * not keep the person on call from approving. What is bounded is the noise that he makes in the ledger.
 */
function wrongTokens(clock: Clock): () => boolean {
  let since_ms = 0;
  let count = 0;
  return () => {
    if (clock.now() - since_ms >= MINUTE_MS) {
      since_ms = clock.now();
      count = 0;
    }
    count += 1;
    return count > WRONG_PER_MINUTE_MAX;
  };
}

interface Holder {
  readonly grant: PersonGrant;
  readonly token: string;
}

async function withPlan(
  ports: StepUpPorts,
  id: string,
  form: URLSearchParams,
  holder: Holder,
): Promise<HttpResponse> {
  const { principal } = holder.grant;
  const notice = await ports.read(principal, id);
  if (isRefusal(notice)) return refusedPage(404, id, notice);
  const shown = (status: number, note: Note | null): HttpResponse =>
    answer(status, planPage(redactTexts(notice, ports.redact), ports.nameOf(principal), note));
  const act = form.get('act');
  if (act === 'show') return shown(200, null);
  const seen = ['revision', 'plan_hash', 'effect_hash'].map((name) => form.get(name));
  if (seen.join() !== [String(notice.revision), notice.plan_hash, notice.effect_hash].join()) {
    const stale = refuse('stale-page', 'The plan has changed since this page was drawn.', 'Read it again.');
    return { ...shown(409, noteFor(stale)), refusal: `${stale.code} by ${principal}` };
  }
  const statement = DecisionStatement.safeParse({
    v: 1,
    token_id: holder.grant.token_id,
    via: 'link',
    decision: act,
    incident_id: notice.incident_id,
    approval_id: id,
    revision: notice.revision,
    plan_hash: notice.plan_hash,
    effect_hash: notice.effect_hash,
    reason: act === 'deny' ? (form.get('reason') ?? '').trim() : '',
    because: act === 'deny' ? form.get('because') : null,
    at: isoTime(ports.clock.now()),
    nonce: ports.ids.secret(NONCE_BYTES),
  });
  if (!statement.success) {
    const note: Note = {
      tone: 'bad',
      text: `Nothing was decided. A denial says why, in ${DENY_REASON.chars_min} characters or more.`,
    };
    return { ...shown(400, note), refusal: `not-a-decision by ${principal}` };
  }
  return decided(ports, id, await put(ports, holder.token, statement.data));
}

async function put(ports: StepUpPorts, token: string, statement: DecisionStatement): Promise<SignedAnswer> {
  const { inbox_id } = await ports.intake.put(signDecision(token, statement));
  const end_ms = ports.clock.now() + ANSWER_WAIT_MS;
  let answered = await ports.intake.answer(inbox_id);
  while (answered.state === 'pending' && ports.clock.now() < end_ms) {
    await sleep(LOOK_EVERY_MS);
    answered = await ports.intake.answer(inbox_id);
  }
  return answered;
}

function decided(ports: StepUpPorts, id: string, { state, ...more }: SignedAnswer): HttpResponse {
  if (state === 'counted')
    return answer(200, donePage(id, { tone: 'good', text: 'Your decision is recorded and counts.' }));
  if (state === 'pending')
    return answer(202, donePage(id, { tone: 'plain', text: 'Written down; it is decided in a moment.' }));
  // The runner has written this refusal into the incident's chain already.
  const text = ports.redact('why' in more ? more.why : '');
  return { ...answer(409, donePage(id, { tone: 'bad', text: `Not counted. ${text}` })), refusal: null };
}

function noteFor({ reason, remedy }: Refusal): Note {
  return { tone: 'bad', text: `${reason} ${remedy}`.trim() };
}

function refusedPage(status: number, id: string, refusal: Refusal): HttpResponse {
  return { ...answer(status, askPage(id, noteFor(refusal))), refusal: refusal.code };
}

function answer(status: number, body: string): HttpResponse {
  return { status, headers: PAGE_HEADERS, body };
}
