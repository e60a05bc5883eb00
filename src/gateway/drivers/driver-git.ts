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
