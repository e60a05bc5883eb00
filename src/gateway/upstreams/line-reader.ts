/**
 * Cuts a stream of bytes into lines without ever holding more than one line's worth. Pure but for its own buffer: what
 * is too long is reported, and the caller ends the stream.
 */
export interface LineReader {
  /** Lines that this chunk completed; `too_long` when the line under way has passed the limit. */
  take(chunk: Buffer): { readonly lines: readonly string[]; readonly too_long: boolean };
}

export function lineReader(line_bytes_max: number): LineReader {
  let parts: Buffer[] = [];
  let bytes = 0;
  return {
    take(chunk) {
      const lines: string[] = [];
      let rest = chunk;
      for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
        if (bytes + end > line_bytes_max) return { lines, too_long: true };
        lines.push(Buffer.concat([...parts, rest.subarray(0, end)]).toString('utf8'));
        rest = rest.subarray(end + 1);
        parts = [];
        bytes = 0;
      }
      bytes += rest.length;
      if (bytes > line_bytes_max) return { lines, too_long: true };
      if (rest.length > 0) parts.push(rest);
      return { lines, too_long: false };
    },
  };
}
