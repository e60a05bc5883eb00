// The Home tab: who is waited for, what is open, what is frozen, and how to begin. Pure.
import type { HomeView, KnownBlock } from '@slack/types';
import type { StatusView } from '../../harness/inspect.ts';
import { mrkdwn } from '../block-limits.ts';
import { code, context, header, moment, paragraph, richText, say } from '../blocks.ts';
import { SIMULATED } from '../cards/card.ts';
import { freezeList, incidentList } from '../status-blocks.ts';

export interface HomeSpec {
  readonly status: StatusView | null;
  /** Why there is no status: one sentence. */
  readonly problem: string;
  readonly workspace_url: string | null;
  readonly now_iso: string;
  readonly simulated: boolean;
}

export function homeView(spec: HomeSpec): HomeView {
  const blocks: KnownBlock[] = [header('home.title', 'Aegis')];
  const { status } = spec;
  if (status === null) blocks.push(richText('home.problem', [paragraph([say(spec.problem)])]));
  else {
    const waiting = status.incidents.filter((line) => line.waiting_for !== null);
    const others = status.incidents.filter((line) => line.waiting_for === null);
    blocks.push(header('home.wait.head', `Waiting for people (${waiting.length})`));
    blocks.push(
      waiting.length > 0
        ? incidentList('home.wait', waiting, spec.workspace_url)
        : empty('home.wait', 'Approvals and questions that need a person would stand here.'),
    );
    blocks.push(header('home.open.head', `In progress (${others.length})`));
    blocks.push(
      others.length > 0
        ? incidentList('home.open', others, spec.workspace_url)
        : empty('home.open', 'Incidents that Aegis is working on would stand here.'),
    );
    if (status.freezes.length > 0)
      blocks.push(header('home.frozen.head', 'Frozen'), freezeList('home.frozen', status.freezes));
  }
  const how = [
    say('To begin: '),
    code('/aegis investigate <what you see>'),
    say(' in a service channel, or press '),
    code('Activate'),
    say(' on an incident. '),
    code('/aegis help'),
    say(' lists the rest.'),
  ];
  blocks.push({ type: 'divider', block_id: 'home.line' }, richText('home.how', [paragraph(how)]));
  const fresh = mrkdwn`Drawn ${moment(spec.now_iso, '{date_num} {time_secs}')}`;
  blocks.push(context('home.foot', spec.simulated ? [SIMULATED, fresh] : [fresh]));
  return { type: 'home', blocks };
}

function empty(block_id: string, words: string): KnownBlock {
  return context(block_id, [mrkdwn`${words}`]);
}
