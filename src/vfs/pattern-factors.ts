/**
 * What must stand in every line that a pattern matches. The answer is a set of literals of which at least one occurs in
 * each match, or null when nothing can be said. It only ever errs towards null, so a source may filter with it first.
 */
const ALTERNATIVES_MAX = 16;

/** `exact`: the node matches this text and nothing else. `any`: each match holds one of these. */
interface Facts {
  readonly exact: string | null;
  readonly any: readonly string[] | null;
}

const UNKNOWN: Facts = { exact: null, any: null };
const NOTHING: Facts = { exact: '', any: null };

interface Reader {
  readonly pattern: string;
  at: number;
}

class NotAnalysed extends Error {}

/** `pattern` has passed RE2. Constructs outside the analysed subset (flags with i, \Q, \x, ...) give null. */
export function requiredLiterals(pattern: string): readonly string[] | null {
  try {
    const reader: Reader = { pattern, at: 0 };
    const facts = readAlternation(reader);
    if (reader.at < pattern.length) return null;
    const any = facts.exact === null ? facts.any : [facts.exact];
    return any === null || any.some((literal) => literal === '') ? null : [...new Set(any)];
  } catch (error) {
    if (error instanceof NotAnalysed) return null;
    throw error;
  }
}

function readAlternation(reader: Reader): Facts {
  const branches = [readConcatenation(reader)];
  while (reader.pattern[reader.at] === '|') {
    reader.at++;
    branches.push(readConcatenation(reader));
  }
  if (branches.length === 1) return branches[0] as Facts;
  const any = branches.map((branch) => (branch.exact === null ? branch.any : [branch.exact]));
  if (any.some((set) => set === null || set.includes(''))) return UNKNOWN;
  const all = (any as (readonly string[])[]).flat();
  return all.length <= ALTERNATIVES_MAX ? { exact: null, any: all } : UNKNOWN;
}

function readConcatenation(reader: Reader): Facts {
  let run = '';
  let broken = false;
  let best: readonly string[] | null = null;
  const offer = (set: readonly string[]) => {
    if (weight(set) > weight(best)) best = set;
  };
  while (
    reader.at < reader.pattern.length &&
    reader.pattern[reader.at] !== '|' &&
    reader.pattern[reader.at] !== ')'
  ) {
    const facts = readRepeated(reader);
    if (facts.exact !== null) {
      run += facts.exact;
      continue;
    }
    broken = true;
    if (run !== '') offer([run]);
    run = '';
    if (facts.any !== null) offer(facts.any);
  }
  if (!broken) return { exact: run, any: null };
  if (run !== '') offer([run]);
  return { exact: null, any: best };
}

/** Length of the shortest alternative: the longer, the fewer lines pass. */
function weight(set: readonly string[] | null): number {
  return set === null ? 0 : Math.min(...set.map((literal) => literal.length));
}

function readRepeated(reader: Reader): Facts {
  let facts = readAtom(reader);
  for (;;) {
    const repeat = /^(?:[*+?]|\{(\d+)(?:,\d*)?\})/.exec(reader.pattern.slice(reader.at, reader.at + 12));
    if (repeat === null) return facts;
    reader.at += repeat[0].length;
    const at_least_once = repeat[0] === '+' || Number(repeat[1] ?? 0) > 0;
    if (!at_least_once) facts = UNKNOWN;
    else if (facts.exact !== null) facts = facts.exact === '' ? UNKNOWN : { exact: null, any: [facts.exact] };
  }
}

function readAtom(reader: Reader): Facts {
  const char = reader.pattern[reader.at] as string;
  if (char === '(') return readGroup(reader);
  if (char === '[') return readClass(reader);
  if (char === '\\') return readEscape(reader);
  reader.at++;
  if (char === '^' || char === '$') return NOTHING;
  if (char === '.') return UNKNOWN;
  if ('*+?{'.includes(char)) throw new NotAnalysed();
  return { exact: char, any: null };
}

function readGroup(reader: Reader): Facts {
  reader.at++;
  const head = /^\?(?:P?<[A-Za-z0-9_]+>|[msU-]*:)/.exec(reader.pattern.slice(reader.at, reader.at + 80));
  if (head !== null) reader.at += head[0].length;
  else if (reader.pattern[reader.at] === '?') throw new NotAnalysed();
  const facts = readAlternation(reader);
  if (reader.pattern[reader.at] !== ')') throw new NotAnalysed();
  reader.at++;
  return facts;
}

function readClass(reader: Reader): Facts {
  reader.at++;
  if (reader.pattern[reader.at] === '^') reader.at++;
  if (reader.pattern[reader.at] === ']') reader.at++;
  while (reader.at < reader.pattern.length) {
    const char = reader.pattern[reader.at] as string;
    if (char === ']') {
      reader.at++;
      return UNKNOWN;
    }
    if (char === '[' && reader.pattern[reader.at + 1] === ':') {
      const end = reader.pattern.indexOf(':]', reader.at);
      if (end < 0) throw new NotAnalysed();
      reader.at = end + 2;
    } else reader.at += char === '\\' ? 2 : 1;
  }
  throw new NotAnalysed();
}

function readEscape(reader: Reader): Facts {
  const char = reader.pattern[reader.at + 1] ?? '';
  if (!/[\\!-/:-@[-`{-~tbBAzdDwWsS]/.test(char)) throw new NotAnalysed();
  reader.at += 2;
  if (char === 't') return { exact: '\t', any: null };
  if ('bBAz'.includes(char)) return NOTHING;
  return 'dDwWsS'.includes(char) ? UNKNOWN : { exact: char, any: null };
}
