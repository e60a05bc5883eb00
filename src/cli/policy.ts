import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { configPath, loadConfig } from '../config.ts';
import { parseJsonText, parseYamlText } from '../contract/parse.ts';
import type { Settings } from '../contract/settings.ts';
import { ownersOf } from '../gateway/pipeline/tenancy.ts';
import { loadPolicySet } from '../gateway/policy/policy-set.ts';
import type { PolicyLoad, PolicySet, RuleServices } from '../gateway/policy/policy-set.ts';
import { policiesDir } from '../package-paths.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print } from './output.ts';
import {
  explainRequest,
  PolicyRows,
  redactionProblem,
  RedactionRows,
  rowRequest,
} from './policy-requests.ts';

/**
 * `aegis policy check|test|explain`: the rules as their authors see them, from the same loader and the same engine that
 * the gateway asks. Nothing here needs a running service, and nothing is changed.
 */
export async function policy(
  options: GlobalOptions,
  action: string,
  file: string | undefined,
): Promise<void> {
  const place = placeOf(options);
  if (action === 'check') return check(options, place);
  if (action === 'test') return test(options, place);
  if (action === 'explain') return explain(options, place, file);
  throw new CliError(`"${action}" is not a policy action; use check, test or explain`, EXIT.usage);
}

interface Place {
  readonly dir: string;
  /** Null without a configuration: the shipped rules can be looked at without one. */
  readonly settings: Settings | null;
}

function placeOf(options: GlobalOptions): Place {
  const file = configPath(options.config);
  if (options.config === undefined && !existsSync(file)) return { dir: policiesDir({}), settings: null };
  const { settings } = loadConfig(file);
  return { dir: policiesDir(settings), settings };
}

async function check(options: GlobalOptions, { dir, settings }: Place): Promise<void> {
  const load = await loadPolicySet(dir, servicesOf(settings));
  const problems = placed(dir, load);
  const { set, files } = load;
  print(
    options,
    { dir, digest: set?.digest ?? null, rules: set?.policy_ids ?? [], files, problems },
    set === null
      ? `${problems.map(lineOf).join('\n')}\nWith this set nothing is allowed: no read, no change.`
      : `${set.policy_ids.length} rules in ${files.length} files of ${dir} are sound.\ndigest ${set.digest}`,
  );
  if (set === null) process.exitCode = EXIT.refused;
}

/** Without a configuration nobody knows what the rules may ask for. */
function servicesOf(settings: Settings | null): RuleServices | undefined {
  return settings === null ? undefined : { recogniser: settings.recogniser !== undefined };
}

interface Failure {
  readonly file: string;
  readonly line: number;
  readonly row: string;
  readonly reason: string;
}

async function test(options: GlobalOptions, { dir, settings }: Place): Promise<void> {
  const set = await loaded(dir, settings);
  const decided = new Set<string>();
  const failures: Failure[] = [];
  let rows = 0;
  for (const file of rowFiles(dir)) {
    const { value, line_of } = rowsOf(file);
    if ('redaction' in value) {
      for (const [n, row] of value.redaction.entries()) {
        rows += 1;
        const reason = redactionProblem(set.redaction, row);
        if (reason !== null)
          failures.push({ file, line: line_of(['redaction', n]) ?? 1, row: row.text.slice(0, 60), reason });
      }
      continue;
    }
    for (const [n, row] of value.rows.entries()) {
      rows += 1;
      const reason = rowProblem(set, value.defaults, row, decided);
      if (reason !== null) failures.push({ file, line: line_of(['rows', n]) ?? 1, row: row.name, reason });
    }
  }
  const untested = set.policy_ids.filter((id) => !decided.has(id));
  const text = [
    ...failures.map((f) => `${f.file}:${f.line}: "${f.row}": ${f.reason}`),
    ...(untested.length === 0 ? [] : [`No row is decided by: ${untested.join(', ')}.`]),
    failures.length === 0 ? `${rows} rows, all as expected.` : `${failures.length} of ${rows} rows failed.`,
  ];
  print(options, { dir, digest: set.digest, rows, failures, untested_rules: untested }, text.join('\n'));
  if (failures.length > 0) process.exitCode = EXIT.refused;
}

function rowProblem(
  set: PolicySet,
  defaults: PolicyRows['defaults'],
  row: PolicyRows['rows'][number],
  decided: Set<string>,
): string | null {
  const parsed = rowRequest(defaults, row);
  if (!parsed.ok) return `is not a request: ${parsed.problem}`;
  const answer = set.authorizer.decide(parsed.request);
  for (const id of answer.reasons) decided.add(id);
  const found = answer.allow ? 'allow' : 'deny';
  const by = answer.reasons.length === 0 ? 'no rule' : answer.reasons.join(', ');
  if (answer.errors.length > 0) return `${found}: ${answer.errors.join('; ')}`;
  if (found !== row.expect) return `expected ${row.expect}, found ${found} by ${by}`;
  const expected = row.reasons === undefined ? null : [...row.reasons].sort().join(', ');
  return expected === null || expected === answer.reasons.join(', ')
    ? null
    : `${found} as expected, but by ${by} instead of ${expected === '' ? 'no rule' : expected}`;
}

async function explain(
  options: GlobalOptions,
  { dir, settings }: Place,
  file: string | undefined,
): Promise<void> {
  if (file === undefined)
    throw new CliError('name a JSON file with the request, or - for standard input', EXIT.usage);
  const json = parseJsonText(textOf(file));
  if (!json.ok) throw new CliError(`${file}: ${json.reason}`, EXIT.usage);
  const parsed = explainRequest(json.value, (target, access) =>
    settings === null ? [] : ownersOf(settings, target, access),
  );
  if (!parsed.ok)
    throw new CliError(
      `${file}: ${parsed.problem}. A request is {"principal": {id, tenant, token_class, has_incident}, "target": {uri, tenants?}, "call": {action, tool, action_class, env, tier, ...}}`,
      EXIT.usage,
    );
  const set = await loaded(dir, settings);
  const answer = set.authorizer.decide(parsed.request);
  const rules = answer.reasons.map((id) => ({ id, ...ruleAt(dir, id) }));
  const { target, call } = parsed.request;
  const because = [
    ...rules.map((rule) => `  ${rule.file}:${rule.line} ${rule.id}`),
    ...answer.errors.map((error) => `  could not be evaluated, which is a no: ${error}`),
  ];
  const decision = answer.allow ? 'allow' : 'deny';
  print(
    options,
    { decision, rules, errors: answer.errors, target_tenants: target.tenants, digest: set.digest },
    `${decision}: ${call.action} ${call.tool} on ${target.uri}\n${because.join('\n') || '  no rule allows it'}`,
  );
  if (!answer.allow) process.exitCode = EXIT.refused;
}

async function loaded(dir: string, settings: Settings | null): Promise<PolicySet> {
  const load = await loadPolicySet(dir, servicesOf(settings));
  if (load.set !== null) return load.set;
  throw new CliError(`the policies do not load:\n${placed(dir, load).map(lineOf).join('\n')}`);
}

function rowFiles(dir: string): string[] {
  const folder = join(dir, 'tests');
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.yaml')) : [];
  if (names.length === 0) throw new CliError(`${folder} holds no *.yaml file with rows: nothing was tested`);
  return names.sort().map((name) => join(folder, name));
}

function rowsOf(file: string): {
  value: PolicyRows | RedactionRows;
  line_of: (path: readonly (string | number)[]) => number | null;
} {
  const parsed = parseYamlText(readFileSync(file, 'utf8'));
  if (!parsed.ok) throw new CliError(`${file}:${parsed.line ?? 1}: ${parsed.reason}`);
  const of_texts = typeof parsed.value === 'object' && parsed.value !== null && 'redaction' in parsed.value;
  const checked = of_texts ? RedactionRows.safeParse(parsed.value) : PolicyRows.safeParse(parsed.value);
  if (checked.success) return { value: checked.data, line_of: parsed.line_of };
  const issue = checked.error.issues[0];
  const path = (issue?.path ?? []) as (string | number)[];
  throw new CliError(
    `${file}:${parsed.line_of(path) ?? 1}: ${path.join('.')}: ${issue?.message ?? 'not rows of requests'}`,
  );
}

function textOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new CliError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, EXIT.usage);
  }
}

interface PlacedProblem {
  readonly file: string;
  readonly line: number;
  readonly reason: string;
}

/** The engine names rules, the loader names files, some with a line; people want all three. */
function placed(dir: string, { problems, files }: PolicyLoad): PlacedProblem[] {
  return problems.map((problem) => {
    const [, name, line, said] =
      /^([\w.-]+\.(?:cedar|cedarschema|yaml))(?::(\d+))?:? (.*)$/s.exec(problem) ?? [];
    const id = /(?:policy with id|for policy) `([a-z0-9-]+)`|the id "([a-z0-9-]+)"/.exec(problem);
    const rule = id === null ? null : ruleAt(dir, id[1] ?? id[2] ?? '', name);
    if (rule !== null) return { ...rule, reason: said ?? problem };
    if (name !== undefined)
      return { file: join(dir, name), line: Number(line ?? 1), reason: said ?? problem };
    const schema = problem.includes('schema') && files.some((file) => file.name === 'schema.cedarschema');
    return { file: schema ? join(dir, 'schema.cedarschema') : dir, line: 1, reason: problem };
  });
}

/** Where a rule begins; with `only`, in that file. */
function ruleAt(dir: string, id: string, only?: string): { file: string; line: number } | null {
  for (const name of readdirSync(dir).sort()) {
    if (!name.endsWith('.cedar') || (only !== undefined && name !== only)) continue;
    const lines = readFileSync(join(dir, name), 'utf8').split('\n');
    const at = lines.findIndex((line) => line.startsWith(`@id("${id}")`));
    if (at !== -1) return { file: join(dir, name), line: at + 1 };
  }
  return null;
}

function lineOf({ file, line, reason }: PlacedProblem): string {
  return `${file}:${line}: ${reason}`;
}
