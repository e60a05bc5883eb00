import { startTwinServer, type FaultControls, type TwinCall, type TwinReply } from '../twin-http.ts';
import { bareRepository, type BareRepository } from './bare-repository.ts';

/** Three endpoints of GitHub's REST API over a bare repository; see FIDELITY.md. */
export interface ForgeTwinOptions {
  /** Path of the bare repository. */
  readonly repository: string;
  readonly project: string;
  readonly token: string;
}

export interface ForgeTwin {
  /** Address of the API. */
  readonly url: string;
  readonly faults: FaultControls;
  /** Requests that passed the login, `<method> <path>`. */
  requests(): readonly string[];
  /** What people see on the page of the request. */
  states(): Promise<readonly { number: number; state: string; base: string; title: string }[]>;
  merge(number: number): Promise<void>;
  /** No requests are left until the quota renews. */
  exhaust(left: boolean): void;
  close(): Promise<void>;
}

interface Pull {
  readonly number: number;
  readonly head: string;
  readonly base: string;
  readonly title: string;
  readonly body: string;
  state: 'open' | 'closed';
  merged_at: string | null;
  head_sha: string;
}

const DOCS = 'https://docs.github.com/rest/pulls/pulls';
const RESET_S = 3600;

export async function startGithubTwin(options: ForgeTwinOptions): Promise<ForgeTwin> {
  const repository = bareRepository(options.repository);
  const pulls: Pull[] = [];
  const requests: string[] = [];
  let exhausted = false;
  const handle = async (call: TwinCall): Promise<TwinReply> => {
    const refusal = loginProblem(options, call);
    if (refusal !== null) return refusal;
    requests.push(`${call.method} ${call.path}`);
    if (exhausted) return json(403, problem('API rate limit exceeded for user ID 1.', 403), 0);
    await follow(repository, pulls);
    const base = `/repos/${options.project}`;
    if (!call.path.startsWith(`${base}/`)) return json(404, problem('Not Found', 404));
    const rest = call.path.slice(base.length);
    if (rest === '/pulls' && call.method === 'GET') return list(options, pulls, call);
    if (rest === '/pulls' && call.method === 'POST') return open(options, repository, pulls, call);
    const [, number] = /^\/pulls\/(\d+)$/.exec(rest) ?? [];
    if (number !== undefined && call.method === 'PATCH') return update(options, pulls, Number(number), call);
    return json(
      501,
      problem(`github twin: ${call.method} ${call.path} is outside of the implemented subset`, 501),
    );
  };
  const fault_body = (status: number): string => JSON.stringify(problem('Server Error', status));
  const server = await startTwinServer({ handle, fault_body });
  return {
    url: server.url,
    faults: server.faults,
    requests: () => [...requests],
    states: async () => {
      await follow(repository, pulls);
      return pulls.map(({ number, state, merged_at, base, title }) => ({
        number,
        state: merged_at === null ? state : 'merged',
        base,
        title,
      }));
    },
    merge: async (number) => {
      const pull = pulls.find((candidate) => candidate.number === number);
      if (pull === undefined) throw new Error(`there is no pull request ${number}`);
      await repository.git('update-ref', `refs/heads/${pull.base}`, pull.head_sha);
      pull.state = 'closed';
      pull.merged_at = '2026-11-23T00:00:00Z';
    },
    exhaust: (left) => {
      exhausted = left;
    },
    close: () => server.close(),
  };
}

function loginProblem({ token }: ForgeTwinOptions, { headers }: TwinCall): TwinReply | null {
  if (headers['user-agent'] === undefined)
    return {
      status: 403,
      headers: { 'Content-Type': 'text/html' },
      body: 'Request forbidden by administrative rules. Please make sure your request has a User-Agent header',
    };
  if (headers.authorization === undefined) return json(401, problem('Requires authentication', 401));
  return headers.authorization === `Bearer ${token}` ? null : json(401, problem('Bad credentials', 401));
}

/** A request follows its branch; one whose branch is gone is closed. */
async function follow(repository: BareRepository, pulls: readonly Pull[]): Promise<void> {
  for (const pull of pulls) {
    if (pull.state !== 'open') continue;
    const tip = await repository.tip(pull.head);
    if (tip === null) pull.state = 'closed';
    else pull.head_sha = tip;
  }
}

function list(options: ForgeTwinOptions, pulls: readonly Pull[], { query }: TwinCall): TwinReply {
  const owner = options.project.split('/')[0] ?? '';
  const head = query.get('head');
  const state = query.get('state') ?? 'open';
  const found = pulls.filter(
    (pull) =>
      (head === null || head === `${owner}:${pull.head}`) && (state === 'all' || state === pull.state),
  );
  const per_page = Math.min(100, Number(query.get('per_page') ?? 30));
  return json(
    200,
    found
      .toReversed()
      .slice(0, per_page)
      .map((pull) => shown(options, pull)),
  );
}

async function open(
  options: ForgeTwinOptions,
  repository: BareRepository,
  pulls: Pull[],
  { body }: TwinCall,
): Promise<TwinReply> {
  const wanted = JSON.parse(body) as Partial<Record<'title' | 'head' | 'base' | 'body', string>>;
  const { title, head = '', base = '' } = wanted;
  if (title === undefined || title === '') return invalid({ code: 'missing_field', field: 'title' });
  const head_sha = await repository.tip(head);
  if (head_sha === null) return invalid({ code: 'invalid', field: 'head' });
  const base_sha = await repository.tip(base);
  if (base_sha === null) return invalid({ code: 'invalid', field: 'base' });
  const owner = options.project.split('/')[0] ?? '';
  if (pulls.some((pull) => pull.state === 'open' && pull.head === head && pull.base === base))
    return invalid({ code: 'custom', message: `A pull request already exists for ${owner}:${head}.` });
  const ahead = await repository.git('rev-list', '--count', `${base_sha}..${head_sha}`);
  if (ahead.trim() === '0')
    return invalid({ code: 'custom', message: `No commits between ${base} and ${head}` });
  const pull: Pull = {
    number: pulls.length + 1,
    head,
    base,
    title,
    body: wanted.body ?? '',
    state: 'open',
    merged_at: null,
    head_sha,
  };
  pulls.push(pull);
  return json(201, shown(options, pull));
}

function update(
  options: ForgeTwinOptions,
  pulls: readonly Pull[],
  number: number,
  { body }: TwinCall,
): TwinReply {
  const pull = pulls.find((candidate) => candidate.number === number);
  if (pull === undefined) return json(404, problem('Not Found', 404));
  const { state } = JSON.parse(body) as { state?: unknown };
  if (state !== 'closed') return json(501, problem('github twin: only closing is implemented', 501));
  pull.state = 'closed';
  return json(200, shown(options, pull));
}

function shown({ project }: ForgeTwinOptions, pull: Pull): object {
  const owner = project.split('/')[0] ?? '';
  return {
    number: pull.number,
    state: pull.state,
    locked: false,
    title: pull.title,
    body: pull.body === '' ? null : pull.body,
    user: { login: 'aegis', type: 'Bot' },
    html_url: `https://github.example.com/${project}/pull/${pull.number}`,
    head: { label: `${owner}:${pull.head}`, ref: pull.head, sha: pull.head_sha },
    base: { label: `${owner}:${pull.base}`, ref: pull.base },
    merged_at: pull.merged_at,
    draft: false,
  };
}

function invalid(error: object): TwinReply {
  const errors = [{ resource: 'PullRequest', ...error }];
  return json(422, { message: 'Validation Failed', errors, documentation_url: DOCS, status: '422' });
}

function problem(message: string, status: number): object {
  return { message, documentation_url: DOCS, status: String(status) };
}

function json(status: number, value: unknown, remaining = 4999): TwinReply {
  return {
    status,
    headers: {
      'Content-Type': 'application/json; charset=utf-8',
      'x-ratelimit-limit': '5000',
      'x-ratelimit-remaining': String(remaining),
      'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + RESET_S),
      'x-ratelimit-resource': 'core',
    },
    body: JSON.stringify(value),
  };
}
