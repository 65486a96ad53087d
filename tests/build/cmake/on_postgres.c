/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/arena.h>
#include <kurier/postgres.h>
#include <stdio.h>

/* A service that keeps its outbox in PostgreSQL; nobody is there where it looks. */
int main(void)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_database *database = kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = "host=127.0.0.1 port=1"), &error);
    const char *text = kur_database_schema_text(database, 0, 4, arena, &error);
    int is_well = text != NULL && kur_database_check(database, &error) == KUR_ERROR_UNREACHABLE;
    printf("%s%s\n", text != NULL ? text : "", error.message);
    kur_database_free(database);
    kur_arena_free(arena);
    return !is_well;
}
