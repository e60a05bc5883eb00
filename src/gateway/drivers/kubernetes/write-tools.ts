import { z } from 'zod';
import { writeTool, type TouchedField } from '../driver.ts';
import { applyFields, observeFields, previewFields } from './spec-patch.ts';
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

const UpdateSpecArgs = z.strictObject({
  changes: z
    .array(SpecChange)
    .min(1)
    .max(20)
    .refine(
      (changes) => new Set(changes.map((change) => change.path)).size === changes.length,
      'a path is named twice',
    ),
});
type UpdateSpecArgs = z.infer<typeof UpdateSpecArgs>;

const fields = (args: UpdateSpecArgs): TouchedField[] =>
  args.changes.map(({ path, value }) => ({ path, after: value }));

export const JOB_UPDATE_SPEC = writeTool<UpdateSpecArgs>({
  ...COMMON,
  name: 'job.update_spec',
  description:
    'Changes single fields of the specification of a batch job; its operator runs it again with them.',
  target_kinds: ['sparkapplication'],
  input: UpdateSpecArgs,
  conditional: true,
  touched: fields,
  undo: (before_image) => ({
    changes: Object.entries(before_image).map(([path, value]) => ({ path, value })),
  }),
  preview: (handle, args) => previewFields(handle, fields(args), sparkResources),
  observe: (handle, args) => observeFields(handle, fields(args)),
  apply: (handle, args) => applyFields(handle, fields(args)),
});
