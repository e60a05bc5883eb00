import { RE2JS } from 're2js';
import { selectYaml } from '../contract/expectation.ts';
import type { Alert, IncidentContext } from '../contract/incident.ts';
import type { SkillVar } from '../contract/skill.ts';
import { doubleQuantity, isQuantity } from './quantity.ts';

/**
 * Values of a skill's variables. Everything here may have been written by an attacker (labels, files), so a value counts
 * only when it has the declared type; an ill-typed value is reported without being quoted and the next source is asked.
 * Several entries of one name are fall-backs in order: `job` from label `app_name`, else from label `job_name`.
 */
export type VarValue = string | number;
export type Vars = ReadonlyMap<string, VarValue>;

/** What a read has brought: its lines, `pending` while it has not run, `absent` when it could not be read. */
export type ReadState = readonly string[] | 'pending' | 'absent';

export interface VarSources {
  readonly incident: IncidentContext;
  readonly readOf: (read: string) => ReadState;
  /** Values of read variables known from an earlier investigation; types are checked again. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

export interface Resolution {
  readonly vars: Vars;
  /** Why a variable has no value, or why one of its sources was ignored; plain sentences without untrusted text. */
  readonly problems: readonly string[];
}

type Raw = { readonly state: 'value'; readonly value: unknown } | { readonly state: 'absent' | 'pending' };

/**
 * Resolves what can be resolved now. Pure: call it again after each read. Names are taken in the order of their first
 * declaration, so the inputs of a computed variable stand before it (`lintSkill` checks that).
 */
export function resolveVars(declared: readonly SkillVar[], sources: VarSources): Resolution {
  const scratch: Scratch = { sources, vars: new Map(), pending: new Set(), problems: [] };
  for (const name of new Set(declared.map((entry) => entry.name)))
    resolveOne(
      name,
      declared.filter((entry) => entry.name === name),
      scratch,
    );
  return { vars: scratch.vars, problems: scratch.problems };
}

interface Scratch {
  readonly sources: VarSources;
  readonly vars: Map<string, VarValue>;
  /** Names whose value waits for a read. */
  readonly pending: Set<string>;
  readonly problems: string[];
}

function resolveOne(name: string, entries: readonly SkillVar[], scratch: Scratch): void {
  const { vars, pending, problems } = scratch;
  for (const entry of entries) {
    const raw = rawValue(entry, scratch);
    if (raw.state === 'pending') return void pending.add(name);
    if (raw.state !== 'value') continue;
    const value = typedValue(entry.type, raw.value);
    if (value !== null) return void vars.set(name, value);
    problems.push(`${describeSource(entry)} is not a valid ${entry.type} and was ignored`);
  }
  for (const entry of entries) {
    const value = entry.default === undefined ? null : typedValue(entry.type, entry.default);
    if (value !== null) return void vars.set(name, value);
  }
  // A failed read, or an unknown input of a computation, has been reported itself.
  const reported = ({ from }: SkillVar) =>
    'compute' in from || ('read' in from && scratch.sources.readOf(from.read) === 'absent');
  if (entries.every(reported)) return;
  problems.push(`$${name} is unknown: nothing usable in ${entries.map(describeSource).join(', ')}`);
}

function rawValue(entry: SkillVar, { sources, vars, pending }: Scratch): Raw {
  const { from } = entry;
  if ('label' in from) return known(labelValue(sources.incident, from.label));
  if ('scope' in from) return known(sources.incident.scope[from.scope]);
  if ('compute' in from)
    return from.of.some((part) => pending.has(part.slice(1)))
      ? { state: 'pending' }
      : compute(from.compute, from.of, vars);
  if (sources.facts !== undefined && Object.hasOwn(sources.facts, entry.name))
    return known(sources.facts[entry.name]);
  const state = sources.readOf(from.read);
  if (state === 'pending' || state === 'absent') return { state };
  return known('select' in from ? selectYaml(state, from.select) : firstCapture(state, from.pattern));
}

function known(value: unknown): Raw {
  return value === undefined || value === null || value === ''
    ? { state: 'absent' }
    : { state: 'value', value };
}

/** The label of the first firing alert that has it, else of any alert, else of the group. */
function labelValue(incident: IncidentContext, label: string): string | undefined {
  const has = (alert: Alert) => Object.hasOwn(alert.labels, label);
  const alert = incident.alerts.find((a) => a.status === 'firing' && has(a)) ?? incident.alerts.find(has);
  if (alert !== undefined) return alert.labels[label];
  return Object.hasOwn(incident.scope.labels, label) ? incident.scope.labels[label] : undefined;
}

function compute(operation: 'double_quantity' | 'concat', of: readonly string[], vars: Vars): Raw {
  const inputs = of.map((part) => (part.startsWith('$') ? vars.get(part.slice(1)) : part));
  if (inputs.some((input) => input === undefined)) return { state: 'absent' };
  if (operation === 'concat') return known(inputs.map(String).join(''));
  return known(doubleQuantity(String(inputs[0])) ?? undefined);
}

function firstCapture(lines: readonly string[], pattern: string): string | undefined {
  const re = RE2JS.compile(pattern);
  for (const line of lines) {
    const matcher = re.matcher(line);
    if (matcher.find() && matcher.groupCount() > 0) return matcher.group(1) ?? undefined;
  }
  return undefined;
}

const NAME = /^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$/;
const PATH_SEGMENT = /^[A-Za-z0-9._:@+,~-]{1,253}$/;

/** The value in its declared type, or null. A name or path segment never holds `/` or `..`. */
export function typedValue(type: SkillVar['type'], raw: unknown): VarValue | null {
  if (type === 'number') {
    const number = typeof raw === 'string' && /^-?\d{1,15}(\.\d{1,6})?$/.test(raw) ? Number(raw) : raw;
    return typeof number === 'number' && Number.isFinite(number) ? number : null;
  }
  if (type === 'quantity') {
    const text = typeof raw === 'number' && Number.isSafeInteger(raw) ? String(raw) : raw;
    return typeof text === 'string' && isQuantity(text) ? text : null;
  }
  if (typeof raw !== 'string' || raw.includes('..')) return null;
  return (type === 'name' ? NAME : PATH_SEGMENT).test(raw) && raw !== '.' ? raw : null;
}

function describeSource({ from }: SkillVar): string {
  if ('label' in from) return `label ${from.label}`;
  if ('scope' in from) return `the incident's ${from.scope}`;
  if ('compute' in from) return `${from.compute}(${from.of.join(', ')})`;
  return `read ${from.read}`;
}
