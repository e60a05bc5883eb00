// Who and what exists in the simulated workspace, and how Slack's API describes it. Definitions come from the scenario;
// roles, group members and channel members may change while it runs, as they do in a real company.
import type { Json } from './json.ts';

export type Role = 'owner' | 'admin' | 'member' | 'guest' | 'bot' | 'deactivated' | 'foreign';

export interface UserDefinition {
  id: string;
  name: string;
  real_name?: string;
  /** Default `member`. */
  role?: Role;
  /** The home workspace of a `foreign` member (Slack Connect). */
  team_id?: string;
  /** IANA name; the page and plain text show dates in it. Default UTC. */
  tz?: string;
  email?: string;
  title?: string;
}

export interface ChannelDefinition {
  id: string;
  name: string;
  members: string[];
  private?: boolean;
  archived?: boolean;
  topic?: string;
}

export interface UsergroupDefinition {
  id: string;
  handle: string;
  name?: string;
  users: string[];
}

export interface WorkspaceDefinition {
  team: { id: string; name: string; domain: string };
  app_id: string;
  bot: { user_id: string; bot_id: string; name: string; real_name?: string };
  users: UserDefinition[];
  channels: ChannelDefinition[];
  usergroups?: UsergroupDefinition[];
  /** Slash commands of the installed app. Default `/aegis`. */
  commands?: string[];
  /** Bot events the app subscribed to. Default: those of the product's manifest. */
  bot_events?: string[];
  /** Scopes of the bot token. Default: those of the product's manifest, optional ones included. */
  scopes?: string[];
}

export interface Channel extends ChannelDefinition {
  /** For a direct message: the person on the other side of the bot. */
  im_user?: string;
}

export class Workspace {
  readonly definition: WorkspaceDefinition;
  readonly users = new Map<string, UserDefinition>();
  readonly channels = new Map<string, Channel>();
  readonly usergroups = new Map<string, UsergroupDefinition>();

  constructor(definition: WorkspaceDefinition) {
    this.definition = definition;
    const bot = definition.bot;
    const people = [
      ...definition.users,
      { id: bot.user_id, name: bot.name, real_name: bot.real_name ?? bot.name, role: 'bot' as const },
    ];
    for (const user of people) this.users.set(user.id, { ...user });
    for (const channel of definition.channels) {
      this.channels.set(channel.id, { ...channel, members: [...channel.members] });
    }
    for (const group of definition.usergroups ?? []) {
      this.usergroups.set(group.id, { ...group, users: [...group.users] });
    }
  }

  get team_id(): string {
    return this.definition.team.id;
  }

  get bot_user_id(): string {
    return this.definition.bot.user_id;
  }

  /** By id or by name (`maya`, `@maya`). */
  findUser(wanted: string): UserDefinition | undefined {
    const name = wanted.replace(/^@/, '');
    return this.users.get(wanted) ?? [...this.users.values()].find((user) => user.name === name);
  }

  /** By id or by name (`data-oncall`, `#data-oncall`). */
  findChannel(wanted: string): Channel | undefined {
    const name = wanted.replace(/^#/, '');
    return (
      this.channels.get(wanted) ??
      [...this.channels.values()].find((channel) => !channel.im_user && channel.name === name)
    );
  }

  roleOf(user: UserDefinition): Role {
    return user.role ?? 'member';
  }

  setRole(user_id: string, role: Role): void {
    this.users.get(user_id)!.role = role;
  }

  setMembers(channel_id: string, members: string[]): void {
    this.channels.get(channel_id)!.members = [...members];
  }

  setArchived(channel_id: string, archived: boolean): void {
    this.channels.get(channel_id)!.archived = archived;
  }

  setGroup(usergroup_id: string, users: string[]): void {
    this.usergroups.get(usergroup_id)!.users = [...users];
  }

  /** The direct message between the bot and one person; made at first use, like `conversations.open`. */
  directMessage(user_id: string): Channel {
    const existing = [...this.channels.values()].find((channel) => channel.im_user === user_id);
    if (existing) return existing;
    const channel: Channel = {
      id: `D${user_id.slice(1)}`,
      name: 'directmessage',
      members: [user_id, this.bot_user_id],
      im_user: user_id,
    };
    this.channels.set(channel.id, channel);
    return channel;
  }

  teamOf(user: UserDefinition): string {
    return user.team_id ?? this.team_id;
  }

  /** A user as `users.info` shows it. */
  userRecord(user: UserDefinition): Json {
    const role = this.roleOf(user);
    const real_name = user.real_name ?? user.name;
    return {
      id: user.id,
      team_id: this.teamOf(user),
      name: user.name,
      deleted: role === 'deactivated',
      real_name,
      tz: user.tz ?? 'Etc/UTC',
      profile: {
        real_name,
        display_name: user.name,
        title: user.title ?? '',
        team: this.teamOf(user),
        ...(user.email ? { email: user.email } : {}),
        ...(user.id === this.bot_user_id
          ? { bot_id: this.definition.bot.bot_id, api_app_id: this.definition.app_id }
          : {}),
      },
      is_admin: role === 'admin' || role === 'owner',
      is_owner: role === 'owner',
      is_primary_owner: false,
      is_restricted: role === 'guest',
      is_ultra_restricted: false,
      is_bot: role === 'bot',
      is_app_user: false,
      ...(role === 'foreign' ? { is_stranger: true } : {}),
      updated: 0,
    };
  }

  /** A conversation as `conversations.info` shows it. */
  channelRecord(channel: Channel): Json {
    if (channel.im_user) {
      return { id: channel.id, is_im: true, user: channel.im_user, is_archived: false, is_org_shared: false };
    }
    const foreign = channel.members.some((id) => this.users.get(id)?.role === 'foreign');
    return {
      id: channel.id,
      name: channel.name,
      name_normalized: channel.name,
      is_channel: !channel.private,
      is_group: channel.private === true,
      is_im: false,
      is_mpim: false,
      is_private: channel.private === true,
      is_archived: channel.archived === true,
      is_member: channel.members.includes(this.bot_user_id),
      is_ext_shared: foreign,
      is_shared: foreign,
      is_org_shared: false,
      is_general: false,
      context_team_id: this.team_id,
      topic: { value: channel.topic ?? '', creator: '', last_set: 0 },
      purpose: { value: '', creator: '', last_set: 0 },
      num_members: channel.members.length,
    };
  }

  usergroupRecord(group: UsergroupDefinition, with_users: boolean): Json {
    return {
      id: group.id,
      team_id: this.team_id,
      is_usergroup: true,
      name: group.name ?? group.handle,
      handle: group.handle,
      is_external: false,
      date_delete: 0,
      user_count: group.users.length,
      ...(with_users ? { users: [...group.users] } : {}),
    };
  }
}
