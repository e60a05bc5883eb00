import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, configPath, loadConfig, missingSecrets } from '../config.ts';
import type { LoadedConfig } from '../config.ts';
import type { Log } from '../contract/ports.ts';
import type { Guardrails } from '../contract/guardrails.ts';
import type { Settings } from '../contract/settings.ts';
import { buildSkillIndex, printSkillIndex } from '../cognition/skill-index.ts';
import { loadPolicySet } from '../gateway/policy/policy-set.ts';
import { limitedGaps, stepUpGaps } from '../harness/rule-gaps.ts';
import { policiesDir, skillsDir } from '../package-paths.ts';
import { witnessFile } from '../store/home.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import { createLog, systemClock } from '../system-ports.ts';
import { checkStatements } from './check-statements.ts';
import { recogniserChecks } from './doctor-recogniser.ts';
import { slackCheck, systemChecks, vaultCheck } from './doctor-systems.ts';
import { upstreamChecks } from './doctor-upstreams.ts';
import type { GlobalOptions } from './output.ts';
import { EXIT, print, table } from './output.ts';
import { skillFiles } from './skill-library.ts';
import { openGateway } from './open-gateway.ts';

/** One line of the doctor's table. */
export interface Check {
  readonly check: string;
  readonly status: 'ok' | 'failed' | 'skipped';
  readonly detail: string;
  /** The next step; there when something is not ok. */
  readonly next?: string;
}

/** Incident chains that the quick ledger check reads, newest first. */
const QUICK_CHAINS = 20;

/**
 * `aegis doctor`: asks everything that an incident will need, before one needs it. It changes nothing outside: systems
 * are read through the gateway, and each credential that it leases is given back before it ends.
 */
export async function doctor(options: GlobalOptions): Promise<void> {
  const checks = await examine(options);
  const failed = checks.filter((c) => c.status === 'failed').length;
  const rows = checks.map((c) => [
    c.check,
    c.status,
    c.detail + (c.next === undefined ? '' : `\n    next: ${c.next}`),
  ]);
  const verdict =
    failed === 0 ? 'Everything that was asked is well.' : `${failed} of ${checks.length} checks failed.`;
  print(
    options,
    { ok: failed === 0, checks },
    `${table([['CHECK', 'STATUS', 'FOUND'], ...rows])}\n\n${verdict}`,
  );
  if (failed > 0) process.exitCode = EXIT.refused;
}

async function examine(options: GlobalOptions): Promise<Check[]> {
  const checks: Check[] = [];
  let config: LoadedConfig;
  try {
    config = loadConfig(configPath(options.config));
    await checkStatements(config);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((detail) => ({
      check: 'configuration',
      status: 'failed',
      detail,
      next: 'correct it; "aegis schema config" prints every key',
    }));
  }
  checks.push({ check: 'configuration', status: 'ok', detail: config.file }, ...secretChecks(config));
  const log = createLog(options.debug === true ? 'debug' : 'silent', () => null);
  const home = await openHome(config, log);
  checks.push(home.check);
  if (home.store === null) return checks;
  try {
    checks.push(
      await ledgerCheck(home.store),
      await witnessCheck(home.store, config.settings.home),
      ...(await policyChecks(config.settings)),
      skillCheck(config.settings),
    );
    checks.push(...(await outsideChecks(config, home.store, log)));
  } finally {
    await home.store.close();
  }
  return checks;
}

/** Every secret that the file refers to can be read; its value is never shown. */
function secretChecks(config: LoadedConfig): Check[] {
  const { found, missing } = missingSecrets(config);
  if (missing.length === 0) return [{ check: 'secrets', status: 'ok', detail: `${found} found` }];
  return missing.map(({ ref, problem }) => ({
    check: 'secrets',
    status: 'failed',
    detail: problem,
    next: 'env' in ref ? `export ${ref.env}` : `write the secret into ${ref.file}, mode 0600`,
  }));
}

async function openHome(config: LoadedConfig, log: Log): Promise<{ check: Check; store: Store | null }> {
  const { home } = config.settings;
  const check = 'home';
  const existed = existsSync(home);
  try {
    const store = await openStore({ home, clock: systemClock, log });
    const mode = (statSync(home).mode & 0o777).toString(8).padStart(4, '0');
    const frozen = existsSync(join(home, 'FREEZE'));
    const detail = `${home}, mode ${mode}${existed ? '' : ', made now'}${frozen ? '; its file FREEZE stops every write' : ''}`;
    return { check: { check, status: 'ok', detail }, store };
  } catch (error) {
    const next = 'give it to the account of Aegis alone (chmod -R go= on it), or point `home` elsewhere';
    return { check: { check, status: 'failed', detail: (error as Error).message, next }, store: null };
  }
}

/** The chains that everything stands on and the newest incidents; `aegis ledger verify` reads all of it. */
async function ledgerCheck(store: Store): Promise<Check> {
  const check = 'ledger';
  const newest = await store.incidents.list({ limit: QUICK_CHAINS });
  let entries = 0;
  for (const chain of ['SYSTEM', 'CHECKPOINT', ...newest.map((i) => i.incident_id)]) {
    const verdict = await store.ledger.verify({ chain });
    entries += verdict.entries;
    const problem = verdict.problems[0];
    if (problem !== undefined)
      return {
        check,
        status: 'failed',
        detail: `${problem.chain}${problem.seq === null ? '' : ` entry ${problem.seq}`}: ${problem.what}`,
        next: 'nothing is executed; run "aegis ledger verify --witness" and compare with a backup',
      };
  }
  return {
    check,
    status: 'ok',
    detail: `${entries} entries of ${newest.length + 2} chains verified (quick check)`,
  };
}

/** Is the database the one that the witness file knows, or an older copy of it? */
async function witnessCheck(store: Store, home: string): Promise<Check> {
  const check = 'witness';
  const rewind = await store.ledger.rewind();
  if (rewind !== null)
    return { check, status: 'failed', detail: `${rewind.what} No write happens.`, next: rewind.remedy };
  if (!existsSync(witnessFile(home)))
    return { check, status: 'ok', detail: 'no witness file yet; the first checkpoint makes it' };
  return { check, status: 'ok', detail: 'the database is the one that the witness file knows' };
}

async function policyChecks(settings: Settings): Promise<Check[]> {
  const dir = policiesDir(settings);
  const services = { recogniser: settings.recogniser !== undefined };
  const { set, files, problems } = await loadPolicySet(dir, services);
  if (set === null)
    return [
      {
        check: 'policies',
        status: 'failed',
        detail: problems.join('; '),
        next: `correct the files in ${dir}; until then nothing is allowed`,
      },
    ];
  return [
    {
      check: 'policies',
      status: 'ok',
      detail: `${files.length} files, digest ${set.digest.slice(0, 12)}`,
    },
    stepUpCheck(settings, set.guardrails),
    limitedCheck(settings, set.guardrails),
  ];
}

/** Does a rule want an approval that nobody could give? */
function stepUpCheck(settings: Settings, guardrails: Guardrails): Check {
  const check = 'step-up';
  const gaps = stepUpGaps(settings, guardrails);
  if (gaps.length > 0)
    return {
      check,
      status: 'failed',
      detail: `plans of ${gaps.join(', ')} may need an approval over the step-up page, and there is no address for it`,
      next: 'set http.public_url in aegis.yaml to the https address under which people reach this server',
    };
  const { public_url } = settings.http;
  return {
    check,
    status: 'ok',
    detail:
      public_url === undefined
        ? 'no rule that applies here asks for it; a plan with a blast radius from 0.70 would, and could not be approved'
        : `page at ${public_url}`,
  };
}

/** Where Aegis is meant to act alone, and no rule lets it. */
function limitedCheck(settings: Settings, guardrails: Guardrails): Check {
  const check = 'limited';
  const gaps = limitedGaps(settings, guardrails);
  if (gaps.length > 0)
    return {
      check,
      status: 'failed',
      detail: `${gaps.join(', ')} has autonomy limited, and no rule of guardrails.yaml for its tiers asks nobody: people are asked for every plan`,
      next: 'add a row with "people: 0" under "approval", or write "autonomy: approve"',
    };
  const alone = Object.values(settings.teams)
    .flatMap(({ environments }) => Object.values(environments))
    .filter(({ autonomy }) => autonomy === 'limited').length;
  const { limited } = guardrails;
  return {
    check,
    status: 'ok',
    detail:
      alone === 0 || limited === undefined
        ? 'Aegis acts alone nowhere'
        : `${alone === 1 ? '1 environment' : `${alone} environments`}, each at most ${limited.per_environment_day_max} unattended changes in 24 h`,
  };
}

function skillCheck(settings: Settings): Check {
  const dir = skillsDir(settings);
  const check = 'skills';
  try {
    const built = buildSkillIndex(skillFiles(dir));
    if (!built.ok) {
      const first = built.problems[0];
      const detail = `${first?.path ?? ''}:${first?.line ?? 1}: ${first?.reason ?? 'not a skill'}`;
      return { check, status: 'failed', detail, next: 'run "aegis skills lint"' };
    }
    if (readFileSync(join(dir, '_index.json'), 'utf8') !== printSkillIndex(built.index))
      return {
        check,
        status: 'failed',
        detail: 'the index is not the one of these skills',
        next: 'run "aegis skills index"',
      };
    return { check, status: 'ok', detail: `${built.index.skills.length} skills` };
  } catch (error) {
    const next = 'check skills_dir, then run "aegis skills index"';
    return { check, status: 'failed', detail: (error as Error).message, next };
  }
}

async function outsideChecks(config: LoadedConfig, store: Store, log: Log): Promise<Check[]> {
  const { settings } = config;
  const before = new Set((await store.leases.outstanding()).map((l) => l.lease_id));
  const gateway = await openGateway({ config, store, log });
  let checks: Check[];
  try {
    const [slack, vault, recogniser, systems, upstreams] = await Promise.all([
      guarded('slack', () => slackCheck(config, log)),
      vaultCheck(settings),
      recogniserChecks(settings, policiesDir(settings)),
      systemChecks(config, gateway, store),
      upstreamChecks(settings, gateway, store),
    ]);
    checks = [slack, ...(vault === null ? [] : [vault]), ...recogniser, ...systems, ...upstreams];
  } finally {
    await gateway.close();
  }
  const left = (await store.leases.outstanding()).filter((l) => !before.has(l.lease_id));
  const leases: Check =
    left.length === 0
      ? { check: 'credentials', status: 'ok', detail: 'each one that was leased is revoked' }
      : {
          check: 'credentials',
          status: 'failed',
          detail: `${left.length} could not be revoked yet`,
          next: 'Aegis revokes them at its next start; they die by themselves within minutes. Look at Vault',
        };
  return [...checks, leases];
}

/** A check that cannot even be asked is a failed one, not the end of the others. */
async function guarded(check: string, ask: () => Promise<Check>): Promise<Check> {
  try {
    return await ask();
  } catch (error) {
    return {
      check,
      status: 'failed',
      detail: (error as Error).message,
      next: 'correct it and run "aegis doctor" again',
    };
  }
}
