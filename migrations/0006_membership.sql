-- The way up from a member is read from the index alone.

CREATE INDEX group_clients_up ON group_clients (client_id, group_id);
CREATE INDEX group_users_up ON group_users (user_id, group_id);
CREATE INDEX group_groups_up ON group_groups (member_id, group_id);
DROP INDEX group_clients_client;
DROP INDEX group_users_user;
DROP INDEX group_groups_member;
