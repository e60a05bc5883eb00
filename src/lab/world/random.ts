/** Seeded randomness of the simulated world: the same seed and the same order of calls give the same world. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A whole number in [min, max]. */
  int(min: number, max: number): number;
  pick<T>(list: readonly T[]): T;
  hex(length: number): string;
  uuid(): string;
  /** Characters that Kubernetes uses for generated names (no vowels, no look-alikes). */
  suffix(length: number): string;
  /** An independent source: drawing from it does not move this one. */
  fork(name: string): Random;
}

const NAME_CHARACTERS = 'bcdfghjklmnpqrstvwxz2456789';

export function seededRandom(seed: string): Random {
  let state = hash32(seed);
  function next(): number {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  function int(min: number, max: number): number {
    return min + Math.floor(next() * (max - min + 1));
  }
  function text(characters: string, length: number): string {
    return Array.from({ length }, () => characters.charAt(int(0, characters.length - 1))).join('');
  }
  function hex(length: number): string {
    return text('0123456789abcdef', length);
  }
  return {
    next,
    int,
    hex,
    pick: <T>(list: readonly T[]): T => {
      const item = list[int(0, list.length - 1)];
      if (item === undefined) throw new Error('cannot pick from an empty list');
      return item;
    },
    suffix: (length) => text(NAME_CHARACTERS, length),
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-${text('89ab', 1)}${hex(3)}-${hex(12)}`,
    fork: (name) => seededRandom(`${seed}/${name}`),
  };
}

/** FNV-1a, then a final mix, so that seeds that differ in one character start far apart. */
function hash32(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return (h ^ (h >>> 13)) | 0;
}
