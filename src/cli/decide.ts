import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApprovalId } from '../contract/approval.ts';
import { approvalSheet } from '../contract/approval-sheet.ts';
import type { ApprovalNotice } from '../contract/notice.ts';
import { DENY_REASON, DenyBecause, signDecision } from '../contract/person-token.ts';
import type { DecisionStatement } from '../contract/person-token.ts';
import { isoTime } from '../contract/ports.ts';
import { redactTexts } from '../contract/redact-texts.ts';
import { isRefusal } from '../contract/verdict.ts';
import { createSignedIntake } from '../harness/intake.ts';
import type { SignedAnswer, SignedIntake } from '../harness/intake.ts';
import { readApprovalAs } from '../harness/read-approval.ts';
import { systemClock, systemIds } from '../system-ports.ts';
import { withContext } from './context.ts';
import type { CliContext } from './context.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print } from './output.ts';
import { personAtTerminal, refusedHere } from './person-token.ts';
import { openGateway } from './open-gateway.ts';

/**
 * `aegis approve|deny|withdraw <APR-n>`: a decision with a person's own token. The service decides whether it counts, by
 * the same rules as a click in Slack; this verb shows the plan, signs, writes it down and waits for the answer.
 */
export interface DecideOptions {
  readonly planHash?: string;
  readonly tokenFile?: string;
  readonly reason?: string;
  readonly because?: string;
  readonly wait: string;
}

type Verb = DecisionStatement['decision'];

/** Digits that a person types, and the fewest that a script must name. */
const TYPED_DIGITS = 6;
const SCRIPT_DIGITS_MIN = 12;
const WAIT_S_MAX = 300;
const LOOK_EVERY_MS = 200;
const NONCE_BYTES = 16;

export async function decide(
  options: GlobalOptions,
  verb: Verb,
  approval_id: string,
  o: DecideOptions,
): Promise<void> {
  if (!ApprovalId.safeParse(approval_id).success)
    throw new CliError(`"${approval_id}" is not an approval; they look like APR-7`, EXIT.usage);
  const why = whyOf(verb, o);
  const wait_ms = waitOf(o.wait);
  const digits = digitsOf(o.planHash);
  await withContext(options, 'write', async (context) => {
    const { store, config } = context;
    const about = `${verb} ${approval_id} (cli)`;
    const { grant, text } = await personAtTerminal(store, o.tokenFile, about);
    const ports = { store, settings: config.settings, clock: systemClock };
    const read = () => readApprovalAs(ports, grant.principal, approval_id);
    const notice = await read();
    if (isRefusal(notice)) throw await refusedHere(store, notice, about);
    const sheet = sheetText(await redacted(context, notice));
    if (options.json !== true) process.stdout.write(`${sheet}\n\n`);
    if (verb === 'approve') await confirm(notice, digits);
    const { incident_id, revision, plan_hash, effect_hash } = notice;
    const what = { incident_id, approval_id, revision, plan_hash, effect_hash };
    const signed = signDecision(text, {
      v: 1,
      token_id: grant.token_id,
      via: 'cli',
      decision: verb,
      ...what,
      ...why,
      at: isoTime(systemClock.now()),
      nonce: systemIds.secret(NONCE_BYTES),
    });
    // The service looks into its inbox each second; nobody here can wake it.
    const intake = createSignedIntake(store.inbox, () => undefined);
    const { inbox_id } = await intake.put(signed);
    const answer = await waitFor(intake, inbox_id, wait_ms);
    if (answer.state === 'refused') throw new CliError(answer.why);
    if (answer.state === 'pending')
      throw new CliError(
        `Your decision is written down (${inbox_id}), and Aegis has not taken it in after ${wait_ms / 1000} s; is it running? It is decided as soon as it runs, unless ${approval_id} has ended by then.`,
      );
    const after = await read();
    const standing = isRefusal(after) ? null : after;
    print(
      options,
      {
        approval_id,
        decision: verb,
        by: grant.principal,
        via: 'cli',
        counted: true,
        status: standing?.status ?? null,
        approvals_given: standing?.approvals_given ?? null,
        people: notice.rule.people,
        plan_hash,
        sheet: approvalSheet(notice),
      },
      doneText(verb, approval_id, standing),
    );
  });
}

function whyOf(verb: Verb, o: DecideOptions): Pick<DecisionStatement, 'reason' | 'because'> {
  if (verb !== 'deny') return { reason: '', because: null };
  const reason = (o.reason ?? '').trim();
  if (reason.length < DENY_REASON.chars_min || reason.length > DENY_REASON.chars_max)
    throw new CliError(
      `say why with --reason, in ${DENY_REASON.chars_min} to ${DENY_REASON.chars_max} characters: the next plan is made from it`,
      EXIT.usage,
    );
  const because = DenyBecause.safeParse(o.because ?? 'other');
  if (!because.success)
    throw new CliError(`--because ${o.because} is not one of ${DenyBecause.options.join(', ')}`, EXIT.usage);
  return { reason, because: because.data };
}

function waitOf(text: string): number {
  const seconds = /^\d{1,3}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(seconds) || seconds > WAIT_S_MAX)
    throw new CliError(`--wait ${text} is not a time; give whole seconds, ${WAIT_S_MAX} at most`, EXIT.usage);
  return seconds * 1000;
}

function digitsOf(text: string | undefined): string | null {
  if (text === undefined) return null;
  const digits = text.toLowerCase().replace(/^sha256:/, '');
  if (!/^[0-9a-f]{12,64}$/.test(digits))
    throw new CliError(
      `--plan-hash takes the first ${SCRIPT_DIGITS_MIN} digits of the plan hash, or more`,
      EXIT.usage,
    );
  return digits;
}

/** Slack's cards pass the same filter. */
async function redacted(context: CliContext, notice: ApprovalNotice): Promise<ApprovalNotice> {
  const gateway = await openGateway(context);
  try {
    return redactTexts(notice, (text) => gateway.redactText(text));
  } finally {
    await gateway.close();
  }
}

function sheetText(notice: ApprovalNotice): string {
  return approvalSheet(notice)
    .map(({ title, lines }) => `${title}\n${lines.map((line) => `  ${line}`).join('\n')}`)
    .join('\n\n');
}

/** An approval of something else than what was just read must not slip through: the digits tie it to this plan. */
async function confirm({ plan_hash, approval_id }: ApprovalNotice, digits: string | null): Promise<void> {
  if (digits !== null) {
    if (plan_hash.startsWith(digits)) return;
    throw new CliError(
      `${approval_id} is for another plan (sha256:${plan_hash.slice(0, SCRIPT_DIGITS_MIN)}…) than the one you named; read it, and name its hash`,
    );
  }
  if (!process.stdin.isTTY)
    throw new CliError(
      'nobody can type here; a script names the plan that somebody has read: --plan-hash <digits>',
      EXIT.usage,
    );
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const typed = await terminal.question(
    `Type the first ${TYPED_DIGITS} digits of the plan hash to approve, anything else to leave: `,
  );
  terminal.close();
  if (typed.trim().toLowerCase() !== plan_hash.slice(0, TYPED_DIGITS))
    throw new CliError('those are not its first digits; nothing was decided');
}

async function waitFor(intake: SignedIntake, inbox_id: string, wait_ms: number): Promise<SignedAnswer> {
  const end_ms = systemClock.now() + wait_ms;
  let answer = await intake.answer(inbox_id);
  while (answer.state === 'pending' && systemClock.now() < end_ms) {
    await sleep(LOOK_EVERY_MS);
    answer = await intake.answer(inbox_id);
  }
  return answer;
}

function doneText(verb: Verb, approval_id: string, now: ApprovalNotice | null): string {
  if (verb === 'deny') return `Denied: ${approval_id} will not run.`;
  const count = now === null ? '' : ` ${now.approvals_given} of ${now.rule.people} approvals are given.`;
  return verb === 'withdraw'
    ? `Withdrawn: your approval of ${approval_id} no longer counts.${count}`
    : `Counted: you approved ${approval_id}.${count}`;
}
