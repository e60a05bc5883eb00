/** Exit codes of every verb: 0 done, 1 refused or failed, 2 bad usage. */
export const EXIT = { done: 0, refused: 1, usage: 2 } as const;

export interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** A sentence for the person at the terminal with its exit code; printed without a stack trace. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exit_code: number;
  constructor(message: string, exit_code: number = EXIT.refused) {
    super(message);
    this.exit_code = exit_code;
  }
}

/** Prints a result: JSON on one line with `--json`, else the text. */
export function print(options: GlobalOptions, value: unknown, text: string): void {
  process.stdout.write(`${options.json === true ? JSON.stringify(value) : text}\n`);
}

/** Columns padded to their widest cell; the last one is not padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, n) => (widths[n] = Math.max(widths[n] ?? 0, cell.length)));
  return rows
    .map((row) =>
      row.map((cell, n) => (n === row.length - 1 ? cell : cell.padEnd(widths[n] ?? 0))).join('  '),
    )
    .join('\n');
}
