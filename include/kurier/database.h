/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/database.h>: a database in which an outbox and an inbox live, beside the service's own tables. Made by a
 * driver: kur_postgres_new (<kurier/postgres.h>, library kurier-postgres), kur_sqlite_new (<kurier/sqlite.h>,
 * kurier-sqlite).
 *
 * The tables are made by `kurier outbox migrate`, by kur_database_migrate, or by whatever applies the statements that
 * kur_database_schema_text gives. They have a number of their own; what is missing or older is refused with the command
 * to run (KUR_ERROR_SCHEMA).
 */
#ifndef KURIER_DATABASE_H
#define KURIER_DATABASE_H

#include <kurier/arena.h>
#include <kurier/bytes.h>
#include <kurier/error.h>
#include <kurier/uuid.h>

KUR_BEGIN_DECLS

/** Where a database is and how it is spoken to. Any thread; connections are made by those who use it. */
typedef struct kur_database kur_database;

/** Frees it; outboxes, relays and inboxes over it have been freed before. NULL does nothing. */
KUR_API void kur_database_free(kur_database *database);

/**
 * The statements that make the tables, or bring those of schema `from` (0: none are there) up to date. `shards`: into
 * how many parts the outbox is divided, which several relays can share; 0: 16; 256 at most, and only when it is made.
 * Text in `arena`. NULL with KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. Any thread; does not connect.
 */
KUR_API const char *kur_database_schema_text(kur_database *database, int from, int shards, kur_arena *arena,
                                             kur_error *error);

/**
 * Makes the tables, or brings them up to date, in one transaction on a connection of its own. Safe to be done twice,
 * and by several at once. Blocks. `shards` as above. KUR_ERROR_UNREACHABLE, KUR_ERROR_DATABASE (rights are missing, …),
 * KUR_ERROR_SCHEMA when the tables are newer than this library, KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_status kur_database_migrate(kur_database *database, int shards, kur_error *error);

/**
 * Whether the tables are there as this library needs them. Blocks. KUR_ERROR_SCHEMA with the command to run,
 * KUR_ERROR_UNREACHABLE, KUR_ERROR_DATABASE, KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_database_check(kur_database *database, kur_error *error);

KUR_END_DECLS

#endif
