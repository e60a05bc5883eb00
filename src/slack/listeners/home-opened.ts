// The Home tab, drawn when somebody opens it, at most once in five seconds for each.
import { isRefusal } from '../../contract/verdict.ts';
import { isoTime } from '../../contract/ports.ts';
import type { StatusView } from '../../harness/inspect.ts';
import { refusalWords } from '../answers.ts';
import { redactTexts } from '../../contract/redact-texts.ts';
import { publishHome } from '../slack-api.ts';
import { homeView } from '../views/home-view.ts';
import type { EventListener, ListenerTools } from './listener.ts';

const QUIET_MS = 5_000;

export const homeOpened: EventListener = {
  kind: 'event',
  event_type: 'app_home_opened',
  async handle(happening, tools, ack) {
    const { user, tab } = happening.event;
    const fresh =
      typeof user === 'string' &&
      tab === 'home' &&
      (await tools.inbox.rememberOnce(
        `slack home ${user} ${Math.floor(tools.clock.now() / QUIET_MS)}`,
        tools.clock.now() + QUIET_MS * 2,
      ));
    ack();
    if (!fresh) return;
    const read = await statusOf(user, tools);
    const view = homeView({
      ...read,
      workspace_url: tools.workspace_url(),
      now_iso: isoTime(tools.clock.now()),
      simulated: tools.simulated,
    });
    const answer = await publishHome(tools.api, user, view);
    if (!answer.ok) tools.log.warn({ room: 'slack', error: answer.error }, 'a Home tab could not be drawn');
  },
};

async function statusOf(
  user: string,
  tools: ListenerTools,
): Promise<{ status: StatusView | null; problem: string }> {
  try {
    const account = await tools.accounts.of(user);
    const status = isRefusal(account) ? account : await tools.inspect.status(account);
    if (isRefusal(status)) return { status: null, problem: tools.redact(refusalWords(status)) };
    return { status: redactTexts(status, tools.redact), problem: '' };
  } catch (error) {
    tools.log.error({ room: 'slack', error: String(error) }, 'the status could not be read for a Home tab');
    return {
      status: null,
      problem:
        'The status could not be read just now. Open this tab again in a moment, or run: aegis incidents',
    };
  }
}
