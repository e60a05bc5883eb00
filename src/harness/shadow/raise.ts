import type { Identity, Settings } from '../../contract/settings.ts';
import { isRefusal, refuse } from '../../contract/verdict.ts';
import type { Refusal } from '../../contract/verdict.ts';
import type { Store } from '../../store/store.ts';
import { requireMember } from '../identity.ts';
import { ladderView } from './ladder-facts.ts';
import { placeWords } from './ladder.ts';
import type { Place } from './ladder.ts';

/** The second person decides within this time, or the first one's wish is void. */
const VOTE_WINDOW_MS = 24 * 3_600_000;

/**
 * One person's wish to let a place go one step up again after it went down by itself. Two distinct people of the team
 * decide it, and only once the record says so; aegis.yaml stays the ceiling.
 */
export async function voteRaise(
  deps: { readonly store: Pick<Store, 'ladder'>; readonly settings: Settings },
  identity: Identity,
  text: string,
): Promise<Refusal | string> {
  const place = placeFrom(text);
  const found = place === null ? null : await ladderView(deps, place);
  const member = place === null ? null : requireMember(identity, place.team, place.env);
  // Who is no member hears the same for a place that exists and for one that does not.
  if (place === null || found === null || isRefusal(member))
    return refuse(
      'no-such-place',
      `There is no place "${text.trim().slice(0, 100)}" that you have a role in.`,
      'Write team/environment/service, as "aegis ladder" lists it.',
    );
  const { to, from, configured, ready, figures } = found;
  const words = placeWords(place);
  if (to === null || from === configured)
    return refuse(
      'at-ceiling',
      `${words} is on ${from}, which is all that aegis.yaml allows.`,
      'A higher level is a reviewed change of autonomy in aegis.yaml.',
    );
  if (!ready)
    return refuse(
      'not-earned',
      `${words} has not earned ${to} yet: ${figures}.`,
      'It is earned by incidents.',
    );
  const vote = await deps.store.ladder.vote(place, {
    to,
    by: identity.principal,
    window_ms: VOTE_WINDOW_MS,
  });
  if (vote === 'same-person')
    return refuse(
      'same-person',
      `You have asked for ${to} already.`,
      'Another person has to agree within a day.',
    );
  if (vote === 'first')
    return `Written down: ${words} from ${from} to ${to} (${figures}). One more person of the team has to say /aegis raise ${words} within a day.`;
  return `Decided by ${vote.by.join(' and ')}: incidents of ${words} that open from now on run with ${to}.`;
}

function placeFrom(text: string): Place | null {
  const [team, env, service = '-', ...rest] = text.trim().split('/');
  const is_name = (part: string | undefined) =>
    part !== undefined && /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(part);
  if (!is_name(team) || !is_name(env) || rest.length > 0) return null;
  if (service !== '-' && !is_name(service)) return null;
  return { team: team as string, env: env as string, service };
}
