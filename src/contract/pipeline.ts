import { z } from 'zod';

/**
 * The read language as a tree: `grep "OOM" /teams/data/prod/logs/driver.log --since 1h | tail -n 50`. People, skills and
 * models write text; `parsePipeline` (pipeline-parser.ts) turns it into this tree, variables are put into the tree,
 * and `printPipeline` gives the one canonical spelling that evidence is pinned to.
 */

/** A word is literal text or, in a skill's template, a variable. */
export const Word = z.discriminatedUnion('w', [
  z.strictObject({ w: z.literal('text'), text: z.string().max(2000) }),
  z.strictObject({ w: z.literal('var'), name: z.string() }),
]);
export type Word = z.infer<typeof Word>;

/** A path is a list of segments, each made of words that are joined: `/teams/$team/$env/pods/$pod/logs.tail`. */
export const PathExpr = z.strictObject({
  segments: z.array(z.array(Word).min(1)).max(40),
  /** Query parameters of a dynamic file, sorted by name: `?limit=200&window=15m`. */
  params: z.array(z.strictObject({ name: z.string(), value: z.array(Word) })).max(20),
});
export type PathExpr = z.infer<typeof PathExpr>;

/** A window bound: relative to "now" (`1h` ago) or absolute (ISO time). The VFS makes it absolute before it reads. */
export const TimeBound = z.union([
  z.strictObject({ ago_s: z.int().min(0) }),
  z.strictObject({ at: z.string() }),
]);
export type TimeBound = z.infer<typeof TimeBound>;

export const Window = z.strictObject({ since: TimeBound.optional(), until: TimeBound.optional() });
export type Window = z.infer<typeof Window>;

/** What `grep` takes as a source and as a filter: -i, -v, -F, -c and lines of context -A/-B. */
const GREP_FIELDS = {
  pattern: z.array(Word).min(1),
  ignore_case: z.boolean(),
  invert: z.boolean(),
  fixed: z.boolean(),
  count: z.boolean(),
  after: z.int().min(0).max(1000),
  before: z.int().min(0).max(1000),
};

export const SourceStage = z.discriminatedUnion('cmd', [
  z.strictObject({ cmd: z.literal('read'), path: PathExpr, window: Window, lines: z.string().optional() }),
  z.strictObject({ cmd: z.literal('head'), path: PathExpr, window: Window, n: z.int().min(1).max(100_000) }),
  z.strictObject({ cmd: z.literal('tail'), path: PathExpr, window: Window, n: z.int().min(1).max(100_000) }),
  z.strictObject({
    cmd: z.literal('grep'),
    ...GREP_FIELDS,
    path: PathExpr,
    window: Window,
  }),
  z.strictObject({ cmd: z.literal('find'), path: PathExpr, name: z.array(Word).optional() }),
  z.strictObject({ cmd: z.literal('diff'), left: PathExpr, right: PathExpr, window: Window }),
]);
export type SourceStage = z.infer<typeof SourceStage>;

/** Stages after `|` work on the lines before them. */
export const FilterStage = z.discriminatedUnion('cmd', [
  z.strictObject({ cmd: z.literal('head'), n: z.int().min(1).max(100_000) }),
  z.strictObject({ cmd: z.literal('tail'), n: z.int().min(1).max(100_000) }),
  z.strictObject({ cmd: z.literal('grep'), ...GREP_FIELDS }),
]);
export type FilterStage = z.infer<typeof FilterStage>;

export const Pipeline = z.strictObject({ source: SourceStage, filters: z.array(FilterStage).max(10) });
export type Pipeline = z.infer<typeof Pipeline>;
