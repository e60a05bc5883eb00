// What the plain incident buttons share: who, which incident, write it down, acknowledge. A button that Slack cannot name
// the presser of, or whose value is not ours, does nothing and says so.
import { isRefusal } from '../../contract/verdict.ts';
import type { PersonAct } from '../../harness/intake.ts';
import type { SlackAccount } from '../../harness/intake.ts';
import { refusalAnswer, sentence, tell } from '../answers.ts';
import { IncidentRef, parseValue } from '../button-values.ts';
import { clickKey } from '../dedup-keys.ts';
import type { ButtonListener, Click, ListenerTools, Place } from './listener.ts';

export type Origin = PersonAct['origin'];

export function originOf(account: SlackAccount, place: Place): Origin {
  return { account, channel: place.channel, thread_ts: place.thread_ts };
}

/** The account behind a click, or null after the presser was told why not. */
export async function accountOf(
  click: Pick<Click, 'user' | 'place'>,
  tools: ListenerTools,
): Promise<SlackAccount | null> {
  const account = await tools.accounts.of(click.user);
  if (!isRefusal(account)) return account;
  await tell(tools, click.user, click.place, refusalAnswer(account, tools));
  return null;
}

export const UNREADABLE =
  'This button carries nothing that I understand; it may come from an older version. Use the newest card in the thread.';

export function incidentButton(
  action_id: string,
  act: (origin: Origin, incident_id: string) => PersonAct,
): ButtonListener {
  return {
    kind: 'button',
    action_ids: [action_id],
    async handle(click, tools, ack) {
      const ref = parseValue(IncidentRef, click.value);
      if (ref === null || click.place === null) {
        await ack();
        await tell(tools, click.user, click.place, sentence(UNREADABLE, tools));
        return;
      }
      const account = await accountOf(click, tools);
      if (account !== null)
        await tools.intake.person(act(originOf(account, click.place), ref.inc), clickKey(click));
      await ack();
    },
  };
}
