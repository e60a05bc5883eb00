import type { Finding, Import, SourceFile } from './source.ts';

/** Who may import whom (DESIGN section 3). A door narrower than a room is a pattern over paths below `src/`. */
const EVERYTHING = [/^/];
const ROOMS: Readonly<Record<string, readonly RegExp[]>> = {
  contract: [],
  store: [/^contract\//],
  gateway: [/^contract\//, /^store\//],
  vfs: [/^contract\//, /^store\//, /^gateway\/read\.ts$/],
  cognition: [/^contract\//],
  risk: [/^contract\//],
  harness: [/^contract\//, /^store\//, /^gateway\//, /^vfs\//, /^cognition\//, /^risk\//],
  evolution: [/^contract\//, /^vfs\//, /^cognition\//, /^risk\//],
  triggers: [/^contract\//, /^harness\/intake\.ts$/],
  slack: [/^contract\//, /^store\/(inbox|outbox)\.ts$/, /^harness\/(intake|inspect)\.ts$/],
  console: [/^contract\//, /^store\/(inbox|outbox)\.ts$/, /^harness\/(intake|inspect)\.ts$/],
  lab: [/^contract\//],
  cli: EVERYTHING,
};
/** Interfaces of the store: types may be imported where the room itself may not. */
const TYPES_TOO: Readonly<Record<string, readonly RegExp[]>> = {
  evolution: [/^store\/store\.ts$/],
  slack: [/^store\/store\.ts$/],
  console: [/^store\/store\.ts$/],
};

/** Files directly below `src`: the composition root and what it stands on. Only `main.ts` knows everyone. */
const ROOT_FILES = /^(main|config[a-z-]*|http-server|system-ports|package-paths)\.ts$/;

/** Packages that only some files may import; everything else in package.json is free. */
const VENDORS: readonly {
  readonly name: RegExp;
  readonly in: RegExp;
  readonly types_in?: RegExp;
  readonly say: string;
}[] = [
  { name: /^better-sqlite3$/, in: /^store\//, say: 'ask the store for a named operation instead' },
  { name: /^kysely$/, in: /^store\//, say: 'ask the store for a named operation instead' },
  {
    name: /^(pg|libpg-query|aws4fetch|fast-xml-parser)$/,
    in: /^gateway\//,
    say: 'systems outside are spoken to by the gateway only',
  },
  { name: /^@modelcontextprotocol\//, in: /^gateway\//, say: 'MCP is spoken by the gateway only' },
  { name: /^node-vault$/, in: /^gateway\//, say: 'credentials are leased by the gateway only' },
  { name: /^@cedar-policy\//, in: /^gateway\//, say: 'policies are asked by the gateway only' },
  { name: /^cockatiel$/, in: /^gateway\//, say: 'breakers stand in front of upstreams, in the gateway' },
  { name: /^(langchain$|@langchain\/)/, in: /^cognition\//, say: 'models are spoken to by cognition only' },
  { name: /^xstate($|\/)/, in: /^harness\/machine\.ts$/, say: 'the machine is one file: harness/machine.ts' },
  {
    name: /^@slack\//,
    in: /^slack\//,
    types_in: /^lab\//,
    say: 'Slack is spoken to by the slack room only (types in lab; cli lazily)',
  },
  {
    name: /^(react|react-dom|slack-blocks-to-jsx)($|\/)/,
    in: /^lab\//,
    say: 'only the practice range draws pages',
  },
  { name: /^selfsigned$/, in: /^lab\//, say: 'only the practice range makes certificates' },
  { name: /^commander$/, in: /^cli\//, say: 'arguments are parsed by the command line only' },
  { name: /^pino$/, in: /^system-ports\.ts$/, say: 'take a Log (contract/ports.ts)' },
  {
    name: /^canonicalize$/,
    in: /^contract\/canonical\.ts$/,
    say: 'use canonicalJson of contract/canonical.ts',
  },
];
/** Packages of VENDORS that `cli` may load lazily for one verb (the doctor). */
const CLI_LAZILY = /^@slack\//;

/** Modules that take long to load: nothing that starts or answers a command may wait for them. */
const HEAVY =
  /^(@slack\/(bolt|web-api)|@modelcontextprotocol\/|@cedar-policy\/|node-vault|pg$|libpg-query|aws4fetch|fast-xml-parser|langchain|@langchain\/|react|react-dom|slack-blocks-to-jsx|@kubernetes\/)/;

/** The room of a path below `src/`, or null for files of the composition root. */
function roomOf(path: string): string | null {
  const slash = path.indexOf('/');
  return slash === -1 ? null : path.slice(0, slash);
}

const below = (path: string): string => path.replace(/^src\//, '');

/** Imports between rooms. */
export function roomFindings(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const file of files) {
    const from = below(file.path);
    const room = roomOf(from);
    if (room === null ? !ROOT_FILES.test(from) : ROOMS[room] === undefined)
      findings.push({
        where: file.path,
        say: `is in no room that DESIGN section 3 knows; move it, or add its room to test/tidy/rooms.ts with what it may import`,
      });
    for (const one of file.imports) {
      const say = forbidden(from, room, one);
      if (say !== null) findings.push({ where: `${file.path}:${one.line}`, say });
    }
  }
  return findings;
}

function forbidden(from: string, room: string | null, one: Import): string | null {
  if (one.specifier === '*')
    return 'a dynamic import names its module as a plain string, so that this test can read it';
  if (one.file === null) return null;
  if (!one.file.startsWith('src/'))
    return `imports ${one.file}, which is outside src; what the product needs lies below src`;
  const to = below(one.file);
  const target = roomOf(to);
  if (target !== null && target === room) return null;
  if (target === 'lab') {
    if (room === 'cli' && one.kind !== 'value') return null;
    return room === 'cli'
      ? `imports ${one.file} at load time; cli loads the lab lazily: await import()`
      : `imports ${one.file}; only cli (lazily) and tests may import the lab: the product never knows it`;
  }
  if (from === 'main.ts' || room === 'cli') return null;
  if (room === null)
    return target === null || target === 'contract'
      ? null
      : `imports ${one.file}; only main.ts knows everyone: move this there or pass it in`;
  const allowed = [...(ROOMS[room] ?? []), ...(one.kind === 'type' ? (TYPES_TOO[room] ?? []) : [])];
  if (allowed.some((door) => door.test(to))) return null;
  if (target === null)
    return `imports ${one.file} of the composition root; take what it gives as a parameter`;
  return `imports ${one.file}; ${room} may import ${allowed.length === 0 ? 'nothing else' : allowed.map(words).join(', ')}. Pass it in from main.ts, or move the shared type to contract`;
}

const words = (door: RegExp): string => door.source.replaceAll(/[\\^$]/g, '').replace(/\/$/, '');

/** Packages that belong to one room. */
export function vendorFindings(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) =>
    file.imports.flatMap((one): Finding[] => {
      const from = below(file.path);
      const vendor = VENDORS.find((v) => v.name.test(one.specifier));
      if (vendor === undefined || vendor.in.test(from)) return [];
      if (one.kind === 'type' && vendor.types_in?.test(from) === true) return [];
      if (from.startsWith('cli/') && one.kind !== 'value' && CLI_LAZILY.test(one.specifier)) return [];
      return [{ where: `${file.path}:${one.line}`, say: `imports ${one.specifier}; ${vendor.say}` }];
    }),
  );
}

/** Static value imports that reach a heavy module from where a process starts, with the chain that does it. */
export function heavyFindings(files: readonly SourceFile[]): Finding[] {
  const by_path = new Map(files.map((f) => [f.path, f]));
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const follow = (path: string, chain: readonly string[]): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const one of by_path.get(path)?.imports ?? []) {
      if (one.kind !== 'value') continue;
      if (HEAVY.test(one.specifier))
        findings.push({
          where: `${path}:${one.line}`,
          say: `loads ${one.specifier} at start (${[...chain, path].join(' -> ')}); load it with await import() where it is first used`,
        });
      if (one.file !== null) follow(one.file, [...chain, path]);
    }
  };
  for (const file of files)
    if (file.path === 'src/main.ts' || file.path.startsWith('src/cli/')) follow(file.path, []);
  return findings;
}

/** Groups of files that import each other as values. Types may go in circles. */
export function cycleFindings(files: readonly SourceFile[]): Finding[] {
  const edges = new Map(
    files.map((f) => [
      f.path,
      f.imports.flatMap((i) => (i.kind === 'value' && i.file !== null ? [i.file] : [])),
    ]),
  );
  const findings: Finding[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at !== -1) {
      findings.push({
        where: path,
        say: `import cycle ${[...trail.slice(at), path].join(' -> ')}; move what both need into a third file, or use import type`,
      });
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const file of files) visit(file.path, []);
  return findings;
}
