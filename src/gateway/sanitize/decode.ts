import { gunzipSync, inflateSync } from 'node:zlib';
import type { EncodedRun } from './encoded-runs.ts';

/** Decodes within bounds. `blocked`: it is packed data that would exceed them, so nobody can say what it holds. */
export type Decoded = { readonly text: string; readonly is_text: boolean } | 'blocked' | null;

/** Bytes that one packed run may become, and how many times its own size. */
const INFLATED_BYTES_MAX = 1_048_576;
const INFLATE_RATIO_MAX = 200;
/** Characters that may be decoded for one call of the sanitiser, all runs and levels together, beyond those of the text. */
const DECODED_CHARS_MAX = 8_388_608;

/** What decoding may still cost. One budget lasts for a whole result. */
export interface DecodeBudget {
  chars_left: number;
}

export function newBudget(): DecodeBudget {
  return { chars_left: DECODED_CHARS_MAX };
}

export function decodeRun(text: string, run: EncodedRun, budget: DecodeBudget): Decoded {
  const encoded = text.slice(run.start + run.offset, run.end);
  if (encoded.length > budget.chars_left) return 'blocked';
  budget.chars_left -= encoded.length;
  const even = run.encoding === 'hex' ? encoded.slice(0, encoded.length & ~1) : encoded;
  return opened(Buffer.from(even, run.encoding), budget);
}

/** Unpacks gzip and zlib; everything else is read byte by byte. */
function opened(bytes: Buffer, budget: DecodeBudget): Decoded {
  const [first, second] = bytes;
  const gzip = first === 0x1f && second === 0x8b;
  const zlib = first === 0x78 && (0x7800 + (second ?? 0)) % 31 === 0;
  if ((gzip || zlib) && bytes.length >= 8) {
    const limit = Math.min(INFLATED_BYTES_MAX, Math.max(4096, bytes.length * INFLATE_RATIO_MAX));
    if (limit > budget.chars_left) return 'blocked';
    try {
      const open = gzip ? gunzipSync : inflateSync;
      const plain = open(bytes, { maxOutputLength: limit, finishFlush: 2 });
      budget.chars_left -= plain.length;
      return asText(plain);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        budget.chars_left -= limit;
        return 'blocked';
      }
    }
  }
  return asText(bytes);
}

function asText(bytes: Buffer): Decoded {
  let control = 0;
  for (const byte of bytes) if (byte < 9 || (byte > 13 && byte < 32) || byte === 127) control += 1;
  const text = bytes.toString('latin1');
  const is_text = control * 100 <= bytes.length;
  // PowerShell and Windows write UTF-16: every second byte is zero.
  return { text: is_text || control * 3 < bytes.length ? text : text.replaceAll('\0', ''), is_text };
}
