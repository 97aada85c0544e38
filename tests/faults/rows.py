"""What a database holds, read past the server."""

import contextlib
import json
import sqlite3
import urllib.parse
import uuid

from starter import run

# Names in one question; SQLite's parser has a limit and a command line too.
MANY = 400


class Rows:
    """The rows of a place. Values are read as text, integers or bytes in hexadecimal, the same on both engines."""

    def __init__(self, place):
        self.database = place.database
        self.sqlite = not urllib.parse.urlsplit(place.database).scheme.startswith("postgres")

    def literal(self, value):
        """A UUID or bytes as this engine writes them."""
        if isinstance(value, uuid.UUID):
            return f"x'{value.hex}'" if self.sqlite else f"'{value}'"
        return f"x'{value.hex()}'" if self.sqlite else f"'\\x{value.hex()}'"

    def query(self, statement):
        """Rows as tuples; UUIDs and bytes as bytes."""
        if self.sqlite:
            with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
                connection.execute("PRAGMA query_only = ON")
                return [tuple(row) for row in connection.execute(statement)]
        columns = statement.split("FROM", 1)[0].removeprefix("SELECT ").count(",") + 1
        names = ", ".join(f"asked.c{number}" for number in range(columns))
        aliased = f"({statement}) AS asked ({', '.join(f'c{number}' for number in range(columns))})"
        wrapped = f"SELECT json_agg(json_build_array({names})) FROM {aliased}"
        out = run(["psql", "--no-psqlrc", "-qAt", "--dbname", self.database], input=wrapped + ";")
        return [tuple(map(read, row)) for row in json.loads(out.strip() or "[]")]

    def tamper(self, statement):
        """Changes rows behind everybody's back, to see that it is noticed."""
        if not self.sqlite:
            run(["psql", "--no-psqlrc", "-qAt", "--dbname", self.database], input=statement + ";")
            return
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.execute(statement)

    def among(self, statement, column, values):
        """A query about many values, in pieces; `statement` ends in WHERE or AND."""
        values = list(values)
        found = []
        for start in range(0, len(values), MANY):
            names = ", ".join(map(self.literal, values[start : start + MANY]))
            found += self.query(f"{statement} {column} IN ({names})")
        return found

    def sound(self):
        """SQLite's own word for whether the file is whole."""
        if self.sqlite:
            with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
                answer = connection.execute("PRAGMA integrity_check").fetchall()
                assert answer == [("ok",)], answer
                assert connection.execute("PRAGMA foreign_key_check").fetchall() == []

    def consistent(self):
        """What no crash may leave behind, whatever clients were told."""
        self.sound()
        nothing = {
            "a revoked authorization with a token that still counts": "SELECT t.jti FROM grants g JOIN grant_tokens t "
            "ON t.grant_id = g.id LEFT JOIN revocations r ON r.jti = t.jti "
            "WHERE g.revoked_at IS NOT NULL AND r.jti IS NULL",
            "a spent code without its token": "SELECT c.hash FROM codes c JOIN grants g ON g.id = c.grant_id "
            "LEFT JOIN grant_tokens t ON t.grant_id = g.id "
            "WHERE c.spent_at IS NOT NULL AND g.revoked_at IS NULL AND t.jti IS NULL",
            "a place in a status list given out twice": "SELECT list_index FROM grant_tokens "
            "GROUP BY list_id, list_index HAVING COUNT(*) > 1",
            "an authorization with two codes": "SELECT grant_id FROM codes GROUP BY grant_id HAVING COUNT(*) > 1",
            "a consent twice": "SELECT value FROM consents GROUP BY user_id, client_id, resource_id, value "
            "HAVING COUNT(*) > 1",
            "a refresh token of a line that went past it": "SELECT t.hash FROM refresh_tokens t "
            "JOIN grants g ON g.id = t.grant_id "
            "WHERE t.generation < g.generation OR (t.generation = g.generation AND t.hash <> g.current)",
            "more indexes leased than there are": "SELECT id FROM status_lists WHERE next_index > capacity",
        }
        for what, statement in nothing.items():
            found = self.query(statement)
            assert not found, f"{what}: {found[:5]}"


def read(value):
    """What JSON made of a value of PostgreSQL: UUIDs and bytes come as text."""
    if isinstance(value, str):
        if value.startswith("\\x"):
            return bytes.fromhex(value[2:])
        try:
            return uuid.UUID(value).bytes
        except ValueError:
            return value
    return value
