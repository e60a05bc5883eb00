// Loads the TypeScript worker; a thread does not inherit the loader of the process.
import { register } from 'tsx/esm/api';

register();
await import('./cognition-worker.ts');
