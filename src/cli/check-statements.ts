import type { LoadedConfig } from '../config.ts';
import { statementProblems } from '../gateway/drivers/postgres/statement-problems.ts';

/** SQL in the configuration is parsed before anything starts. @throws ConfigError with file, line and reason. */
export async function checkStatements(config: LoadedConfig): Promise<void> {
  const problems = await statementProblems(config.settings.databases);
  if (problems.length > 0) throw config.problem(problems);
}
