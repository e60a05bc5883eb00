import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { KillPlan } from './wrap-store.ts';

/**
 * How a test tells a child where to die, over restarts: a file holds one point for each start still to come, and each
 * start takes the first. With nothing left the child lives.
 */
export const KILL_PLAN_ENV = 'AEGIS_TEST_KILL_PLAN';

const KillPoint = z.strictObject({
  /** `<aggregate>.<method>`; null counts every operation. */
  op: z.string().nullable(),
  n: z.int().min(1),
  when: z.enum(['before', 'after']),
});
export type KillPoint = z.infer<typeof KillPoint>;

const Points = z.array(KillPoint.nullable());

/** One point for each coming start; null lets that start live. */
export function writeKillPoints(file: string, points: readonly (KillPoint | null)[]): void {
  writeFileSync(`${file}.new`, JSON.stringify(points));
  renameSync(`${file}.new`, file);
}

/** Called by an entry at its start: the point of this life. */
export function takeKillPlan(): KillPlan | null {
  const file = process.env[KILL_PLAN_ENV];
  if (file === undefined || file === '') return null;
  const [point = null, ...rest] = readPoints(file);
  writeKillPoints(file, rest);
  if (point === null) return null;
  const { op, n, when } = point;
  return op === null ? { n, when } : { n, when, only: (path) => path === op };
}

export function pointText(point: KillPoint): string {
  return `${point.when} ${point.op ?? 'operation'} ${point.n}`;
}

function readPoints(file: string): readonly (KillPoint | null)[] {
  return existsSync(file) ? Points.parse(JSON.parse(readFileSync(file, 'utf8'))) : [];
}
