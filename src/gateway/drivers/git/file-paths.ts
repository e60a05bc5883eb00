import { createHash } from 'node:crypto';

/** Paths and contents of files in a change, as they are classified and compared. Pure. */
export const PATH_CHARS_MAX = 400;
const SEGMENT_BYTES_MAX = 255;
const SEGMENTS_MAX = 30;

/** Why a path is not taken; null when it is. Nothing is repaired: what a person approves is what is written. */
export function pathProblem(path: string): string | null {
  if (path === '' || path.length > PATH_CHARS_MAX)
    return `it is empty or longer than ${PATH_CHARS_MAX} characters`;
  if (path.normalize('NFC') !== path) return 'it is not in Unicode normal form C';
  // Control, format (zero-width, right-to-left) and unassigned characters make two paths look like one.
  if (/[\p{C}\p{Zl}\p{Zp}\\:*?"<>|]/u.test(path))
    return 'it has a character that not every system can store or show';
  const segments = path.split('/');
  if (segments.length > SEGMENTS_MAX) return `it is deeper than ${SEGMENTS_MAX} folders`;
  for (const segment of segments) {
    if (segment === '') return 'it begins or ends with a slash, or has two in a row';
    if (segment === '.' || segment === '..') return 'it has "." or ".." in it';
    if (/[. ]$/.test(segment) || segment.startsWith(' '))
      return 'a part of it ends with a dot or is framed by spaces';
    if (Buffer.byteLength(segment) > SEGMENT_BYTES_MAX)
      return `a part of it has more than ${SEGMENT_BYTES_MAX} bytes`;
    if (/^(?:\.git|git~\d+)$/i.test(segment)) return 'it reaches into the repository’s own folder';
  }
  return null;
}

/** Why paths cannot stand in one change: the same twice (letter case does not count), or a file as a folder. */
export function pathsProblem(paths: readonly string[]): string | null {
  const folded = paths.map((path) => path.toLowerCase());
  for (const [index, path] of folded.entries()) {
    if (folded.indexOf(path) !== index) return `${paths[index]} is named twice`;
    if (folded.some((other) => other.startsWith(`${path}/`))) return `${paths[index]} is a file and a folder`;
  }
  return null;
}

/** Folders whose contents steer builds, deployments, reviews or hooks. */
const PIPELINE_FOLDERS: ReadonlySet<string> = new Set([
  '.github',
  '.gitlab',
  '.gitea',
  '.forgejo',
  '.circleci',
  '.buildkite',
  '.azure-pipelines',
  '.woodpecker',
  '.drone',
  '.tekton',
  '.teamcity',
  '.husky',
  '.githooks',
  '.devcontainer',
]);
/** Files that do the same wherever they lie. */
const PIPELINE_FILES =
  /^(?:.*\.?gitlab-ci\.ya?ml|jenkinsfile(?:\..*)?|codeowners|\.gitmodules|\.gitattributes|\.gitconfig|\.pre-commit-config\.ya?ml|\.?azure-pipelines\.ya?ml|\.travis\.ya?ml|bitbucket-pipelines\.ya?ml|cloudbuild\.(?:ya?ml|json)|buildspec\.ya?ml|\.?appveyor\.ya?ml|\.drone\.(?:ya?ml|star|jsonnet)|\.woodpecker\.ya?ml|atlantis\.ya?ml|\.terraformrc|\.envrc)$/;

/** Whether a file says what is run, or who must review. Letter case does not make another file of it. */
export function steersPipelines(path: string): boolean {
  const segments = path.toLowerCase().split('/');
  const file = segments.at(-1) ?? '';
  if (segments.length > 1 && segments[0] === 'hooks') return true;
  return PIPELINE_FILES.test(file) || segments.slice(0, -1).some((folder) => PIPELINE_FOLDERS.has(folder));
}

/** The pointer under which guardrails.yaml decides about a file: each folder is a segment. */
export function touchedPointer(path: string, executable: boolean): string {
  const root = steersPipelines(path) ? 'pipeline' : executable ? 'executable' : 'files';
  return `/${root}/${path
    .split('/')
    .map((segment) => segment.replaceAll('~', '~0'))
    .join('/')}`;
}

/** The id that git gives to the content. */
export function blobId(content: string): string {
  const bytes = Buffer.from(content, 'utf8');
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}
