// Progress of execution and verification: one `plan` block, edited in place.
import type { KnownBlock, TaskCardBlock } from '@slack/types';
import type { ProgressNotice } from '../../contract/notice.ts';
import { LIMITS, cut, topText } from '../block-limits.ts';
import { oneLine } from '../../contract/visible.ts';
import { context, paragraph, richText, say } from '../blocks.ts';
import { SIMULATED, type Card, type CardContext } from './card.ts';

/** Task titles are documented as plain text; angle brackets are replaced all the same, in case a client parses them. */
function title(text: string): string {
  const quiet = cut(oneLine(text).replaceAll('<', '‹').replaceAll('>', '›'), LIMITS.task_title_max);
  return quiet === '' ? '-' : quiet;
}

export function progressCard(notice: ProgressNotice, ctx: CardContext): Card {
  const tasks = notice.tasks.slice(0, LIMITS.plan_tasks_max).map((task, at): TaskCardBlock => {
    const output = task.output === null ? '' : cut(oneLine(task.output), outputMax(notice.tasks.length));
    return {
      type: 'task_card',
      block_id: `prg.${at}.${ctx.revision}`,
      task_id: `t${at}`,
      title: title(task.title),
      status: task.status,
      ...(output === ''
        ? {}
        : { output: richText(`prg.${at}.out.${ctx.revision}`, [paragraph([say(output)])]) }),
    };
  });
  const blocks: KnownBlock[] = [
    { type: 'plan', block_id: `prg.${ctx.revision}`, title: title(notice.title), tasks },
  ];
  if (ctx.simulated) blocks.push(context(`prg.sim.${ctx.revision}`, [SIMULATED]));
  return { text: summary(notice), blocks };
}

/** Forty tasks must fit into one message; a few may say more. */
function outputMax(tasks: number): number {
  return tasks <= 12 ? LIMITS.task_output_max : 80;
}

function summary(notice: ProgressNotice): string {
  const done = notice.tasks.filter((task) => task.status === 'complete').length;
  const failed = notice.tasks.find((task) => task.status === 'error');
  const running = notice.tasks.find((task) => task.status === 'in_progress');
  const now =
    failed !== undefined
      ? `, failed: ${failed.title}`
      : running !== undefined
        ? `, now: ${running.title}`
        : '';
  return topText(`${notice.incident_id} ${notice.title}: ${done} of ${notice.tasks.length} done${now}`);
}
