import type { EvidenceKind } from '../contract/evidence.ts';
import type { Clock, Log } from '../contract/ports.ts';
import type { Settings } from '../contract/settings.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { DirEntry } from '../contract/world.ts';
import type { Store } from '../store/store.ts';
import type { LogicalPlan } from './pushdown.ts';
import type { SourceReader } from './source-reader.ts';
import type { AbsoluteWindow } from './window.ts';

/**
 * What a mount is: a subtree that turns a path into a directory or a file without asking anybody (`look` is pure), and
 * files that read through the one door out. A mount sees paths relative to its own root, below the reader's own tenant;
 * what it does not know does not exist.
 */
export interface Mount {
  /** The name in evidence records: `kubernetes`, `loki`, ... */
  readonly name: string;
  look(path: readonly string[], params: PathParams): Look;
}

export type PathParams = ReadonlyMap<string, string>;
export type Look = VfsDir | VfsFile | Refusal | null;

export interface VfsDir {
  readonly kind: 'dir';
  list(io: SourceReader): Promise<readonly DirEntry[] | Refusal>;
}

export interface VfsFile {
  readonly kind: 'file';
  readonly mount: string;
  /** How "still true?" is decided later. */
  readonly evidence: EvidenceKind;
  /** Whether a workload or its author can write this text (logs, events, ledger quotes). */
  readonly attacker_writable: boolean;
  /** `always`: the file is a window of a stream. `optional`: only when asked. `never`: it shows now. */
  readonly windowed: 'always' | 'optional' | 'never';
  /** Windows end this long before now, since later entries may not be visible yet. */
  readonly lag_ms: number;
  /** Length of the window when a path parameter gives it. */
  readonly window_param_ms: number | null;
  /** Pages of rendered lines; newest page first when the last lines are wanted. Lines inside a page are in order. */
  pages(request: FileRequest, io: SourceReader): AsyncIterable<readonly string[] | Refusal>;
  /** What the source is asked, exactly, and what it cannot be asked. No I/O. */
  explain(request: FileRequest): FileExplanation;
}

export interface FileRequest {
  readonly window: AbsoluteWindow | null;
  /** The command gave --until, so the newest lines are not simply the end of the log. */
  readonly until_given: boolean;
  readonly greps: LogicalPlan['greps'];
  readonly take: LogicalPlan['take'];
}

interface FileExplanation {
  /** One line for each question that the source gets. */
  readonly pushed: readonly string[];
  /** Why something is not pushed. */
  readonly not_pushed: readonly string[];
}

/** What mounts are built from; one set for each tenant. */
export interface MountContext {
  readonly tenant: { readonly team: string; readonly env: string };
  readonly settings: Pick<Settings, 'teams' | 'sources' | 'clusters' | 'services'>;
  readonly store: Pick<Store, 'evidence' | 'ledger' | 'incidents'>;
  readonly skills_dir: string | null;
  readonly redaction_marks: () => readonly string[];
  readonly log: Log;
  readonly clock: Clock;
}

/** Settings of all mounts of one kind in the tenant's environment. */
export function mountsOf<K extends 'kubernetes' | 'jobs' | 'logs' | 'metrics'>(
  context: MountContext,
  kind: K,
) {
  const environment = context.settings.teams[context.tenant.team]?.environments[context.tenant.env];
  return (environment?.mounts ?? []).filter(
    (mount): mount is Extract<typeof mount, { kind: K }> => mount.kind === kind,
  );
}

/** A file whose whole text is there at once: nothing to push, nothing to page. */
export function wholeFile(
  file: Pick<VfsFile, 'mount' | 'evidence' | 'attacker_writable'> & {
    readonly asks: string;
    readonly read: (io: SourceReader) => Promise<readonly string[] | Refusal>;
  },
): VfsFile {
  const { mount, evidence, attacker_writable, asks, read } = file;
  return {
    kind: 'file',
    mount,
    evidence,
    attacker_writable,
    windowed: 'never',
    lag_ms: 0,
    window_param_ms: null,
    async *pages(_request, io) {
      yield await read(io);
    },
    explain: () => ({ pushed: [asks], not_pushed: [] }),
  };
}

export function directory(entries: readonly DirEntry[]): VfsDir {
  return { kind: 'dir', list: () => Promise.resolve(entries) };
}

/** The source says that there is no such thing; readers hear the same as for a path that is not theirs. */
export function isMissing(refusal: Refusal): boolean {
  return refusal.code.endsWith('not-found');
}
