import { z } from 'zod';
import type { DriverForge, ForgeRequest } from '../drivers/driver-git.ts';
import { malformed, type ForgeSession } from './forge-session.ts';

/** Merge requests over GitLab's REST API, version 4 (docs.gitlab.com/api/merge_requests). */
const MergeRequest = z.object({
  iid: z.int().positive(),
  state: z.enum(['opened', 'closed', 'locked', 'merged']),
  title: z.string(),
  description: z.string().nullable(),
  source_branch: z.string(),
  target_branch: z.string(),
  source_project_id: z.int().nullable(),
  target_project_id: z.int(),
  sha: z.string().nullable(),
  web_url: z.string(),
});

export function gitlabForge({ project, branch, request }: ForgeSession): DriverForge {
  const path = `/projects/${encodeURIComponent(project)}/merge_requests`;
  return {
    requests: async () => {
      const query = { source_branch: branch, state: 'all', per_page: '100' };
      const found = z.array(MergeRequest).safeParse(await request({ method: 'GET', path, query }));
      if (!found.success) throw malformed('a list of merge requests was expected');
      return found.data
        .filter((one) => one.source_branch === branch && one.source_project_id === one.target_project_id)
        .map(requestOf);
    },
    open: async ({ base, title, body }) => {
      const answer = await request({
        method: 'POST',
        path,
        body: { source_branch: branch, target_branch: base, title, description: body },
      });
      const made = MergeRequest.safeParse(answer);
      if (!made.success) throw malformed('a merge request was expected');
      return requestOf(made.data);
    },
    close: async (number) => {
      await request({ method: 'PUT', path: `${path}/${Math.trunc(number)}`, body: { state_event: 'close' } });
    },
  };
}

function requestOf(one: z.infer<typeof MergeRequest>): ForgeRequest {
  const state = one.state === 'opened' ? 'open' : one.state === 'locked' ? 'merged' : one.state;
  return {
    number: one.iid,
    state,
    base: one.target_branch,
    title: one.title,
    body: one.description ?? '',
    head_commit: one.sha ?? '',
    url: one.web_url,
  };
}
