/** A refusal of IAM, in the form of the Query API. */
export class IamError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'IamError';
    this.status = status;
    this.code = code;
  }
}
