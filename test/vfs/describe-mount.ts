import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import { refuse } from '../../src/contract/verdict.ts';
import { fixture, type Fixture } from './fixture.ts';

/** What every mount must do, whatever it shows. A new mount gets one call of this. */
export interface MountCase {
  readonly name: string;
  /** A directory of the mount and a name that must stand in it. */
  readonly dir: string;
  readonly entry: string;
  /** A file that exists, and one that does not although its form is right (null: such a file is empty, not missing). */
  readonly file: string;
  readonly missing: string | null;
  /** A fixed text that some lines of the file hold, and text that no captured line may hold. */
  readonly word: string;
  readonly secrets: readonly string[];
  /** Whether the text comes through the gateway. */
  readonly remote: boolean;
  /** Environment of team data whose files these are; `prod` when left out. */
  readonly env?: string;
  readonly prepare?: (world: Fixture) => Promise<void>;
  readonly options?: Parameters<typeof fixture>[0];
}

export function describeMount(mount: MountCase): void {
  const open = async () => {
    const world = await fixture({ ...mount.options, env: mount.env ?? 'prod' });
    await mount.prepare?.(world);
    return world;
  };
  describe(`mount ${mount.name}`, () => {
    it('lists its directory', async () => {
      const { vfs, session } = await open();
      const response = await vfs.world(session).call({ op: 'ls', path: mount.dir, why_needed: 'look' });
      expect(response.ok && response.op === 'ls' && response.entries.map(({ name }) => name)).toContain(
        mount.entry,
      );
    });

    it('captures a file with a pointer that holds', async () => {
      const { vfs, session, capture } = await open();
      const captured = await capture(`read ${mount.file}`);
      expect(captured.line_count).toBeGreaterThan(0);
      expect(captured.pointer.path).toBe(mount.file);
      expect(await vfs.holds(captured.pointer, session)).toMatchObject({ status: 'holds', changed: [] });
      const stored = await vfs.readCaptured(captured.pointer, session);
      expect('lines' in stored && stored.lines.slice(0, captured.lines.length)).toEqual(captured.lines);
    });

    it('gives the same bytes for a pipeline as for the whole file filtered afterwards', async () => {
      const { vfs, session, capture } = await open();
      const whole = await capture(`read ${mount.file}`);
      const stored = await vfs.readCaptured(whole.pointer, session);
      if (!('lines' in stored)) throw new Error('not stored');
      for (const [stage, expected] of pipelines(mount.word, stored.lines)) {
        const captured = await capture(stage.replace('FILE', mount.file));
        const piped = await vfs.readCaptured(captured.pointer, session);
        expect('lines' in piped && piped.lines, stage).toEqual(expected);
      }
    });

    it('shows no planted secret, and counts what was redacted', async () => {
      const { vfs, session, capture } = await open();
      const captured = await capture(`read ${mount.file}`);
      const stored = await vfs.readCaptured(captured.pointer, session);
      const text = 'lines' in stored ? stored.lines.join('\n') : '';
      for (const secret of mount.secrets) expect(text).not.toContain(secret);
      expect(captured.redactions).toBe(text.match(/\[REDACTED_/g)?.length ?? 0);
    });

    it('answers a missing file and a neighbour’s file with the same sentence', async () => {
      if (mount.missing === null) return;
      const { refusal } = await open();
      const missing = await refusal(`read ${mount.missing}`);
      const foreign_path = '/teams/fraud/prod/nothing/here';
      const foreign = await refusal(`read ${foreign_path}`);
      expect(missing.code).toBe('no-such-path');
      expect({ ...missing, reason: missing.reason.replace(mount.missing, 'X') }).toEqual({
        ...foreign,
        reason: foreign.reason.replace(foreign_path, 'X'),
      });
    });

    it('explains without asking anybody', async () => {
      const { vfs, session, gateway } = await open();
      const response = await vfs
        .world(session)
        .call({ op: 'explain', command: `grep "${mount.word}" ${mount.file} | tail -n 5` });
      expect(response.ok && response.op === 'explain' && response.text).toContain(mount.file);
      expect(gateway.calls).toEqual([]);
    });

    it('stops when it is aborted', async () => {
      const { vfs, session } = await open();
      const call = vfs
        .world(session)
        .call({ op: 'run', command: `read ${mount.file}`, why_needed: 'x' }, AbortSignal.abort());
      await expect(call).rejects.toThrow(/abort/i);
    });

    it.runIf(mount.remote)('passes an upstream refusal on as a refusal', async () => {
      const { model, refusal } = await open();
      model.failing = refuse('upstream-timeout', 'The source did not answer.', 'Ask again.');
      expect(await refusal(`read ${mount.file}`)).toMatchObject({
        code: 'upstream-timeout',
        reason: 'The source did not answer.',
      });
    });
  });
}

/** Pipelines with what they must give, computed here from the whole file by an independent few lines. */
function pipelines(word: string, all: readonly string[]): [string, string[]][] {
  const re = (pattern: string) => (line: string) => RE2JS.compile(pattern).matcher(line).find();
  const has = all.filter((line) => line.includes(word));
  const around = all.flatMap((line, index) =>
    all.slice(Math.max(0, index - 1), index + 1).some((near) => near.includes(word)) ? [line] : [],
  );
  const groups = around.length === all.length || has.length <= 1 ? around : null;
  return [
    ['head -n 3 FILE', all.slice(0, 3)],
    ['tail -n 3 FILE', all.slice(-3)],
    ['read FILE --lines 2-4', all.slice(1, 4)],
    [`grep -F "${word}" FILE`, has],
    [`grep -F "${word}" FILE | tail -n 2`, has.slice(-2)],
    [`grep -F "${word}" FILE | head -n 2`, has.slice(0, 2)],
    [`grep -v -F "${word}" FILE`, all.filter((line) => !line.includes(word))],
    [`grep -c -F "${word}" FILE`, [String(has.length)]],
    [`tail -n 4 FILE | grep -F "${word}"`, all.slice(-4).filter((line) => line.includes(word))],
    [
      `grep -i "[a-m]" FILE | grep -v "REDACTED" | tail -n 3`,
      all
        .filter(re('(?i)[a-m]'))
        .filter((line) => !line.includes('REDACTED'))
        .slice(-3),
    ],
    [`grep "REDACTED" FILE`, all.filter((line) => line.includes('REDACTED'))],
    ['grep "no such text anywhere" FILE', []],
    ...(groups === null ? [] : ([[`grep -A 1 -F "${word}" FILE`, groups]] as [string, string[]][])),
  ];
}
