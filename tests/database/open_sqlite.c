/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <kurier/sqlite.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "opening.h"

const char opening_name[] = "driver_sqlite";

static char directory[64];

const char *opening_missing(void)
{
    return NULL;
}

static kur_database *open_file(void)
{
    char path[96];
    kur_error error = {0};
    snprintf(path, sizeof path, "%s/service.db", directory);
    kur_database *database = kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = path), &error);
    ck_assert_msg(database != NULL, "%s", error.message);
    return database;
}

kur_database *opening_new(void)
{
    snprintf(directory, sizeof directory, "/tmp/kurier-sqlite.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    return open_file();
}

kur_database *opening_again(kur_database *database)
{
    (void)database;
    return open_file();
}

void opening_free(kur_database *database)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    kur_database_free(database);
    for (int i = 0; i < 4; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/service.db%s", directory, suffixes[i]);
        unlink(path);
    }
    ck_assert_int_eq(rmdir(directory), 0);
}
