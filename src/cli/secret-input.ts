import { CliError, EXIT } from './output.ts';

/** Longest secret that is taken in, bytes. */
const SECRET_BYTES_MAX = 65_536;

/**
 * A secret from a person or a pipe: typed without being shown at a terminal, else all of standard input without its
 * last line end. Never an argument: those stand in the shell's history and in the process list.
 */
export async function readSecretInput(question: string): Promise<string> {
  const text = process.stdin.isTTY ? await typed(question) : await piped();
  if (text === '') throw new CliError('nothing was given; the value comes on standard input', EXIT.usage);
  return text;
}

async function piped(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > SECRET_BYTES_MAX) throw new CliError(`the value is longer than ${SECRET_BYTES_MAX} bytes`);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

function typed(question: string): Promise<string> {
  const { stdin } = process;
  // Before the question: whoever answers at once must not see it echoed.
  stdin.setRawMode(true);
  process.stderr.write(question);
  stdin.setEncoding('utf8');
  stdin.resume();
  return new Promise((resolve, reject) => {
    let text = '';
    const end = (finish: () => void): void => {
      stdin.off('data', take);
      stdin.setRawMode(false);
      stdin.pause();
      process.stderr.write('\n');
      finish();
    };
    const take = (chunk: string): void => {
      for (const key of chunk) {
        if (key === '\r' || key === '\n' || key === '\u0004') return end(() => resolve(text));
        if (key === '\u0003') return end(() => reject(new CliError('stopped; nothing was changed')));
        if (key === '\u007f' || key === '\b') text = Array.from(text).slice(0, -1).join('');
        else if (text.length < SECRET_BYTES_MAX) text += key;
      }
    };
    stdin.on('data', take);
  });
}
