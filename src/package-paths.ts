import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the installed package: where `skills`, `policies` and `manifest.yml` lie, from `src` and from `dist`. */
export function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) dir = dirname(dir);
  return dir;
}

/** Where the policies of a configuration lie: its own folder, else the ones that Aegis brings along. */
export function policiesDir({ policies_dir }: { readonly policies_dir?: string | undefined }): string {
  return policies_dir ?? join(packageRoot(), 'policies');
}

/** The same for its skills. */
export function skillsDir({ skills_dir }: { readonly skills_dir?: string | undefined }): string {
  return skills_dir ?? join(packageRoot(), 'skills');
}
