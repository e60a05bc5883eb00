// Modals in two steps: a loading view inside the three seconds of the trigger, then the real one. Whatever goes wrong
// between is said in the modal itself.
import type { ModalView } from '@slack/types';
import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import type { SlackAccount } from '../../harness/intake.ts';
import { refusalWords, sentence, tell } from '../answers.ts';
import { openView, updateView } from '../slack-api.ts';
import { loadingView, wordsView } from '../views/modal.ts';
import type { Click, ListenerTools, Place } from './listener.ts';

interface Shown {
  readonly id: string;
  readonly hash: string;
}

/** Opens the loading view; null after the presser was told that it was too late. */
export async function openLoading(
  click: Click,
  tools: ListenerTools,
  title: string,
  doing: string,
): Promise<Shown | null> {
  const opened = await openView(tools.api, click.trigger_id, loadingView(title, doing));
  if (opened.ok) {
    const view = opened.body['view'] as { id?: unknown; hash?: unknown } | undefined;
    if (typeof view?.id === 'string' && typeof view.hash === 'string')
      return { id: view.id, hash: view.hash };
  }
  tools.log.warn(
    { room: 'slack', action: click.action_id, error: opened.ok ? 'no view id' : opened.error },
    'a dialog could not be opened',
  );
  await tell(
    tools,
    click.user,
    click.place,
    sentence('That took too long for Slack, so the dialog did not open. Press the button again.', tools),
  );
  return null;
}

/** Fills a view with what `draw` reads, or with the reason why it could not be read. */
export async function fillView(
  shown: Shown,
  click: Click,
  tools: ListenerTools,
  title: string,
  draw: (account: SlackAccount) => Promise<ModalView | Refusal>,
): Promise<void> {
  const view = await drawn(click, tools, title, draw);
  const answer = await updateView(tools.api, shown, view);
  if (answer.ok) return;
  tools.log.warn(
    { room: 'slack', action: click.action_id, error: answer.error },
    'a dialog could not be filled',
  );
  // Somebody else changed it, or it was closed: theirs stands. Otherwise say so in the dialog once more.
  if (answer.kind === 'refused' && ['hash_conflict', 'not_found'].includes(answer.error)) return;
  await updateView(
    tools.api,
    shown,
    wordsView(
      title,
      'Slack did not take the content of this dialog. Close it and press the button again.',
      tools.simulated,
    ),
  );
}

async function drawn(
  click: Click,
  tools: ListenerTools,
  title: string,
  draw: (account: SlackAccount) => Promise<ModalView | Refusal>,
): Promise<ModalView> {
  try {
    const account = await tools.accounts.of(click.user);
    const result = isRefusal(account) ? account : await draw(account);
    return isRefusal(result) ? wordsView(title, tools.redact(refusalWords(result)), tools.simulated) : result;
  } catch (error) {
    tools.log.error(
      { room: 'slack', action: click.action_id, error: String(error) },
      'a dialog could not be drawn',
    );
    return wordsView(
      title,
      'This could not be read just now. Nothing was changed. Close the dialog and press the button again.',
      tools.simulated,
    );
  }
}

export function placeOrNone(click: Click): Place {
  return click.place ?? { channel: '', thread_ts: null };
}
