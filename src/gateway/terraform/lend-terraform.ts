import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hashOf, sha256Hex } from '../../contract/canonical.ts';
import { parseJsonText } from '../../contract/parse.ts';
import type { Clock } from '../../contract/ports.ts';
import type { TerraformWorkspace } from '../../contract/system-terraform.ts';
import type { ChildResult } from '../child-process.ts';
import type { Credential } from '../credentials/credential.ts';
import type { ApplyRun, DriverTerraform, SavedPlan, StateMark } from '../drivers/driver-terraform.ts';
import { neverSent } from '../git/git-program.ts';
import type { TransportMode } from '../transport.ts';
import type { ProtectedSource } from './protected-source.ts';
import { sealedFiles, type SealedFiles } from './sealed-files.ts';
import {
  findProgram,
  runTerraform,
  settingsFile,
  terraformFailure,
  type TerraformPlace,
} from './terraform-program.ts';
import type { WorkFolders } from './work-folders.ts';

/**
 * The Terraform face that a driver is lent for one call. Here stand the rules that no driver can forget: only commits
 * of the protected branch are opened, only fixed commands run, only the write mode applies, and only a plan file that
 * is sealed below AEGIS_HOME, whose hash was approved, on the state that it was made for.
 */
export interface LendTerraformOptions {
  readonly folders: WorkFolders;
  readonly home: string;
  readonly name: string;
  readonly config: TerraformWorkspace;
  readonly workspace: string;
  readonly mode: TransportMode;
  readonly credential: Credential | null;
  /** 32 bytes, the tenant's own. */
  readonly seal_key: Uint8Array;
  readonly clock: Clock;
  readonly timeout_ms: number;
  readonly signal: AbortSignal | undefined;
  readonly source: ProtectedSource;
}

const PLANS_MAX = 50;
const STATES_MAX = 50;
const OUTPUT_BYTES_MAX = 32 * 1024 * 1024;
const GRACE_MS_MAX = 15_000;
const JSON_LIMITS = { bytes_max: OUTPUT_BYTES_MAX, depth_max: 60, keys_max: 500_000 };

interface Session {
  readonly options: LendTerraformOptions;
  readonly plans: SealedFiles;
  readonly states: SealedFiles;
  place(): TerraformPlace;
  commit(): string;
  run(args: readonly string[], more?: { sealed_off?: boolean; grace?: boolean }): Promise<ChildResult>;
}

export function lendTerraform(options: LendTerraformOptions): DriverTerraform {
  const deadline_at = performance.now() + options.timeout_ms;
  const left_ms = (): number => Math.max(1, Math.ceil(deadline_at - performance.now()));
  let opened: { place: TerraformPlace; commit: string } | null = null;
  const now = (): { place: TerraformPlace; commit: string } => {
    if (opened === null) throw neverSent('blocked', 'no commit was opened first');
    return opened;
  };
  const sealed = (folder: string, files_max: number): SealedFiles =>
    sealedFiles(join(options.home, 'terraform', folder), options.seal_key, files_max);
  const runIn = async (
    place: TerraformPlace,
    args: readonly string[],
    more: { sealed_off?: boolean; grace?: boolean } = {},
  ): Promise<ChildResult> => {
    const grace_ms = more.grace === true ? Math.min(GRACE_MS_MAX, Math.floor(left_ms() / 4)) : 0;
    return runTerraform({
      program: await findProgram(options.config),
      place,
      workspace: options.workspace,
      config: options.config,
      credential: more.sealed_off === true ? null : options.credential,
      args,
      sealed_off: more.sealed_off === true,
      timeout_ms: Math.max(1, left_ms() - grace_ms),
      grace_ms,
      stdout_bytes_max: OUTPUT_BYTES_MAX,
      signal: options.signal,
    });
  };
  const session: Session = {
    options,
    plans: sealed('plans', PLANS_MAX),
    states: sealed('states', STATES_MAX),
    place: () => now().place,
    commit: () => now().commit,
    run: (args, more) => runIn(now().place, args, more),
  };
  const inTurn = <T>(work: () => Promise<T>): Promise<T> =>
    options.folders.inTurn(`${options.name}/${options.workspace}`, work);
  return {
    open: (wanted) =>
      inTurn(async () => {
        if (!options.config.workspaces.includes(options.workspace))
          throw neverSent('not-found', `${options.name} has no workspace ${options.workspace}`);
        await options.source(wanted, async (commit, writeTo) => {
          opened = { commit, place: await openPlace(options, commit, writeTo, runIn) };
        });
        return now().commit;
      }),
    state: () => inTurn(() => stateMark(session)),
    show: () =>
      inTurn(async () => json(await checked(session, ['show', '-json', '-no-color'], 'reading the state'))),
    plan: () => inTurn(() => planOnce(session)),
    saved: (commit, state) => readPlan(session, commit, state),
    apply: (plan) => inTurn(() => applyPlan(session, plan)),
  };
}

/** The checkout of a commit, initialised: local modules only, providers only from the mirror. */
async function openPlace(
  options: LendTerraformOptions,
  commit: string,
  writeTo: (folder: string) => Promise<void>,
  runIn: (
    place: TerraformPlace,
    args: readonly string[],
    more?: { sealed_off?: boolean },
  ) => Promise<ChildResult>,
): Promise<TerraformPlace> {
  const { config, name, workspace } = options;
  const placeAt = (folder: string): TerraformPlace => ({
    module: join(folder, 'tree', config.folder),
    data: join(folder, 'data'),
    home: join(folder, 'home'),
    settings_file: join(folder, 'settings.tfrc'),
  });
  const key = hashOf({ name, workspace, commit }).slice(0, 32);
  const folder = await options.folders.folder(key, async (made) => {
    const place = placeAt(made);
    for (const part of ['tree', 'data', 'home', 'no-plugins'])
      await mkdir(join(made, part), { recursive: true, mode: 0o700 });
    await writeTo(join(made, 'tree'));
    await writeFile(place.settings_file, settingsFile(config.plugin_mirror ?? join(made, 'no-plugins')));
    const modules = await runIn(place, ['get', '-no-color'], { sealed_off: true });
    if (modules.code !== 0) throw terraformFailure(modules, 'collecting local modules', 'no');
    const ready = await runIn(place, [
      'init',
      '-input=false',
      '-no-color',
      '-get=false',
      '-lockfile=readonly',
    ]);
    if (ready.code !== 0) throw terraformFailure(ready, 'terraform init', 'no');
  });
  return placeAt(folder);
}

const Mark = z.looseObject({ serial: z.int().min(0), lineage: z.string().min(1).max(200) });

async function pullState(session: Session): Promise<{ text: string; mark: StateMark }> {
  const text = await checked(session, ['state', 'pull'], 'reading the state');
  if (text.trim() === '') return { text: '', mark: { lineage: null, serial: 0 } };
  const { serial, lineage } = Mark.parse(json(text));
  return { text, mark: { serial, lineage } };
}

async function stateMark(session: Session): Promise<StateMark> {
  return (await pullState(session)).mark;
}

/** One plan per commit and state: whoever previews again sees the plan that people approved. */
async function planOnce(session: Session): Promise<SavedPlan> {
  const { options } = session;
  if (options.mode === 'read') throw neverSent('blocked', 'a read makes no plan');
  const state = await stateMark(session);
  const kept = await readPlan(session, session.commit(), state);
  const age_ms = kept === null ? 0 : options.clock.now() - kept.made_at_ms;
  if (kept !== null && age_ms <= options.config.plan_age_s_max * 1000) return kept;
  const file = join(session.place().home, `plan-${randomBytes(8).toString('hex')}`);
  try {
    await checked(
      session,
      [
        'plan',
        `-out=${file}`,
        '-input=false',
        '-no-color',
        `-lock-timeout=${options.config.lock_timeout_s}s`,
      ],
      'terraform plan',
    );
    const text = await checked(session, ['show', '-json', '-no-color', file], 'reading the plan');
    const bytes = await readFile(file);
    const after = await stateMark(session);
    if (after.serial !== state.serial || after.lineage !== state.lineage)
      throw neverSent('conflict', 'somebody changed the state while it was planned');
    const record: PlanRecord = {
      hash: sha256Hex(bytes),
      made_at_ms: options.clock.now(),
      file: bytes.toString('base64'),
      json: text,
    };
    await session.plans.write(
      planName(session, session.commit(), state),
      Buffer.from(JSON.stringify(record)),
    );
    const { hash, made_at_ms } = record;
    return { hash, made_at_ms, commit: session.commit(), state, json: json(text) };
  } finally {
    await rm(file, { force: true });
  }
}

const PlanRecord = z.strictObject({
  hash: z.string(),
  made_at_ms: z.number(),
  file: z.string(),
  json: z.string(),
});
type PlanRecord = z.infer<typeof PlanRecord>;

function planName({ options: { name, workspace } }: Session, commit: string, state: StateMark): string {
  return hashOf({ v: 1, name, workspace, commit, ...state });
}

async function readRecord(session: Session, commit: string, state: StateMark): Promise<PlanRecord | null> {
  const content = await session.plans.read(planName(session, commit, state));
  if (content === null) return null;
  const record = PlanRecord.safeParse(json(content.toString('utf8'), 3 * OUTPUT_BYTES_MAX));
  return record.success ? record.data : null;
}

async function readPlan(session: Session, commit: string, state: StateMark): Promise<SavedPlan | null> {
  const record = await readRecord(session, commit, state);
  if (record === null) return null;
  return { hash: record.hash, made_at_ms: record.made_at_ms, commit, state, json: json(record.json) };
}

async function applyPlan(session: Session, plan: SavedPlan): Promise<ApplyRun> {
  const { options } = session;
  if (options.mode !== 'write') throw neverSent('blocked', 'only an approved write applies a plan');
  const record = await readRecord(session, plan.commit, plan.state);
  const bytes = record === null ? null : Buffer.from(record.file, 'base64');
  if (record === null || bytes === null || sha256Hex(bytes) !== plan.hash)
    throw neverSent('blocked', 'the saved plan is not the approved one any more: plan again');
  if (options.clock.now() - record.made_at_ms > options.config.plan_age_s_max * 1000)
    throw neverSent('blocked', 'the saved plan is too old (plan_age_s_max): plan again');
  const { text, mark } = await pullState(session);
  if (mark.serial !== plan.state.serial || mark.lineage !== plan.state.lineage)
    return {
      status: 'stale',
      message: `the state is at serial ${mark.serial}, planned on ${plan.state.serial}`,
    };
  await session.states.write(`${planName(session, plan.commit, plan.state)}-before`, Buffer.from(text));
  const file = join(session.place().home, `apply-${randomBytes(8).toString('hex')}`);
  try {
    await writeFile(file, bytes, { mode: 0o600, flag: 'wx' });
    const result = await session.run(
      ['apply', '-input=false', '-no-color', `-lock-timeout=${options.config.lock_timeout_s}s`, file],
      { grace: true },
    );
    if (result.code === 0) return { status: 'done' };
    if (/saved plan is stale|different state lineage|plan was created against/i.test(result.stderr))
      return { status: 'stale', message: 'the state changed after it was planned on' };
    throw terraformFailure(result, 'terraform apply', 'maybe');
  } finally {
    await rm(file, { force: true });
  }
}

async function checked(session: Session, args: readonly string[], doing: string): Promise<string> {
  const result = await session.run(args);
  if (result.code === 0) return result.stdout.toString('utf8');
  throw terraformFailure(result, doing, 'no');
}

function json(text: string, bytes_max: number = OUTPUT_BYTES_MAX): unknown {
  const parsed = parseJsonText(text, { ...JSON_LIMITS, bytes_max });
  if (!parsed.ok)
    throw neverSent('malformed', `terraform’s JSON cannot be read: ${parsed.reason}`.slice(0, 300));
  return parsed.value;
}
