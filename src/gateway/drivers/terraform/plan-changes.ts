import { z } from 'zod';
import { canonicalJson } from '../../../contract/canonical.ts';
import type { FieldChange } from '../../../contract/tool.ts';
import { eachLeaf } from '../../json-pointer.ts';

/** What `terraform show -json` says about a plan and a state, as people may see it and as it is compared. Pure. */
const Change = z.looseObject({
  actions: z.array(z.string()),
  before: z.unknown(),
  after: z.unknown(),
  after_unknown: z.unknown(),
  before_sensitive: z.unknown(),
  after_sensitive: z.unknown(),
});

const PlanJson = z.looseObject({
  format_version: z.string().regex(/^1\./, 'a plan format of version 1'),
  errored: z.boolean().optional(),
  resource_changes: z
    .array(z.looseObject({ address: z.string(), mode: z.string(), type: z.string(), change: Change }))
    .default([]),
  output_changes: z.record(z.string(), Change).default({}),
  configuration: z.unknown(),
});
export type PlanJson = z.infer<typeof PlanJson>;

export function parsePlan(json: unknown): PlanJson {
  return PlanJson.parse(json);
}

const NOTHING = new Set(['no-op', 'read']);
const FATES: Readonly<Record<string, string>> = { delete: 'deleted', forget: 'forgotten' };
/** Types of resources that say who may do what. */
const IDENTITIES =
  /(?:^|_)(?:iam|role|roles|policy|policies|rbac|permission|permissions|grant|grants|binding|access_key|credential|credentials|service_account|user|group_membership|kms_key|identity)(?:_|$)/;

/** Why the plan is never applied from here, whatever people approve; null when it may be. */
export function planProblem(plan: PlanJson): string | null {
  if (plan.errored === true) return 'the plan is incomplete';
  const changed = plan.resource_changes.filter((one) => !one.change.actions.every((act) => NOTHING.has(act)));
  for (const { address, type, change } of changed) {
    const other = change.actions.find((act) => act !== 'create' && act !== 'update');
    if (other !== undefined) {
      const fate = change.actions.length > 1 ? 'replaced' : (FATES[other] ?? `changed by "${other}"`);
      return `${address} would be ${fate} (class destroy)`;
    }
    if (IDENTITIES.test(type)) return `${address} says who may do what (class privileged)`;
  }
  if (hasProvisioner(plan.configuration))
    return 'the configuration runs programs (provisioner, class privileged)';
  const outputs = Object.values(plan.output_changes).some(
    (one) => !one.actions.every((act) => NOTHING.has(act)),
  );
  return changed.length === 0 && !outputs ? 'the plan changes nothing' : null;
}

/** Provisioners are shell commands; they stand beside the resources of each module. */
function hasProvisioner(configuration: unknown): boolean {
  let found = false;
  eachLeaf(configuration, (pointer) => {
    if (/\/resources\/\d+\/provisioners\//.test(pointer)) found = true;
  });
  return found;
}

export interface ShownPlan {
  readonly before: Readonly<Record<string, unknown>>;
  readonly after: Readonly<Record<string, unknown>>;
  readonly fields: readonly FieldChange[];
}

/** The changes with every sensitive value masked and every unknown one named as such. */
export function shownPlan(plan: PlanJson): ShownPlan {
  const before: Record<string, unknown> = {};
  const after: Record<string, unknown> = {};
  const fields: FieldChange[] = [];
  const all = [
    ...plan.resource_changes.map(({ address, change }) => [address, change] as const),
    ...Object.entries(plan.output_changes).map(([name, change]) => [`output.${name}`, change] as const),
  ];
  for (const [address, change] of all) {
    if (change.actions.every((act) => NOTHING.has(act))) continue;
    const was = mask(change.before, change.before_sensitive);
    const unknown = withUnknown(mask(change.after, change.after_sensitive), change.after_unknown);
    const will = markChanged(was, unknown, change.before, change.after);
    if (was !== null) before[address] = was;
    after[address] = will;
    fields.push(...fieldsOf(address, was, will));
  }
  return { before, after, fields };
}

const MASK = '[SENSITIVE]';
const UNKNOWN = '(known after apply)';

/** Values that the program marks, wherever they stand. */
export function mask(value: unknown, sensitive: unknown): unknown {
  if (sensitive === true) return value === null || value === undefined ? null : MASK;
  if (Array.isArray(value)) {
    const marks: readonly unknown[] = Array.isArray(sensitive) ? sensitive : [];
    return value.map((item, index) => mask(item, marks[index]));
  }
  if (typeof value !== 'object' || value === null) return value ?? null;
  const marks = (typeof sensitive === 'object' ? sensitive : {}) as Record<string, unknown> | null;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, mask(child, marks?.[key])]));
}

function withUnknown(value: unknown, unknown: unknown): unknown {
  if (unknown === true) return UNKNOWN;
  if (Array.isArray(unknown)) {
    const items: readonly unknown[] = Array.isArray(value) ? value : [];
    return unknown.length === 0
      ? value
      : unknown.map((mark, index) => withUnknown(items[index] ?? null, mark));
  }
  if (typeof unknown !== 'object' || unknown === null || Array.isArray(value)) return value;
  const known = (typeof value === 'object' ? value : {}) as Record<string, unknown> | null;
  const merged: Record<string, unknown> = { ...known };
  for (const [key, mark] of Object.entries(unknown)) {
    const shown = withUnknown(known?.[key] ?? null, mark);
    if (shown !== null || Object.hasOwn(known ?? {}, key)) merged[key] = shown;
  }
  return value === null && Object.keys(merged).length === 0 ? null : merged;
}

/** Two masks look the same although the values differ: people must see that something changes. */
function markChanged(was: unknown, will: unknown, before: unknown, after: unknown): unknown {
  if (will === MASK && was === MASK) return same(before, after) ? MASK : `${MASK} (another value)`;
  if (typeof will !== 'object' || will === null || typeof was !== 'object' || was === null) return will;
  const at = (value: unknown, key: string): unknown =>
    (value as Record<string, unknown> | null)?.[key] ?? null;
  const entries = Object.entries(will).map(
    ([key, child]) => [key, markChanged(at(was, key), child, at(before, key), at(after, key))] as const,
  );
  return Array.isArray(will) ? entries.map(([, child]) => child) : Object.fromEntries(entries);
}

function fieldsOf(address: string, was: unknown, will: unknown): FieldChange[] {
  const root = `/${address.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const old = new Map<string, unknown>();
  const now = new Map<string, unknown>();
  if (was !== null) eachLeaf(was, (pointer, leaf) => old.set(pointer, leaf));
  eachLeaf(will, (pointer, leaf) => now.set(pointer, leaf));
  const fields: FieldChange[] = [];
  for (const pointer of new Set([...old.keys(), ...now.keys()])) {
    const change = { before: old.get(pointer) ?? null, after: now.get(pointer) ?? null };
    if (!same(change.before, change.after)) fields.push({ path: `${root}${pointer}`, ...change });
  }
  return fields;
}

interface StateModule {
  readonly resources?: readonly { readonly address: string; readonly values?: unknown }[] | undefined;
  readonly child_modules?: readonly StateModule[] | undefined;
}
const StateModule: z.ZodType<StateModule> = z.lazy(() =>
  z.looseObject({
    resources: z.array(z.looseObject({ address: z.string(), values: z.unknown() })).optional(),
    child_modules: z.array(StateModule).optional(),
  }),
);
const StateJson = z.looseObject({
  values: z
    .looseObject({
      outputs: z.record(z.string(), z.looseObject({ value: z.unknown() })).optional(),
      root_module: StateModule.optional(),
    })
    .optional(),
});

/** Whether a state shows all that the plan was to bring about, as far as the plan knew it. */
export function isReached(plan: PlanJson, state_json: unknown): boolean {
  const state = StateJson.safeParse(state_json);
  if (!state.success) return false;
  const values = new Map<string, unknown>();
  collect(state.data.values?.root_module, values);
  const outputs = state.data.values?.outputs ?? {};
  const resources = plan.resource_changes.every(({ address, change }) =>
    change.actions.every((act) => NOTHING.has(act))
      ? true
      : values.has(address) && holds(change.after, change.after_unknown, values.get(address)),
  );
  const shown = Object.entries(plan.output_changes).every(([name, change]) => {
    if (change.actions.includes('delete')) return !Object.hasOwn(outputs, name);
    return holds(change.after ?? null, change.after_unknown, outputs[name]?.value ?? null);
  });
  return resources && shown;
}

function collect(module: StateModule | undefined, values: Map<string, unknown>): void {
  for (const { address, values: found } of module?.resources ?? []) values.set(address, found);
  for (const child of module?.child_modules ?? []) collect(child, values);
}

/** Every value that was known beforehand is there. */
function holds(wanted: unknown, unknown: unknown, found: unknown): boolean {
  if (unknown === true) return true;
  if (typeof wanted !== 'object' || wanted === null) return same(wanted ?? null, found ?? null);
  if (Array.isArray(wanted))
    return (
      Array.isArray(found) &&
      found.length === wanted.length &&
      wanted.every((item, n) => holds(item, Array.isArray(unknown) ? unknown[n] : undefined, found[n]))
    );
  if (typeof found !== 'object' || found === null) return false;
  const marks = (typeof unknown === 'object' ? unknown : {}) as Record<string, unknown> | null;
  return Object.entries(wanted).every(([key, value]) =>
    holds(value, marks?.[key], (found as Record<string, unknown>)[key]),
  );
}

/** The state with its sensitive values masked. */
export function shownState(state_json: unknown): { address: string; type: string; values: unknown }[] {
  const shown: { address: string; type: string; values: unknown }[] = [];
  const Resource = z.looseObject({
    address: z.string(),
    type: z.string(),
    values: z.unknown(),
    sensitive_values: z.unknown(),
  });
  const walk = (module: StateModule | undefined): void => {
    for (const resource of module?.resources ?? []) {
      const { address, type, values, sensitive_values } = Resource.parse(resource);
      shown.push({ address, type, values: mask(values, sensitive_values) });
    }
    for (const child of module?.child_modules ?? []) walk(child);
  };
  walk(StateJson.parse(state_json).values?.root_module);
  return shown;
}

function same(a: unknown, b: unknown): boolean {
  return canonicalJson(a ?? null) === canonicalJson(b ?? null);
}
