// files v2: ask for an upload address, put the bytes there, complete. Enough for a snippet in a thread.
import { str, type Json } from '../json.ts';
import { post, type Core } from '../core.ts';
import { type Args, joinedChannel, type Method, refuse } from '../method.ts';
import { slackId } from '../short-lived.ts';

interface Upload {
  id: string;
  name: string;
  length: number;
  content: Buffer | undefined;
}

const BYTES_MAX = 10 * 1024 * 1024;

/** Files of one workspace, with their bytes once they arrived. */
export class Files {
  readonly uploads = new Map<string, Upload>();

  /** Takes the bytes that came to `/upload/v1/<id>`; false when the id is unknown or the length is not as announced. */
  receive(id: string, content: Buffer): boolean {
    const upload = this.uploads.get(id);
    if (!upload || upload.content || content.length !== upload.length) return false;
    upload.content = content;
    return true;
  }

  methods(): Readonly<Record<string, Method>> {
    return {
      'files.getUploadURLExternal': {
        tier: 4,
        scope: 'files:write',
        run: (core, args) => this.start(core, args),
      },
      'files.completeUploadExternal': {
        tier: 4,
        scope: 'files:write',
        run: (core, args) => this.complete(core, args),
      },
    };
  }

  private start(core: Core, args: Args): Json {
    const length = Number(args.need('length'));
    if (!Number.isInteger(length) || length < 1 || length > BYTES_MAX)
      return refuse('file_upload_size_restricted');
    const upload = { id: slackId('F'), name: args.need('filename'), length, content: undefined };
    this.uploads.set(upload.id, upload);
    return { ok: true, upload_url: `${core.base_url()}/upload/v1/${upload.id}`, file_id: upload.id };
  }

  private complete(core: Core, args: Args): Json {
    const wanted = args.structure('files', 'invalid_arguments');
    if (!Array.isArray(wanted) || wanted.length === 0) return refuse('invalid_arguments');
    const files = wanted.map((item: Json) => {
      const upload = this.uploads.get(str(item['id']));
      if (!upload?.content) return refuse('file_not_found');
      const title = str(item['title']) || upload.name;
      return { id: upload.id, name: upload.name, title, size: upload.length, mimetype: 'text/plain' };
    });
    const channel_id = args.text('channel_id');
    if (channel_id === undefined) return { ok: true, files };
    const channel = joinedChannel(core, channel_id);
    const thread_ts = args.text('thread_ts');
    post(core, {
      channel: channel.id,
      user: core.workspace.bot_user_id,
      bot_id: core.workspace.definition.bot.bot_id,
      text: args.text('initial_comment') ?? '',
      blocks: [],
      files,
      ...(thread_ts ? { thread_ts } : {}),
    });
    return { ok: true, files };
  }
}
