import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FieldChange } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { approvedPlan, execute, type PlannedAction } from './approved-plan.ts';
import { startStage, type Stage } from './stage.ts';

/** What every driver must show (DESIGN section 3): preview, same key twice, undo, redaction, forbidden scope. */
export interface DriverCase {
  readonly name: string;
  /** A read of the driver; `planted` puts a secret where the read will see it and returns its text. */
  readonly read: {
    readonly tool: string;
    readonly target: string;
    readonly foreign_target: string;
    readonly unknown_target: string;
    readonly args: (stage: Stage) => Record<string, unknown>;
    readonly bad_args: Record<string, unknown>;
    readonly planted: (stage: Stage) => Promise<readonly string[]>;
  };
  /** Drivers that also write; `now` reads the touched value past the API. */
  readonly write?: {
    readonly action: PlannedAction;
    readonly mutations: (stage: Stage) => number | Promise<number>;
    readonly now: (stage: Stage) => unknown;
    readonly before: unknown;
    readonly after: unknown;
    /** What the preview shows: touched fields, and the lines that the diff adds and removes. */
    readonly changes: readonly FieldChange[];
    readonly diff: readonly string[];
    /** Arguments that bring back a before-image; left out: the tool has no way back and offers none. */
    readonly undo?: (before_image: Readonly<Record<string, unknown>>) => Record<string, unknown>;
  };
  /** The stage with the driver's system in it; left out: the one that all share. */
  readonly stage?: () => Promise<Stage>;
}

export function describeDriver(subject: DriverCase): void {
  describe(`driver ${subject.name}`, () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await (subject.stage ?? startStage)();
    });
    afterAll(() => stage.close());

    const read = async (change: { target?: string; args?: Record<string, unknown>; tool?: string } = {}) =>
      stage.gateway.read({
        token: await stage.token({ action_class: 'read' }),
        tool: change.tool ?? subject.read.tool,
        target: change.target ?? subject.read.target,
        args: change.args ?? subject.read.args(stage),
        why: 'suite',
      });

    it('reads, with audit rows before and after', async () => {
      const answer = await read();
      expect(isRefusal(answer) ? answer.reason : 'read').toBe('read');
      const calls = await stage.store.ledger.read('INC-2026-1123-001', { kinds: ['call'] });
      expect(calls.slice(-2).map((entry) => [entry.payload['phase'], entry.payload['status']])).toEqual([
        ['before', 'accepted'],
        ['after', 'done'],
      ]);
    });

    it('redacts what it reads, and counts', async () => {
      const planted = await subject.read.planted(stage);
      const answer = await read();
      if (isRefusal(answer)) throw new Error(answer.reason);
      for (const secret of planted) expect(JSON.stringify(answer)).not.toContain(secret);
      expect(answer.redactions).toBeGreaterThanOrEqual(planted.length);
      expect(answer.raw_hmac).toMatch(/^[0-9a-f]{64}$/);
    });

    it('answers a foreign place and an unknown one with the same words', async () => {
      const foreign = await read({ target: subject.read.foreign_target });
      const unknown = await read({ target: subject.read.unknown_target });
      expect(isRefusal(foreign) && foreign.code).toBe('scope-forbidden');
      expect(isRefusal(foreign) && foreign.reason.replace(subject.read.foreign_target, '')).toBe(
        isRefusal(unknown) && unknown.reason.replace(subject.read.unknown_target, ''),
      );
    });

    it('refuses bad and surplus arguments, unknown tools and malformed targets', async () => {
      const codes: unknown[] = [];
      for (const change of [
        { args: subject.read.bad_args },
        { args: { ...subject.read.args(stage), cluster: 'other' } },
        { tool: 'shell.run' },
        { target: 'https://evil.example/' },
        { target: `${subject.read.target}/../x` },
      ]) {
        const answer = await read(change);
        codes.push(isRefusal(answer) ? answer.code : 'read');
      }
      expect(codes).toEqual([
        'arguments-invalid',
        'arguments-invalid',
        'tool-unknown',
        'target-malformed',
        'target-malformed',
      ]);
    });

    const { write } = subject;
    if (write === undefined) {
      it('offers nothing that writes', () => {
        const definitions = stage.gateway
          .definitions()
          .filter((definition) => definition.system === subject.name);
        expect(definitions.every((definition) => definition.base_class === 'read')).toBe(true);
      });
      return;
    }

    it('previews without changing anything', async () => {
      const approved = await approvedPlan(stage, { action: write.action });
      expect(approved.preview.changes).toEqual(write.changes);
      expect(approved.preview.diff.filter((line) => /^[+-]/.test(line))).toEqual(write.diff);
      expect(await write.now(stage)).toEqual(write.before);
      expect(await write.mutations(stage)).toBe(0);
    });

    it('acts once for one key, returns the stored result for the second, and undoes to the before-image', async () => {
      const approved = await approvedPlan(stage, { action: write.action });
      const first = await execute(stage, approved);
      const second = await execute(stage, approved);
      expect(first).toMatchObject({ outcome: { status: 'done', replayed: false } });
      expect(second).toMatchObject({ outcome: { status: 'done', replayed: true } });
      expect(await write.mutations(stage)).toBe(1);
      expect(await write.now(stage)).toEqual(write.after);
      if (write.undo === undefined) return;
      const row = await stage.store.journal.get(`${approved.incident_id}#CHG-7#apply`);
      const undone = await undo(stage, approved, write.undo(row?.before_image ?? {}));
      expect(undone).toMatchObject({ outcome: { status: 'done' } });
      expect(await write.now(stage)).toEqual(write.before);
      expect(await write.mutations(stage)).toBe(2);
    });
  });
}

/** Before-image to arguments for tools that set fields. */
export function fieldsBack(before_image: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { changes: Object.entries(before_image).map(([path, value]) => ({ path, value })) };
}

/** The undo of a change: previewed, written to the ledger and executed like the change itself. */
async function undo(
  stage: Stage,
  approved: Awaited<ReturnType<typeof approvedPlan>>,
  params: Record<string, unknown>,
): ReturnType<typeof execute> {
  const token = await stage.token({ incident_id: approved.incident_id });
  const { tool, target } = approved.permit;
  const previewed = await stage.gateway.preview({
    token,
    tool,
    target,
    params,
    change_id: 'CHG-7',
    why: 'undo',
  });
  if (isRefusal(previewed)) throw new Error(previewed.reason);
  const { preview } = previewed;
  await stage.store.ledger.append(approved.incident_id, [
    { kind: 'preview', actor: 'aegis:gateway', payload: { change_id: 'CHG-7', preview } },
  ]);
  const { hashOf } = await import('../../src/contract/canonical.ts');
  const permit_id = await approved.mint({
    phase: 'undo',
    effect_hash: preview.effect_hash,
    args_hash: hashOf(params),
  });
  return execute(stage, approved, { params, permit_id });
}
