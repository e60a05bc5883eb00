import { startTwinServer, type TwinCall, type TwinReply } from '../twin-http.ts';
import { bareRepository, type BareRepository } from './bare-repository.ts';
import type { ForgeTwin, ForgeTwinOptions } from './github-twin.ts';

/** Three endpoints of GitLab's REST API over a bare repository; see FIDELITY.md. */
interface MergeRequest {
  readonly iid: number;
  readonly source_branch: string;
  readonly target_branch: string;
  readonly title: string;
  readonly description: string;
  state: 'opened' | 'closed' | 'merged';
  sha: string;
}

const PROJECT_ID = 7;

export async function startGitlabTwin(options: ForgeTwinOptions): Promise<ForgeTwin> {
  const repository = bareRepository(options.repository);
  const made: MergeRequest[] = [];
  const requests: string[] = [];
  let exhausted = false;
  const handle = async (call: TwinCall): Promise<TwinReply> => {
    if (call.headers.authorization !== `Bearer ${options.token}`)
      return json(401, { message: '401 Unauthorized' });
    requests.push(`${call.method} ${call.path}`);
    if (exhausted)
      return {
        status: 429,
        headers: { 'Content-Type': 'text/plain', 'Retry-After': '60' },
        body: 'Retry later\n',
      };
    await follow(repository, made);
    // The project is one segment: its slashes must have been encoded.
    const base = `/api/v4/projects/${encodeURIComponent(options.project)}`;
    if (!call.raw_path.startsWith(`${base}/`)) return json(404, { message: '404 Project Not Found' });
    const rest = call.raw_path.slice(base.length);
    if (rest === '/merge_requests' && call.method === 'GET') return list(made, call);
    if (rest === '/merge_requests' && call.method === 'POST') return open(repository, made, call);
    const [, iid] = /^\/merge_requests\/(\d+)$/.exec(rest) ?? [];
    if (iid !== undefined && call.method === 'PUT') return update(made, Number(iid), call);
    return json(501, {
      error: `gitlab twin: ${call.method} ${call.path} is outside of the implemented subset`,
    });
  };
  const fault_body = (): string => JSON.stringify({ message: '500 Internal Server Error' });
  const server = await startTwinServer({ handle, fault_body });
  return {
    url: `${server.url}/api/v4`,
    faults: server.faults,
    requests: () => [...requests],
    states: async () => {
      await follow(repository, made);
      return made.map(({ iid, state, target_branch, title }) => ({
        number: iid,
        state: state === 'opened' ? 'open' : state,
        base: target_branch,
        title,
      }));
    },
    merge: async (number) => {
      const one = made.find((candidate) => candidate.iid === number);
      if (one === undefined) throw new Error(`there is no merge request ${number}`);
      await repository.git('update-ref', `refs/heads/${one.target_branch}`, one.sha);
      one.state = 'merged';
    },
    exhaust: (left) => {
      exhausted = left;
    },
    close: () => server.close(),
  };
}

async function follow(repository: BareRepository, made: readonly MergeRequest[]): Promise<void> {
  for (const one of made)
    if (one.state === 'opened') one.sha = (await repository.tip(one.source_branch)) ?? one.sha;
}

function list(made: readonly MergeRequest[], { query }: TwinCall): TwinReply {
  const source = query.get('source_branch');
  const state = query.get('state') ?? 'all';
  const found = made.filter(
    (one) => (source === null || source === one.source_branch) && (state === 'all' || state === one.state),
  );
  return json(200, found.toReversed().map(shown));
}

async function open(
  repository: BareRepository,
  made: MergeRequest[],
  { body }: TwinCall,
): Promise<TwinReply> {
  const wanted = JSON.parse(body) as Partial<
    Record<'source_branch' | 'target_branch' | 'title' | 'description', string>
  >;
  const { source_branch, target_branch, title } = wanted;
  for (const name of ['source_branch', 'target_branch', 'title'] as const)
    if (wanted[name] === undefined) return json(400, { error: `${name} is missing` });
  const sha = await repository.tip(source_branch ?? '');
  if (sha === null) return json(400, { message: [`Source branch "${source_branch}" does not exist`] });
  if ((await repository.tip(target_branch ?? '')) === null)
    return json(400, { message: [`Target branch "${target_branch}" does not exist`] });
  const twin = made.find((one) => one.state === 'opened' && one.source_branch === source_branch);
  if (twin !== undefined)
    return json(409, {
      message: [`Another open merge request already exists for this source branch: !${twin.iid}`],
    });
  const one: MergeRequest = {
    iid: made.length + 1,
    source_branch: source_branch ?? '',
    target_branch: target_branch ?? '',
    title: title ?? '',
    description: wanted.description ?? '',
    state: 'opened',
    sha,
  };
  made.push(one);
  return json(201, shown(one));
}

function update(made: readonly MergeRequest[], iid: number, { body }: TwinCall): TwinReply {
  const one = made.find((candidate) => candidate.iid === iid);
  if (one === undefined) return json(404, { message: '404 Not found' });
  const { state_event } = JSON.parse(body) as { state_event?: unknown };
  if (state_event !== 'close') return json(501, { error: 'gitlab twin: only closing is implemented' });
  one.state = 'closed';
  return json(200, shown(one));
}

function shown(one: MergeRequest): object {
  return {
    id: 1000 + one.iid,
    iid: one.iid,
    project_id: PROJECT_ID,
    source_project_id: PROJECT_ID,
    target_project_id: PROJECT_ID,
    title: one.title,
    description: one.description,
    state: one.state,
    source_branch: one.source_branch,
    target_branch: one.target_branch,
    sha: one.sha,
    web_url: `https://gitlab.example.com/-/merge_requests/${one.iid}`,
    draft: false,
  };
}

function json(status: number, value: unknown): TwinReply {
  return {
    status,
    headers: { 'Content-Type': 'application/json', 'RateLimit-Limit': '2000', 'RateLimit-Remaining': '1999' },
    body: JSON.stringify(value),
  };
}
