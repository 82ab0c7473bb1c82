/** Bad usage or bad input: the message names the offending value and the fix. The command line exits with code 2. */
export class InputError extends Error {
  override name = "InputError";
}

/** `what` happened although the input was right (device, disk, numerics): exit code 1. */
export class RunError extends Error {
  override name = "RunError";
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What was thrown; an InputError with the place `where` in front of its message. */
export function placeError(where: string, error: unknown): unknown {
  return error instanceof InputError ? new InputError(`${where}: ${error.message}`) : error;
}
