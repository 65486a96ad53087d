/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/sqlite.h>
#include <stdio.h>

/* A service that keeps its outbox in SQLite; it is given a file, or asks for none. */
int main(int count, char **arguments)
{
    kur_error error = {0};
    printf("kurier %s\n", kur_version());
    kur_database *database = kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = count > 1 ? arguments[1] : ":memory:"), &error);
    if (database != NULL && kur_database_migrate(database, 0, &error) == KUR_OK)
        kur_database_check(database, &error);
    kur_database_free(database);
    if (error.code != (count > 1 ? KUR_OK : KUR_ERROR_INVALID_ARGUMENT))
        fprintf(stderr, "%s\n", error.message);
    return error.code != (count > 1 ? KUR_OK : KUR_ERROR_INVALID_ARGUMENT);
}
