/**
 * Finds out that somebody reads in circles. Pure: it is fed each read of one round of work and what came of it. A model
 * that does not get on asks the same again, or nearly the same, or is handed what it has already seen; a procedure that
 * works does none of it often. Checks that poll are not fed to it: they repeat by design.
 *
 * The state lives as long as the effect. An effect that a crash ended begins again from its first read, so counting from
 * zero forgets nothing: what the dead attempt had read is read again and counted again. What outlives an effect is told
 * by the events of the incident (see plan-loops.ts).
 */

/** The same command, word for word. Three procedures may share a file, and each may look at it. */
export const SAME_READ_MAX = 5;
/** The same file asked for with other numbers, windows or limits. */
export const NEAR_READS_MAX = 8;
/** Shared words, of all words of two commands, from which they are near. */
export const NEAR_SIMILARITY_MIN = 0.9;
/** Reads in a row that brought nothing that had not been seen in this round. */
export const NOTHING_NEW_READS_MAX = 12;
/** Reads that are remembered; far beyond what the read budget of a round allows. */
const READS_KEPT_MAX = 1000;

export type LoopPattern = 'same_read' | 'near_read' | 'nothing_new' | 'same_plan' | 'oscillation';

export interface Breach {
  readonly pattern: LoopPattern;
  /** What repeated: the command, or the change. */
  readonly what: string;
  readonly times: number;
}

/** What came of a read: the hash of what was captured, a refusal, or a source that did not answer (which says nothing). */
export type ReadOutcome = { readonly sha256: string } | 'refused' | 'unreachable';

interface SeenRead {
  readonly command: string;
  readonly words: ReadonlySet<string>;
  readonly files: string;
  readonly lines: { readonly first: number; readonly last: number } | null;
}

export interface LoopState {
  readonly reads: readonly SeenRead[];
  readonly contents: ReadonlySet<string>;
  /** Reads in a row that brought nothing new. */
  readonly dry: number;
}

export const NO_READS: LoopState = { reads: [], contents: new Set(), dry: 0 };

/** The breach that this read would be; null when it may be made. */
export function beforeRead(state: LoopState, command: string): Breach | null {
  const read = seen(command);
  const same = state.reads.filter((r) => r.command === read.command).length;
  if (same >= SAME_READ_MAX) return { pattern: 'same_read', what: read.command, times: same };
  const near = state.reads.filter((r) => isNear(r, read)).length;
  if (near >= NEAR_READS_MAX) return { pattern: 'near_read', what: read.command, times: near };
  if (state.dry >= NOTHING_NEW_READS_MAX)
    return { pattern: 'nothing_new', what: read.command, times: state.dry };
  return null;
}

/** Counted when it is asked, not when it is answered: many asked at once are as many. */
export function asked(state: LoopState, command: string): LoopState {
  return { ...state, reads: [...state.reads, seen(command)].slice(-READS_KEPT_MAX) };
}

export function answered(state: LoopState, outcome: ReadOutcome): LoopState {
  if (outcome === 'unreachable') return state;
  if (outcome === 'refused' || state.contents.has(outcome.sha256)) return { ...state, dry: state.dry + 1 };
  return { ...state, contents: new Set([...state.contents, outcome.sha256]), dry: 0 };
}

function seen(command: string): SeenRead {
  const text = command.replaceAll(/\s+/g, ' ').trim();
  const words = text.match(/"(?:[^"\\]|\\.)*"|'[^']*'|\S+/g) ?? [];
  const files = words.filter((word) => word.startsWith('/')).map((word) => word.replace(/\?.*$/, ''));
  const range = /--lines[ =](\d+)-(\d+)/.exec(text);
  return {
    command: text,
    words: new Set(words.map(withoutQuantities)),
    files: files.join(' '),
    lines: range === null ? null : { first: Number(range[1]), last: Number(range[2]) },
  };
}

/** Numbers, durations, times and ranges become `#`. Names and quoted patterns stay: another pattern is another question. */
function withoutQuantities(word: string): string {
  if (word.startsWith('"') || word.startsWith("'")) return word;
  if (word.startsWith('/')) {
    const [path = '', params] = word.split('?', 2);
    return params === undefined ? path : `${path}?${params.replaceAll(/=[-+]?\d[^&]*/g, '=#')}`;
  }
  return word.replace(/^(--?[a-z][a-z-]*=|)[-+]?\d[\w.:+-]*$/i, '$1#').replace(/^-\d+$/, '-#');
}

function isNear(earlier: SeenRead, read: SeenRead): boolean {
  // Reading on where the last page ended is how a long file is read.
  if (earlier.lines !== null && read.lines !== null && read.lines.first > earlier.lines.last) return false;
  if (earlier.files !== read.files) return false;
  const shared = [...read.words].filter((word) => earlier.words.has(word)).length;
  return shared / (read.words.size + earlier.words.size - shared) >= NEAR_SIMILARITY_MIN;
}
