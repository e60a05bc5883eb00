// Who acts: bot, guest, deactivated, foreign? Asked of Slack for each acting user and remembered for a minute. When Slack
// cannot say, the act is refused: a missing identity is no identity.
import type { SlackAccount } from '../harness/intake.ts';
import type { Clock } from '../contract/ports.ts';
import { refuse, type Refusal } from '../contract/verdict.ts';
import type { ApiAnswer, SlackApi } from './slack-api.ts';

const MEMORY_MS = 60_000;
const MEMORY_MAX = 5_000;
/** A click must be acknowledged within three seconds; asking who clicked may use half of them. */
const ASK_MS = 1_500;
const USER = /^[UW][A-Z0-9]{2,20}$/;

export interface Accounts {
  of(user: string): Promise<SlackAccount | Refusal>;
}

interface UserFacts {
  readonly id?: unknown;
  readonly team_id?: unknown;
  readonly deleted?: unknown;
  readonly is_bot?: unknown;
  readonly is_workflow_bot?: unknown;
  readonly is_restricted?: unknown;
  readonly is_ultra_restricted?: unknown;
  readonly is_stranger?: unknown;
}

export function createAccounts(api: SlackApi, clock: Clock): Accounts {
  const memory = new Map<string, { account: SlackAccount; until_ms: number }>();
  return {
    async of(user) {
      if (!USER.test(user)) return unknownAccount('Slack sent no user with this act');
      const known = memory.get(user);
      if (known !== undefined && known.until_ms > clock.now()) return known.account;
      memory.delete(user);
      const answer = await within(api.call('users.info', { user }), ASK_MS);
      if (answer === null) return unknownAccount('Slack did not say in time who you are');
      if (!answer.ok) return unknownAccount('Slack did not say who you are');
      const account = accountOf(user, answer.body['user'] as UserFacts | undefined);
      if (account === null) return unknownAccount('Slack said too little about your account');
      if (memory.size >= MEMORY_MAX) memory.clear();
      memory.set(user, { account, until_ms: clock.now() + MEMORY_MS });
      return account;
    },
  };
}

function unknownAccount(reason: string): Refusal {
  return refuse(
    'unknown-account',
    `${reason}, so nothing was done.`,
    'Press again in a moment, or use the aegis command line.',
  );
}

/** Null unless every fact is there: a field that Slack left out is not a "no". */
function accountOf(user: string, facts: UserFacts | undefined): SlackAccount | null {
  if (facts === undefined || facts.id !== user || typeof facts.team_id !== 'string') return null;
  // Slack leaves the flags of deactivated users out.
  const gone = facts.deleted === true;
  if (
    !gone &&
    (typeof facts.is_bot !== 'boolean' ||
      typeof facts.is_restricted !== 'boolean' ||
      typeof facts.is_ultra_restricted !== 'boolean')
  )
    return null;
  return {
    workspace: facts.team_id,
    user,
    is_bot: facts.is_bot === true || facts.is_workflow_bot === true || user === 'USLACKBOT',
    is_guest:
      facts.is_restricted === true || facts.is_ultra_restricted === true || facts.is_stranger === true,
    is_deactivated: gone,
  };
}

async function within(answer: Promise<ApiAnswer>, timeout_ms: number): Promise<ApiAnswer | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), timeout_ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
