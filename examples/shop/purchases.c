/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "purchases.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    COLUMNS_MAX = 32,
    COMPLAINTS_MAX = 20
};
enum column {
    CUSTOMER,
    DATE,
    QUANTITY,
    AMOUNT,
    COLUMNS
};

static const char *const names[COLUMNS] = {"customer", "date", "quantity", "amount"};

/* Cuts a line at its commas, in place; a field may stand in quotes, with "" for one inside. */
static size_t split(char *line, char *fields[COLUMNS_MAX])
{
    size_t count = 0;
    for (char *from = line; count < COLUMNS_MAX;) {
        while (*from == ' ')
            from++;
        char *to = from;
        bool quoted = *from == '"';
        fields[count++] = to;
        from += quoted;
        for (; *from != '\0' && (quoted || *from != ','); from++) {
            if (*from == '"' && quoted && from[1] != '"')
                quoted = false;
            else
                *to++ = *(from += *from == '"' && quoted);
        }
        bool last = *from == '\0';
        while (to > fields[count - 1] && to[-1] == ' ')
            to--;
        *to = '\0';
        if (last)
            break;
        from++;
    }
    return count;
}

/* Whether the line names the columns; then `at` says where each one is. */
static bool read_header(char *const *fields, size_t count, size_t at[COLUMNS])
{
    size_t found[COLUMNS], known = 0;
    for (size_t column = 0; column < COLUMNS; column++)
        for (size_t i = 0; i < count; i++)
            if (strcasecmp(fields[i], names[column]) == 0) {
                found[column] = i;
                known++;
                break;
            }
    if (known == COLUMNS)
        memcpy(at, found, sizeof found);
    return known == COLUMNS;
}

static bool read_date(const char *text, int32_t *date)
{
    char dashed[16];
    if (strlen(text) == 8 && strspn(text, "0123456789") == 8) {
        snprintf(dashed, sizeof dashed, "%.4s-%.2s-%.2s", text, text + 4, text + 6);
        text = dashed;
    }
    return kur_date_parse(text, strlen(text), date, NULL) == KUR_OK;
}

static bool read_quantity(const char *text, int32_t *quantity)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    *quantity = (int32_t)value;
    return end != text && *end == '\0' && errno == 0 && value >= 1 && value <= 10000;
}

static bool read_amount(const char *text, int64_t *amount)
{
    size_t whole = strspn(text, "0123456789"), part = 0;
    if (text[whole] == '.')
        part = strspn(text + whole + 1, "0123456789");
    size_t size = whole + (text[whole] == '.') + part;
    if (whole == 0 || whole > 9 || part > 2 || text[size] != '\0')
        return false;
    *amount = strtoll(text, NULL, 10) * 100;
    if (part > 0)
        *amount += (text[whole + 1] - '0') * 10 + (part > 1 ? text[whole + 2] - '0' : 0);
    return true;
}

/* What is wrong with a line, or NULL; `*field` is the text at fault. */
static const char *read_line(char *const *fields, size_t count, const size_t at[COLUMNS], struct purchase *purchase,
                             const char **field)
{
    *field = fields[0];
    for (size_t column = 0; column < COLUMNS; column++)
        if (at[column] >= count)
            return "customer, date, quantity and amount are not all there";
    *field = fields[at[CUSTOMER]];
    size_t size = strlen(*field);
    if (size == 0 || size >= sizeof purchase->customer || !kur_bytes_is_utf8(kur_bytes_text(*field)))
        return "customer is not 1 to 63 bytes of UTF-8";
    memcpy(purchase->customer, *field, size + 1);
    *field = fields[at[DATE]];
    if (!read_date(*field, &purchase->date))
        return "date is not YYYY-MM-DD or YYYYMMDD";
    *field = fields[at[QUANTITY]];
    if (!read_quantity(*field, &purchase->quantity))
        return "quantity is not a whole number from 1 to 10000";
    *field = fields[at[AMOUNT]];
    return read_amount(*field, &purchase->amount) ? NULL : "amount is not a number such as 12.50";
}

static kur_status add(struct purchases *purchases, const struct purchase *purchase, kur_error *error)
{
    if ((purchases->count & (purchases->count - 1)) == 0) { /* full at each power of two */
        size_t room = purchases->count > 0 ? purchases->count * 2 : 1;
        struct purchase *items = realloc(purchases->items, room * sizeof *items);
        if (items == NULL)
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        purchases->items = items;
    }
    purchases->items[purchases->count++] = *purchase;
    return KUR_OK;
}

static kur_status read_lines(struct purchases *purchases, const char *path, FILE *file, kur_error *error)
{
    size_t at[COLUMNS] = {CUSTOMER, DATE, QUANTITY, AMOUNT}, capacity = 0;
    char *line = NULL, *fields[COLUMNS_MAX];
    kur_status status = KUR_OK;
    for (size_t number = 1; status == KUR_OK && getline(&line, &capacity, file) >= 0; number++) {
        line[strcspn(line, "\r\n")] = '\0';
        char *text = number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
        size_t count = split(text, fields);
        if ((count == 1 && fields[0][0] == '\0') || (number == 1 && read_header(fields, count, at)))
            continue;
        struct purchase purchase;
        const char *field, *wrong = read_line(fields, count, at, &purchase, &field);
        if (wrong == NULL)
            status = add(purchases, &purchase, error);
        else if (++purchases->bad <= COMPLAINTS_MAX)
            fprintf(stderr, "%s:%zu: %s: \"%.40s\"; passed over\n", path, number, wrong, field);
    }
    free(line);
    if (purchases->bad > COMPLAINTS_MAX)
        fprintf(stderr, "%s: %zu more lines like these\n", path, purchases->bad - COMPLAINTS_MAX);
    if (status == KUR_OK && ferror(file))
        status = kur_error_set(error, KUR_ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    if (status == KUR_OK && purchases->count == 0)
        status = kur_error_set(error, KUR_ERROR_SYNTAX, "%s: no line has customer,date,quantity,amount", path);
    return status;
}

kur_status purchases_read(struct purchases *purchases, const char *path, kur_error *error)
{
    *purchases = (struct purchases){0};
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    kur_status status = read_lines(purchases, path, file, error);
    fclose(file);
    if (status != KUR_OK)
        purchases_done(purchases);
    return status;
}

void purchases_done(struct purchases *purchases)
{
    free(purchases->items);
    *purchases = (struct purchases){0};
}
