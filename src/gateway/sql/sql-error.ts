import { UpstreamError, type UpstreamProblem } from '../upstream-error.ts';

/**
 * Errors of PostgreSQL and of the socket, as the pipeline knows them. `sent` is exact here: before COMMIT has been
 * sent nothing can have been written, whatever broke.
 */
export type SqlPhase = 'connect' | 'work' | 'commit';

const MESSAGE_CHARS_MAX = 500;

const PROBLEM_OF_STATE: Readonly<Record<string, UpstreamProblem>> = {
  '28P01': 'unauthorized',
  '28000': 'unauthorized',
  '42501': 'forbidden',
  '25006': 'blocked',
  '42P01': 'not-found',
  '3F000': 'not-found',
  '3D000': 'not-found',
  '57014': 'timeout',
  '55P03': 'timeout',
  '40001': 'conflict',
  '40P01': 'conflict',
  '53300': 'throttled',
  '57P03': 'unreachable',
};
const PROBLEM_OF_CLASS: Readonly<Record<string, UpstreamProblem>> = {
  '08': 'dropped',
  '57': 'dropped',
  '22': 'invalid',
  '23': 'invalid',
  '42': 'invalid',
  P0: 'invalid',
  '0A': 'invalid',
  '44': 'invalid',
};
/** Classes in which a server says that it did not commit. Anything else at COMMIT proves nothing. */
const NOT_COMMITTED: ReadonlySet<string> = new Set(['22', '23', '25', '40', '42', '44', '55', 'P0']);

const WORDS_OF_STATE: Readonly<Record<string, string>> = {
  '28P01': 'the user name or the password is wrong',
  '28000': 'this account may not connect from here',
  '57014': 'the statement ran longer than it may',
  '55P03': 'somebody else holds a lock on it for longer than it may be waited for',
};

export function asSqlError(error: unknown, phase: SqlPhase): UpstreamError {
  if (error instanceof UpstreamError) return error;
  const { code, message, severity } = error as { code?: unknown; message?: string; severity?: unknown };
  const state =
    typeof code === 'string' && severity !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : null;
  if (state !== null) return fromServer(state, message ?? '', phase);
  return fromSocket(typeof code === 'string' ? code : '', message ?? '', phase);
}

function fromServer(state: string, words: string, phase: SqlPhase): UpstreamError {
  const group = state.slice(0, 2);
  const problem = PROBLEM_OF_STATE[state] ?? PROBLEM_OF_CLASS[group] ?? 'failed';
  const said = WORDS_OF_STATE[state] ?? words;
  const decided = phase !== 'commit' || (NOT_COMMITTED.has(group) && state !== '40003');
  return new UpstreamError({
    problem,
    sent: phase === 'connect' ? 'no' : decided ? 'answered' : 'maybe',
    status: null,
    message: `${said} (SQLSTATE ${state})`.slice(0, MESSAGE_CHARS_MAX),
  });
}

/** Messages of Node and of TLS name hosts, never a credential; anything else stays unsaid. */
function fromSocket(code: string, words: string, phase: SqlPhase): UpstreamError {
  if (phase === 'commit') return make('dropped', 'maybe', 'the connection broke while COMMIT was under way');
  if (phase === 'work') return make('dropped', 'no', 'the connection broke before anything was committed');
  if (/does not support SSL/.test(words))
    return make('unreachable', 'no', 'the server does not speak TLS; it is never spoken to without');
  if (/CERT|SIGNED|ALTNAME|TLS|SSL|EPROTO/.test(code))
    return make('unreachable', 'no', `its TLS certificate is not accepted (${code})`);
  if (/timeout/i.test(words)) return make('unreachable', 'no', 'it did not answer in time');
  return make('unreachable', 'no', `it cannot be connected to${code === '' ? '' : ` (${code})`}`);
}

function make(problem: UpstreamProblem, sent: 'no' | 'maybe', message: string): UpstreamError {
  return new UpstreamError({ problem, sent, status: null, message });
}
