import { isoTime } from '../contract/ports.ts';
import type { World, WorldResponse } from '../contract/world.ts';
import { skillsDir } from '../package-paths.ts';
import { systemClock, systemIds } from '../system-ports.ts';
import { createVfs } from '../vfs/vfs.ts';
import { withContext } from './context.ts';
import type { CliContext } from './context.ts';
import { localUser } from './freeze.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print } from './output.ts';
import { openGateway } from './open-gateway.ts';

/** Limits of one read at the terminal: a person, not an incident, pays for it. */
const LIMITS = { fragments_max: 20, bytes_max: 16 * 1_048_576, tokens_max: 8_000_000 } as const;
const TOKEN_TTL_MS = 120_000;

/** `aegis read|head|tail|grep|find|diff ...`: the same pipelines, redaction and budget as an investigation. */
export async function readWorld(
  options: GlobalOptions,
  verb: string,
  words: readonly string[],
): Promise<void> {
  const command = [verb, ...words.map(quoted)].join(' ');
  await withWorld(options, command, async (world) => {
    const capture = runOf(
      await world.call({ op: 'run', command, why_needed: `asked at the terminal: ${command}`.slice(0, 500) }),
    );
    const note = capture.complete
      ? ''
      : `\n… ${capture.line_count - capture.lines.length} more lines; narrow it with grep, head or tail`;
    if (capture.line_count === 0 && options.json !== true) process.stderr.write('no lines\n');
    else print(options, capture, `${capture.lines.join('\n')}${note}`);
  });
}

export async function listWorld(options: GlobalOptions, path: string): Promise<void> {
  await withWorld(options, path, async (world) => {
    const response = await world.call({ op: 'ls', path, why_needed: 'asked at the terminal' });
    if (!response.ok) throw refusal(response);
    if (response.op !== 'ls') return;
    const lines = response.entries.map(
      (e) => `${e.name}${e.kind === 'dir' ? '/' : ''}${e.note === undefined ? '' : `   ${e.note}`}`,
    );
    print(options, { path, entries: response.entries }, lines.join('\n'));
  });
}

export async function explainWorld(options: GlobalOptions, pipeline: string): Promise<void> {
  await withWorld(options, pipeline, async (world) => {
    const response = await world.call({ op: 'explain', command: pipeline });
    if (!response.ok) throw refusal(response);
    if (response.op === 'explain') print(options, { text: response.text }, response.text);
  });
}

async function withWorld(
  options: GlobalOptions,
  text: string,
  work: (world: World) => Promise<void>,
): Promise<void> {
  await withContext(options, 'write', async (context) => {
    const { settings } = context.config;
    const tenant = tenantOf(text, context);
    const ports = { store: context.store, clock: systemClock, ids: systemIds, log: context.log };
    const gateway = await openGateway(context);
    const vfs = createVfs({
      ...ports,
      gateway,
      settings,
      skills_dir: skillsDir(settings),
      redaction_marks: () => gateway.redactionMarks(),
      retention: () => gateway.retention(),
    });
    const token = systemIds.secret(32);
    const token_id = systemIds.next('tok');
    const now = systemClock.now();
    await context.store.tokens.mint(
      {
        token_id,
        principal: localUser(),
        incident_id: null,
        ...tenant,
        action_class: 'read',
        expires_at_ms: now + TOKEN_TTL_MS,
      },
      token,
    );
    try {
      await work(
        vfs.world({
          incident_id: null,
          ...tenant,
          opened_at_ms: now,
          token,
          budget: { round: LIMITS, incident: LIMITS },
        }),
      );
    } finally {
      await context.store.tokens.revoke(token_id);
      await gateway.close();
    }
  });
}

/** Team and environment stand in the path; whoever can read AEGIS_HOME may ask for any of them. */
function tenantOf(text: string, context: CliContext): { team: string; env: string } {
  const named = /\/teams\/([a-z0-9._-]+)\/([a-z0-9._-]+)/.exec(text);
  if (named?.[1] !== undefined && named[2] !== undefined) return { team: named[1], env: named[2] };
  const team = /\/teams\/([a-z0-9._-]+)/.exec(text)?.[1] ?? Object.keys(context.config.settings.teams)[0];
  const env = Object.keys(context.config.settings.teams[team ?? '']?.environments ?? {})[0];
  if (team === undefined || env === undefined)
    throw new CliError('aegis.yaml has no team with an environment; add one under `teams`', EXIT.usage);
  return { team, env };
}

function runOf(response: WorldResponse): Extract<WorldResponse, { op: 'run' }>['capture'] {
  if (!response.ok) throw refusal(response);
  if (response.op !== 'run')
    throw new Error(`the world answered ${response.op} at ${isoTime(systemClock.now())}`);
  return response.capture;
}

function refusal(response: Extract<WorldResponse, { ok: false }>): CliError {
  return new CliError(`${response.refusal.reason} ${response.refusal.remedy}`.trim());
}

/** The shell has taken the quotes away; words that need them get them back. */
function quoted(word: string): string {
  return word === '|' || /^[\w./?=&:@+,-]+$/.test(word)
    ? word
    : `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
