/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "../memory_driver.h"
#include "opening.h"

const char opening_name[] = "driver_memory";

const char *opening_missing(void)
{
    return NULL;
}

kur_database *opening_new(void)
{
    return memory_database(0);
}

kur_database *opening_again(kur_database *database)
{
    (void)database;
    return NULL;
}

void opening_free(kur_database *database)
{
    kur_database_free(database);
}
