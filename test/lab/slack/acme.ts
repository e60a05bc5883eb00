// A small company for the twin's tests, and the two reference cards of the house plan as data.
import type { WorkspaceDefinition } from '../../../src/lab/slack/workspace.ts';
import { startSlackTwin, type SlackTwin, type SlackTwinOptions } from '../../../src/lab/slack/twin.ts';

export const SECRET = 'test-signing-secret-0123456789abcdef';
export const TOKEN = 'xoxb-test-token';

export function acme(): WorkspaceDefinition {
  return {
    team: { id: 'T0ACME', name: 'Acme', domain: 'acme' },
    app_id: 'A0AEGIS',
    bot: { user_id: 'U0AEGIS', bot_id: 'B0AEGIS', name: 'aegis', real_name: 'Aegis' },
    users: [
      { id: 'U0MAYA', name: 'maya', real_name: 'Maya Ortiz', tz: 'Europe/Berlin' },
      { id: 'U0DAN', name: 'dan', real_name: 'Dan Okafor' },
      { id: 'U0LEE', name: 'lee', real_name: 'Lee Chen', role: 'admin' },
      { id: 'U0GUS', name: 'gus', role: 'guest' },
      { id: 'U0OLD', name: 'old', role: 'deactivated' },
      { id: 'U0FOR', name: 'forrest', role: 'foreign', team_id: 'T0OTHER' },
      { id: 'U0CI', name: 'ci', role: 'bot' },
    ],
    channels: [
      {
        id: 'C0DATA',
        name: 'data-oncall',
        members: ['U0MAYA', 'U0DAN', 'U0LEE', 'U0GUS', 'U0OLD', 'U0FOR', 'U0CI', 'U0AEGIS'],
      },
      { id: 'C0RAND', name: 'random', members: ['U0MAYA', 'U0DAN'] },
      { id: 'C0ARCH', name: 'archive', members: ['U0MAYA', 'U0AEGIS'], archived: true },
      { id: 'G0SEC', name: 'secret', members: ['U0LEE'], private: true },
      { id: 'G0OPS', name: 'ops', members: ['U0LEE', 'U0AEGIS'], private: true },
    ],
    usergroups: [{ id: 'S0PLAT', handle: 'platform-leads', users: ['U0LEE', 'U0DAN'] }],
  };
}

export function startAcme(options: Partial<SlackTwinOptions> = {}): Promise<SlackTwin> {
  return startSlackTwin({
    signing_secret: SECRET,
    bot_token: TOKEN,
    workspace: acme(),
    limits: { enforced: false },
    event_retry_delays_ms: [0, 20, 40],
    ...options,
  });
}

export type Block = Record<string, unknown>;

export function section(text: string, block_id?: string): Block {
  return { type: 'section', ...(block_id ? { block_id } : {}), text: { type: 'mrkdwn', text } };
}

export function button(action_id: string, value: string, extra: Block = {}): Block {
  return { type: 'button', action_id, value, text: { type: 'plain_text', text: 'Press' }, ...extra };
}

export function actions(block_id: string, ...elements: Block[]): Block {
  return { type: 'actions', block_id, elements };
}
