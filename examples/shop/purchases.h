/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Purchases from a CSV file with the columns customer, date, quantity, amount; in this order, or in the order that a
 * header line names.
 */
#ifndef KURIER_SHOP_PURCHASES_H
#define KURIER_SHOP_PURCHASES_H

#include <kurier/kurier.h>

struct purchase {
    char customer[64];
    int32_t date; /* days since 1970 */
    int32_t quantity;
    int64_t amount; /* in hundredths */
};

struct purchases {
    struct purchase *items;
    size_t count;
    size_t bad; /* lines that were passed over */
};

/*
 * Reads a file, "YYYY-MM-DD" or "YYYYMMDD" as date. Each line that is wrong is named on standard error with its number
 * (the first 20 of them) and passed over. KUR_ERROR_SYSTEM, KUR_ERROR_SYNTAX when no line is good, KUR_ERROR_NO_MEMORY.
 */
kur_status purchases_read(struct purchases *purchases, const char *path, kur_error *error);
void purchases_done(struct purchases *purchases);

#endif
