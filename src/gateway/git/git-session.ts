import type { GitRepository } from '../../contract/system-git.ts';
import type { ChildResult } from '../child-process.ts';
import type { Credential } from '../credentials/credential.ts';
import type { TransportMode } from '../transport.ts';
import { UpstreamError } from '../upstream-error.ts';
import { neverSent, notSent, remoteAccess, runGit, type GitRun, type RemoteAccess } from './git-program.ts';
import type { GitMirrors, Mirror } from './git-mirrors.ts';

export interface LendGitOptions {
  readonly mirrors: GitMirrors;
  readonly name: string;
  readonly repository: GitRepository;
  /** The branch of the target; null when it names none. */
  readonly branch: string | null;
  readonly unsafe_endpoints: boolean;
  readonly mode: TransportMode;
  readonly credential: Credential | null;
  readonly timeout_ms: number;
  readonly bytes_max: number;
  readonly signal: AbortSignal | undefined;
}

/** One call's git: where the mirror is, how to run a command on it, what time is left. */
export interface GitSession {
  readonly options: LendGitOptions;
  mirror(): Mirror;
  access(): Promise<RemoteAccess>;
  left_ms(): number;
  /** Brings the mirror up to date; `now` asks the remote whatever the mirror's age. */
  refresh(how: 'now' | 'recent'): Promise<void>;
  run(args: readonly string[], more?: Partial<GitRun>): Promise<ChildResult>;
}

export function openSession(options: LendGitOptions): GitSession {
  const deadline_at = performance.now() + options.timeout_ms;
  const left_ms = (): number => Math.max(1, Math.ceil(deadline_at - performance.now()));
  let mirror: Mirror | null = null;
  let access: Promise<RemoteAccess> | null = null;
  const session: GitSession = {
    options,
    left_ms,
    mirror: () => {
      if (mirror === null) throw neverSent('blocked', 'the mirror was not brought up to date first');
      return mirror;
    },
    access: () => (access ??= remoteAccess(options.repository, options.credential, options.unsafe_endpoints)),
    run: (args: readonly string[], more: Partial<GitRun> = {}) => {
      const { git_dir, home } = session.mirror();
      return runGit({
        args,
        git_dir,
        home,
        config: [],
        timeout_ms: left_ms(),
        stdout_bytes_max: options.bytes_max,
        signal: options.signal,
        ...more,
      });
    },
    refresh: async (how: 'now' | 'recent') => {
      try {
        mirror = await options.mirrors.refresh(options.name, options.repository, {
          access: await session.access(),
          age_ms_max: how === 'now' ? 0 : options.repository.mirror_age_s_max * 1000,
          timeout_ms: left_ms(),
          signal: options.signal,
        });
      } catch (error) {
        throw error instanceof UpstreamError ? notSent(error) : error;
      }
    },
  };
  return session;
}
