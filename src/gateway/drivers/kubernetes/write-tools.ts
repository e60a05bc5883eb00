import { z } from 'zod';
import { valueAt } from '../../json-pointer.ts';
import { writeTool, type TouchedField, type WriteTool } from '../driver.ts';
import { locateField } from './field-path.ts';
import { podTemplateResources } from './pod-template-resources.ts';
import { applyFields, observeFields, previewFields, type PreviewRules } from './spec-patch.ts';
import { sparkResources } from './spark-resources.ts';

const COMMON = {
  system: 'k8s',
  base_class: 'write',
  dry_run: 'server',
  timeout_ms_max: 60_000,
  result_bytes_max: 4 * 1024 * 1024,
} as const;

/** Only scalars, only below `/spec`: replacing a whole sub-tree could carry an image or a command along. */
const SpecChange = z.strictObject({
  path: z
    .string()
    .max(300)
    .regex(/^\/spec(\/[A-Za-z0-9_.~-]+)+$/, 'a JSON pointer below /spec'),
  value: z.union([z.string().max(1000), z.number(), z.boolean(), z.null()]),
});

const SpecChanges = z.strictObject({
  changes: z
    .array(SpecChange)
    .min(1)
    .max(20)
    .refine(
      (changes) => new Set(changes.map((change) => change.path)).size === changes.length,
      'a path is named twice',
    ),
});

const RESTARTED_AT = '/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt';

const ReplicaChange = z.strictObject({ path: z.literal('/spec/replicas'), value: z.int().min(0) });
/** `null` takes the annotation away again: the undo of the first restart. */
const RestartChange = z.strictObject({
  path: z.literal(RESTARTED_AT),
  value: z.union([z.iso.datetime({ offset: true }), z.null()]),
});

interface FieldArgs {
  readonly changes: readonly { readonly path: string; readonly value: unknown }[];
}

/**
 * Every write here sets named fields, and all take the same arguments: a before-image, read backwards, is the undo, and
 * an approved preview is the call that reconciliation asks about.
 */
function fieldTool(
  about: { name: string; description: string; target_kinds: string[]; input: z.ZodType<FieldArgs> },
  rules: PreviewRules,
): WriteTool {
  const fields = (args: FieldArgs): TouchedField[] =>
    args.changes.map(({ path, value }) => ({ path, after: value }));
  return writeTool<FieldArgs>({
    ...COMMON,
    ...about,
    conditional: true,
    touched: fields,
    undo: (before_image) => ({
      changes: Object.entries(before_image).map(([path, value]) => ({ path, value })),
    }),
    preview: (handle, args) => previewFields(handle, fields(args), rules),
    observe: (handle, args) => observeFields(handle, fields(args)),
    apply: (handle, args) => applyFields(handle, fields(args)),
  });
}

export const JOB_UPDATE_SPEC = fieldTool(
  {
    name: 'job.update_spec',
    description:
      'Changes single fields of the specification of a batch job; its operator runs it again with them.',
    target_kinds: ['sparkapplication'],
    input: SpecChanges,
  },
  { resources: sparkResources },
);

export const K8S_PATCH = fieldTool(
  {
    name: 'k8s.patch',
    description:
      'Changes single fields of the specification of a Deployment; list items are named: containers/<name>/....',
    target_kinds: ['deployment'],
    input: SpecChanges,
  },
  {
    resources: podTemplateResources,
    warns: pausedWarning,
    // To take a limit away again is outside of every bound, so a field that is not there yet has no undo.
    refuses: (before, paths) => {
      const absent = paths.find((path) => locateField(before, path).value === undefined);
      return absent === undefined
        ? null
        : `${absent} is not set, and only fields that have a value are changed`;
    },
  },
);

export const K8S_SCALE = fieldTool(
  {
    name: 'k8s.scale',
    description: 'Sets how many pods a Deployment runs (/spec/replicas).',
    target_kinds: ['deployment'],
    input: z.strictObject({ changes: z.array(ReplicaChange).length(1) }),
  },
  { resources: podTemplateResources },
);

export const K8S_ROLLOUT_RESTART = fieldTool(
  {
    name: 'k8s.rollout_restart',
    description:
      'Replaces all pods of a Deployment, a few at a time, as kubectl rollout restart does: it sets restartedAt on the template.',
    target_kinds: ['deployment'],
    input: z.strictObject({ changes: z.array(RestartChange).length(1) }),
  },
  {
    resources: podTemplateResources,
    refuses: (before) =>
      isPaused(before) ? 'the Deployment is paused: a restart would begin only when it is resumed' : null,
  },
);

function pausedWarning(before: unknown): string[] {
  return isPaused(before)
    ? ['the Deployment is paused: a change of its template waits until it is resumed']
    : [];
}

function isPaused(object: unknown): boolean {
  return valueAt(object, '/spec/paused') === true;
}
