import { z } from 'zod';
import type { DriverForge, ForgeRequest } from '../drivers/driver-git.ts';
import { UpstreamError } from '../upstream-error.ts';
import { malformed, type ForgeSession } from './forge-session.ts';

/** Pull requests over GitHub's REST API (docs.github.com/rest/pulls/pulls), version 2022-11-28. */
const Pull = z.object({
  number: z.int().positive(),
  state: z.enum(['open', 'closed']),
  merged_at: z.string().nullable(),
  title: z.string(),
  body: z.string().nullable(),
  html_url: z.string(),
  base: z.object({ ref: z.string() }),
  head: z.object({ ref: z.string(), sha: z.string() }),
});

export function githubForge({ project, branch, request }: ForgeSession): DriverForge {
  const path = `/repos/${project}/pulls`;
  const owner = project.split('/')[0] ?? '';
  return {
    requests: async () => {
      const query = { head: `${owner}:${branch}`, state: 'all', per_page: '100' };
      const found = z.array(Pull).safeParse(await request({ method: 'GET', path, query }));
      if (!found.success) throw malformed('a list of pull requests was expected');
      return found.data.filter((pull) => pull.head.ref === branch).map(requestOf);
    },
    open: async ({ base, title, body }) => {
      const answer = await openRequest(
        request({ method: 'POST', path, body: { title, head: branch, base, body } }),
      );
      const pull = Pull.safeParse(answer);
      if (!pull.success) throw malformed('a pull request was expected');
      return requestOf(pull.data);
    },
    close: async (number) => {
      await request({ method: 'PATCH', path: `${path}/${Math.trunc(number)}`, body: { state: 'closed' } });
    },
  };
}

/** 422 is everything that is not valid, an open request for the same branch among it. */
async function openRequest(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof UpstreamError && error.info.status === 422 && /already exists/i.test(error.message))
      throw new UpstreamError({ ...error.info, problem: 'conflict' });
    throw error;
  }
}

function requestOf(pull: z.infer<typeof Pull>): ForgeRequest {
  return {
    number: pull.number,
    state: pull.merged_at !== null ? 'merged' : pull.state,
    base: pull.base.ref,
    title: pull.title,
    body: pull.body ?? '',
    head_commit: pull.head.sha,
    url: pull.html_url,
  };
}
