/** The face of a git repository that a driver is lent for one call. It names commits and paths, never a remote. */
export interface GitFile {
  readonly kind: 'file' | 'symlink' | 'submodule' | 'directory';
  readonly executable: boolean;
  /** Id of the blob, tree or foreign commit. */
  readonly id: string;
  /** Null for what has no size of its own. */
  readonly size_bytes: number | null;
}

export interface CommitFacts {
  readonly id: string;
  readonly parents: readonly string[];
  readonly tree: string;
  readonly committer_email: string;
  readonly message: string;
}

/** A commit as its writer describes it: names and dates are claims, except for the id and the parents. */
export interface LoggedCommit {
  readonly id: string;
  readonly parents: readonly string[];
  readonly author: string;
  readonly committer: string;
  readonly committer_email: string;
  /** Null for a date that no calendar has. */
  readonly authored_ms: number | null;
  readonly committed_ms: number | null;
  readonly message: string;
}

export interface CommitOnParent {
  readonly id: string;
  /** The parent that it is compared with; null: with nothing. */
  readonly parent: string | null;
}

/** What a commit does to the files of its parent. */
export interface TouchedFiles {
  /** `blob` null: the file is gone. */
  readonly files: readonly { readonly path: string; readonly blob: string | null }[];
  /** False: there are more, beyond the limit of bytes. */
  readonly complete: boolean;
}

export interface SeenMove {
  /** The second of the fetch that brought it. */
  readonly at_s: number;
  readonly commit: string;
}

/** What our mirror knows of the branches by our own clock. */
export interface BranchMoves {
  /** Branches as they are now, with what their newest commits say of their time. */
  readonly tips: ReadonlyMap<string, { readonly commit: string; readonly committed_ms: number | null }>;
  /** When the remote was asked, oldest first, in milliseconds. */
  readonly asked_ms: readonly number[];
  /** Where each branch went, oldest first; a branch that was gone in between begins anew. */
  readonly moves: ReadonlyMap<string, readonly SeenMove[]>;
}

/** One file of a new tree: `null` removes it. */
export interface TreeEdit {
  readonly path: string;
  readonly content: string | null;
  readonly executable: boolean;
}

export interface NewCommit {
  readonly parent: string;
  readonly edits: readonly TreeEdit[];
}

export interface CommitWords {
  readonly message: string;
  /** Seconds since the epoch for author and committer: from the plan, so that the same plan gives the same id. */
  readonly at_s: number;
}

export type PushAnswer =
  | { readonly status: 'written'; readonly commit: string | null }
  /** The branch is not where it was expected: nothing was written. */
  | { readonly status: 'moved'; readonly message: string };

export interface BranchMove {
  readonly branch: string;
  readonly expected: string | null;
  readonly tree: string;
}

export interface DriverGit {
  /** Brings the mirror up to date; `now` asks the remote whatever the mirror's age. */
  refresh(how: 'now' | 'recent'): Promise<void>;
  /** All branches by name with their tips. */
  branches(): Promise<ReadonlyMap<string, string>>;
  commit(id: string): Promise<CommitFacts | null>;
  /** Branches that contain the commit. */
  branchesWith(commit: string): Promise<readonly string[]>;
  isAncestor(commit: string, of: string): Promise<boolean>;
  file(commit: string, path: string): Promise<GitFile | null>;
  /** What lies directly in a folder (null: at the top) of the commit, by name. */
  entries(commit: string, folder: string | null): Promise<ReadonlyMap<string, GitFile>>;
  blobText(id: string, bytes_max: number): Promise<string>;
  log(commit: string, limit: number, path: string | null): Promise<string>;
  diff(from: string, to: string, path: string | null): Promise<string>;
  /** The first-parent history of a commit, newest first, without what the commits of `not` contain. */
  history(commit: string, not: readonly string[], limit: number): Promise<readonly LoggedCommit[]>;
  /** By commit. */
  touched(commits: readonly CommitOnParent[]): Promise<ReadonlyMap<string, TouchedFiles>>;
  moves(): Promise<BranchMoves>;
  blame(commit: string, path: string, first_line: number, last_line: number): Promise<string>;
  /** The tree of a commit that would be, and with words its id; nothing of it stays. */
  build(
    commit: NewCommit,
    words: CommitWords | null,
  ): Promise<{ readonly tree: string; readonly id: string | null }>;
  /**
   * Makes the commit, whose tree must be the approved one, and moves the branch from `expected` (null: it must not
   * exist) to it, or nothing at all.
   */
  pushCommit(commit: NewCommit, words: CommitWords, move: BranchMove): Promise<PushAnswer>;
  /** Moves the branch from `expected` to a commit that exists, or deletes it (`to` null). */
  moveBranch(branch: string, expected: string, to: string | null): Promise<PushAnswer>;
}

/** A pull or merge request of a forge. */
export interface ForgeRequest {
  readonly number: number;
  readonly state: 'open' | 'closed' | 'merged';
  readonly base: string;
  readonly title: string;
  readonly body: string;
  /** The commit at its head, as far as the forge has seen it. */
  readonly head_commit: string;
  readonly url: string;
}

/** The face of a forge's API: requests of the target's branch in the configured project, nothing else. */
export interface DriverForge {
  requests(): Promise<readonly ForgeRequest[]>;
  /** @throws UpstreamError `conflict` when the branch has an open request already. */
  open(request: {
    readonly base: string;
    readonly title: string;
    readonly body: string;
  }): Promise<ForgeRequest>;
  close(number: number): Promise<void>;
}
